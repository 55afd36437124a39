/* batch.h - the only write path: several changes as one.
 *
 *   struct batch b;
 *   rc = batch_begin(&b, engine);
 *   if (rc < 0) return rc;
 *   rc = batch_put(&b, ...);               any number of operations
 *   return batch_end(&b, rc);              commits if rc is 0, else undoes
 *
 * Operations see what earlier ones of the batch did; readers see all of it or
 * nothing.  Between begin and end the engine's write lock is held.
 *
 * Appended blocks go to the head of their chain, which needs the fewest
 * changes elsewhere: one for a new key, two for an overwrite.
 */
#ifndef BLT_BATCH_H
#define BLT_BATCH_H

#include "booklet/core/engine.h"
#include "booklet/core/index.h"

/* One key's block went from old_pos (0: was not there) to new_pos (0: is gone).
 * The followers of keys are not told of hidden entries and of times. */
enum batch_event_kind { BATCH_KEY, BATCH_HIDDEN, BATCH_TIME };

struct batch_event {
	enum batch_event_kind kind;
	bool moved; /* the same value and time in another place */
	uint64_t old_pos;
	uint64_t new_pos;
	int64_t old_time; /* BATCH_TIME: what old_pos had */
};

struct batch {
	struct engine *engine;
	struct batch_event *event;
	size_t n_events, room_events;
	struct batch_event
		first[4]; /* so that small batches allocate nothing */
	int64_t more_keys;
	int64_t more_bytes; /* of live blocks */
	bool keep_lock;
	bool logged;            /* its record is written before it is seen */
	bool no_snapshots;      /* -EBUSY at the end where there are any */
	int (*also)(void *arg); /* may be set: as wal_publish's */
	void *also_arg;
};

static inline struct batch_event *batch_events(struct batch *b)
{
	return b->event ? b->event : b->first;
}

/* A value: in memory (bytes), or read by a function. */
struct batch_value {
	const void *bytes;
	uint64_t len;
	int (*read)(void *arg, void *buf, size_t n, uint64_t offset);
	void *arg;
};

/* What a key may become longer by, where it changes in its place. */
#define BATCH_KEY_SLACK 256u

struct batch_key {
	const void *bytes;
	size_t len;
	struct keyhash hash;
};

int batch_begin(struct batch *b, struct engine *engine); /* -EROFS, -EIO */

/* The same; batch_end then hands the commit to the kernel, as a flush does,
 * before anybody sees it, and where that fails, nothing has changed. */
int batch_begin_logged(struct batch *b, struct engine *engine);

/* The same where the caller holds the write lock, and keeps it. */
void batch_begin_locked(struct batch *b, struct engine *engine);

/* With no lock held, between two commits of work that can wait: lets those who
 * want to commit go first.  A mutex that is taken again at once is had by
 * nobody else. */
void batch_give_way(struct engine *engine);

int batch_put(struct batch *b, const struct batch_key *key,
	      const struct batch_value *value, int64_t timestamp);
/* The block of key that stands at pos, below the log's beginning and inside
 * what was a dead block until now, lives: with this timestamp. */
int batch_adopt(struct batch *b, const struct batch_key *key, uint64_t pos,
		int64_t timestamp);
int batch_delete(struct batch *b, const struct batch_key *key); /* -ENOENT */
int batch_touch(struct batch *b, const struct batch_key *key,
		int64_t timestamp);
int batch_rename(struct batch *b, const struct batch_key *from,
		 const struct batch_key *to);
int batch_exchange(struct batch *b, const struct batch_key *one,
		   const struct batch_key *two);

/* 0, -EEXIST: the key is there, or another error. */
int batch_absent(struct batch *b, const struct batch_key *key);

/* Its value as it is now, malloc'd; -ENOENT; -EFBIG: over max bytes. */
int batch_read(struct batch *b, const struct batch_key *key, size_t max,
	       uint8_t **ret, size_t *ret_len);

/* Whether key has still the value that stood at value_pos: 1, 0, or negative.
 * The bytes there must be as they were. */
int batch_holds(struct batch *b, const struct batch_key *key,
		uint64_t value_pos);

/* Writes the block's value, with its timestamp, as that of key: its own key to
 * move it to the end, another to copy it. */
int batch_copy(struct batch *b, const struct batch_key *key,
	       const struct block *from);

/* Writes the block at pos, if it lives, anew at the end; *ret_len is its
 * length.  -EUCLEAN: as batch_move. */
int batch_away(struct batch *b, uint64_t pos, uint64_t *ret_len);

/* The block at from, whose bytes stand at to already, is now there; dead, if it
 * is so by now.  in_gap: the gap has its old place from this commit on, so
 * that it need not be made dead there.  -EUCLEAN: a lookup of its key finds
 * another. */
int batch_move(struct batch *b, uint64_t from, uint64_t to, bool in_gap);

/* Commits where rc is 0; undoes all otherwise.  Returns the first error. */
int batch_end(struct batch *b, int rc);

#endif
