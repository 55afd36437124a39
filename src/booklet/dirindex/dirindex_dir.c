/* dirindex_dir.c - the directories of a tree: numbers, and a table by hash. */
#include "booklet/dirindex/dirindex_dir.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void *(*dirindex_realloc)(void *p, size_t size) = realloc;

/* What malloc keeps beside a block, in glibc. */
static size_t with_overhead(size_t size)
{
	return size > 0 ? (size + 8 + 15) / 16 * 16 : 0;
}

void *dirindex_resize(struct dirindex *t, void *p, size_t old_size, size_t size)
{
	if (size == 0) {
		free(p);
		p = NULL;
	} else {
		p = dirindex_realloc(p, size);
		if (!p)
			return NULL;
	}
	t->bytes += with_overhead(size) - with_overhead(old_size);
	return p;
}

static uint32_t slot_of(const struct dirindex *t, uint64_t word)
{
	return (uint32_t)(word * t->seed >> (64 - t->slot_bits));
}

static uint32_t slot_next(const struct dirindex *t, uint32_t i)
{
	return (i + 1) & ((UINT32_C(1) << t->slot_bits) - 1);
}

static void slot_put(struct dirindex *t, uint32_t number)
{
	uint32_t i = slot_of(t, dir_at(t, number)->word);

	while (t->slot[i] != NO_DIR)
		i = slot_next(t, i);
	t->slot[i] = number;
}

/* Keeps the table at most two thirds full with one more in it. */
static int slots_reserve(struct dirindex *t)
{
	uint32_t *old = t->slot;
	size_t n = (size_t)1 << t->slot_bits;
	uint32_t *slot;

	if ((t->n_dirs + UINT64_C(1)) * 3 < n * 2)
		return 0;
	if (t->slot_bits == 31)
		return -ENOMEM;
	slot = dirindex_resize(t, NULL, 0, 2 * n * sizeof(*slot));
	if (!slot)
		return -ENOMEM;
	memset(slot, 0xff, 2 * n * sizeof(*slot));
	t->slot = slot;
	t->slot_bits++;
	for (size_t i = 0; i < n; i++) {
		if (old[i] != NO_DIR)
			slot_put(t, old[i]);
	}
	dirindex_resize(t, old, n * sizeof(*slot), 0);
	return 0;
}

/* Takes a number out and moves up what its place kept from its own. */
static void slot_remove(struct dirindex *t, uint32_t number)
{
	uint32_t mask = (UINT32_C(1) << t->slot_bits) - 1;
	uint32_t hole = slot_of(t, dir_at(t, number)->word);
	uint32_t i, home;

	while (t->slot[hole] != number)
		hole = slot_next(t, hole);
	for (i = slot_next(t, hole); t->slot[i] != NO_DIR;
	     i = slot_next(t, i)) {
		home = slot_of(t, dir_at(t, t->slot[i])->word);
		if (((i - home) & mask) >= ((i - hole) & mask)) {
			t->slot[hole] = t->slot[i];
			hole = i;
		}
	}
	t->slot[hole] = NO_DIR;
}

static int number_new(struct dirindex *t, uint32_t *ret)
{
	struct dir **chunks;
	struct dir *chunk;

	if (t->free_number != NO_DIR) {
		*ret = t->free_number;
		t->free_number = dir_at(t, *ret)->parent;
		memset(dir_at(t, *ret), 0, sizeof(struct dir));
		return 0;
	}
	if (t->n_numbers == t->n_chunks * DIR_CHUNK) {
		if (t->n_chunks == NO_DIR / DIR_CHUNK)
			return -ENOMEM;
		chunk = dirindex_resize(t, NULL, 0, DIR_CHUNK * sizeof(*chunk));
		if (!chunk)
			return -ENOMEM;
		chunks = dirindex_resize(t, t->chunk,
					 t->n_chunks * sizeof(*chunks),
					 (t->n_chunks + 1) * sizeof(*chunks));
		if (!chunks) {
			dirindex_resize(t, chunk, DIR_CHUNK * sizeof(*chunk),
					0);
			return -ENOMEM;
		}
		t->chunk = chunks;
		t->chunk[t->n_chunks++] = chunk;
	}
	*ret = t->n_numbers++;
	memset(dir_at(t, *ret), 0, sizeof(struct dir));
	return 0;
}

static void number_free(struct dirindex *t, uint32_t number)
{
	struct dir *d = dir_at(t, number);

	dir_order_free(t, d);
	dirindex_resize(t, d->comp, d->comp_len, 0);
	pages_free(t, d);
	memset(d, 0, sizeof(*d));
	d->parent = t->free_number;
	t->free_number = number;
}

int dirs_init(struct dirindex *t)
{
	uint32_t root;

	t->free_number = NO_DIR;
	t->slot_bits = 4;
	t->slot = dirindex_resize(t, NULL, 0, sizeof(*t->slot) << t->slot_bits);
	if (!t->slot)
		return -ENOMEM;
	memset(t->slot, 0xff, sizeof(*t->slot) << t->slot_bits);
	return number_new(t, &root);
}

void dirs_release(struct dirindex *t)
{
	for (uint32_t i = 0; i < t->n_numbers; i++) {
		free(dir_at(t, i)->comp);
		dir_order_free(t, dir_at(t, i));
		pages_free(t, dir_at(t, i));
	}
	for (uint32_t i = 0; i < t->n_chunks; i++)
		free(t->chunk[i]);
	free(t->chunk);
	free(t->slot);
}

bool dir_is(const struct dirindex *t, uint32_t number, const uint8_t *prefix,
	    size_t len)
{
	for (; number != ROOT; number = dir_at(t, number)->parent) {
		const struct dir *d = dir_at(t, number);

		if (len < (size_t)d->comp_len + 1 || prefix[len - 1] != '/')
			return false;
		len -= (size_t)d->comp_len + 1;
		if (d->comp_len > 0 &&
		    memcmp(prefix + len, d->comp, d->comp_len) != 0)
			return false;
	}
	return len == 0;
}

uint32_t dirs_find(const struct dirindex *t, const uint8_t *prefix, size_t len)
{
	struct keyhash h;
	uint64_t word;
	uint32_t number;

	if (len == 0)
		return ROOT;
	if (t->flat || prefix[len - 1] != '/')
		return NO_DIR;
	h = keyhash_of(prefix, len - 1);
	word = keyhash_word(&h);
	for (uint32_t i = slot_of(t, word); t->slot[i] != NO_DIR;
	     i = slot_next(t, i)) {
		number = t->slot[i];
		if (dir_at(t, number)->word == word &&
		    dir_is(t, number, prefix, len))
			return number;
	}
	return NO_DIR;
}

uint32_t dirs_child(const struct dirindex *t, uint32_t parent,
		    const uint8_t *comp, size_t len, uint64_t word)
{
	for (uint32_t i = slot_of(t, word); t->slot[i] != NO_DIR;
	     i = slot_next(t, i)) {
		const struct dir *d = dir_at(t, t->slot[i]);

		if (d->word == word && d->parent == parent &&
		    d->comp_len == len &&
		    (len == 0 || memcmp(d->comp, comp, len) == 0))
			return t->slot[i];
	}
	return NO_DIR;
}

uint32_t dirs_child_of_hash(const struct dirindex *t, uint32_t parent,
			    const uint8_t *prefix, size_t len,
			    const struct keyhash *h)
{
	uint64_t word = keyhash_word(h);
	uint8_t key[2 * UINT16_MAX];

	if (len > UINT16_MAX)
		return NO_DIR;
	for (uint32_t i = slot_of(t, word); t->slot[i] != NO_DIR;
	     i = slot_next(t, i)) {
		const struct dir *d = dir_at(t, t->slot[i]);
		struct keyhash whole;

		if (d->word != word || d->parent != parent)
			continue;
		if (len > 0)
			memcpy(key, prefix, len);
		if (d->comp_len > 0)
			memcpy(key + len, d->comp, d->comp_len);
		whole = keyhash_of(key, len + d->comp_len);
		if (keyhash_equal(&whole, h))
			return t->slot[i];
	}
	return NO_DIR;
}

static int dir_new(struct dirindex *t, uint32_t parent, const uint8_t *comp,
		   size_t len, uint64_t word, uint32_t *ret)
{
	uint32_t number;
	struct dir *d;

	if (slots_reserve(t) < 0 || number_new(t, &number) < 0)
		return -ENOMEM;
	d = dir_at(t, number);
	d->word = word;
	if (len > 0) {
		d->comp = dirindex_resize(t, NULL, 0, len);
		if (!d->comp)
			goto fail;
		memcpy(d->comp, comp, len);
		d->comp_len = (uint16_t)len;
	}
	if (pages_insert(t, dir_at(t, parent), word, REF_DIR | number) < 0)
		goto fail;
	dir_order_add(t, dir_at(t, parent), comp, len, REF_DIR | number);
	d->parent = parent;
	dir_at(t, parent)->subdirs++;
	t->n_dirs++;
	slot_put(t, number);
	*ret = number;
	return 0;
fail:
	number_free(t, number);
	return -ENOMEM;
}

/* The length of the prefix that holds the first n slashes of it. */
static size_t cut_behind(const uint8_t *prefix, size_t len, size_t n)
{
	const uint8_t *p = prefix;

	for (; n > 0; n--)
		p = (const uint8_t *)memchr(p, '/',
					    (size_t)(prefix + len - p)) +
		    1;
	return (size_t)(p - prefix);
}

/* The deepest directory on the way that is there, with the count of slashes in
 * its prefix.  What is above one that is there is there too, so this can be
 * halved: a key of nothing but slashes must not cost its length squared. */
static uint32_t deepest(const struct dirindex *t, const uint8_t *prefix,
			size_t len, size_t slashes, size_t *ret_n)
{
	size_t low = 0, high = slashes;
	uint32_t best = ROOT;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;
		uint32_t found =
			dirs_find(t, prefix, cut_behind(prefix, len, middle));

		if (found == NO_DIR) {
			high = middle;
		} else {
			low = middle;
			best = found;
		}
	}
	*ret_n = low;
	return best;
}

int dirs_make(struct dirindex *t, const uint8_t *prefix, size_t len,
	      uint32_t *ret)
{
	uint32_t number = t->last;
	struct keyhash_prefixes hashes = { .key = prefix };
	size_t slashes = 0, n, from, to;

	if (dir_is(t, number, prefix, len))
		goto found;
	number = dirs_find(t, prefix, len);
	if (number != NO_DIR)
		goto found;
	for (size_t i = 0; i < len; i++)
		slashes += prefix[i] == '/';
	number = deepest(t, prefix, len, slashes, &n);
	for (from = cut_behind(prefix, len, n); from < len; from = to) {
		struct keyhash h;
		int err;

		to = from + cut_behind(prefix + from, len - from, 1);
		h = keyhash_of_prefix(&hashes, to - 1);
		err = dir_new(t, number, prefix + from, to - 1 - from,
			      keyhash_word(&h), &number);
		if (err) {
			dirs_drop_empty(t, number);
			return err;
		}
	}
found:
	t->last = number;
	*ret = number;
	return 0;
}

void dirs_drop_empty(struct dirindex *t, uint32_t number)
{
	while (number != ROOT) {
		struct dir *d = dir_at(t, number);
		uint32_t parent = d->parent;

		if (d->entries > 0 || d->marker > 0 || d->held)
			return;
		pages_remove(t, dir_at(t, parent), d->word, REF_DIR | number);
		dir_order_remove(t, dir_at(t, parent), d->comp, d->comp_len,
				 REF_DIR | number);
		dir_at(t, parent)->subdirs--;
		t->n_dirs--;
		slot_remove(t, number);
		number_free(t, number);
		if (t->last == number)
			t->last = ROOT;
		number = parent;
	}
}
