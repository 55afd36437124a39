/* peer.h - a key-value store as bench/engine measures it.
 *
 * One row of functions for each store; bench/peers.c has the table.  All fail
 * by ending the program: a measurement that went wrong is none.  A get copies
 * the value into the caller's memory, as most of them have it.
 *
 * Threads: one at a time, but for put_sync where "threads" says so.
 */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PEER_VALUE_MAX 4096
#define PEER_GROUP 32    /* keys of a get_many */
#define PEER_BATCH 10000 /* changes of a transaction, where there are such */

struct peer_bytes {
	const char *at;
	size_t len;
};

struct peer {
	const char *name;
	const char *settings; /* for the table's legend */
	/* n_keys: so many are going to be there.  durable: every change is
	 * going to be a put_sync. */
	void *(*open)(const char *path, size_t n_keys, bool durable);
	void (*close)(void *db);
	/* The value's length, or -1. */
	long (*get)(void *db, const struct peer_bytes *key, char *value);
	/* May be NULL; how many of PEER_GROUP were there. */
	size_t (*get_many)(void *db, const struct peer_bytes *key,
			   char (*value)[PEER_VALUE_MAX]);
	void (*put)(void *db, const struct peer_bytes *key,
		    const struct peer_bytes *value);
	void (*remove)(void *db, const struct peer_bytes *key);
	/* Makes durable what was put and removed. */
	void (*sync)(void *db);
	/* A put that is durable when it returns. */
	void (*put_sync)(void *db, const struct peer_bytes *key,
			 const struct peer_bytes *value);
	bool threads; /* for put_sync */
	/* All values' lengths; with touch, each value is copied. */
	uint64_t (*scan)(void *db, bool touch);
};

extern const struct peer *const peers[];
extern const size_t n_peers;

/* Ends the program, if what is false. */
void peer_must(bool what, const char *text);

/* Copies a value to memory that is always the same. */
void peer_touch(const void *value, size_t len);

#endif
