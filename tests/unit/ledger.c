/* The ledger of maps: rows and notes as bytes, whole or not at all; a commit
 * with a row only where the row is still this run's; an order of keys that is
 * the same whatever happens to the store. */
#include "booklet/core/hash_order.h"
#include "booklet/format/notes.h"
#include "booklet/store/store.h"
#include "engine/backend.h"
#include "lib/suite.h"
#include "map/ledger_inner.h"
#include "base/util.h"
#include "lib/checked.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[64];

static struct blt *make(void)
{
	struct blt_open_options o = { .mode = BLT_TRUNCATE };
	struct blt_error err = { "" };
	struct blt *s;

	snprintf(path, sizeof(path), "test-ledger-%d.blt", (int)getpid());
	ck_assert_msg(blt_open(path, &o, &s, &err) == 0, "%s", err.text);
	return s;
}

static void end(struct blt *s)
{
	ck_assert_int_eq(blt_close(s), 0);
	unlink(path);
}

/* ---- notes as bytes ---- */

struct table {
	uint8_t *bytes;
	size_t len;
};

static struct note note_of(const char *name, const char *text)
{
	return (struct note){ .name = name,
			      .name_len = strlen(name),
			      .bytes = (const uint8_t *)text,
			      .len = text ? strlen(text) : 0 };
}

static int change(struct table *t, const char *name, const char *was,
		  const char *to)
{
	const struct note a = note_of(name, was), b = note_of(name, to);
	struct table made = { NULL, 0 };
	int rc = notes_change(t->bytes, t->len, &a, &b, &made.bytes, &made.len);

	if (rc == 0) {
		free(t->bytes);
		*t = made;
	}
	return rc;
}

START_TEST(notes)
{
	struct table t = { NULL, 0 };
	struct note n;
	size_t at = 0, found = 0;

	ck_assert_int_eq(notes_next(t.bytes, 0, &at, &n), 0);
	ck_assert_int_eq(change(&t, "a", NULL, "one"), 0);
	ck_assert_int_eq(change(&t, "b", NULL, ""), 0);
	ck_assert_int_eq(change(&t, "a", NULL, "two"), -ESTALE);
	ck_assert_int_eq(change(&t, "a", "eno", "two"), -ESTALE);
	ck_assert_int_eq(change(&t, "c", "x", "two"), -ESTALE);
	ck_assert_int_eq(change(&t, "a", "one", "three"), 0);
	while (notes_next(t.bytes, t.len, &at, &n) > 0) {
		found += n.len;
		ck_assert_uint_le(n.name_len, 1);
	}
	ck_assert_uint_eq(found, 5);
	/* cut anywhere it is told, or ends between two notes */
	for (size_t len = 1; len < t.len; len++) {
		uint8_t *cut = malloc(len);
		int rc;

		memcpy(cut, t.bytes, len);
		at = 0;
		while ((rc = notes_next(cut, len, &at, &n)) > 0)
			;
		ck_assert(rc == -EEXIST || rc == -EUCLEAN || at == len);
		free(cut);
	}
	ck_assert_int_eq(change(&t, "b", "", NULL), 0);
	ck_assert_int_eq(change(&t, "a", "three", NULL), 0);
	ck_assert_ptr_null(t.bytes);
	t = (struct table){ (uint8_t *)strdup("somebody's"), 10 };
	ck_assert_int_eq(change(&t, "a", NULL, "x"), -EEXIST);
	free(t.bytes);
}
END_TEST

static int one_note(void *arg, const struct backend_note *n)
{
	(void)arg;
	(void)n;
	return 1;
}

/* A file can say any length: a slot that is too long is not read at all, even
 * where it begins as a table does. */
START_TEST(slot_too_long)
{
	size_t len = NOTES_MAX + 1;
	uint8_t *slot = calloc(1, len);
	struct blt_bytes to = { "x", 1 };
	struct blt *s = make();
	struct blt_batch *b;
	struct table t = { NULL, 0 };

	ck_assert_int_eq(change(&t, "a", NULL, "one"), 0);
	memcpy(slot, t.bytes, t.len);
	ck_assert_int_eq(blt_slot_put(s, BLT_RESERVED_1, slot, len), 0);
	ck_assert_int_eq(s->backend->notes(s, one_note, NULL), -EEXIST);
	ck_assert_int_eq(blt_batch_new(s, &b), 0);
	ck_assert_int_eq(backend_batch_note(b, "a", NULL, &to), 0);
	ck_assert_int_eq(blt_batch_commit(b), -EEXIST);
	free(t.bytes);
	free(slot);
	end(s);
}
END_TEST

/* ---- rows ---- */

START_TEST(rows)
{
	struct ledger_row row = { .state = LEDGER_DONE,
				  .run = 7,
				  .count = { 1, 2, 3 },
				  .began = 4,
				  .renewed = 5,
				  .owner = "here:1",
				  .has_last = true },
			  back;
	uint8_t *bytes;
	size_t len;

	row.last = (struct ledger_key){ (uint8_t *)strdup("last"), 4 };
	ck_assert_int_eq(ledger_add_failed(&row, "x", 1), 0);
	ck_assert_int_eq(ledger_add_failed(&row, "", 0), 0);
	ck_assert_int_eq(ledger_add_failed(&row, "x", 1), 0);
	ck_assert_uint_eq(row.n_failed, 2);
	ck_assert_int_eq(ledger_row_pack(&row, &bytes, &len), 0);
	ck_assert_int_eq(ledger_row_unpack(bytes, len, &back), 0);
	ck_assert_int_eq(back.state, LEDGER_DONE);
	ck_assert_uint_eq(back.count[LEDGER_FAILED], 3);
	ck_assert_str_eq(back.owner, "here:1");
	ck_assert_mem_eq(back.last.bytes, "last", 4);
	ck_assert_uint_eq(back.n_failed, 2);
	ledger_drop_failed(&back, "x", 1);
	ledger_drop_failed(&back, "y", 1);
	ck_assert_uint_eq(back.n_failed, 1);
	ledger_row_release(&back);
	for (size_t n = 0; n < len; n++) {
		uint8_t *cut = malloc(n + 1);

		memcpy(cut, bytes, n);
		ck_assert_int_eq(ledger_row_unpack(cut, n, &back), -EUCLEAN);
		free(cut);
	}
	for (unsigned i = 2; i < LEDGER_FAILED_MAX; i++)
		ck_assert_int_eq(ledger_add_failed(&row, &i, sizeof(i)), 0);
	ck_assert_int_eq(ledger_add_failed(&row, "full", 4), -EDQUOT);
	free(bytes);
	ledger_row_release(&row);
}
END_TEST

START_TEST(owners)
{
	struct ledger_row row = { .state = LEDGER_RUNNING, .renewed = 1000 };

	ck_assert(ledger_row_lives(&row, 1000 + LEDGER_DEAD_US - 1));
	ck_assert(!ledger_row_lives(&row, 1000 + LEDGER_DEAD_US));
	/* a clock that was set back, or a damaged file */
	ck_assert(ledger_row_lives(&row, 1000 - LEDGER_DEAD_US + 1));
	ck_assert(!ledger_row_lives(&row, 1000 - LEDGER_DEAD_US));
	row.renewed = INT64_MIN;
	ck_assert(!ledger_row_lives(&row, 1000));
	row.renewed = INT64_MAX;
	ck_assert(!ledger_row_lives(&row, -1000));
	row.state = LEDGER_STOPPED;
	ck_assert(!ledger_row_lives(&row, 1000));
	ck_assert(ledger_is_name("a-1.b_c+"));
	ck_assert(!ledger_is_name("") && !ledger_is_name("-a"));
	ck_assert(!ledger_is_name("a/b") && !ledger_is_name("\xc3\xa4"));
}
END_TEST

/* ---- a run ---- */

static const uint8_t identity[BLT_HASH_LEN] = "identity";

static struct ledger *begin(struct blt *s, unsigned shard, unsigned shards,
			    int want)
{
	const struct ledger_how how = { .job = "j",
					.shard = shard,
					.shards = shards,
					.identity = identity,
					.function = "f" };
	struct blt_error err = { "" };
	struct ledger *l = NULL;
	int rc = ledger_open(&l, s, &how, &err);

	ck_assert_msg(rc == want, "%d: %s", rc, err.text);
	ck_assert(rc == 0 || err.text[0]);
	return l;
}

static int commit(struct blt *s, struct ledger *l, const char *key)
{
	struct blt_batch *b;
	int rc;

	ck_assert_int_eq(blt_batch_new(s, &b), 0);
	ck_assert_int_eq(blt_batch_put(b, key, strlen(key), "v", 1, 0), 0);
	ck_assert_int_eq(ledger_settle(l, key, strlen(key), LEDGER_WRITTEN), 0);
	ck_assert(ledger_moved(l));
	ck_assert_int_eq(ledger_add(l, b), 0);
	rc = blt_batch_commit(b);
	if (rc == 0)
		ledger_committed(l);
	return rc;
}

static bool has(struct blt *s, const char *key)
{
	struct blt_stat st;

	return blt_stat_key(s, key, strlen(key), &st) == 0;
}

START_TEST(going_on)
{
	struct blt *s = make();
	struct ledger *l = begin(s, 1, 2, 0), *m;

	begin(s, 1, 2, -EBUSY);
	begin(s, 1, 3, -EEXIST);
	m = begin(s, 2, 2, 0);
	ck_assert_int_eq(commit(s, l, "one"), 0);
	ck_assert_int_eq(commit(s, m, "two"), 0);
	ledger_close(l);
	l = begin(s, 1, 2, 0);
	ck_assert(ledger_row(l)->has_last);
	ck_assert_mem_eq(ledger_row(l)->last.bytes, "one", 3);
	ck_assert_uint_eq(ledger_row(l)->count[LEDGER_WRITTEN], 1);
	ledger_close(l);
	ledger_close(m);
	end(s);
}
END_TEST

/* Whatever an older run believes: nothing of it is stored. */
START_TEST(taken_over)
{
	struct blt *s = make();
	struct ledger *l = begin(s, 1, 1, 0);
	struct blt_bytes was, to = { "another's", 9 };
	struct ledger_note note;
	struct blt_batch *b;

	ck_assert_int_eq(commit(s, l, "one"), 0);
	ck_assert_int_eq(ledger_note_get(s, "job/j/1", &note), 0);
	ck_assert(note.there);
	was = (struct blt_bytes){ note.bytes, note.len };
	ck_assert_int_eq(blt_batch_new(s, &b), 0);
	ck_assert_int_eq(backend_batch_note(b, "job/j/1", &was, &to), 0);
	ck_assert_int_eq(blt_batch_commit(b), 0);
	free(note.bytes);
	ck_assert_int_eq(commit(s, l, "two"), -ESTALE);
	ck_assert(has(s, "one") && !has(s, "two"));
	ledger_close(l);
	begin(s, 1, 1, -EUCLEAN);
	ck_assert_int_eq(ledger_forget(s, "j", 0, NULL), 0);
	ck_assert_int_eq(ledger_forget(s, "j", 0, NULL), -ENOENT);
	l = begin(s, 1, 1, 0);
	ck_assert(!ledger_row(l)->has_last);
	ledger_close(l);
	end(s);
}
END_TEST

/* ---- elsewhere ---- */

static void note(struct blt *s, const char *name, const void *bytes, size_t len)
{
	const struct blt_bytes to = { bytes, len };
	struct blt_batch *b;

	ck_assert_int_eq(blt_batch_new(s, &b), 0);
	ck_assert_int_eq(backend_batch_note(b, name, NULL, &to), 0);
	ck_assert_int_eq(blt_batch_commit(b), 0);
}

struct told {
	unsigned n, rows, running, damaged;
};

static int count_entry(void *arg, const struct ledger_entry *e)
{
	struct told *t = arg;

	t->n++;
	t->rows += e->row != NULL;
	t->running += e->running;
	t->damaged += e->damaged;
	return 0;
}

/* Heads of a few bytes claim thousands of shards each. */
START_TEST(elsewhere)
{
	struct ledger_head head = { .shards = LEDGER_SHARDS_MAX };
	struct blt *s = make();
	struct ledger *l = begin(s, 1, 2, 0);
	struct told t = { 0 }, here = { 0 };
	char name[LEDGER_NOTE_NAME];
	uint8_t *bytes, *packed;
	size_t len, packed_len;

	ck_assert_int_eq(commit(s, l, "one"), 0);
	ck_assert_int_eq(ledger_head_pack(&head, &bytes, &len), 0);
	for (unsigned i = 0; i < 10; i++) {
		snprintf(name, sizeof(name), "job/h%u", i);
		note(s, name, bytes, len);
	}
	note(s, "job/bad", bytes, len - 1);
	note(s, "job/no name", bytes, len);
	ck_assert_int_eq(ledger_pack(s, &packed, &packed_len), 0);
	ck_assert_uint_lt(packed_len, 4096);
	ck_assert_int_eq(
		ledger_unpack(packed, packed_len, NULL, count_entry, &t),
		-EUCLEAN);
	ck_assert_uint_eq(t.n, 10 * LEDGER_SHARDS_MAX + 2 + 1);
	ck_assert(t.rows == 1 && t.running == 1 && t.damaged == 1);
	ck_assert_int_eq(ledger_each(s, NULL, count_entry, &here), -EUCLEAN);
	ck_assert_mem_eq(&here, &t, sizeof(t));
	t = (struct told){ 0 };
	ck_assert_int_eq(
		ledger_unpack(packed, packed_len, "j", count_entry, &t), 0);
	ck_assert_uint_eq(t.n, 2);
	ck_assert_int_eq(
		ledger_unpack(packed, packed_len, "k", count_entry, &t),
		-ENOENT);
	ck_assert_int_eq(
		ledger_unpack(packed, packed_len - 1, NULL, count_entry, &t),
		-EPROTO);
	free(packed);
	free(bytes);
	ledger_close(l);
	end(s);
}
END_TEST

/* ---- the order ---- */

#define KEYS 3000u

static void put(struct blt *s, unsigned i, const char *value)
{
	char key[16];
	int n = snprintf(key, sizeof(key), "k%u", i);

	ck_assert_int_eq(blt_put(s, key, (size_t)n, value, strlen(value), 0),
			 0);
}

/* The keys' numbers in their order, behind one of them. */
static unsigned walk(struct blt *s, uint32_t slice, const struct keyhash *after,
		     unsigned to[KEYS])
{
	struct hash_order *o;
	struct block b;
	unsigned n = 0;
	int rc;

	ck_assert_int_eq(
		hash_order_new(&store_of(s)->engine, KEYS, after, slice, &o),
		0);
	while ((rc = hash_order_next(o, &b)) > 0) {
		ck_assert_uint_lt(n, KEYS);
		to[n++] = (unsigned)strtoul((const char *)b.key + 1, NULL, 10);
	}
	ck_assert_int_eq(rc, 0);
	hash_order_free(o);
	return n;
}

START_TEST(order)
{
	static unsigned first[KEYS], again[KEYS];
	const uint32_t slices[] = { 0, 1000, 70 };
	struct blt *s = make();
	struct keyhash after;
	char key[16];
	int n;

	for (unsigned i = 0; i < KEYS; i++)
		put(s, i, "value/");
	ck_assert_uint_eq(walk(s, 0, NULL, first), KEYS);
	for (size_t k = 0; k < ARRAY_SIZE(slices); k++) {
		/* They change places, and some are in memory alone. */
		for (unsigned i = (unsigned)k; i < KEYS; i += 3)
			put(s, i, "longer/");
		ck_assert_uint_eq(walk(s, slices[k], NULL, again), KEYS);
		ck_assert_mem_eq(first, again, sizeof(first));
		n = snprintf(key, sizeof(key), "k%u", first[1234]);
		after = keyhash_of(key, (size_t)n);
		ck_assert_uint_eq(walk(s, slices[k], &after, again),
				  KEYS - 1235);
		ck_assert_mem_eq(first + 1235, again,
				 (KEYS - 1235) * sizeof(*first));
	}
	end(s);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("ledger");
	TCase *t = tcase_create("ledger");

	tcase_set_timeout(t, 0);
	tcase_add_test(t, notes);
	tcase_add_test(t, slot_too_long);
	tcase_add_test(t, rows);
	tcase_add_test(t, owners);
	tcase_add_test(t, going_on);
	tcase_add_test(t, taken_over);
	tcase_add_test(t, elsewhere);
	tcase_add_test(t, order);
	suite_add_tcase(s, t);
	return run_suite(s);
}
