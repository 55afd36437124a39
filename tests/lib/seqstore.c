#include "lib/seqstore.h"
#include "lib/suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *engine;
static const struct blt_seq_field one_field = { .value = "x", .value_len = 1 };

char seqstore_path[64];
struct blt *store;
struct blt_ns *ns;
struct blt_seq *seq;
const struct blt_seq_item one = { &one_field, 1 };

void seqstore_open(enum blt_mode mode, const char *serializer)
{
	struct blt_open_options how = { .mode = mode, .engine = engine };
	struct blt_error err;

	how.create.n_buckets = 101;
	how.create.value_serializer = (unsigned)blt_serializer_code(serializer);
	if (blt_open(seqstore_path, &how, &store, &err) < 0)
		ck_abort_msg("%s", err.text);
	ck_assert_int_eq(blt_ns_new(store, NULL, &ns), 0);
}

void seqstore_open_seq(void)
{
	ck_assert_int_eq(blt_seq_open(ns, PREFIX, PREFIX_LEN, &seq), 0);
}

void seqstore_close(void)
{
	blt_seq_close(seq);
	seq = NULL;
	blt_ns_free(ns);
	ck_assert_int_eq(blt_close(store), 0);
}

bool seqstore_is_slow(void)
{
	return strcmp(engine, "lmdb") == 0;
}

uint64_t seqstore_len(void)
{
	uint64_t n = 0;

	ck_assert_int_eq(blt_seq_len(seq, &n), 0);
	return n;
}

/* ---- the suite ---- */

static void setup(const char *which)
{
	engine = which;
	snprintf(seqstore_path, sizeof(seqstore_path), "test-seq-%d.%s",
		 (int)getpid(), engine);
	seqstore_open(BLT_TRUNCATE, "bytes");
	ck_assert_int_eq(blt_seq_create(ns, PREFIX, PREFIX_LEN), 0);
	seqstore_open_seq();
}

static void teardown(void)
{
	char lock[sizeof(seqstore_path) + 8];

	seqstore_close();
	unlink(seqstore_path);
	snprintf(lock, sizeof(lock), "%s-lock", seqstore_path);
	unlink(lock);
}

static void setup_booklet(void)
{
	setup("booklet");
}

#ifdef HAVE_LMDB
static void setup_lmdb(void)
{
	setup("lmdb");
}
#endif

static void add_case(Suite *suite, const char *name, void (*begin)(void),
		     void (*add)(TCase *tc))
{
	TCase *tc = tcase_create(name);

	tcase_set_timeout(tc, 0);
	tcase_add_checked_fixture(tc, begin, teardown);
	add(tc);
	suite_add_tcase(suite, tc);
}

int seqstore_run(const char *name, void (*add)(TCase *tc),
		 void (*booklets_alone)(TCase *tc))
{
	Suite *suite = suite_create(name);

	add_case(suite, "booklet", setup_booklet, add);
#ifdef HAVE_LMDB
	add_case(suite, "lmdb", setup_lmdb, add);
#endif
	if (booklets_alone)
		add_case(suite, "booklets alone", setup_booklet,
			 booklets_alone);
	return run_suite(suite);
}
