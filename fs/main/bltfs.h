/* bltfs.h - one mount: what all operations share.
 *
 * Everything but the lock and the atomics is set before the first request and
 * stays.  The order of the locks is in inode.h.
 */
#ifndef FS_BLTFS_H
#define FS_BLTFS_H

#include "blt.h"
#include "inode/inode.h"
#include "main/options.h"
#include "file/write_buffer.h"
#include "main/stats.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct absent;
struct seq_positions;
struct cache_validity;
struct control;
struct fuse_session;
struct notify_queue;
struct syncer;
struct txns;
struct uring;

/* A transaction is one, too: with a store that is one (blt_txn_begin), and
 * inodes and names of its own.  It has no notify_queue and no cache_validity,
 * since the kernel keeps nothing of it, no syncer, and no control. */
struct bltfs {
	const struct options *opts;
	struct blt *store;
	struct blt_ns *ns;
	struct blt_info info; /* as the store was at the mount */
	bool takes_empty;     /* so markers may be written */
	bool takes_links;     /* and symbolic links */
	bool keeps_attrs;     /* modes and owners (rights.h), user.* */
	bool clears_ids;      /* set-ID bits: the kernel leaves that to us */
	struct inodes *inodes;
	struct notify_queue *notify_queue;
	struct cache_validity
		*cache_validity; /* NULL: nobody else changes the store */
	struct syncer *syncer;   /* NULL: read only */
	struct control *control; /* NULL: none */
	struct absent *absent; /* names that were none; NULL: a store at hand */
	struct seq_positions *seq_positions; /* links to positions */
	struct txns *txns;                   /* NULL: none can be made */
	bool is_txn;
	struct write_buffer_pool pool;
	struct stats stats;
	struct fuse_session *session;
	struct uring *uring;
	uint64_t init_unique; /* INIT's number, once the loop has read it */
	/* by the loop, once INIT is answered; rc: -errno where the transport
	 * that was prepared could not begin */
	void (*live)(struct bltfs *fs, int rc);
	pthread_rwlock_t names;
	_Atomic uint64_t moves; /* renames of directories so far */
	atomic_bool complete;   /* the tree's walk has ended */
	atomic_bool told_text;  /* that keys are text, to who needs that */
	atomic_bool changed;    /* jobs have changed names (cache_validity.h) */
};

/* Makes the lock. */
void bltfs_init_names(struct bltfs *fs);
/* At the end, when no request can come: what is still open is closed as its
 * owner would have.  0, or an error, which has been logged. */
int bltfs_close_open(struct bltfs *fs);

static inline void bltfs_share_names(struct bltfs *fs)
{
	pthread_rwlock_rdlock(&fs->names);
}

static inline void bltfs_own_names(struct bltfs *fs)
{
	pthread_rwlock_wrlock(&fs->names);
}

static inline void bltfs_leave_names(struct bltfs *fs)
{
	pthread_rwlock_unlock(&fs->names);
}

#endif
