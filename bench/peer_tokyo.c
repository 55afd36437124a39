#include "peer.h"

#include <stdlib.h>
#include <tcbdb.h>
#include <tchdb.h>
#include <tcutil.h>

extern const struct peer peer_tokyo;

static void must(TCHDB *hdb, bool done)
{
	peer_must(done, tchdberrmsg(tchdbecode(hdb)));
}

static void *open_tokyo(const char *path, size_t n_keys, bool durable)
{
	TCHDB *hdb = tchdbnew();
	int64_t map = ((int64_t)1 << 28) + (int64_t)n_keys * 512;

	(void)durable;
	peer_must(hdb != NULL, "tchdbnew");
	must(hdb, tchdbsetmutex(hdb));
	must(hdb, tchdbtune(hdb, 2 * (int64_t)n_keys, 4, 10, HDBTLARGE));
	must(hdb, tchdbsetxmsiz(hdb, map));
	must(hdb, tchdbopen(hdb, path, HDBOWRITER | HDBOCREAT));
	return hdb;
}

static void close_tokyo(void *db)
{
	must(db, tchdbclose(db));
	tchdbdel(db);
}

static long get(void *db, const struct peer_bytes *key, char *value)
{
	return tchdbget3(db, key->at, (int)key->len, value, PEER_VALUE_MAX);
}

static void put(void *db, const struct peer_bytes *key,
		const struct peer_bytes *value)
{
	must(db,
	     tchdbput(db, key->at, (int)key->len, value->at, (int)value->len));
}

static void remove_key(void *db, const struct peer_bytes *key)
{
	must(db, tchdbout(db, key->at, (int)key->len));
}

static void sync_tokyo(void *db)
{
	must(db, tchdbsync(db));
}

static void put_sync(void *db, const struct peer_bytes *key,
		     const struct peer_bytes *value)
{
	put(db, key, value);
	sync_tokyo(db);
}

struct sum {
	uint64_t bytes;
	bool touch;
};

static bool add_value(const void *key, int key_len, const void *value, int len,
		      void *arg)
{
	struct sum *s = arg;

	(void)key;
	(void)key_len;
	s->bytes += (uint64_t)len;
	if (s->touch)
		peer_touch(value, (size_t)len);
	return true;
}

static uint64_t scan(void *db, bool touch)
{
	struct sum s = { 0, touch };

	must(db, tchdbforeach(db, add_value, &s));
	return s.bytes;
}

const struct peer peer_tokyo = {
	.name = "TokyoCabinet",
	.settings = "HDB, bnum 2n, all of it mapped",
	.open = open_tokyo,
	.close = close_tokyo,
	.get = get,
	.put = put,
	.remove = remove_key,
	.sync = sync_tokyo,
	.put_sync = put_sync,
	.threads = true,
	.scan = scan,
};
