/* codec.h - values that are stored compressed and shown as they were (-o
 * decode).
 *
 * Where a store's value serializer is zstd, or ends in _zstd, each value is one
 * zstd frame with its content's length in its head.  These functions go between
 * the frame and the content; no other serializer's values are coded (those of
 * pd_zstd and gpd_zstd are files that are compressed inside).
 *
 * Pure but for the buffers, which belong to the caller's thread.  Results are 0
 * or -errno: -EIO for a damaged frame.
 */
#ifndef FS_CODEC_H
#define FS_CODEC_H

#include "blt.h"

#include <stdbool.h>
#include <stdint.h>

struct write_buffer;
struct write_buffer_pool;

bool codec_known(const struct blt_info *info);

/* How long the content is.  A value that is no such frame is shown as it is
 * stored: false. */
bool codec_length(const struct blt_view *view, uint64_t *ret);

/* Fills an empty buffer with the content; it stays clean. */
int codec_fill(struct write_buffer *s, const struct blt_view *view);

/* Makes a new buffer that holds the frame of all that is in from. */
int codec_pack(struct write_buffer *from, struct write_buffer_pool *pool,
	       struct write_buffer **ret);

#endif
