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

#include "bltfs.h"

#include <stddef.h>

void changed_any(struct bltfs *fs);
void changed_key(struct bltfs *fs, const void *key, size_t len);

#endif
