#include "peer.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

extern const struct peer peer_sqlite;

enum { GET, PUT, REMOVE, SCAN, N_STATEMENTS };

struct sqlite {
	sqlite3 *db;
	sqlite3_stmt *statement[N_STATEMENTS];
	bool durable;
	unsigned pending;
};

static void run(struct sqlite *s, const char *text)
{
	peer_must(sqlite3_exec(s->db, text, NULL, NULL, NULL) == SQLITE_OK,
		  text);
}

static void *open_sqlite(const char *path, size_t n_keys, bool durable)
{
	static const char *const text[N_STATEMENTS] = {
		"SELECT v FROM kv WHERE k = ?",
		"INSERT OR REPLACE INTO kv VALUES (?, ?)",
		"DELETE FROM kv WHERE k = ?",
		"SELECT v FROM kv",
	};
	struct sqlite *s = calloc(1, sizeof(*s));

	(void)n_keys;
	peer_must(s && sqlite3_open(path, &s->db) == SQLITE_OK, path);
	s->durable = durable;
	run(s, "PRAGMA page_size = 4096");
	run(s, "PRAGMA journal_mode = WAL");
	run(s,
	    durable ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = OFF");
	run(s, "PRAGMA mmap_size = 17179869184");
	run(s, "PRAGMA cache_size = -65536");
	run(s, "CREATE TABLE IF NOT EXISTS kv (k BLOB PRIMARY KEY, v BLOB) "
	       "WITHOUT ROWID");
	for (int i = 0; i < N_STATEMENTS; i++)
		peer_must(sqlite3_prepare_v2(s->db, text[i], -1,
					     &s->statement[i],
					     NULL) == SQLITE_OK,
			  text[i]);
	return s;
}

static void commit(struct sqlite *s)
{
	if (s->pending)
		run(s, "COMMIT");
	s->pending = 0;
}

static void sync_sqlite(void *db)
{
	struct sqlite *s = db;

	commit(s);
	if (!s->durable)
		run(s, "PRAGMA synchronous = FULL");
	run(s, "PRAGMA wal_checkpoint(TRUNCATE)");
	if (!s->durable)
		run(s, "PRAGMA synchronous = OFF");
}

static void close_sqlite(void *db)
{
	struct sqlite *s = db;

	sync_sqlite(s);
	for (int i = 0; i < N_STATEMENTS; i++)
		sqlite3_finalize(s->statement[i]);
	peer_must(sqlite3_close(s->db) == SQLITE_OK, "sqlite3_close");
	free(s);
}

static void bind(sqlite3_stmt *st, int at, const struct peer_bytes *b)
{
	sqlite3_bind_blob(st, at, b->at, (int)b->len, SQLITE_STATIC);
}

static long get(void *db, const struct peer_bytes *key, char *value)
{
	struct sqlite *s = db;
	sqlite3_stmt *st = s->statement[GET];
	long len = -1;

	commit(s);
	bind(st, 1, key);
	if (sqlite3_step(st) == SQLITE_ROW) {
		len = sqlite3_column_bytes(st, 0);
		memcpy(value, sqlite3_column_blob(st, 0), (size_t)len);
	}
	sqlite3_reset(st);
	return len;
}

static void step(struct sqlite *s, sqlite3_stmt *st)
{
	if (!s->durable) {
		if (s->pending == PEER_BATCH)
			commit(s);
		if (s->pending++ == 0)
			run(s, "BEGIN");
	}
	peer_must(sqlite3_step(st) == SQLITE_DONE, "sqlite3_step");
	sqlite3_reset(st);
}

static void put(void *db, const struct peer_bytes *key,
		const struct peer_bytes *value)
{
	struct sqlite *s = db;

	bind(s->statement[PUT], 1, key);
	bind(s->statement[PUT], 2, value);
	step(s, s->statement[PUT]);
}

static void remove_key(void *db, const struct peer_bytes *key)
{
	struct sqlite *s = db;

	bind(s->statement[REMOVE], 1, key);
	step(s, s->statement[REMOVE]);
}

static uint64_t scan(void *db, bool touch)
{
	struct sqlite *s = db;
	sqlite3_stmt *st = s->statement[SCAN];
	uint64_t sum = 0;

	commit(s);
	while (sqlite3_step(st) == SQLITE_ROW) {
		sum += (uint64_t)sqlite3_column_bytes(st, 0);
		if (touch)
			peer_touch(sqlite3_column_blob(st, 0),
				   (size_t)sqlite3_column_bytes(st, 0));
	}
	sqlite3_reset(st);
	return sum;
}

const struct peer peer_sqlite = {
	.name = "SQLite",
	.settings = "WITHOUT ROWID, WAL, mmap, transactions of 10,000, "
		    "synchronous OFF; with a sync each: a transaction each, "
		    "FULL",
	.open = open_sqlite,
	.close = close_sqlite,
	.get = get,
	.put = put,
	.remove = remove_key,
	.sync = sync_sqlite,
	.put_sync = put,
	.scan = scan,
};
