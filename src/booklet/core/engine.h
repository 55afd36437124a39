/* engine.h - what one change touches: the bytes, the directories, the
 * snapshots.
 *
 * struct engine is the store below its public face; batch.c, snapshot.c and the
 * whole-file operations work on it.
 */
#ifndef BLT_ENGINE_H
#define BLT_ENGINE_H

#include "booklet/log/wal.h"
#include "booklet/format/marker.h"
#include "booklet/format/serial.h"
#include "booklet/dirindex/dirindex.h"
#include "base/listeners.h"

struct snapshot;
struct reservation;

/* A value of so many bytes is not copied where its key changes
 * (maintain.h): that costs some fsyncs. */
#define REKEY_LEAST ((uint64_t)4 << 20)

/* An index move under way; under engine.whole. */
struct growth {
	enum { GROWTH_NONE, GROWTH_FILL, GROWTH_MOVE } stage;
	uint32_t n_buckets;
	uint64_t pos;       /* where the new index will be */
	uint64_t place;     /* bytes there: the index, and what must be dead
			     * behind it */
	uint64_t dead;      /* the dead block that is being filled, */
	uint64_t dead_len;  /* its length, */
	uint64_t filled;    /* and up to where its bytes are entries */
	uint64_t fill_step; /* bytes, and buckets, in one step; 0: the usual */
	uint32_t move_step;
	uint64_t keys; /* moved, hidden ones counted */
};

struct engine {
	struct wal wal;
	pthread_mutex_t whole; /* held through work on the whole file (growth,
				* prune, trim): one of them at a time; taken
				* before all locks of the space */
	struct growth growth;
	atomic_bool growing;          /* growth.stage, or wal.next, says so */
	_Atomic uint64_t compactions; /* times that live blocks have moved:
				       * counted before the first byte of what
				       * they leave is used again */
	struct snapshot *snapshots;   /* under wal.lock */
	struct reservation *reservations; /* under wal.lock, and wal.write */
	bool walking;                /* the tree is being filled; changed with
				      * wal.write and wal.lock held */
	uint64_t walk_pos;           /* up to here; under wal.write */
	uint64_t walk_end;           /* of what is walked; likewise */
	atomic_bool live_known;      /* the walk has met all blocks: */
	_Atomic int64_t live_bytes;  /* of blocks that live, heads counted */
	atomic_uint waiting;         /* writers in front of wal.write: whoever
				      * holds it for work that can wait gives way */
	uint8_t key[FORMAT_KEY_MAX]; /* scratch, under wal.write */
	uint64_t prune_chunk;        /* bytes a step; 0: as prune has it */
	uint64_t punch_page;         /* the least hole that is worth punching;
				      * 0: the filesystem's block */
	size_t punch_runs;     /* merged by one commit; 0: as trim has it */
	uint64_t rename_least; /* 0: REKEY_LEAST */
	uint64_t lay_least;    /* 0: as batch_stage.c has it */
	_Atomic(struct dirindex *) dirindex; /* NULL until somebody asks for it;
					      * set with wal.write held */
	struct listeners listeners; /* told of each key that a commit changes */
};

/* marker_is, of a store that has directories: keys that are numbers have none.
 */
static inline bool engine_is_marker(const struct engine *e, const void *key,
				    size_t key_len, const void *value,
				    size_t value_len)
{
	bool is_signed;

	return marker_is(key, key_len, value, value_len) &&
	       !serial_int_width(e->wal.fmt.key_serializer, &is_signed);
}

static inline bool rename_pays(const struct engine *e, uint64_t value_len)
{
	uint64_t least = e->rename_least ? e->rename_least : REKEY_LEAST;

	return value_len >= least && !e->wal.fmt.fixed;
}

#endif
