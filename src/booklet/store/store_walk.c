/* Walking: the public iterator, and the thread that fills the tree. */
#include "booklet/store/store.h"

#include "booklet/format/marker.h"
#include "booklet/core/scan.h"
#include "base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct iter {
	struct blt_iter face;
	struct scan scan;
	bool no_values;
	size_t prefix_len;
	uint8_t prefix[];
};

int booklet_iter_open(struct blt *blt, const struct blt_iter_options *opts,
		      struct blt_iter **ret)
{
	struct store *store = store_of(blt);
	size_t len = opts ? opts->prefix_len : 0;
	struct iter *it = malloc(sizeof(*it) + len);

	if (!it)
		return -ENOMEM;
	it->face.store = blt;
	it->no_values = opts && opts->no_values;
	it->prefix_len = len;
	if (len)
		memcpy(it->prefix, opts->prefix, len);
	scan_start(&it->scan, &store->engine, false);
	*ret = &it->face;
	return 0;
}

struct matching {
	const struct iter *it;
	const struct block *block;
};

static int match_prefix(void *arg)
{
	const struct matching *m = arg;

	return memcmp(m->block->key, m->it->prefix, m->it->prefix_len) == 0;
}

/* 1: the block's key is one of those asked for. */
static int is_wanted(const struct iter *it, const struct block *b)
{
	struct matching m = { it, b };

	if (format_hidden(&it->scan.engine->space.fmt, &b->head.hash))
		return 0;
	if (it->prefix_len == 0)
		return 1;
	if (b->head.key_len < it->prefix_len)
		return 0;
	return file_try(match_prefix, &m);
}

static struct iter *iter_of(struct blt_iter *face)
{
	return (struct iter *)(void *)face;
}

int booklet_iter_next(struct blt_iter *face, struct blt_item *ret)
{
	struct iter *it = iter_of(face);
	struct block b;
	int rc;

	do {
		rc = scan_next(&it->scan, &b);
		if (rc <= 0)
			return rc;
		rc = is_wanted(it, &b);
	} while (rc == 0);
	if (rc < 0)
		return rc;
	*ret = (struct blt_item){
		.key = b.key,
		.value = it->no_values ? NULL : b.value,
		.key_len = b.head.key_len,
		.value_len = b.head.value_len,
		.timestamp = b.head.timestamp,
		.value_offset = block_value_pos(&b),
		.in_file = !it->scan.pin,
	};
	return 1;
}

void booklet_iter_free(struct blt_iter *face)
{
	struct iter *it = iter_of(face);

	scan_end(&it->scan);
	free(it);
}

/* ---- the tree ---- */

struct load {
	struct space *sp;
	uint64_t pos;
	struct block block;
	uint8_t *key;
};

static int load_key(void *arg)
{
	struct load *l = arg;
	int rc = block_at(l->sp, l->pos, SPACE_READER, &l->block);

	if (rc == 0 && l->key)
		memcpy(l->key, l->block.key, l->block.head.key_len);
	return rc;
}

static int load(struct load *l)
{
	int rc;

	pthread_rwlock_rdlock(&l->sp->lock);
	rc = file_try(load_key, l);
	pthread_rwlock_unlock(&l->sp->lock);
	return rc;
}

static int read_key(void *arg, uint64_t pos, const uint8_t **ret_key,
		    size_t *ret_len, struct keyhash *ret_hash)
{
	static _Thread_local uint8_t key[FORMAT_KEY_MAX];
	struct store *store = arg;
	struct load l = { .sp = &store->engine.space, .pos = pos, .key = key };
	int rc = load(&l);

	if (rc < 0)
		return rc;
	*ret_key = key;
	*ret_len = l.block.head.key_len;
	*ret_hash = l.block.head.hash;
	return 0;
}

/* What is no longer there does no harm. */
static void fetch_keys(void *arg, const uint64_t *pos, size_t n)
{
	struct store *store = arg;
	struct space *sp = &store->engine.space;

	pthread_rwlock_rdlock(&sp->lock);
	for (size_t i = 0; i < n; i++) {
		__builtin_prefetch(space_ptr(sp, pos[i]));
		__builtin_prefetch(space_ptr(sp, pos[i]) + FORMAT_HEAD_MAX);
	}
	pthread_rwlock_unlock(&sp->lock);
}

int store_stat_at(struct store *store, uint64_t pos, struct blt_stat *ret)
{
	struct load l = { .sp = &store->engine.space, .pos = pos };
	int rc = load(&l);

	if (rc == 0)
		*ret = (struct blt_stat){ l.block.head.value_len,
					  l.block.head.timestamp };
	return rc;
}

/* Blocks met under one hold of the write lock. */
#define WALK_STRIDE 256

struct walk {
	struct engine *engine;
	struct tree *tree;
	uint64_t end;
	struct block block;
	bool marker;
};

static int walk_block(void *arg)
{
	struct walk *w = arg;
	struct space *sp = &w->engine->space;
	int rc = block_at(sp, w->engine->walk_pos, SPACE_READER, &w->block);

	if (rc < 0)
		return rc;
	block_fetch_ahead(&w->block);
	w->engine->walk_pos = block_behind(sp, &w->block);
	if (w->block.head.next == FORMAT_DEAD ||
	    format_hidden(&sp->fmt, &w->block.head.hash))
		return 0;
	memcpy(w->engine->key, w->block.key, w->block.head.key_len);
	w->marker = marker_is(w->engine->key, w->block.head.key_len,
			      w->block.value, w->block.head.value_len);
	return 1;
}

/* Whether a block is alive and what the tree is told of it must not come apart:
 * so the writer is kept out, but only for a few blocks at a time. */
static int walk_stride(struct walk *w)
{
	int rc = 0;

	for (int i = 0;
	     i < WALK_STRIDE && rc >= 0 && w->engine->walk_pos < w->end; i++) {
		rc = file_try(walk_block, w);
		if (rc > 0)
			rc = tree_add(w->tree, w->engine->key,
				      w->block.head.key_len, w->block.pos,
				      w->marker);
	}
	return rc;
}

/* With write held. */
static void set_walking(struct engine *e, bool walking)
{
	pthread_rwlock_wrlock(&e->space.lock);
	e->walking = walking;
	pthread_rwlock_unlock(&e->space.lock);
	epoch_wake(&e->space.epoch);
}

static void *walk_blocks(void *arg)
{
	struct store *store = arg;
	struct space *sp = &store->engine.space;
	struct walk w = { .engine = &store->engine,
			  .tree = atomic_load(&store->engine.tree) };
	int rc = 0;

	pthread_mutex_lock(&sp->write);
	set_walking(&store->engine, true);
	w.engine->walk_pos = block_first(sp);
	w.end = sp->end;
	while (rc == 0 && w.engine->walk_pos < w.end &&
	       !atomic_load(&store->stop_walk)) {
		rc = walk_stride(&w);
		pthread_mutex_unlock(&sp->write);
		batch_give_way(&store->engine);
		pthread_mutex_lock(&sp->write);
	}
	set_walking(&store->engine, false);
	pthread_mutex_unlock(&sp->write);
	tree_complete(w.tree, rc < 0 ? rc : 0);
	return NULL;
}

int store_tree(struct store *store, bool flat, struct tree **ret)
{
	struct tree_source source = { .read_key = read_key,
				      .fetch = fetch_keys,
				      .arg = store };
	struct space *sp = &store->engine.space;
	struct tree *tree;
	int rc = 0;

	pthread_mutex_lock(&sp->write);
	tree = atomic_load(&store->engine.tree);
	if (!tree)
		rc = tree_new(&source, flat, &tree);
	if (rc == 0 && !store->walking) {
		atomic_store(&store->engine.tree, tree);
		rc = thread_start(&store->walker, walk_blocks, store);
		store->walking = rc == 0;
		if (rc < 0) {
			atomic_store(&store->engine.tree, NULL);
			tree_free(tree);
		}
	}
	pthread_mutex_unlock(&sp->write);
	if (rc == 0)
		*ret = tree;
	return rc;
}

void store_tree_end(struct store *store)
{
	atomic_store(&store->stop_walk, true);
	if (store->walking)
		pthread_join(store->walker, NULL);
	store->walking = false;
	tree_free(atomic_load(&store->engine.tree));
	atomic_store(&store->engine.tree, NULL);
}
