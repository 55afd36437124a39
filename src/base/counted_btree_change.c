/* counted_btree_change.c - the memory of an order, inserting and removing.
 *
 * A leaf's memory is what its entries need and an eighth more.  A split takes
 * the memory for all that it may need on its way up before it changes anything.
 */
#include "base/counted_btree_inner.h"

#include "base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void *(*btree_realloc)(void *p, size_t size) = realloc;

/* ---- memory ---- */

static size_t leaf_size(uint32_t cap)
{
	return sizeof(struct btree_leaf) + cap * sizeof(struct btree_entry);
}

static uint32_t cap_for(uint32_t n)
{
	return (uint32_t)min_u64(n + n / 8 + 2, BTREE_LEAF_MAX);
}

/* A leaf with room for n entries, or NULL; the old one, if there was any, has
 * then not moved. */
static struct btree_leaf *leaf_resize(struct counted_btree *o,
				      struct btree_leaf *old, uint32_t n)
{
	uint32_t cap = cap_for(n);
	struct btree_leaf *leaf = btree_realloc(old, leaf_size(cap));

	if (!leaf)
		return NULL;
	if (old)
		o->bytes -= leaf_size(leaf->cap);
	else
		leaf->n = 0;
	leaf->cap = cap;
	o->bytes += leaf_size(cap);
	return leaf;
}

static void leaf_free(struct counted_btree *o, struct btree_leaf *leaf)
{
	o->bytes -= leaf_size(leaf->cap);
	free(leaf);
}

static struct btree_node *node_new(struct counted_btree *o)
{
	struct btree_node *node = btree_realloc(NULL, sizeof(*node));

	if (node) {
		node->n = 0;
		o->bytes += sizeof(*node);
	}
	return node;
}

static void node_free(struct counted_btree *o, struct btree_node *node)
{
	o->bytes -= sizeof(*node);
	free(node);
}

void btree_init(struct counted_btree *o, const struct btree_source *source)
{
	*o = (struct counted_btree){ .source = *source };
}

static void release_below(struct counted_btree *o, void *at, unsigned height)
{
	struct btree_node *node = at;

	if (height == 0) {
		leaf_free(o, at);
		return;
	}
	for (uint32_t i = 0; i < node->n; i++)
		release_below(o, node->child[i], height - 1);
	node_free(o, node);
}

void btree_release(struct counted_btree *o)
{
	if (o->root)
		release_below(o, o->root, o->height);
	o->root = NULL;
	o->height = 0;
	o->count = 0;
}

/* ---- what a node knows of its children ---- */

static void open_gap(struct btree_node *node, uint32_t at)
{
	size_t n = node->n - at;

	memmove(&node->first[at + 1], &node->first[at],
		n * sizeof(node->first[0]));
	memmove(&node->count[at + 1], &node->count[at],
		n * sizeof(node->count[0]));
	memmove(&node->child[at + 1], &node->child[at],
		n * sizeof(node->child[0]));
	node->n++;
}

static void close_gap(struct btree_node *node, uint32_t at)
{
	size_t n = node->n - at - 1;

	memmove(&node->first[at], &node->first[at + 1],
		n * sizeof(node->first[0]));
	memmove(&node->count[at], &node->count[at + 1],
		n * sizeof(node->count[0]));
	memmove(&node->child[at], &node->child[at + 1],
		n * sizeof(node->child[0]));
	node->n--;
}

/* Moves the children of from, from the given one on, behind those of to. */
static void move_children(struct btree_node *to, struct btree_node *from,
			  uint32_t at)
{
	size_t n = from->n - at;

	memcpy(&to->first[to->n], &from->first[at], n * sizeof(from->first[0]));
	memcpy(&to->count[to->n], &from->count[at], n * sizeof(from->count[0]));
	memcpy(&to->child[to->n], &from->child[at], n * sizeof(from->child[0]));
	to->n += (uint32_t)n;
	from->n = at;
}

static uint64_t node_count(const struct btree_node *node)
{
	uint64_t count = 0;

	for (uint32_t i = 0; i < node->n; i++)
		count += node->count[i];
	return count;
}

/* Tells the nodes of a path that so many entries more stand below, and which is
 * the least one now. */
static void tell_path(struct counted_btree *o, struct btree_path *p,
		      int64_t more)
{
	struct btree_entry first = p->leaf->entry[0];

	for (unsigned level = o->height; level-- > 0;) {
		struct btree_node *node = p->step[level].node;
		uint32_t at = p->step[level].at;

		node->first[at] = first;
		node->count[at] += (uint64_t)more;
		first = node->first[0];
	}
	o->count += (uint64_t)more;
}

/* ---- insert ---- */

/* A root above the old one, of which it is the only child. */
static int raise_root(struct counted_btree *o)
{
	struct btree_node *root;

	if (o->height == BTREE_HEIGHT_MAX)
		return -EFBIG;
	root = node_new(o);
	if (!root)
		return -ENOMEM;
	root->n = 1;
	root->first[0] = o->height > 0 ?
				 ((struct btree_node *)o->root)->first[0] :
				 ((struct btree_leaf *)o->root)->entry[0];
	root->count[0] = o->count;
	root->child[0] = o->root;
	o->root = root;
	o->height++;
	return 0;
}

static void add_child(struct btree_node *node, uint32_t at, void *child,
		      const struct btree_entry *first, uint64_t count)
{
	open_gap(node, at);
	node->child[at] = child;
	node->first[at] = *first;
	node->count[at] = count;
}

/* Cuts the full node that is a child in two; its parent has room. */
static int split_node(struct counted_btree *o, struct btree_node *parent,
		      uint32_t at)
{
	struct btree_node *left = parent->child[at], *right = node_new(o);
	uint64_t count;

	if (!right)
		return -ENOMEM;
	move_children(right, left, BTREE_NODE_MAX / 2);
	count = node_count(right);
	parent->count[at] -= count;
	add_child(parent, at + 1, right, &right->first[0], count);
	return 0;
}

/* The same for a leaf. */
static int split_leaf(struct counted_btree *o, struct btree_node *parent,
		      uint32_t at)
{
	struct btree_leaf *left = parent->child[at], *right, *less;
	uint32_t n = left->n / 2;

	right = leaf_resize(o, NULL, left->n - n);
	if (!right)
		return -ENOMEM;
	right->n = left->n - n;
	memcpy(right->entry, &left->entry[n],
	       right->n * sizeof(right->entry[0]));
	left->n = n;
	parent->count[at] -= right->n;
	add_child(parent, at + 1, right, &right->entry[0], right->n);
	less = leaf_resize(o, left, n);
	if (less)
		parent->child[at] = less;
	return 0;
}

/* The leaf that a new entry goes to alone, beside a full one that it does not
 * stand within, so that what grows at an end stays full; or both halves of the
 * full one.  The path then leads to the entry's place. */
static int make_room(struct counted_btree *o, struct btree_path *p)
{
	struct btree_node *parent = p->step[o->height - 1].node;
	uint32_t *at = &p->step[o->height - 1].at;
	static const struct btree_entry none;
	struct btree_leaf *left;
	int rc;

	if (p->at > 0 && p->at < p->leaf->n) {
		rc = split_leaf(o, parent, *at);
		if (rc < 0)
			return rc;
		left = parent->child[*at];
		p->leaf = left;
		if (p->at > left->n) {
			p->at -= left->n;
			p->leaf = parent->child[++*at];
		}
		return 0;
	}
	left = leaf_resize(o, NULL, 1);
	if (!left)
		return -ENOMEM;
	*at += p->at > 0;
	add_child(parent, *at, left, &none, 0);
	p->leaf = left;
	p->at = 0;
	return 0;
}

/* Descends, and splits full nodes on the way until a full leaf's parent has
 * room for another one. */
static int make_way(struct counted_btree *o, const struct order_wanted *w,
		    struct btree_path *p)
{
	for (;;) {
		unsigned level = o->height;
		int rc = btree_descend(o, w, p);

		if (rc < 0 || p->found || p->leaf->n < BTREE_LEAF_MAX)
			return rc;
		while (level > 0 &&
		       p->step[level - 1].node->n == BTREE_NODE_MAX)
			level--;
		if (level == 0)
			rc = raise_root(o);
		else if (level == o->height)
			return 0;
		else
			rc = split_node(o, p->step[level - 1].node,
					p->step[level - 1].at);
		if (rc < 0)
			return rc;
	}
}

/* The leaf of a path has another place in memory. */
static void put_leaf(struct counted_btree *o, struct btree_path *p,
		     struct btree_leaf *leaf)
{
	if (o->height == 0)
		o->root = leaf;
	else
		p->step[o->height - 1].node->child[p->step[o->height - 1].at] =
			leaf;
	p->leaf = leaf;
}

int btree_insert(struct counted_btree *o, const void *name, size_t len,
		 uint64_t ref)
{
	struct order_wanted w = order_wanted_of(name, len, ref);
	struct btree_path p;
	struct btree_leaf *leaf;
	int rc;

	if (!o->root)
		o->root = leaf_resize(o, NULL, 1);
	if (!o->root)
		return -ENOMEM;
	rc = make_way(o, &w, &p);
	if (rc < 0 || p.found)
		return rc;
	if (p.leaf->n == BTREE_LEAF_MAX)
		rc = make_room(o, &p);
	if (rc < 0)
		return rc;
	if (p.leaf->n == p.leaf->cap) {
		leaf = leaf_resize(o, p.leaf, p.leaf->n + 1);
		if (!leaf)
			return -ENOMEM;
		put_leaf(o, &p, leaf);
	}
	leaf = p.leaf;
	memmove(&leaf->entry[p.at + 1], &leaf->entry[p.at],
		(leaf->n - p.at) * sizeof(leaf->entry[0]));
	leaf->entry[p.at] = w.entry;
	leaf->n++;
	tell_path(o, &p, 1);
	return 1;
}

/* ---- remove ---- */

/* Puts what two neighbouring leaves hold into the left one, where that is
 * little; memory that is not to be had leaves them as they are. */
static bool merge_leaves(struct counted_btree *o, struct btree_node *node,
			 uint32_t at)
{
	struct btree_leaf *left = node->child[at], *right = node->child[at + 1];

	if (left->n + right->n > BTREE_LEAF_MAX / 2)
		return false;
	if (left->cap < left->n + right->n) {
		left = leaf_resize(o, left, left->n + right->n);
		if (!left)
			return false;
		node->child[at] = left;
	}
	memcpy(&left->entry[left->n], right->entry,
	       right->n * sizeof(right->entry[0]));
	left->n += right->n;
	leaf_free(o, right);
	return true;
}

static bool merge_nodes(struct counted_btree *o, struct btree_node *node,
			uint32_t at)
{
	struct btree_node *left = node->child[at], *right = node->child[at + 1];

	if (left->n + right->n > BTREE_NODE_MAX / 2)
		return false;
	move_children(left, right, 0);
	node_free(o, right);
	return true;
}

/* Two neighbours below a node become one where they hold little. */
static bool merge(struct counted_btree *o, struct btree_node *node, uint32_t at,
		  bool leaves)
{
	uint64_t count;

	if (at + 1 >= node->n)
		return false; /* no right neighbour, or gone itself */
	count = node->count[at + 1];
	if (!(leaves ? merge_leaves(o, node, at) : merge_nodes(o, node, at)))
		return false;
	node->count[at] += count;
	close_gap(node, at + 1);
	return true;
}

/* An empty leaf of the path goes, and the nodes that are empty without it.  The
 * number of levels that are left. */
static unsigned drop_leaf(struct counted_btree *o, struct btree_path *p)
{
	unsigned levels = o->height;

	leaf_free(o, p->leaf);
	for (; levels > 0; levels--) {
		struct btree_node *node = p->step[levels - 1].node;

		close_gap(node, p->step[levels - 1].at);
		if (node->n > 0)
			break;
		node_free(o, node);
	}
	for (unsigned level = levels; level-- > 1;)
		p->step[level - 1].node->first[p->step[level - 1].at] =
			p->step[level].node->first[0];
	if (levels == 0) {
		o->root = NULL;
		o->height = 0;
	}
	return levels;
}

/* Neighbours on the path, which is that many levels long, that hold little
 * become one; so does a root of one child with that child. */
static void fold(struct counted_btree *o, struct btree_path *p, unsigned levels)
{
	for (unsigned level = levels; level-- > 0;) {
		struct btree_node *node = p->step[level].node;
		uint32_t at = p->step[level].at;
		bool leaves = level + 1 == o->height;

		if (!merge(o, node, at, leaves) && at > 0)
			merge(o, node, at - 1, leaves);
	}
	while (o->height > 0 && ((struct btree_node *)o->root)->n == 1) {
		struct btree_node *root = o->root;

		o->root = root->child[0];
		o->height--;
		node_free(o, root);
	}
}

int btree_remove(struct counted_btree *o, const void *name, size_t len,
		 uint64_t ref)
{
	struct order_wanted w = order_wanted_of(name, len, ref);
	unsigned levels = o->height;
	struct btree_path p;
	struct btree_leaf *leaf, *less;
	int rc;

	if (!o->root)
		return 0;
	rc = btree_descend(o, &w, &p);
	if (rc < 0 || !p.found)
		return rc;
	leaf = p.leaf;
	leaf->n--;
	memmove(&leaf->entry[p.at], &leaf->entry[p.at + 1],
		(leaf->n - p.at) * sizeof(leaf->entry[0]));
	tell_path(o, &p, -1);
	if (leaf->n == 0) {
		levels = drop_leaf(o, &p);
	} else if (leaf->cap > cap_for(cap_for(leaf->n))) {
		less = leaf_resize(o, leaf, leaf->n);
		if (less)
			put_leaf(o, &p, less);
	}
	fold(o, &p, levels);
	return 1;
}

int btree_replace(struct counted_btree *o, const void *name, size_t len,
		  uint64_t from, uint64_t to)
{
	struct order_wanted w = order_wanted_of(name, len, from);
	struct btree_path p;
	int rc;

	if (!o->root)
		return 0;
	rc = btree_descend(o, &w, &p);
	if (rc < 0 || !p.found)
		return rc;
	p.leaf->entry[p.at].ref = to;
	tell_path(o, &p, 0);
	return 1;
}
