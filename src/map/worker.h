/* worker.h - inside bltfs-map-worker: the process that runs a map's function.
 *
 *   bltfs-map-worker KIND [ARGUMENT]...    started by pool.h
 *
 * Descriptor 0 is the socket to the pool (wire.h), 3 the store's file, open for
 * reading; all others but standard error are closed.  A store that several
 * processes may have open (BLT_STORE_ENGINE) it opens itself, once, and reads
 * values there by their keys.  Each kind is a row: init once, then run for each
 * item.
 *
 * Everything lives as long as the process.  One thread.
 */
#ifndef BLT_WORKER_H
#define BLT_WORKER_H

#include "blt.h"
#include "map/wire.h"

#include <stdbool.h>

#define WORKER_STORE_FD 3
#define WORKER_WHY 1024

/* Bytes that grow. */
struct worker_buf {
	uint8_t *bytes;
	size_t len, room;
};

struct worker_item {
	const void *key;
	size_t key_len;
	const void *value; /* NULL: stands in the file at pos */
	uint64_t pos;
	uint64_t len;
	int64_t time;
};

struct worker {
	int fd; /* the socket */
	struct wire_in in;
	struct wire_out out;
	const struct worker_kind *kind;
	char **argv;             /* behind KIND */
	struct blt *store;       /* NULL: values come with their items */
	uint64_t id;             /* of the item at work */
	int64_t sent;            /* when answers were sent last */
	struct worker_buf value; /* of worker_value */
	char why[WORKER_WHY];    /* of the error that is returned */
};

/* Both return 0, or negative with the reason in w->why. */
struct worker_kind {
	const char *name;
	int (*init)(struct worker *w);
	int (*run)(struct worker *w, const struct worker_item *item);
	bool late; /* it is fast: many answers are sent at once */
};

extern const struct worker_kind worker_command, worker_shared, worker_builtin,
	worker_framed;

/* ---- worker_item.c ---- */

/* Sets w->why; returns -1. */
int worker_fail(struct worker *w, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* The same for the program that argv[0] names: err is why exec fails. */
int worker_fail_exec(struct worker *w, int err);
/* The item's value in memory, until the next call. */
int worker_value(struct worker *w, const struct worker_item *item,
		 const uint8_t **ret);
/* Exactly n bytes of a value that stands in the file. */
int worker_read(struct worker *w, const struct worker_item *item, void *to,
		size_t n, uint64_t offset);
/* A result; key NULL: the map makes one of the item's. */
int worker_result(struct worker *w, const void *key, size_t key_len,
		  const void *value, size_t value_len);
/* Room for more bytes behind those that are there. */
int worker_room(struct worker *w, struct worker_buf *b, size_t more);

/* Ends this process and all others of its group, at once; for a signal
 * handler too. */
void worker_die(void) __attribute__((noreturn));

#endif
