/* blt.h - libblt: booklet key-value stores (".blt") from C.
 *
 * A store is one file that the Python library booklet reads and writes too.
 * Keys are up to 65,535 bytes, values up to 4 GiB - 1.
 *
 * A store may also be an LMDB environment, or stand in a PostgreSQL database,
 * where the library was built with those engines: the same calls, with what is
 * said for them under "engines" below.
 *
 *   struct blt *store;
 *   struct blt_error err;
 *   struct blt_open_options how = { .mode = BLT_CREATE };
 *
 *   if (blt_open("kv.blt", &how, &store, &err) < 0)
 *           errx(1, "%s", err.text);
 *   blt_put(store, "key", 3, "value", 5, BLT_NOW);
 *   blt_sync(store);
 *
 *   struct blt_view v;
 *   if (blt_get(store, "key", 3, &v) == 0) {
 *           fwrite(v.data, 1, v.len, stdout);
 *           blt_view_release(&v);
 *   }
 *   blt_close(store);
 *
 * Errors: functions return 0 or a negative errno; where one returns something
 * else it says so.  Outputs are written on success only.  The same meanings
 * everywhere:
 *   -ENOENT        no such key            -EROFS    opened for reading only
 *   -EINVAL        an argument, or bytes that would not load in Python
 *   -EILSEQ        of these: a key that is not UTF-8, where keys are text
 *   -ENAMETOOLONG  a key over 65,535 bytes   -EFBIG a value over value_max
 *   -EUCLEAN       the file is damaged there (run "blt check")
 *   -EIO           the disk failed; after a failed write or fsync the store
 *                  takes no more writes until it is opened again
 *   -ENOSPC        the disk or a quota is full, or the file cannot grow
 *   -ENOMEM, ...   as the system gave them
 *
 * Threads: all functions may be called from any thread at once, but for those
 * on one struct blt_batch or struct blt_iter, which belong to one thread at a
 * time, and blt_close, which must be the last call on its store.  A store must
 * not be used in a process forked after it was opened.
 *
 * Times are microseconds since the Unix epoch, UTC.
 */
#ifndef BLT_H
#define BLT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct statvfs; /* sys/statvfs.h */

#define BLT_PUBLIC __attribute__((visibility("default")))

#define BLT_KEY_MAX 65535u
#define BLT_VALUE_MAX 4294967295u
#define BLT_NOW INT64_MIN /* a timestamp argument: the time of the call */
#define BLT_NO_TIME (-1)  /* a timestamp result: this store keeps none */

struct blt;

/* What went wrong, for a person: names the file or key, what was expected and
 * what to do.  One line without a line feed. */
struct blt_error {
	char text[512];
};

/* ---- engines ----
 *
 * What a store is kept in is an engine: "booklet", or "lmdb" (a directory with
 * a data.mdb, or a single file).  blt_open knows a store by its contents.
 *
 * An LMDB environment is read and written beside any other of LMDB's users;
 * what is read is what was committed last.  Keys are up to 511 bytes, none of
 * them empty, and values any; there are no times (BLT_NO_TIME), serializers,
 * hidden entries or streams.  An environment that has named databases in it
 * shows each as a directory: its keys begin with "NAME/"; what the unnamed one
 * holds besides stands beside them.  Integer keys are decimal numbers.  In a
 * database of several values a key, which is only read, a key is a directory of
 * them: its keys are "KEY/0", "KEY/1", ...  One with keys in reversed order is
 * not opened: -ENOTSUP.
 *
 * Every change is a transaction of its own, a batch is one: batches are for
 * those who change much.  It survives this process at once, and the machine
 * with the next blt_sync or change; until then a crash may take the last one
 * back, whole.  No transaction outlives a call: a walk shows what stays during
 * it once, and what changes meanwhile or not; blt_copy shows one moment.
 * blt_locate, blt_trim and blt_reindex are -ENOTSUP; so is blt_rebuild.  An
 * environment is open once in a process: -EBUSY.
 *
 * A store may stand in a PostgreSQL database ("postgresql"), where the library
 * was built with that engine; its path is a URL, postgresql://host/database
 * with ?store=NAME (blt(1) has all of it).  Any number of processes on any
 * number of machines may have it open and write.  Keys are up to 2,048 bytes,
 * values any up to BLT_VALUE_MAX, with times; there are no serializers and
 * hidden entries.  Every change is a transaction of the server's: it is durable
 * when the call returns, as blt_durability says, and blt_sync has nothing left
 * to do.  A request waits for a server that is away, and is -EIO once that has
 * lasted for the URL's timeo; the next one may succeed.  A walk shows one
 * moment.  blt_locate, blt_trim, blt_reindex and blt_rebuild are -ENOTSUP.
 */

/* Whether this names a store that is no file: a URL of an engine that the
 * library was built with.  Nothing is looked at. */
BLT_PUBLIC bool blt_is_url(const char *path);

/* ---- open and close ---- */

enum blt_mode {
	BLT_READ,     /* must exist; nothing is written; a shared lock */
	BLT_WRITE,    /* must exist; an exclusive lock */
	BLT_CREATE,   /* made where it is missing; else as BLT_WRITE */
	BLT_TRUNCATE, /* made anew, whatever stood there */
};

/* As a serializer of a new store: a class that only its Python program knows,
 * which the file has as code 0. */
#define BLT_SERIALIZER_CUSTOM 4294967295u

/* What a new store is like; zeros are the defaults. */
struct blt_create_options {
	uint32_t n_buckets; /* 0: 12007 */
	uint32_t value_len; /* 0: values of any length; else of just this */
	unsigned key_serializer;   /* a code, see blt_serializer_code; 0: str */
	unsigned value_serializer; /* 0: bytes; fixed-length: unused */
	bool no_timestamps;        /* a fixed-length store never has them */
	const char *engine;        /* blt_copy: of which kind the copy is; NULL:
				    * as the store.  blt_open has its own */
};

/* How far a whole-file operation has come: bytes done, of how many, and keys.
 * Called every mebibyte or so, with no lock held.  0 to go on; a negative errno
 * stops the operation, which then returns it. */
typedef int blt_progress_fn(void *arg, uint64_t done, uint64_t total,
			    uint64_t keys);

/* What the user of an open store should know of: one sentence, valid for the
 * call.  Called by any thread, perhaps with requests waiting: it must be quick,
 * and must not use the store. */
typedef void blt_tell_fn(void *arg, const char *text);

struct blt_open_options {
	enum blt_mode mode;
	int lock_timeout_ms; /* how long to wait for the lock on the file:
			      * 0 not at all, -1 for ever */
	bool no_threads;     /* the library starts none for the index's growth:
			      * those who commit do a step of it each */
	struct blt_create_options create;
	/* "booklet" or "lmdb": of which kind a new store is to be; NULL:
	 * booklet.  One that is there is known by its contents, and must be of
	 * that kind where this is set. */
	const char *engine;
	/* LMDB: the one database of the environment that is the store; NULL:
	 * all of them.  BLT_CREATE and BLT_TRUNCATE make it where it is
	 * missing. */
	const char *db;
	/* Nobody else knows the file: LMDB neither locks it nor waits for the
	 * disk before blt_sync or blt_close, until when a crash leaves nothing
	 * that counts. */
	bool alone;
	/* Called while what a dead writer left is replayed: the bytes are those
	 * of its log, read twice and, for a writer, written once; the keys are
	 * records that were found whole.  total shrinks when the log's end is
	 * found; done never does, and is total in the last call.  Where it
	 * stops the replay the store is not opened, and the next opening
	 * replays it.  NULL: none. */
	blt_progress_fn *progress;
	void *progress_arg;
	/* PostgreSQL: a server that does not answer, and that it is back; NULL:
	 * nobody is told. */
	blt_tell_fn *tell;
	void *tell_arg;
};

/* Opens a store.  opts NULL: BLT_READ.  err may be NULL.
 * -EWOULDBLOCK: another process holds the lock; -EUCLEAN: no booklet file, or
 * a damaged one; -EPROTONOSUPPORT: a version too old, or too new to write. */
BLT_PUBLIC int blt_open(const char *path, const struct blt_open_options *opts,
			struct blt **ret, struct blt_error *err);

/* The engine whose store stands at path, by its contents or as a URL; NULL:
 * none, or one that has no mark of its own (booklet).  Lives for ever. */
BLT_PUBLIC const char *blt_engine_of(const char *path);
/* The engines that this library was built with, from 0 on; NULL: no more.
 * Lives for ever. */
BLT_PUBLIC const char *blt_engine_name(unsigned i);

/* Writes what is pending, makes it durable and the file a plain booklet file,
 * and frees the store (NULL is fine).  On an error everything that had been
 * synced is still there; the store is freed all the same.  No views, batches
 * or iterators may be left. */
BLT_PUBLIC int blt_close(struct blt *store);

/* ---- facts ---- */

struct blt_info {
	const char *engine; /* its name; lives for ever */
	bool shared;        /* others may change it while it is open here: what
			     * was read need not be so any more */
	bool tokens;        /* struct blt_stat has them */
	unsigned version;
	bool writable;
	bool has_timestamps;
	bool was_open; /* the last writer did not close it: the count
			* of keys came from a walk */
	unsigned key_serializer, value_serializer; /* codes */
	uint32_t value_len;                        /* 0: variable */
	uint32_t n_buckets;
	uint64_t n_keys;       /* as the header has it, kept up to date: a hint
				* after a Python writer was killed */
	uint64_t index_offset; /* bytes from the file's start */
	uint64_t data_offset;  /* of the first data block */
	uint64_t file_size;    /* pending writes counted */
	int64_t created;       /* the file timestamp in the header; LMDB: as
				* modified was when it was opened */
	int64_t modified;      /* mtime of the file, or of the last change */
	uint8_t uuid[16];
	uint64_t replayed;   /* records of a dead writer's log that opening it
			      * replayed */
	int failed;          /* the negative errno for which the store takes no
			      * more writes until it is opened again, or 0 */
	uint64_t value_max;  /* the longest value that it takes */
	bool dead_known;     /* a namespace of the store has walked it, so */
	uint64_t dead_bytes; /* what a prune would give back is known; else 0 */
};

BLT_PUBLIC void blt_get_info(struct blt *store, struct blt_info *ret);

/* That struct's modified alone, which costs less. */
BLT_PUBLIC int64_t blt_modified(struct blt *store);

/* fstatvfs of the file; safe beside a blt_prune, which may replace the
 * descriptor of an LMDB environment. */
BLT_PUBLIC int blt_statvfs(struct blt *store, struct statvfs *ret);

/* Calls fn with each thing about an open store that its user should know: a
 * sentence that names the store, valid for the call.  Examples: a database that
 * is left out, a filesystem that does not keep what LMDB relies on. */
typedef void blt_caution_fn(void *arg, const char *text);
BLT_PUBLIC void blt_cautions(struct blt *store, blt_caution_fn *fn, void *arg);

/* What a change survives once it is durable, where a server says that: a phrase
 * ("the server's disk and 1 synchronous standby").  -ENOTSUP: a store that is a
 * file. */
#define BLT_DURABILITY_MAX 256
BLT_PUBLIC int blt_durability(struct blt *store, char text[BLT_DURABILITY_MAX]);

/* The path it was opened under; lives as long as the store. */
BLT_PUBLIC const char *blt_path(const struct blt *store);

/* The file's descriptor, for fstat and the like; stays the store's. */
BLT_PUBLIC int blt_fd(const struct blt *store);

/* Counts by a walk over all blocks. */
struct blt_census {
	uint64_t keys;       /* live, hidden entries not counted */
	uint64_t live_bytes; /* of their blocks, headers included */
	uint64_t dead_blocks;
	uint64_t dead_bytes;  /* what a prune would give back */
	uint64_t value_bytes; /* of live keys */
};
BLT_PUBLIC int blt_count(struct blt *store, struct blt_census *ret);

/* Serializer codes by name ("str", "bytes", "json", "uint4", ...): the code or
 * -EINVAL; the name or NULL. */
BLT_PUBLIC int blt_serializer_code(const char *name);
BLT_PUBLIC const char *blt_serializer_name(unsigned code);

/* Whether these bytes may be a key here; 0, -EILSEQ (not UTF-8 where keys are
 * str), -EINVAL (would not load under another key serializer, or one of the
 * reserved keys), -ENAMETOOLONG. */
BLT_PUBLIC int blt_check_key(struct blt *store, const void *key, size_t len);

/* A key's hash as it stands in its block. */
#define BLT_HASH_LEN 13
BLT_PUBLIC void blt_key_digest(const void *key, size_t len,
			       uint8_t ret[BLT_HASH_LEN]);

/* Whether these bytes may be a value; 0, -EINVAL (would not load under the
 * value serializer, or another length than all values have), -EFBIG. */
BLT_PUBLIC int blt_check_value(struct blt *store, const void *value,
			       size_t len);

/* 64 bits of a key's hash, as struct blt_node has them. */
BLT_PUBLIC uint64_t blt_key_hash(const void *key, size_t len);

/* Whether a key with an empty value may be stored here. */
BLT_PUBLIC bool blt_takes_empty(const struct blt *store);

/* ---- reading ---- */

/* One value where it stands.  data stays valid and unchanged until
 * blt_view_release, whatever is written meanwhile.  Where the value is in the
 * file already, fd and offset say where (fd is the store's own); else fd is
 * -1.  Touching data of a file that somebody cut short raises SIGBUS: use
 * blt_view_copy, or read from fd, where that matters. */
struct blt_view {
	const uint8_t *data;
	size_t len;
	int fd;
	uint64_t offset;
	int64_t timestamp;  /* or BLT_NO_TIME */
	void *hold;         /* private, as this */
	const void *engine; /* whose it is; NULL: a view of nothing */
};

BLT_PUBLIC int blt_get(struct blt *store, const void *key, size_t len,
		       struct blt_view *ret);
BLT_PUBLIC void blt_view_release(struct blt_view *view);

/* The same for n keys, which costs less than one by one: their hashes are made
 * side by side, and what is not in the processor's cache is fetched for many at
 * a time.  ret_result[i] is what blt_get would have returned for keys[i];
 * ret[i] is set where that is 0.  Returns how many were found.  Not as of one
 * moment. */
struct blt_bytes {
	const void *bytes;
	size_t len;
};
BLT_PUBLIC size_t blt_get_many(struct blt *store, const struct blt_bytes *keys,
			       size_t n, struct blt_view *ret, int *ret_result);

/* Where a value stands in the file, for readers with a descriptor of their own.
 * A value that is still in memory is handed to the kernel first.  The bytes
 * stay there, even of a key that is deleted or overwritten, until
 * blt_compactions gives another number: what was read counts if the number is
 * the same before and after. */
struct blt_location {
	uint64_t offset;
	uint64_t len;
	int64_t timestamp; /* or BLT_NO_TIME */
};
BLT_PUBLIC int blt_locate(struct blt *store, const void *key, size_t len,
			  struct blt_location *ret);

/* How many times, since it was opened, blocks of the store have moved. */
BLT_PUBLIC uint64_t blt_compactions(struct blt *store);

/* Copies up to len bytes from offset; returns how many, or -EIO where the file
 * has been cut short. */
BLT_PUBLIC int64_t blt_view_copy(const struct blt_view *view, void *to,
				 size_t len, uint64_t offset);

/* A part of a value, without a view of the whole: up to n bytes from offset;
 * returns how many, or an error as blt_get and blt_view_copy have it. */
BLT_PUBLIC int64_t blt_get_part(struct blt *store, const void *key, size_t len,
				void *to, size_t n, uint64_t offset);

/* How many changes other processes have made to the store since it was opened;
 * always 0 where none can.  What was read before it was asked is still so if it
 * was the same before.  Costs next to nothing. */
BLT_PUBLIC uint64_t blt_changes_by_others(struct blt *store);

/* Length and timestamp alone.  seen: where the store keeps no times
 * (BLT_NO_TIME), when the value became what it is, as far as this process has
 * seen; microseconds, or 0. */
struct blt_stat {
	uint64_t len;
	int64_t timestamp;
	int64_t seen;
	uint64_t token; /* another one for each value that is put, where
			 * struct blt_info says that there are any; else 0 */
};
BLT_PUBLIC int blt_stat_key(struct blt *store, const void *key, size_t len,
			    struct blt_stat *ret);

/* ---- writing ---- */

/* timestamp: BLT_NOW or microseconds from 0 on; dropped where the store keeps
 * none.  A put of a key that is there replaces its value.  What is put is read
 * back at once; it reaches the file with blt_flush, blt_sync, blt_close, or
 * when a megabyte or so is pending. */
BLT_PUBLIC int blt_put(struct blt *store, const void *key, size_t key_len,
		       const void *value, size_t value_len, int64_t timestamp);
BLT_PUBLIC int blt_delete(struct blt *store, const void *key, size_t len);
BLT_PUBLIC int blt_touch(struct blt *store, const void *key, size_t len,
			 int64_t timestamp);

/* A value that is read piece by piece while it is stored: read fills buf with
 * exactly n bytes from offset, or returns a negative errno, which blt_put_from
 * then returns with nothing changed.  Called in order, with the store's write
 * lock held: it must not use the store. */
struct blt_source {
	uint64_t len;
	int (*read)(void *arg, void *buf, size_t n, uint64_t offset);
	void *arg;
};
BLT_PUBLIC int blt_put_from(struct blt *store, const void *key, size_t key_len,
			    const struct blt_source *source, int64_t timestamp);

/* A stream: a value that is written in pieces straight into its place in the
 * file, and is the key's at its commit; until then the old value is.  For large
 * values of which not all is in memory: the file is written once, and memory
 * does not grow.
 *
 *   blt_stream_open(store, key_len, room, &s);
 *   blt_stream_write(s, buf, n, offset);       any order, again and again
 *   rc = blt_stream_commit(s, key, key_len, BLT_NOW);
 *   if (rc < 0)
 *           blt_stream_abort(s);
 *
 * Any number of streams may be open, each for one thread at a time; none when
 * the store is closed.  What was reserved and not used is a hole in the file
 * that the next prune takes out, or is cut off at once where it is the file's
 * end; the same goes for all of a stream that was aborted, or whose process
 * died.  Prune goes on around open streams. */
struct blt_stream;

/* key_len: of the key to be expected; room: bytes to have room for at first,
 * which may be 0 (there is more when more is written; a good guess spares
 * copies).  -ENOTSUP: a fixed-length store. */
BLT_PUBLIC int blt_stream_open(struct blt *store, size_t key_len, uint64_t room,
			       struct blt_stream **ret);
/* All n bytes, or an error, behind which bytes from offset on that were there
 * may have changed.  What was never written reads as zeros.  -EFBIG: the value
 * would be longer than BLT_VALUE_MAX; -ENOSPC. */
BLT_PUBLIC int blt_stream_write(struct blt_stream *s, const void *buf, size_t n,
				uint64_t offset);
/* How many bytes were read: 0 at the end, or a negative errno. */
BLT_PUBLIC int64_t blt_stream_read(struct blt_stream *s, void *buf, size_t n,
				   uint64_t offset);
/* Cuts the value, or lengthens it by zeros. */
BLT_PUBLIC int blt_stream_resize(struct blt_stream *s, uint64_t len);
BLT_PUBLIC uint64_t blt_stream_len(const struct blt_stream *s);
/* Makes durable what was written so far: a commit then has little left to do.
 */
BLT_PUBLIC int blt_stream_sync(struct blt_stream *s);
/* Makes the bytes durable, then the value that of key, as blt_put does, and
 * frees the stream.  On an error nothing has changed and the stream is still
 * open.  -EINVAL: the value or the key would not load. */
BLT_PUBLIC int blt_stream_commit(struct blt_stream *s, const void *key,
				 size_t key_len, int64_t timestamp);
BLT_PUBLIC void blt_stream_abort(struct blt_stream *s); /* NULL is fine */

/* Several changes as one: all or none, seen by readers at one moment.  Later
 * operations of a batch see earlier ones.  Keys and values are copied.
 * Operations report bad arguments at once; what depends on the store (-ENOENT)
 * is reported by commit, which then changes nothing. */
struct blt_batch;
BLT_PUBLIC int blt_batch_new(struct blt *store, struct blt_batch **ret);
BLT_PUBLIC int blt_batch_put(struct blt_batch *b, const void *key,
			     size_t key_len, const void *value,
			     size_t value_len, int64_t timestamp);
/* The value is read at the commit, as by blt_put_from; what source's arg points
 * at must last until then. */
BLT_PUBLIC int blt_batch_put_from(struct blt_batch *b, const void *key,
				  size_t key_len,
				  const struct blt_source *source,
				  int64_t timestamp);
BLT_PUBLIC int blt_batch_delete(struct blt_batch *b, const void *key,
				size_t len);
BLT_PUBLIC int blt_batch_touch(struct blt_batch *b, const void *key, size_t len,
			       int64_t timestamp);
/* Gives the value and timestamp of one key to another, replacing that. */
BLT_PUBLIC int blt_batch_rename(struct blt_batch *b, const void *from,
				size_t from_len, const void *to, size_t to_len);
/* Swaps the values and timestamps of two keys. */
BLT_PUBLIC int blt_batch_exchange(struct blt_batch *b, const void *one,
				  size_t one_len, const void *two,
				  size_t two_len);
/* The attributes (below) of a directory, and of all in it, are exchanged with
 * those of another one when the batch is committed; then its operations take no
 * attributes along.  Both end in '/'.  -EINVAL: one of them is in the other
 * one, or this is the second such pair. */
BLT_PUBLIC int blt_batch_exchange_attrs(struct blt_batch *b, const void *one,
					size_t one_len, const void *two,
					size_t two_len);
/* From here on operations count only if key has, at the commit, still the value
 * that stood at value_offset (of a struct blt_item or blt_view whose iterator
 * or view is still there): up to the next call, or one with key NULL, which
 * ends the condition.  *ret_held, unless ret_held is NULL, is set by a commit
 * that succeeds. */
BLT_PUBLIC int blt_batch_only_if(struct blt_batch *b, const void *key,
				 size_t len, uint64_t value_offset,
				 bool *ret_held);
/* Where the key is there when the commit comes here, behind the operations that
 * stand before, the commit is -EEXIST, and changes nothing. */
BLT_PUBLIC int blt_batch_absent(struct blt_batch *b, const void *key,
				size_t len);
/* Commits and frees, whatever the result. */
BLT_PUBLIC int blt_batch_commit(struct blt_batch *b);
/* The same, and flushes (blt_flush) before anybody sees the changes: where that
 * fails, there are none. */
BLT_PUBLIC int blt_batch_commit_flush(struct blt_batch *b);
/* A batch that only renames one key, with a value of 4 MiB or more that was put
 * since the store was opened, leaves the value where it is, and waits until it
 * is durable.  This does the waiting beforehand; other keys are no error. */
BLT_PUBLIC int blt_prepare_rename(struct blt *store, const void *key,
				  size_t len);
BLT_PUBLIC void blt_batch_abort(struct blt_batch *b); /* NULL is fine */

/* Hands what is pending to the kernel: it then survives the death of this
 * process.  */
BLT_PUBLIC int blt_flush(struct blt *store);
/* Flushes and makes durable: it then survives the death of the machine. */
BLT_PUBLIC int blt_sync(struct blt *store);

/* Syncs, and makes the file a plain booklet file until the next change: while
 * a store is written, Python refuses its file.  idle: only if nothing has
 * changed since the last call with idle, for a store that is to be plain after
 * some time of rest. */
BLT_PUBLIC int blt_settle(struct blt *store, bool idle);

/* ---- transactions ----
 *
 * A transaction is a store of its own that shows another and takes changes,
 * which the other does not see until the commit makes them there, as one batch.
 *
 *   blt_txn_begin(store, NULL, &txn);
 *   blt_get(txn, ...); blt_put(txn, ...);      and so on
 *   rc = blt_txn_commit(txn, NULL);            -EAGAIN: a conflict
 *   blt_close(txn);                            drops what is not committed
 *
 * What it has not changed itself it shows as that is in the store now.  A key
 * that was read, looked at or written in it, and that others change before the
 * commit, is a conflict: where there is one, commit changes nothing.  So what a
 * transaction that could be committed has read was all there at one moment.
 * So is a key that comes into, or goes from, a directory of a namespace that
 * was listed or found empty (the first one is named, for all; in PostgreSQL
 * the directory).  Of what another process commits to an LMDB environment only
 * that is known: it is a conflict whatever it changed, and so is a prune of
 * one.  In PostgreSQL conflicts are found by the commit, and memory holds each
 * key that was touched, too.
 *
 * Everything on single keys, batches without blt_batch_only_if, and namespaces
 * work on it (where a namespace is wanted, it comes before the first change);
 * streams, walks, slots and whole-file operations are -ENOTSUP.  Behind its
 * commit all is -ESTALE.  Values that are put stand in an unlinked file; memory
 * holds some 50 bytes for each key that was touched.
 */

/* dir: where that file goes; NULL: $TMPDIR, or /var/tmp.  -EROFS; -ENOTSUP: the
 * store's engine has none. */
BLT_PUBLIC int blt_txn_begin(struct blt *store, const char *dir,
			     struct blt **ret);

struct blt_txn_options {
	bool force; /* whatever others have changed */
	/* Called for each key that the commit changed, once it has; may be
	 * NULL.  Must not use the transaction. */
	void (*changed)(void *arg, const void *key, size_t len);
	void *arg;
};

/* Makes the changes durable, too.  opts may be NULL.  -EAGAIN: a conflict.  An
 * error but that of the sync (-EIO) has changed nothing, and the transaction
 * goes on. */
BLT_PUBLIC int blt_txn_commit(struct blt *txn,
			      const struct blt_txn_options *opts);

/* Drops the changes: from then on all is -ESTALE, as behind a commit.  What was
 * read stays valid until blt_close, which does the same. */
BLT_PUBLIC void blt_txn_abort(struct blt *txn);

struct blt_txn_info {
	int64_t began;      /* when */
	uint64_t changed;   /* keys put or deleted */
	uint64_t seen;      /* keys that were touched in any way */
	uint64_t conflicts; /* keys */
	bool ended;         /* committed or aborted */
};
BLT_PUBLIC void blt_txn_get_info(struct blt *txn, struct blt_txn_info *ret);

/* The n-th key in conflict, from 0 on, malloc'd; -ENOENT behind the last.  Of
 * very many only the first are kept. */
BLT_PUBLIC int blt_txn_conflict(struct blt *txn, uint64_t n, uint8_t **ret_key,
				size_t *ret_len);

/* ---- walking ---- */

/* A walk shows the store as it was when it began, whatever is written
 * meanwhile: every key that was there then is met exactly once, in the order of
 * the blocks, with the value and timestamp it had; no other is. */
struct blt_iter;
struct blt_item {
	const uint8_t *key;   /* these two: until the next call on the iter */
	const uint8_t *value; /* NULL where values are not wanted */
	size_t key_len;
	size_t value_len;
	int64_t timestamp;
	uint64_t value_offset; /* in the file */
	bool in_file;          /* it can be read from there already */
};
BLT_PUBLIC int blt_iter_new(struct blt *store, struct blt_iter **ret);

/* The same for some of the keys, or without their values, whose bytes are then
 * never touched.  opts NULL: all.  -EIO where a key that has to be compared was
 * cut off the file. */
struct blt_iter_options {
	const void *prefix; /* only keys that begin with it; copied */
	size_t prefix_len;
	bool no_values;
};
BLT_PUBLIC int blt_iter_open(struct blt *store,
			     const struct blt_iter_options *opts,
			     struct blt_iter **ret);
/* 1: an item; 0: the end. */
BLT_PUBLIC int blt_iter_next(struct blt_iter *it, struct blt_item *ret);
BLT_PUBLIC void blt_iter_free(struct blt_iter *it); /* NULL is fine */

/* ---- hidden entries (not in fixed-length stores: -ENOTSUP) ---- */

enum blt_slot { BLT_METADATA, BLT_RESERVED_1, BLT_RESERVED_2 };
BLT_PUBLIC int blt_slot_get(struct blt *store, enum blt_slot slot,
			    struct blt_view *ret);
/* BLT_METADATA must be a JSON document (-EINVAL). */
BLT_PUBLIC int blt_slot_put(struct blt *store, enum blt_slot slot,
			    const void *value, size_t len);
/* The same with a timestamp, as blt_put has it. */
BLT_PUBLIC int blt_slot_put_at(struct blt *store, enum blt_slot slot,
			       const void *value, size_t len,
			       int64_t timestamp);
BLT_PUBLIC int blt_slot_delete(struct blt *store, enum blt_slot slot);

/* ---- attributes: mode, owner and extended attributes of keys ----
 *
 * Kept beside the keys, in a table of the store that Python keeps and does not
 * show (doc/format.md, section 7).  A key without a record costs nothing.  A
 * directory is its prefix, which ends in '/'; the root is the empty key.  A
 * record needs no key that is there.  A record goes with its key when that is
 * deleted, and moves when that is renamed or exchanged; for directories there
 * are blt_attrs_drop, blt_attrs_move and blt_batch_exchange_attrs.  A key that
 * ends in '/' has the directory's: one that is renamed to it loses its own.
 * blt_prune drops the records of keys that are gone, but for those set since
 * blt_open.  blt_copy from booklet to booklet keeps all.
 *
 * A change is seen at once.  It is written at once where the table is short or
 * seldom changed, else by the next blt_settle or blt_close, and is as durable
 * as other changes from then on.
 *
 * All of these: -ENOTSUP where the engine keeps none, the store's values are of
 * one length, or another library has taken the place of the table; -EROFS
 * (changes); -EUCLEAN: the table is damaged; -ENOSPC: BLT_ATTRS_MAX.  Any
 * thread. */
#define BLT_ATTRS_MAX (64u << 20) /* bytes of the table */
#define BLT_XATTR_NAME_MAX 255u
#define BLT_XATTR_MAX 65536u /* bytes of a value */

enum blt_attrs_has {
	BLT_ATTRS_MODE = 1 << 0,
	BLT_ATTRS_OWNER = 1 << 1,
};

struct blt_attrs {
	unsigned has;  /* of enum blt_attrs_has: which of these count */
	uint32_t mode; /* 12 bits of permission; above them the file type, as
			* in st_mode, or 0: a plain file or directory */
	uint32_t uid, gid;
};

/* 1: there is a record, which may have extended attributes alone; 0: none, and
 * *ret is all 0. */
BLT_PUBLIC int blt_attrs_get(struct blt *store, const void *key, size_t len,
			     struct blt_attrs *ret);
/* Mode and owner become these; has 0: neither.  Extended attributes stay. */
BLT_PUBLIC int blt_attrs_set(struct blt *store, const void *key, size_t len,
			     const struct blt_attrs *attrs);
/* The record goes, with the extended attributes. */
BLT_PUBLIC int blt_attrs_drop(struct blt *store, const void *key, size_t len);
/* The record of key, and where key ends in '/' those of all below it, get to
 * in place of key; the record that to had goes.  -EINVAL: key is a directory,
 * and one of them is in the other one. */
BLT_PUBLIC int blt_attrs_move(struct blt *store, const void *key, size_t len,
			      const void *to, size_t to_len);

/* The length, and up to n bytes in to; -ENODATA. */
BLT_PUBLIC int64_t blt_xattr_get(struct blt *store, const void *key, size_t len,
				 const char *name, void *to, size_t n);
/* flags: as setxattr(2) has them: -EEXIST, -ENODATA.  -ERANGE: a name that is
 * empty or too long; -E2BIG: the value.  value NULL removes it (-ENODATA). */
BLT_PUBLIC int blt_xattr_set(struct blt *store, const void *key, size_t len,
			     const char *name, const void *value, size_t n,
			     int flags);
/* The names, each with its NUL: their length, and up to n bytes in to. */
BLT_PUBLIC int64_t blt_xattr_list(struct blt *store, const void *key,
				  size_t len, char *to, size_t n);

/* ---- whole-file operations ---- */

/* A fresh index of n_buckets (0: the next size booklet would take; where there
 * is none, nothing is done).  Reads and writes go on meanwhile.  By itself this
 * happens where there are more keys than buckets.
 *
 * First all blocks are walked over: where one cannot be, -EUCLEAN, and nothing
 * has changed.  Keys are counted from 0 on as they move.  progress may be NULL;
 * where it stops the move before the first of them, the file has only become
 * longer; later, the rest of the move is made when there is time for it, by
 * blt_close at the latest.  -EBUSY: where blocks have to make way (in a
 * fixed-length store, behind an index of a few buckets), an iterator, the walk
 * of a namespace or a stream is under way. */
BLT_PUBLIC int blt_reindex(struct blt *store, uint32_t n_buckets,
			   blt_progress_fn *progress, void *arg);

struct blt_prune_options {
	int64_t older_than; /* keys with an earlier timestamp are deleted; 0:
			     * none.  Not in stores that keep none:
			     * -ENOTSUP.  Directory markers ("a/" with an
			     * empty value) and hidden entries stay. */
	const struct blt_bytes *keep; /* these are not deleted */
	size_t n_keep;
	blt_progress_fn *progress; /* may be NULL; keys: deleted ones */
	void *arg;
};

struct blt_prune_result {
	uint64_t dropped;                 /* keys, for their age */
	uint64_t moved;                   /* bytes written to move blocks */
	uint64_t size_before, size_after; /* of the file */
};

/* Takes dead blocks out of the file, in place, after a walk over all of it: a
 * block that cannot be is -EUCLEAN, and nothing has changed.  Live ones move
 * up, in their order, and the file is cut.  Its size then is that which
 * booklet's own prune gives.  What is committed meanwhile is moved too, in some
 * more rounds; where that goes on without a pause, the file stays as long as it
 * is.
 *
 * Others may read and write all the time.  Blocks do not change places while a
 * walk (blt_iter_new, blt_copy, blt_check, ...) runs: prune waits for its end.
 * It also waits, between two steps, for the release of views that are older
 * than that.  So the calling thread must hold none of either: -EBUSY for a walk
 * that it began itself.
 *
 * Where progress stops it, and on any error, the store is whole, what was done
 * is kept, and the next call goes on.  -ENOSPC: there is no room for a copy of
 * the largest block, or of some megabytes.  ret may be NULL; it is set on
 * errors too.
 *
 * Of an LMDB environment, all of it, a compact copy takes the place: there must
 * be room for both, this process's writers wait meanwhile, and progress is
 * called with locks held.  It is another file then, with the same modes.  On an
 * error nothing has changed.  -EBUSY: another process has it open; -EAGAIN: one
 * had and has changed it. */
BLT_PUBLIC int blt_prune(struct blt *store,
			 const struct blt_prune_options *opts,
			 struct blt_prune_result *ret);

/* Whether so many percent of the file are dead, and more than 64 MiB, that a
 * prune pays: 1; 0 also where blt_info does not tell, or blt_prune would put
 * another file in its place.  Costs no I/O: for a program that keeps a store
 * open, after each few MiB it has written. */
BLT_PUBLIC int blt_prune_due(struct blt *store, unsigned percent);

struct blt_trim_result {
	uint64_t merged; /* dead blocks that became part of another */
	uint64_t freed;  /* bytes of disk that the file has given back */
	bool no_holes;   /* its filesystem has no holes in files: what is dead
			  * was merged, and nothing was given back */
};

/* Gives the disk space of dead blocks back, without moving anything: dead
 * neighbours become as few blocks as the format allows, and holes are punched
 * under them.  The file keeps its size and its order.
 *
 * Others may read and write all the time; whom it waits for, and -EBUSY, are as
 * with blt_prune.  Its progress counts no keys.  Where that stops it, and on
 * any error, the store is whole, and the next call goes on.  It works on a full
 * disk, too.  ret may be NULL; it is set on errors too. */
BLT_PUBLIC int blt_trim(struct blt *store, blt_progress_fn *progress, void *arg,
			struct blt_trim_result *ret);

/* Writes a compact copy of the store, as it is at the time of the call, to a
 * new file at path; the store may be written meanwhile.  Keys keep their order,
 * values and timestamps, the store its serializers, uuid, metadata and reserved
 * slots.
 *
 * opts says what the copy is like; NULL: as the store.  n_buckets 0: what
 * booklet would take for so many keys; value_len: all values must have that
 * length, 0: any (booklet then has them as bytes); without no_timestamps, keys
 * that had no timestamp get the time of the call; the serializers are 0, or the
 * store's.
 *
 * The copy has mode 0600 and is durable when its name appears.  -EEXIST: path
 * is there; with replace, it takes its place (never the store's own), where
 * nobody else has it locked (-EWOULDBLOCK).  -EINVAL, -ENAMETOOLONG: a key or
 * value that the copy cannot hold.  err may be NULL.
 *
 * A copy of another engine has the same keys and values, and no uuid, metadata
 * or reserved slots of the store's; booklet's is as opts says, with bytes in
 * the place of serializers that it leaves out, and keys that had no time get
 * that of the environment's last change.  LMDB's is a single file with all keys
 * in the unnamed database.  Of an environment that others change meanwhile it
 * shows what blt_iter_new would. */
BLT_PUBLIC int blt_copy(struct blt *store, const char *path,
			const struct blt_create_options *opts, bool replace,
			blt_progress_fn *progress, void *arg,
			struct blt_error *err);

/* What is wrong at one place of a file. */
enum blt_fault_kind {
	BLT_FAULT_HEADER, /* a field of the header */
	BLT_FAULT_BLOCK,  /* no block can stand where one must begin */
	BLT_FAULT_HASH,   /* a live block's hash is not that of its key */
	BLT_FAULT_LOST,   /* a live block that a lookup of its key does not
			   * find */
	BLT_FAULT_CHAIN,  /* a pointer leads to no live block, or in a ring */
	BLT_FAULT_BUCKET, /* a block stands in the chain of another bucket */
	BLT_FAULT_COUNT,  /* the header's number of keys */
	BLT_FAULT_LOAD,   /* only a warning: Python would not load a key or
			   * value under the store's serializers */
};

struct blt_fault {
	enum blt_fault_kind kind;
	uint64_t position; /* in the file */
	const char *text;  /* what is there, and what should be; borrowed for
			    * the call */
};

/* "header", "block", ...; NULL for no kind. */
BLT_PUBLIC const char *blt_fault_name(enum blt_fault_kind kind);

/* Return negative to stop the check with that result. */
typedef int blt_fault_fn(void *arg, const struct blt_fault *fault);

struct blt_check_options {
	bool values;               /* look for BLT_FAULT_LOAD too */
	const char *db;            /* blt_check_file: as blt_open has it */
	blt_progress_fn *progress; /* may be NULL */
};

struct blt_check_result {
	uint64_t faults, warnings;
	uint64_t keys;        /* live, hidden entries not counted */
	uint64_t live_blocks; /* hidden entries counted */
	uint64_t dead_blocks;
	uint64_t live_bytes, dead_bytes;
	uint64_t skipped_bytes; /* of data behind a block that cannot be
				 * walked over */
	uint64_t longest_chain;
	bool was_open; /* its last writer did not close it: what was
			* checked is what opening it for writing makes
			* of it */
};

/* Reads the whole store and calls fn for every fault.  0: it came to the end,
 * whatever it found.  Memory does not grow with the store.  Others may read
 * and write meanwhile; counts are then not compared. */
BLT_PUBLIC int blt_check(struct blt *store,
			 const struct blt_check_options *opts, blt_fault_fn *fn,
			 void *arg, struct blt_check_result *ret);

/* The same for a file, opened for reading; where its header is so damaged that
 * no store can be opened, what is wrong with that. */
BLT_PUBLIC int blt_check_file(const char *path, int lock_timeout_ms,
			      const struct blt_check_options *opts,
			      blt_fault_fn *fn, void *arg,
			      struct blt_check_result *ret,
			      struct blt_error *err);

/* Where a rebuilt store's header came from. */
enum blt_header_source {
	BLT_HEADER_OWN,  /* the file's */
	BLT_HEADER_LOG,  /* the copy in a record of the file's log */
	BLT_HEADER_LIKE, /* another store's */
};

struct blt_rebuild_options {
	const char *to;   /* the new store, which must not be there; NULL: put
			   * in the place of the old one */
	const char *like; /* a store made with the same options; used only
			   * where the file's own header tells nothing; NULL:
			   * none */
	int lock_timeout_ms;
	blt_progress_fn *progress; /* may be NULL */
	void *arg;                 /* its */
};

struct blt_rebuild_result {
	enum blt_header_source header;
	uint64_t keys, hidden; /* kept */
	uint64_t kept_bytes;   /* of their blocks */
	uint64_t older_blocks; /* live, but a later one has the key */
	uint64_t dead_blocks;  /* deleted or overwritten: not kept */
	uint64_t dead_bytes;
	uint64_t damaged_blocks; /* live, with another hash than their key's,
				  * or cut by what follows: not kept */
	uint64_t passed_bytes;   /* where no block stands: the old index, and
				  * what is damaged */
	uint64_t doubtful_keys;  /* of the keys kept, those that stood inside
				  * the value of a block that no whole block
				  * follows */
	uint32_t n_buckets;
};

/* Makes a new store of the blocks of a damaged one, without its index: every
 * live block is kept whose hash is that of its key and whose lengths fit the
 * file; of two of one key the later.  Where the walk meets something else it
 * goes on at the next position at which a whole block stands.  The old file is
 * not changed; in its place comes the new one when that is whole and durable,
 * under the old one's lock.  -EUCLEAN: the header is unreadable and there is
 * nothing to replace it; -EEXIST: to is there. */
BLT_PUBLIC int blt_rebuild(const char *path,
			   const struct blt_rebuild_options *opts,
			   struct blt_rebuild_result *ret,
			   struct blt_error *err);

/* ---- keys as paths ----
 *
 * A namespace shows the keys as a tree of directories and files: every key has
 * exactly one path at any moment, every path at most one key.  A directory is
 * named by its prefix: the bytes its keys begin with, up to and including a
 * '/'; the root's is empty.  The first use starts one walk over the block
 * headers in a thread of its own; only what cannot be answered without it
 * waits for it (a listing; a name that is nothing so far).
 */
struct blt_ns;

struct blt_ns_options {
	bool flat;           /* one directory; '/' is written %2F */
	const char *control; /* a name no key may take at the root, or NULL;
			      * copied */
};

BLT_PUBLIC int blt_ns_new(struct blt *store, const struct blt_ns_options *opts,
			  struct blt_ns **ret);
BLT_PUBLIC void blt_ns_free(struct blt_ns *ns); /* NULL is fine */

enum blt_kind { BLT_FILE, BLT_DIR };

/* What a name stands for. */
struct blt_node {
	enum blt_kind kind;
	uint8_t *key; /* the key, or a directory's prefix; malloc'd,
		       * the caller frees it */
	size_t key_len;
	uint64_t hash;        /* of the key (a prefix: without its last '/');
			       * kind and hash tell nodes apart but for
			       * chance */
	struct blt_stat stat; /* a directory: of its marker, else zeros */
	bool sure;            /* false: found before the walk's end, and may
			       * yet turn out to be another thing (a key
			       * whose name a directory takes) */
};

/* -ENOENT: nothing there, or the name is no name; -ENAMETOOLONG. */
BLT_PUBLIC int blt_ns_lookup(struct blt_ns *ns, const void *dir, size_t dir_len,
			     const char *name, size_t name_len,
			     struct blt_node *ret);

/* The key that a new file (or, kind BLT_DIR, the prefix that a new directory)
 * of that name would have, or has, malloc'd.  The file "%" of a directory has
 * the key of its marker: the caller sees to it that its value is none. -EINVAL:
 * no key has that name, or it would not load; -EILSEQ: it is not UTF-8, and
 * keys are; -ENAMETOOLONG; -EISDIR: a file, where a directory has the name;
 * -EPERM: a directory in a flat or integer store; -ENOENT: no directory can
 * have that prefix.  Whether dir is there is for the caller to know. */
BLT_PUBLIC int blt_ns_key(struct blt_ns *ns, const void *dir, size_t dir_len,
			  const char *name, size_t name_len, enum blt_kind kind,
			  uint8_t **ret_key, size_t *ret_len);

/* The key that a new file of a name would have that blt_ns_lookup has just
 * found to be none; errors as of blt_ns_key.  Asks the store for nothing. */
BLT_PUBLIC int blt_ns_key_of_none(struct blt_ns *ns, const void *dir,
				  size_t dir_len, const char *name,
				  size_t name_len, uint8_t **ret_key,
				  size_t *ret_len);

/* One name of a listing; all pointers are borrowed for the call. */
struct blt_ns_entry {
	const char *name; /* NUL-terminated, at most 255 bytes */
	size_t name_len;
	enum blt_kind kind;
	const uint8_t *key; /* as in struct blt_node */
	size_t key_len;
	uint64_t hash;
	uint64_t cookie; /* resume behind this one; 1 .. INT64_MAX - 2 */
	struct blt_stat stat;
};
/* Return 0 to go on, 1 to stop in front of this entry, negative to fail.  Must
 * not use the store or the namespace. */
typedef int blt_ns_list_fn(void *arg, const struct blt_ns_entry *entry);

/* The names behind cookie (0: all).  A name that stays there is met exactly
 * once in listings that resume.  Waits for the walk.  -ENOENT. */
BLT_PUBLIC int blt_ns_list(struct blt_ns *ns, const void *dir, size_t dir_len,
			   uint64_t cookie, blt_ns_list_fn *fn, void *arg);

/* Facts on a directory.  Waits for the walk. */
struct blt_dir_facts {
	uint64_t entries; /* names in it; LMDB: 2 where it has more; of a
			   * transaction perhaps less, but none, one or two at
			   * the least */
	uint64_t subdirs; /* among these */
	bool marked;      /* a marker key holds it in being */
};
BLT_PUBLIC int blt_ns_dir(struct blt_ns *ns, const void *dir, size_t dir_len,
			  struct blt_dir_facts *ret);

/* Whether a marker holds a directory in being: 1, with its stat, whose len is
 * 0; or 0.  Never waits. */
BLT_PUBLIC int blt_ns_marker(struct blt_ns *ns, const void *prefix, size_t len,
			     struct blt_stat *ret);

/* Holds a directory in being, or lets it go, in memory alone and until
 * blt_ns_free: for stores that take no markers.  prefix ends in '/'; its own
 * directory is there.  -EPERM in a flat or integer store. */
BLT_PUBLIC int blt_ns_hold(struct blt_ns *ns, const void *prefix, size_t len,
			   bool held);

/* Called once for every key below prefix, at any depth, markers included; as
 * of the call or later.  fn may return negative to stop; it must not use the
 * store or the namespace.  Waits for the walk. */
typedef int blt_ns_walk_fn(void *arg, const uint8_t *key, size_t len,
			   uint64_t value_len);
BLT_PUBLIC int blt_ns_walk(struct blt_ns *ns, const void *prefix, size_t len,
			   blt_ns_walk_fn *fn, void *arg);

/* The name under which its directory shows a key (or, kind BLT_DIR, a
 * prefix), now. */
BLT_PUBLIC int blt_ns_name(struct blt_ns *ns, const void *key, size_t len,
			   enum blt_kind kind, char name[256]);

/* The whole path of a key as a mount shows it, without a leading '/';
 * malloc'd, NUL-terminated. */
BLT_PUBLIC int blt_ns_path(struct blt_ns *ns, const void *key, size_t len,
			   char **ret);

/* What a path ("a/b%") stands for; as blt_ns_lookup, component by component.
 * Leading and doubled '/' are passed over. */
BLT_PUBLIC int blt_ns_resolve(struct blt_ns *ns, const char *path,
			      struct blt_node *ret);

/* The key that a file written at path would have: its own if it is there. */
BLT_PUBLIC int blt_ns_key_of_path(struct blt_ns *ns, const char *path,
				  uint8_t **ret_key, size_t *ret_len);

/* The walk's progress: keys met so far; *ret_complete once it has ended. */
BLT_PUBLIC uint64_t blt_ns_progress(struct blt_ns *ns, bool *ret_complete);
/* Waits for the walk's end and returns its result. */
BLT_PUBLIC int blt_ns_wait(struct blt_ns *ns);
/* That result, or -EAGAIN where it would have to be waited for. */
BLT_PUBLIC int blt_ns_ready(struct blt_ns *ns);

/* ---- symbolic links ----
 *
 * Where any value of any length loads, a mount shows a value of exactly
 * BLT_LINK_LEN bytes that these functions make as a symbolic link.  Pure.
 */
#define BLT_LINK_LEN 1067
#define BLT_LINK_MAX 1024 /* bytes of a target */

/* -ENAMETOOLONG; -EINVAL for an empty target. */
BLT_PUBLIC int blt_link_write(const char *target, uint8_t value[BLT_LINK_LEN]);

/* The target's length, target then ends in a NUL.  -EINVAL for a value that
 * blt_link_write makes of no target: a plain value. */
BLT_PUBLIC int blt_link_read(const uint8_t value[BLT_LINK_LEN],
			     char target[BLT_LINK_MAX + 1]);

#ifdef __cplusplus
}
#endif

#endif
