#include "peer.h"

#include <gdbm.h>
#include <stdlib.h>
#include <string.h>

extern const struct peer peer_gdbm;

static void *open_gdbm(const char *path, size_t n_keys, bool durable)
{
	GDBM_FILE f =
		gdbm_open(path, 4096, GDBM_WRCREAT | GDBM_NUMSYNC, 0600, NULL);
	size_t map = ((size_t)1 << 28) + n_keys * 1024;
	size_t cache = 65536;

	(void)durable;
	peer_must(f != NULL, "gdbm_open");
	peer_must(gdbm_setopt(f, GDBM_SETMAXMAPSIZE, &map, sizeof(map)) == 0,
		  "gdbm_setopt");
	peer_must(gdbm_setopt(f, GDBM_SETCACHESIZE, &cache, sizeof(cache)) == 0,
		  "gdbm_setopt");
	return f;
}

static void close_gdbm(void *db)
{
	peer_must(gdbm_close(db) == 0, "gdbm_close");
}

static datum datum_of(const struct peer_bytes *b)
{
	/* gdbm does not write to it. */
	return (datum){ (char *)(uintptr_t)b->at, (int)b->len };
}

static long get(void *db, const struct peer_bytes *key, char *value)
{
	datum v = gdbm_fetch(db, datum_of(key));

	if (!v.dptr)
		return -1;
	memcpy(value, v.dptr, (size_t)v.dsize);
	free(v.dptr);
	return v.dsize;
}

static void put(void *db, const struct peer_bytes *key,
		const struct peer_bytes *value)
{
	peer_must(gdbm_store(db, datum_of(key), datum_of(value),
			     GDBM_REPLACE) == 0,
		  "gdbm_store");
}

static void remove_key(void *db, const struct peer_bytes *key)
{
	peer_must(gdbm_delete(db, datum_of(key)) == 0, "gdbm_delete");
}

static void sync_gdbm(void *db)
{
	peer_must(gdbm_sync(db) == 0, "gdbm_sync");
}

static void put_sync(void *db, const struct peer_bytes *key,
		     const struct peer_bytes *value)
{
	put(db, key, value);
	sync_gdbm(db);
}

static uint64_t scan(void *db, bool touch)
{
	datum key = gdbm_firstkey(db);
	uint64_t sum = 0;

	while (key.dptr) {
		datum next, value = gdbm_fetch(db, key);

		sum += (uint64_t)value.dsize;
		if (touch)
			peer_touch(value.dptr, (size_t)value.dsize);
		free(value.dptr);
		next = gdbm_nextkey(db, key);
		free(key.dptr);
		key = next;
	}
	return sum;
}

const struct peer peer_gdbm = {
	.name = "gdbm",
	.settings = "all of it mapped, a cache of 65,536 buckets",
	.open = open_gdbm,
	.close = close_gdbm,
	.get = get,
	.put = put,
	.remove = remove_key,
	.sync = sync_gdbm,
	.put_sync = put_sync,
	.scan = scan,
};
