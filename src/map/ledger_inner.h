/* ledger_inner.h - what the files of the ledger share.
 *
 * ledger.c opens and moves one, ledger_row.c has heads and rows as bytes,
 * ledger_hold.c says who owns a shard, ledger_list.c reads them all.
 *
 * Names of notes: "job/NAME" for the head, "job/NAME/SHARD" for a row.
 */
#ifndef BLT_LEDGER_INNER_H
#define BLT_LEDGER_INNER_H

#include "map/ledger.h"

#define LEDGER_NOTE_NAME (LEDGER_NAME_MAX + 24)

/* A note as it is in the store; there: false where it is not. */
struct ledger_note {
	bool there;
	uint8_t *bytes; /* malloc'd */
	size_t len;
};

/* ---- ledger_row.c ---- */

void ledger_head_name(const char *job, char to[LEDGER_NOTE_NAME]);
void ledger_row_name(const char *job, unsigned shard,
		     char to[LEDGER_NOTE_NAME]);

/* malloc'd; -ENOMEM. */
int ledger_head_pack(const struct ledger_head *h, uint8_t **ret, size_t *len);
int ledger_row_pack(const struct ledger_row *r, uint8_t **ret, size_t *len);
/* -EUCLEAN where they are not what these make.  A row that was unpacked is
 * released by ledger_row_release. */
int ledger_head_unpack(const void *bytes, size_t len, struct ledger_head *ret);
int ledger_row_unpack(const void *bytes, size_t len, struct ledger_row *ret);
void ledger_row_release(struct ledger_row *r);

int ledger_add_failed(struct ledger_row *r, const void *key, size_t len);
void ledger_drop_failed(struct ledger_row *r, const void *key, size_t len);

/* ---- ledger_hold.c ---- */

struct ledger_hold {
	struct blt *store;
	char job[LEDGER_NAME_MAX + 1];
	unsigned shard; /* 0: all */
	int fd;         /* the engine's lock, or -1 */
	struct ledger_hold *next;
};

/* -EBUSY, after so many milliseconds (-1: for ever). */
int ledger_hold_take(struct blt *store, const char *job, unsigned shard,
		     int wait_ms, struct ledger_hold **ret);
void ledger_hold_release(struct ledger_hold *h); /* NULL is fine */
/* Whether the engine can tell who has it. */
bool ledger_hold_is_sure(const struct blt *store);

/* ---- ledger_list.c ---- */

/* The note of that name; freed by the caller. */
int ledger_note_get(struct blt *store, const char *name,
		    struct ledger_note *ret);
/* All notes of jobs, copied, so that the store is free when they are used. */
struct ledger_copies {
	struct ledger_copy {
		char *name; /* it begins with "job/" */
		struct ledger_note note;
		bool running; /* a row's */
	} * at;
	size_t n, room, bytes;
};

/* -E2BIG: too many for memory.  Only what succeeded is dropped. */
int ledger_copies_take(struct blt *store, struct ledger_copies *ret);
int ledger_copies_add(struct ledger_copies *c, const void *name,
		      size_t name_len, const void *bytes, size_t len);
void ledger_copies_drop(struct ledger_copies *c);
/* As ledger_each.  Sorts them. */
int ledger_copies_tell(struct ledger_copies *all, const char *job,
		       ledger_fn *fn, void *arg);

/* Deletes all of a job's notes in one batch: 0, -ESTALE where one has changed
 * since, or an error. */
int ledger_delete(struct blt *store, const char *job);

#endif
