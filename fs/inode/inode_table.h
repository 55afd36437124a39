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
	struct inode **by_key, **by_ino, **by_fresh; /* size chains each */
	size_t size;                                 /* a power of two */
	size_t count;
	struct inode *fresh; /* all of them, as a list */
};

/* With the lock held: the inode is not fresh any more, if it was. */
void inodes_unfresh(struct inodes *t, struct inode *inode);

/* With the lock held: a fresh inode's place by the name and the directory that
 * it has; both do nothing where it is not fresh. */
void inodes_link_fresh(struct inodes *t, struct inode *inode);
void inodes_unlink_fresh(struct inodes *t, struct inode *inode);

#endif
