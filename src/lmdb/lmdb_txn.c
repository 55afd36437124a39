/* Transactions, and the size of the map.
 *
 * LMDB wants the map to stay as it is while this process has a transaction; so
 * each holds the store's lock shared, and whoever enlarges the map holds it
 * alone.  A reading that finds the map too small for what another process has
 * committed takes over that one's size; a writing that fills it doubles it and
 * starts anew.
 *
 * A transaction that has ended is reset and kept, with its slot in LMDB's table
 * of readers, for the next reading. */
#include "lmdb/lmdb_btree.h"

#include <errno.h>
#include <sys/mman.h>

/* The least by which the map grows. */
#define MAP_STEP ((size_t)16 << 20)

int lmdb_error(int rc)
{
	switch (rc) {
	case MDB_NOTFOUND:
		return -ENOENT;
	case MDB_KEYEXIST:
		return -EEXIST;
	case MDB_PAGE_NOTFOUND:
	case MDB_CORRUPTED:
	case MDB_INVALID:
		return -EUCLEAN;
	case MDB_VERSION_MISMATCH:
		return -EPROTONOSUPPORT;
	case MDB_MAP_FULL:
		return -ENOSPC;
	case MDB_DBS_FULL:
		return -EMFILE;
	case MDB_READERS_FULL:
		return -EAGAIN;
	case MDB_TXN_FULL:
		return -EFBIG;
	case MDB_BAD_VALSIZE:
		return -EINVAL;
	case MDB_INCOMPATIBLE:
		return -EROFS;
	case MDB_BAD_DBI:
		return -ESTALE;
	}
	return rc > 0 ? -rc : rc < 0 ? -EIO : 0;
}

/* ---- the map ---- */

void lmdb_long_begin(struct lmdb_store *store)
{
	pthread_mutex_lock(&store->long_lock);
	store->n_long++;
	pthread_mutex_unlock(&store->long_lock);
}

void lmdb_long_end(struct lmdb_store *store)
{
	pthread_mutex_lock(&store->long_lock);
	store->n_long--;
	pthread_cond_broadcast(&store->long_end);
	pthread_mutex_unlock(&store->long_lock);
}

void lmdb_lock_alone(struct lmdb_store *store)
{
	pthread_mutex_lock(&store->long_lock);
	while (store->n_long)
		pthread_cond_wait(&store->long_end, &store->long_lock);
	pthread_rwlock_wrlock(&store->lock);
	pthread_mutex_unlock(&store->long_lock);
}

bool lmdb_lock_soon(struct lmdb_store *store)
{
	bool is;

	pthread_mutex_lock(&store->long_lock);
	is = store->n_long == 0;
	if (is)
		pthread_rwlock_wrlock(&store->lock);
	pthread_mutex_unlock(&store->long_lock);
	return is;
}

/* LMDB gives up the map that it has before it asks for another, and takes what
 * follows from its absence badly. */
static int try_room(size_t size)
{
	void *at;

	if (size == 0)
		return 0;
	at = mmap(NULL, size, PROT_NONE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (at == MAP_FAILED)
		return errno;
	munmap(at, size);
	return 0;
}

/* There is no map any more, and nothing may be asked of LMDB without. */
void lmdb_give_up(struct lmdb_store *store)
{
	lmdb_drop_spares(store);
	lmdb_list_hold();
	mdb_env_close(store->env);
	store->env = NULL;
	store->fd = -1;
	lmdb_list_release();
	atomic_store(&store->failed, -EIO);
}

/* size 0: that which another process has made of it. */
static int resize_map(struct lmdb_store *store, size_t size)
{
	int rc;

	lmdb_lock_alone(store);
	rc = store->env && !atomic_load(&store->lost) ? try_room(size) : EIO;
	if (rc == 0) {
		rc = mdb_env_set_mapsize(store->env, size);
		if (rc == ENOMEM)
			lmdb_give_up(store);
	}
	pthread_rwlock_unlock(&store->lock);
	return rc;
}

struct env_look {
	MDB_env *env;
	MDB_envinfo info;
	MDB_stat stat;
};

static int ask_env(void *arg)
{
	struct env_look *l = arg;
	int rc = mdb_env_info(l->env, &l->info);

	return rc ? rc : mdb_env_stat(l->env, &l->stat);
}

/* It is read from the map. */
int lmdb_ask_env(struct lmdb_store *store, MDB_envinfo *ret, MDB_stat *ret_stat)
{
	int rc;

	struct env_look look;

	pthread_rwlock_rdlock(&store->lock);
	look.env = store->env;
	rc = look.env ? -lmdb_look_at_file(store, false) : EIO;
	if (rc == 0)
		rc = lmdb_guard(store, ask_env, &look);
	pthread_rwlock_unlock(&store->lock);
	if (rc == 0) {
		*ret = look.info;
		*ret_stat = look.stat;
	}
	return rc;
}

static int enlarge_map(struct lmdb_store *store)
{
	MDB_envinfo info;
	MDB_stat st;
	int rc = lmdb_ask_env(store, &info, &st);

	if (rc)
		return rc;
	if (info.me_mapsize > SIZE_MAX / 4)
		return MDB_MAP_FULL;
	return resize_map(store, info.me_mapsize < MAP_STEP ?
					 MAP_STEP :
					 info.me_mapsize * 2);
}

int lmdb_make_room(struct lmdb_store *store, uint64_t len)
{
	MDB_envinfo info;
	MDB_stat st;
	uint64_t need, size;
	int rc = atomic_load(&store->failed) ? lmdb_heal(store) : 0;

	if (rc < 0)
		return rc;
	rc = lmdb_ask_env(store, &info, &st);
	if (rc)
		return lmdb_error(rc);
	need = (info.me_last_pgno + 1) * (uint64_t)st.ms_psize + len + MAP_STEP;
	size = info.me_mapsize;
	while (size < need)
		size *= 2;
	if (size == info.me_mapsize)
		return 0;
	return lmdb_error(resize_map(store, (size_t)size));
}

/* ---- reading ---- */

static MDB_txn *take_spare(struct lmdb_store *store)
{
	MDB_txn *txn = NULL;

	pthread_mutex_lock(&store->spare_lock);
	if (store->n_spare)
		txn = store->spare[--store->n_spare];
	pthread_mutex_unlock(&store->spare_lock);
	return txn;
}

static bool keep_spare(struct lmdb_store *store, MDB_txn *txn)
{
	bool kept = false;

	pthread_mutex_lock(&store->spare_lock);
	if (store->n_spare < LMDB_SPARE) {
		store->spare[store->n_spare++] = txn;
		kept = true;
	}
	pthread_mutex_unlock(&store->spare_lock);
	return kept;
}

void lmdb_drop_spares(struct lmdb_store *store)
{
	MDB_txn *txn;

	while ((txn = take_spare(store)))
		mdb_txn_abort(txn);
}

struct beginning {
	struct lmdb_store *store;
	bool any_list; /* of databases: whether others changed it or not */
	MDB_txn *txn;  /* a spare one, or NULL; then the one that has begun */
	MDB_cursor *cursor;
};

static int begin_new(MDB_env *env, MDB_txn **ret)
{
	int rc = mdb_txn_begin(env, NULL, MDB_RDONLY, ret), dead;

	/* Slots of processes that died are taken until somebody looks. */
	if (rc == MDB_READERS_FULL && mdb_reader_check(env, &dead) == 0 &&
	    dead > 0)
		rc = mdb_txn_begin(env, NULL, MDB_RDONLY, ret);
	return rc;
}

static int run_begin(void *arg)
{
	struct beginning *b = arg;
	int rc = b->txn ? mdb_txn_renew(b->txn) :
			  begin_new(b->store->env, &b->txn);

	if (rc == 0 && !b->any_list)
		rc = lmdb_dbs_changed(b->store, b->txn, mdb_txn_id(b->txn),
				      &b->cursor);
	return rc;
}

/* With lock held, shared. */
static int begin(struct lmdb_store *store, bool any_list, MDB_txn **ret)
{
	struct beginning b = { .store = store, .any_list = any_list };
	int rc;

	if (!store->env)
		return MDB_PANIC;
	rc = -lmdb_look_at_file(store, false);
	if (rc)
		return rc;
	b.txn = take_spare(store);
	rc = lmdb_guard(store, run_begin, &b);
	if (rc == 0) {
		*ret = b.txn;
		return 0;
	}
	mdb_cursor_close(b.cursor);
	mdb_txn_abort(b.txn);
	return rc;
}

static void end(struct lmdb_read *r)
{
	mdb_txn_reset(r->txn);
	if (!keep_spare(r->store, r->txn))
		mdb_txn_abort(r->txn);
}

/* What was tried once to make a transaction possible. */
struct tried {
	bool heal, renew;
};

/* LMDB's codes, or LMDB_DBS_CHANGED. */
static int try_begin(struct lmdb_store *store, const struct tried *tried,
		     struct lmdb_read *ret)
{
	int rc;

	ret->store = store;
	pthread_rwlock_rdlock(&store->lock);
	rc = begin(store, tried->renew, &ret->txn);
	if (rc)
		pthread_rwlock_unlock(&store->lock);
	return rc;
}

/* What was in the way of a transaction is taken out of it: 0, try again. */
static int clear_way(struct lmdb_store *store, int rc, bool write,
		     struct tried *tried)
{
	if (rc == MDB_MAP_RESIZED)
		return resize_map(store, 0);
	if (rc == LMDB_DBS_CHANGED) {
		tried->renew = true;
		return lmdb_dbs_renew(store, write);
	}
	if (rc == LMDB_NOTES_GONE) {
		lmdb_close_notes(store);
		return 0;
	}
	if (rc != MDB_PANIC || tried->heal)
		return rc;
	tried->heal = true;
	atomic_store(&store->failed, -EIO);
	return -lmdb_heal(store);
}

int lmdb_read_begin(struct lmdb_store *store, struct lmdb_read *ret)
{
	struct tried tried = { 0 };
	int rc;

	do {
		rc = try_begin(store, &tried, ret);
		if (rc == 0)
			return 0;
		rc = clear_way(store, rc, false, &tried);
	} while (rc == 0);
	return lmdb_error(rc);
}

int lmdb_long_read_begin(struct lmdb_store *store, struct lmdb_read *ret)
{
	struct tried tried = { 0 };
	int rc;

	do {
		lmdb_long_begin(store);
		rc = try_begin(store, &tried, ret);
		if (rc == 0)
			return 0;
		lmdb_long_end(store);
		rc = clear_way(store, rc, false, &tried);
	} while (rc == 0);
	return lmdb_error(rc);
}

void lmdb_long_read_end(struct lmdb_read *r)
{
	lmdb_read_end(r);
	lmdb_long_end(r->store);
}

void lmdb_read_end(struct lmdb_read *r)
{
	end(r);
	pthread_rwlock_unlock(&r->store->lock);
}

/* ---- writing ---- */

struct writing {
	struct lmdb_store *store;
	lmdb_write_fn *fn;
	void *arg;
	MDB_txn *txn; /* NULL: it has ended */
};

static int change(struct writing *w)
{
	struct lmdb_store *store = w->store;
	MDB_txn *txn = w->txn;
	MDB_cursor *cursor; /* which goes with the environment */
	uint64_t others;
	int rc = lmdb_dbs_changed(store, txn, mdb_txn_id(txn) - 1, &cursor);

	if (rc)
		return rc;
	lmdb_btrees_begin(store, txn);
	others = lmdb_commits_until(store, mdb_txn_id(txn) - 1);
	store->changes.view = (struct lmdb_view){ mdb_txn_id(txn), others };
	store->changes.n = 0;
	lmdb_watch_others(store, others);
	store->noted.n = 0;
	store->n_put = 0;
	lmdb_names_clear(&store->taken);
	rc = w->fn(w->arg, txn);
	if (rc)
		return rc;
	lmdb_btrees_look(store, txn);
	lmdb_seen_look(store, txn);
	/* the end of the transaction, whatever comes of it */
	rc = lmdb_commit_txn(store, &w->txn);
	/* The kernel may have dropped what it could not write. */
	if (rc == EIO)
		atomic_store(&store->failed, -EIO);
	return rc;
}

static int run_write(void *arg)
{
	struct writing *w = arg;
	int rc = mdb_txn_begin(w->store->env, NULL, 0, &w->txn);

	if (rc)
		return rc;
	rc = change(w);
	if (w->txn)
		mdb_txn_abort(w->txn);
	return rc;
}

/* With write and lock (shared) held. */
static int write_once(struct lmdb_store *store, lmdb_write_fn *fn, void *arg)
{
	struct writing w = { .store = store, .fn = fn, .arg = arg };
	int rc = store->env ? -lmdb_look_at_file(store, true) : MDB_PANIC;

	if (rc)
		return rc;
	rc = lmdb_guard_write(store, run_write, &w);
	if (rc == LMDB_NOTHING || rc == 0)
		lmdb_seen_apply(store);
	if (rc == LMDB_NOTHING)
		return 0;
	if (rc == 0) {
		lmdb_btrees_apply(store);
		lmdb_watch_tell(store);
		lmdb_gone_apply(store);
	}
	return rc;
}

int lmdb_write(struct lmdb_store *store, lmdb_write_fn *fn, void *arg)
{
	struct tried tried = { 0 };
	int rc = 0;

	if (!store->face.writable)
		return -EROFS;
	pthread_mutex_lock(&store->write);
	/* what another change, which has returned the error, left */
	if (atomic_load(&store->failed))
		rc = -lmdb_heal(store);
	while (rc == 0) {
		lmdb_long_begin(store);
		pthread_rwlock_rdlock(&store->lock);
		rc = write_once(store, fn, arg);
		pthread_rwlock_unlock(&store->lock);
		lmdb_long_end(store);
		if (rc == 0)
			break;
		rc = rc == MDB_MAP_FULL ? enlarge_map(store) :
					  clear_way(store, rc, true, &tried);
	}
	pthread_mutex_unlock(&store->write);
	return lmdb_error(rc);
}
