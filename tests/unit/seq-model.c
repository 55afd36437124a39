/* A sequence against an array that takes the same random changes, through clean
 * closes, deaths and prunes.  SEQ_OPS sets how many, SEQ_SEED which. */
#include "lib/seqstore.h"
#include "lib/rnd.h"
#include "base/util.h"
#include "lib/checked.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

	ck_assert_uint_eq(seqstore_len(), n_model);
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

static void reopen(void)
{
	seqstore_close();
	seqstore_open(BLT_WRITE, "bytes");
	seqstore_open_seq();
}

/* The process dies, and the next one opens what it has flushed. */
static void die(void)
{
	char copy[sizeof(seqstore_path) + 8], command[2 * sizeof(copy) + 16];

	snprintf(copy, sizeof(copy), "%s.dead", seqstore_path);
	snprintf(command, sizeof(command), "cp %s %s", seqstore_path, copy);
	ck_assert_int_eq(blt_flush(store), 0);
	ck_assert_int_eq(system(command), 0);
	seqstore_close();
	ck_assert_int_eq(rename(copy, seqstore_path), 0);
	seqstore_open(BLT_WRITE, "bytes");
	seqstore_open_seq();
}

#define A_ROUND 300

START_TEST(test_model)
{
	const char *ops = getenv("SEQ_OPS"), *start = getenv("SEQ_SEED");
	unsigned n = seqstore_is_slow() ? 1 : 6;

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

/* A key beside a directory of its name: two items. */
START_TEST(test_twins)
{
	struct blt_seq_item record = { NULL, 0 };

	ck_assert_int_eq(blt_put(store, "frames/i5", 9, "1", 1, BLT_NOW), 0);
	ck_assert_int_eq(blt_put(store, "frames/i5/a", 11, "2", 1, BLT_NOW), 0);
	n_model = 2;
	model[0] = (struct model_item){ false, 1, { 1, 0, 0, 0 } };
	model[1] = (struct model_item){ true, 1, { 2, 0, 0, 0 } };
	ck_assert_uint_eq(seqstore_len(), 2);
	check_at(0);
	check_at(1);
	ck_assert_int_eq(blt_seq_set(seq, 0, &record), -EEXIST);
	ck_assert_int_eq(blt_seq_set(seq, 1, &one), -EEXIST);
	ck_assert_int_eq(blt_seq_insert(seq, 1, &record, 1), 0);
	model_insert(1, &(struct model_item){ .record = true }, 1);
	check_all();
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

static void add(TCase *tc)
{
	tcase_add_test(tc, test_model);
	tcase_add_test(tc, test_twins);
}

static void add_booklets_alone(TCase *tc)
{
	tcase_add_test(tc, test_prune);
}

int main(void)
{
	return seqstore_run("seq-model", add, add_booklets_alone);
}
