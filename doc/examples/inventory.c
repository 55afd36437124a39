/* inventory.c - libblt in use: open, put, a batch, a scan.
 *
 *   cc -o inventory inventory.c $(pkg-config --cflags --libs libblt)
 *   ./inventory stock.blt
 *
 * The file can be read and written in Python too: booklet.open("stock.blt").
 */
#include <blt.h>

#include <stdio.h>
#include <string.h>

static int put(struct blt *store, const char *key, const char *value)
{
	return blt_put(store, key, strlen(key), value, strlen(value), BLT_NOW);
}

/* All or nothing: whoever reads meanwhile sees the stock before or after. */
static int move_to_sold(struct blt *store, const char *item)
{
	struct blt_batch *b;
	char key[64], to[64];
	int n = snprintf(key, sizeof(key), "stock/%s", item);
	int m = snprintf(to, sizeof(to), "sold/%s", item);
	int rc = blt_batch_new(store, &b);

	if (rc < 0)
		return rc;
	rc = blt_batch_rename(b, key, (size_t)n, to, (size_t)m);
	if (rc == 0)
		rc = blt_batch_put(b, "last", 4, item, strlen(item), BLT_NOW);
	if (rc < 0) {
		blt_batch_abort(b);
		return rc;
	}
	return blt_batch_commit(b);
}

/* Keys come in the order in which they were written. */
static int print_all(struct blt *store, const char *prefix)
{
	struct blt_iter_options o = { .prefix = prefix,
				      .prefix_len = strlen(prefix) };
	struct blt_item item;
	struct blt_iter *it;
	int rc = blt_iter_open(store, &o, &it);

	if (rc < 0)
		return rc;
	while ((rc = blt_iter_next(it, &item)) > 0)
		printf("%.*s: %.*s\n", (int)item.key_len,
		       (const char *)item.key, (int)item.value_len,
		       (const char *)item.value);
	blt_iter_free(it);
	return rc;
}

static int print_one(struct blt *store, const char *key)
{
	struct blt_view v;
	int rc = blt_get(store, key, strlen(key), &v);

	if (rc < 0)
		return rc;
	printf("%s: %.*s\n", key, (int)v.len, (const char *)v.data);
	blt_view_release(&v);
	return 0;
}

static int work(struct blt *store)
{
	int rc = put(store, "stock/apples", "31");

	if (rc == 0)
		rc = put(store, "stock/pears", "7");
	if (rc == 0)
		rc = blt_sync(store); /* survives a power cut from here */
	if (rc == 0)
		rc = move_to_sold(store, "pears");
	if (rc == 0)
		rc = print_all(store, "stock/");
	if (rc == 0)
		rc = print_all(store, "sold/");
	return rc == 0 ? print_one(store, "last") : rc;
}

int main(int argc, char **argv)
{
	struct blt_open_options how = { .mode = BLT_CREATE };
	struct blt_error err;
	struct blt *store;
	int rc, closed;

	if (argc != 2) {
		fprintf(stderr, "usage: %s STORE\n", argv[0]);
		return 2;
	}
	if (blt_open(argv[1], &how, &store, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	rc = work(store);
	closed = blt_close(store); /* a plain booklet file from here */
	if (rc < 0 || closed < 0)
		fprintf(stderr, "%s: %s\n", argv[1],
			strerror(rc < 0 ? -rc : -closed));
	return rc < 0 || closed < 0;
}
