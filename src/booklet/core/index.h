/* index.h - from a key's hash to its block: buckets and chains.
 *
 * Threads: as block.h.
 */
#ifndef BLT_INDEX_H
#define BLT_INDEX_H

#include "booklet/log/block.h"

/* A key's block, and the position of the pointer that points at it: a bucket
 * entry, or the next pointer of the block before it in the chain.  Where the
 * key is not there, slot is its bucket's entry and block is not set. */
struct index_place {
	uint64_t slot;
	struct block block;
};

/* 1: found; 0: not there; -EUCLEAN: the chain is damaged. */
int index_find(const struct wal *wal, const struct keyhash *hash,
	       enum wal_who who, struct index_place *ret);

/* The position of the bucket entry for a hash. */
uint64_t index_bucket(const struct wal *wal, const struct keyhash *hash);

/* Fetches what lookups of these keys are going to read, at most INDEX_WARM of
 * them: their buckets, and len bytes of the blocks that these lead to.  The
 * processor waits for all of them as long as for one. */
#define INDEX_WARM 32u
void index_warm(const struct wal *wal, const struct keyhash *hash, size_t n,
		enum wal_who who, size_t len);

/* The pointer to write where a chain goes on at next: an entry of 0 is an
 * empty one too, but a block's next pointer of 0 would make it dead. */
static inline uint64_t index_chain(uint64_t next)
{
	return next > FORMAT_LAST ? next : FORMAT_LAST;
}

#endif
