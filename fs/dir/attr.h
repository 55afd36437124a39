/* attr.h - what stat(2) shows of an inode.
 *
 * The caller holds names shared (inode.h).  Modes come from the mount's
 * options: a store keeps none.
 */
#ifndef FS_ATTR_H
#define FS_ATTR_H

#include "main/bltfs.h"

#include <sys/stat.h>

/* 0, -ENOENT, -ESTALE, ...  known: what a lookup or listing just found in the
 * store, or NULL: then the store is asked. */
int attr_get(struct bltfs *fs, struct inode *inode,
	     const struct blt_stat *known, struct stat *ret);

#endif
