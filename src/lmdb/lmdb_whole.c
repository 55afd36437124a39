/* Work on a whole environment: counting and checking. */
#include "lmdb/lmdb_store.h"

#include "base/util.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The database that holds the lists of free pages. */
#define FREE_DBI 0

/* ---- counting ---- */

/* A list begins with how many pages are in it. */
static int count_free(MDB_txn *txn, uint64_t *ret_pages)
{
	MDB_val key, value;
	MDB_cursor *c;
	size_t n;
	int rc = mdb_cursor_open(txn, FREE_DBI, &c);

	if (rc)
		return rc;
	while ((rc = mdb_cursor_get(c, &key, &value, MDB_NEXT)) == 0) {
		memcpy(&n, value.mv_data, sizeof(n));
		*ret_pages += n;
	}
	mdb_cursor_close(c);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

struct counting {
	struct lmdb_read r;
	struct blt_census *census;
};

static int run_count(void *arg)
{
	const struct counting *n = arg;
	const struct lmdb_store *store = n->r.store;
	struct blt_census *c = n->census;
	MDB_stat st;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < store->n_dbs; i++) {
		rc = lmdb_db_stat(store, n->r.txn, &store->db[i], &st);
		if (rc == 0)
			c->live_bytes +=
				(st.ms_branch_pages + st.ms_leaf_pages +
				 st.ms_overflow_pages) *
				(uint64_t)st.ms_psize;
	}
	if (rc == 0)
		rc = count_free(n->r.txn, &c->dead_blocks);
	if (rc == 0)
		c->dead_bytes = c->dead_blocks * st.ms_psize;
	return rc;
}

static int count_pages(struct lmdb_store *store, struct blt_census *c)
{
	struct counting n = { .census = c };
	int rc = lmdb_read_begin(store, &n.r);

	if (rc < 0)
		return rc;
	rc = lmdb_error(lmdb_guard(store, run_count, &n));
	lmdb_read_end(&n.r);
	return rc;
}

int lmdb_count(struct blt *blt, struct blt_census *ret)
{
	struct blt_census c = { 0 };
	struct lmdb_walk *w;
	struct lmdb_met m = { 0 };
	int rc = lmdb_walk_new(lmdb_of(blt), NULL, 0, false, &w);

	if (rc < 0)
		return rc;
	while ((rc = lmdb_walk_next(w, &m)) > 0) {
		c.keys++;
		c.value_bytes += m.value_len;
	}
	lmdb_walk_free(w);
	if (rc == 0)
		rc = count_pages(lmdb_of(blt), &c);
	if (rc == 0)
		*ret = c;
	return rc;
}

/* ---- checking ---- */

struct checking {
	struct lmdb_store *store;
	const struct blt_check_options *opts;
	blt_fault_fn *fn;
	void *arg;
	struct blt_check_result result;
	uint64_t total;
	MDB_txn *txn;
	int rc; /* of run_check */
};

/* key NULL: none was met so far. */
static int fault(struct checking *c, enum blt_fault_kind kind,
		 const struct lmdb_db *db, const char *what, const MDB_val *key)
{
	const char *name = db->name ? db->name : c->store->only;
	char text[1024], shown[SHOWN_ROOM] = "";
	struct blt_fault f = { .kind = kind, .text = text };

	if (key)
		show_bytes(key->mv_data, key->mv_size, shown);
	snprintf(text, sizeof(text), "%s%s: %s%s%s",
		 name ? "database " : "the database", name ? name : "", what,
		 key ? ": key " : "", shown);
	c->result.faults++;
	return c->fn ? c->fn(c->arg, &f) : 0;
}

/* Every value is read to its end. */
static uint8_t touch(const MDB_val *value)
{
	const uint8_t *p = value->mv_data;
	uint8_t sum = 0;

	for (size_t i = 0; i < value->mv_size; i++)
		sum = (uint8_t)(sum + p[i]);
	return sum;
}

struct last {
	bool any;
	size_t len;
	uint8_t bytes[LMDB_KEY_MAX];
};

/* Whether keys go up, in this database's order. */
static bool in_order(MDB_txn *txn, const struct lmdb_db *db, struct last *last,
		     const MDB_val *key)
{
	MDB_val before = { last->len, last->bytes };
	int most = db->flags & MDB_DUPSORT ? 1 : 0; /* the same, once more */
	bool is = key->mv_size <= LMDB_KEY_MAX &&
		  (!last->any || mdb_cmp(txn, db->dbi, &before, key) < most);

	if (is) {
		last->any = true;
		last->len = key->mv_size;
		memcpy(last->bytes, key->mv_data, key->mv_size);
	}
	return is;
}

/* No key can be told where its page cannot be read; the last one can. */
static int fault_behind(struct checking *c, const struct lmdb_db *db, int rc,
			struct last *last)
{
	MDB_val key = { last->len, last->bytes };
	char what[256];

	snprintf(what, sizeof(what), "%s%s", mdb_strerror(rc),
		 last->any ? ", behind" : "");
	return fault(c, BLT_FAULT_BLOCK, db, what, last->any ? &key : NULL);
}

static int check_keys(struct checking *c, MDB_txn *txn,
		      const struct lmdb_db *db, uint64_t *ret_n)
{
	volatile uint8_t sum = 0;
	struct last last = { 0 };
	MDB_val key, value;
	MDB_cursor *cursor;
	int rc = mdb_cursor_open(txn, db->dbi, &cursor), stop = 0;

	if (rc)
		return lmdb_error(rc);
	while (!stop &&
	       (rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
		sum = (uint8_t)(sum + touch(&value));
		c->result.keys += !lmdb_is_db(c->store, db, &key);
		c->result.live_bytes += key.mv_size + value.mv_size;
		(*ret_n)++;
		if (!in_order(txn, db, &last, &key))
			stop = fault(c, BLT_FAULT_CHAIN, db,
				     "stands behind one that it should come "
				     "before",
				     &key);
		if (!stop && c->opts && c->opts->progress &&
		    c->result.keys % 4096 == 0)
			stop = c->opts->progress(c->arg, c->result.keys,
						 c->total, c->result.keys);
	}
	mdb_cursor_close(cursor);
	if (!stop && rc != MDB_NOTFOUND)
		stop = fault_behind(c, db, rc, &last);
	return stop;
}

static int check_db(struct checking *c, MDB_txn *txn, const struct lmdb_db *db)
{
	uint64_t n = 0, faults = c->result.faults;
	MDB_stat st;
	int rc = check_keys(c, txn, db, &n);

	if (rc == 0)
		rc = lmdb_error(lmdb_db_stat(c->store, txn, db, &st));
	if (rc == 0 && c->result.faults == faults && n != st.ms_entries)
		rc = fault(c, BLT_FAULT_COUNT, db,
			   "holds another number of keys than it says", NULL);
	return rc;
}

static int count_dead(MDB_txn *txn, struct blt_check_result *c)
{
	MDB_stat st;
	int rc = mdb_stat(txn, FREE_DBI, &st);

	if (rc == 0)
		rc = count_free(txn, &c->dead_blocks);
	if (rc == 0)
		c->dead_bytes = c->dead_blocks * st.ms_psize;
	return lmdb_error(rc);
}

static int run_check(void *arg)
{
	struct checking *c = arg;
	struct lmdb_store *store = c->store;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < store->n_dbs; i++)
		rc = check_db(c, c->txn, &store->db[i]);
	c->rc = rc == 0 ? count_dead(c->txn, &c->result) : rc;
	return 0;
}

/* In one transaction: what others commit meanwhile is not looked at, and what
 * they replace keeps its place until the end. */
int lmdb_check(struct blt *blt, const struct blt_check_options *opts,
	       blt_fault_fn *fn, void *arg, struct blt_check_result *ret)
{
	struct lmdb_store *store = lmdb_of(blt);
	struct checking c = { store, opts, fn, arg, { 0 }, 0, NULL, 0 };
	struct blt_info info;
	struct lmdb_read r;
	int rc;

	blt_get_info(blt, &info);
	c.total = info.n_keys;
	rc = lmdb_long_read_begin(store, &r);
	if (rc < 0)
		return rc;
	c.txn = r.txn;
	rc = lmdb_error(lmdb_guard(store, run_check, &c));
	rc = rc < 0 ? rc : c.rc;
	lmdb_long_read_end(&r);
	c.result.live_blocks = c.result.keys;
	if (rc == 0)
		*ret = c.result;
	return rc;
}

int lmdb_rebuild(const char *path, const struct blt_rebuild_options *opts,
		 struct blt_rebuild_result *ret, struct blt_error *err)
{
	(void)opts;
	(void)ret;
	return store_fail(err, -ENOTSUP,
			  "%s: is an LMDB environment, which has nothing to "
			  "be rebuilt from; copy what can be read (blt copy)",
			  path);
}
