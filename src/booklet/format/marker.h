/* marker.h - values that hold a directory in being.
 *
 * A key that ends in '/' is its directory's marker, and no entry of it, where
 * its value is empty or a sequence's mark (doc/format.md): MARKER_SEQ_LEN
 * bytes, of which the first are "bltfs-seq" and a NUL, the next is the format
 * and the rest are zeros.
 *
 * Pure; any thread.
 */
#ifndef BLT_MARKER_H
#define BLT_MARKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MARKER_SEQ_LEN 16
#define MARKER_SEQ_FORMAT 1

extern const uint8_t marker_seq[MARKER_SEQ_LEN];

/* The format of a sequence's mark, or -1: it is none. */
int marker_seq_format(const void *value, size_t len);

/* Whether this is a marker: value is looked at only where key and length may be
 * those of one. */
bool marker_is(const void *key, size_t key_len, const void *value,
	       size_t value_len);

#endif
