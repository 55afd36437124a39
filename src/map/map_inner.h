/* map_inner.h - what the files of a map share: keys as text, the function, the
 * items that go in, the results that come out.
 */
#ifndef BLT_MAP_INNER_H
#define BLT_MAP_INNER_H

#include "map/ledger.h"
#include "map/map.h"
#include "map/pool.h"

#include <stddef.h>

/* A key as text, for a command's environment, a glob and a key
 * template.  Pure; any thread.
 */

#define MAP_TEXT_ROOM (3 * 65535 + 1)

/* The number of an integer key (of another length: %x and hex digits), any
 * other key as it is, but for NUL: %00.  Writes to to, of MAP_TEXT_ROOM bytes,
 * with a NUL behind it.  The length, or -ENAMETOOLONG. */
int map_text(unsigned serializer, const void *key, size_t len, char *to);

/* A new key by a template, whose fields stand for parts of the key's text:
 *
 *   {key}   all of it                   a/b/c.tar.gz
 *   {dir}   what stands before the      a/b
 *           last '/'; where there is none, nothing, and a '/' behind the
 *           field goes too
 *   {name}  what stands behind it       c.tar.gz
 *   {stem}  that without {ext}          c.tar
 *   {ext}   from its last '.' on, unless it begins with that; else nothing
 *                                       .gz
 *   {{ }}   a brace
 *
 * The length of what stands in to (of room bytes), or -ENAMETOOLONG. */
int map_template(const char *template, const char *text, char *to, size_t room);

/* 0, or -EINVAL: a template with another field, or with a lone brace. */
int map_template_check(const char *template);

/* What a job is, so that another is not taken for it; function: in words, of
 * room bytes. */
int map_identity(const struct map_options *o, struct blt *in,
		 uint8_t ret[BLT_HASH_LEN], char *function, size_t room);

struct map_output;

/* The ledger of the options' job, in the output's store. */
int map_job_open(struct map_output *out);
/* The item ended so: 0, or what stops the map.  Without a job: 0. */
int map_job_settle(struct map_output *out, const void *key, size_t len,
		   enum ledger_what what);
/* The keys that failed, as those of options; to be freed whatever it returns.
 */
int map_job_failed(const struct ledger_row *row, struct map_options *ret);
void map_job_free_failed(struct map_options *o);
/* Without a map: the number of shards of the options' job; or the job has never
 * been. */
int map_job_shards(struct blt *in, const struct map_options *options,
		   unsigned *ret, struct blt_error *err);
int map_job_forget(struct blt *in, const struct map_options *options,
		   struct blt_error *err);

/* How a map's function becomes a process: the worker program,
 * its arguments and its environment.
 */

struct map_function {
	char *program;
	char **argv;
	char **env;
};

/* program: what the environment's BLT_MAP_WORKER names; else
 * bltfs-map-worker beside the running program, as in a build directory; else
 * where it is installed. */
int map_function_make(struct map_function *f, struct blt *store,
		      const struct map_options *options);
void map_function_free(struct map_function *f);

/* The items of a map: what a walk, or a list of keys, has that
 * the options want.
 *
 *   map_input_open(&in, store, options, err)
 *   while ((rc = map_input_next(&in, &task)) > 0)  ...
 *   map_input_close(&in)                 when no task is left
 *
 * A walk and a list both show the store as it was at the opening; while they
 * are open, nothing moves or takes the space of what they show.  Those of a job
 * come in an order that is the same each time, behind the last key of its row.
 */

struct map_input {
	struct blt *store;
	const struct map_options *options;
	unsigned serializer; /* of the keys */
	bool has_markers;    /* "dir/" with an empty value is no item */
	bool by_key;         /* workers may have the store open */
	struct blt_iter *iter;
	char *text;              /* of a key, MAP_TEXT_ROOM */
	uint64_t seen;           /* keys that are behind it */
	uint64_t total;          /* a hint */
	struct map_listed *list; /* NULL: all keys */
	size_t n_list, at;
};

/* row: of the job's shard; NULL: no job, or all of the list. */
int map_input_open(struct map_input *in, struct blt *store,
		   const struct map_options *options,
		   const struct ledger_row *row, struct blt_error *err);
/* Whether o, the options of the map, take that key as an item.  On a retry the
 * input lists fewer keys than they do. */
bool map_input_takes(const struct map_input *in, const struct map_options *o,
		     const void *key, size_t len);

/* 1: an item, or, *ret NULL, a key that is none, for the caller to have a look
 * at other things; 0: the end.  -ENOENT: a listed key that is not there, in
 * *ret_missing. */
int map_input_next(struct map_input *in, struct pool_task **ret,
		   const struct map_key **ret_missing);

void map_input_close(struct map_input *in);

/* Items in their order, for a job: what ends before an item in front of it
 * waits.
 *
 *   while (map_order_wants(&o)) { task->seq = map_order_give(&o); ... }
 *   map_order_end(&o, task, why);
 *   while (map_order_next(&o, &ended))  ...
 */

#define MAP_ORDER_MAX 4096u                  /* items that wait, */
#define MAP_ORDER_BYTES ((uint64_t)64 << 20) /* and their bytes, at most */

struct map_ended {
	struct pool_task *task;
	char *why; /* malloc'd, or NULL */
};

struct map_order {
	struct map_ended *ring; /* NULL: there is no order */
	uint64_t given, first;  /* first: the next that is told */
	uint64_t bytes;
};

int map_order_init(struct map_order *o);
void map_order_release(struct map_order *o);
bool map_order_wants(const struct map_order *o);
uint64_t map_order_give(struct map_order *o);
/* Takes the task over, whatever it returns. */
int map_order_end(struct map_order *o, struct pool_task *task, const char *why);
bool map_order_next(struct map_order *o, struct map_ended *ret);

/* What a map writes: results gathered, and committed in batches.
 *
 *   map_output_open(&out, in_store, options, hooks, result, err)
 *   map_output_add(&out, task)       any number of times
 *   map_output_commit(&out)          now and then, and at the end
 *   map_output_close(&out)
 *
 * An item counts in the result when its batch is committed.
 */

struct map_output {
	struct blt *in;
	struct blt *store; /* in, or another one, that is ours; NULL: there is
			    * only hooks->result */
	const struct map_input *input;
	struct ledger *ledger; /* NULL: no job */
	const struct map_options *options;
	const struct map_hooks *hooks;
	struct map_result *result;
	struct blt_error *err;
	unsigned serializer;     /* of the input's keys */
	char *text, *made;       /* a key as text, and by the template */
	struct blt_batch *batch; /* NULL: nothing is pending */
	struct map_pending *first, **last;
	uint64_t bytes;
	unsigned n;
	int64_t since; /* the first pending one was added, by steady_us */
	bool broken;   /* a commit failed, and the row is ahead of it */
};

/* The store that the options name; opened, or the input's. */
int map_output_open_store(struct map_output *out);
/* input need not be open yet. */
int map_output_open(struct map_output *out, struct blt *in,
		    const struct map_input *input,
		    const struct map_options *options,
		    const struct map_hooks *hooks, struct map_result *result,
		    struct blt_error *err);

/* Takes the task over.  An item whose results cannot be written is an error of
 * its own; what is returned stops the map. */
int map_output_add(struct map_output *out, struct pool_task *task);
/* An item that gave nothing, for the reason given.  Borrows all.  What is
 * returned stops the map. */
int map_output_error(struct map_output *out, const void *key, size_t len,
		     const char *why);

/* Whether enough is pending, or for long enough. */
bool map_output_due(const struct map_output *out, int64_t now);
/* After one that failed: nothing. */
int map_output_commit(struct map_output *out);

/* Drops what is pending.  0, or what closing another store says. */
int map_output_close(struct map_output *out);

#endif
