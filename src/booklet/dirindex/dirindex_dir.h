/* dirindex_dir.h - what the files of dirindex/ share.
 *
 * A directory is named inside by a 32-bit number; the root's is ROOT.  All
 * functions here want the tree's lock: for writing where they change
 * something, which the word "lock" in their comment leaves unsaid.
 *
 * Invariants:
 *   - a directory but the root has an entry or a marker or is held, and has an
 *     entry in its parent; it stands in the table under the hash of its prefix
 *     without the last '/';
 *   - an entry stands in the page of its hash (dirindex_page.c), under the
 *     hash of the key or of the directory's prefix without the last '/'.
 */
#ifndef BLT_DIRINDEX_DIR_H
#define BLT_DIRINDEX_DIR_H

#include "base/counted_btree.h"
#include "booklet/dirindex/dirindex.h"

#include <pthread.h>
#include <stdatomic.h>

#define ROOT 0u
#define NO_DIR UINT32_MAX

/* An entry: what it points at (a block's position, or REF_DIR and the number
 * of a directory), and above that 15 bits of its hash. */
#define REF_DIR (UINT64_C(1) << 48)
#define REF_MASK ((UINT64_C(1) << 49) - 1)

#define PAGE_FULL 128 /* entries at which a page is split */

struct page {
	uint32_t n, cap;
	uint8_t depth; /* leading bits of the hash that choose this page */
	uint8_t shift; /* the tags are the hash's bits from this one on */
	uint64_t entry[];
};

/* The order of one directory's entries, whose references are what the entries
 * point at.  While it is being built (dirindex_order.c) only the builder and
 * the hooks below look at it. */
struct dir_order {
	struct counted_btree names;
	const struct dirindex *dirindex;
	bool complete;
	uint64_t counted; /* bytes in the tree's count */
};

struct dir {
	uint64_t word;   /* keyhash_word of the prefix without its '/' */
	uint64_t marker; /* position, or 0 */
	uint64_t entries;
	uint8_t *comp; /* NULL where comp_len is 0 */
	union {
		struct page *page;   /* bits == 0; NULL: no entries */
		struct page **table; /* bits > 0: 1 << bits of them */
	};
	struct dir_order *order; /* NULL: nobody has asked for it */
	uint32_t subdirs;
	uint32_t parent; /* of a free one: the next free one */
	uint16_t comp_len;
	uint8_t bits;
	bool held;
};

struct dirindex {
	struct dirindex_source source;
	bool flat;
	uint64_t seed; /* odd; not known to who made the file */

	pthread_rwlock_t lock; /* protects all down to the next blank line */
	uint64_t bytes;
	uint64_t keys;
	struct dir **chunk; /* directories by number, DIR_CHUNK at a time */
	uint32_t n_chunks, n_numbers, free_number;
	uint32_t n_dirs;
	uint32_t *slot; /* numbers by hash, open addressing, or NO_DIR */
	unsigned slot_bits;
	uint32_t last; /* where the last key went, tried first */

	pthread_mutex_t order_lock; /* held by who builds an order; taken before
				     * the lock */

	pthread_mutex_t wait_lock; /* protects the rest, but for reading */
	pthread_cond_t wait_cond;
	uint64_t advances;
	atomic_bool complete;
	atomic_int walk_err; /* meaningful once complete is set */
	atomic_int failed;   /* an entry is missing */
};

/* realloc, for a test to take the place of. */
extern void *(*dirindex_realloc)(void *p, size_t size);

/* As realloc; counts the bytes.  size 0 frees and returns NULL. */
void *dirindex_resize(struct dirindex *t, void *p, size_t old_size,
		      size_t size);

/* 0, or why the tree does not hold all that it should by now.  No lock. */
int dirindex_fault(struct dirindex *t);

/* ---- dirindex_dir.c ---- */

#define DIR_CHUNK 256

static inline struct dir *dir_at(const struct dirindex *t, uint32_t number)
{
	return &t->chunk[number / DIR_CHUNK][number % DIR_CHUNK];
}

int dirs_init(struct dirindex *t);
void dirs_release(struct dirindex *t);

/* The directory of a prefix, or NO_DIR. */
uint32_t dirs_find(const struct dirindex *t, const uint8_t *prefix, size_t len);

/* Whether a directory has this prefix. */
bool dir_is(const struct dirindex *t, uint32_t number, const uint8_t *prefix,
	    size_t len);

/* The directory of that component and hash in a parent, or NO_DIR. */
uint32_t dirs_child(const struct dirindex *t, uint32_t parent,
		    const uint8_t *comp, size_t len, uint64_t word);

/* The child whose hash, all 13 bytes of it, is h. */
uint32_t dirs_child_of_hash(const struct dirindex *t, uint32_t parent,
			    const uint8_t *prefix, size_t len,
			    const struct keyhash *h);

/* The directory of a prefix, made where it is missing, with those above it. */
int dirs_make(struct dirindex *t, const uint8_t *prefix, size_t len,
	      uint32_t *ret);

/* Drops a directory that nothing holds in being, and then those above it. */
void dirs_drop_empty(struct dirindex *t, uint32_t number);

/* ---- dirindex_page.c ---- */

int pages_insert(struct dirindex *t, struct dir *d, uint64_t word,
		 uint64_t ref);

/* The entry, or NULL.  Its low 49 bits may be replaced. */
uint64_t *pages_find(const struct dir *d, uint64_t word, uint64_t ref);

/* Whether it was there. */
bool pages_remove(struct dirindex *t, struct dir *d, uint64_t word,
		  uint64_t ref);

void pages_free(struct dirindex *t, struct dir *d);

/* The page that a hash falls into, NULL where there are no entries; *ret_next
 * is the least hash of the next page, or 0 behind the last. */
const struct page *pages_at(const struct dir *d, uint64_t word,
			    uint64_t *ret_next);

/* ---- dirindex_order.c ---- */

/* What comes, goes, or points at something else, is told to the order, if there
 * is one.  What the order cannot take drops it: it is built anew when it is
 * needed next. */
void dir_order_add(struct dirindex *t, struct dir *d, const uint8_t *comp,
		   size_t len, uint64_t ref);
void dir_order_remove(struct dirindex *t, struct dir *d, const uint8_t *comp,
		      size_t len, uint64_t ref);
void dir_order_move(struct dirindex *t, struct dir *d, const uint8_t *comp,
		    size_t len, uint64_t from, uint64_t to);
void dir_order_free(struct dirindex *t, struct dir *d);

/* The bits of a hash that an entry in this page is tagged with. */
static inline uint64_t page_tag(const struct page *p, uint64_t word)
{
	return word << p->shift >> 49 << 49;
}

#endif
