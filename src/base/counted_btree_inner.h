/* counted_btree_inner.h - what counted_btree.c (lookups) and
 * counted_btree_change.c share.
 *
 * Invariants:
 *   - leaves hold 1 to BTREE_LEAF_MAX entries, nodes 1 to BTREE_NODE_MAX
 *     children, all leaves stand at the same depth, and the root is no node of
 *     one child;
 *   - a node knows the least entry and the number of entries below each child;
 *   - a child and its right neighbour in the same node are together more than
 *     half of what one may hold, but for a leaf that has just been split off at
 *     an end: so memory stays in proportion to what is there.
 */
#ifndef BLT_COUNTED_BTREE_INNER_H
#define BLT_COUNTED_BTREE_INNER_H

#include "base/counted_btree.h"

#define BTREE_LEAF_MAX 256u
#define BTREE_NODE_MAX 64u
#define BTREE_HEIGHT_MAX 12u

struct btree_leaf {
	uint32_t n, cap;
	struct btree_entry entry[];
};

struct btree_node {
	uint32_t n;
	struct btree_entry first[BTREE_NODE_MAX];
	uint64_t count[BTREE_NODE_MAX];
	void *child[BTREE_NODE_MAX];
};

/* The way from the root to a place in a leaf: step[0] is the root's. */
struct btree_path {
	struct {
		struct btree_node *node;
		uint32_t at;
	} step[BTREE_HEIGHT_MAX];
	struct btree_leaf *leaf;
	uint32_t at;
	uint64_t rank; /* of that place */
	bool found;
};

/* What is looked for. */
struct order_wanted {
	const uint8_t *name;
	size_t len;
	struct btree_entry entry;
};

struct order_wanted order_wanted_of(const void *name, size_t len, uint64_t ref);

/* Where the wanted entry stands, or would; the order is not empty. */
int btree_descend(const struct counted_btree *o, const struct order_wanted *w,
		  struct btree_path *p);

#endif
