#include "peer.h"

#include <stdio.h>
#include <string.h>
#include <tkrzw_langc.h>

extern const struct peer peer_tkrzw;

static void *open_tkrzw(const char *path, size_t n_keys, bool durable)
{
	char params[256];
	TkrzwDBM *dbm;

	(void)durable;
	snprintf(params, sizeof(params),
		 "dbm=HashDBM,file=MemoryMapParallelFile,num_buckets=%zu,"
		 "offset_width=5,align_pow=3",
		 2 * n_keys);
	dbm = tkrzw_dbm_open(path, true, params);
	peer_must(dbm != NULL, "tkrzw_dbm_open");
	return dbm;
}

static void close_tkrzw(void *db)
{
	peer_must(tkrzw_dbm_close(db), "tkrzw_dbm_close");
}

struct got {
	char *value;
	long len;
};

static const char *copy_value(void *arg, const char *key, int32_t key_len,
			      const char *value, int32_t len, int32_t *new_len)
{
	struct got *g = arg;

	(void)key;
	(void)key_len;
	(void)new_len;
	if (value) {
		memcpy(g->value, value, (size_t)len);
		g->len = len;
	}
	return TKRZW_REC_PROC_NOOP;
}

static long get(void *db, const struct peer_bytes *key, char *value)
{
	struct got g = { value, -1 };

	peer_must(tkrzw_dbm_process(db, key->at, (int32_t)key->len, copy_value,
				    &g, false),
		  "tkrzw_dbm_process");
	return g.len;
}

static void put(void *db, const struct peer_bytes *key,
		const struct peer_bytes *value)
{
	peer_must(tkrzw_dbm_set(db, key->at, (int32_t)key->len, value->at,
				(int32_t)value->len, true),
		  "tkrzw_dbm_set");
}

static void remove_key(void *db, const struct peer_bytes *key)
{
	peer_must(tkrzw_dbm_remove(db, key->at, (int32_t)key->len),
		  "tkrzw_dbm_remove");
}

static void sync_tkrzw(void *db)
{
	peer_must(tkrzw_dbm_synchronize(db, true, NULL, NULL, ""),
		  "tkrzw_dbm_synchronize");
}

static void put_sync(void *db, const struct peer_bytes *key,
		     const struct peer_bytes *value)
{
	put(db, key, value);
	sync_tkrzw(db);
}

struct sum {
	uint64_t bytes;
	bool touch;
};

static const char *add_value(void *arg, const char *key, int32_t key_len,
			     const char *value, int32_t len, int32_t *new_len)
{
	struct sum *s = arg;

	(void)key;
	(void)key_len;
	(void)new_len;
	/* It calls once before the first record and once behind the last. */
	if (value) {
		s->bytes += (uint64_t)len;
		if (s->touch)
			peer_touch(value, (size_t)len);
	}
	return TKRZW_REC_PROC_NOOP;
}

static uint64_t scan(void *db, bool touch)
{
	struct sum s = { 0, touch };

	peer_must(tkrzw_dbm_process_each(db, add_value, &s, false),
		  "tkrzw_dbm_process_each");
	return s.bytes;
}

const struct peer peer_tkrzw = {
	.name = "tkrzw",
	.settings = "HashDBM, memory-mapped, num_buckets 2n, offset_width 5",
	.open = open_tkrzw,
	.close = close_tkrzw,
	.get = get,
	.put = put,
	.remove = remove_key,
	.sync = sync_tkrzw,
	.put_sync = put_sync,
	.threads = true,
	.scan = scan,
};
