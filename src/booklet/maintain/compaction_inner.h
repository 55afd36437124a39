/* compaction_inner.h - the parts of a prune: what is too old
 * (compaction_age.c), packing (compaction_pack.c), and the order of it all
 * (compaction.c).
 */
#ifndef BLT_COMPACTION_INNER_H
#define BLT_COMPACTION_INNER_H

#include "booklet/format/keyhash.h"
#include "booklet/maintain/compact.h"

struct compaction {
	struct engine *engine;
	const struct blt_prune_options *opts;
	struct blt_prune_result *result;
	struct keyhash *keep; /* sorted */
	struct compaction_plan compaction_plan;
	uint64_t chunk;                /* bytes moved by one step */
	uint64_t scratch, scratch_len; /* dead blocks of our own */
	uint64_t packed; /* the end of it, where the file is to be cut; 0 */
};

/* Deletes what is too old, as a user would. */
int compaction_age(struct compaction *p);

/* The first hole at or behind pos: [*ret_d, *ret_s). */
int compaction_find_gap(struct compaction *p, uint64_t pos, uint64_t to,
			uint64_t *ret_d, uint64_t *ret_s);

/* Packs [*d, to), whose first live block stands at s; *d becomes the end of
 * what is packed. */
int compaction_pack(struct compaction *p, uint64_t *d, uint64_t s, uint64_t to);

/* The same from the first gap at or behind pos on. */
int compaction_pack_from(struct compaction *p, uint64_t pos, uint64_t to,
			 uint64_t *ret_d);

#endif
