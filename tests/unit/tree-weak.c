/* The tests of the tree with a hash of 4096 values that share their leading
 * bits: pages that cannot be split, cookies that collide. */
#include "booklet/format/keyhash.h"

struct keyhash keyhash_of(const void *key, size_t len)
{
	const uint8_t *p = key;
	struct keyhash h = { { 0 } };
	uint32_t x = 2166136261u;
	uint64_t word;

	for (size_t i = 0; i < len; i++)
		x = (x ^ p[i]) * 16777619u;
	word = (uint64_t)((x ^ x >> 15) & 0xfff) << 8;
	memcpy(h.byte, &word, sizeof(word));
	return h;
}

struct keyhash keyhash_of_prefix(struct keyhash_prefixes *p, size_t len)
{
	return keyhash_of(p->key, len);
}

#define WEAK_HASH 1
#include "unit/tree.c"
