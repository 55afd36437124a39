/* seq ENGINE ITEMS DIRECTORY - a sequence's figures at that length, a line "ROW
 * WALL CPU" in nanoseconds an operation each (rows in bytes have one figure);
 * bench/seq.py runs it and makes tables of that.  Rows that begin with "naive"
 * are of the same list kept as keys that are its positions. */
#include "blt.h"
#include "blt_seq.h"
#include "moment.h"

#include <err.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT_ONCE 4096       /* items of one call that fills */
#define NAIVE_MOST 1000000 /* a longer list is not renumbered */
#define APPENDED 100000    /* whose names are measured */
#define VALUE_LEN 40

static const char prefix[] = "list/", short_prefix[] = "short/";

struct run {
	const char *engine;
	uint64_t items;
	unsigned times; /* of each operation */
	char path[4096];
	struct blt *store;
	struct blt_ns *ns;
	struct blt_seq *seq;
	uint64_t seed;
};

static void say_bytes(const char *row, double bytes)
{
	printf("%s\t%.1f\n", row, bytes);
	fflush(stdout);
}

static void must(int rc, const char *what)
{
	if (rc < 0)
		errx(1, "%s: %s", what, strerror(-rc));
}

/* splitmix64; the same numbers in every run. */
static uint64_t chance(struct run *r, uint64_t below)
{
	uint64_t z = r->seed += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (z ^ z >> 31) % below;
}

/* What has been allocated, the allocator's own bytes counted. */
static double allocated_bytes(void)
{
	struct mallinfo2 info = mallinfo2();

	return (double)info.uordblks + (double)info.hblkhd;
}

/* ---- the store ---- */

static void open_store(struct run *r, enum blt_mode mode)
{
	struct blt_open_options how = { .mode = mode, .engine = r->engine };
	struct blt_error e;

	/* that no operation's figure has the index's growth in it */
	how.create.n_buckets = (uint32_t)r->items + 500000;
	if (blt_open(r->path, &how, &r->store, &e) < 0)
		errx(1, "%s", e.text);
	must(blt_ns_new(r->store, NULL, &r->ns), "namespace");
}

static void close_store(struct run *r)
{
	blt_seq_close(r->seq);
	r->seq = NULL;
	blt_ns_free(r->ns);
	must(blt_close(r->store), "close");
}

static void open_seq(struct run *r, const char *name)
{
	must(blt_seq_open(r->ns, name, strlen(name), &r->seq), "sequence");
}

static void create_seq(struct run *r, const char *name)
{
	must(blt_seq_create(r->ns, name, strlen(name)), "new sequence");
	open_seq(r, name);
}

/* ---- operations ---- */

static const char text[VALUE_LEN + 1] =
	"a value of forty bytes, as small ones go";
static const struct blt_seq_field field = { .value = text,
					    .value_len = VALUE_LEN };
static const struct blt_seq_item item = { &field, 1 };

static void fill(struct run *r)
{
	struct blt_seq_item items[AT_ONCE];
	struct moment start = now();

	for (size_t i = 0; i < AT_ONCE; i++)
		items[i] = item;
	for (uint64_t left = r->items; left > 0;) {
		size_t n = left < AT_ONCE ? (size_t)left : AT_ONCE;

		must(blt_seq_append(r->seq, items, n), "append");
		left -= n;
	}
	must(blt_flush(r->store), "flush");
	say("fill", start, r->items);
}

static void get(struct run *r)
{
	must(blt_seq_read(r->seq, (int64_t)chance(r, r->items), NULL, NULL,
			  NULL),
	     "place");
}

static int use(void *arg, const struct blt_seq_field *f)
{
	*(uint64_t *)arg += f->value_len;
	return 0;
}

static void get_value(struct run *r)
{
	uint64_t bytes = 0;

	must(blt_seq_read(r->seq, (int64_t)chance(r, r->items), NULL, use,
			  &bytes),
	     "get");
}

static void append(struct run *r)
{
	must(blt_seq_append(r->seq, &item, 1), "append");
}

static void insert_first(struct run *r)
{
	must(blt_seq_insert(r->seq, 0, &item, 1), "insert at 0");
}

static void delete_first(struct run *r)
{
	must(blt_seq_delete(r->seq, 0, 1), "delete at 0");
}

static void insert_any(struct run *r)
{
	must(blt_seq_insert(r->seq, (int64_t)chance(r, r->items), &item, 1),
	     "insert");
}

static void delete_any(struct run *r)
{
	int64_t at = (int64_t)chance(r, r->items);

	must(blt_seq_delete(r->seq, at, at + 1), "delete");
}

static void move_any(struct run *r)
{
	must(blt_seq_move(r->seq, (int64_t)chance(r, r->items),
			  (int64_t)chance(r, r->items)),
	     "move");
}

static void insert_gap(struct run *r)
{
	must(blt_seq_insert(r->seq, (int64_t)r->items / 2, &item, 1),
	     "insert into one gap");
}

/* As many items come as go. */
static const struct operation {
	const char *row;
	void (*run)(struct run *r);
	bool reads;
} operations[] = {
	{ "position", get, true },
	{ "get", get_value, true },
	{ "append", append, false },
	{ "insert-0", insert_first, false },
	{ "delete-0", delete_first, false },
	{ "insert-any", insert_any, false },
	{ "delete-any", delete_any, false },
	{ "move-any", move_any, false },
	{ "insert-gap", insert_gap, false },
};

static void operate(struct run *r)
{
	for (size_t i = 0; i < sizeof(operations) / sizeof(*operations); i++) {
		const struct operation *o = &operations[i];
		unsigned times = o->reads ? 10 * r->times : r->times;
		struct moment start = now();

		for (unsigned k = 0; k < times; k++)
			o->run(r);
		must(blt_flush(r->store), "flush");
		say(o->row, start, times);
	}
}

/* ---- all of it ---- */

static int count_place(void *arg, const struct blt_seq_place *place)
{
	*(uint64_t *)arg += place->name_len > 0;
	return 0;
}

struct reading {
	struct blt_seq *seq;
	uint64_t bytes;
};

static int read_place(void *arg, const struct blt_seq_place *place)
{
	struct reading *reading = arg;

	return blt_seq_read_named(reading->seq, place, use, &reading->bytes);
}

static void iterate(struct run *r)
{
	struct reading reading = { r->seq, 0 };
	struct moment start = now();
	uint64_t n, met = 0;

	must(blt_seq_len(r->seq, &n), "length");
	must(blt_seq_slice(r->seq, 0, (int64_t)n, count_place, &met), "slice");
	if (met != n)
		errx(1, "an item was not met");
	say("iterate", start, n);
	start = now();
	must(blt_seq_slice(r->seq, 0, (int64_t)n, read_place, &reading),
	     "values");
	if (reading.bytes != n * VALUE_LEN)
		errx(1, "a value was not met");
	say("iterate-values", start, n);
}

/* From an opened store to the first answer. */
static void first_answer(struct run *r)
{
	uint64_t n;
	double before;
	struct moment start;

	open_seq(r, prefix);
	/* the directories without the order */
	must(blt_ns_dir(r->ns, prefix, strlen(prefix),
			&(struct blt_dir_facts){ 0 }),
	     "facts");
	must(blt_ns_wait(r->ns), "directories");
	before = allocated_bytes();
	start = now();
	must(blt_seq_len(r->seq, &n), "length");
	say("first", start, n);
	say_bytes("bytes", (allocated_bytes() - before) / (double)n);
}

static int longest(void *arg, const struct blt_seq_place *place)
{
	size_t *ret = arg;

	if (place->name_len > *ret)
		*ret = place->name_len;
	return 0;
}

static void append_names(struct run *r)
{
	uint64_t n = r->times < APPENDED / 10 ? r->times : APPENDED;
	size_t len = 0;

	create_seq(r, short_prefix);
	for (uint64_t i = 0; i < n; i++)
		append(r);
	must(blt_seq_slice(r->seq, 0, (int64_t)n, longest, &len), "names");
	say_bytes("name", (double)len);
	blt_seq_close(r->seq);
	r->seq = NULL;
}

/* ---- the list as numbered keys ---- */

static size_t number(char key[32], uint64_t at)
{
	return (size_t)snprintf(key, 32, "naive/%010llu",
				(unsigned long long)at);
}

static void naive_put(struct run *r, uint64_t at)
{
	char key[32];

	must(blt_put(r->store, key, number(key, at), text, VALUE_LEN, BLT_NOW),
	     "put");
}

/* One batch, so that no other order is ever seen. */
static void naive_insert_first(struct run *r)
{
	struct blt_batch *b;
	char from[32], to[32];

	must(blt_batch_new(r->store, &b), "batch");
	for (uint64_t i = r->items; i-- > 0;)
		must(blt_batch_rename(b, from, number(from, i), to,
				      number(to, i + 1)),
		     "rename");
	must(blt_batch_put(b, from, number(from, 0), text, VALUE_LEN, BLT_NOW),
	     "put");
	must(blt_batch_commit(b), "commit");
}

static void naive(struct run *r)
{
	unsigned times = r->items > 100000 ? 1 : 3;
	struct moment start;

	for (uint64_t i = 0; i < r->items;) {
		struct blt_batch *b;
		char key[32];

		must(blt_batch_new(r->store, &b), "batch");
		for (size_t k = 0; k < AT_ONCE && i < r->items; k++, i++)
			must(blt_batch_put(b, key, number(key, i), text,
					   VALUE_LEN, BLT_NOW),
			     "put");
		must(blt_batch_commit(b), "commit");
	}
	start = now();
	for (unsigned i = 0; i < r->times; i++)
		naive_put(r, r->items + i);
	must(blt_flush(r->store), "flush");
	say("naive-append", start, r->times);
	start = now();
	for (unsigned i = 0; i < times; i++)
		naive_insert_first(r);
	must(blt_flush(r->store), "flush");
	say("naive-insert-0", start, times);
}

int main(int argc, char **argv)
{
	struct run r = { .seed = 1 };

	if (argc != 4)
		errx(2, "usage: seq ENGINE ITEMS DIRECTORY");
	r.engine = argv[1];
	r.items = strtoull(argv[2], NULL, 10);
	/* LMDB waits for the disk at each change */
	r.times = strcmp(r.engine, "lmdb") == 0 ? 200 : 20000;
	snprintf(r.path, sizeof(r.path), "%s/list.store", argv[3]);
	open_store(&r, BLT_CREATE);
	create_seq(&r, prefix);
	fill(&r);
	close_store(&r);
	open_store(&r, BLT_WRITE);
	first_answer(&r);
	operate(&r);
	iterate(&r);
	blt_seq_close(r.seq);
	append_names(&r);
	if (r.items <= NAIVE_MOST)
		naive(&r);
	close_store(&r);
	return 0;
}
