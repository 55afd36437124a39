#include "main/options_value.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int option_complain(struct options_error *err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	return -EINVAL;
}

static int parse_number(const char *text, unsigned base, uint64_t *ret)
{
	uint64_t v = 0;

	if (!*text)
		return -EINVAL;
	for (; *text; text++) {
		unsigned digit = (unsigned)(unsigned char)*text - '0';

		if (digit >= base || v > (UINT64_MAX - digit) / base)
			return -EINVAL;
		v = v * base + digit;
	}
	*ret = v;
	return 0;
}

static int parse_size(const char *text, uint64_t *ret)
{
	static const char units[] = "KMGT";
	char digits[32];
	size_t len = strlen(text);
	unsigned shift = 0;
	const char *unit;
	uint64_t v;

	if (len == 0 || len >= sizeof(digits))
		return -EINVAL;
	memcpy(digits, text, len + 1);
	unit = strchr(units, digits[len - 1]);
	if (unit && *unit) {
		shift = 10 * (unsigned)(unit - units + 1);
		digits[len - 1] = '\0';
	}
	if (parse_number(digits, 10, &v) < 0 || v > UINT64_MAX >> shift)
		return -EINVAL;
	*ret = v << shift;
	return 0;
}

int option_set_text(char **field, const char *value)
{
	char *copy = strdup(value);

	if (!copy)
		return -ENOMEM;
	free(*field);
	*field = copy;
	return 0;
}

static int add_named(struct options *opts, const char *item,
		     struct options_error *err)
{
	const char *equals = strchr(item, '=');
	char **more;

	if (!equals || equals == item || !equals[1] ||
	    strcspn(item, " \t\n") < (size_t)(equals - item))
		return option_complain(err, "-o map=%s: not NAME=COMMAND",
				       item);
	more = realloc(opts->map, (opts->n_map + 1) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	opts->map = more;
	more[opts->n_map] = strdup(item);
	return more[opts->n_map] ? (opts->n_map++, 0) : -ENOMEM;
}

static int pass_on(struct options *opts, const char *item)
{
	size_t old = opts->pass ? strlen(opts->pass) + 1 : 0;
	char *list = realloc(opts->pass, old + strlen(item) + 1);

	if (!list)
		return -ENOMEM;
	if (old)
		list[old - 1] = ',';
	strcpy(list + old, item);
	opts->pass = list;
	return 0;
}

static int read_number(const struct option_row *row, const char *value,
		       uint64_t *ret, struct options_error *err)
{
	uint64_t v;
	int rc;

	if (row->type == SIZE)
		rc = parse_size(value, &v);
	else
		rc = parse_number(value, row->type == MODE ? 8 : 10, &v);
	if (rc < 0 || v < row->min || v > row->max)
		return option_complain(
			err,
			row->type == MODE ?
				"-o %s=%s: not an octal number up to 777" :
			row->type == SIZE ?
				"-o %s=%s: not a size such as 64M" :
				"-o %s=%s: not a number from %llu to %llu",
			row->name, value, (unsigned long long)row->min,
			(unsigned long long)row->max);
	*ret = v;
	return 0;
}

/* The index of the word among those of the row's argument. */
static int read_choice(const struct option_row *row, const char *value,
		       uint64_t *ret, struct options_error *err)
{
	const char *at = row->arg;
	size_t len = strlen(value);

	for (uint64_t i = 0; *at; i++) {
		size_t n = strcspn(at, "|");

		if (n == len && memcmp(at, value, n) == 0) {
			*ret = i;
			return 0;
		}
		at += n + (at[n] == '|');
	}
	return option_complain(err, "-o %s=%s: not one of %s", row->name, value,
			       row->arg);
}

int option_set(struct options *opts, const struct option_row *row,
	       const char *item, const char *value, struct options_error *err)
{
	void *field = (char *)opts + row->field;
	uint64_t number;
	int rc;

	switch (row->type) {
	case FLAG:
		*(bool *)field = true;
		return 0;
	case TEXT:
		return option_set_text(field, value);
	case CHOICE:
		return read_choice(row, value, field, err);
	case NAMED:
		return add_named(opts, value, err);
	case PASS_VALUE:
		rc = read_number(row, value, &number, err);
		return rc < 0 ? rc : pass_on(opts, item);
	case PASS:
		return pass_on(opts, item);
	case IGNORE:
		return 0;
	case SHARE:
		if (strcmp(value, "no") == 0) {
			*(uint64_t *)field = 0;
			return 0;
		}
		return read_number(row, value, field, err);
	case NUMBER:
	case MODE:
	case SIZE:
		return read_number(row, value, field, err);
	}
	return -EINVAL;
}
