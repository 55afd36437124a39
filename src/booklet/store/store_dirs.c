/* The booklet engine's directories: its tree, with what the blocks say. */
#include "booklet/store/store.h"

#include <errno.h>
#include <stdlib.h>

static struct dirindex *dirindex_of(struct blt *blt)
{
	return atomic_load(&store_of(blt)->engine.dirindex);
}

static int dirs_start(struct blt *blt, bool flat)
{
	struct dirindex *dirindex;
	int rc = store_dirindex(store_of(blt), flat, &dirindex);

	if (rc == 0 && dirindex_is_flat(dirindex) != flat)
		rc = -EINVAL;
	return rc;
}

static int dirs_wait(struct blt *blt)
{
	return dirindex_wait(dirindex_of(blt));
}

static int dirs_wait_more(struct blt *blt, uint64_t *seen)
{
	return dirindex_wait_more(dirindex_of(blt), seen);
}

static int dirs_ready(struct blt *blt)
{
	return dirindex_ready(dirindex_of(blt));
}

static bool dirs_complete(struct blt *blt)
{
	return dirindex_is_complete(dirindex_of(blt));
}

static uint64_t dirs_known(struct blt *blt)
{
	struct dirindex_stats stats;

	dirindex_stats(dirindex_of(blt), &stats);
	return stats.keys;
}

static int dirs_find(struct blt *blt, const void *prefix, size_t len,
		     bool *ret_marked)
{
	struct dirindex_dir facts = { 0 };
	int rc = dirindex_find(dirindex_of(blt), prefix, len, &facts);

	if (rc == 1)
		*ret_marked = facts.marker != 0;
	return rc;
}

static int dirs_facts(struct blt *blt, const void *prefix, size_t len,
		      struct blt_dir_facts *ret)
{
	struct dirindex_dir facts = { 0 };
	int rc = dirindex_find(dirindex_of(blt), prefix, len, &facts);

	if (rc == 1)
		*ret = (struct blt_dir_facts){ facts.entries, facts.subdirs,
					       facts.marker != 0 };
	return rc;
}

static int dirs_find_key(struct blt *blt, const void *prefix, size_t len,
			 const struct keyhash *hash, uint8_t **ret_key,
			 size_t *ret_len)
{
	(void)prefix;
	(void)len;
	return store_find_hash(store_of(blt), hash, ret_key, ret_len);
}

static int dirs_find_long(struct blt *blt, const void *prefix, size_t len,
			  const struct keyhash *hash, uint8_t **ret_comp,
			  size_t *ret_len)
{
	return dirindex_find_long(dirindex_of(blt), prefix, len, hash, ret_comp,
				  ret_len);
}

struct listing {
	struct store *store;
	backend_list_fn *fn;
	void *arg;
};

static int list_entry(void *arg, const struct dirindex_entry *from)
{
	struct listing *l = arg;
	struct backend_entry e = {
		.is_dir = from->is_dir,
		.conflict = from->conflict,
		.cookie = from->cookie,
		.comp = from->comp,
		.comp_len = from->comp_len,
		.hash = from->hash,
	};
	int rc = 0;

	if (from->pos != 0)
		rc = store_stat_at(l->store, from->pos, &e.stat);
	return rc < 0 ? rc : l->fn(l->arg, &e);
}

static int dirs_list(struct blt *blt, const void *prefix, size_t len,
		     uint64_t cookie, backend_list_fn *fn, void *arg)
{
	struct listing l = { store_of(blt), fn, arg };

	return dirindex_list(dirindex_of(blt), prefix, len, cookie, list_entry,
			     &l);
}

static int dirs_hold(struct blt *blt, const void *prefix, size_t len, bool held)
{
	return dirindex_hold(dirindex_of(blt), prefix, len, held);
}

static int dirs_order_count(struct blt *blt, const void *prefix, size_t len,
			    uint64_t *ret)
{
	return dirindex_order_count(dirindex_of(blt), prefix, len, ret);
}

struct order_call {
	backend_order_fn *fn;
	void *arg;
};

static int order_place(void *arg, const struct dirindex_place *from)
{
	const struct order_call *c = arg;
	struct backend_place place = { from->comp, from->comp_len,
				       from->is_dir };

	return c->fn(c->arg, &place);
}

static int dirs_order_at(struct blt *blt, const void *prefix, size_t len,
			 uint64_t at, uint64_t n, backend_order_fn *fn,
			 void *arg)
{
	struct order_call c = { fn, arg };

	return dirindex_order_at(dirindex_of(blt), prefix, len, at, n,
				 order_place, &c);
}

static int dirs_order_find(struct blt *blt, const void *prefix, size_t len,
			   const void *comp, size_t comp_len, uint64_t *ret)
{
	return dirindex_order_find(dirindex_of(blt), prefix, len, comp,
				   comp_len, ret);
}

const struct backend_dirs booklet_dirs = {
	.start = dirs_start,
	.wait = dirs_wait,
	.wait_more = dirs_wait_more,
	.ready = dirs_ready,
	.complete = dirs_complete,
	.known = dirs_known,
	.find = dirs_find,
	.facts = dirs_facts,
	.find_key = dirs_find_key,
	.find_long = dirs_find_long,
	.by_cookie = true,
	.list = dirs_list,
	.hold = dirs_hold,
	.order_count = dirs_order_count,
	.order_at = dirs_order_at,
	.order_find = dirs_order_find,
};
