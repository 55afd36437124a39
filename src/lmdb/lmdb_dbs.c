/* The databases of an environment: which there are, and their handles. */
#include "lmdb/lmdb_store.h"

#include "base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Where a name stands among those of the list, which has LMDB's order. */
static size_t place_of(const struct lmdb_store *store, const char *name)
{
	size_t i = 1;

	while (i < store->n_dbs && strcmp(store->db[i].name, name) < 0)
		i++;
	return i;
}

/* Of which kind it is. */
static int look_at_db(MDB_txn *txn, MDB_dbi dbi, struct lmdb_db *ret)
{
	MDB_cursor *c;
	MDB_val key, value;
	int rc = mdb_dbi_flags(txn, dbi, &ret->flags);

	if (rc == 0)
		rc = mdb_cursor_open(txn, dbi, &c);
	if (rc)
		return rc;
	ret->dbi = dbi;
	ret->int_width = sizeof(size_t);
	if (mdb_cursor_get(c, &key, &value, MDB_FIRST) == 0 &&
	    ret->flags & MDB_INTEGERKEY)
		ret->int_width = (unsigned)key.mv_size;
	mdb_cursor_close(c);
	return 0;
}

static int add_db(struct lmdb_store *store, MDB_txn *txn, MDB_dbi dbi,
		  const char *name)
{
	struct lmdb_db db = { .name = NULL };
	size_t at = name ? place_of(store, name) : store->n_dbs;
	struct lmdb_db *more =
		realloc(store->db, (store->n_dbs + 1) * sizeof(*more));
	int rc;

	if (!more)
		return ENOMEM;
	store->db = more;
	rc = look_at_db(txn, dbi, &db);
	if (rc)
		return rc;
	if (name && db.flags & MDB_REVERSEKEY)
		return lmdb_names_add(&store->left_out, name);
	if (name && !(db.name = strdup(name)))
		return ENOMEM;
	memmove(&more[at + 1], &more[at], (store->n_dbs - at) * sizeof(*more));
	more[at] = db;
	store->n_dbs++;
	if (name)
		lmdb_walks_insert(store, at);
	return 0;
}

/* A record of the unnamed database that may be another one. */
static int try_db(struct lmdb_store *store, MDB_txn *txn, const MDB_val *key)
{
	char name[LMDB_KEY_MAX + 1];
	MDB_dbi dbi;
	size_t at;
	int rc;

	/* As a directory it would be none, or several; LMDB may have been
	 * built for longer keys. */
	if (key->mv_size > LMDB_KEY_MAX ||
	    memchr(key->mv_data, '\0', key->mv_size) ||
	    memchr(key->mv_data, '/', key->mv_size))
		return 0;
	memcpy(name, key->mv_data, key->mv_size);
	name[key->mv_size] = '\0';
	if (strcmp(name, LMDB_NOTES_DB) == 0)
		return 0;
	at = place_of(store, name);
	if ((at < store->n_dbs && strcmp(store->db[at].name, name) == 0) ||
	    lmdb_names_has(&store->left_out, name, key->mv_size))
		return 0;
	rc = mdb_dbi_open(txn, name, 0, &dbi);
	if (rc == MDB_INCOMPATIBLE || rc == MDB_NOTFOUND)
		return 0;
	if (rc)
		return rc;
	store->many = true;
	lmdb_names_remove(&store->gone, name, key->mv_size);
	return add_db(store, txn, dbi, name);
}

/* Those that stand in the unnamed database, and not in the list. */
int lmdb_dbs_add(struct lmdb_store *store, MDB_txn *txn)
{
	MDB_val key, value;
	MDB_cursor *c;
	MDB_stat st;
	int rc = mdb_stat(txn, store->db[0].dbi, &st);

	if (rc || st.ms_entries > LMDB_SEARCHED_MAX)
		return rc;
	rc = mdb_cursor_open(txn, store->db[0].dbi, &c);
	if (rc)
		return rc;
	while ((rc = mdb_cursor_get(c, &key, &value, MDB_NEXT)) == 0) {
		if (value.mv_size == LMDB_SUB_DB &&
		    (rc = try_db(store, txn, &key)) != 0)
			break;
	}
	mdb_cursor_close(c);
	return rc == MDB_NOTFOUND || rc == MDB_DBS_FULL ? 0 : rc;
}

static int find_dbs(struct lmdb_store *store, MDB_txn *txn)
{
	MDB_dbi dbi;
	int rc = mdb_dbi_open(txn, NULL, 0, &dbi);

	if (rc == 0)
		rc = add_db(store, txn, dbi, NULL);
	if (rc || store->db[0].flags & (MDB_DUPSORT | MDB_INTEGERKEY))
		return rc;
	store->searched = true;
	rc = lmdb_dbs_mark(store, txn);
	return rc ? rc : lmdb_dbs_add(store, txn);
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
	if (store->db[0].flags & MDB_REVERSEKEY)
		return store_fail(err, -ENOTSUP,
				  "%s: %s%s has its keys in reversed order "
				  "(MDB_REVERSEKEY), which is not supported",
				  store->path,
				  store->only ? "database " : "the database",
				  store->only ? store->only : "");
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

/* MDB_INCOMPATIBLE: others have made one of another kind in its place. */
static int reopen_db(struct lmdb_store *store, MDB_txn *txn, struct lmdb_db *db)
{
	struct lmdb_db is = { .name = db->name };
	int rc = mdb_dbi_open(txn, db->name ? db->name : store->only, 0,
			      &is.dbi);

	if (rc == 0)
		rc = look_at_db(txn, is.dbi, &is);
	if (rc)
		return rc;
	if (is.flags != db->flags)
		return MDB_INCOMPATIBLE;
	*db = is;
	return 0;
}

int lmdb_reopen_dbs(struct lmdb_store *store)
{
	MDB_txn *txn;
	int rc = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn);

	if (rc)
		return rc;
	for (size_t i = 0; rc == 0 && i < store->n_dbs;) {
		rc = reopen_db(store, txn, &store->db[i]);
		if (store->db[i].name &&
		    (rc == MDB_NOTFOUND || rc == MDB_INCOMPATIBLE)) {
			lmdb_dbs_leave_out(store, i);
			rc = 0;
		} else {
			i++;
		}
	}
	/* the new ones; those that cannot be shown have no handle to be opened
	 */
	if (rc == 0 && store->searched)
		rc = lmdb_dbs_add(store, txn);
	if (rc == 0 && store->searched)
		rc = lmdb_dbs_mark(store, txn);
	if (rc == 0)
		return mdb_txn_commit(txn);
	mdb_txn_abort(txn);
	return rc;
}
