/* tool_longnames.c - which keys the hashes in names stand for. */
#include "tool/tool_tree.h"
#include "base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS (2 * KEYHASH_LEN)

int long_names_add(struct long_names *l, const void *key, size_t len)
{
	struct long_name *add;

	if (ARRAY_ROOM(l->item, l->room, l->n + 1) < 0)
		return -ENOMEM;
	add = &l->item[l->n];
	add->key = malloc(len + 1);
	if (!add->key)
		return -ENOMEM;
	memcpy(add->key, key, len);
	add->len = len;
	add->hash = keyhash_of(key, len);
	l->n++;
	l->sorted = false;
	return 0;
}

void long_names_free(struct long_names *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->item[i].key);
	free(l->item);
	*l = (struct long_names){ 0 };
}

static int compare(const void *a, const void *b)
{
	const struct long_name *x = a, *y = b;

	return memcmp(x->hash.byte, y->hash.byte, KEYHASH_LEN);
}

static void sort(struct long_names *l)
{
	if (!l->sorted && l->n)
		qsort(l->item, l->n, sizeof(*l->item), compare);
	l->sorted = true;
}

bool long_names_is(const char *name, size_t len)
{
	return len >= 2 + DIGITS && len <= 3 + DIGITS &&
	       !strncmp(name, "%~", 2) &&
	       (len == 2 + DIGITS || name[len - 1] == '%');
}

const struct long_name *long_names_find(struct long_names *l, const char *name,
					size_t len)
{
	struct long_name want = { 0 };

	if (!l->n || !long_names_is(name, len) ||
	    hex_decode(want.hash.byte, name + 2, DIGITS) < 0)
		return NULL;
	sort(l);
	return bsearch(&want, l->item, l->n, sizeof(want), compare);
}

bool long_names_has(struct long_names *l, const void *key, size_t len)
{
	struct long_name want = { .hash = keyhash_of(key, len) };

	if (!l->n)
		return false;
	sort(l);
	return bsearch(&want, l->item, l->n, sizeof(want), compare);
}

int long_names_parse(struct long_names *l, const char *text, size_t len)
{
	uint8_t *key = malloc(BLT_KEY_MAX);
	const char *end;
	int r = key ? 0 : -ENOMEM;

	for (; r == 0 && len; len -= (size_t)(end - text) + 1, text = end + 1) {
		end = memchr(text, '\n', len);
		if (!end || end - text > 2 * (ptrdiff_t)BLT_KEY_MAX) {
			r = -EINVAL;
			break;
		}
		r = hex_decode(key, text, (size_t)(end - text));
		if (r == 0)
			r = long_names_add(l, key, (size_t)(end - text) / 2);
	}
	free(key);
	return r;
}

int long_names_print(struct long_names *l, char **ret, size_t *ret_len)
{
	size_t room = 1, len = 0;
	char *text;

	sort(l);
	for (size_t i = 0; i < l->n; i++)
		room += 2 * l->item[i].len + 1;
	text = malloc(room);
	if (!text)
		return -ENOMEM;
	for (size_t i = 0; i < l->n; i++) {
		if (i && compare(&l->item[i - 1], &l->item[i]) == 0)
			continue;
		hex_encode(text + len, l->item[i].key, l->item[i].len);
		len += 2 * l->item[i].len;
		text[len++] = '\n';
	}
	*ret = text;
	*ret_len = len;
	return 0;
}
