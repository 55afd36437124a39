/* counted STORE - does what tests/project/instructions.sh counts the
 * instructions of: each function whose name begins with count_ does one thing
 * TIMES times. */
#include "blt.h"
#include "booklet/format/keyhash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMES 4096
#define VALUE_LEN 200
#define GROUP 32

/* What is counted must stay a function of its own. */
#define COUNTED __attribute__((noinline)) static void

static struct blt *store;
static struct blt_ns *ns;

static void must(int rc, const char *what)
{
	if (rc >= 0)
		return;
	fprintf(stderr, "%s: %s\n", what, strerror(-rc));
	exit(1);
}

struct name {
	char text[16];
	size_t len;
};

/* Eleven bytes, in no order: 1597 and TIMES have no common factor. */
static struct name name_of(const char *prefix, unsigned i)
{
	struct name n;

	n.len = (size_t)snprintf(n.text, sizeof(n.text), "%s%08u", prefix,
				 i * 1597 % TIMES);
	return n;
}

static void put(const char *prefix, unsigned i)
{
	struct name n = name_of(prefix, i);
	char value[VALUE_LEN] = { 0 };

	memcpy(value, &i, sizeof(i));
	must(blt_put(store, n.text, n.len, value, sizeof(value), 1000), "put");
}

COUNTED count_naming(void)
{
	for (unsigned i = 0; i < TIMES; i++) {
		struct name n = name_of("key", i);

		must((int)n.len, n.text);
	}
}

COUNTED count_put(void)
{
	for (unsigned i = 0; i < TIMES; i++)
		put("key", i);
}

COUNTED count_overwrite(void)
{
	for (unsigned i = TIMES; i-- > 0;)
		put("key", i);
}

COUNTED count_sync(void)
{
	must(blt_sync(store), "sync");
}

COUNTED count_get(void)
{
	for (unsigned i = 0; i < TIMES; i++) {
		struct name n = name_of("key", i);
		struct blt_view v;

		must(blt_get(store, n.text, n.len, &v), "get");
		blt_view_release(&v);
	}
}

COUNTED count_miss(void)
{
	for (unsigned i = 0; i < TIMES; i++) {
		struct name n = name_of("not", i);
		struct blt_view v;

		if (blt_get(store, n.text, n.len, &v) == 0)
			exit(1);
	}
}

COUNTED count_get_many(void)
{
	for (unsigned i = 0; i < TIMES; i += GROUP) {
		struct name n[GROUP];
		struct blt_bytes key[GROUP];
		struct blt_view v[GROUP];
		int result[GROUP];

		for (unsigned j = 0; j < GROUP; j++) {
			n[j] = name_of("key", i + j);
			key[j] = (struct blt_bytes){ n[j].text, n[j].len };
		}
		if (blt_get_many(store, key, GROUP, v, result) != GROUP)
			exit(1);
		for (unsigned j = 0; j < GROUP; j++)
			blt_view_release(&v[j]);
	}
}

COUNTED count_read(void)
{
	for (unsigned i = 0; i < TIMES; i++) {
		struct name n = name_of("key", i);
		char value[VALUE_LEN];
		struct blt_view v;

		must(blt_get(store, n.text, n.len, &v), "get");
		must((int)blt_view_copy(&v, value, sizeof(value), 0), "copy");
		blt_view_release(&v);
	}
}

COUNTED count_lookup(void)
{
	for (unsigned i = 0; i < TIMES; i++) {
		struct name n = name_of("key", i);
		struct blt_node node;

		must(blt_ns_lookup(ns, "", 0, n.text, n.len, &node), "lookup");
		free(node.key);
	}
}

COUNTED count_scan(void)
{
	struct blt_item item;
	struct blt_iter *it;
	int rc;

	must(blt_iter_new(store, &it), "iter");
	while ((rc = blt_iter_next(it, &item)) > 0)
		;
	must(rc, "iter");
	blt_iter_free(it);
}

int main(int argc, char **argv)
{
	struct blt_open_options how = { .mode = BLT_CREATE };
	struct blt_ns_options plain = { 0 };
	struct blt_error err;

	if (argc != 2)
		return 64;
	/* The same instructions on every processor. */
	keyhash_way = &keyhash_ways[0];
	must(blt_open(argv[1], &how, &store, &err), err.text);
	count_naming();
	count_put();
	count_sync();
	count_get();
	count_miss();
	count_get_many();
	count_read();
	count_scan();
	count_overwrite();
	must(blt_ns_new(store, &plain, &ns), "ns");
	must(blt_ns_wait(ns), "walk");
	count_lookup();
	blt_ns_free(ns);
	must(blt_close(store), "close");
	return 0;
}
