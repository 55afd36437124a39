/* dirindex_list.c - the entries of a directory in the order of their cookies.
 *
 * A page's entries stand in no order, so a page is read, sorted and handed
 * out; a listing that resumes does that again for the one page it stopped in.
 *
 * Cookies: two entries whose hashes agree in 62 bits would have one cookie.
 * Chance does not bring that about, a person with 2^31 hashes to spend may.
 * So a listing gives out, in order, the larger of an entry's own cookie and
 * the last one given plus one: cookies are different, and a listing may stop
 * and resume between two such entries.  Only if one of them goes meanwhile may
 * another be met twice or missed.
 */
#include "base/array.h"
#include "booklet/dirindex/dirindex_dir.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct item {
	uint64_t cookie;
	uint64_t ref;
	struct keyhash hash;
};

struct listing {
	struct dirindex *t;
	uint32_t number;
	const uint8_t *prefix;
	size_t len;
	uint8_t *path; /* the prefix, and room for a component */
	struct item *items;
	size_t room;
	dirindex_list_fn *fn;
	void *arg;
};

static int item_order(const void *a, const void *b)
{
	const struct item *x = a, *y = b;
	int order;

	if (x->cookie != y->cookie)
		return x->cookie < y->cookie ? -1 : 1;
	order = memcmp(&x->hash, &y->hash, sizeof(x->hash));
	if (order)
		return order;
	return x->ref < y->ref ? -1 : x->ref > y->ref;
}

/* The key at a position, which must be one of this directory, and the hash
 * that the file has for it. */
static int read_entry(const struct listing *l, uint64_t ref,
		      const uint8_t **ret_key, size_t *ret_len,
		      struct keyhash *ret_hash)
{
	const struct dirindex_source *s = &l->t->source;
	int err = s->read_key(s->arg, ref, ret_key, ret_len, ret_hash);

	if (err)
		return err;
	if (*ret_len < l->len ||
	    (l->len > 0 && memcmp(*ret_key, l->prefix, l->len) != 0))
		return -EUCLEAN;
	return 0;
}

/* Whether the hash is one of the page that has this entry, of which word is
 * another, and has the entry's tag. */
static bool fits(const struct page *p, uint64_t word, uint64_t entry,
		 const struct keyhash *h)
{
	uint64_t w = keyhash_word(h);

	return page_tag(p, w) == (entry & ~REF_MASK) &&
	       (p->depth == 0 || (w ^ word) >> (64 - p->depth) == 0);
}

static void dir_hash(const struct listing *l, struct item *item)
{
	const struct dir *d = dir_at(l->t, (uint32_t)item->ref);

	if (d->comp_len > 0)
		memcpy(l->path + l->len, d->comp, d->comp_len);
	item->hash = keyhash_of(l->path, l->len + d->comp_len);
}

/* The entry was tagged with its key's own hash; the one that the file has for
 * the key may be wrong where the file is damaged, and then it is found here, or
 * agrees in so many bits that the order is right all the same. */
static int item_make(const struct listing *l, const struct page *p,
		     uint64_t word, uint64_t entry, struct item *item)
{
	const uint8_t *key;
	size_t len;
	int err;

	item->ref = entry & REF_MASK;
	if (item->ref & REF_DIR) {
		dir_hash(l, item);
	} else {
		err = read_entry(l, item->ref, &key, &len, &item->hash);
		if (err)
			return err;
		if (!fits(p, word, entry, &item->hash))
			item->hash = keyhash_of(key, len);
	}
	item->cookie =
		hash_cookie(keyhash_word(&item->hash), item->ref & REF_DIR);
	return 0;
}

/* Keys stand all over the file: waited for one after another, they take longer
 * than all else. */
static void fetch(const struct listing *l, const struct page *p, uint64_t least)
{
	const struct dirindex_source *s = &l->t->source;
	uint64_t pos[64];
	size_t n = 0;

	for (uint32_t i = 0; s->fetch && i < p->n; i++) {
		if ((p->entry[i] & ~REF_MASK) >= least &&
		    !(p->entry[i] & REF_DIR))
			pos[n++] = p->entry[i] & REF_MASK;
		if (n == ARRAY_SIZE(pos) || (n > 0 && i + 1 == p->n)) {
			s->fetch(s->arg, pos, n);
			n = 0;
		}
	}
}

/* The entries of a page from that hash on, in order, with their cookies. */
static int collect(struct listing *l, const struct page *p, uint64_t from,
		   size_t *ret_n)
{
	uint64_t least = page_tag(p, from);
	uint64_t given = 0;
	struct item *items;
	size_t n = 0;
	int err;

	if (p->n > l->room) {
		items = realloc(l->items, p->n * sizeof(*items));
		if (!items)
			return -ENOMEM;
		l->items = items;
		l->room = p->n;
	}
	fetch(l, p, least);
	for (uint32_t i = 0; i < p->n; i++) {
		if ((p->entry[i] & ~REF_MASK) < least)
			continue;
		err = item_make(l, p, from, p->entry[i], &l->items[n]);
		if (err)
			return err;
		n++;
	}
	if (n > 1)
		qsort(l->items, n, sizeof(*l->items), item_order);
	for (size_t i = 0; i < n; i++) {
		if (l->items[i].cookie <= given)
			l->items[i].cookie = given + 1;
		given = l->items[i].cookie;
	}
	*ret_n = n;
	return 0;
}

static int hand_out(const struct listing *l, const struct item *item)
{
	struct dirindex_entry e = { .cookie = item->cookie,
				    .hash = item->hash };
	const uint8_t *key;
	struct keyhash h;
	size_t len;
	int err;

	if (item->ref & REF_DIR) {
		const struct dir *d = dir_at(l->t, (uint32_t)item->ref);

		e.is_dir = true;
		e.comp = d->comp_len > 0 ? d->comp : l->path;
		e.comp_len = d->comp_len;
		e.pos = d->marker;
		return l->fn(l->arg, &e);
	}
	err = read_entry(l, item->ref, &key, &len, &h);
	if (err)
		return err;
	e.comp = key + l->len;
	e.comp_len = len - l->len;
	e.pos = item->ref;
	e.conflict = dir_at(l->t, l->number)->subdirs > 0 &&
		     dirs_child(l->t, l->number, e.comp, e.comp_len,
				keyhash_word(&item->hash)) != NO_DIR;
	return l->fn(l->arg, &e);
}

/* Page by page.  A cookie may be some more than its entry's own: begin that
 * much before it. */
static int list_from(struct listing *l, uint64_t cookie)
{
	uint64_t hash62 = cookie >> 1;
	uint64_t word = hash62 > 16 ? (hash62 - 16) << 2 : 0;
	const struct dir *d = dir_at(l->t, l->number);
	const struct page *p;
	uint64_t next;
	size_t n;
	int rc;

	for (;; word = next) {
		p = pages_at(d, word, &next);
		if (!p)
			return 0;
		rc = collect(l, p, word, &n);
		if (rc)
			return rc;
		for (size_t i = 0; i < n; i++) {
			if (l->items[i].cookie <= cookie)
				continue;
			rc = hand_out(l, &l->items[i]);
			if (rc)
				return rc < 0 ? rc : 0;
		}
		if (next == 0)
			return 0;
	}
}

int dirindex_list(struct dirindex *t, const void *prefix, size_t len,
		  uint64_t cookie, dirindex_list_fn *fn, void *arg)
{
	struct listing l = {
		.t = t, .prefix = prefix, .len = len, .fn = fn, .arg = arg
	};
	int err = -ENOMEM;

	l.path = malloc(len + UINT16_MAX + 1);
	if (!l.path)
		return err;
	if (len > 0)
		memcpy(l.path, prefix, len);
	pthread_rwlock_rdlock(&t->lock);
	err = dirindex_fault(t);
	if (!err) {
		l.number = dirs_find(t, prefix, len);
		err = l.number == NO_DIR ? -ENOENT : list_from(&l, cookie);
	}
	pthread_rwlock_unlock(&t->lock);
	free(l.items);
	free(l.path);
	return err;
}
