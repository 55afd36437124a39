/* lmdb_times.h - when values became what they are, as far as this process has
 * seen: an environment keeps no times.
 *
 *   seen = lmdb_times_look(t, key, version, arg, ...);    a value that is read
 *   lmdb_times_set(t, key, version, time, view);          one that was put
 *   lmdb_times_move(t, from, to, version, view);
 *   lmdb_times_forget(t, key);
 *
 * A file's time stays while its value does.  Of what nobody here has changed it
 * is that of the environment when it was opened; of what was put, the time that
 * the put gave; of what others have changed, the time at which that was met.
 * Whether a value is another tells its version (lmdb_version), which is looked
 * at only where others have committed since.
 *
 * Memory is bounded: of the last 262,144 keys or so the times are known (10
 * MiB).  Where a time must be forgotten, all that are not known become that
 * time: a file may look newer than it is, never older than it was shown, but
 * for a time in the future.
 *
 * Ownership: nothing is borrowed.  Errors: none; without memory less is known.
 * Threads: any.
 */
#ifndef BLT_LMDB_TIMES_H
#define BLT_LMDB_TIMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lmdb_times;

/* The time of all that is not known: microseconds. */
struct lmdb_times *lmdb_times_new(int64_t opened); /* NULL: no memory */
void lmdb_times_free(struct lmdb_times *t);        /* NULL is fine */

/* A key, by its hash. */
uint64_t lmdb_times_key(const void *key, size_t len);

/* What was read, or is committed: the number of the transaction, and how many
 * commits of others (lmdb_commits_until) are in it. */
struct lmdb_view {
	uint64_t txn, others;
};

/* version is asked for only where it is needed: it is not 0, and comes with
 * when the environment was changed last. */
typedef uint64_t lmdb_version_fn(const void *arg, int64_t *ret_changed);
int64_t lmdb_times_look(struct lmdb_times *t, uint64_t key,
			struct lmdb_view view, lmdb_version_fn *version,
			const void *arg);
/* version 0: it is not known. */
void lmdb_times_set(struct lmdb_times *t, uint64_t key, uint64_t version,
		    int64_t time, struct lmdb_view view);
/* The time alone. */
void lmdb_times_touch(struct lmdb_times *t, uint64_t key, int64_t time);
void lmdb_times_move(struct lmdb_times *t, uint64_t from, uint64_t to,
		     uint64_t version, struct lmdb_view view);
void lmdb_times_exchange(struct lmdb_times *t, uint64_t one, uint64_t two,
			 struct lmdb_view view);
void lmdb_times_forget(struct lmdb_times *t, uint64_t key);
/* All values have other places, and are the same. */
void lmdb_times_moved(struct lmdb_times *t);

#endif
