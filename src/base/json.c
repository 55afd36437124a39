/* json.c - see json.h.
 *
 * A state machine over single bytes.  A number has no end of its own: the byte
 * behind it ends it and is then looked at again, as what follows a value.
 */
#include "base/json.h"

#include "base/util.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum state {
	VALUE = 0,   /* a value must come */
	FIRST_VALUE, /* behind '[': a value or ']' */
	FIRST_KEY,   /* behind '{': a key or '}' */
	KEY,         /* behind ',' in an object */
	COLON,
	AFTER, /* behind a value */
	STRING,
	ESCAPE, /* behind a backslash */
	HEX,
	LOW_BACKSLASH, /* behind a high surrogate: its other half must come */
	LOW_U,
	LITERAL,
	MINUS,
	ZERO,
	INT,
	POINT,
	FRACTION,
	E,
	E_SIGN,
	EXPONENT,
};

/* Far beyond what the digits of a text that fits a value can undo. */
#define EXP_LIMIT INT64_C(1000000000000000)

static bool is_python(const struct json *j)
{
	return j->parser == JSON_PYTHON;
}

static bool in_object(const struct json *j)
{
	unsigned level = j->depth - 1;

	return j->object[level / 64] >> (level % 64) & 1;
}

static int open_level(struct json *j, bool object)
{
	uint64_t bit;

	if (j->depth ==
	    (j->parser == JSON_ORJSON ? JSON_DEPTH : JSON_DEPTH_PYTHON))
		return -EINVAL;
	bit = UINT64_C(1) << (j->depth % 64);
	if (object)
		j->object[j->depth / 64] |= bit;
	else
		j->object[j->depth / 64] &= ~bit;
	j->depth++;
	j->state = object ? FIRST_KEY : FIRST_VALUE;
	return 0;
}

static int close_level(struct json *j, bool object)
{
	if (j->depth == 0 || in_object(j) != object)
		return -EINVAL;
	j->depth--;
	j->state = AFTER;
	return 0;
}

static void start_string(struct json *j, bool is_key)
{
	j->state = STRING;
	j->in_key = is_key;
}

/* integer: the digit stands before the point. */
static void number_digit(struct json *j, char c, bool integer)
{
	if (c == '0' && j->n_digits == 0) {
		if (!integer)
			j->point--;
		return;
	}
	if (integer)
		j->point++;
	if (j->n_digits < JSON_DIGITS)
		j->digits[j->n_digits++] = c;
	else if (c != '0')
		j->cut = true;
}

static void start_number(struct json *j, char c)
{
	j->n_digits = 0;
	j->cut = false;
	j->exp_minus = false;
	j->point = 0;
	j->exp = 0;
	j->state = c == '-' ? MINUS : c == '0' ? ZERO : INT;
	if (j->state == INT)
		number_digit(j, c, true);
}

/* Whether the number that ends here is whole, and within a double's range where
 * that matters. */
static int end_number(struct json *j)
{
	char text[JSON_DIGITS + 32];
	int64_t exp = j->exp_minus ? -j->exp : j->exp;

	if (j->state != ZERO && j->state != INT && j->state != FRACTION &&
	    j->state != EXPONENT)
		return -EINVAL;
	if (is_python(j) && j->state == INT && j->point > JSON_INT_DIGITS)
		return -EINVAL;
	j->state = AFTER;
	if (j->n_digits == 0 || is_python(j))
		return 0;
	/* no point in it: the locale has no say */
	snprintf(text, sizeof(text), "%.*s%cE%lld", j->n_digits, j->digits,
		 j->cut ? '9' : '0',
		 (long long)(j->point + exp - j->n_digits - 1));
	return isinf(strtod(text, NULL)) ? -EINVAL : 0;
}

static int value_byte(struct json *j, char c)
{
	static const char *const literals[] = { "true", "false", "null", "NaN",
						"Infinity" };
	const int n = is_python(j) ? 5 : 3;

	switch (c) {
	case '{':
		return open_level(j, true);
	case '[':
		return open_level(j, false);
	case '"':
		start_string(j, false);
		return 0;
	default:
		break;
	}
	if (c == '-' || (c >= '0' && c <= '9')) {
		start_number(j, c);
		return 0;
	}
	for (int i = 0; i < n; i++) {
		if (c == literals[i][0]) {
			j->literal = literals[i] + 1;
			j->state = LITERAL;
			return 0;
		}
	}
	return -EINVAL;
}

static int after_byte(struct json *j, char c)
{
	if (c == ']' || c == '}')
		return close_level(j, c == '}');
	if (c != ',' || j->depth == 0)
		return -EINVAL;
	j->state = in_object(j) ? KEY : VALUE;
	return 0;
}

static int structure_byte(struct json *j, char c)
{
	if (c == ' ' || c == '\t' || c == '\n' || c == '\r')
		return 0;
	switch (j->state) {
	case FIRST_VALUE:
		if (c == ']')
			return close_level(j, false);
		return value_byte(j, c);
	case VALUE:
		return value_byte(j, c);
	case FIRST_KEY:
	case KEY:
		if (c == '}' && j->state == FIRST_KEY)
			return close_level(j, true);
		if (c != '"')
			return -EINVAL;
		start_string(j, true);
		return 0;
	case COLON:
		if (c != ':')
			return -EINVAL;
		j->state = VALUE;
		return 0;
	default:
		return after_byte(j, c);
	}
}

static int hex_byte(struct json *j, char c)
{
	int digit = hex_digit(c);
	bool is_high, is_low;

	if (digit < 0)
		return -EINVAL;
	j->unit = (uint16_t)(j->unit << 4 | digit);
	if (--j->hex_left > 0)
		return 0;
	j->state = STRING;
	if (is_python(j))
		return 0;
	is_high = j->unit >= 0xd800 && j->unit <= 0xdbff;
	is_low = j->unit >= 0xdc00 && j->unit <= 0xdfff;
	if (is_low != j->low_due)
		return -EINVAL;
	j->low_due = is_high;
	if (is_high)
		j->state = LOW_BACKSLASH;
	return 0;
}

static int string_byte(struct json *j, uint8_t c)
{
	if (j->utf8.need > 0 || c >= 0x80)
		return utf8_step(&j->utf8, c);
	if (c < 0x20)
		return -EINVAL;
	if (c == '"')
		j->state = j->in_key ? COLON : AFTER;
	else if (c == '\\')
		j->state = ESCAPE;
	return 0;
}

static int escape_byte(struct json *j, char c)
{
	if (c == 'u') {
		j->hex_left = 4;
		j->state = HEX;
		return 0;
	}
	if (j->state == LOW_U || c == '\0' || !strchr("\"\\/bfnrt", c))
		return -EINVAL;
	j->state = STRING;
	return 0;
}

static int literal_byte(struct json *j, char c)
{
	if (*j->literal++ != c)
		return -EINVAL;
	if (*j->literal == '\0')
		j->state = AFTER;
	return 0;
}

static bool number_exponent(struct json *j, char c)
{
	if (c != 'e' && c != 'E')
		return false;
	j->state = E;
	return true;
}

static bool number_exponent_digit(struct json *j, char c)
{
	if (c < '0' || c > '9')
		return false;
	j->state = EXPONENT;
	if (j->exp < EXP_LIMIT)
		j->exp = j->exp * 10 + (c - '0');
	return true;
}

/* Whether c goes on with the number; if so the state is moved. */
static bool number_byte(struct json *j, char c)
{
	bool digit = c >= '0' && c <= '9';

	switch (j->state) {
	case MINUS:
	case INT:
		if (digit) {
			if (j->state == MINUS)
				j->state = c == '0' ? ZERO : INT;
			number_digit(j, c, true);
			return true;
		}
		if (j->state == MINUS)
			return false;
		break;
	case POINT:
	case FRACTION:
		if (digit) {
			j->state = FRACTION;
			number_digit(j, c, false);
			return true;
		}
		return j->state == FRACTION && number_exponent(j, c);
	case E:
		if (c == '-' || c == '+') {
			j->exp_minus = c == '-';
			j->state = E_SIGN;
			return true;
		}
		return number_exponent_digit(j, c);
	case E_SIGN:
	case EXPONENT:
		return number_exponent_digit(j, c);
	default: /* ZERO */
		break;
	}
	if (c != '.')
		return number_exponent(j, c);
	j->state = POINT;
	return true;
}

static int json_byte(struct json *j, uint8_t byte)
{
	char c = (char)byte;
	int err;

	switch (j->state) {
	case STRING:
		return string_byte(j, byte);
	case LOW_BACKSLASH:
		j->state = LOW_U;
		return c == '\\' ? 0 : -EINVAL;
	case ESCAPE:
	case LOW_U:
		return escape_byte(j, c);
	case HEX:
		return hex_byte(j, c);
	case LITERAL:
		return literal_byte(j, c);
	default:
		break;
	}
	if (j->state == MINUS && c == 'I' && is_python(j)) {
		j->literal = "nfinity";
		j->state = LITERAL;
		return 0;
	}
	if (j->state >= MINUS) {
		if (number_byte(j, c))
			return 0;
		err = end_number(j);
		if (err)
			return err;
	}
	return structure_byte(j, c);
}

int json_feed(struct json *j, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;

	for (size_t i = 0; i < len; i++) {
		/* most bytes of most texts stand plainly in a string */
		if (j->state == STRING && j->utf8.need == 0 && p[i] >= 0x20 &&
		    p[i] < 0x80 && p[i] != '"' && p[i] != '\\')
			continue;
		if (json_byte(j, p[i]) < 0)
			return -EINVAL;
	}
	return 0;
}

int json_end(struct json *j)
{
	if (j->state >= MINUS && end_number(j) < 0)
		return -EINVAL;
	return j->state == AFTER && j->depth == 0 ? 0 : -EINVAL;
}

/* ---- writing ---- */

void json_put_string(FILE *to, const void *bytes, size_t len)
{
	const uint8_t *s = bytes;
	size_t n;

	putc('"', to);
	for (; len; s += n, len -= n) {
		n = utf8_char(s, len);
		if (!n) {
			fputs("\\ufffd", to);
			n = 1;
		} else if (*s == '"' || *s == '\\') {
			fprintf(to, "\\%c", *s);
		} else if (*s < 0x20 || *s == 0x7f) {
			fprintf(to, "\\u%04x", *s);
		} else {
			fwrite(s, 1, n, to);
		}
	}
	putc('"', to);
}
