/* Single behaviours of sequences. */
#include "lib/seqstore.h"
#include "seq/seq.h"
#include "base/util.h"
#include "lib/checked.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int no_place(void *arg, const struct blt_seq_place *place)
{
	(void)arg;
	ck_abort_msg("an item: %.*s", (int)place->name_len, place->name);
	return 0;
}

static int no_field(void *arg, const struct blt_seq_field *field)
{
	(void)arg;
	ck_abort_msg("a field of %zu bytes", field->value_len);
	return 0;
}

START_TEST(test_empty)
{
	uint64_t at;

	ck_assert_uint_eq(seqstore_len(), 0);
	ck_assert_int_eq(blt_seq_read(seq, 0, NULL, no_field, NULL), -ERANGE);
	ck_assert_int_eq(blt_seq_read(seq, -1, NULL, no_field, NULL), -ERANGE);
	ck_assert_int_eq(blt_seq_delete(seq, 0, 0), 0);
	ck_assert_int_eq(blt_seq_delete(seq, 0, 1), -ERANGE);
	ck_assert_int_eq(blt_seq_move(seq, 0, 0), -ERANGE);
	ck_assert_int_eq(blt_seq_set(seq, 0, &one), -ERANGE);
	ck_assert_int_eq(blt_seq_insert(seq, 1, &one, 1), -ERANGE);
	ck_assert_int_eq(blt_seq_insert(seq, -1, &one, 1), -ERANGE);
	ck_assert_int_eq(blt_seq_insert(seq, INT64_MIN, &one, 1), -ERANGE);
	ck_assert_int_eq(blt_seq_insert(seq, INT64_MAX, &one, 1), -ERANGE);
	ck_assert_int_eq(blt_seq_slice(seq, 0, 1, no_place, NULL), -ERANGE);
	ck_assert_int_eq(blt_seq_slice(seq, 0, 0, no_place, NULL), 0);
	ck_assert_int_eq(blt_seq_index(seq, "i0", 2, &at), -ENOENT);
	ck_assert_int_eq(blt_seq_insert(seq, 0, &one, 0), 0);
	ck_assert_int_eq(blt_seq_append(seq, &one, 1), 0);
	ck_assert_uint_eq(seqstore_len(), 1);
}
END_TEST

START_TEST(test_bad_items)
{
	struct blt_seq_field bad[] = {
		{ .name = "", .name_len = 0, .value = "", .value_len = 0 },
		{ .name = "a/", .name_len = 2, .value = "", .value_len = 0 },
		{ .name = "a", .name_len = 1, .value = "", .value_len = 0 },
		{ .value = "", .value_len = 0 },
	};
	struct blt_seq_item item = { bad, 1 };

	ck_assert_int_eq(blt_seq_append(seq, &item, 1), -EINVAL);
	item.fields = &bad[1];
	ck_assert_int_eq(blt_seq_append(seq, &item, 1), -EINVAL);
	item = (struct blt_seq_item){ &bad[2], 2 };
	ck_assert_int_eq(blt_seq_append(seq, &item, 1), -EINVAL);
	ck_assert_uint_eq(seqstore_len(), 0);
}
END_TEST

/* What it takes to be a sequence. */
START_TEST(test_create)
{
	struct blt_seq *other;
	struct blt_node node;
	struct blt_dir_facts facts;
	static const uint8_t later[16] = "bltfs-seq\0\7";

	ck_assert_int_eq(blt_seq_create(ns, PREFIX, PREFIX_LEN), -EEXIST);
	ck_assert_int_eq(blt_seq_create(ns, "frames", 6), -EINVAL);
	ck_assert_int_eq(blt_seq_create(ns, "", 0), -EINVAL);
	ck_assert_int_eq(blt_seq_open(ns, "none/", 5, &other), -ENOENT);
	/* the mark is no file of the directory, and holds it */
	ck_assert_int_eq(blt_ns_dir(ns, PREFIX, PREFIX_LEN, &facts), 0);
	ck_assert(facts.marked);
	ck_assert_uint_eq(facts.entries, 0);
	ck_assert_int_eq(blt_ns_lookup(ns, PREFIX, PREFIX_LEN, "%", 1, &node),
			 -ENOENT);
	ck_assert_int_eq(blt_ns_resolve(ns, "frames", &node), 0);
	ck_assert_int_eq(node.kind, BLT_DIR);
	ck_assert_uint_eq(node.stat.len, 0);
	free(node.key);
	/* a plain directory, and what is none */
	ck_assert_int_eq(blt_put(store, "plain/x", 7, "", 0, BLT_NOW), 0);
	ck_assert_int_eq(blt_seq_open(ns, "plain/", 6, &other), -ENOENT);
	ck_assert_int_eq(blt_put(store, "plain/", 6, later, 15, BLT_NOW), 0);
	ck_assert_int_eq(blt_seq_open(ns, "plain/", 6, &other), -ENOENT);
	ck_assert_int_eq(blt_seq_create(ns, "plain/", 6), -EEXIST);
	ck_assert_int_eq(blt_ns_lookup(ns, "plain/", 6, "%", 1, &node), 0);
	free(node.key);
	ck_assert_int_eq(blt_put(store, "plain/", 6, later, 16, BLT_NOW), 0);
	ck_assert_int_eq(blt_seq_open(ns, "plain/", 6, &other),
			 -EPROTONOSUPPORT);
	ck_assert_int_eq(blt_ns_lookup(ns, "plain/", 6, "%", 1, &node),
			 -ENOENT);
	/* a directory becomes one with what it holds */
	ck_assert_int_eq(blt_put(store, "plain/", 6, "", 0, BLT_NOW), 0);
	ck_assert_int_eq(blt_seq_create(ns, "plain/", 6), 0);
	blt_seq_close(seq);
	ck_assert_int_eq(blt_seq_open(ns, "plain/", 6, &seq), 0);
	ck_assert_uint_eq(seqstore_len(), 1);
	/* and is none any more when its marker goes */
	ck_assert_int_eq(blt_delete(store, "plain/", 6), 0);
	ck_assert_int_eq(blt_seq_append(seq, &one, 1), -ENOENT);
}
END_TEST

START_TEST(test_other_stores)
{
	struct blt_ns_options flat = { .flat = true };

	seqstore_close();
	seqstore_open(BLT_TRUNCATE, "json");
	ck_assert_int_eq(blt_seq_create(ns, PREFIX, PREFIX_LEN), -ENOTSUP);
	seqstore_close();
	seqstore_open(BLT_TRUNCATE, "str");
	ck_assert_int_eq(blt_seq_create(ns, PREFIX, PREFIX_LEN), 0);
	seqstore_close();
	seqstore_open(BLT_TRUNCATE, "bytes");
	seqstore_close();
	ck_assert_int_eq(
		blt_open(seqstore_path,
			 &(struct blt_open_options){ .mode = BLT_WRITE },
			 &store, NULL),
		0);
	ck_assert_int_eq(blt_ns_new(store, &flat, &ns), 0);
	ck_assert_int_eq(blt_seq_create(ns, PREFIX, PREFIX_LEN), -ENOTSUP);
}
END_TEST

/* Keys that others put and delete take the places that their names sort to. */
START_TEST(test_by_hand)
{
	uint64_t at;

	ck_assert_int_eq(blt_seq_append(seq, &one, 1), 0);
	ck_assert_int_eq(blt_seq_append(seq, &one, 1), 0);
	ck_assert_int_eq(blt_put(store, "frames/i0h", 10, "", 0, BLT_NOW), 0);
	ck_assert_int_eq(blt_put(store, "frames/zz.txt", 13, "", 0, BLT_NOW),
			 0);
	ck_assert_int_eq(blt_put(store, "frames/A/b/c", 12, "", 0, BLT_NOW), 0);
	ck_assert_uint_eq(seqstore_len(), 5);
	ck_assert_int_eq(blt_seq_index(seq, "A", 1, &at), 0);
	ck_assert_uint_eq(at, 0);
	ck_assert_int_eq(blt_seq_index(seq, "i0h", 3, &at), 0);
	ck_assert_uint_eq(at, 2);
	ck_assert_int_eq(blt_seq_index(seq, "zz.txt", 6, &at), 0);
	ck_assert_uint_eq(at, 4);
	ck_assert_int_eq(blt_seq_append(seq, &one, 1), 0);
	ck_assert_int_eq(blt_seq_index(seq, "zz.txt", 6, &at), 0);
	ck_assert_uint_eq(at, 4);
	ck_assert_int_eq(blt_delete(store, "frames/A/b/c", 12), 0);
	ck_assert_uint_eq(seqstore_len(), 5);
	/* nothing comes between these two: they are renamed */
	ck_assert_int_eq(blt_put(store, "frames/i0h0", 11, "", 0, BLT_NOW), 0);
	ck_assert_int_eq(blt_seq_insert(seq, 2, &one, 1), 0);
	ck_assert_uint_eq(seqstore_len(), 7);
	ck_assert_int_eq(blt_seq_index(seq, "i0h0", 4, &at), -ENOENT);
}
END_TEST

/* A key of the name that a mount keeps for the positions: shown otherwise, as
 * are the directory and both, and in sequences alone. */
START_TEST(test_reserved_name)
{
	static const char *const keys[] = { "frames/.at", "frames/.at/x",
					    "plain/.at", "plain/.at/x" };
	static const char *const paths[] = { "frames/%2Eat%", "frames/%2Eat/x",
					     "plain/.at%", "plain/.at/x" };
	struct blt_node node;
	uint8_t *key;
	size_t len;
	char *found;

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		ck_assert_int_eq(blt_put(store, keys[i], strlen(keys[i]), "x",
					 1, BLT_NOW),
				 0);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		ck_assert_int_eq(
			blt_ns_path(ns, keys[i], strlen(keys[i]), &found), 0);
		ck_assert_str_eq(found, paths[i]);
		ck_assert_int_eq(blt_ns_resolve(ns, found, &node), 0);
		ck_assert_uint_eq(node.key_len, strlen(keys[i]));
		ck_assert_mem_eq(node.key, keys[i], node.key_len);
		free(node.key);
		free(found);
	}
	ck_assert_int_eq(blt_ns_lookup(ns, PREFIX, PREFIX_LEN, ".at", 3, &node),
			 -ENOENT);
	ck_assert_int_eq(blt_ns_key(ns, PREFIX, PREFIX_LEN, ".at", 3, BLT_FILE,
				    &key, &len),
			 -EINVAL);
	ck_assert_int_eq(blt_ns_resolve(ns, "plain/%2Eat", &node), -ENOENT);
}
END_TEST

static unsigned how_many(unsigned few)
{
	const char *text = getenv("SEQ_MANY");

	if (text)
		return (unsigned)strtoul(text, NULL, 10);
	return seqstore_is_slow() ? few / 4 : few;
}

static int longest_name(void *arg, const struct blt_seq_place *place)
{
	size_t *longest = arg;

	if (place->name_len > *longest)
		*longest = place->name_len;
	return 0;
}

static size_t longest(void)
{
	size_t ret = 0;

	ck_assert_int_eq(blt_seq_slice(seq, 0, (int64_t)seqstore_len(),
				       longest_name, &ret),
			 0);
	return ret;
}

/* All at one end: names stay short. */
START_TEST(test_ends)
{
	unsigned n = how_many(700);

	for (unsigned i = 0; i < n; i++)
		ck_assert_int_eq(_i ? blt_seq_insert(seq, 0, &one, 1) :
				      blt_seq_append(seq, &one, 1),
				 0);
	ck_assert_uint_eq(seqstore_len(), n);
	ck_assert_uint_le(longest(), 6);
}
END_TEST

static struct blt_seq_item numbered(struct blt_seq_field *f, char text[16],
				    unsigned i)
{
	*f = (struct blt_seq_field){ .value = text };
	f->value_len = (size_t)snprintf(text, 16, "%u", i);
	return (struct blt_seq_item){ f, 1 };
}

struct counting {
	unsigned next, n;
	int step;
};

static int check_number(void *arg, const struct blt_seq_field *field)
{
	char text[16] = "";
	struct counting *c = arg;

	memcpy(text, field->value, field->value_len);
	ck_assert_uint_eq(strtoul(text, NULL, 10), c->next);
	c->next += (unsigned)c->step;
	c->n++;
	return 0;
}

static int check_numbered(void *arg, const struct blt_seq_place *place)
{
	return blt_seq_read_named(seq, place, check_number, arg);
}

/* All into one gap, downwards and upwards: items are renamed, and stay where
 * they are. */
START_TEST(test_one_gap)
{
	unsigned n = how_many(700);
	struct counting c = { .next = _i ? 0 : n - 1, .step = _i ? 1 : -1 };
	struct blt_seq_field f;
	char text[16];

	ck_assert_int_eq(blt_seq_append(seq, &one, 1), 0);
	ck_assert_int_eq(blt_seq_append(seq, &one, 1), 0);
	for (unsigned i = 0; i < n; i++) {
		struct blt_seq_item item = numbered(&f, text, i);

		ck_assert_int_eq(
			blt_seq_insert(seq, _i ? (int64_t)i + 1 : 1, &item, 1),
			0);
	}
	ck_assert_uint_le(longest(), 32);
	ck_assert_int_eq(blt_seq_slice(seq, 1, -1, check_numbered, &c), 0);
	ck_assert_uint_eq(c.n, n);
}
END_TEST

/* Whatever batch is the last that a crash leaves, the items stand in their
 * order, and none is lost or there twice. */
static struct counting between_batches;
static unsigned batches;

static void check_batch(void)
{
	struct counting c = between_batches;
	uint64_t n = seqstore_len() - 2;

	batches++;
	/* the new one is the first, and last of all put in */
	ck_assert(n == c.n || n == c.n + 1);
	c.next = n == c.n ? c.n - 1 : c.n;
	c.n = 0;
	ck_assert_int_eq(
		blt_seq_slice(seq, 1, (int64_t)n + 1, check_numbered, &c), 0);
	ck_assert_uint_eq(c.n, n);
}

START_TEST(test_every_batch)
{
	unsigned n = seqstore_is_slow() ? 240 : 400;
	size_t keys_max = seq_keys_max;
	struct blt_seq_field f;
	char text[16];

	ck_assert_int_eq(blt_seq_append(seq, &one, 1), 0);
	ck_assert_int_eq(blt_seq_append(seq, &one, 1), 0);
	between_batches = (struct counting){ .step = -1 };
	batches = 0;
	seq_keys_max = 3;
	seq_after_batch = check_batch;
	for (unsigned i = 0; i < n; i++) {
		struct blt_seq_item item = numbered(&f, text, i);

		ck_assert_int_eq(blt_seq_insert(seq, 1, &item, 1), 0);
		between_batches.n++;
	}
	seq_after_batch = NULL;
	seq_keys_max = keys_max;
	ck_assert_uint_gt(batches, n + 5);
}
END_TEST

START_TEST(test_bulk)
{
	enum { N = 5000 };
	struct blt_seq_item *items = calloc(N, sizeof(*items));

	ck_assert_ptr_nonnull(items);
	for (size_t i = 0; i < N; i++)
		items[i] = one;
	ck_assert_int_eq(blt_seq_append(seq, items, 2), 0);
	ck_assert_int_eq(blt_seq_insert(seq, 1, items, N), 0);
	ck_assert_uint_eq(seqstore_len(), N + 2);
	ck_assert_uint_le(longest(), 5);
	ck_assert_int_eq(blt_seq_delete(seq, 1, -1), 0);
	ck_assert_uint_eq(seqstore_len(), 2);
	free(items);
}
END_TEST

struct deleting {
	unsigned met;
};

static int delete_it(void *arg, const struct blt_seq_place *place)
{
	struct deleting *d = arg;
	uint64_t at;

	ck_assert_int_eq(blt_seq_index(seq, place->name, place->name_len, &at),
			 0);
	ck_assert_int_eq(blt_seq_delete(seq, (int64_t)at, (int64_t)at + 1), 0);
	d->met++;
	return 0;
}

START_TEST(test_delete_while_iterating)
{
	struct deleting d = { 0 };
	unsigned n = seqstore_is_slow() ? 300 : 1000;

	for (unsigned i = 0; i < n; i++)
		ck_assert_int_eq(blt_seq_append(seq, &one, 1), 0);
	ck_assert_int_eq(blt_seq_slice(seq, 0, n, delete_it, &d), 0);
	ck_assert_uint_eq(d.met, n);
	ck_assert_uint_eq(seqstore_len(), 0);
}
END_TEST

START_TEST(test_rank)
{
	uint64_t at = 7;

	ck_assert_int_eq(blt_seq_rank(seq, "i0", 2, &at), 0);
	ck_assert_uint_eq(at, 0);
	ck_assert_int_eq(blt_seq_append(seq, &one, 1), 0);
	ck_assert_int_eq(blt_seq_append(seq, &one, 1), 0);
	ck_assert_int_eq(blt_seq_rank(seq, "i1", 2, &at), 1);
	ck_assert_uint_eq(at, 1);
	ck_assert_int_eq(blt_seq_rank(seq, "i00", 3, &at), 0);
	ck_assert_uint_eq(at, 1);
	ck_assert_int_eq(blt_seq_rank(seq, "z", 1, &at), 0);
	ck_assert_uint_eq(at, 2);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, test_empty);
	tcase_add_test(tc, test_bad_items);
	tcase_add_test(tc, test_create);
	tcase_add_test(tc, test_by_hand);
	tcase_add_test(tc, test_reserved_name);
	tcase_add_loop_test(tc, test_ends, 0, 2);
	tcase_add_loop_test(tc, test_one_gap, 0, 2);
	tcase_add_test(tc, test_every_batch);
	tcase_add_test(tc, test_bulk);
	tcase_add_test(tc, test_delete_while_iterating);
	tcase_add_test(tc, test_rank);
}

static void add_booklets_alone(TCase *tc)
{
	tcase_add_test(tc, test_other_stores);
}

int main(void)
{
	return seqstore_run("seq", add, add_booklets_alone);
}
