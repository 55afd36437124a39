/* map_input.h - the items of a map: what a walk, or a list of keys, has that
 * the options want.
 *
 *   map_input_open(&in, store, options, err)
 *   while ((rc = map_input_next(&in, &task)) > 0)  ...
 *   map_input_close(&in)                 when no task is left
 *
 * A walk and a list both show the store as it was at the opening; while they
 * are open, nothing moves or takes the space of what they show.
 */
#ifndef BLT_MAP_INPUT_H
#define BLT_MAP_INPUT_H

#include "map/map.h"
#include "map/pool.h"

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

int map_input_open(struct map_input *in, struct blt *store,
		   const struct map_options *options, struct blt_error *err);

/* 1: an item, or, *ret NULL, a key that is none, for the caller to have a look
 * at other things; 0: the end.  -ENOENT: a listed key that is not there, in
 * *ret_missing. */
int map_input_next(struct map_input *in, struct pool_task **ret,
		   const struct map_key **ret_missing);

void map_input_close(struct map_input *in);

#endif
