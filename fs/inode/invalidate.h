/* invalidate.h - what a job changed behind the kernel.
 *
 * The kernel keeps names, listings, attributes and pages until it is told
 * otherwise.  These tell it, for one key that was put or deleted by others
 * than the requests, and for all.  To be called behind the change, from any
 * thread but one that answers a request, with no lock held; may wait for the
 * tree's walk.
 */
#ifndef FS_INVALIDATE_H
#define FS_INVALIDATE_H

#include "main/bltfs.h"

#include <stdbool.h>
#include <stddef.h>

void invalidate_any(struct bltfs *fs);
void invalidate_key(struct bltfs *fs, const void *key, size_t len);

/* The reverse: a request is about to put a name whose directory such a change
 * took away, or (stored) the name itself, while somebody had it open.  Then the
 * kernel takes for missing what is there again when it is put, and
 * invalidate_back tells it.  names is held, and the inode's lock may be. */
bool invalidate_lost(struct bltfs *fs, struct inode *inode, bool stored);
void invalidate_back(struct bltfs *fs, struct inode *inode);

#endif
