#include "peer.h"

#include "blt.h"

#include <string.h>

extern const struct peer peer_blt, peer_blt_growing, peer_blt_lmdb;

/* Changes of a batch: more of them gain nothing, but where a batch is a
 * transaction of LMDB's. */
#define BATCH 256

/* The size that the index would have grown to. */
static uint32_t buckets_for(size_t n_keys)
{
	static const uint32_t series[] = { 12007, 144013, 1728017, 20736017 };

	for (size_t i = 0; i + 1 < sizeof(series) / sizeof(series[0]); i++)
		if (series[i] >= n_keys)
			return series[i];
	return 20736017;
}

static void *open_blt(const char *path, size_t n_keys, bool durable)
{
	struct blt_open_options how = { .mode = BLT_CREATE };
	struct blt_error err;
	struct blt *store;

	how.create.n_buckets = buckets_for(n_keys);
	(void)durable;
	peer_must(blt_open(path, &how, &store, &err) == 0, err.text);
	return store;
}

static void close_blt(void *db)
{
	peer_must(blt_close(db) == 0, "blt_close");
}

static long get(void *db, const struct peer_bytes *key, char *value)
{
	struct blt_view v;
	long len;

	if (blt_get(db, key->at, key->len, &v) < 0)
		return -1;
	memcpy(value, v.data, v.len);
	len = (long)v.len;
	blt_view_release(&v);
	return len;
}

static size_t get_many(void *db, const struct peer_bytes *key,
		       char (*value)[PEER_VALUE_MAX])
{
	struct blt_view view[PEER_GROUP];
	struct blt_bytes k[PEER_GROUP];
	int result[PEER_GROUP];
	size_t found;

	for (size_t i = 0; i < PEER_GROUP; i++)
		k[i] = (struct blt_bytes){ key[i].at, key[i].len };
	found = blt_get_many(db, k, PEER_GROUP, view, result);
	for (size_t i = 0; i < PEER_GROUP; i++) {
		if (result[i] < 0)
			continue;
		memcpy(value[i], view[i].data, view[i].len);
		blt_view_release(&view[i]);
	}
	return found;
}

/* Changes come in batches, as transactions do elsewhere.  Only put_sync is
 * called from several threads, and one open store is measured at a time. */
static struct {
	struct blt_batch *ops;
	unsigned n, most;
} pending = { .most = BATCH };

static void commit(void)
{
	if (pending.ops)
		peer_must(blt_batch_commit(pending.ops) == 0,
			  "blt_batch_commit");
	pending.ops = NULL;
	pending.n = 0;
}

static struct blt_batch *one_more(void *db)
{
	if (pending.n == pending.most)
		commit();
	if (!pending.ops)
		peer_must(blt_batch_new(db, &pending.ops) == 0,
			  "blt_batch_new");
	pending.n++;
	return pending.ops;
}

static void put(void *db, const struct peer_bytes *key,
		const struct peer_bytes *value)
{
	peer_must(blt_batch_put(one_more(db), key->at, key->len, value->at,
				value->len, BLT_NOW) == 0,
		  "blt_batch_put");
}

static void remove_key(void *db, const struct peer_bytes *key)
{
	peer_must(blt_batch_delete(one_more(db), key->at, key->len) == 0,
		  "blt_batch_delete");
}

static void sync_blt(void *db)
{
	commit();
	peer_must(blt_sync(db) == 0, "blt_sync");
}

static void put_sync(void *db, const struct peer_bytes *key,
		     const struct peer_bytes *value)
{
	peer_must(blt_put(db, key->at, key->len, value->at, value->len,
			  BLT_NOW) == 0,
		  "blt_put");
	peer_must(blt_sync(db) == 0, "blt_sync");
}

static uint64_t scan(void *db, bool touch)
{
	struct blt_item item;
	struct blt_iter *it;
	uint64_t sum = 0;
	int rc;

	peer_must(blt_iter_new(db, &it) == 0, "blt_iter_new");
	while ((rc = blt_iter_next(it, &item)) > 0) {
		sum += item.value_len;
		if (touch)
			peer_touch(item.value, item.value_len);
	}
	peer_must(rc == 0, "blt_iter_next");
	blt_iter_free(it);
	return sum;
}

static void *open_growing(const char *path, size_t n_keys, bool durable)
{
	(void)n_keys;
	return open_blt(path, 0, durable);
}

const struct peer peer_blt_growing = {
	.name = "blt-growing",
	.settings = "made with 12,007 buckets, batches of 256",
	.open = open_growing,
	.close = close_blt,
	.get = get,
	.get_many = get_many,
	.put = put,
	.remove = remove_key,
	.sync = sync_blt,
	.put_sync = put_sync,
	.threads = true,
	.scan = scan,
};

const struct peer peer_blt = {
	.name = "blt",
	.settings = "n_buckets as it would have grown to, batches of 256",
	.open = open_blt,
	.close = close_blt,
	.get = get,
	.get_many = get_many,
	.put = put,
	.remove = remove_key,
	.sync = sync_blt,
	.put_sync = put_sync,
	.threads = true,
	.scan = scan,
};

#ifdef WITH_LMDB
static void *open_lmdb(const char *path, size_t n_keys, bool durable)
{
	struct blt_open_options how = { .mode = BLT_CREATE,
					.engine = "lmdb",
					.alone = !durable };
	struct blt_error err;
	struct blt *store;

	(void)n_keys;
	pending.most = PEER_BATCH;
	peer_must(blt_open(path, &how, &store, &err) == 0, err.text);
	return store;
}

const struct peer peer_blt_lmdb = {
	.name = "blt-lmdb",
	.settings = "the same library on an LMDB environment, batches of "
		    "10,000; but for a sync each, one that nobody else knows",
	.open = open_lmdb,
	.close = close_blt,
	.get = get,
	.get_many = get_many,
	.put = put,
	.remove = remove_key,
	.sync = sync_blt,
	.put_sync = put_sync,
	.threads = true,
	.scan = scan,
};
#endif
