/* salvage.h - the whole blocks of a damaged file, and a new file of them.
 *
 *   salvage_header(file, like, &header)   what kind of file it is
 *   salvage_start(&s, file, &header)      takes the file over
 *   salvage_scan(&s)                      finds the blocks
 *   salvage_write(&s, to)                 writes what is kept
 *   salvage_release(&s)
 *
 * Nothing here needs an index, chains or a sound layout.  A live block counts
 * as whole if its hash is that of its key and its lengths fit the file.  The
 * format has no checksum of a value and none of its length; so the length of a
 * block is believed only if something sound stands behind it.  Where nothing
 * does, what stands inside its value is looked at too: a whole block there that
 * reaches beyond its end shows that the length was wrong.  Others found inside
 * may be part of the value (a store kept in a store); they are kept if no other
 * block has their key, since a key too many is better than one too few.
 *
 * Where the file has a log that can be replayed, next pointers and timestamps
 * are as the log has them.
 *
 * Memory: 24 bytes for every live block.
 * Threads: one.
 */
#ifndef BLT_SALVAGE_H
#define BLT_SALVAGE_H

#include "blt.h"
#include "booklet/log/wal.h"

struct salvage_header {
	struct format fmt; /* the layout fields as the file has them, sound or
			    * not */
	enum blt_header_source source;
	bool unclean; /* checkpoint says where the log is */
	struct log_checkpoint checkpoint;
	int checkpoint_at;
};

/* like: the header of a store of the same kind, or NULL.  -EUCLEAN: there is
 * none to be had. */
int salvage_header(struct file *file, const uint8_t *like,
		   struct salvage_header *ret);

/* A live block that may be kept. */
struct salvaged {
	uint64_t pos;
	struct keyhash hash;
	uint8_t flags;
};

struct salvage {
	struct wal wal;
	uint64_t size;
	struct salvaged *kept; /* by position, once scanned */
	size_t n, room;
	struct blt_rebuild_result result;
	const struct blt_rebuild_options *opts;
};

/* Takes the file over where it returns 0. */
int salvage_start(struct salvage *s, const struct file *file,
		  const struct salvage_header *header,
		  const struct blt_rebuild_options *opts);
void salvage_release(struct salvage *s);
int salvage_scan(struct salvage *s);

/* Writes a store of what is kept into an empty file, and makes it durable. */
int salvage_write(struct salvage *s, struct file *to);

#endif
