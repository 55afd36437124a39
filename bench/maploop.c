/* maploop.c - what a map is measured against: the engine's own get and put of
 * every key, one after the other, in this process.
 *
 *   maploop STORE
 */
#include "blt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct keys {
	char *bytes;
	size_t *len;
	size_t n, used;
};

static void die(const char *what, int rc)
{
	fprintf(stderr, "maploop: %s: %s\n", what, strerror(-rc));
	exit(1);
}

static void gather(struct blt *store, struct keys *k)
{
	struct blt_iter *it;
	struct blt_item item;
	struct blt_info info;
	int rc = blt_iter_new(store, &it);

	if (rc < 0)
		die("walk", rc);
	blt_get_info(store, &info);
	k->bytes = malloc((size_t)info.file_size + 1);
	k->len = calloc((size_t)info.n_keys + 1, sizeof(*k->len));
	if (!k->bytes || !k->len)
		die("keys", -12);
	while ((rc = blt_iter_next(it, &item)) > 0) {
		memcpy(k->bytes + k->used, item.key, item.key_len);
		k->used += item.key_len;
		k->len[k->n++] = item.key_len;
	}
	if (rc < 0)
		die("walk", rc);
	blt_iter_free(it);
}

static void copy_value(struct blt *store, const char *key, size_t len)
{
	struct blt_view v;
	int rc = blt_get(store, key, len, &v);

	if (rc < 0)
		die("get", rc);
	rc = blt_put(store, key, len, v.data, v.len, BLT_NOW);
	if (rc < 0)
		die("put", rc);
	blt_view_release(&v);
}

int main(int argc, char **argv)
{
	const struct blt_open_options how = { .mode = BLT_WRITE };
	struct keys k = { 0 };
	struct blt_error err = { "" };
	const char *key;
	struct blt *store;
	int rc;

	if (argc != 2)
		return 64;
	rc = blt_open(argv[1], &how, &store, &err);
	if (rc < 0)
		die(err.text, rc);
	gather(store, &k);
	key = k.bytes;
	for (size_t i = 0; i < k.n; key += k.len[i++])
		copy_value(store, key, k.len[i]);
	rc = blt_close(store);
	if (rc < 0)
		die("close", rc);
	printf("%zu\n", k.n);
	free(k.bytes);
	free(k.len);
	return 0;
}
