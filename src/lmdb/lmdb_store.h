/* lmdb_store.h - an open LMDB environment, and what the files of this engine
 * ask of each other.
 *
 * lmdb_open.c recognises, opens and closes; lmdb_file.c looks at the files
 * without LMDB; lmdb_txn.c has the transactions and the size of the map;
 * lmdb_key.c turns keys of blt.h into places; the others hold the rows of
 * lmdb_backend (backend.h).
 *
 *   struct lmdb_read r;
 *   rc = lmdb_read_begin(store, &r);
 *   if (rc < 0) return rc;
 *   ...                                    mdb_get and the like, on r.txn
 *   lmdb_read_end(&r);
 *
 * What a reading gives out is copied first: no transaction outlives a call, so
 * none keeps the pages that others have replaced, and the map can be enlarged.
 *
 * What a key is (struct lmdb_place):
 *
 *   one database       the key itself
 *   several            "NAME/" in front of what it is in that database; what
 *                      the unnamed one holds besides, itself
 *   MDB_INTEGERKEY     the number, in decimal
 *   MDB_DUPSORT        the key, '/', and the number of the value among the
 *                      key's; only read
 *
 * Errors: -errno; lmdb_error turns LMDB's own into these.  -EUCLEAN where LMDB
 * finds a page wrong.  A commit or sync that the disk fails sets failed and
 * returns the error; the next change or sync opens the environment anew first
 * (lmdb_heal).  -EIO for as long as that fails, and for changes of a data file
 * that has been removed, and all of one that has been cut short.
 *
 * Threads: as blt.h has it.  lock is shared by whoever has a transaction, and
 * exclusive while the map or the list of databases changes; write, taken before
 * it, serialises this process's writers.
 */
#ifndef BLT_LMDB_STORE_H
#define BLT_LMDB_STORE_H

#include "engine/backend.h"

#include "lmdb/lmdb_times.h"

#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#define LMDB_KEY_MAX 511u
/* LMDB writes a value, and 16 bytes in front, with one write(2), which takes
 * 2 GiB less a page of up to 64 KiB; its error behind that is for good. */
#define LMDB_VALUE_MAX (0x7fff0000u - 16u)
#define LMDB_SPARE 16u /* transactions kept for the next reading */
#define LMDB_DBS_MAX 1024u
/* An unnamed database of more keys holds data; to look for others among them
 * would take as long as there are keys. */
#define LMDB_SEARCHED_MAX 65536u
/* The database that holds the notes (lmdb_notes.c): none of the store's. */
#define LMDB_NOTES_DB ".blt-notes"
/* The bytes that stand for a database in the unnamed one. */
#define LMDB_SUB_DB 48u

/* A database of the environment; under lock. */
struct lmdb_db {
	char *name; /* NULL: the unnamed one */
	MDB_dbi dbi;
	unsigned flags;     /* MDB_INTEGERKEY, MDB_DUPSORT, ... */
	unsigned int_width; /* bytes of an integer key */
};

/* Names of databases; n is 0 nearly always. */
struct lmdb_names {
	char **at;
	size_t room;
	_Atomic size_t n;
};

/* One that a transaction of ours makes, for the times (lmdb_times.h). */
struct lmdb_change {
	enum backend_op_kind kind;
	const void *key, *to; /* the caller's */
	size_t len, to_len;
	int64_t time;
	uint64_t version; /* of the value where it is put */
};

struct lmdb_changes {
	struct lmdb_change *at;
	size_t n, room;
	struct lmdb_view view; /* the transaction's */
};

struct cookie_cache;
struct lmdb_btrees;
struct lmdb_walk;

/* Keys that a transaction of ours changes. */
struct lmdb_noted {
	struct {
		enum listener_event what;
		const void *key; /* the caller's */
		size_t len;
	} * at;
	size_t n, room;
};

struct lmdb_store {
	struct blt face;
	MDB_env *env; /* NULL: lmdb_replace could not open it again */
	char *path;
	bool is_dir;
	bool alone; /* as blt_open was told */
	int fd;     /* of the data file; the environment's: under lock */
	/* Of the lock that lmdb_exclude took, or -1: its close lets go of all
	 * LMDB's locks, so it goes behind the environment. */
	int lock_fd;
	int64_t opened; /* mtime of the file then */
	/* The longest value, and what one transaction may put: LMDB keeps that
	 * in memory until it commits. */
	uint64_t value_max, put_max;
	uint64_t n_put; /* bytes put by this transaction; under write */
	char *only;     /* the one database that was asked for, or NULL */
	bool many;      /* databases are top-level directories */
	bool flat;      /* as dirs->start was told */
	pthread_rwlock_t lock;
	/* Who is going to have lock shared for long: a copy, a check, a sync
	 * or a write transaction, which may have to wait for another process.
	 * Who wants it alone waits for that first, since others wait for him.
	 */
	pthread_mutex_t long_lock;
	pthread_cond_t long_end;
	unsigned n_long; /* under long_lock */
	pthread_mutex_t write;
	struct lmdb_db *db; /* the unnamed one first, where many */
	size_t n_dbs;
	bool searched; /* the unnamed one, for others */
	/* Under lock: those that cannot be shown.  Under names_lock: those that
	 * others have dropped, and that nothing stands in the place of; the
	 * last LMDB_DBS_MAX or so.  Under write: of these, what the transaction
	 * puts something in the place of. */
	struct lmdb_names left_out, gone, taken;
	pthread_mutex_t names_lock;
	/* The list is that of the transaction seen_txn; under commits_lock: how
	 * many commits of others there were, entries of the unnamed one, and
	 * which of these may be databases. */
	_Atomic size_t seen_txn;
	uint64_t seen_others, seen_names;
	size_t seen_entries;
	atomic_bool lost; /* for good (lmdb_guard_write); then failed, too */
	atomic_int failed;
	_Atomic int64_t longest; /* the data file, as long as it was seen */
	/* Commits, as LMDB numbers them: the last that is known of, of all of
	 * them; one of ours that is on its way, or 0; how many were others'. */
	pthread_mutex_t commits_lock;
	size_t last_known, ours;
	uint64_t by_others; /* under commits_lock, as these */
	struct listeners listeners;
	struct lmdb_changes changes; /* under write */
	MDB_dbi old_notes;        /* under write: of a database that is gone */
	struct lmdb_times *times; /* NULL: no memory */
	struct lmdb_noted noted;  /* under write, as this: commits of others */
	uint64_t told_others;     /* that those who watch have been told of */
	pthread_mutex_t walks_lock;
	struct lmdb_walk *walks; /* under walks_lock */
	pthread_mutex_t spare_lock;
	MDB_txn *spare[LMDB_SPARE]; /* under spare_lock, as this */
	unsigned n_spare;
	struct cookie_cache *cookies; /* of listings */
	struct lmdb_btrees *orders;   /* of sequences */
	struct lmdb_store *next;      /* of the process's environments */
	dev_t dev;
	ino_t ino;
};

static inline struct lmdb_store *lmdb_of(struct blt *face)
{
	return (struct lmdb_store *)(void *)face;
}

static inline const struct lmdb_store *const_lmdb_of(const struct blt *face)
{
	return (const struct lmdb_store *)(const void *)face;
}

/* ---- lmdb_file.c ---- */

/* The data file of an environment that is a directory or a file. */
int lmdb_data_file(const char *path, char **ret, bool *ret_is_dir);
bool lmdb_has_magic(const char *file);
/* Whether what a data file says of itself can be, and all of it is there. */
int lmdb_check_head(const char *path, const char *file, struct blt_error *err);
/* The number of the last transaction. */
int lmdb_last_txn(const char *file, uint64_t *ret);
/* A compact copy, which begins to count anew, gets this number or the next. */
int lmdb_number_copy(int fd, uint64_t txn);
/* Holds the environment, which this process must not have open: nobody has it
 * open, and who is about to waits, until *ret_fd is closed.  -EBUSY: another
 * process has it open, *ret_holder unless that is 0. */
int lmdb_exclude(const char *path, int *ret_fd, pid_t *ret_holder);

/* ---- lmdb_list.c: what this process has open ---- */

/* Around opening and closing an environment, and giving it another file:
 * meanwhile the list may not name the file that LMDB has open. */
void lmdb_list_hold(void);
void lmdb_list_release(void);
/* Held: -EBUSY, or the store stands in the list. */
int lmdb_list_add(struct lmdb_store *store, const char *file);
/* Held: which file it is, once that is open. */
void lmdb_list_note(struct lmdb_store *store);
void lmdb_list_remove(struct lmdb_store *store);
/* Whether this process has it open. */
bool lmdb_is_open(const char *file);

/* ---- lmdb_heal.c: what is beyond LMDB's own care ---- */

/* With lock held, or while nobody else has the store: whether the data file is
 * there, as long as it was, and, to be written, has a name.  0 or -EIO. */
int lmdb_look_at_file(struct lmdb_store *store, bool write);
/* LMDB reads the file as memory: runs fn, EIO where the file is cut short under
 * it.  What fn has begun by then is the caller's to end, and it holds no lock.
 */
int lmdb_guard(struct lmdb_store *store, int (*fn)(void *arg), void *arg);
/* The same for a transaction that writes, from its beginning to its end.  Where
 * it is cut off the environment is lost: LMDB must not be asked to end the
 * transaction, nor to close the environment. */
int lmdb_guard_write(struct lmdb_store *store, int (*fn)(void *arg), void *arg);
/* Opens an environment anew that LMDB has given up, or that failed.  No lock is
 * held but write.  0, or -EIO: it is as before. */
int lmdb_heal(struct lmdb_store *store);

/* ---- lmdb_dbs.c ---- */

/* Finds the databases that are the store, the one that opts asks for (which is
 * made where opts creates) or all, and their handles. */
int lmdb_open_dbs(struct lmdb_store *store, const struct blt_open_options *opts,
		  struct blt_error *err);
/* Whether they are such that can be read, and written where the store is. */
int lmdb_check_dbs(struct lmdb_store *store, struct blt_error *err);
/* New handles, in an environment that was opened anew.  LMDB's codes. */
int lmdb_reopen_dbs(struct lmdb_store *store);

/* ---- lmdb_dbs_others.c: databases that other processes make and drop ---- */

/* Whether the list is another in a transaction that shows the commits up to
 * last, in a guarded function: 0, LMDB_DBS_CHANGED, or LMDB's codes.  What *c
 * becomes is the caller's to close where the function is cut off. */
#define LMDB_DBS_CHANGED (-2)
int lmdb_dbs_changed(struct lmdb_store *store, MDB_txn *txn, size_t last,
		     MDB_cursor **c);
/* Our commit of that number left so many entries in the unnamed database. */
void lmdb_dbs_note(struct lmdb_store *store, size_t txn, size_t entries);
size_t lmdb_dbs_entries(struct lmdb_store *store, MDB_txn *txn);
/* The list has been made in this transaction.  LMDB's codes. */
int lmdb_dbs_mark(struct lmdb_store *store, MDB_txn *txn);
/* Looks what there is; without wait not while anybody has the lock for long.
 * No lock is held but write.  LMDB's codes. */
int lmdb_dbs_renew(struct lmdb_store *store, bool wait);
/* Leaves out the database at i; with lock held alone. */
void lmdb_dbs_leave_out(struct lmdb_store *store, size_t i);
/* Adds those that are not in the list; the same. */
int lmdb_dbs_add(struct lmdb_store *store, MDB_txn *txn);
/* Whether it is there in this transaction, to be written: 0, ENOENT, or LMDB's
 * codes.  LMDB itself trusts that it is. */
int lmdb_db_there(const struct lmdb_store *store, MDB_txn *txn,
		  const struct lmdb_db *db);
/* As mdb_stat; of one that is not there: no entries. */
int lmdb_db_stat(const struct lmdb_store *store, MDB_txn *txn,
		 const struct lmdb_db *db, MDB_stat *ret);
/* Whether a key of the unnamed database may be put: 0; ENOENT where it is below
 * a database that is gone. */
int lmdb_gone_check(struct lmdb_store *store, MDB_txn *txn, const MDB_val *key);
/* The transaction is committed. */
void lmdb_gone_apply(struct lmdb_store *store);

/* ENOMEM or 0. */
int lmdb_names_add(struct lmdb_names *names, const char *name);
bool lmdb_names_has(const struct lmdb_names *names, const void *name,
		    size_t len);
void lmdb_names_remove(struct lmdb_names *names, const void *name, size_t len);
void lmdb_names_clear(struct lmdb_names *names);

/* ---- lmdb_txn.c ---- */

int lmdb_error(int rc);

struct lmdb_read {
	struct lmdb_store *store;
	MDB_txn *txn;
};

/* Around what has the lock shared for as long as a whole environment takes;
 * no other reading may begin in the same thread meanwhile. */
void lmdb_long_begin(struct lmdb_store *store);
void lmdb_long_end(struct lmdb_store *store);
/* The lock, alone: behind what takes long, for which only the caller waits. */
void lmdb_lock_alone(struct lmdb_store *store);
/* The same where nothing takes long; false: it is not held. */
bool lmdb_lock_soon(struct lmdb_store *store);

int lmdb_read_begin(struct lmdb_store *store, struct lmdb_read *ret);
void lmdb_read_end(struct lmdb_read *r);
int lmdb_long_read_begin(struct lmdb_store *store, struct lmdb_read *ret);
void lmdb_long_read_end(struct lmdb_read *r);

/* Runs fn in a transaction and commits it where that returns 0; with a larger
 * map once more where that was too small.  fn may thus run several times.  fn
 * returns LMDB's codes, or a positive errno; LMDB_NOTHING where all is well and
 * it has changed nothing. */
#define LMDB_NOTHING (-1)
typedef int lmdb_write_fn(void *arg, MDB_txn *txn);
int lmdb_write(struct lmdb_store *store, lmdb_write_fn *fn, void *arg);

/* So that a value of this length makes the map too small hardly ever. */
int lmdb_make_room(struct lmdb_store *store, uint64_t len);

void lmdb_drop_spares(struct lmdb_store *store);
/* There is no map any more, and nothing may be asked of LMDB without; with lock
 * held alone. */
void lmdb_give_up(struct lmdb_store *store);
/* Facts of the environment; LMDB's codes. */
int lmdb_ask_env(struct lmdb_store *store, MDB_envinfo *ret,
		 MDB_stat *ret_stat);

/* ---- lmdb_commits.c ---- */

/* Once, when the environment is open. */
void lmdb_commits_begin(struct lmdb_store *store);
uint64_t lmdb_changes_by_others(struct blt *blt);
/* The same, up to the commit of that number. */
uint64_t lmdb_commits_until(struct lmdb_store *store, size_t last);
/* Ends a transaction of ours; *txn becomes NULL first.  LMDB's codes. */
int lmdb_commit_txn(struct lmdb_store *store, MDB_txn **txn);

/* ---- lmdb_memory.c ---- */

/* For a value of this length; NULL: no memory.  A long one does not count as
 * memory that the process needs. */
void *lmdb_alloc(const struct lmdb_store *store, size_t len);
void lmdb_free(void *at, size_t len); /* NULL is fine */

/* ---- lmdb_key.c ---- */

/* Where a key stands.  key points into buf, or at the caller's bytes. */
struct lmdb_place {
	const struct lmdb_db *db;
	MDB_val key;
	bool dup;
	size_t number; /* dup: which of its values */
	bool self;     /* "NAME/": the database, which is there without it */
	uint8_t buf[8];
};

/* -ENOENT: no key of this store could be that; *ret_why, unless NULL, then says
 * as an error why it cannot be written (-EINVAL, -ENAMETOOLONG, -EROFS). */
int lmdb_find_place(const struct lmdb_store *store, const void *key, size_t len,
		    struct lmdb_place *ret, int *ret_why);

/* The place of a key within the database that at->db is. */
int lmdb_place_in(struct lmdb_place *at, const void *key, size_t len);

/* The database that keys of this prefix are of, and how long its own part of
 * the prefix is ("NAME/", or nothing). */
const struct lmdb_db *lmdb_db_of(const struct lmdb_store *store,
				 const void *prefix, size_t len,
				 size_t *ret_own);

/* Whether what stands in the unnamed database under this key is a database of
 * the list, or hidden behind one. */
bool lmdb_is_db(const struct lmdb_store *store, const struct lmdb_db *in,
		const MDB_val *key);

/* The bytes that a key of db has in blt.h, without the database's own part,
 * and without the number of its value: at most LMDB_KEY_MAX. */
size_t lmdb_key_bytes(const struct lmdb_db *db, const MDB_val *key,
		      uint8_t to[LMDB_KEY_MAX]);

/* A value's stand-in for where it stands: blt_batch_only_if compares it. */
uint64_t lmdb_token(const MDB_val *value);

/* The value at a place; MDB_NOTFOUND. */
int lmdb_value(MDB_txn *txn, const struct lmdb_place *at, MDB_val *ret);

/* ---- lmdb_walk.c: all keys, some at a time ---- */

/* One key that was met, copied. */
struct lmdb_met {
	const uint8_t *key; /* as in blt.h */
	size_t key_len;
	const uint8_t *value; /* NULL: not wanted */
	size_t value_len;
	uint64_t token;
};

int lmdb_walk_new(struct lmdb_store *store, const void *prefix, size_t len,
		  bool values, struct lmdb_walk **ret);
/* The walk begins behind this key, which need not be there.  -ENOENT: no key of
 * the store could be that. */
int lmdb_walk_after(struct lmdb_walk *w, const void *key, size_t len);
int lmdb_walk_next(struct lmdb_walk *w, struct lmdb_met *ret); /* 1, 0 */
void lmdb_walk_free(struct lmdb_walk *w);
/* The database at i is about to leave the list, or has come into it; with the
 * lock held alone. */
void lmdb_walks_forget(struct lmdb_store *store, size_t i);
void lmdb_walks_insert(struct lmdb_store *store, size_t i);

/* That this key is about to be changed: LMDB's codes, or a positive errno. */
int lmdb_walks_tell(struct lmdb_store *store, MDB_txn *txn, const void *key,
		    size_t len, const struct lmdb_place *at);

/* ---- lmdb_seen.c: when values became what they are ---- */

/* Of a value that is read, in a guarded function: microseconds, or 0. */
int64_t lmdb_seen(struct lmdb_read *r, const void *key, size_t len,
		  const MDB_val *value);

/* With write held: what an operation changes (0 or ENOMEM); behind the last
 * one; and behind the commit. */
int lmdb_seen_note(struct lmdb_store *store, const struct backend_op *op);
void lmdb_seen_look(struct lmdb_store *store, MDB_txn *txn);
void lmdb_seen_apply(struct lmdb_store *store);

/* ---- lmdb_listeners.c: with write held ---- */

/* That this key is about to be changed, or to go: 0 or a positive errno. */
int lmdb_watch_note(struct lmdb_store *store, MDB_txn *txn, const void *key,
		    size_t len, const struct lmdb_place *at, bool goes);
/* What was noted has been committed. */
void lmdb_watch_tell(struct lmdb_store *store);
/* How many commits of others there were by now. */
void lmdb_watch_others(struct lmdb_store *store, uint64_t by_others);

/* ---- the rows, by file ---- */

/* lmdb_listeners.c */
void lmdb_watch(struct blt *blt, struct listener *w);
void lmdb_unwatch(struct blt *blt, struct listener *w);

/* lmdb_facts.c */
int64_t lmdb_modified(struct blt *blt);
int64_t lmdb_mtime_of(const struct stat *st);

/* lmdb_open.c */
int lmdb_store_open(const char *path, const struct blt_open_options *opts,
		    struct blt **ret, struct blt_error *err);
int lmdb_store_close(struct blt *blt);
bool lmdb_is_mine(const char *path);
/* Closes the environment, runs fn, and opens what then has its name; with lock
 * held alone.  Returns what fn does, or why it cannot be opened:
 * the store is of no more use then. */
typedef int lmdb_replace_fn(void *arg);
int lmdb_replace(struct lmdb_store *store, lmdb_replace_fn *fn, void *arg);

/* lmdb_read.c */
int lmdb_get(struct blt *blt, const void *key, size_t len,
	     struct blt_view *ret);
size_t lmdb_get_many(struct blt *blt, const struct blt_bytes *keys, size_t n,
		     struct blt_view *ret, int *ret_result);
void lmdb_view_release(struct blt_view *view);
int64_t lmdb_get_part(struct blt *blt, const void *key, size_t len, void *to,
		      size_t n, uint64_t offset);
int lmdb_stat_key(struct blt *blt, const void *key, size_t len,
		  struct blt_stat *ret);
int lmdb_iter_open(struct blt *blt, const struct blt_iter_options *opts,
		   struct blt_iter **ret);
int lmdb_iter_ordered(struct blt *blt, const void *after, size_t after_len,
		      struct blt_iter **ret);
int lmdb_iter_next(struct blt_iter *it, struct blt_item *ret);
void lmdb_iter_free(struct blt_iter *it);

/* lmdb_write.c */
int lmdb_key(struct blt *blt, const void *key, size_t len,
	     struct backend_key *ret);
int lmdb_check_value(struct blt *blt, const void *value, size_t len);
int lmdb_put(struct blt *blt, const void *key, size_t key_len,
	     const void *value, size_t value_len, int64_t timestamp);
int lmdb_put_from(struct blt *blt, const void *key, size_t key_len,
		  const struct blt_source *source, int64_t timestamp);
int lmdb_delete(struct blt *blt, const void *key, size_t len);
int lmdb_touch(struct blt *blt, const void *key, size_t len, int64_t timestamp);
int lmdb_commit(struct blt *blt, struct backend_op *first);
int lmdb_flush(struct blt *blt);
int lmdb_sync(struct blt *blt);
int lmdb_settle(struct blt *blt, bool idle);

/* lmdb_notes.c */
int lmdb_notes(struct blt *blt, backend_note_fn *fn, void *arg);
int lmdb_hold(struct blt *blt, uint64_t at, uint64_t n, int *ret_fd);
/* BACKEND_NOTE: LMDB's codes, or a positive errno; LMDB_NOTES_GONE: try again
 * after lmdb_close_notes, in another transaction. */
#define LMDB_NOTES_GONE (-3)
int lmdb_run_note(struct lmdb_store *store, MDB_txn *txn,
		  const struct backend_op *op);
/* No lock is held but write. */
void lmdb_close_notes(struct lmdb_store *store);

/* lmdb_whole.c */
int lmdb_count(struct blt *blt, struct blt_census *ret);
int lmdb_check(struct blt *blt, const struct blt_check_options *opts,
	       blt_fault_fn *fn, void *arg, struct blt_check_result *ret);
int lmdb_rebuild(const char *path, const struct blt_rebuild_options *opts,
		 struct blt_rebuild_result *ret, struct blt_error *err);

/* lmdb_copy.c */
int lmdb_copy(struct blt *blt, const char *path,
	      const struct blt_create_options *opts, bool replace,
	      blt_progress_fn *progress, void *arg, struct blt_error *err);
int lmdb_prune(struct blt *blt, const struct blt_prune_options *opts,
	       struct blt_prune_result *ret);
int lmdb_hold_file(const char *path, int *ret_fd, struct blt_error *err);

/* lmdb_dirs.c */
extern const struct backend_dirs lmdb_dirs;

#endif
