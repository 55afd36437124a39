/* node_table.h - the table of the nodes.
 *
 * Internal to node*.c; the lock is a leaf (node.h).
 */
#ifndef FS_NODE_TABLE_H
#define FS_NODE_TABLE_H

#include "inode/node.h"

struct nodes {
	pthread_mutex_t lock;
	struct bltfs *fs;
	uint64_t salt;
	struct node *root;
	struct node **by_key, **by_ino; /* size chains each */
	size_t size;                    /* a power of two */
	size_t count;
	struct node *fresh;
};

/* The node is not fresh any more, if it was; the lock is held. */
void nodes_unfresh(struct nodes *t, struct node *node);

#endif
