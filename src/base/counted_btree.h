/* counted_btree.h - the names of one directory in order, and their ranks.
 *
 * A B+-tree whose nodes count what is below them: which name is the n-th, and
 * how many stand in front of one.  An entry is 16 bytes: the beginning of the
 * name and a reference, from which the source tells the whole name where the
 * beginning does not decide.  Names are compared as bytes; of two equal ones (a
 * file beside a directory) the lower reference comes first.
 *
 *   btree_init(&o, &source)
 *   btree_insert / btree_remove / btree_find / btree_at ...
 *   btree_release(&o)
 *
 * Cost: O(log n) for each call but btree_release, with a call of the source for
 * each longer name (over BTREE_HEAD bytes) that shares its beginning with the
 * one that is looked for.  Memory: under 24 bytes a name where there are more
 * than a few hundred (btree_bytes tells).
 *
 * Threads: none of its own, no locks: changes exclude all other calls, the
 * others may run beside each other.
 *
 * Errors: what the source returns, and -ENOMEM; the tree is then as before.
 */
#ifndef BLT_COUNTED_BTREE_H
#define BLT_COUNTED_BTREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BTREE_HEAD 7 /* bytes of a name that stand in its entry */

/* How an entry's whole name is read. */
struct btree_source {
	/* 0, with the name borrowed until the next call on the same thread. */
	int (*read_name)(void *arg, uint64_t ref, const uint8_t **ret_name,
			 size_t *ret_len);
	void *arg;
};

/* head: the name's first bytes, the first one uppermost, and in the lowest
 * byte how many there are, or BTREE_HEAD + 1 where the name is longer. */
struct btree_entry {
	uint64_t head;
	uint64_t ref;
};

struct counted_btree {
	struct btree_source source;
	void *root;      /* a leaf, or a node where height > 0; NULL: empty */
	unsigned height; /* levels of nodes above the leaves */
	uint64_t count;
	uint64_t bytes; /* of memory, but for this struct */
};

void btree_init(struct counted_btree *o, const struct btree_source *source);
void btree_release(struct counted_btree *o);

static inline uint64_t btree_count(const struct counted_btree *o)
{
	return o->count;
}

static inline uint64_t btree_bytes(const struct counted_btree *o)
{
	return o->bytes;
}

/* 1: it is new; 0: it was there. */
int btree_insert(struct counted_btree *o, const void *name, size_t len,
		 uint64_t ref);

/* 1: it was there; 0: it was not. */
int btree_remove(struct counted_btree *o, const void *name, size_t len,
		 uint64_t ref);

/* The entry has another reference from now on, whose place among those of
 * equal names is the same.  1; 0: it was not there. */
int btree_replace(struct counted_btree *o, const void *name, size_t len,
		  uint64_t from, uint64_t to);

/* How many entries stand in front of this one; 1: which is there, 0: which is
 * not.  With ref 0: in front of the first of that name, and 1 is never
 * returned. */
int btree_find(const struct counted_btree *o, const void *name, size_t len,
	       uint64_t ref, uint64_t *ret_rank);

/* The entries from rank on, up to max of them; how many there are. */
size_t btree_at(const struct counted_btree *o, uint64_t rank,
		struct btree_entry *ret, size_t max);

/* Whether the entry holds the whole name, which is then written to name. */
bool btree_short_name(const struct btree_entry *e, uint8_t name[BTREE_HEAD],
		      size_t *ret_len);

/* An entry's whole name, in buf or borrowed as the source has it. */
int btree_name(const struct counted_btree *o, const struct btree_entry *e,
	       uint8_t buf[BTREE_HEAD], const uint8_t **ret_name,
	       size_t *ret_len);

/* How many entries stand in front of those of a name; 1: there are such. */
int btree_find_name(const struct counted_btree *o, const void *name, size_t len,
		    uint64_t *ret_rank);

/* realloc, for a test to take the place of. */
extern void *(*btree_realloc)(void *p, size_t size);

#endif
