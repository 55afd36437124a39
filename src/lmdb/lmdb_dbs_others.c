/* Named databases that other processes make and drop while we have the
 * environment open.
 *
 * Each is a record of the unnamed database.  Who begins a transaction compares:
 * where others have committed since the list was made, and there are named
 * databases, or the unnamed one has another number of entries, the records that
 * may be databases are looked through.  If they are others than those of the
 * list, it is made anew, with the lock held alone.
 *
 * A change waits for that: a key that is meant for a database that it does not
 * know would be put into the unnamed one, and hidden there.  A reading does not
 * wait for anything that takes long, and goes on with the old list: it finds
 * nothing in a database that is gone, and does not see a new one yet.
 *
 * LMDB takes for granted that a database which it has a handle of is there: a
 * put into one that is not is a fault of the memory.  So whoever puts asks
 * before (lmdb_db_there), in the same transaction. */
#include "lmdb/lmdb_store.h"

#include "base/array.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* Named databases among so many entries are looked through whenever others have
 * committed; among more, when their number is another. */
#define ALWAYS_MAX 1024u
#define CLOSED_MAX 16 /* handles at a time */

/* ---- names ---- */

int lmdb_names_add(struct lmdb_names *names, const char *name)
{
	size_t n = atomic_load(&names->n);
	char *copy;

	if (lmdb_names_has(names, name, strlen(name)))
		return 0;
	if (ARRAY_ROOM(names->at, names->room, n + 1) < 0 ||
	    !(copy = strdup(name)))
		return ENOMEM;
	names->at[n] = copy;
	atomic_store(&names->n, n + 1);
	return 0;
}

static size_t find_name(const struct lmdb_names *names, const void *name,
			size_t len)
{
	size_t n = atomic_load(&names->n), i;

	for (i = 0; i < n; i++)
		if (strlen(names->at[i]) == len &&
		    memcmp(names->at[i], name, len) == 0)
			break;
	return i;
}

bool lmdb_names_has(const struct lmdb_names *names, const void *name,
		    size_t len)
{
	return find_name(names, name, len) < atomic_load(&names->n);
}

void lmdb_names_remove(struct lmdb_names *names, const void *name, size_t len)
{
	size_t n = atomic_load(&names->n), i = find_name(names, name, len);

	if (i == n)
		return;
	free(names->at[i]);
	names->at[i] = names->at[n - 1];
	atomic_store(&names->n, n - 1);
}

void lmdb_names_clear(struct lmdb_names *names)
{
	for (size_t i = 0; i < atomic_load(&names->n); i++)
		free(names->at[i]);
	free(names->at);
	*names = (struct lmdb_names){ 0 };
}

/* ---- whether the list is right ---- */

size_t lmdb_dbs_entries(struct lmdb_store *store, MDB_txn *txn)
{
	MDB_stat st;

	if (!store->searched || mdb_stat(txn, store->db[0].dbi, &st) != 0)
		return 0;
	return st.ms_entries;
}

/* commits_lock is held. */
static void note(struct lmdb_store *store, size_t txn, uint64_t others,
		 size_t entries)
{
	if (txn < atomic_load(&store->seen_txn))
		return;
	store->seen_others = others;
	store->seen_entries = entries;
	atomic_store(&store->seen_txn, txn);
}

/* A database's record begins with 4 bytes for the size of pages, and 2 that say
 * of which kind it is. */
static uint64_t add_record(uint64_t hash, const MDB_val *key,
			   const MDB_val *value)
{
	const uint8_t *kind = (const uint8_t *)value->mv_data + 4;

	hash = XXH3_64bits_withSeed(key->mv_data, key->mv_size, hash);
	return XXH3_64bits_withSeed(kind, 2, hash);
}

/* Names and kinds of all that may be a database. */
static int hash_names(struct lmdb_store *store, MDB_txn *txn, MDB_cursor **c,
		      uint64_t *ret)
{
	MDB_val key, value;
	uint64_t hash = 0;
	int rc;

	*ret = 0;
	if (lmdb_dbs_entries(store, txn) > LMDB_SEARCHED_MAX)
		return 0;
	rc = mdb_cursor_open(txn, store->db[0].dbi, c);
	if (rc)
		return rc;
	while ((rc = mdb_cursor_get(*c, &key, &value, MDB_NEXT)) == 0)
		if (value.mv_size == LMDB_SUB_DB)
			hash = add_record(hash, &key, &value);
	mdb_cursor_close(*c);
	*c = NULL;
	*ret = hash;
	return rc == MDB_NOTFOUND ? 0 : rc;
}

int lmdb_dbs_changed(struct lmdb_store *store, MDB_txn *txn, size_t last,
		     MDB_cursor **c)
{
	uint64_t others, names;
	size_t entries, seen;
	bool differs;
	int rc;

	if (!store->searched || atomic_load(&store->seen_txn) == last)
		return 0;
	others = lmdb_commits_until(store, last);
	entries = lmdb_dbs_entries(store, txn);
	pthread_mutex_lock(&store->commits_lock);
	seen = atomic_load(&store->seen_txn);
	names = store->seen_names;
	differs = last > seen && (!seen || others != store->seen_others) &&
		  (entries != store->seen_entries ||
		   (store->many && entries <= ALWAYS_MAX));
	pthread_mutex_unlock(&store->commits_lock);
	rc = differs ? hash_names(store, txn, c, &names) : 0;
	if (rc)
		return rc;
	pthread_mutex_lock(&store->commits_lock);
	differs = differs && names != store->seen_names;
	if (!differs)
		note(store, last, others, entries);
	pthread_mutex_unlock(&store->commits_lock);
	return differs ? LMDB_DBS_CHANGED : 0;
}

void lmdb_dbs_note(struct lmdb_store *store, size_t txn, size_t entries)
{
	pthread_mutex_lock(&store->commits_lock);
	/* else one of others came in between, and is yet to be looked at */
	if (store->by_others == store->seen_others)
		note(store, txn, store->seen_others, entries);
	pthread_mutex_unlock(&store->commits_lock);
}

int lmdb_dbs_mark(struct lmdb_store *store, MDB_txn *txn)
{
	const size_t last = mdb_txn_id(txn);
	const size_t entries = lmdb_dbs_entries(store, txn);
	const uint64_t others = lmdb_commits_until(store, last);
	MDB_cursor *c;
	uint64_t names;
	int rc = hash_names(store, txn, &c, &names);

	if (rc)
		return rc;
	pthread_mutex_lock(&store->commits_lock);
	store->seen_names = names;
	note(store, last, others, entries);
	pthread_mutex_unlock(&store->commits_lock);
	return 0;
}

/* ---- one database ---- */

int lmdb_db_there(const struct lmdb_store *store, MDB_txn *txn,
		  const struct lmdb_db *db)
{
	const char *name = db->name ? db->name : store->only;
	MDB_val key, value;
	MDB_cursor *c;
	MDB_dbi main_db;
	int rc;

	if (!name)
		return 0;
	rc = mdb_dbi_open(txn, NULL, 0, &main_db);
	key = (MDB_val){ strlen(name), (void *)(uintptr_t)name };
	if (rc == 0)
		rc = mdb_get(txn, main_db, &key, &value);
	if (rc == 0 && value.mv_size != LMDB_SUB_DB)
		rc = MDB_NOTFOUND;
	if (rc == 0)
		rc = mdb_cursor_open(txn, db->dbi, &c);
	if (rc)
		return rc == MDB_NOTFOUND ? ENOENT : rc;
	/* a plain value, or a database of another kind: MDB_INCOMPATIBLE */
	rc = mdb_cursor_get(c, &key, &value, MDB_FIRST);
	mdb_cursor_close(c);
	return rc == MDB_INCOMPATIBLE ? ENOENT : rc == MDB_NOTFOUND ? 0 : rc;
}

int lmdb_db_stat(const struct lmdb_store *store, MDB_txn *txn,
		 const struct lmdb_db *db, MDB_stat *ret)
{
	int rc = lmdb_db_there(store, txn, db);

	if (rc == 0)
		return mdb_stat(txn, db->dbi, ret);
	if (rc != ENOENT)
		return rc;
	rc = mdb_env_stat(store->env, ret);
	*ret = (MDB_stat){ .ms_psize = ret->ms_psize };
	return rc;
}

int lmdb_gone_check(struct lmdb_store *store, MDB_txn *txn, const MDB_val *key)
{
	const char *slash;
	char name[LMDB_KEY_MAX + 1];
	MDB_val at = *key, value;
	MDB_cursor *c;
	size_t len;
	bool gone;
	int rc;

	if (atomic_load(&store->gone.n) == 0 || key->mv_size == 0)
		return 0;
	slash = memchr(key->mv_data, '/', key->mv_size);
	len = slash ? (size_t)(slash - (const char *)key->mv_data) :
		      key->mv_size;
	pthread_mutex_lock(&store->names_lock);
	gone = lmdb_names_has(&store->gone, key->mv_data, len);
	pthread_mutex_unlock(&store->names_lock);
	if (!gone || lmdb_names_has(&store->taken, key->mv_data, len))
		return 0;
	/* somebody makes something else of the name */
	if (len + (slash ? 1 : 0) == key->mv_size) {
		memcpy(name, key->mv_data, len);
		name[len] = '\0';
		return lmdb_names_add(&store->taken, name);
	}
	/* or has made it elsewhere */
	rc = mdb_cursor_open(txn, store->db[0].dbi, &c);
	if (rc)
		return rc;
	at.mv_size = len + 1;
	rc = mdb_cursor_get(c, &at, &value, MDB_SET_RANGE);
	if (rc == 0 && (at.mv_size <= len ||
			memcmp(at.mv_data, key->mv_data, len + 1) != 0))
		rc = MDB_NOTFOUND;
	mdb_cursor_close(c);
	return rc == MDB_NOTFOUND ? ENOENT : rc;
}

void lmdb_gone_apply(struct lmdb_store *store)
{
	const struct lmdb_names *taken = &store->taken;

	pthread_mutex_lock(&store->names_lock);
	for (size_t i = 0; i < atomic_load(&taken->n); i++)
		lmdb_names_remove(&store->gone, taken->at[i],
				  strlen(taken->at[i]));
	pthread_mutex_unlock(&store->names_lock);
}

/* ---- making the list anew ---- */

void lmdb_dbs_leave_out(struct lmdb_store *store, size_t i)
{
	struct lmdb_names *gone = &store->gone;

	pthread_mutex_lock(&store->names_lock);
	/* an old one, more or less, is a name as any other again */
	if (atomic_load(&gone->n) == LMDB_DBS_MAX)
		lmdb_names_remove(gone, gone->at[0], strlen(gone->at[0]));
	/* without memory: a name as any other */
	(void)lmdb_names_add(gone, store->db[i].name);
	pthread_mutex_unlock(&store->names_lock);
	free(store->db[i].name);
	store->n_dbs--;
	memmove(&store->db[i], &store->db[i + 1],
		(store->n_dbs - i) * sizeof(*store->db));
	lmdb_walks_forget(store, i);
}

struct renewal {
	struct lmdb_store *store;
	MDB_txn *txn;
};

/* At most CLOSED_MAX, how many is *ret.  Handles are closed with no
 * transaction. */
static int drop_some(struct renewal *r, size_t *ret)
{
	struct lmdb_store *store = r->store;
	MDB_dbi dbi[CLOSED_MAX];
	size_t n = 0;
	int rc = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &r->txn);

	if (rc)
		return rc;
	for (size_t i = 1; rc == 0 && i < store->n_dbs && n < CLOSED_MAX;) {
		rc = lmdb_db_there(store, r->txn, &store->db[i]);
		if (rc == ENOENT) {
			dbi[n++] = store->db[i].dbi;
			lmdb_dbs_leave_out(store, i);
			rc = 0;
		} else {
			i++;
		}
	}
	mdb_txn_abort(r->txn);
	r->txn = NULL;
	*ret = n;
	while (n)
		mdb_dbi_close(store->env, dbi[--n]);
	return rc;
}

static int drop_gone(struct renewal *r)
{
	size_t n;
	int rc;

	do
		rc = drop_some(r, &n);
	while (rc == 0 && n == CLOSED_MAX);
	return rc;
}

/* What is not shown, since that has gone, or has become one of another kind. */
static int drop_left_out(struct renewal *r)
{
	struct lmdb_store *store = r->store;
	struct lmdb_names *names = &store->left_out;
	int rc = 0;

	for (size_t i = atomic_load(&names->n); rc == 0 && i-- > 0;) {
		struct lmdb_db db = { .name = names->at[i] };

		rc = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &r->txn);
		if (rc)
			return rc;
		rc = mdb_dbi_open(r->txn, db.name, 0, &db.dbi);
		if (rc == 0)
			rc = lmdb_db_there(store, r->txn, &db);
		mdb_txn_abort(r->txn);
		r->txn = NULL;
		if (rc == ENOENT || rc == MDB_NOTFOUND ||
		    rc == MDB_INCOMPATIBLE) {
			mdb_dbi_close(store->env, db.dbi);
			lmdb_names_remove(names, db.name, strlen(db.name));
			rc = 0;
		}
	}
	return rc;
}

static int run_renew(void *arg)
{
	struct renewal *r = arg;
	struct lmdb_store *store = r->store;
	MDB_txn *txn;
	int rc = drop_gone(r);

	if (rc == 0)
		rc = drop_left_out(r);
	if (rc == 0)
		rc = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &r->txn);
	if (rc == 0)
		rc = lmdb_dbs_add(store, r->txn);
	if (rc == 0)
		rc = lmdb_dbs_mark(store, r->txn);
	if (rc)
		return rc;
	txn = r->txn;
	r->txn = NULL;
	return mdb_txn_commit(txn); /* the handles last */
}

int lmdb_dbs_renew(struct lmdb_store *store, bool wait)
{
	struct renewal r = { .store = store };
	int rc;

	if (wait)
		lmdb_lock_alone(store);
	else if (!lmdb_lock_soon(store))
		return 0;
	rc = store->env ? -lmdb_look_at_file(store, false) : MDB_PANIC;
	if (rc == 0) {
		rc = lmdb_guard(store, run_renew, &r);
		if (r.txn)
			mdb_txn_abort(r.txn);
	}
	pthread_rwlock_unlock(&store->lock);
	return rc;
}
