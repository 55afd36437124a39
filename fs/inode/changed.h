/* changed.h - what a job changed behind the kernel.
 *
 * The kernel keeps names, listings, attributes and pages until it is told
 * otherwise.  These tell it, for one key that was put or deleted by others
 * than the requests, and for all.  To be called behind the change, from any
 * thread but one that answers a request, with no lock held; may wait for the
 * tree's walk.
 */
#ifndef FS_CHANGED_H
#define FS_CHANGED_H

#include "main/bltfs.h"

#include <stdbool.h>
#include <stddef.h>

void changed_any(struct bltfs *fs);
void changed_key(struct bltfs *fs, const void *key, size_t len);

/* The reverse: a request is about to put a name whose directory such a change
 * took away, or (stored) the name itself, while somebody had it open.  Then the
 * kernel takes for missing what is there again when it is put, and
 * changed_back tells it.  names is held, and the node's lock may be. */
bool changed_lost(struct bltfs *fs, struct node *node, bool stored);
void changed_back(struct bltfs *fs, struct node *node);

#endif
