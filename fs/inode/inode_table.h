/* inode_table.h - the table of the inodes.
 *
 * Internal to inode*.c; the lock is a leaf (inode.h).
 */
#ifndef FS_INODE_TABLE_H
#define FS_INODE_TABLE_H

#include "inode/inode.h"

struct inodes {
	pthread_mutex_t lock;
	struct bltfs *fs;
	uint64_t salt;
	struct inode *root;
	struct inode **by_key, **by_ino; /* size chains each */
	size_t size;                     /* a power of two */
	size_t count;
	struct inode *fresh;
};

/* The inode is not fresh any more, if it was; the lock is held. */
void inodes_unfresh(struct inodes *t, struct inode *inode);

#endif
