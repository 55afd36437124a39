/* dirindex_order.c - the entries of a directory by their names.
 *
 * An order is made when it is first asked for: an empty one is hung into the
 * directory, from which moment the hooks keep it right, and then the pages are
 * read, some under each hold of the lock, shared, and what they hold is put in.
 * What a hook has put in before is met again, which is no error; what a hook
 * takes out is in no page any more.  Nobody but the builder and the hooks,
 * which have the lock for themselves, looks at it before it is complete.
 */
#include "booklet/dirindex/dirindex_dir.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TRIES 8     /* to build an order that the hooks drop */
#define AT_ONCE 64u /* entries copied out of one */
/* entries put in under one hold of the lock, and a page more */
#define CHUNK 8192u

/* Whom what an entry points at is named: the component of a key, or of a
 * directory; borrowed as the source has it. */
static int read_comp(void *arg, uint64_t ref, const uint8_t **ret_comp,
		     size_t *ret_len)
{
	const struct dir_order *o = arg;
	const struct dirindex *t = o->dirindex;
	const uint8_t *key, *slash;
	struct keyhash h;
	size_t len;
	int rc;

	if (ref & REF_DIR) {
		const struct dir *d = dir_at(t, (uint32_t)ref);

		*ret_comp = d->comp_len > 0 ? d->comp : (const uint8_t *)"";
		*ret_len = d->comp_len;
		return 0;
	}
	rc = t->source.read_key(t->source.arg, ref, &key, &len, &h);
	if (rc < 0)
		return rc;
	slash = t->flat || len == 0 ? NULL : memrchr(key, '/', len);
	*ret_comp = slash ? slash + 1 : key;
	*ret_len = len - (size_t)(*ret_comp - key);
	return 0;
}

/* ---- hooks ---- */

static void count_bytes(struct dirindex *t, struct dir_order *o)
{
	uint64_t bytes = sizeof(*o) + btree_bytes(&o->names);

	t->bytes += bytes - o->counted;
	o->counted = bytes;
}

void dir_order_free(struct dirindex *t, struct dir *d)
{
	struct dir_order *o = d->order;

	if (!o)
		return;
	t->bytes -= o->counted;
	btree_release(&o->names);
	free(o);
	d->order = NULL;
}

/* rc: 1 where the order did what it was told. */
static void told(struct dirindex *t, struct dir *d, int rc)
{
	if (rc < 0 || (rc == 0 && d->order->complete))
		dir_order_free(t, d);
	else if (d->order->complete)
		count_bytes(t, d->order);
}

void dir_order_add(struct dirindex *t, struct dir *d, const uint8_t *comp,
		   size_t len, uint64_t ref)
{
	if (d->order)
		told(t, d, btree_insert(&d->order->names, comp, len, ref));
}

void dir_order_remove(struct dirindex *t, struct dir *d, const uint8_t *comp,
		      size_t len, uint64_t ref)
{
	if (d->order)
		told(t, d, btree_remove(&d->order->names, comp, len, ref));
}

void dir_order_move(struct dirindex *t, struct dir *d, const uint8_t *comp,
		    size_t len, uint64_t from, uint64_t to)
{
	if (d->order)
		told(t, d,
		     btree_replace(&d->order->names, comp, len, from, to));
}

/* ---- building ---- */

static struct dir *find_dir(struct dirindex *t, const void *prefix, size_t len)
{
	uint32_t number = dirs_find(t, prefix, len);

	return number == NO_DIR ? NULL : dir_at(t, number);
}

/* Hangs an empty order into a directory that has none. */
static int begin(struct dirindex *t, const void *prefix, size_t len,
		 struct dir_order **ret)
{
	struct btree_source source = { .read_name = read_comp };
	struct dir_order *o = calloc(1, sizeof(*o));
	struct dir *d;
	int rc = 0;

	if (!o)
		return -ENOMEM;
	source.arg = o;
	btree_init(&o->names, &source);
	o->dirindex = t;
	pthread_rwlock_wrlock(&t->lock);
	d = find_dir(t, prefix, len);
	if (!d)
		rc = -ENOENT;
	else if (d->order)
		rc = 1;
	else
		*ret = d->order = o;
	pthread_rwlock_unlock(&t->lock);
	if (rc != 0)
		free(o);
	return rc;
}

/* Entries that are put in under one hold of the lock. */
struct chunk {
	size_t n, room;
	uint64_t *ref;
};

static int take_page(struct chunk *c, const struct page *p)
{
	if (c->room - c->n < p->n) {
		size_t room = c->n + p->n + CHUNK;
		uint64_t *more = realloc(c->ref, room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		c->ref = more;
		c->room = room;
	}
	for (uint32_t i = 0; i < p->n; i++)
		c->ref[c->n++] = p->entry[i] & REF_MASK;
	return 0;
}

static int by_ref(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static int put_in(struct dir_order *o, uint64_t ref)
{
	uint8_t copy[UINT16_MAX];
	const uint8_t *comp;
	size_t len;
	int rc = read_comp(o, ref, &comp, &len);

	if (rc < 0)
		return rc;
	memcpy(copy, comp, len); /* the order reads others */
	rc = btree_insert(&o->names, copy, len, ref);
	return rc < 0 ? rc : 0;
}

/* Puts in what the page of *word and the next ones hold; *word is then that of
 * those behind them, or 0.  In the order of the file, which is mostly that of
 * the names, too: pages are in that of hashes. */
static int add_pages(struct dir *d, struct chunk *c, uint64_t *word)
{
	int rc = 0;

	c->n = 0;
	do {
		const struct page *p = pages_at(d, *word, word);

		rc = p ? take_page(c, p) : 0;
	} while (rc == 0 && *word != 0 && c->n < CHUNK);
	if (c->n > 0)
		qsort(c->ref, c->n, sizeof(*c->ref), by_ref);
	for (size_t i = 0; i < c->n && rc == 0; i++)
		rc = put_in(d->order, c->ref[i]);
	return rc;
}

/* 0: it is complete; 1: it went meanwhile. */
static int fill(struct dirindex *t, const void *prefix, size_t len,
		const struct dir_order *o)
{
	struct chunk chunk = { 0 };
	uint64_t word = 0;
	struct dir *d;
	int rc = 0;

	do {
		pthread_rwlock_rdlock(&t->lock);
		d = find_dir(t, prefix, len);
		if (!d || d->order != o)
			rc = 1;
		else
			rc = add_pages(d, &chunk, &word);
		pthread_rwlock_unlock(&t->lock);
	} while (rc == 0 && word != 0);
	free(chunk.ref);
	pthread_rwlock_wrlock(&t->lock);
	d = find_dir(t, prefix, len);
	if (!d || d->order != o) {
		rc = 1;
	} else if (rc == 0) {
		d->order->complete = true;
		count_bytes(t, d->order);
	} else {
		dir_order_free(t, d);
	}
	pthread_rwlock_unlock(&t->lock);
	return rc;
}

static int build(struct dirindex *t, const void *prefix, size_t len)
{
	struct dir_order *o = NULL;
	int rc;

	pthread_mutex_lock(&t->order_lock);
	rc = begin(t, prefix, len, &o);
	if (rc == 0)
		rc = fill(t, prefix, len, o);
	pthread_mutex_unlock(&t->order_lock);
	return rc < 0 ? rc : 0;
}

/* ---- questions ---- */

/* The complete order of a directory, with the lock held, shared. */
static int enter(struct dirindex *t, const void *prefix, size_t len,
		 const struct counted_btree **ret)
{
	int rc = 0;

	for (int i = 0; i < TRIES && rc == 0; i++) {
		struct dir *d;

		pthread_rwlock_rdlock(&t->lock);
		d = find_dir(t, prefix, len);
		rc = dirindex_fault(t);
		if (rc == 0 && !d)
			rc = -ENOENT;
		if (rc == 0 && d->order && d->order->complete) {
			*ret = &d->order->names;
			return 0;
		}
		pthread_rwlock_unlock(&t->lock);
		if (rc == 0)
			rc = build(t, prefix, len);
	}
	return rc < 0 ? rc : -ENOMEM; /* what drops one again and again */
}

int dirindex_order_count(struct dirindex *t, const void *prefix, size_t len,
			 uint64_t *ret)
{
	const struct counted_btree *names;
	int rc = enter(t, prefix, len, &names);

	if (rc < 0)
		return rc;
	*ret = btree_count(names);
	pthread_rwlock_unlock(&t->lock);
	return 0;
}

static int hand_over(const struct counted_btree *names,
		     const struct btree_entry *e, dirindex_order_fn *fn,
		     void *arg)
{
	struct dirindex_place place = { .is_dir = e->ref & REF_DIR };
	uint8_t buf[BTREE_HEAD];
	int rc = btree_name(names, e, buf, &place.comp, &place.comp_len);

	return rc < 0 ? rc : fn(arg, &place);
}

int dirindex_order_at(struct dirindex *t, const void *prefix, size_t len,
		      uint64_t at, uint64_t n, dirindex_order_fn *fn, void *arg)
{
	struct btree_entry entries[AT_ONCE];
	const struct counted_btree *names;
	size_t had = AT_ONCE;
	int rc = enter(t, prefix, len, &names);

	if (rc < 0)
		return rc;
	while (rc == 0 && n > 0 && had > 0) {
		had = btree_at(names, at, entries,
			       n < AT_ONCE ? (size_t)n : AT_ONCE);
		for (size_t i = 0; i < had && rc == 0; i++)
			rc = hand_over(names, &entries[i], fn, arg);
		at += had;
		n -= had;
	}
	pthread_rwlock_unlock(&t->lock);
	return rc;
}

int dirindex_order_find(struct dirindex *t, const void *prefix, size_t len,
			const void *comp, size_t comp_len, uint64_t *ret)
{
	const struct counted_btree *names;
	int rc = enter(t, prefix, len, &names);

	if (rc < 0)
		return rc;
	rc = btree_find_name(names, comp, comp_len, ret);
	pthread_rwlock_unlock(&t->lock);
	return rc;
}
