/* coding.h - values that are stored compressed and shown as they were (-o
 * decode).
 *
 * Where a store's value serializer is zstd, or ends in _zstd, each value is one
 * zstd frame with its content's length in its head.  These functions go between
 * the frame and the content; no other serializer's values are coded (those of
 * pd_zstd and gpd_zstd are files that are compressed inside).
 *
 * Pure but for the stages, which belong to the caller's thread.  Results are 0
 * or -errno: -EIO for a damaged frame.
 */
#ifndef FS_CODING_H
#define FS_CODING_H

#include "blt.h"

#include <stdbool.h>
#include <stdint.h>

struct stage;
struct stage_pool;

bool coding_known(const struct blt_info *info);

/* How long the content is.  A value that is no such frame is shown as it is
 * stored: false. */
bool coding_length(const struct blt_view *view, uint64_t *ret);

/* Fills an empty stage with the content; it stays clean. */
int coding_fill(struct stage *s, const struct blt_view *view);

/* Makes a new stage that holds the frame of all that is in from. */
int coding_pack(struct stage *from, struct stage_pool *pool,
		struct stage **ret);

#endif
