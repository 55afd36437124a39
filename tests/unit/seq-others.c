/* A sequence beside others: who uses its keys as keys, who is told of what it
 * changes, and a second writer. */
#include "lib/seqstore.h"
#include "seq/seq.h"
#include "lib/checked.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* ---- others, who use keys as keys ---- */

/* Once, just before a batch: a key that is put, and one that is deleted. */
static const char *to_put, *to_delete;

static void meddle(void)
{
	const char *put = to_put, *gone = to_delete;

	to_put = to_delete = NULL;
	if (put)
		ck_assert_int_eq(
			blt_put(store, put, strlen(put), "theirs", 6, BLT_NOW),
			0);
	if (gone)
		ck_assert_int_eq(blt_delete(store, gone, strlen(gone)), 0);
}

static void check_theirs(const char *key)
{
	char value[8];
	struct blt_view v;

	ck_assert_int_eq(blt_get(store, key, strlen(key), &v), 0);
	ck_assert_int_eq(blt_view_copy(&v, value, sizeof(value), 0), 6);
	ck_assert_mem_eq(value, "theirs", 6);
	blt_view_release(&v);
}

/* Just the name that is being given is put, just the item that is to be
 * changed is deleted. */
START_TEST(test_meddling)
{
	const struct blt_seq_field named = { "f", 1, "x", 1 };
	const struct blt_seq_item items[] = { one, { &named, 1 }, one };
	const struct blt_seq_item none = { NULL, 0 };

	seq_before_batch = meddle;
	to_put = "frames/i0";
	ck_assert_int_eq(blt_seq_append(seq, &one, 1), 0);
	check_theirs("frames/i0");
	ck_assert_uint_eq(seqstore_len(), 2);
	to_put = "frames/i3/f";
	ck_assert_int_eq(blt_seq_append(seq, items, 3), 0);
	check_theirs("frames/i3/f");
	ck_assert_uint_eq(seqstore_len(), 6);
	to_put = "frames/i7/";
	ck_assert_int_eq(blt_seq_append(seq, &none, 1), 0);
	ck_assert_uint_eq(seqstore_len(), 8);
	to_put = "frames/hz";
	ck_assert_int_eq(blt_seq_move(seq, 1, 0), 0);
	check_theirs("frames/hz");
	ck_assert_uint_eq(seqstore_len(), 9);
	to_delete = "frames/hz";
	ck_assert_int_eq(blt_seq_set(seq, 1, &one), 0);
	ck_assert_uint_eq(seqstore_len(), 9);
	to_delete = "frames/i1";
	ck_assert_int_eq(blt_seq_delete(seq, 0, 3), 0);
	ck_assert_uint_eq(seqstore_len(), 5);
	seq_before_batch = NULL;
}
END_TEST

struct told {
	char keys[256];
	uint64_t n;
};

static void tell(void *arg, const void *key, size_t len)
{
	struct told *told = arg;
	size_t used = strlen(told->keys);

	told->n++;
	if (used + len + 2 <= sizeof(told->keys))
		snprintf(told->keys + used, sizeof(told->keys) - used, "%.*s ",
			 (int)len, (const char *)key);
}

START_TEST(test_told)
{
	const struct blt_seq_field fields[] = { { "f", 1, "x", 1 },
						{ "g", 1, "y", 1 } };
	struct told told = { "" };

	blt_seq_watch(seq, tell, &told);
	ck_assert_int_eq(blt_seq_append(seq, &one, 1), 0);
	ck_assert_int_eq(blt_seq_append(seq, &one, 1), 0);
	ck_assert_int_eq(
		blt_seq_set(seq, 0, &(struct blt_seq_item){ fields, 2 }), 0);
	ck_assert_int_eq(blt_seq_move(seq, 1, 0), 0);
	ck_assert_int_eq(
		blt_seq_set(seq, 1, &(struct blt_seq_item){ fields, 1 }), 0);
	ck_assert_int_eq(blt_seq_delete(seq, 0, 2), 0);
	ck_assert_str_eq(told.keys, "frames/i0 frames/i1 "
				    "frames/i0/f frames/i0/g frames/i0 "
				    "frames/i1 frames/hz "
				    "frames/i0/f frames/i0/g "
				    "frames/hz frames/i0/f ");
	/* others are none of its business */
	ck_assert_int_eq(blt_put(store, "frames/x", 8, "", 0, BLT_NOW), 0);
	ck_assert_uint_eq(told.n, 11);
	blt_seq_watch(seq, NULL, NULL);
	ck_assert_int_eq(blt_seq_append(seq, &one, 1), 0);
	ck_assert_uint_eq(told.n, 11);
}
END_TEST

/* ---- two writers, and a reader ---- */

struct worker {
	unsigned seed, n;
	int rc;
};

static void *work(void *arg)
{
	struct worker *w = arg;

	for (unsigned i = 0; i < w->n && w->rc == 0; i++) {
		if (i % 3 < 2)
			w->rc = blt_seq_insert(seq, (i + w->seed) % 2, &one, 1);
		else
			w->rc = blt_seq_delete(seq, 0, 1);
	}
	return NULL;
}

START_TEST(test_two_writers)
{
	unsigned turns = seqstore_is_slow() ? 150 : 600;
	struct worker w[2] = { { 1, turns, 0 }, { 2, turns, 0 } };
	pthread_t thread[2];
	uint64_t n;

	ck_assert_int_eq(blt_seq_append(seq, &one, 1), 0);
	for (size_t i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&thread[i], NULL, work, &w[i]),
				 0);
	for (unsigned i = 0; i < 300; i++) {
		n = seqstore_len();
		ck_assert_uint_le(n, 1000);
		ck_assert_int_eq(blt_seq_read(seq, -1, NULL, NULL, NULL), 0);
	}
	for (size_t i = 0; i < 2; i++) {
		pthread_join(thread[i], NULL);
		ck_assert_int_eq(w[i].rc, 0);
	}
	ck_assert_uint_eq(seqstore_len(), 1 + 2 * turns / 3);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, test_meddling);
	tcase_add_test(tc, test_told);
	tcase_add_test(tc, test_two_writers);
}

int main(void)
{
	return seqstore_run("seq-others", add, NULL);
}
