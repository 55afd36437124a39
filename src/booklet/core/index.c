#include "booklet/core/index.h"

#include <errno.h>

uint64_t index_bucket(const struct wal *wal, const struct keyhash *hash)
{
	uint32_t b = keyhash_bucket(hash, wal->fmt.n_buckets);

	if (wal->next.offset && b < wal->next.moved)
		return wal->next.offset + format_index_len(keyhash_bucket(
						  hash, wal->next.n_buckets));
	return wal->fmt.index_offset + format_index_len(b);
}

int index_find(const struct wal *wal, const struct keyhash *hash,
	       enum wal_who who, struct index_place *ret)
{
	struct index_place p = { .slot = index_bucket(wal, hash) };
	const uint64_t bucket = p.slot;
	uint64_t at, steps = 0, landmark = 0, power = 1;

	/* The memory for one is waited for while the other is looked at. */
	__builtin_prefetch(wal_ptr(wal, bucket));
	dirty_prefetch(&wal->dirty, bucket);
	at = wal_field(wal, bucket, FORMAT_POS_LEN, who);
	while (at > FORMAT_LAST) {
		int rc = block_at(wal, at, who, &p.block);

		if (rc < 0)
			return rc;
		if (keyhash_equal(&p.block.head.hash, hash)) {
			*ret = p;
			return 1;
		}
		/* A chain that comes back to a block never ends (Brent's
		 * algorithm finds it). */
		if (at == landmark)
			return -EUCLEAN;
		if (++steps == power) {
			landmark = at;
			power *= 2;
		}
		p.slot = at + FORMAT_AT_NEXT;
		at = p.block.head.next;
	}
	ret->slot = bucket;
	return 0;
}

/* A fetch of what may be anything does no harm, but for the time. */
static void fetch(const struct wal *wal, uint64_t pos, size_t len)
{
	for (size_t i = 0; i < len; i += 64)
		__builtin_prefetch(wal_ptr(wal, pos + i));
}

void index_warm(const struct wal *wal, const struct keyhash *hash, size_t n,
		enum wal_who who, size_t len)
{
	uint64_t slot[INDEX_WARM];

	for (size_t i = 0; i < n; i++) {
		slot[i] = index_bucket(wal, &hash[i]);
		fetch(wal, slot[i], FORMAT_POS_LEN);
		dirty_prefetch(&wal->dirty, slot[i]);
	}
	for (size_t i = 0; i < n; i++) {
		uint64_t at = wal_field(wal, slot[i], FORMAT_POS_LEN, who);

		if (at <= FORMAT_LAST || at >= wal_limit(wal, who))
			continue;
		fetch(wal, at, len);
		dirty_prefetch(&wal->dirty, at + FORMAT_AT_NEXT);
	}
}
