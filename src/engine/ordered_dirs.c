#include "engine/ordered_dirs.h"

#include "base/array.h"
#include "engine/cookie_cache.h"

#include <stdlib.h>
#include <xxhash.h>

/* A shorter name fits into a file's, however it is written there. */
#define LONG_LEN (255u / 3)
/* A listing's cookie means the same name in every directory. */
#define ANY_DIR 0

static uint64_t cookie_of(const struct keyhash *hash, bool is_dir)
{
	return hash_cookie(keyhash_word(hash), is_dir);
}

/* Which directory, as far as a mark must know it. */
static uint32_t dir_of(const void *prefix, size_t len)
{
	struct keyhash h = keyhash_of(prefix, len);

	return (uint32_t)keyhash_word(&h);
}

/* ---- nothing is walked beforehand ---- */

int ordered_wait(struct blt *store)
{
	(void)store;
	return 0;
}

int ordered_wait_more(struct blt *store, uint64_t *seen)
{
	(void)seen;
	return ordered_wait(store);
}

bool ordered_complete(struct blt *store)
{
	(void)store;
	return true;
}

uint64_t ordered_known(struct blt *store)
{
	struct blt_info info;

	blt_get_info(store, &info);
	return info.n_keys;
}

int ordered_hold(struct blt *store, const void *prefix, size_t len, bool held)
{
	(void)store;
	(void)prefix;
	(void)len;
	(void)held;
	return -ENOTSUP;
}

/* ---- a page ---- */

int ordered_page_add(struct ordered_page *page, const struct ordered_name *of,
		     const void *name)
{
	size_t at = page->len;

	if (ARRAY_ROOM(page->name, page->room, page->n + 1) < 0 ||
	    bytes_append(&page->bytes, &page->len, name, of->len) < 0)
		return -ENOMEM;
	page->name[page->n] = *of;
	page->name[page->n++].at = at;
	return 0;
}

/* ---- a listing ---- */

struct listing {
	const struct ordered_dirs *d;
	struct blt *store;
	struct cookie_cache *cookies;
	const uint8_t *prefix;
	size_t len;
	uint32_t dir;
	size_t least; /* shorter names are passed over */
	struct ordered_from from;
	struct ordered_page page;
	uint8_t whole[2 * (BLT_KEY_MAX + 1)]; /* prefix and name, for hashes */
};

static int listing_new(struct blt *store, const void *prefix, size_t len,
		       struct listing **ret)
{
	const struct ordered_dirs *d = store->backend->dirs->ordered;
	struct listing *l = malloc(sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->d = d;
	l->store = store;
	l->cookies = d->cookies(store);
	l->prefix = prefix;
	l->len = len;
	l->dir = dir_of(prefix, len);
	l->least = 0;
	l->from.begun = false;
	l->page = (struct ordered_page){ .n = 0 };
	if (len)
		memcpy(l->whole, prefix, len);
	*ret = l;
	return 0;
}

static void listing_free(struct listing *l)
{
	free(l->page.name);
	free(l->page.bytes);
	free(l);
}

static void describe(struct listing *l, const struct ordered_name *e,
		     struct backend_entry *ret)
{
	const uint8_t *name = l->page.bytes + e->at;

	if (e->len)
		memcpy(l->whole + l->len, name, e->len);
	*ret = (struct backend_entry){
		.is_dir = e->is_dir,
		.conflict = e->conflict,
		.comp = name,
		.comp_len = e->len,
		.hash = keyhash_of(l->whole, l->len + e->len),
		.stat = e->stat,
	};
	/* of the name alone: a listing goes on when its directory is renamed */
	ret->cookie = hash_cookie(XXH3_64bits(name, e->len), e->is_dir);
}

static void remember(struct listing *l, const struct backend_entry *e)
{
	l->from.begun = true;
	l->from.is_dir = e->is_dir;
	l->from.len = e->comp_len;
	if (e->comp_len)
		memcpy(l->from.name, e->comp, e->comp_len);
}

static int next_page(struct listing *l)
{
	struct backend_entry last;
	int rc;

	l->page.n = l->page.len = 0;
	rc = l->d->page(l->store, l->prefix, l->len, &l->from, &l->page);
	if (rc > 0 && l->page.n) {
		describe(l, &l->page.name[l->page.n - 1], &last);
		remember(l, &last);
	}
	return rc;
}

typedef int listed_fn(void *arg, struct listing *l,
		      const struct backend_entry *as);

/* Calls fn for every name from there on, until it returns something else than
 * 0. */
static int each(struct listing *l, listed_fn *fn, void *arg)
{
	struct backend_entry as;
	int rc, stop = 0;

	do {
		rc = next_page(l);
		for (size_t i = 0; rc >= 0 && !stop && i < l->page.n; i++) {
			if (l->page.name[i].len < l->least)
				continue;
			describe(l, &l->page.name[i], &as);
			stop = fn(arg, l, &as);
		}
	} while (rc > 0 && !stop);
	return rc < 0 ? rc : stop;
}

static int is_cookie(void *arg, struct listing *l,
		     const struct backend_entry *as)
{
	const uint64_t *cookie = arg;

	if (as->cookie != *cookie)
		return 0;
	remember(l, as);
	return 1;
}

/* -ESTALE: the name is gone, and nobody remembers it. */
static int go_behind(struct listing *l, uint64_t cookie)
{
	int rc;

	if (cookie == 0)
		return 0;
	if (cookie_cache_find(l->cookies, ANY_DIR, cookie, l->from.name,
			      &l->from.len)) {
		l->from.begun = true;
		l->from.is_dir = cookie & 1;
		return 0;
	}
	rc = each(l, is_cookie, &cookie);
	return rc == 0 ? -ESTALE : rc < 0 ? rc : 0;
}

struct giving {
	backend_list_fn *fn;
	void *arg;
	/* what was given last */
	uint64_t cookie; /* 0: nothing */
	uint8_t *name;
	size_t len;
};

static int give(void *arg, struct listing *l, const struct backend_entry *as)
{
	struct giving *g = arg;
	int rc = g->fn(g->arg, as);

	if (rc != 0)
		return rc;
	cookie_cache_set(l->cookies, ANY_DIR, as->cookie, as->comp,
			 as->comp_len);
	if (as->comp_len > LONG_LEN)
		cookie_cache_set(l->cookies, l->dir,
				 cookie_of(&as->hash, as->is_dir), as->comp,
				 as->comp_len);
	g->cookie = as->cookie;
	g->len = 0;
	return bytes_append(&g->name, &g->len, as->comp, as->comp_len);
}

int ordered_list(struct blt *store, const void *prefix, size_t len,
		 uint64_t cookie, backend_list_fn *fn, void *arg)
{
	struct giving g = { .fn = fn, .arg = arg };
	struct listing *l;
	int rc = listing_new(store, prefix, len, &l);

	if (rc < 0)
		return rc;
	rc = go_behind(l, cookie);
	if (rc == 0)
		rc = each(l, give, &g);
	if (g.cookie)
		cookie_cache_end(l->cookies, ANY_DIR, g.cookie, g.name, g.len);
	free(g.name);
	listing_free(l);
	return rc < 0 ? rc : 0;
}

/* ---- by hash ---- */

struct wanted {
	const struct keyhash *hash;
	bool is_dir;
	uint8_t *name;
	size_t len;
};

static int take_wanted(struct wanted *w, const uint8_t *name, size_t len)
{
	w->name = malloc(len + 1);
	if (!w->name)
		return -ENOMEM;
	memcpy(w->name, name, len);
	w->len = len;
	return 1;
}

static int is_wanted(void *arg, struct listing *l,
		     const struct backend_entry *as)
{
	struct wanted *w = arg;

	if (as->is_dir != w->is_dir || !keyhash_equal(&as->hash, w->hash))
		return 0;
	cookie_cache_set(l->cookies, l->dir, cookie_of(&as->hash, as->is_dir),
			 as->comp, as->comp_len);
	return take_wanted(w, as->comp, as->comp_len);
}

/* Whether the name that has the mark of this hash has the hash, and is there:
 * 1, 0 or negative. */
static int try_mark(struct listing *l, struct wanted *w)
{
	uint64_t cookie = cookie_of(w->hash, w->is_dir);
	struct keyhash hash;
	struct blt_stat st;
	bool marked;
	size_t len;
	int rc;

	if (!cookie_cache_find(l->cookies, l->dir, cookie, l->from.name, &len))
		return 0;
	memcpy(l->whole + l->len, l->from.name, len);
	hash = keyhash_of(l->whole, l->len + len);
	if (!keyhash_equal(&hash, w->hash))
		return 0;
	l->whole[l->len + len] = '/';
	if (w->is_dir)
		rc = l->store->backend->dirs->find(l->store, l->whole,
						   l->len + len + 1, &marked);
	else
		rc = blt_stat_key(l->store, l->whole, l->len + len, &st) == 0;
	return rc > 0 ? take_wanted(w, l->from.name, len) : rc;
}

/* The component: 1, 0 or negative. */
static int find_hash(struct blt *store, const void *prefix, size_t len,
		     struct wanted *w)
{
	struct listing *l;
	int rc = listing_new(store, prefix, len, &l);

	if (rc < 0)
		return rc;
	l->least = LONG_LEN;
	rc = try_mark(l, w);
	if (rc == 0)
		rc = each(l, is_wanted, w);
	listing_free(l);
	return rc == -ENOENT ? 0 : rc;
}

int ordered_find_key(struct blt *store, const void *prefix, size_t len,
		     const struct keyhash *hash, uint8_t **ret_key,
		     size_t *ret_len)
{
	struct wanted w = { .hash = hash };
	int rc = find_hash(store, prefix, len, &w);
	uint8_t *key;

	if (rc <= 0)
		return rc < 0 ? rc : -ENOENT;
	key = malloc(len + w.len + 1);
	if (key) {
		if (len)
			memcpy(key, prefix, len);
		memcpy(key + len, w.name, w.len);
		*ret_key = key;
		*ret_len = len + w.len;
	}
	free(w.name);
	return key ? 0 : -ENOMEM;
}

int ordered_find_long(struct blt *store, const void *prefix, size_t len,
		      const struct keyhash *hash, uint8_t **ret_comp,
		      size_t *ret_len)
{
	struct wanted w = { .hash = hash, .is_dir = true };
	int rc = find_hash(store, prefix, len, &w);

	if (rc > 0) {
		*ret_comp = w.name;
		*ret_len = w.len;
	}
	return rc;
}
