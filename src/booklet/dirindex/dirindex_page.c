/* dirindex_page.c - the entries of one directory, in the order of their hashes.
 *
 * Extendible hashing over the leading bits of the hash: a table of 1 << bits
 * page pointers, indexed by that many leading bits; a page of a smaller depth
 * stands in several neighbouring slots.  So the pages are in hash order, a
 * page is found in one step, and splitting one touches no other.  Inside a
 * page entries stand in no order.  BLAKE2s spreads keys evenly, so pages fill
 * to two thirds and the table stays near its least size; where somebody made
 * keys that do not spread, the table is not let grow beyond an eighth of the
 * entries, and pages grow beyond PAGE_FULL instead.
 *
 * A split needs the next bit of every entry's hash.  The 15 bits of tag hold
 * it for fifteen splits in a row; then the keys of the page are read again and
 * tagged with the bits from there on.
 */
#include "booklet/dirindex/dirindex_dir.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 48 /* leaves a whole tag within the hash */
#define TAG_BITS 15

static size_t page_size(uint32_t cap)
{
	return sizeof(struct page) + cap * sizeof(uint64_t);
}

/* Room for n entries and some more, but no more than a split leaves unused. */
static uint32_t room_for(uint32_t n)
{
	uint32_t cap = n + n / 4 + 4;

	return n < PAGE_FULL && cap > PAGE_FULL ? PAGE_FULL : cap;
}

static struct page *page_of(const struct dir *d, uint64_t word)
{
	return d->bits == 0 ? d->page : d->table[word >> (64 - d->bits)];
}

/* Puts a page into the slots that its depth gives it. */
static void place_page(struct dir *d, uint64_t word, struct page *p)
{
	uint64_t first, n;

	if (d->bits == 0) {
		d->page = p;
		return;
	}
	n = UINT64_C(1) << (d->bits - p->depth);
	first = word >> (64 - d->bits) & ~(n - 1);
	for (uint64_t i = 0; i < n; i++)
		d->table[first + i] = p;
}

static struct page *page_resize(struct dirindex *t, struct dir *d,
				uint64_t word, struct page *p, uint32_t cap)
{
	struct page *q;

	q = dirindex_resize(t, p, p ? page_size(p->cap) : 0, page_size(cap));
	if (!q)
		return NULL;
	if (!p)
		memset(q, 0, sizeof(*q));
	q->cap = cap;
	if (q != p)
		place_page(d, word, q);
	return q;
}

static int entry_word(const struct dirindex *t, uint64_t ref, uint64_t *ret)
{
	const uint8_t *key;
	struct keyhash h;
	size_t len;
	int err;

	if (ref & REF_DIR) {
		*ret = dir_at(t, (uint32_t)ref)->word;
		return 0;
	}
	err = t->source.read_key(t->source.arg, ref & REF_MASK, &key, &len, &h);
	if (err)
		return err;
	/* Not h: a damaged file may hold a hash that is not the key's. */
	h = keyhash_of(key, len);
	*ret = keyhash_word(&h);
	return 0;
}

/* Tags the entries anew from bit depth on, all or none.  word: any hash of
 * this page. */
static int retag(const struct dirindex *t, struct page *p, uint64_t word)
{
	uint64_t *tags = malloc(p->n * sizeof(*tags));
	int err = tags ? 0 : -ENOMEM;

	for (uint32_t i = 0; i < p->n && !err; i++) {
		uint64_t w;

		err = entry_word(t, p->entry[i], &w);
		if (err)
			break;
		/* the block may be another key's by now */
		if (p->depth > 0 && (w ^ word) >> (64 - p->depth) != 0)
			err = -EUCLEAN;
		else
			tags[i] = w << p->depth >> 49 << 49;
	}
	if (!err) {
		for (uint32_t i = 0; i < p->n; i++)
			p->entry[i] = (p->entry[i] & REF_MASK) | tags[i];
		p->shift = p->depth;
	}
	free(tags);
	return err;
}

static int double_table(struct dirindex *t, struct dir *d)
{
	size_t n = (size_t)1 << d->bits;
	struct page **table;

	table = dirindex_resize(t, NULL, 0, 2 * n * sizeof(*table));
	if (!table)
		return -ENOMEM;
	for (size_t i = 0; i < 2 * n; i++)
		table[i] = d->bits == 0 ? d->page : d->table[i / 2];
	if (d->bits > 0)
		dirindex_resize(t, d->table, n * sizeof(*table), 0);
	d->table = table;
	d->bits++;
	return 0;
}

/* 1: split; 0: that cannot be done, the page has to grow. */
static int split(struct dirindex *t, struct dir *d, struct page *p,
		 uint64_t word)
{
	uint64_t bit, n;
	uint32_t ones = 0, kept = 0;
	struct page *q;

	if (p->depth == DEPTH_MAX)
		return 0;
	if (p->depth == d->bits) {
		if (d->bits > 0 && UINT64_C(1) << d->bits > d->entries / 8)
			return 0;
		if (double_table(t, d) < 0)
			return -ENOMEM;
	}
	if (p->depth >= p->shift + TAG_BITS && retag(t, p, word) < 0)
		return 0;
	bit = UINT64_C(1) << (63 - (p->depth - p->shift));
	for (uint32_t i = 0; i < p->n; i++)
		ones += (p->entry[i] & bit) != 0;
	q = dirindex_resize(t, NULL, 0, page_size(room_for(ones)));
	if (!q)
		return -ENOMEM;
	memset(q, 0, sizeof(*q));
	q->cap = room_for(ones);
	q->shift = p->shift;
	q->depth = ++p->depth;
	for (uint32_t i = 0; i < p->n; i++) {
		if (p->entry[i] & bit)
			q->entry[q->n++] = p->entry[i];
		else
			p->entry[kept++] = p->entry[i];
	}
	p->n = kept;

	/* Now p has the lower half of its old slots, q the upper one. */
	n = UINT64_C(1) << (64 - p->depth);
	place_page(d, word | n, q);
	word &= ~n;
	place_page(d, word, p);
	if (room_for(p->n) < p->cap)
		page_resize(t, d, word, p, room_for(p->n));
	return 1;
}

int pages_insert(struct dirindex *t, struct dir *d, uint64_t word, uint64_t ref)
{
	struct page *p = page_of(d, word);
	int rc;

	while (p && p->n == p->cap) {
		rc = p->n < PAGE_FULL ? 0 : split(t, d, p, word);
		if (rc < 0)
			return rc;
		if (rc > 0) {
			p = page_of(d, word);
			continue;
		}
		p = page_resize(t, d, word, p, room_for(p->n));
		if (!p)
			return -ENOMEM;
	}
	if (!p)
		p = page_resize(t, d, word, NULL, room_for(0));
	if (!p)
		return -ENOMEM;
	p->entry[p->n++] = page_tag(p, word) | ref;
	d->entries++;
	return 0;
}

uint64_t *pages_find(const struct dir *d, uint64_t word, uint64_t ref)
{
	struct page *p = page_of(d, word);

	for (uint32_t i = 0; p && i < p->n; i++) {
		if ((p->entry[i] & REF_MASK) == ref)
			return &p->entry[i];
	}
	return NULL;
}

bool pages_remove(struct dirindex *t, struct dir *d, uint64_t word,
		  uint64_t ref)
{
	uint64_t *e = pages_find(d, word, ref);
	struct page *p = page_of(d, word);

	if (!e)
		return false;
	*e = p->entry[--p->n];
	if (--d->entries == 0)
		pages_free(t, d);
	else if (p->cap > 16 && p->n < p->cap / 4)
		page_resize(t, d, word, p, room_for(p->n));
	return true;
}

void pages_free(struct dirindex *t, struct dir *d)
{
	uint64_t word = 0;

	do {
		struct page *p = page_of(d, word);

		if (!p)
			break;
		word += p->depth > 0 ? UINT64_C(1) << (64 - p->depth) : 0;
		dirindex_resize(t, p, page_size(p->cap), 0);
	} while (word != 0);
	if (d->bits > 0)
		dirindex_resize(t, d->table, sizeof(*d->table) << d->bits, 0);
	d->page = NULL;
	d->bits = 0;
}

const struct page *pages_at(const struct dir *d, uint64_t word,
			    uint64_t *ret_next)
{
	const struct page *p = page_of(d, word);
	uint64_t width;

	*ret_next = 0;
	if (p && p->depth > 0) {
		width = UINT64_C(1) << (64 - p->depth);
		*ret_next = (word & ~(width - 1)) + width;
	}
	return p;
}
