/* The databases of an environment: which there are, and their handles. */
#include "lmdb/lmdb_store.h"

#include "base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* An unnamed database of more keys holds data; to look for others among them
 * would take as long as there are keys. */
#define SEARCHED_MAX 65536

static int add_db(struct lmdb_store *store, MDB_txn *txn, MDB_dbi dbi,
		  const char *name)
{
	struct lmdb_db db = { .dbi = dbi, .int_width = sizeof(size_t) };
	struct lmdb_db *more =
		realloc(store->db, (store->n_dbs + 1) * sizeof(*more));
	MDB_cursor *c;
	MDB_val key, value;
	int rc;

	if (!more)
		return ENOMEM;
	store->db = more;
	rc = mdb_dbi_flags(txn, dbi, &db.flags);
	if (rc == 0)
		rc = mdb_cursor_open(txn, dbi, &c);
	if (rc)
		return rc;
	if (mdb_cursor_get(c, &key, &value, MDB_FIRST) == 0 &&
	    db.flags & MDB_INTEGERKEY)
		db.int_width = (unsigned)key.mv_size;
	mdb_cursor_close(c);
	if (name && !(db.name = strdup(name)))
		return ENOMEM;
	more[store->n_dbs++] = db;
	return 0;
}

/* A record of the unnamed database that may be another one. */
static int try_db(struct lmdb_store *store, MDB_txn *txn, const MDB_val *key)
{
	char name[LMDB_KEY_MAX + 1];
	MDB_dbi dbi;
	int rc;

	/* As a directory it would be none, or several; LMDB may have been
	 * built for longer keys. */
	if (key->mv_size > LMDB_KEY_MAX ||
	    memchr(key->mv_data, '\0', key->mv_size) ||
	    memchr(key->mv_data, '/', key->mv_size))
		return 0;
	memcpy(name, key->mv_data, key->mv_size);
	name[key->mv_size] = '\0';
	rc = mdb_dbi_open(txn, name, 0, &dbi);
	if (rc == MDB_INCOMPATIBLE || rc == MDB_NOTFOUND)
		return 0;
	if (rc)
		return rc;
	store->many = true;
	return add_db(store, txn, dbi, name);
}

static int find_dbs(struct lmdb_store *store, MDB_txn *txn)
{
	MDB_val key, value;
	MDB_cursor *c;
	MDB_stat st;
	MDB_dbi dbi;
	int rc = mdb_dbi_open(txn, NULL, 0, &dbi);

	if (rc == 0)
		rc = add_db(store, txn, dbi, NULL);
	if (rc == 0)
		rc = mdb_stat(txn, dbi, &st);
	if (rc || st.ms_entries > SEARCHED_MAX ||
	    store->db[0].flags & (MDB_DUPSORT | MDB_INTEGERKEY))
		return rc;
	rc = mdb_cursor_open(txn, dbi, &c);
	if (rc)
		return rc;
	while ((rc = mdb_cursor_get(c, &key, &value, MDB_NEXT)) == 0) {
		if (value.mv_size == LMDB_SUB_DB &&
		    (rc = try_db(store, txn, &key)) != 0)
			break;
	}
	mdb_cursor_close(c);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

static int find_db(struct lmdb_store *store, MDB_txn *txn, const char *name,
		   bool create)
{
	MDB_dbi dbi;
	int rc = mdb_dbi_open(txn, name, create ? MDB_CREATE : 0, &dbi);

	/* Keys are what they are in it, without its name. */
	return rc ? rc : add_db(store, txn, dbi, NULL);
}

int lmdb_open_dbs(struct lmdb_store *store, const struct blt_open_options *opts,
		  struct blt_error *err)
{
	bool create = opts->db && store->face.writable &&
		      (opts->mode == BLT_CREATE || opts->mode == BLT_TRUNCATE);
	MDB_txn *txn;
	int rc = mdb_txn_begin(store->env, NULL, create ? 0 : MDB_RDONLY, &txn);

	if (rc == 0) {
		rc = opts->db ? find_db(store, txn, opts->db, create) :
				find_dbs(store, txn);
		/* Handles last where the transaction ends well. */
		if (rc == 0)
			rc = mdb_txn_commit(txn);
		else
			mdb_txn_abort(txn);
	}
	if (rc == MDB_NOTFOUND && opts->db)
		return store_fail(err, -ENOENT,
				  "%s: has no database of the name %s",
				  store->path, opts->db);
	if (rc)
		return store_fail(err, lmdb_error(rc),
				  "%s: its databases cannot be opened: %s",
				  store->path, mdb_strerror(rc));
	return 0;
}

int lmdb_check_dbs(struct lmdb_store *store, struct blt_error *err)
{
	for (size_t i = 0; i < store->n_dbs; i++) {
		const struct lmdb_db *db = &store->db[i];

		if (db->flags & MDB_REVERSEKEY)
			return store_fail(
				err, -ENOTSUP,
				"%s: %s%s has its keys in reversed order "
				"(MDB_REVERSEKEY), which is not supported",
				store->path,
				db->name ? "database " : "the database",
				db->name ? db->name : "");
	}
	if (store->face.writable && !store->many &&
	    store->db[0].flags & MDB_DUPSORT)
		return store_fail(
			err, -EROFS,
			"%s: holds several values a key (MDB_DUPSORT), and "
			"such a database is only read; open it read-only "
			"(-o ro)",
			store->path);
	return 0;
}

/* Another process has dropped it. */
static void leave_out(struct lmdb_store *store, size_t i)
{
	free(store->db[i].name);
	store->n_dbs--;
	memmove(&store->db[i], &store->db[i + 1],
		(store->n_dbs - i) * sizeof(*store->db));
	lmdb_walks_forget(store, i);
}

int lmdb_reopen_dbs(struct lmdb_store *store)
{
	MDB_txn *txn;
	int rc = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn);

	if (rc)
		return rc;
	for (size_t i = 0; rc == 0 && i < store->n_dbs;) {
		const char *name = store->db[i].name;

		rc = mdb_dbi_open(txn, name ? name : store->only, 0,
				  &store->db[i].dbi);
		if (name && (rc == MDB_NOTFOUND || rc == MDB_INCOMPATIBLE)) {
			leave_out(store, i);
			rc = 0;
		} else {
			i++;
		}
	}
	if (rc == 0)
		return mdb_txn_commit(txn);
	mdb_txn_abort(txn);
	return rc;
}
