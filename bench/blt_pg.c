/* The engine, as a program of libblt uses it. */
#include "blt.h"
#include "pg_peer.h"

#include <err.h>
#include <stdlib.h>
#include <string.h>

static void must(int rc, const char *what)
{
	if (rc < 0)
		errx(1, "%s: %s", what, strerror(-rc));
}

static void *own_open(const char *url)
{
	struct blt_open_options how = { .mode = BLT_TRUNCATE };
	struct blt_error e;
	struct blt *store;

	if (blt_open(url, &how, &store, &e) < 0)
		errx(1, "%s", e.text);
	return store;
}

static void own_close(void *db)
{
	must(blt_close(db), "close");
}

static size_t own_get(void *db, const struct pg_item *key, void *value)
{
	struct blt_view v;
	size_t len;

	must(blt_get(db, key->key, key->key_len, &v), "get");
	len = v.len;
	must((int)blt_view_copy(&v, value, len, 0), "get");
	blt_view_release(&v);
	return len;
}

static size_t own_get_many(void *db, const struct pg_item *keys, size_t n)
{
	struct blt_bytes *asked = calloc(n, sizeof(*asked));
	struct blt_view *views = calloc(n, sizeof(*views));
	int *results = calloc(n, sizeof(*results));
	size_t bytes = 0;

	if (!asked || !views || !results)
		err(1, "get_many");
	for (size_t i = 0; i < n; i++)
		asked[i] = (struct blt_bytes){ keys[i].key, keys[i].key_len };
	if (blt_get_many(db, asked, n, views, results) != n)
		errx(1, "get_many: some are missing");
	for (size_t i = 0; i < n; i++) {
		bytes += views[i].len;
		blt_view_release(&views[i]);
	}
	free(asked);
	free(views);
	free(results);
	return bytes;
}

static size_t own_list(void *db, const char *prefix)
{
	struct blt_iter_options how = {
		.prefix = prefix,
		.prefix_len = strlen(prefix),
		.no_values = true,
	};
	struct blt_iter *it;
	struct blt_item item;
	size_t n = 0;
	int rc;

	must(blt_iter_open(db, &how, &it), "list");
	while ((rc = blt_iter_next(it, &item)) > 0)
		n++;
	must(rc, "list");
	blt_iter_free(it);
	return n;
}

static void own_put_many(void *db, const struct pg_item *items, size_t n)
{
	struct blt_batch *b;

	must(blt_batch_new(db, &b), "batch");
	for (size_t i = 0; i < n; i++)
		must(blt_batch_put(b, items[i].key, items[i].key_len,
				   items[i].value, items[i].value_len, BLT_NOW),
		     "put");
	must(blt_batch_commit_flush(b), "commit");
}

static const char long_key[] = "long";

static void own_put_long(void *db, const void *part, size_t n)
{
	struct blt_stream *s;

	must(blt_stream_open(db, sizeof(long_key), n, &s), "stream");
	for (size_t at = 0; at < n; at += PG_PART)
		must(blt_stream_write(s, part, PG_PART, at), "stream");
	must(blt_stream_commit(s, long_key, sizeof(long_key), BLT_NOW),
	     "stream");
}

/* With room for all of it at once, as the raw program has. */
static void own_get_long(void *db, void *value, size_t n)
{
	int64_t got = blt_get_part(db, long_key, sizeof(long_key), value, n, 0);

	if (got != (int64_t)n)
		errx(1, "the long value: %s",
		     got < 0 ? strerror((int)-got) : "a part is missing");
}

const struct pg_peer pg_blt = {
	.name = "blt",
	.open = own_open,
	.close = own_close,
	.get = own_get,
	.get_many = own_get_many,
	.list = own_list,
	.put_many = own_put_many,
	.put_long = own_put_long,
	.get_long = own_get_long,
};
