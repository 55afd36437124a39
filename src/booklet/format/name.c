/* name.c - see name.h.
 *
 * Why the mapping is a bijection: in what a component writes, '%' is always
 * followed by two hex digits, but for the name "%" (the empty component) and
 * what begins with "%x" (integer keys) or "%~" (long names).  So a '%' that
 * ends a name and is not the whole of it can only be the conflict suffix.
 * Reading is lenient and then writes what it has read: whatever does not come
 * out as the same bytes was another spelling, and is refused.
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

static void put_escape(struct writer *w, uint8_t byte)
{
	static const char digits[] = "0123456789ABCDEF";

	put(w, '%');
	put(w, digits[byte >> 4]);
	put(w, digits[byte & 15]);
}

static bool is_control(const struct name_rules *rules, bool first,
		       const void *comp, size_t len)
{
	return first && rules->control && len == strlen(rules->control) &&
	       memcmp(comp, rules->control, len) == 0;
}

static void write_bytes(struct writer *w, const struct name_rules *rules,
			const uint8_t *comp, size_t len, bool first)
{
	bool dots = (len == 1 || len == 2) && comp[0] == '.' &&
		    comp[len - 1] == '.';
	bool control = is_control(rules, first, comp, len);

	if (len == 0)
		put(w, '%');
	for (size_t i = 0; i < len && !w->over; i++) {
		uint8_t c = comp[i];

		if (c == '\0' || c == '%' || dots || (control && i == 0) ||
		    (c == '/' && rules->flat))
			put_escape(w, c);
		else
			put(w, (char)c);
	}
}

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

int name_write(const struct name_rules *rules, const void *comp, size_t len,
	       bool first, bool conflict, const struct keyhash *upto,
	       char name[NAME_BUF])
{
	char text[NAME_BUF];
	struct writer w = { .to = text };

	if (rules->int_width > 0)
		write_int(&w, rules, comp, len, first);
	else
		write_bytes(&w, rules, comp, len, first);
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

static int read_long(const char *name, size_t len, struct name_parsed *ret)
{
	char again[2 * KEYHASH_LEN + 1];
	struct keyhash h;
	bool conflict = len == LONG_LEN + 1 && name[LONG_LEN] == '%';

	if (len != LONG_LEN && !conflict)
		return -EINVAL;
	if (hex_decode(h.byte, name + 2, (size_t)2 * KEYHASH_LEN) < 0)
		return -EINVAL;
	hex_encode(again, h.byte, KEYHASH_LEN);
	if (memcmp(again, name + 2, (size_t)2 * KEYHASH_LEN) != 0)
		return -EINVAL;
	ret->form = conflict ? NAME_LONG_CONFLICT : NAME_LONG;
	ret->hash = h;
	ret->comp_len = 0;
	return 0;
}

/* Undoes %XX; a '%' that begins none stands for itself, and is refused when
 * the name is written again. */
static void read_bytes(const char *name, size_t len, struct name_parsed *ret)
{
	ret->comp_len = 0;
	if (len == 1 && name[0] == '%')
		return;
	for (size_t i = 0; i < len; i++) {
		uint8_t c = (uint8_t)name[i];

		if (c == '%' && i + 2 < len &&
		    hex_decode(&c, name + i + 1, 2) == 0)
			i += 2;
		ret->comp[ret->comp_len++] = c;
	}
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

/* The name that the control name's bytes have as a key. */
static bool is_escaped_control(const struct name_rules *rules, bool first,
			       const char *name, size_t len)
{
	uint8_t c;

	return first && rules->control && len > 2 && name[0] == '%' &&
	       len - 2 == strlen(rules->control) &&
	       hex_decode(&c, name + 1, 2) == 0 &&
	       c == (uint8_t)rules->control[0] &&
	       memcmp(name + 3, rules->control + 1, len - 3) == 0;
}

int name_read(const struct name_rules *rules, const char *name, size_t len,
	      bool first, struct name_parsed *ret)
{
	struct name_parsed got;
	char again[NAME_BUF];
	size_t body = len;
	int err;

	if (len == 0 || len > NAME_MAX_LEN)
		return -EINVAL;
	if (memchr(name, '\0', len) || memchr(name, '/', len))
		return -EINVAL;
	if (len >= 2 && memcmp(name, "%~", 2) == 0)
		return read_long(name, len, ret);
	got.form = NAME_PLAIN;
	if (len > 1 && name[len - 1] == '%') {
		got.form = NAME_CONFLICT;
		body--;
	}
	if (rules->int_width == 0) {
		read_bytes(name, body, &got);
	} else {
		if (is_escaped_control(rules, first, name, body))
			err = read_int(rules, rules->control, body - 2, &got);
		else
			err = read_int(rules, name, body, &got);
		if (err)
			return err;
	}
	err = name_write(rules, got.comp, got.comp_len, first,
			 got.form == NAME_CONFLICT, NULL, again);
	if (err != (int)len || memcmp(again, name, len) != 0)
		return -EINVAL;
	ret->form = got.form;
	ret->comp_len = got.comp_len;
	memcpy(ret->comp, got.comp, got.comp_len);
	return 0;
}
