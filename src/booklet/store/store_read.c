/* Reading one key. */
#include "booklet/store/store.h"
#include "booklet/format/serial.h"
#include "base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct lookup {
	const struct wal *wal;
	struct keyhash hash;
	struct index_place place;
};

static int look_up(void *arg)
{
	struct lookup *l = arg;

	return index_find(l->wal, &l->hash, WAL_READER, &l->place);
}

/* A user's key only: the hidden entries are not seen through this. */
static int find(struct store *store, const struct keyhash *hash,
		struct lookup *ret)
{
	const struct wal *wal = &store->engine.wal;
	int rc;

	*ret = (struct lookup){ .wal = wal, .hash = *hash };
	rc = file_try(look_up, ret);
	return rc > 0 ? 0 : rc < 0 ? rc : -ENOENT;
}

static void fill_view(struct wal *wal, const struct block *b,
		      struct blt_view *ret)
{
	void *hold = wal_hold(wal, b->pos);

	*ret = (struct blt_view){
		.data = b->value,
		.len = b->head.value_len,
		.fd = hold && !epoch_is_ticket(hold) ? -1 : wal->file.fd,
		.offset = block_value_pos(b),
		.timestamp = b->head.timestamp,
		.hold = hold,
		.engine = &booklet_backend,
	};
}

static int get(struct store *store, const struct keyhash *hash,
	       struct blt_view *ret)
{
	struct wal *wal = &store->engine.wal;
	struct lookup l;
	int rc;

	pthread_rwlock_rdlock(&wal->lock);
	rc = find(store, hash, &l);
	if (rc == 0)
		fill_view(wal, &l.place.block, ret);
	pthread_rwlock_unlock(&wal->lock);
	return rc;
}

int booklet_get(struct blt *blt, const void *key, size_t len,
		struct blt_view *ret)
{
	struct store *store = store_of(blt);
	struct keyhash hash = keyhash_of(key, len);

	if (format_hidden(&store->engine.wal.fmt, &hash))
		return -ENOENT;
	return get(store, &hash, ret);
}

/* ---- many at a time ---- */

/* Looked up under one hold of the lock. */
#define GROUP INDEX_WARM

/* Bytes of a block that are fetched beforehand: of most, the whole value. */
#define FETCH_LEN 256

struct group {
	const struct wal *wal;
	size_t n;
	struct keyhash hash[GROUP];
	struct index_place place[GROUP];
	int found[GROUP]; /* as index_find has it */
	bool warm;
	size_t at; /* the one that is being looked up */
};

static int look_up_group(void *arg)
{
	struct group *g = arg;

	if (!g->warm)
		index_warm(g->wal, g->hash, g->n, WAL_READER, FETCH_LEN);
	g->warm = true;
	for (; g->at < g->n; g->at++)
		g->found[g->at] = index_find(g->wal, &g->hash[g->at],
					     WAL_READER, &g->place[g->at]);
	return 0;
}

/* Where the file was cut short under one of them, that is its own misfortune,
 * and the work goes on behind it. */
static void find_group(struct group *g)
{
	int rc;

	while ((rc = file_try(look_up_group, g)) < 0) {
		if (g->warm)
			g->found[g->at++] = rc;
		g->warm = true;
	}
}

static size_t get_group(struct store *store, struct group *g,
			struct blt_view *ret, int *ret_result)
{
	struct wal *wal = &store->engine.wal;
	size_t found = 0;

	pthread_rwlock_rdlock(&wal->lock);
	find_group(g);
	for (size_t i = 0; i < g->n; i++) {
		int rc = g->found[i];

		if (rc == 0 || format_hidden(&wal->fmt, &g->hash[i]))
			rc = -ENOENT;
		if (rc > 0)
			fill_view(wal, &g->place[i].block, &ret[i]);
		found += rc > 0;
		ret_result[i] = rc > 0 ? 0 : rc;
	}
	pthread_rwlock_unlock(&wal->lock);
	return found;
}

size_t booklet_get_many(struct blt *blt, const struct blt_bytes *keys, size_t n,
			struct blt_view *ret, int *ret_result)
{
	struct store *store = store_of(blt);
	struct group g;
	size_t found = 0;

	g.wal = &store->engine.wal;
	for (size_t i = 0; i < n; i += GROUP) {
		g.n = (size_t)min_u64(n - i, GROUP);
		g.warm = false;
		g.at = 0;
		keyhash_of_many(keys + i, g.n, g.hash);
		found += get_group(store, &g, ret + i, ret_result + i);
	}
	return found;
}

/* ---- where values stand ---- */

/* -EAGAIN: not in the file yet. */
static int locate(struct store *store, const struct keyhash *hash,
		  struct blt_location *ret)
{
	struct wal *wal = &store->engine.wal;
	struct lookup l;
	int rc;

	pthread_rwlock_rdlock(&wal->lock);
	rc = find(store, hash, &l);
	if (rc == 0 && wal->tail && l.place.block.pos >= wal->tail->base)
		rc = -EAGAIN;
	if (rc == 0)
		*ret = (struct blt_location){
			.offset = block_value_pos(&l.place.block),
			.len = l.place.block.head.value_len,
			.timestamp = l.place.block.head.timestamp,
		};
	pthread_rwlock_unlock(&wal->lock);
	return rc;
}

int booklet_locate(struct blt *blt, const void *key, size_t len,
		   struct blt_location *ret)
{
	struct store *store = store_of(blt);
	struct keyhash hash = keyhash_of(key, len);
	int rc;

	if (format_hidden(&store->engine.wal.fmt, &hash))
		return -ENOENT;
	/* Written once more behind the flush, it stands in memory again. */
	while ((rc = locate(store, &hash, ret)) == -EAGAIN) {
		rc = booklet_flush(blt);
		if (rc < 0)
			return rc;
	}
	return rc;
}

uint64_t booklet_compactions(struct blt *blt)
{
	struct store *store = store_of(blt);

	return atomic_load(&store->engine.compactions);
}

/* ---- views ---- */

void booklet_view_release(struct blt_view *view)
{
	wal_let_go(view->hold);
	view->hold = NULL;
}

int booklet_stat_key(struct blt *blt, const void *key, size_t len,
		     struct blt_stat *ret)
{
	struct store *store = store_of(blt);
	struct wal *wal = &store->engine.wal;
	struct keyhash hash = keyhash_of(key, len);
	struct lookup l;
	int rc;

	if (format_hidden(&wal->fmt, &hash))
		return -ENOENT;
	pthread_rwlock_rdlock(&wal->lock);
	rc = find(store, &hash, &l);
	if (rc == 0)
		*ret = (struct blt_stat){
			.len = l.place.block.head.value_len,
			.timestamp = l.place.block.head.timestamp,
		};
	pthread_rwlock_unlock(&wal->lock);
	return rc;
}

int store_find_hash(struct store *store, const struct keyhash *h,
		    uint8_t **ret_key, size_t *ret_len)
{
	struct wal *wal = &store->engine.wal;
	const struct block *b;
	uint8_t *key = NULL;
	struct lookup l;
	int rc;

	if (format_hidden(&wal->fmt, h))
		return -ENOENT;
	pthread_rwlock_rdlock(&wal->lock);
	rc = find(store, h, &l);
	b = &l.place.block;
	if (rc == 0) {
		key = malloc(b->head.key_len + 1u);
		rc = key ? file_copy(key, b->key, b->head.key_len) : -ENOMEM;
	}
	pthread_rwlock_unlock(&wal->lock);
	if (rc < 0) {
		free(key);
		return rc;
	}
	*ret_key = key;
	*ret_len = b->head.key_len;
	return 0;
}

/* ---- hidden entries ---- */

int booklet_slot_get(struct blt *blt, enum blt_slot slot, struct blt_view *ret)
{
	struct store *store = store_of(blt);
	const char *key;
	struct keyhash hash;

	if (store->engine.wal.fmt.fixed)
		return -ENOTSUP;
	if ((unsigned)slot >= FORMAT_SLOTS)
		return -EINVAL;
	key = format_slot_key[slot];
	hash = keyhash_of(key, strlen(key));
	return get(store, &hash, ret);
}
