#include "blt_seq.h"
#include "rnd.h"
#include "seq.h"
#include "seqwire.h"
#include "util.h"

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- a store with one sequence, of either engine ---- */

static const char prefix[] = "frames/";
#define PREFIX_LEN (sizeof(prefix) - 1)

static const char *engine;
static char path[64], lock_path[80];
static struct blt *store;
static struct blt_ns *ns;
static struct blt_seq *seq;

static void open_all(enum blt_mode mode, const char *serializer)
{
	struct blt_open_options how = { .mode = mode, .engine = engine };
	struct blt_error err;

	how.create.n_buckets = 101;
	how.create.value_serializer = (unsigned)blt_serializer_code(serializer);
	snprintf(path, sizeof(path), "test-seq-%d.%s", (int)getpid(), engine);
	snprintf(lock_path, sizeof(lock_path), "%s-lock", path);
	if (blt_open(path, &how, &store, &err) < 0)
		ck_abort_msg("%s", err.text);
	ck_assert_int_eq(blt_ns_new(store, NULL, &ns), 0);
}

static void close_all(void)
{
	blt_seq_close(seq);
	seq = NULL;
	blt_ns_free(ns);
	ck_assert_int_eq(blt_close(store), 0);
}

static void setup(void)
{
	open_all(BLT_TRUNCATE, "bytes");
	ck_assert_int_eq(blt_seq_create(ns, prefix, PREFIX_LEN), 0);
	ck_assert_int_eq(blt_seq_open(ns, prefix, PREFIX_LEN, &seq), 0);
}

static void teardown(void)
{
	close_all();
	unlink(path);
	unlink(lock_path);
}

static void setup_booklet(void)
{
	engine = "booklet";
	setup();
}

#ifdef HAVE_LMDB
static void setup_lmdb(void)
{
	engine = "lmdb";
	setup();
}
#endif

static void reopen(void)
{
	close_all();
	open_all(BLT_WRITE, "bytes");
	ck_assert_int_eq(blt_seq_open(ns, prefix, PREFIX_LEN, &seq), 0);
}

/* LMDB waits for the disk at each change. */
static bool is_slow(void)
{
	return strcmp(engine, "lmdb") == 0;
}

static uint64_t len_of(void)
{
	uint64_t n = 0;

	ck_assert_int_eq(blt_seq_len(seq, &n), 0);
	return n;
}

/* ---- the model: an array of items of up to four fields ---- */

#define FIELDS 4
#define MAX_ITEMS 4000

struct model_item {
	bool record;
	unsigned has; /* a bit for each field; 1 for a value */
	unsigned value[FIELDS];
};

static struct model_item model[MAX_ITEMS];
static uint64_t n_model;

static const char *const field_name[FIELDS] = { "a", ".at", ".bltfs",
						"deep/er" };

static struct model_item random_item(void)
{
	struct model_item m = { .record = rnd(2) };

	m.has = m.record ? rnd(1 << FIELDS) : 1;
	for (size_t i = 0; i < FIELDS; i++)
		m.value[i] = rnd(1000);
	return m;
}

/* An item for the library, of what the model has; text and fields are the
 * caller's. */
static struct blt_seq_item item_of(const struct model_item *m,
				   char text[FIELDS][8],
				   struct blt_seq_field fields[FIELDS])
{
	struct blt_seq_item item = { fields, 0 };

	for (size_t i = 0; i < FIELDS; i++) {
		struct blt_seq_field *f = &fields[item.n];

		if (!(m->has & 1u << i))
			continue;
		*f = (struct blt_seq_field){ .value = text[i] };
		f->value_len = (size_t)snprintf(text[i], 8, "%u", m->value[i]);
		if (m->record) {
			f->name = field_name[i];
			f->name_len = strlen(f->name);
		}
		item.n++;
	}
	return item;
}

struct found {
	struct model_item item;
	bool place;
};

static int find_place(void *arg, const struct blt_seq_place *place)
{
	struct found *f = arg;

	f->place = true;
	f->item.record = place->record;
	return 0;
}

static int find_field(void *arg, const struct blt_seq_field *field)
{
	struct found *f = arg;
	char text[16] = "";
	size_t i = 0;

	ck_assert_uint_lt(field->value_len, sizeof(text));
	memcpy(text, field->value, field->value_len);
	while (field->name && i < FIELDS &&
	       (field->name_len != strlen(field_name[i]) ||
		memcmp(field->name, field_name[i], field->name_len) != 0))
		i++;
	ck_assert_uint_lt(i, FIELDS);
	ck_assert_uint_eq(f->item.has & 1u << i, 0);
	f->item.has |= 1u << i;
	f->item.value[i] = (unsigned)strtoul(text, NULL, 10);
	return 0;
}

static void check_item(const struct model_item *m, const struct found *f)
{
	ck_assert_int_eq(f->item.record, m->record);
	ck_assert_uint_eq(f->item.has, m->has);
	for (size_t i = 0; i < FIELDS; i++)
		if (m->has & 1u << i)
			ck_assert_uint_eq(f->item.value[i], m->value[i]);
}

static void check_at(uint64_t i)
{
	struct found f = { 0 };
	int64_t at = rnd(2) ? (int64_t)i : (int64_t)i - (int64_t)n_model;

	ck_assert_int_eq(blt_seq_read(seq, at, find_place, find_field, &f), 0);
	ck_assert(f.place);
	check_item(&model[i], &f);
}

static int check_place(void *arg, const struct blt_seq_place *place)
{
	uint64_t *i = arg, at;
	struct found f = { .item = { .record = place->record } };

	ck_assert_int_eq(blt_seq_read_named(seq, place, find_field, &f), 0);
	check_item(&model[*i], &f);
	ck_assert_int_eq(blt_seq_index(seq, place->name, place->name_len, &at),
			 0);
	ck_assert_uint_eq(at, *i);
	ck_assert_uint_le(place->name_len, 32);
	++*i;
	return 0;
}

static void check_all(void)
{
	uint64_t i = 0;

	ck_assert_uint_eq(len_of(), n_model);
	ck_assert_int_eq(
		blt_seq_slice(seq, 0, (int64_t)n_model, check_place, &i), 0);
	ck_assert_uint_eq(i, n_model);
}

/* ---- random changes ---- */

static void model_insert(uint64_t at, const struct model_item *items, size_t n)
{
	memmove(&model[at + n], &model[at], (n_model - at) * sizeof(*model));
	memcpy(&model[at], items, n * sizeof(*model));
	n_model += n;
}

static void model_delete(uint64_t at, uint64_t n)
{
	memmove(&model[at], &model[at + n],
		(n_model - at - n) * sizeof(*model));
	n_model -= n;
}

/* A position that is mostly one of few, as lists have it. */
static uint64_t some_place(uint64_t n)
{
	static uint64_t favourite;

	switch (rnd(6)) {
	case 0:
		return 0;
	case 1:
		return n;
	case 2:
		return favourite = rnd((uint32_t)n + 1);
	case 3:
		return rnd((uint32_t)n + 1);
	default:
		return favourite < n ? favourite : n;
	}
}

static void insert_some(void)
{
	struct blt_seq_field fields[40][FIELDS];
	struct blt_seq_item items[40];
	struct model_item m[40];
	char text[40][FIELDS][8];
	size_t n = rnd(4) ? 1 : rnd(40);
	uint64_t at = some_place(n_model);

	if (n_model + n > MAX_ITEMS)
		return;
	for (size_t i = 0; i < n; i++) {
		m[i] = random_item();
		items[i] = item_of(&m[i], text[i], fields[i]);
	}
	if (at == n_model && rnd(2))
		ck_assert_int_eq(blt_seq_append(seq, items, n), 0);
	else
		ck_assert_int_eq(blt_seq_insert(seq, (int64_t)at, items, n), 0);
	model_insert(at, m, n);
}

static void delete_some(void)
{
	uint64_t at = some_place(n_model), n = rnd(4) ? 1 : rnd(60);

	n = n < n_model - at ? n : n_model - at;
	ck_assert_int_eq(blt_seq_delete(seq, (int64_t)at, (int64_t)(at + n)),
			 0);
	model_delete(at, n);
}

static void move_one(void)
{
	uint64_t from = some_place(n_model - 1), to = some_place(n_model - 1);
	struct model_item m = model[from];

	ck_assert_int_eq(blt_seq_move(seq, (int64_t)from,
				      (int64_t)to - (int64_t)n_model),
			 0);
	model_delete(from, 1);
	model_insert(to, &m, 1);
}

static void set_one(void)
{
	struct blt_seq_field fields[FIELDS];
	char text[FIELDS][8];
	uint64_t at = some_place(n_model - 1);
	struct model_item m = random_item();
	struct blt_seq_item item = item_of(&m, text, fields);

	ck_assert_int_eq(blt_seq_set(seq, (int64_t)at, &item), 0);
	model[at] = m;
}

static void update_one(void)
{
	struct blt_seq_field fields[FIELDS];
	char text[FIELDS][8];
	uint64_t at = some_place(n_model - 1);
	struct model_item m = random_item();
	struct blt_seq_item item = item_of(&m, text, fields);
	int rc = blt_seq_update(seq, (int64_t)at, item.fields, item.n);

	if (m.record != model[at].record) {
		ck_assert_int_eq(rc, -ENOTDIR);
		return;
	}
	ck_assert_int_eq(rc, 0);
	for (size_t i = 0; i < FIELDS; i++)
		if (m.has & 1u << i)
			model[at].value[i] = m.value[i];
	model[at].has |= m.has;
}

static void change_one(bool grow)
{
	uint32_t what = rnd(10);

	if (n_model == 0 || what < (grow ? 6 : 2))
		insert_some();
	else if (what < 7)
		delete_some();
	else if (what == 7)
		move_one();
	else if (what == 8)
		set_one();
	else
		update_one();
}

/* The process dies, and the next one opens what it has flushed. */
static void die(void)
{
	char copy[sizeof(path) + 8], command[2 * sizeof(copy) + 16];

	snprintf(copy, sizeof(copy), "%s.dead", path);
	snprintf(command, sizeof(command), "cp %s %s", path, copy);
	ck_assert_int_eq(blt_flush(store), 0);
	ck_assert_int_eq(system(command), 0);
	close_all();
	ck_assert_int_eq(rename(copy, path), 0);
	open_all(BLT_WRITE, "bytes");
	ck_assert_int_eq(blt_seq_open(ns, prefix, PREFIX_LEN, &seq), 0);
}

#define A_ROUND 300

START_TEST(test_model)
{
	const char *ops = getenv("SEQ_OPS"), *start = getenv("SEQ_SEED");
	unsigned n = is_slow() ? 1 : 6;

	if (ops)
		n = (unsigned)strtoul(ops, NULL, 10) / A_ROUND;
	if (start)
		rnd_state ^= strtoull(start, NULL, 10) << 20;
	n_model = 0;
	for (unsigned round = 0; round < n; round++) {
		for (unsigned i = 0; i < A_ROUND; i++) {
			change_one(round % 3 != 2);
			if (n_model > 0 && i % 3 == 0)
				check_at(rnd((uint32_t)n_model));
		}
		check_all();
		if (round % 2)
			die();
		else
			reopen();
		check_all();
	}
}
END_TEST

/* ---- single behaviours ---- */

static const struct blt_seq_field one_field = { .value = "x", .value_len = 1 };
static const struct blt_seq_item one = { &one_field, 1 };

START_TEST(test_empty)
{
	uint64_t at;

	ck_assert_uint_eq(len_of(), 0);
	ck_assert_int_eq(blt_seq_read(seq, 0, NULL, find_field, NULL), -ERANGE);
	ck_assert_int_eq(blt_seq_read(seq, -1, NULL, find_field, NULL),
			 -ERANGE);
	ck_assert_int_eq(blt_seq_delete(seq, 0, 0), 0);
	ck_assert_int_eq(blt_seq_delete(seq, 0, 1), -ERANGE);
	ck_assert_int_eq(blt_seq_move(seq, 0, 0), -ERANGE);
	ck_assert_int_eq(blt_seq_set(seq, 0, &one), -ERANGE);
	ck_assert_int_eq(blt_seq_insert(seq, 1, &one, 1), -ERANGE);
	ck_assert_int_eq(blt_seq_insert(seq, -1, &one, 1), -ERANGE);
	ck_assert_int_eq(blt_seq_insert(seq, INT64_MIN, &one, 1), -ERANGE);
	ck_assert_int_eq(blt_seq_insert(seq, INT64_MAX, &one, 1), -ERANGE);
	ck_assert_int_eq(blt_seq_slice(seq, 0, 1, check_place, NULL), -ERANGE);
	ck_assert_int_eq(blt_seq_slice(seq, 0, 0, check_place, NULL), 0);
	ck_assert_int_eq(blt_seq_index(seq, "i0", 2, &at), -ENOENT);
	ck_assert_int_eq(blt_seq_insert(seq, 0, &one, 0), 0);
	ck_assert_int_eq(blt_seq_append(seq, &one, 1), 0);
	ck_assert_uint_eq(len_of(), 1);
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
	ck_assert_uint_eq(len_of(), 0);
}
END_TEST

/* What it takes to be a sequence. */
START_TEST(test_create)
{
	struct blt_seq *other;
	struct blt_node node;
	struct blt_dir_facts facts;
	static const uint8_t later[16] = "bltfs-seq\0\7";

	ck_assert_int_eq(blt_seq_create(ns, prefix, PREFIX_LEN), -EEXIST);
	ck_assert_int_eq(blt_seq_create(ns, "frames", 6), -EINVAL);
	ck_assert_int_eq(blt_seq_create(ns, "", 0), -EINVAL);
	ck_assert_int_eq(blt_seq_open(ns, "none/", 5, &other), -ENOENT);
	/* the mark is no file of the directory, and holds it */
	ck_assert_int_eq(blt_ns_dir(ns, prefix, PREFIX_LEN, &facts), 0);
	ck_assert(facts.marked);
	ck_assert_uint_eq(facts.entries, 0);
	ck_assert_int_eq(blt_ns_lookup(ns, prefix, PREFIX_LEN, "%", 1, &node),
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
	ck_assert_uint_eq(len_of(), 1);
	/* and is none any more when its marker goes */
	ck_assert_int_eq(blt_delete(store, "plain/", 6), 0);
	ck_assert_int_eq(blt_seq_append(seq, &one, 1), -ENOENT);
}
END_TEST

START_TEST(test_other_stores)
{
	struct blt_ns_options flat = { .flat = true };

	close_all();
	open_all(BLT_TRUNCATE, "json");
	ck_assert_int_eq(blt_seq_create(ns, prefix, PREFIX_LEN), -ENOTSUP);
	close_all();
	open_all(BLT_TRUNCATE, "str");
	ck_assert_int_eq(blt_seq_create(ns, prefix, PREFIX_LEN), 0);
	close_all();
	open_all(BLT_TRUNCATE, "bytes");
	close_all();
	ck_assert_int_eq(
		blt_open(path, &(struct blt_open_options){ .mode = BLT_WRITE },
			 &store, NULL),
		0);
	ck_assert_int_eq(blt_ns_new(store, &flat, &ns), 0);
	ck_assert_int_eq(blt_seq_create(ns, prefix, PREFIX_LEN), -ENOTSUP);
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
	ck_assert_uint_eq(len_of(), 5);
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
	ck_assert_uint_eq(len_of(), 5);
	/* nothing comes between these two: they are renamed */
	ck_assert_int_eq(blt_put(store, "frames/i0h0", 11, "", 0, BLT_NOW), 0);
	ck_assert_int_eq(blt_seq_insert(seq, 2, &one, 1), 0);
	ck_assert_uint_eq(len_of(), 7);
	ck_assert_int_eq(blt_seq_index(seq, "i0h0", 4, &at), -ENOENT);
}
END_TEST

/* A key beside a directory of its name: two items. */
START_TEST(test_twins)
{
	struct blt_seq_item record = { NULL, 0 };

	ck_assert_int_eq(blt_put(store, "frames/i5", 9, "1", 1, BLT_NOW), 0);
	ck_assert_int_eq(blt_put(store, "frames/i5/a", 11, "2", 1, BLT_NOW), 0);
	n_model = 2;
	model[0] = (struct model_item){ false, 1, { 1, 0, 0, 0 } };
	model[1] = (struct model_item){ true, 1, { 2, 0, 0, 0 } };
	ck_assert_uint_eq(len_of(), 2);
	check_at(0);
	check_at(1);
	ck_assert_int_eq(blt_seq_set(seq, 0, &record), -EEXIST);
	ck_assert_int_eq(blt_seq_set(seq, 1, &one), -EEXIST);
	ck_assert_int_eq(blt_seq_insert(seq, 1, &record, 1), 0);
	model_insert(1, &(struct model_item){ .record = true }, 1);
	check_all();
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
	ck_assert_int_eq(blt_ns_lookup(ns, prefix, PREFIX_LEN, ".at", 3, &node),
			 -ENOENT);
	ck_assert_int_eq(blt_ns_key(ns, prefix, PREFIX_LEN, ".at", 3, BLT_FILE,
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
	return is_slow() ? few / 4 : few;
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

	ck_assert_int_eq(
		blt_seq_slice(seq, 0, (int64_t)len_of(), longest_name, &ret),
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
	ck_assert_uint_eq(len_of(), n);
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
	uint64_t n = len_of() - 2;

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
	unsigned n = is_slow() ? 240 : 400;
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
	ck_assert_uint_eq(len_of(), N + 2);
	ck_assert_uint_le(longest(), 5);
	ck_assert_int_eq(blt_seq_delete(seq, 1, -1), 0);
	ck_assert_uint_eq(len_of(), 2);
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
	unsigned n = is_slow() ? 300 : 1000;

	for (unsigned i = 0; i < n; i++)
		ck_assert_int_eq(blt_seq_append(seq, &one, 1), 0);
	ck_assert_int_eq(blt_seq_slice(seq, 0, n, delete_it, &d), 0);
	ck_assert_uint_eq(d.met, n);
	ck_assert_uint_eq(len_of(), 0);
}
END_TEST

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
	ck_assert_uint_eq(len_of(), 2);
	to_put = "frames/i3/f";
	ck_assert_int_eq(blt_seq_append(seq, items, 3), 0);
	check_theirs("frames/i3/f");
	ck_assert_uint_eq(len_of(), 6);
	to_put = "frames/i7/";
	ck_assert_int_eq(blt_seq_append(seq, &none, 1), 0);
	ck_assert_uint_eq(len_of(), 8);
	to_put = "frames/hz";
	ck_assert_int_eq(blt_seq_move(seq, 1, 0), 0);
	check_theirs("frames/hz");
	ck_assert_uint_eq(len_of(), 9);
	to_delete = "frames/hz";
	ck_assert_int_eq(blt_seq_set(seq, 1, &one), 0);
	ck_assert_uint_eq(len_of(), 9);
	to_delete = "frames/i1";
	ck_assert_int_eq(blt_seq_delete(seq, 0, 3), 0);
	ck_assert_uint_eq(len_of(), 5);
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
	unsigned turns = is_slow() ? 150 : 600;
	struct worker w[2] = { { 1, turns, 0 }, { 2, turns, 0 } };
	pthread_t thread[2];
	uint64_t n;

	ck_assert_int_eq(blt_seq_append(seq, &one, 1), 0);
	for (size_t i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&thread[i], NULL, work, &w[i]),
				 0);
	for (unsigned i = 0; i < 300; i++) {
		n = len_of();
		ck_assert_uint_le(n, 1000);
		ck_assert_int_eq(blt_seq_read(seq, -1, NULL, NULL, NULL), 0);
	}
	for (size_t i = 0; i < 2; i++) {
		pthread_join(thread[i], NULL);
		ck_assert_int_eq(w[i].rc, 0);
	}
	ck_assert_uint_eq(len_of(), 1 + 2 * turns / 3);
}
END_TEST

/* A prune moves blocks, and the order goes with them. */
START_TEST(test_prune)
{
	n_model = 0;
	for (unsigned i = 0; i < 400; i++)
		change_one(true);
	check_all();
	ck_assert_int_eq(blt_prune(store, NULL, NULL), 0);
	check_all();
	for (unsigned i = 0; i < 100; i++)
		change_one(true);
	check_all();
}
END_TEST

/* What holds for all sequences. */
static void add_tests(Suite *suite, const char *name, void (*begin)(void))
{
	TCase *tc = tcase_create(name);

	tcase_set_timeout(tc, 0);
	tcase_add_checked_fixture(tc, begin, teardown);
	tcase_add_test(tc, test_model);
	tcase_add_test(tc, test_empty);
	tcase_add_test(tc, test_bad_items);
	tcase_add_test(tc, test_create);
	tcase_add_test(tc, test_by_hand);
	tcase_add_test(tc, test_twins);
	tcase_add_test(tc, test_reserved_name);
	tcase_add_loop_test(tc, test_ends, 0, 2);
	tcase_add_loop_test(tc, test_one_gap, 0, 2);
	tcase_add_test(tc, test_every_batch);
	tcase_add_test(tc, test_bulk);
	tcase_add_test(tc, test_delete_while_iterating);
	tcase_add_test(tc, test_meddling);
	tcase_add_test(tc, test_told);
	tcase_add_test(tc, test_rank);
	tcase_add_test(tc, test_two_writers);
	suite_add_tcase(suite, tc);
}

/* ---- items as bytes ---- */

static struct seqwire_out wire_items(size_t max, int want)
{
	const struct blt_seq_field fields[] = { { "f", 1, "x", 1 },
						{ "gh", 2, "", 0 } };
	const struct blt_seq_item items[] = { { fields, 2 }, { NULL, 0 }, one };
	struct seqwire_out out = { .max = max };
	int rc = 0;

	for (size_t i = 0; i < ARRAY_SIZE(items) && rc == 0; i++)
		rc = seqwire_put(&out, &items[i]);
	ck_assert_int_eq(rc, want);
	return out;
}

START_TEST(test_wire)
{
	struct seqwire_out out = wire_items(1000, 0);
	struct seqwire_in in = { .at = out.bytes, .len = out.len };
	struct blt_seq_item item;

	ck_assert_int_eq(seqwire_item(&in, &item), 1);
	ck_assert_uint_eq(item.n, 2);
	ck_assert_uint_eq(item.fields[1].name_len, 2);
	ck_assert_mem_eq(item.fields[1].name, "gh", 2);
	ck_assert_uint_eq(item.fields[1].value_len, 0);
	ck_assert_mem_eq(item.fields[0].value, "x", 1);
	ck_assert_int_eq(seqwire_item(&in, &item), 1);
	ck_assert_uint_eq(item.n, 0);
	ck_assert_int_eq(seqwire_item(&in, &item), 1);
	ck_assert_uint_eq(item.n, 1);
	ck_assert_ptr_null(item.fields[0].name);
	ck_assert_int_eq(seqwire_item(&in, &item), 0);
	seqwire_in_free(&in);
	free(out.bytes);
	out = wire_items(out.len - 1, -E2BIG);
	free(out.bytes);
}
END_TEST

/* What is cut off anywhere, or has another byte anywhere, is read to no more
 * than its end. */
START_TEST(test_hostile_wire)
{
	struct seqwire_out out = wire_items(1000, 0);
	struct blt_seq_item item;

	for (size_t i = 0; i < out.len * 257; i++) {
		size_t at = i / 257, cut = i % 257 == 256 ? at : out.len;
		uint8_t *copy = malloc(cut + 1);
		struct seqwire_in in = { .at = copy, .len = cut };
		unsigned n = 0;
		int rc;

		ck_assert_ptr_nonnull(copy);
		memcpy(copy, out.bytes, cut);
		if (cut == out.len)
			copy[at] = (uint8_t)i;
		while ((rc = seqwire_item(&in, &item)) > 0)
			n++;
		ck_assert(rc == 0 || rc == -EPROTO);
		ck_assert_uint_le(n, out.len / 4);
		seqwire_in_free(&in);
		free(copy);
	}
	free(out.bytes);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("seq");
	TCase *tc = tcase_create("booklets alone");
	SRunner *runner;
	int failed;

	add_tests(suite, "booklet", setup_booklet);
#ifdef HAVE_LMDB
	add_tests(suite, "lmdb", setup_lmdb);
#endif
	tcase_set_timeout(tc, 0);
	tcase_add_checked_fixture(tc, setup_booklet, teardown);
	tcase_add_test(tc, test_other_stores);
	tcase_add_test(tc, test_prune);
	tcase_add_test(tc, test_wire);
	tcase_add_test(tc, test_hostile_wire);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
