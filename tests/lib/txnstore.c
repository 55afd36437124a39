#include "lib/txnstore.h"
#include "lib/suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *engine;

struct blt *open_new(const char *path)
{
	struct blt_open_options how = { .mode = BLT_TRUNCATE,
					.engine = engine };
	struct blt_error err;
	struct blt *store;

	how.create.n_buckets = 101;
	if (blt_open(path, &how, &store, &err) < 0)
		ck_abort_msg("%s", err.text);
	return store;
}

void close_store(struct blt *store)
{
	char *path = strdup(blt_path(store)), command[256];

	ck_assert_int_eq(blt_close(store), 0);
	snprintf(command, sizeof(command), "rm -rf %s %s-lock", path, path);
	ck_assert_int_eq(system(command), 0);
	free(path);
}

struct blt *begin(struct blt *store)
{
	struct blt *txn;

	ck_assert_int_eq(blt_txn_begin(store, ".", &txn), 0);
	return txn;
}

struct blt_ns *open_ns(struct blt *store, bool flat)
{
	const struct blt_ns_options how = { .flat = flat };
	struct blt_ns *ns;

	ck_assert_int_eq(blt_ns_new(store, &how, &ns), 0);
	return ns;
}

/* ---- the suite ---- */

static void with_booklet(void)
{
	engine = "booklet";
}

#ifdef HAVE_LMDB
static void with_lmdb(void)
{
	engine = "lmdb";
}
#endif

static void add_case(Suite *suite, const char *name, void (*setup)(void),
		     void (*add)(TCase *tc))
{
	TCase *tc = tcase_create(name);

	tcase_set_timeout(tc, 0);
	tcase_add_checked_fixture(tc, setup, NULL);
	add(tc);
	suite_add_tcase(suite, tc);
}

int txnstore_run(const char *name, void (*add)(TCase *tc))
{
	Suite *suite = suite_create(name);

	add_case(suite, "booklet", with_booklet, add);
#ifdef HAVE_LMDB
	add_case(suite, "lmdb", with_lmdb, add);
#endif
	return run_suite(suite);
}
