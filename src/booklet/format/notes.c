#include "booklet/format/notes.h"

#include "base/util.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const char magic[8] = { 'b', 'l', 't', 'n', 'o', 't', 'e', '1' };

#define HEAD 6u /* the two lengths */

int notes_next(const uint8_t *table, size_t len, size_t *at, struct note *ret)
{
	const uint8_t *p = table + *at;
	size_t left = len - *at;

	if (len == 0)
		return 0;
	if (*at == 0) {
		if (len < sizeof(magic) || memcmp(table, magic, sizeof(magic)))
			return -EEXIST;
		*at = sizeof(magic);
		p += sizeof(magic);
		left -= sizeof(magic);
	}
	if (left == 0)
		return 0;
	if (left < HEAD)
		return -EUCLEAN;
	*ret = (struct note){ .name_len = (size_t)get_le16(p),
			      .len = (size_t)get_le32(p + 2) };
	if (ret->name_len > left - HEAD ||
	    ret->len > left - HEAD - ret->name_len)
		return -EUCLEAN;
	ret->name = (const char *)p + HEAD;
	ret->bytes = p + HEAD + ret->name_len;
	*at += HEAD + ret->name_len + ret->len;
	return 1;
}

static bool is_name(const struct note *a, const struct note *b)
{
	return compare_bytes(a->name, a->name_len, b->name, b->name_len) == 0;
}

static bool is_same(const struct note *found, const struct note *was)
{
	return found->bytes && was->bytes ?
		       !compare_bytes(found->bytes, found->len, was->bytes,
				      was->len) :
		       !found->bytes && !was->bytes;
}

static void write_note(uint8_t *table, size_t *len, const struct note *n)
{
	uint8_t *p = table + *len;

	put_le(p, n->name_len, 2);
	put_le(p + 2, n->len, 4);
	memcpy(p + HEAD, n->name, n->name_len);
	if (n->len)
		memcpy(p + HEAD + n->name_len, n->bytes, n->len);
	*len += HEAD + n->name_len + n->len;
}

int notes_change(const uint8_t *table, size_t len, const struct note *was,
		 const struct note *to, uint8_t **ret, size_t *ret_len)
{
	size_t room = len + sizeof(magic) + HEAD + to->name_len + to->len;
	struct note n, found = { .bytes = NULL };
	uint8_t *made = room <= NOTES_MAX ? malloc(room) : NULL;
	size_t at = 0, done = sizeof(magic);
	int rc;

	if (!made)
		return room <= NOTES_MAX ? -ENOMEM : -ENOSPC;
	memcpy(made, magic, sizeof(magic));
	while ((rc = notes_next(table, len, &at, &n)) > 0) {
		if (is_name(&n, to))
			found = n;
		else
			write_note(made, &done, &n);
	}
	if (rc == 0 && !is_same(&found, was))
		rc = -ESTALE;
	if (rc == 0 && to->bytes)
		write_note(made, &done, to);
	if (rc < 0 || done == sizeof(magic)) {
		free(made);
		made = NULL;
		done = 0;
	}
	if (rc < 0)
		return rc;
	*ret = made;
	*ret_len = done;
	return 0;
}
