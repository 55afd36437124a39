/* pg_peer.h - a store in a PostgreSQL database as bench/postgres measures it:
 * the engine, through blt.h, and the least that a program of libpq has to do.
 *
 * All functions fail by ending the program.  Keys are in ascending order.  One
 * thread.
 */
#ifndef BENCH_PG_PEER_H
#define BENCH_PG_PEER_H

#include <stddef.h>
#include <stdint.h>

#define PG_PART 262144u /* bytes of a part of the long value */
#define PG_PAGE 1000u   /* names of a page */

struct pg_item {
	const void *key, *value;
	size_t key_len, value_len;
};

struct pg_peer {
	const char *name;
	void *(*open)(const char *url); /* an empty store */
	void (*close)(void *db);
	/* Bytes that the value has; it is copied to value. */
	size_t (*get)(void *db, const struct pg_item *key, void *value);
	/* Bytes that the values have together. */
	size_t (*get_many)(void *db, const struct pg_item *keys, size_t n);
	/* How many names begin with the prefix. */
	size_t (*list)(void *db, const char *prefix);
	/* One commit. */
	void (*put_many)(void *db, const struct pg_item *items, size_t n);
	/* The long value: n bytes of parts that are all equal. */
	void (*put_long)(void *db, const void *part, size_t n);
	void (*get_long)(void *db, void *value, size_t n);
};

extern const struct pg_peer pg_raw, pg_blt;

#endif
