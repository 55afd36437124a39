/* Work on a whole environment: counting, checking, copying, pruning. */
#include "lmdb_store.h"

#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

static int count_pages(struct lmdb_store *store, struct blt_census *c)
{
	struct lmdb_read r;
	uint64_t free_pages = 0;
	MDB_stat st;
	int rc = lmdb_read_begin(store, &r);

	if (rc < 0)
		return rc;
	for (size_t i = 0; rc == 0 && i < store->n_dbs; i++) {
		rc = mdb_stat(r.txn, store->db[i].dbi, &st);
		if (rc == 0)
			c->live_bytes +=
				(st.ms_branch_pages + st.ms_leaf_pages +
				 st.ms_overflow_pages) *
				(uint64_t)st.ms_psize;
	}
	if (rc == 0)
		rc = count_free(r.txn, &free_pages);
	lmdb_read_end(&r);
	c->dead_blocks = free_pages;
	c->dead_bytes = rc == 0 ? free_pages * st.ms_psize : 0;
	return lmdb_error(rc);
}

int lmdb_count(struct blt *blt, struct blt_census *ret)
{
	struct blt_census c = { 0 };
	struct lmdb_walk *w;
	struct lmdb_met m;
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
};

static int fault(struct checking *c, enum blt_fault_kind kind,
		 const struct lmdb_db *db, const char *what)
{
	char text[256];
	struct blt_fault f = { .kind = kind, .text = text };

	snprintf(text, sizeof(text), "%s%s: %s",
		 db->name ? "database " : "the database",
		 db->name ? db->name : "", what);
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
				     "a key stands behind one that it should "
				     "come before");
		if (!stop && c->opts && c->opts->progress &&
		    c->result.keys % 4096 == 0)
			stop = c->opts->progress(c->arg, c->result.keys,
						 c->total, c->result.keys);
	}
	mdb_cursor_close(cursor);
	if (!stop && rc != MDB_NOTFOUND)
		stop = fault(c, BLT_FAULT_BLOCK, db, mdb_strerror(rc));
	return stop;
}

static int check_db(struct checking *c, MDB_txn *txn, const struct lmdb_db *db)
{
	uint64_t n = 0, faults = c->result.faults;
	MDB_stat st;
	int rc = check_keys(c, txn, db, &n);

	if (rc == 0)
		rc = lmdb_error(mdb_stat(txn, db->dbi, &st));
	if (rc == 0 && c->result.faults == faults && n != st.ms_entries)
		rc = fault(c, BLT_FAULT_COUNT, db,
			   "holds another number of keys than it says");
	return rc;
}

/* In one transaction: what others commit meanwhile is not looked at, and what
 * they replace keeps its place until the end. */
int lmdb_check(struct blt *blt, const struct blt_check_options *opts,
	       blt_fault_fn *fn, void *arg, struct blt_check_result *ret)
{
	struct lmdb_store *store = lmdb_of(blt);
	struct checking c = { store, opts, fn, arg, { 0 }, 0 };
	struct blt_info info;
	struct lmdb_read r;
	int rc;

	blt_get_info(blt, &info);
	c.total = info.n_keys;
	rc = lmdb_read_begin(store, &r);
	if (rc < 0)
		return rc;
	for (size_t i = 0; rc == 0 && i < store->n_dbs; i++)
		rc = check_db(&c, r.txn, &store->db[i]);
	lmdb_read_end(&r);
	c.result.live_blocks = c.result.keys;
	if (rc == 0)
		*ret = c.result;
	return rc;
}

int lmdb_check_file(const char *path, int lock_timeout_ms,
		    const struct blt_check_options *opts, blt_fault_fn *fn,
		    void *arg, struct blt_check_result *ret,
		    struct blt_error *err)
{
	struct blt_open_options how = { .mode = BLT_READ,
					.lock_timeout_ms = lock_timeout_ms };
	struct blt *store;
	int rc = lmdb_store_open(path, &how, &store, err);

	if (rc < 0)
		return rc;
	rc = lmdb_check(store, opts, fn, arg, ret);
	if (rc < 0)
		store_fail(err, rc, "%s: cannot be checked to its end: %s",
			   path, strerror(-rc));
	blt_close(store);
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

/* ---- copying ---- */

static int sync_dir(const char *path)
{
	char *copy = strdup(path);
	int fd, rc;

	if (!copy)
		return -ENOMEM;
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	rc = fd < 0 || fsync(fd) < 0 ? -errno : 0;
	if (fd >= 0)
		close(fd);
	free(copy);
	return rc;
}

/* A compact copy of all databases under another name beside path. */
static int write_copy(struct lmdb_store *store, const char *path, char **ret)
{
	char *name;
	int fd, rc;

	if (asprintf(&name, "%s-XXXXXX", path) < 0)
		return -ENOMEM;
	fd = mkostemp(name, O_CLOEXEC);
	rc = fd < 0 ? -errno : 0;
	if (rc == 0) {
		pthread_rwlock_rdlock(&store->lock);
		rc = lmdb_error(
			mdb_env_copyfd2(store->env, fd, MDB_CP_COMPACT));
		pthread_rwlock_unlock(&store->lock);
	}
	if (rc == 0 && fsync(fd) < 0)
		rc = -errno;
	if (fd >= 0)
		close(fd);
	if (rc == 0) {
		*ret = name;
		return 0;
	}
	if (fd >= 0)
		unlink(name);
	free(name);
	return rc;
}

/* LMDB does it in one go. */
static int tell_done(struct blt *blt, blt_progress_fn *progress, void *arg)
{
	struct blt_info info;

	if (!progress)
		return 0;
	blt_get_info(blt, &info);
	return progress(arg, info.file_size, info.file_size, info.n_keys);
}

static int refuse_copy(struct blt *blt, const char *path,
		       const struct blt_create_options *opts, bool replace,
		       struct blt_error *err)
{
	struct stat st, own;

	if (opts && (opts->value_len || opts->n_buckets))
		return store_fail(err, -EINVAL,
				  "%s: a copy of an LMDB environment is one: "
				  "it has no buckets, and values of any length",
				  path);
	if (stat(path, &st) < 0)
		return 0;
	if (!replace)
		return store_fail(err, -EEXIST, "%s: exists already", path);
	if (fstat(blt_fd(blt), &own) == 0 && own.st_dev == st.st_dev &&
	    own.st_ino == st.st_ino)
		return store_fail(err, -EEXIST,
				  "%s: is the store itself; copy it to another "
				  "name",
				  path);
	return 0;
}

int lmdb_copy(struct blt *blt, const char *path,
	      const struct blt_create_options *opts, bool replace,
	      blt_progress_fn *progress, void *arg, struct blt_error *err)
{
	char *temporary = NULL;
	int rc = refuse_copy(blt, path, opts, replace, err);

	if (rc < 0)
		return rc;
	rc = write_copy(lmdb_of(blt), path, &temporary);
	if (rc == 0)
		rc = tell_done(blt, progress, arg);
	if (rc == 0 && renameat2(AT_FDCWD, temporary, AT_FDCWD, path,
				 replace ? 0 : RENAME_NOREPLACE) < 0)
		rc = -errno;
	if (rc < 0 && temporary)
		unlink(temporary);
	free(temporary);
	if (rc == 0)
		rc = sync_dir(path);
	return rc < 0 ? store_fail(err, rc, "%s: cannot be written: %s", path,
				   strerror(-rc)) :
			0;
}
