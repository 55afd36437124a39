/* name.c - see name.h.
 *
 * A component has a static name, which depends on nothing else: it is the
 * component itself, but where that could be read as an escape.  An escape is a
 * NUL ("%00"), a '/' in flat stores ("%2F"), or a form: a whole component that
 * no file can be called ("%", "%2E", "%2E%2E", the control name, a hash).  What
 * looks like an escape gets "25" behind its '%', and so does what looks like
 * that, and so on: "%00" <- NUL, "%2500" <- "%00", "%252500" <- "%2500".  That
 * shifts each family by one, so every string of bytes is the static name of
 * exactly one component.
 *
 * In a directory, '%' at the end of a name means the key beside a directory.
 * So where x is both, the components x%, x%25, ... (x and one more group,
 * '%' and any number of "25") are shifted by one in the same way.  x may end in
 * groups itself; they are taken from the inside to the outside.
 */
#include "booklet/format/name.h"
#include "base/util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LONG_LEN (2 + 2 * KEYHASH_LEN)

/* A name being written; once it is longer than a name may be, over is set and
 * the rest is not looked at. */
struct writer {
	char *to;
	size_t len;
	bool over;
};

static void put(struct writer *w, char c)
{
	if (w->len < NAME_MAX_LEN)
		w->to[w->len++] = c;
	else
		w->over = true;
}

static const char upper_digits[] = "0123456789ABCDEF";

static void put_escape(struct writer *w, uint8_t byte)
{
	put(w, '%');
	put(w, upper_digits[byte >> 4]);
	put(w, upper_digits[byte & 15]);
}

static bool is_control(const struct name_rules *rules, bool first,
		       const void *comp, size_t len)
{
	return first && rules->control && len == strlen(rules->control) &&
	       memcmp(comp, rules->control, len) == 0;
}

/* ---- forms ---- */

enum form { NO_FORM, FORM_EMPTY, FORM_DOT, FORM_DOTS, FORM_CONTROL, FORM_HASH };

/* Behind the "25"s that are at a position. */
static size_t skip_25(const uint8_t *s, size_t len, size_t at)
{
	while (at + 2 <= len && memcmp(s + at, "25", 2) == 0)
		at += 2;
	return at;
}

/* Whether s is a hash's name without its '%', and groups behind it; these only
 * where names are in conflict. */
static bool is_hash(const struct name_rules *rules, const uint8_t *s,
		    size_t len)
{
	if (len < LONG_LEN - 1 || s[0] != '~')
		return false;
	for (size_t i = 1; i < LONG_LEN - 1; i++)
		if (!memchr("0123456789abcdef", s[i], 16))
			return false;
	for (size_t at = LONG_LEN - 1; at < len;) {
		if (rules->flat || s[at] != '%')
			return false;
		at = skip_25(s, len, at + 1);
	}
	return true;
}

/* Which form s is as a whole, after any number of "25". */
static enum form form_of(const struct name_rules *rules, const uint8_t *s,
			 size_t len, bool first)
{
	const char *control = first ? rules->control : NULL;
	size_t at = skip_25(s, len, 1);
	uint8_t c;

	if (len == 0 || s[0] != '%')
		return NO_FORM;
	s += at;
	len -= at;
	if (len == 0)
		return FORM_EMPTY;
	if (len == 2 && memcmp(s, "2E", 2) == 0)
		return FORM_DOT;
	if (len == 5 && memcmp(s, "2E%2E", 5) == 0)
		return FORM_DOTS;
	if (is_hash(rules, s, len))
		return FORM_HASH;
	if (!control || len != strlen(control) + 1 ||
	    memcmp(s + 2, control + 1, len - 2) != 0)
		return NO_FORM;
	c = (uint8_t)control[0];
	return s[0] == upper_digits[c >> 4] && s[1] == upper_digits[c & 15] ?
		       FORM_CONTROL :
		       NO_FORM;
}

/* Whether the '%' at a position begins the escape of a byte, after any number
 * of "25". */
static bool is_escape(const struct name_rules *rules, const uint8_t *s,
		      size_t len, size_t at)
{
	if (s[at] != '%')
		return false;
	at = skip_25(s, len, at + 1);
	return at + 2 <= len && (memcmp(s + at, "00", 2) == 0 ||
				 (rules->flat && memcmp(s + at, "2F", 2) == 0));
}

/* What no file, or none but the control directory, can be called. */
static bool is_taken(const struct name_rules *rules, const void *name,
		     size_t len, bool first)
{
	return (len <= 2 && memcmp(name, "..", len) == 0) ||
	       is_control(rules, first, name, len);
}

/* ---- static names ---- */

static void write_static(struct writer *w, const struct name_rules *rules,
			 const uint8_t *comp, size_t len, bool first)
{
	bool taken = len > 0 && is_taken(rules, comp, len, first);
	bool dots = taken && comp[0] == '.' && len <= 2;
	bool form = form_of(rules, comp, len, first) != NO_FORM;

	if (len == 0)
		put(w, '%');
	for (size_t i = 0; i < len && !w->over; i++) {
		uint8_t c = comp[i];

		if ((i == 0 && (form || taken)) || dots || c == '\0' ||
		    (c == '/' && rules->flat) || is_escape(rules, comp, len, i))
			put_escape(w, c);
		else
			put(w, (char)c);
	}
}

/* The component of a static name that is not taken; its length.  comp has room
 * for the name. */
static size_t read_static(const struct name_rules *rules, const uint8_t *name,
			  size_t len, bool first, uint8_t *comp)
{
	enum form form = form_of(rules, name, len, first);
	bool shifted =
		form != NO_FORM && len >= 3 && memcmp(name, "%25", 3) == 0;
	size_t n = 0;

	if (form == FORM_EMPTY && !shifted)
		return 0;
	if (form != NO_FORM && form != FORM_HASH && !shifted) {
		n = form == FORM_DOT ? 1 : form == FORM_DOTS ? 2 : len - 2;
		memcpy(comp, form == FORM_CONTROL ? rules->control : "..", n);
		return n;
	}
	for (size_t i = 0; i < len; i++) {
		bool escape = is_escape(rules, name, len, i);

		comp[n++] = name[i];
		if (escape || (shifted && i == 0)) {
			hex_decode(&comp[n - 1], (const char *)name + i + 1, 2);
			i += 2;
		}
	}
	return n;
}

/* ---- groups ---- */

/* Where the groups at the end of a name begin, the last one first; how many. */
static size_t find_groups(const struct name_rules *rules, const char *name,
			  size_t len, bool first, size_t at[NAME_MAX_LEN])
{
	size_t n = 0;

	for (;;) {
		const char *p = memrchr(name, '%', len);
		size_t begin = p ? (size_t)(p - name) : 0;

		if (begin == 0 ||
		    skip_25((const uint8_t *)name, len, begin + 1) != len ||
		    is_taken(rules, name, begin, first))
			return n;
		at[n++] = begin;
		len = begin;
	}
}

/* Whether the component of a static name is both: 1, 0 or an error. */
static int is_both(const struct name_rules *rules,
		   const struct name_beside *beside, const char *name,
		   size_t len, bool first)
{
	uint8_t comp[NAME_MAX_LEN];
	size_t n = read_static(rules, (const uint8_t *)name, len, first, comp);

	return beside->both(beside->arg, comp, n);
}

/* A static name as the directory shows it. */
static int write_groups(struct writer *w, const struct name_rules *rules,
			const struct name_beside *beside, const char *name,
			size_t len, bool first)
{
	size_t at[NAME_MAX_LEN];
	size_t n = find_groups(rules, name, len, first, at);
	int both;

	for (size_t i = 0; i < len; i++) {
		put(w, name[i]);
		if (n == 0 || i != at[n - 1])
			continue;
		n--;
		both = is_both(rules, beside, name, i, first);
		if (both < 0)
			return both;
		if (both) {
			put(w, '2');
			put(w, '5');
		}
	}
	return 0;
}

/* The static name of what a directory shows; 1 where it is the key beside a
 * directory, -EINVAL where it is nothing. */
static int read_groups(struct writer *w, const struct name_rules *rules,
		       const struct name_beside *beside, const char *name,
		       size_t len, bool first)
{
	size_t at[NAME_MAX_LEN];
	size_t n = find_groups(rules, name, len, first, at);

	for (size_t i = 0; i < (n ? at[n - 1] : len); i++)
		put(w, name[i]);
	while (n-- > 0) {
		size_t begin = at[n], end = n > 0 ? at[n - 1] : len;
		int both = is_both(rules, beside, w->to, w->len, first);

		if (both < 0)
			return both;
		if (both && end == begin + 1)
			return n > 0 ? -EINVAL : 1;
		for (size_t i = begin; i < end - (both ? 2 : 0); i++)
			put(w, name[i]);
	}
	return 0;
}

/* ---- integers ---- */

static void write_int(struct writer *w, const struct name_rules *rules,
		      const uint8_t *comp, size_t len, bool first)
{
	char text[2 * (NAME_MAX_LEN / 2) + 3] = "%x";
	uint64_t v;

	if (len != rules->int_width) {
		if (len > NAME_MAX_LEN / 2) {
			w->over = true;
			return;
		}
		hex_encode(text + 2, comp, len);
	} else {
		v = get_le(comp, len);
		if (rules->int_signed && comp[len - 1] & 0x80)
			/* 0 - v in the width's own arithmetic: also right for
			 * the smallest number, which has no positive twin */
			snprintf(text, sizeof(text), "-%llu",
				 (unsigned long long)((0 - v) &
						      (UINT64_MAX >>
						       (64 - 8 * len))));
		else
			snprintf(text, sizeof(text), "%llu",
				 (unsigned long long)v);
	}
	for (const char *p = text; *p; p++) {
		if (p == text && is_control(rules, first, text, strlen(text)))
			put_escape(w, (uint8_t)*p);
		else
			put(w, *p);
	}
}

/* ---- names ---- */

static int write_bytes(struct writer *w, const struct name_rules *rules,
		       const void *comp, size_t len, bool first,
		       const struct name_beside *beside)
{
	char text[NAME_MAX_LEN];
	struct writer fixed = { .to = text };

	if (!beside) {
		write_static(w, rules, comp, len, first);
		return 0;
	}
	write_static(&fixed, rules, comp, len, first);
	w->over = fixed.over;
	return fixed.over ?
		       0 :
		       write_groups(w, rules, beside, text, fixed.len, first);
}

int name_write(const struct name_rules *rules, const void *comp, size_t len,
	       bool first, bool conflict, const struct keyhash *upto,
	       const struct name_beside *beside, char name[NAME_BUF])
{
	char text[NAME_BUF];
	struct writer w = { .to = text };
	int rc = 0;

	if (rules->int_width > 0)
		write_int(&w, rules, comp, len, first);
	else
		rc = write_bytes(&w, rules, comp, len, first, beside);
	if (rc < 0)
		return rc;
	if (conflict)
		put(&w, '%');
	if (w.over) {
		if (!upto)
			return -ENAMETOOLONG;
		memcpy(text, "%~", 2);
		hex_encode(text + 2, upto->byte, KEYHASH_LEN);
		w.len = LONG_LEN;
		if (conflict)
			text[w.len++] = '%';
	}
	text[w.len] = '\0';
	memcpy(name, text, w.len + 1);
	return (int)w.len;
}

/* The name of a hash; its tail has been looked at. */
static int read_hash(const char *name, size_t len, struct name_parsed *ret)
{
	bool conflict = len == LONG_LEN + 1;

	if (len > LONG_LEN && !conflict)
		return -EINVAL;
	ret->form = conflict ? NAME_LONG_CONFLICT : NAME_LONG;
	hex_decode(ret->hash.byte, name + 2, (size_t)2 * KEYHASH_LEN);
	ret->comp_len = 0;
	return 0;
}

static int read_int(const struct name_rules *rules, const char *name,
		    size_t len, struct name_parsed *ret)
{
	bool minus = name[0] == '-';
	uint64_t v = 0;

	if (len >= 2 && memcmp(name, "%x", 2) == 0) {
		ret->comp_len = (len - 2) / 2;
		return hex_decode(ret->comp, name + 2, len - 2);
	}
	for (size_t i = minus; i < len; i++) {
		unsigned digit = (unsigned)(unsigned char)name[i] - '0';

		if (digit > 9 || v > (UINT64_MAX - digit) / 10)
			return -EINVAL;
		v = v * 10 + digit;
	}
	/* What does not fit the width is cut here and differs when written. */
	put_le(ret->comp, minus ? 0 - v : v, rules->int_width);
	ret->comp_len = rules->int_width;
	return 0;
}

/* Read leniently and written again, so that each number has one spelling. */
static int read_number(const struct name_rules *rules, const char *name,
		       size_t len, bool first, struct name_parsed *ret)
{
	char again[NAME_BUF];
	const char *from = name;
	size_t n = len;
	int rc;

	if (form_of(rules, (const uint8_t *)name, len, first) == FORM_CONTROL) {
		from = rules->control;
		n = len - 2;
	}
	rc = read_int(rules, from, n, ret);
	if (rc < 0)
		return rc;
	ret->form = NAME_PLAIN;
	rc = name_write(rules, ret->comp, ret->comp_len, first, false, NULL,
			NULL, again);
	return rc != (int)len || memcmp(again, name, len) != 0 ? -EINVAL : 0;
}

int name_read(const struct name_rules *rules, const char *name, size_t len,
	      bool first, const struct name_beside *beside,
	      struct name_parsed *ret)
{
	struct name_parsed got = { 0 };
	char text[NAME_MAX_LEN];
	struct writer fixed = { .to = text };
	int rc = 0;

	if (len == 0 || len > NAME_MAX_LEN || memchr(name, '\0', len) ||
	    memchr(name, '/', len) || is_taken(rules, name, len, first))
		return -EINVAL;
	if (name[0] == '%' &&
	    is_hash(rules, (const uint8_t *)name + 1, len - 1))
		return read_hash(name, len, ret);
	if (rules->int_width > 0) {
		rc = read_number(rules, name, len, first, &got);
	} else if (!beside) {
		got.comp_len = read_static(rules, (const uint8_t *)name, len,
					   first, got.comp);
	} else {
		rc = read_groups(&fixed, rules, beside, name, len, first);
		got.form = rc == 1 ? NAME_CONFLICT : NAME_PLAIN;
		got.comp_len = read_static(rules, (const uint8_t *)text,
					   fixed.len, first, got.comp);
	}
	if (rc < 0)
		return rc;
	ret->form = got.form;
	ret->comp_len = got.comp_len;
	memcpy(ret->comp, got.comp, got.comp_len);
	return 0;
}
