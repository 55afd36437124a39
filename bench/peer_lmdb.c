/* Reads go through one read transaction that is begun anew after a change;
 * changes through write transactions of PEER_BATCH each. */
#include "peer.h"

#include <lmdb.h>
#include <stdlib.h>
#include <string.h>

extern const struct peer peer_lmdb;

struct lmdb {
	MDB_env *env;
	MDB_dbi dbi;
	MDB_txn *read, *write;
	unsigned pending;
};

static void must(int rc)
{
	peer_must(rc == MDB_SUCCESS, mdb_strerror(rc));
}

static void *open_lmdb(const char *path, size_t n_keys, bool durable)
{
	struct lmdb *l = calloc(1, sizeof(*l));
	unsigned flags = MDB_NOSUBDIR | MDB_WRITEMAP | MDB_NORDAHEAD;
	MDB_txn *txn;

	peer_must(l != NULL, "no memory");
	if (!durable)
		flags |= MDB_NOSYNC;
	must(mdb_env_create(&l->env));
	must(mdb_env_set_mapsize(l->env,
				 ((size_t)1 << 30) + n_keys * (size_t)1024));
	must(mdb_env_open(l->env, path, flags, 0600));
	must(mdb_txn_begin(l->env, NULL, 0, &txn));
	must(mdb_dbi_open(txn, NULL, MDB_CREATE, &l->dbi));
	must(mdb_txn_commit(txn));
	return l;
}

static void end_read(struct lmdb *l)
{
	if (l->read)
		mdb_txn_abort(l->read);
	l->read = NULL;
}

static void commit(struct lmdb *l)
{
	if (l->write)
		must(mdb_txn_commit(l->write));
	l->write = NULL;
	l->pending = 0;
}

static MDB_txn *reading(struct lmdb *l)
{
	commit(l);
	if (!l->read)
		must(mdb_txn_begin(l->env, NULL, MDB_RDONLY, &l->read));
	return l->read;
}

static MDB_txn *writing(struct lmdb *l)
{
	end_read(l);
	if (++l->pending > PEER_BATCH)
		commit(l);
	if (!l->write)
		must(mdb_txn_begin(l->env, NULL, 0, &l->write));
	return l->write;
}

static void close_lmdb(void *db)
{
	struct lmdb *l = db;

	commit(l);
	end_read(l);
	must(mdb_env_sync(l->env, 1));
	mdb_env_close(l->env);
	free(l);
}

static MDB_val val(const struct peer_bytes *b)
{
	/* LMDB does not write to it. */
	return (MDB_val){ b->len, (void *)(uintptr_t)b->at };
}

static long get(void *db, const struct peer_bytes *key, char *value)
{
	struct lmdb *l = db;
	MDB_val k = val(key), v;

	if (mdb_get(reading(l), l->dbi, &k, &v) != MDB_SUCCESS)
		return -1;
	memcpy(value, v.mv_data, v.mv_size);
	return (long)v.mv_size;
}

static void put(void *db, const struct peer_bytes *key,
		const struct peer_bytes *value)
{
	struct lmdb *l = db;
	MDB_val k = val(key), v = val(value);

	must(mdb_put(writing(l), l->dbi, &k, &v, 0));
}

static void remove_key(void *db, const struct peer_bytes *key)
{
	struct lmdb *l = db;
	MDB_val k = val(key);

	must(mdb_del(writing(l), l->dbi, &k, NULL));
}

static void sync_lmdb(void *db)
{
	struct lmdb *l = db;

	commit(l);
	must(mdb_env_sync(l->env, 1));
}

static void put_sync(void *db, const struct peer_bytes *key,
		     const struct peer_bytes *value)
{
	struct lmdb *l = db;
	MDB_val k = val(key), v = val(value);
	MDB_txn *txn;

	must(mdb_txn_begin(l->env, NULL, 0, &txn));
	must(mdb_put(txn, l->dbi, &k, &v, 0));
	must(mdb_txn_commit(txn));
}

static uint64_t scan(void *db, bool touch)
{
	struct lmdb *l = db;
	MDB_cursor *cursor;
	MDB_val k, v;
	uint64_t sum = 0;

	must(mdb_cursor_open(reading(l), l->dbi, &cursor));
	while (mdb_cursor_get(cursor, &k, &v, MDB_NEXT) == MDB_SUCCESS) {
		sum += v.mv_size;
		if (touch)
			peer_touch(v.mv_data, v.mv_size);
	}
	mdb_cursor_close(cursor);
	return sum;
}

const struct peer peer_lmdb = {
	.name = "LMDB",
	.settings = "NOSYNC, WRITEMAP, transactions of 10,000; with a sync "
		    "each: WRITEMAP, a transaction each",
	.open = open_lmdb,
	.close = close_lmdb,
	.get = get,
	.put = put,
	.remove = remove_key,
	.sync = sync_lmdb,
	.put_sync = put_sync,
	.threads = true,
	.scan = scan,
};
