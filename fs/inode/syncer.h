/* syncer.h - makes what was written durable every few seconds, and the store a
 * plain booklet file once it rests.
 *
 *   syncer_new(store, seconds, always, &s);
 *   syncer_commit(s, bytes);         after each change; any thread
 *   syncer_free(s);
 *
 * Syncs earlier once 32 MiB have come together.  Over FUSE sync(2) does not
 * reach the daemon, so this is what bounds the loss when the machine dies.
 */
#ifndef FS_SYNCER_H
#define FS_SYNCER_H

#include <stdbool.h>
#include <stdint.h>

struct blt;
struct blt_batch;
struct syncer;

/* fn is called now and then behind changes, from the syncer's thread with no
 * lock held: after SYNCER_LOOK bytes, and with each sync.  NULL: no more; one
 * that is under way has ended then. */
#define SYNCER_LOOK (UINT64_C(4) << 20)
void syncer_watch(struct syncer *s, void (*fn)(void *arg), void *arg);

/* always: each commit is made durable at once. */
int syncer_new(struct blt *store, unsigned seconds, bool always,
	       struct syncer **ret);
void syncer_free(struct syncer *s); /* NULL is fine */

/* All these take NULL: of a transaction nothing is synced before its commit.
 *
 * Something was changed that is handed to the kernel otherwise. */
void syncer_note(struct syncer *s, uint64_t bytes);

/* Behind each change: hands it to the kernel, so that it survives the daemon,
 * and sees to the rest. */
int syncer_commit(struct syncer *s, uint64_t bytes);

/* Commits a change of names and frees the batch.  0: it survives the daemon;
 * otherwise it has not been made, and the reason is logged. */
int syncer_names(struct syncer *s, struct blt_batch *batch);

/* Behind that, and what else changes with it, as syncer_commit.  An error (each
 * change is to be durable at once, and is not) is logged, and -EIO. */
int syncer_done(struct syncer *s, uint64_t bytes);

#endif
