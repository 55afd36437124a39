/* Walking: the public iterator, and the thread that fills the tree. */
#include "booklet/store/store.h"

#include "booklet/core/hash_order.h"
#include "base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct iter {
	struct blt_iter face;
	struct snapshot snapshot; /* or, not NULL: */
	struct hash_order *order;
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
	it->order = NULL;
	it->no_values = opts && opts->no_values;
	it->prefix_len = len;
	if (len)
		memcpy(it->prefix, opts->prefix, len);
	snapshot_start(&it->snapshot, &store->engine, false);
	*ret = &it->face;
	return 0;
}

int booklet_iter_ordered(struct blt *blt, const void *after, size_t after_len,
			 struct blt_iter **ret)
{
	struct store *store = store_of(blt);
	struct iter *it = calloc(1, sizeof(*it));
	struct keyhash hash = { { 0 } };
	struct blt_info info;
	int rc;

	if (!it)
		return -ENOMEM;
	booklet_get_info(blt, &info);
	it->face.store = blt;
	if (after)
		hash = keyhash_of(after, after_len);
	rc = hash_order_new(&store->engine, info.n_keys, after ? &hash : NULL,
			    0, &it->order);
	if (rc < 0)
		free(it);
	else
		*ret = &it->face;
	return rc;
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

	if (format_hidden(&it->snapshot.engine->wal.fmt, &b->head.hash))
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
		rc = it->order ? hash_order_next(it->order, &b) :
				 snapshot_next(&it->snapshot, &b);
		if (rc <= 0)
			return rc;
		rc = it->order ? 1 : is_wanted(it, &b);
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
		.in_file = it->order ? !hash_order_pinned(it->order) :
				       !it->snapshot.pin,
	};
	return 1;
}

void booklet_iter_free(struct blt_iter *face)
{
	struct iter *it = iter_of(face);

	if (it->order)
		hash_order_free(it->order);
	else
		snapshot_end(&it->snapshot);
	free(it);
}

/* ---- the tree ---- */

struct load {
	struct wal *wal;
	uint64_t pos;
	struct block block;
	uint8_t *key;
};

static int load_key(void *arg)
{
	struct load *l = arg;
	int rc = block_at(l->wal, l->pos, WAL_READER, &l->block);

	if (rc == 0 && l->key)
		memcpy(l->key, l->block.key, l->block.head.key_len);
	return rc;
}

static int load(struct load *l)
{
	int rc;

	pthread_rwlock_rdlock(&l->wal->lock);
	rc = file_try(load_key, l);
	pthread_rwlock_unlock(&l->wal->lock);
	return rc;
}

static int read_key(void *arg, uint64_t pos, const uint8_t **ret_key,
		    size_t *ret_len, struct keyhash *ret_hash)
{
	static _Thread_local uint8_t key[FORMAT_KEY_MAX];
	struct store *store = arg;
	struct load l = { .wal = &store->engine.wal, .pos = pos, .key = key };
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
	struct wal *wal = &store->engine.wal;

	pthread_rwlock_rdlock(&wal->lock);
	for (size_t i = 0; i < n; i++) {
		__builtin_prefetch(wal_ptr(wal, pos[i]));
		__builtin_prefetch(wal_ptr(wal, pos[i]) + FORMAT_HEAD_MAX);
	}
	pthread_rwlock_unlock(&wal->lock);
}

int store_stat_at(struct store *store, uint64_t pos, struct blt_stat *ret)
{
	struct load l = { .wal = &store->engine.wal, .pos = pos };
	int rc = load(&l);

	if (rc == 0)
		*ret = (struct blt_stat){
			.len = l.block.head.value_len,
			.timestamp = l.block.head.timestamp,
		};
	return rc;
}

/* Blocks met under one hold of the write lock. */
#define WALK_STRIDE 256
/* Strides after which those who wait for a name look again. */
#define WALK_ADVANCE 64

struct walk {
	struct engine *engine;
	struct dirindex *dirindex;
	struct block block;
	bool marker;
};

static int walk_block(void *arg)
{
	struct walk *w = arg;
	struct wal *wal = &w->engine->wal;
	int rc = block_at(wal, w->engine->walk_pos, WAL_READER, &w->block);

	if (rc < 0)
		return rc;
	block_fetch_ahead(&w->block);
	w->engine->walk_pos = block_behind(wal, &w->block);
	if (w->block.head.next == FORMAT_DEAD)
		return 0;
	atomic_fetch_add(&w->engine->live_bytes, (int64_t)w->block.len);
	if (format_hidden(&wal->fmt, &w->block.head.hash))
		return 0;
	memcpy(w->engine->key, w->block.key, w->block.head.key_len);
	w->marker = engine_is_marker(w->engine, w->engine->key,
				     w->block.head.key_len, w->block.value,
				     w->block.head.value_len);
	return 1;
}

/* Whether a block is alive and what the tree is told of it must not come apart:
 * so the writer is kept out, but only for a few blocks at a time. */
static int walk_stride(struct walk *w)
{
	int rc = 0;

	for (int i = 0; i < WALK_STRIDE && rc >= 0 &&
			w->engine->walk_pos < w->engine->walk_end;
	     i++) {
		rc = file_try(walk_block, w);
		if (rc > 0)
			rc = dirindex_add(w->dirindex, w->engine->key,
					  w->block.head.key_len, w->block.pos,
					  w->marker);
	}
	return rc;
}

/* With write held. */
static void set_walking(struct engine *e, bool walking)
{
	pthread_rwlock_wrlock(&e->wal.lock);
	e->walking = walking;
	pthread_rwlock_unlock(&e->wal.lock);
	epoch_wake(&e->wal.epoch);
}

static void *walk_blocks(void *arg)
{
	struct store *store = arg;
	struct wal *wal = &store->engine.wal;
	struct walk w = { .engine = &store->engine,
			  .dirindex = atomic_load(&store->engine.dirindex) };
	unsigned strides = 0;
	int rc = 0;

	pthread_mutex_lock(&wal->write);
	set_walking(&store->engine, true);
	w.engine->walk_pos = block_first(wal);
	w.engine->walk_end = wal->end;
	atomic_store(&w.engine->live_bytes, 0);
	while (rc == 0 && w.engine->walk_pos < w.engine->walk_end &&
	       !atomic_load(&store->stop_walk)) {
		rc = walk_stride(&w);
		pthread_mutex_unlock(&wal->write);
		if (++strides % WALK_ADVANCE == 0)
			dirindex_advance(w.dirindex);
		batch_give_way(&store->engine);
		pthread_mutex_lock(&wal->write);
	}
	set_walking(&store->engine, false);
	atomic_store(&w.engine->live_known,
		     rc >= 0 && w.engine->walk_pos >= w.engine->walk_end);
	pthread_mutex_unlock(&wal->write);
	dirindex_complete(w.dirindex, rc < 0 ? rc : 0);
	return NULL;
}

int store_dirindex(struct store *store, bool flat, struct dirindex **ret)
{
	struct dirindex_source source = { .read_key = read_key,
					  .fetch = fetch_keys,
					  .arg = store };
	struct wal *wal = &store->engine.wal;
	struct dirindex *dirindex;
	int rc = 0;

	pthread_mutex_lock(&wal->write);
	dirindex = atomic_load(&store->engine.dirindex);
	if (!dirindex)
		rc = dirindex_new(&source, flat, &dirindex);
	if (rc == 0 && !store->walking) {
		atomic_store(&store->engine.dirindex, dirindex);
		rc = thread_start(&store->walker, walk_blocks, store);
		store->walking = rc == 0;
		if (rc < 0) {
			atomic_store(&store->engine.dirindex, NULL);
			dirindex_free(dirindex);
		}
	}
	pthread_mutex_unlock(&wal->write);
	if (rc == 0)
		*ret = dirindex;
	return rc;
}

void store_dirindex_end(struct store *store)
{
	atomic_store(&store->stop_walk, true);
	if (store->walking)
		pthread_join(store->walker, NULL);
	store->walking = false;
	dirindex_free(atomic_load(&store->engine.dirindex));
	atomic_store(&store->engine.dirindex, NULL);
}
