/* map.h - a function over the keys of a store, in worker processes.
 *
 *   struct map_options o = { .kind = MAP_COMMAND, .argv = argv };
 *   struct map_result r;
 *   rc = map_run(store, &o, &hooks, &r, &err);
 *
 * The caller's thread walks the keys, feeds a pool of workers and commits what
 * they give back, a batch at a time; it starts no thread and holds no lock
 * while it waits.  The walk shows the store as it was when the map began, so a
 * map never meets what it wrote.
 *
 * Ownership: everything in struct map_options is borrowed for the call, but for
 * options that map_unpack made: map_options_free.
 * Errors: -errno, and a sentence in err.  *ret is always filled in: what it
 * counts is committed, whatever the call returns.
 *   -EINVAL     an option      -EROFS   nowhere to write to
 *   -ENOEXEC    the function cannot be run, or does not want to
 *   -ECHILD     the processes of the map do not live
 *   -EBUSY, -EEXIST, -ESTALE, -ENOENT   the job's, as ledger.h has them
 *   -ECANCELED  cancelled, or more errors than max_errors
 *   others      the store, the output, or the system failed
 * Threads: map_run may be called from any number of threads at once, on one
 * store too; map_cancel from any thread and from a signal handler.
 */
#ifndef BLT_MAP_RUN_H
#define BLT_MAP_RUN_H

#include "blt.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAP_WORKERS_MAX 1024
#define MAP_ERRORS_ANY UINT64_MAX

enum map_kind {
	MAP_COMMAND, /* argv is run for each item */
	MAP_FRAMED,  /* argv stays up and speaks the protocol of blt-map(7) */
	MAP_SHARED,  /* argv[0] is a shared object that has blt_map_fn; the
		      * rest are its arguments */
	MAP_BUILTIN, /* argv[0] is the name of a function of ours */
};

struct map_key {
	const void *bytes;
	size_t len;
};

struct map_options {
	/* The input: all keys that fit everything given here. */
	const char *glob;   /* fnmatch, '*' and '?' match '/' too; or NULL */
	const char *prefix; /* or NULL */
	const struct map_key *keys; /* n_keys of them, and no others */
	size_t n_keys;
	bool keys_only;     /* keys counts, even where n_keys is 0 */
	bool flat;          /* there are no directories, and no markers */
	int64_t newer_than; /* times; 0: any */
	int64_t older_than;

	/* The function. */
	enum map_kind kind;
	char *const *argv; /* ends in NULL */
	const char *dir;   /* where it runs; NULL: where this process does */
	char *const *env;  /* NAME=VALUE, which it sees besides what all see;
			    * ends in NULL; or NULL */

	/* The output. */
	const char *key_template; /* "{dir}/{name}.gz"; NULL: the item's key */
	const char *to;           /* another store's file; NULL: the same */
	bool to_create;           /* make it where it is missing */
	struct blt_create_options create; /* of a new one */
	int lock_timeout_ms;              /* for its lock */
	bool if_unchanged; /* write only where the item's key still has the
			    * value that was read */

	/* Many processes, and one more time (ledger.h, blt-map(7)). */
	unsigned shard, shards; /* only keys whose hash falls to shard, of 1
				 * to shards; shards 0: all */
	const char *job;        /* the name of a ledger; NULL: none */
	bool restart;           /* as if the job had not begun */
	bool retry_failed;      /* the keys that failed, of each shard, or of
				 * shard, and no others */
	bool forget;            /* the job has never been; nothing is run */

	unsigned workers;    /* 0: as many as there are processors */
	int timeout_ms;      /* for one item; 0: none */
	uint64_t max_errors; /* go on up to so many; MAP_ERRORS_ANY */
};

/* Counts of items; written counts values.  processed = those that gave
 * something + skipped + errors. */
struct map_result {
	uint64_t processed;
	uint64_t written;
	uint64_t skipped; /* gave nothing, or had changed (if_unchanged) */
	uint64_t errors;
	double seconds;
	bool began; /* there was a function, an input and an output */
};

struct map_progress {
	uint64_t done;  /* items processed */
	uint64_t total; /* how many there will be, by the share of the keys so
			 * far that were wanted */
	uint64_t bytes; /* of the values processed */
	const struct map_result *so_far;
};

/* Stops a map from elsewhere. */
struct map_cancel {
	atomic_int asked;
	int wake; /* an eventfd */
};
int map_cancel_init(struct map_cancel *c);
void map_cancel_release(struct map_cancel *c);
void map_cancel(struct map_cancel *c);

/* What the caller is told; each function may be NULL.  All are called in the
 * thread of map_run. */
struct map_hooks {
	void *arg;
	/* Often, and at the end.  Negative: the map stops with that result. */
	int (*progress)(void *arg, const struct map_progress *p);
	/* One item failed: its key and why, one line. */
	void (*error)(void *arg, const void *key, size_t len, const char *why);
	/* Around each commit to the map's own store, not to another; wrote is
	 * told each key between the two, once it is committed. */
	void (*before_commit)(void *arg);
	void (*wrote)(void *arg, const void *key, size_t len);
	void (*after_commit)(void *arg);
	/* Not NULL: results go here, as they come, and to no store.  Negative:
	 * the map stops with that result. */
	int (*result)(void *arg, const void *key, size_t key_len,
		      const void *value, size_t value_len);
	struct map_cancel *cancel; /* or NULL */
};

/* The path of a file of that name, beside the worker or the program that runs,
 * or else in dir, where it is installed; free() it.  0, or -ENOMEM; whether it
 * is there is not said. */
int map_find_file(const char *name, const char *dir, char **ret);

/* Every item costs a result, a skip or an error.  The function is looked for
 * before anything is read.  hooks and err may be NULL. */
int map_run(struct blt *store, const struct map_options *options,
	    const struct map_hooks *hooks, struct map_result *ret,
	    struct blt_error *err);

/* "7 processed, 5 written, ...": one line, in to. */
#define MAP_RESULT_ROOM 160
const char *map_result_text(const struct map_result *r,
			    char to[MAP_RESULT_ROOM]);

/* What can be told of options without a store: 0, or -EINVAL and a sentence.
 * map_run does it too. */
int map_check(const struct map_options *options, struct blt_error *err);

/* Options as bytes, for a request, and back.  map_pack: malloc'd.
 * map_unpack: -EINVAL where they are not what map_pack makes. */
int map_pack(const struct map_options *options, uint8_t **ret, size_t *ret_len);
int map_unpack(const void *bytes, size_t len, struct map_options *ret);
void map_options_free(struct map_options *options);

#endif
