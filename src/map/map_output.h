/* map_output.h - what a map writes: results gathered, and committed in batches.
 *
 *   map_output_open(&out, in_store, options, hooks, result, err)
 *   map_output_add(&out, task)       any number of times
 *   map_output_commit(&out)          now and then, and at the end
 *   map_output_close(&out)
 *
 * An item counts in the result when its batch is committed.
 */
#ifndef BLT_MAP_OUTPUT_H
#define BLT_MAP_OUTPUT_H

#include "map/map.h"
#include "map/pool.h"

struct map_output {
	struct blt *in;
	struct blt *store; /* in, or another one, that is ours */
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
};

int map_output_open(struct map_output *out, struct blt *in,
		    const struct map_options *options,
		    const struct map_hooks *hooks, struct map_result *result,
		    struct blt_error *err);

/* Takes the task over.  An item whose results cannot be written is an error of
 * its own; what is returned stops the map. */
int map_output_add(struct map_output *out, struct pool_task *task);
/* An item that gave nothing, for the reason given.  Borrows all. */
void map_output_error(struct map_output *out, const void *key, size_t len,
		      const char *why);

/* Whether enough is pending, or for long enough. */
bool map_output_due(const struct map_output *out, int64_t now);
int map_output_commit(struct map_output *out);

/* Drops what is pending.  0, or what closing another store says. */
int map_output_close(struct map_output *out);

#endif
