/* backend.h - the seam behind blt.h: what an engine is to the rest.
 *
 * blt.h is the only face of a store.  Behind it stands a struct backend, the
 * table of an engine's functions; the engine's own struct begins with a struct
 * blt, whose first word leads to that table.  The functions of blt.h are in
 * backend*.c (and, for paths, ns*.c) and do what is the same for all engines;
 * the rest they ask of the table.  The booklet engine's rows are the functions
 * booklet_* of store*.c and stream*.c.
 *
 *   struct blt *store;               the engine's open makes it, and
 *   store->backend->get(store, ...)  the engine's close frees it
 *
 * A row means, returns and may run beside what the function of its name in
 * blt.h says there.  Where a row may be NULL that is written behind it, with
 * what then happens; all others are there.  A view, an iterator, a stream and a
 * batch each begin with what leads back to their engine.
 *
 * Ownership: struct blt is the engine's; the face only reads it.  Errors and
 * threads: as in blt.h.
 */
#ifndef BLT_BACKEND_H
#define BLT_BACKEND_H

#include "base/listeners.h"
#include "blt.h"
#include "booklet/format/keyhash.h"

struct backend;
struct attrs;
struct ordered_dirs;

/* What every open store begins with.  Set by the engine's open, then constant.
 */
struct blt {
	const struct backend *backend;
	bool writable;
	struct attrs *attrs; /* attrs.h; NULL: it keeps none */
};

struct blt_iter {
	struct blt *store;
};

struct blt_stream {
	struct blt *store;
};

/* ---- batches ---- */

enum backend_op_kind {
	BACKEND_PUT,
	BACKEND_DELETE,
	BACKEND_TOUCH,
	BACKEND_RENAME,
	BACKEND_EXCHANGE,
	BACKEND_ONLY_IF,
	BACKEND_DROP,   /* a delete of what may not be there */
	BACKEND_CHECK,  /* calls check: what is not 0 is the batch's result */
	BACKEND_ABSENT, /* -EEXIST where the key is there */
	/* -EAGAIN unless token() of the key, or (always) of the names below
	 * it, is value_offset still */
	BACKEND_UNCHANGED,
	BACKEND_NOTE, /* of the note key: value NULL: it goes; to.bytes: what
		       * it is now, NULL: not there; else -ESTALE */
};

/* A key that the engine has taken; hash is the engine's, to set when it needs
 * it, or not. */
struct backend_key {
	const void *bytes;
	size_t len;
	struct keyhash hash;
};

/* One operation of a batch; key, to and value point into bytes. */
struct backend_op {
	enum backend_op_kind kind;
	struct backend_key key;
	struct backend_key to; /* rename, exchange, note */
	const void *value;     /* put */
	size_t value_len;
	struct blt_source source; /* put, where it has a read */
	int (*check)(void *arg);  /* with the engine's write lock held */
	void *check_arg;
	int64_t timestamp;     /* put, touch */
	uint64_t value_offset; /* only if, as these */
	bool always;
	bool held; /* set by the engine, as this: where the block of a */
	uint64_t staged_at; /* put stands already (store.h); 0: nowhere */
	bool *ret_held;
	struct backend_op *next;
	uint8_t bytes[];
};

/* ---- notes ----
 *
 * Small records beside the keys: a name, and bytes.  A note changes only in a
 * batch (backend_batch_note), with the batch's other operations or not at all,
 * and only where it is still what the caller believes.  Notes are not keys:
 * walks, listings, counts and mounts do not show them, and Python does not.
 * The ledger of maps (map/ledger.h) is kept in them.
 */
#define BACKEND_NOTE_NAME_MAX 255u
#define BACKEND_NOTE_MAX (4u << 20)

struct backend_note {
	const char *name; /* not NUL-terminated */
	size_t name_len;
	const void *bytes;
	size_t len;
};

/* Called for each note, borrowed for the call; not 0 ends the walk with it.
 * Must not use the store. */
typedef int backend_note_fn(void *arg, const struct backend_note *note);

/* ---- directories ---- */

/* One thing in a directory; all pointers are borrowed for the call. */
struct backend_entry {
	bool is_dir;
	bool conflict;       /* a key beside a directory of the same name */
	uint64_t cookie;     /* as in struct blt_ns_entry */
	const uint8_t *comp; /* the component behind the prefix; a directory's
			      * without its '/' */
	size_t comp_len;
	struct keyhash hash;  /* of the key up to and including the component */
	struct blt_stat stat; /* a directory: of its marker, else zeros */
};

/* Returns 0 to go on, 1 to stop in front of this entry, negative to fail. */
typedef int backend_list_fn(void *arg, const struct backend_entry *entry);

/* One thing in a directory, by its position; borrowed for the call. */
struct backend_place {
	const uint8_t *comp; /* as in struct backend_entry */
	size_t comp_len;
	bool is_dir;
};

/* Returns 0 to go on, else what the caller is to return. */
typedef int backend_order_fn(void *arg, const struct backend_place *place);

/* The directories that keys imply.  A directory is its prefix, which ends in
 * '/'; the root's is empty.  A key that ends in '/' with a value of marker.h is
 * a marker, and no entry. */
struct backend_dirs {
	/* Comes before all others, any number of times; flat is that of the
	 * first for the store's life: -EINVAL for another. */
	int (*start)(struct blt *store, bool flat);
	/* Whether all that is there is known: its result, once it is; the
	 * same or -EAGAIN; whether it has ended well; keys met so far. */
	int (*wait)(struct blt *store);
	/* Waits only until more is known than at *seen, which moves on (0 at
	 * first): 1; or until all is, then as wait. */
	int (*wait_more)(struct blt *store, uint64_t *seen);
	int (*ready)(struct blt *store);
	bool (*complete)(struct blt *store);
	uint64_t (*known)(struct blt *store);
	/* 1: the directory is there, and whether by a marker; 0: it is not, for
	 * all that is known. */
	int (*find)(struct blt *store, const void *prefix, size_t len,
		    bool *ret_marked);
	int (*facts)(struct blt *store, const void *prefix, size_t len,
		     struct blt_dir_facts *ret); /* as find */
	/* The key in the directory of that hash, whole, or -ENOENT; malloc'd.
	 * May be one of another directory. */
	int (*find_key)(struct blt *store, const void *prefix, size_t len,
			const struct keyhash *hash, uint8_t **ret_key,
			size_t *ret_len);
	/* The component of the directory below prefix that has this hash: 1
	 * with *ret_comp malloc'd, or 0. */
	int (*find_long)(struct blt *store, const void *prefix, size_t len,
			 const struct keyhash *hash, uint8_t **ret_comp,
			 size_t *ret_len);
	/* Whether list gives entries in the order of their cookies, which are
	 * hash_cookie() of the hash or a few more, and facts counts all of
	 * them; else it says two for many. */
	bool by_cookie;
	/* The entries behind cookie; -ENOENT for no such directory. */
	int (*list)(struct blt *store, const void *prefix, size_t len,
		    uint64_t cookie, backend_list_fn *fn, void *arg);
	int (*hold)(struct blt *store, const void *prefix, size_t len,
		    bool held);
	/* The things in a directory sorted by their components as bytes, a key
	 * in front of the directory of the same component: how many there are;
	 * up to n of them from position at on, n small; how many stand in front
	 * of those of a component, 1: there are such, 0: there are not.
	 * -ENOENT: no such directory.  NULL, all of these: there are no
	 * sequences in the engine's stores. */
	int (*order_count)(struct blt *store, const void *prefix, size_t len,
			   uint64_t *ret);
	int (*order_at)(struct blt *store, const void *prefix, size_t len,
			uint64_t at, uint64_t n, backend_order_fn *fn,
			void *arg);
	int (*order_find)(struct blt *store, const void *prefix, size_t len,
			  const void *comp, size_t comp_len, uint64_t *ret);
	/* What its rows of ordered_dirs.h ask; NULL: it has none of them. */
	const struct ordered_dirs *ordered;
};

/* The key, and the directory; the latter's stat is that of its marker, or
 * zeros. */
struct backend_look {
	bool file, dir;
	struct blt_stat file_stat, dir_stat;
};

/* ---- the table ---- */

struct backend {
	const char *name; /* as --engine has it */

	/* Whether what stands at path is its; NULL: of the first engine, which
	 * takes what no other does. */
	bool (*is_mine)(const char *path);
	int (*open)(const char *path, const struct blt_open_options *opts,
		    struct blt **ret, struct blt_error *err);
	/* NULL: it is opened, and check is asked */
	int (*check_file)(const char *path, int lock_timeout_ms,
			  const struct blt_check_options *opts,
			  blt_fault_fn *fn, void *arg,
			  struct blt_check_result *ret, struct blt_error *err);
	int (*rebuild)(const char *path, const struct blt_rebuild_options *opts,
		       struct blt_rebuild_result *ret, struct blt_error *err);

	/* What stands at path, and is of this engine, is in nobody's use until
	 * the descriptor is closed: -EWOULDBLOCK.  NULL: its stores are no
	 * files (place_begin). */
	int (*hold_file)(const char *path, int *ret_fd, struct blt_error *err);

	int (*close)(struct blt *store);
	const char *(*path)(const struct blt *store);
	int (*fd)(const struct blt *store);
	void (*get_info)(struct blt *store, struct blt_info *ret);
	int64_t (*modified)(struct blt *store); /* NULL: of get_info */
	/* NULL: of the descriptor, which stays the same */
	int (*statvfs)(struct blt *store, struct statvfs *ret);
	int (*durability)(struct blt *store,
			  char text[BLT_DURABILITY_MAX]); /* NULL: -ENOTSUP */
	/* NULL: none */
	void (*cautions)(struct blt *store, blt_caution_fn *fn, void *arg);
	int (*count)(struct blt *store, struct blt_census *ret);
	bool (*takes_empty)(const struct blt *store);

	int (*get)(struct blt *store, const void *key, size_t len,
		   struct blt_view *ret);
	size_t (*get_many)(struct blt *store, const struct blt_bytes *keys,
			   size_t n, struct blt_view *ret,
			   int *ret_result); /* NULL: one by one */
	int64_t (*get_part)(struct blt *store, const void *key, size_t len,
			    void *to, size_t n,
			    uint64_t offset);           /* NULL: of a view */
	uint64_t (*dirty_by_others)(struct blt *store); /* NULL: 0 */
	/* Other processes may have the store open, too; which of its databases
	 * this is, or NULL: all.  NULL: they may not. */
	const char *(*database)(const struct blt *store);
	/* Some of them may have died: what they held is let go.  NULL with the
	 * one above. */
	void (*clear_dead)(struct blt *store);
	void (*view_release)(struct blt_view *view);
	int (*stat_key)(struct blt *store, const void *key, size_t len,
			struct blt_stat *ret);
	int (*locate)(struct blt *store, const void *key, size_t len,
		      struct blt_location *ret);    /* NULL: -ENOTSUP */
	uint64_t (*compactions)(struct blt *store); /* NULL: 0 */

	/* What stands under a component, whose prefix as a directory this is,
	 * at one moment; NULL: it is asked for one by one. */
	int (*look)(struct blt *store, const void *prefix, size_t len,
		    struct backend_look *ret);

	/* As blt_check_key. */
	int (*key)(struct blt *store, const void *key, size_t len,
		   struct backend_key *ret);
	int (*check_value)(struct blt *store, const void *value, size_t len);
	/* The time that a put or touch is to write; -EINVAL. */
	int (*time)(const struct blt *store, int64_t timestamp, int64_t *ret);
	int (*put)(struct blt *store, const void *key, size_t key_len,
		   const void *value, size_t value_len, int64_t timestamp);
	int (*put_from)(struct blt *store, const void *key, size_t key_len,
			const struct blt_source *source, int64_t timestamp);
	int (*delete)(struct blt *store, const void *key, size_t len);
	int (*touch)(struct blt *store, const void *key, size_t len,
		     int64_t timestamp);
	/* All of them, or none; sets held of those that ask. */
	int (*commit)(struct blt *store, struct backend_op *first);
	/* NULL: where a commit leaves nothing for flush to do. */
	int (*commit_flush)(struct blt *store, struct backend_op *first);
	int (*prepare_rename)(struct blt *store, const void *key,
			      size_t len); /* NULL: 0 */
	/* A number that is another one once the key's value or time is (0: it
	 * is not there, and neither is a directory of its name), or (names)
	 * once other names stand in the directory that the key is the prefix
	 * of.  Where this is not NULL commits take BACKEND_UNCHANGED, and
	 * transactions compare with it; watch is not needed. */
	int (*token)(struct blt *store, const void *key, size_t len, bool names,
		     uint64_t *ret);
	/* From now on until unwatch w is told of keys (listeners.h).  NULL,
	 * both, and token: the store takes no transactions. */
	void (*watch)(struct blt *store, struct listener *w);
	void (*unwatch)(struct blt *store, struct listener *w);
	int (*flush)(struct blt *store);
	int (*sync)(struct blt *store);
	int (*settle)(struct blt *store, bool idle);

	/* NULL, all of these: -ENOTSUP */
	int (*stream_open)(struct blt *store, size_t key_len, uint64_t room,
			   struct blt_stream **ret);
	int (*stream_write)(struct blt_stream *s, const void *buf, size_t n,
			    uint64_t offset);
	int64_t (*stream_read)(struct blt_stream *s, void *buf, size_t n,
			       uint64_t offset);
	int (*stream_resize)(struct blt_stream *s, uint64_t len);
	uint64_t (*stream_len)(const struct blt_stream *s);
	int (*stream_sync)(struct blt_stream *s);
	int (*stream_commit)(struct blt_stream *s, const void *key,
			     size_t key_len, int64_t timestamp);
	void (*stream_abort)(struct blt_stream *s);

	int (*iter_open)(struct blt *store, const struct blt_iter_options *opts,
			 struct blt_iter **ret);
	int (*iter_next)(struct blt_iter *it, struct blt_item *ret);
	void (*iter_free)(struct blt_iter *it);

	/* A walk over keys and values in an order of the keys that is the same
	 * for each walk of the store, whatever happens to it: behind the key
	 * after, which need not be there any more (NULL: from the first).  It
	 * shows a key that stays once; keys that come or go meanwhile, or
	 * values that change, as they were when it began or later.  booklet: by
	 * the keys' hashes, for which it holds 16 bytes a key, 256 MiB at most;
	 * LMDB: by key.  NULL: -ENOTSUP. */
	int (*iter_ordered)(struct blt *store, const void *after,
			    size_t after_len, struct blt_iter **ret);

	/* -EEXIST: the place where notes go holds something of somebody else.
	 * NULL, both: there are no notes, -ENOTSUP. */
	int (*notes)(struct blt *store, backend_note_fn *fn, void *arg);
	/* Of 2^62 numbers, n from at on are the caller's until the descriptor
	 * is closed or the process dies: -EWOULDBLOCK.  NULL: other processes
	 * cannot have the store open (not shared), or cannot be kept out. */
	int (*hold)(struct blt *store, uint64_t at, uint64_t n, int *ret_fd);

	/* NULL, all of these: -ENOTSUP */
	int (*slot_get)(struct blt *store, enum blt_slot slot,
			struct blt_view *ret);
	int (*slot_put)(struct blt *store, enum blt_slot slot,
			const void *value, size_t len, int64_t timestamp);
	int (*slot_delete)(struct blt *store, enum blt_slot slot);

	/* NULL, any of these three: -ENOTSUP */
	int (*reindex)(struct blt *store, uint32_t n_buckets,
		       blt_progress_fn *progress, void *arg);
	int (*prune)(struct blt *store, const struct blt_prune_options *opts,
		     struct blt_prune_result *ret);
	int (*trim)(struct blt *store, blt_progress_fn *progress, void *arg,
		    struct blt_trim_result *ret);
	int (*copy)(struct blt *store, const char *path,
		    const struct blt_create_options *opts, bool replace,
		    blt_progress_fn *progress, void *arg,
		    struct blt_error *err);
	int (*check)(struct blt *store, const struct blt_check_options *opts,
		     blt_fault_fn *fn, void *arg, struct blt_check_result *ret);

	/* A store that is to stand at path once it is whole: *ret_temporary,
	 * malloc'd, is where it is made; end gives it its name, and drop
	 * takes it away.  NULL, all of these: stores are files. */
	int (*place_begin)(const char *path, bool replace, char **ret_temporary,
			   struct blt_error *err);
	int (*place_end)(const char *path, const char *temporary, bool replace,
			 struct blt_error *err);
	void (*place_drop)(const char *temporary);

	const struct backend_dirs *dirs;
};

/* For a batch's maker beyond blt.h: what its kind says. */
int backend_batch_drop(struct blt_batch *b, const void *key, size_t len);
int backend_batch_check(struct blt_batch *b, int (*check)(void *arg),
			void *arg);
/* -EAGAIN from the commit unless the token is still that. */
int backend_batch_unchanged(struct blt_batch *b, const void *key, size_t len,
			    bool names, uint64_t token);
/* The note becomes value (NULL: it goes) where it is still what it was (NULL:
 * not there); else the commit is -ESTALE.  -ENOTSUP, -EINVAL. */
int backend_batch_note(struct blt_batch *b, const char *name,
		       const struct blt_bytes *was,
		       const struct blt_bytes *value);

/* The engines there are. */
extern const struct backend booklet_backend;
#ifdef HAVE_LMDB
extern const struct backend lmdb_backend;
#endif
#ifdef HAVE_POSTGRES
extern const struct backend postgres_backend;
#endif

/* ---- of all engines ---- */

/* A row time, of an engine that takes any from 0 on. */
int backend_time(const struct blt *store, int64_t timestamp, int64_t *ret);
/* A value that stands in memory as a source; the bytes are borrowed. */
struct blt_source backend_bytes_source(const void *bytes, uint64_t len);

/* The engine whose stores are no files, where path is such a one's name; or
 * NULL. */
const struct backend *backend_of_name_only(const char *path);

/* hold_file of the engine that path's content says: what is replaced may be
 * another's, with locks of its own. */
int backend_hold(const char *path, int *ret_fd, struct blt_error *err);

/* As blt_copy, into a store of another engine, which opts names. */
int backend_convert(struct blt *from, const char *path,
		    const struct blt_create_options *opts, bool replace,
		    blt_progress_fn *progress, void *arg,
		    struct blt_error *err);

/* A new store of the keys of all n, as blt_copy makes one of the first, but
 * without metadata and slots; opts->engine is set.  A key of several of them
 * has the same value in each: -EEXIST.  -EINVAL: other serializers, or another
 * length of values, than the first has. */
int backend_merge(struct blt *const *from, size_t n, const char *path,
		  const struct blt_create_options *opts, bool replace,
		  blt_progress_fn *progress, void *arg, struct blt_error *err);

/* Says in *err (which may be NULL) what went wrong; returns code. */
__attribute__((format(printf, 3, 4))) int
store_fail(struct blt_error *err, int code, const char *fmt, ...);

/* A store that is made beside its name, and gets it when it
 * is whole.
 *
 *   rc = store_place_begin(&p, from, path, replace, err);
 *   ...                              write p.temporary, make it durable
 *   rc = store_place_end(&p, err);
 *   store_place_release(&p);         in any case
 *
 * path must not be that of the store from, which is copied (-EEXIST).  What
 * stands there and is to be replaced is held meanwhile: nobody else has it open
 * (-EWOULDBLOCK), by the rules of its engine.  On an error, and without
 * store_place_end, it is as it was, and the temporary file gone.
 */

struct store_place {
	const struct backend *is; /* whose the place is; NULL: a file's */
	const char *path;
	char *temporary; /* made, and empty */
	bool replace;    /* something was there */
	int held;        /* what is replaced, or -1 */
};

int store_place_begin(struct store_place *p, struct blt *from, const char *path,
		      bool replace, struct blt_error *err);
int store_place_end(struct store_place *p, struct blt_error *err);
void store_place_release(struct store_place *p);

#endif
