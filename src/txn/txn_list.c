/* Listings of a transaction's directories.
 *
 * A listing is a merge in the order of upper's cookies.  A lower that lists in
 * another order may have other cookies, too: its entries are given upper's, and
 * sorted first.  Neither store's locks are held while the other is asked:
 * entries are copied first, some at a time.
 */
#include "txn/txn.h"

#include "base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define GATHER 256
/* Of a store that lists in another order, so many at a time, since each time it
 * lists all. */
#define SORTED 4096

/* Some entries of one of the stores, as they come behind a cookie. */
struct gathered {
	struct backend_entry *entry; /* comp is malloc'd */
	size_t n, at, room, most;
	bool more;
	uint64_t behind, bound; /* sorting: in between */
};

static int have_room(struct gathered *g)
{
	size_t room = g->room ? 4 * g->room : 32;
	struct backend_entry *more;

	if (g->n < g->room)
		return 0;
	room = min_u64(room, g->most);
	more = realloc(g->entry, room * sizeof(*more));
	if (!more)
		return -ENOMEM;
	g->entry = more;
	g->room = room;
	return 0;
}

static int copy_entry(struct gathered *g, const struct backend_entry *from)
{
	int rc = have_room(g);
	uint8_t *comp = rc == 0 ? malloc(from->comp_len + 1) : NULL;

	if (!comp)
		return -ENOMEM;
	memcpy(comp, from->comp, from->comp_len);
	g->entry[g->n] = *from;
	g->entry[g->n++].comp = comp;
	return 0;
}

static int gather_entry(void *arg, const struct backend_entry *from)
{
	struct gathered *g = arg;

	if (g->n == GATHER) {
		g->more = true;
		return 1;
	}
	return copy_entry(g, from);
}

static int by_cookie(const void *a, const void *b)
{
	const struct backend_entry *x = a, *y = b;

	return x->cookie < y->cookie ? -1 : x->cookie > y->cookie;
}

/* The first SORTED of those that there are. */
static void sort(struct gathered *g)
{
	if (g->n)
		qsort(g->entry, g->n, sizeof(*g->entry), by_cookie);
	while (g->n > SORTED) {
		free((void *)(uintptr_t)g->entry[--g->n].comp);
		g->more = true;
	}
	if (g->more)
		g->bound = g->entry[g->n - 1].cookie;
}

static int sort_entry(void *arg, const struct backend_entry *from)
{
	struct gathered *g = arg;
	struct backend_entry e = *from;

	e.cookie = hash_cookie(keyhash_word(&e.hash), e.is_dir);
	if (e.cookie <= g->behind || e.cookie > g->bound)
		return 0;
	if (g->n == g->most)
		sort(g);
	return copy_entry(g, &e);
}

static void gathered_clear(struct gathered *g)
{
	for (size_t i = 0; i < g->n; i++)
		free((void *)(uintptr_t)g->entry[i].comp);
	g->n = g->at = 0;
	g->more = false;
}

static void gathered_release(struct gathered *g)
{
	gathered_clear(g);
	free(g->entry);
}

static int gather(struct blt *store, const void *prefix, size_t len,
		  uint64_t cookie, struct gathered *to)
{
	const struct backend_dirs *dirs = txn_dirs_of(store);
	int rc;

	gathered_clear(to);
	to->most = dirs->by_cookie ? GATHER : 2 * SORTED;
	to->behind = cookie;
	to->bound = UINT64_MAX;
	if (dirs->by_cookie) {
		rc = dirs->list(store, prefix, len, cookie, gather_entry, to);
	} else {
		rc = dirs->list(store, prefix, len, 0, sort_entry, to);
		sort(to);
	}
	return rc == -ENOENT ? 0 : rc;
}

struct merge {
	struct txn *t;
	bool seen;       /* it counts as a look */
	uint8_t *prefix; /* with room for a component behind it */
	size_t len;
	struct gathered below, above;
	backend_list_fn *fn;
	void *arg;
};

/* Whether there is a directory of the entry's name. */
static int has_dir(struct merge *m, const struct backend_entry *e)
{
	bool marked;

	if (m->t->flat || m->len + e->comp_len + 1 > BLT_KEY_MAX)
		return 0;
	memcpy(m->prefix + m->len, e->comp, e->comp_len);
	m->prefix[m->len + e->comp_len] = '/';
	return txn_find_dir(&m->t->face, m->prefix, m->len + e->comp_len + 1,
			    &marked);
}

static int emit(struct merge *m, struct backend_entry e)
{
	int rc;

	if (!e.is_dir) {
		rc = has_dir(m, &e);
		if (rc < 0)
			return rc;
		e.conflict = rc == 1;
	}
	return m->fn(m->arg, &e);
}

/* The time of lower's marker, unless that is covered. */
static struct blt_stat base_stat(struct merge *m, const struct backend_entry *e)
{
	memcpy(m->prefix + m->len, e->comp, e->comp_len);
	m->prefix[m->len + e->comp_len] = '/';
	if (txn_marker_seen(m->t, m->prefix, m->len + e->comp_len + 1))
		return e->stat;
	return (struct blt_stat){ 0 };
}

static int emit_below(struct merge *m, const struct backend_entry *below)
{
	struct backend_entry e = *below;

	if (e.is_dir ? txn_is_gone(m->t, &e.hash) :
		       txn_has_whiteout(m->t, &e.hash))
		return 0;
	if (e.is_dir)
		e.stat = base_stat(m, below);
	return emit(m, e);
}

/* below: lower has it, too, or NULL. */
static int emit_above(struct merge *m, const struct backend_entry *above,
		      const struct backend_entry *below)
{
	struct backend_entry e = *above;

	if (e.is_dir && below && e.stat.timestamp == 0)
		e.stat = base_stat(m, below);
	return emit(m, e);
}

static const struct backend_entry *next_of(struct gathered *g, uint64_t until)
{
	if (g->at == g->n || g->entry[g->at].cookie > until)
		return NULL;
	return &g->entry[g->at];
}

/* What has been gathered of both, up to a cookie. */
static int merge_some(struct merge *m, uint64_t until)
{
	int rc = 0;

	while (rc == 0) {
		const struct backend_entry *b = next_of(&m->below, until);
		const struct backend_entry *a = next_of(&m->above, until);

		if (a && b && a->cookie < b->cookie)
			b = NULL;
		else if (a && b && b->cookie < a->cookie)
			a = NULL;
		m->above.at += a != NULL;
		m->below.at += b != NULL;
		if (!a && !b)
			break;
		if (b && b->is_dir && m->seen)
			rc = txn_see_dir(m->t, &b->hash);
		if (rc == 0)
			rc = a ? emit_above(m, a, b) : emit_below(m, b);
	}
	return rc;
}

static uint64_t last_of(const struct gathered *g)
{
	return g->more ? g->entry[g->n - 1].cookie : UINT64_MAX;
}

static int merge_all(struct merge *m, uint64_t cookie)
{
	int rc;

	do {
		rc = gather(m->t->lower, m->prefix, m->len, cookie, &m->below);
		if (rc == 0)
			rc = gather(m->t->upper, m->prefix, m->len, cookie,
				    &m->above);
		if (rc < 0)
			return rc;
		cookie = min_u64(last_of(&m->below), last_of(&m->above));
		rc = merge_some(m, cookie);
	} while (rc == 0 && cookie != UINT64_MAX);
	return rc < 0 ? rc : 0;
}

static int list(struct blt *face, bool seen, const void *prefix, size_t len,
		uint64_t cookie, backend_list_fn *fn, void *arg)
{
	struct merge *m;
	bool marked;
	int rc = txn_find_dir(face, prefix, len, &marked);

	if (rc <= 0)
		return rc < 0 ? rc : -ENOENT;
	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	m->t = txn_of(face);
	m->seen = seen;
	m->len = len;
	m->fn = fn;
	m->arg = arg;
	m->prefix = malloc(len + BLT_KEY_MAX + 1);
	rc = -ENOMEM;
	if (m->prefix) {
		if (len)
			memcpy(m->prefix, prefix, len);
		rc = merge_all(m, cookie);
	}
	gathered_release(&m->below);
	gathered_release(&m->above);
	free(m->prefix);
	free(m);
	return rc;
}

int txn_list(struct blt *face, const void *prefix, size_t len, uint64_t cookie,
	     backend_list_fn *fn, void *arg)
{
	int rc = txn_see_names(txn_of(face), prefix, len);

	return rc < 0 ? rc : list(face, true, prefix, len, cookie, fn, arg);
}

int txn_list_now(struct blt *face, const void *prefix, size_t len,
		 uint64_t cookie, backend_list_fn *fn, void *arg)
{
	return list(face, false, prefix, len, cookie, fn, arg);
}
