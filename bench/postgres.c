/* postgres PEER URL [TIMES] - a store in a PostgreSQL database, by raw libpq
 * ("raw") or by the engine ("blt"): a line "ROW WALL CPU" in nanoseconds an
 * operation for each of the rows of bench/postgres.py, which runs it for both
 * and compares them.  The CPU is this process's, not the server's.
 *
 * Filled, it says so and waits for a line, so that the tables can be vacuumed.
 * The store has NAMES values of VALUE_LEN bytes, and one of LONG bytes. */
#include "moment.h"
#include "pg_peer.h"

#include <err.h>
#include <stdlib.h>
#include <string.h>

#define NAMES 10000u
#define GROUP 100u
#define VALUE_LEN 512u
#define KEY_LEN 11u /* names/NNNNN */
#define LONG (64u << 20)

struct run {
	const struct pg_peer *peer;
	void *db;
	char (*keys)[KEY_LEN + 1];
	char *value, *big;
	uint64_t seed;
	unsigned times;
};

static void *room(size_t n)
{
	void *at = calloc(1, n);

	if (!at)
		err(1, "room");
	return at;
}

/* splitmix64; the same numbers in every run. */
static uint32_t chance(struct run *r, uint32_t below)
{
	uint64_t z = r->seed += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (uint32_t)((z ^ z >> 31) % below);
}

static struct pg_item item(struct run *r, uint32_t i)
{
	return (struct pg_item){ r->keys[i], r->value, KEY_LEN, VALUE_LEN };
}

/* GROUP of them, evenly spread, from one by chance on. */
static void group(struct run *r, struct pg_item *ret)
{
	uint32_t step = NAMES / GROUP, first = chance(r, step);

	for (uint32_t i = 0; i < GROUP; i++)
		ret[i] = item(r, first + i * step);
}

static void fill(struct run *r)
{
	struct pg_item *all = room(PG_PAGE * sizeof(*all));

	for (uint32_t at = 0; at < NAMES; at += PG_PAGE) {
		for (uint32_t i = 0; i < PG_PAGE; i++)
			all[i] = item(r, at + i);
		r->peer->put_many(r->db, all, PG_PAGE);
	}
	free(all);
	memset(r->big, 'b', PG_PART);
	r->peer->put_long(r->db, r->big, LONG);
}

static void get(struct run *r, unsigned times)
{
	char value[VALUE_LEN];

	for (unsigned i = 0; i < times; i++) {
		struct pg_item one = item(r, chance(r, NAMES));

		if (r->peer->get(r->db, &one, value) != VALUE_LEN)
			errx(1, "get: a wrong length");
	}
}

static void get_many(struct run *r, unsigned times)
{
	struct pg_item some[GROUP];

	for (unsigned i = 0; i < times; i++) {
		group(r, some);
		if (r->peer->get_many(r->db, some, GROUP) != GROUP * VALUE_LEN)
			errx(1, "get_many: a wrong length");
	}
}

static void list(struct run *r, unsigned times)
{
	for (unsigned i = 0; i < times; i++)
		if (r->peer->list(r->db, "names/") != NAMES)
			errx(1, "list: a wrong number of names");
}

static void put_many(struct run *r, unsigned times)
{
	struct pg_item some[GROUP];

	for (unsigned i = 0; i < times; i++) {
		group(r, some);
		r->peer->put_many(r->db, some, GROUP);
	}
}

static void get_long(struct run *r, unsigned times)
{
	for (unsigned i = 0; i < times; i++) {
		r->big[LONG - 1] = 0;
		r->peer->get_long(r->db, r->big, LONG);
		if (r->big[LONG - 1] != 'b')
			errx(1, "the long value: a wrong end");
	}
}

/* In units of times; a tenth more of them come first and are not counted. */
static const struct {
	const char *name;
	void (*run)(struct run *r, unsigned times);
	unsigned times;
} rows[] = {
	{ "get", get, 200 },         { "get-100", get_many, 20 },
	{ "list-10000", list, 2 },   { "put-100", put_many, 10 },
	{ "read-64m", get_long, 1 },
};

int main(int argc, char **argv)
{
	struct run r = { .times = 10 };

	if (argc < 3 || argc > 4)
		errx(64, "usage: postgres raw|blt URL [TIMES]");
	r.peer = strcmp(argv[1], "raw") ? &pg_blt : &pg_raw;
	if (argc > 3)
		r.times = (unsigned)strtoul(argv[3], NULL, 10);
	r.keys = room(NAMES * sizeof(*r.keys));
	for (uint32_t i = 0; i < NAMES; i++)
		snprintf(r.keys[i], sizeof(*r.keys), "names/%05u", i % 100000);
	r.value = room(VALUE_LEN);
	r.big = room(LONG);
	r.db = r.peer->open(argv[2]);
	fill(&r);
	puts("filled");
	fflush(stdout);
	getchar();
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		unsigned times = rows[i].times * r.times;
		struct moment start;

		rows[i].run(&r, times / 10 + 1);
		start = now();
		rows[i].run(&r, times);
		say(rows[i].name, start, times);
	}
	r.peer->close(r.db);
	free(r.keys);
	free(r.value);
	free(r.big);
	return 0;
}
