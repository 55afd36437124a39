/* cache_validity.h - what the kernel keeps of a store that others change, too.
 *
 * Of such a store (struct blt_info, shared) the kernel keeps no names and no
 * attributes: it asks each time, so each lookup and stat shows what is there.
 * It does keep a file's pages and a directory's listing, as long as no other
 * process has changed anything.  A count says so, at next to no cost
 * (blt_changes_by_others):
 *
 *   at an open    cache_validity_opened says whether what the kernel kept is
 *                 still right; if not, the kernel drops it with the answer
 *   at a read     cache_validity_read notes what it is right for
 *   in between    a thread looks every so often, and has the kernel forget what
 *                 it keeps of open and mapped files
 *
 *   cache_validity_new(fs, ms, &fs->cache_validity);   behind the notifier
 *   cache_validity_stop(fs->cache_validity);           before that stops
 *   cache_validity_free(fs->cache_validity);           once nothing is open
 *
 * Where fs->cache_validity is NULL all these may be called, too.  Errors:
 * -errno.  Threads: any; no lock need be held, and no inode's may be.
 */
#ifndef FS_CACHE_VALIDITY_H
#define FS_CACHE_VALIDITY_H

#include "main/bltfs.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cache_validity;
struct bltfs;
struct inode;

/* One open file or directory. */
struct cache_validity_open {
	struct cache_validity_open *next,
		**at; /* of all; under struct cache_validity's lock */
	struct inode *inode;
	/* The kernel dropped what it kept when this was opened: 1 + the count
	 * of then, until the first reading; or 0. */
	_Atomic uint64_t dropped;
};

int cache_validity_new(struct bltfs *fs, unsigned ms,
		       struct cache_validity **ret);
void cache_validity_stop(struct cache_validity *b); /* NULL is fine */
void cache_validity_free(struct cache_validity *b); /* NULL is fine */

/* Whether the kernel may go on with what it keeps of the inode: 1, 0.  Where
 * values have tokens (struct blt_info) the store is asked: -ESTALE where the
 * key has gone, and nothing is open then; the kernel looks the name up again.
 */
int cache_validity_opened(struct bltfs *fs, struct inode *inode,
			  struct cache_validity_open *o);
/* Something of it was read, and is about to be answered. */
void cache_validity_read(struct bltfs *fs, struct cache_validity_open *o);
void cache_validity_closed(struct bltfs *fs, struct cache_validity_open *o);

/* What a job changed behind the kernel.
 *
 * The kernel keeps names, listings, attributes and pages until it is told
 * otherwise.  These tell it, for one key that was put or deleted by others
 * than the requests, and for all.  To be called behind the change, from any
 * thread but one that answers a request, with no lock held; may wait for the
 * tree's walk.
 */

void invalidate_any(struct bltfs *fs);
void invalidate_key(struct bltfs *fs, const void *key, size_t len);

/* The reverse: a request is about to put a name whose directory such a change
 * took away, or (stored) the name itself, while somebody had it open.  Then the
 * kernel takes for missing what is there again when it is put, and
 * invalidate_back tells it.  names is held, and the inode's lock may be. */
bool invalidate_lost(struct bltfs *fs, struct inode *inode, bool stored);
void invalidate_back(struct bltfs *fs, struct inode *inode);

#endif
