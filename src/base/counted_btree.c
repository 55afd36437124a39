/* counted_btree.c - finding in an order; see counted_btree.h, and
 * counted_btree_inner.h for how it is built.  Its changes are
 * counted_btree_change.c's. */
#include "base/counted_btree_inner.h"

#include "base/util.h"

#include <string.h>

static uint64_t head_of(const uint8_t *name, size_t len)
{
	uint64_t head = 0;

	for (size_t i = 0; i < BTREE_HEAD; i++)
		head = head << 8 | (i < len ? name[i] : 0);
	return head << 8 | (len > BTREE_HEAD ? BTREE_HEAD + 1 : len);
}

bool btree_short_name(const struct btree_entry *e, uint8_t name[BTREE_HEAD],
		      size_t *ret_len)
{
	size_t len = e->head & 0xff;

	if (len > BTREE_HEAD)
		return false;
	for (size_t i = 0; i < len; i++)
		name[i] = (uint8_t)(e->head >> (8 * (BTREE_HEAD - i)));
	*ret_len = len;
	return true;
}

int btree_name(const struct counted_btree *o, const struct btree_entry *e,
	       uint8_t buf[BTREE_HEAD], const uint8_t **ret_name,
	       size_t *ret_len)
{
	if (!btree_short_name(e, buf, ret_len))
		return o->source.read_name(o->source.arg, e->ref, ret_name,
					   ret_len);
	*ret_name = buf;
	return 0;
}

struct order_wanted order_wanted_of(const void *name, size_t len, uint64_t ref)
{
	return (struct order_wanted){ name, len, { head_of(name, len), ref } };
}

/* *ret is below, at or above 0 as the wanted one is below, at or above e. */
static int compare(const struct counted_btree *o, const struct order_wanted *w,
		   const struct btree_entry *e, int *ret)
{
	const uint8_t *name;
	size_t len;
	int rc;

	if (w->entry.head != e->head) {
		*ret = w->entry.head < e->head ? -1 : 1;
		return 0;
	}
	*ret = 0;
	if ((e->head & 0xff) > BTREE_HEAD && w->entry.ref != e->ref) {
		rc = o->source.read_name(o->source.arg, e->ref, &name, &len);
		if (rc < 0)
			return rc;
		*ret = compare_bytes(w->name, w->len, name, len);
	}
	if (*ret == 0)
		*ret = (w->entry.ref > e->ref) - (w->entry.ref < e->ref);
	return 0;
}

/* The number of entries in a sorted row that are not above the wanted one;
 * *ret_equal: the last of them is it. */
static int search(const struct counted_btree *o, const struct order_wanted *w,
		  const struct btree_entry *row, uint32_t n, uint32_t *ret,
		  bool *ret_equal)
{
	uint32_t low = 0, high = n;

	*ret_equal = false;
	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		int sign, rc = compare(o, w, &row[mid], &sign);

		if (rc < 0)
			return rc;
		if (sign < 0)
			high = mid;
		else
			low = mid + 1;
		if (sign == 0) {
			*ret_equal = true;
			break;
		}
	}
	*ret = low;
	return 0;
}

/* Where the wanted entry stands, or would. */
int btree_descend(const struct counted_btree *o, const struct order_wanted *w,
		  struct btree_path *p)
{
	void *at = o->root;
	uint32_t i;
	int rc;

	p->rank = 0;
	for (unsigned level = 0; level < o->height; level++) {
		struct btree_node *node = at;

		rc = search(o, w, node->first, node->n, &i, &p->found);
		if (rc < 0)
			return rc;
		i = i > 0 ? i - 1 : 0;
		for (uint32_t k = 0; k < i; k++)
			p->rank += node->count[k];
		p->step[level].node = node;
		p->step[level].at = i;
		at = node->child[i];
	}
	p->leaf = at;
	rc = search(o, w, p->leaf->entry, p->leaf->n, &i, &p->found);
	if (rc < 0)
		return rc;
	p->at = p->found ? i - 1 : i;
	p->rank += p->at;
	return 0;
}

int btree_find(const struct counted_btree *o, const void *name, size_t len,
	       uint64_t ref, uint64_t *ret_rank)
{
	struct order_wanted w = order_wanted_of(name, len, ref);
	struct btree_path p = { .rank = 0 };
	int rc = o->root ? btree_descend(o, &w, &p) : 0;

	if (rc < 0)
		return rc;
	*ret_rank = p.rank;
	return p.found;
}

/* Copies entries from a place on, leaf after leaf below at; how many. */
static size_t copy_out(const void *at, unsigned height, uint64_t skip,
		       struct btree_entry *ret, size_t max)
{
	const struct btree_leaf *leaf = at;
	const struct btree_node *node = at;
	size_t n = 0;

	if (height == 0) {
		n = (size_t)min_u64(leaf->n - skip, max);
		memcpy(ret, &leaf->entry[skip], n * sizeof(*ret));
		return n;
	}
	for (uint32_t i = 0; i < node->n && n < max; i++) {
		if (skip >= node->count[i]) {
			skip -= node->count[i];
			continue;
		}
		n += copy_out(node->child[i], height - 1, skip, ret + n,
			      max - n);
		skip = 0;
	}
	return n;
}

size_t btree_at(const struct counted_btree *o, uint64_t rank,
		struct btree_entry *ret, size_t max)
{
	if (rank >= o->count || max == 0)
		return 0;
	return copy_out(o->root, o->height, rank, ret, max);
}

int btree_find_name(const struct counted_btree *o, const void *name, size_t len,
		    uint64_t *ret_rank)
{
	uint8_t buf[BTREE_HEAD];
	struct btree_entry e;
	const uint8_t *found;
	size_t found_len;
	uint64_t rank;
	int rc = btree_find(o, name, len, 0, &rank);

	if (rc == 0 && btree_at(o, rank, &e, 1) == 1) {
		rc = btree_name(o, &e, buf, &found, &found_len);
		if (rc == 0)
			rc = found_len == len && memcmp(found, name, len) == 0;
	}
	if (rc >= 0)
		*ret_rank = rank;
	return rc;
}
