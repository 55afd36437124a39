/* order_inner.h - what order.c (questions) and order_change.c share.
 *
 * Invariants:
 *   - leaves hold 1 to ORDER_LEAF_MAX entries, nodes 1 to ORDER_NODE_MAX
 *     children, all leaves stand at the same depth, and the root is no node of
 *     one child;
 *   - a node knows the least entry and the number of entries below each child;
 *   - a child and its right neighbour in the same node are together more than
 *     half of what one may hold, but for a leaf that has just been split off at
 *     an end: so memory stays in proportion to what is there.
 */
#ifndef BLT_ORDER_INNER_H
#define BLT_ORDER_INNER_H

#include "base/order.h"

#define ORDER_LEAF_MAX 256u
#define ORDER_NODE_MAX 64u
#define ORDER_HEIGHT_MAX 12u

struct order_leaf {
	uint32_t n, cap;
	struct order_entry entry[];
};

struct order_node {
	uint32_t n;
	struct order_entry first[ORDER_NODE_MAX];
	uint64_t count[ORDER_NODE_MAX];
	void *child[ORDER_NODE_MAX];
};

/* The way from the root to a place in a leaf: step[0] is the root's. */
struct order_path {
	struct {
		struct order_node *node;
		uint32_t at;
	} step[ORDER_HEIGHT_MAX];
	struct order_leaf *leaf;
	uint32_t at;
	uint64_t rank; /* of that place */
	bool found;
};

/* What is looked for. */
struct order_wanted {
	const uint8_t *name;
	size_t len;
	struct order_entry entry;
};

struct order_wanted order_wanted_of(const void *name, size_t len, uint64_t ref);

/* Where the wanted entry stands, or would; the order is not empty. */
int order_descend(const struct order *o, const struct order_wanted *w,
		  struct order_path *p);

#endif
