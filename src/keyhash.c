#include "keyhash.h"

#include "blt.h"

#include <blake2.h>

struct keyhash keyhash_of(const void *key, size_t len)
{
	struct keyhash h;

	/* Fails only for a digest or key length that BLAKE2s does not have. */
	blake2s(h.byte, len > 0 ? key : "", NULL, KEYHASH_LEN, len, 0);
	return h;
}

uint32_t keyhash_bucket(const struct keyhash *h, uint32_t n_buckets)
{
	uint64_t rest = 0;

	for (int i = KEYHASH_LEN; i-- > 0;)
		rest = (rest << 8 | h->byte[i]) % n_buckets;
	return (uint32_t)rest;
}

uint64_t blt_key_hash(const void *key, size_t len)
{
	struct keyhash h = keyhash_of(key, len);

	return keyhash_word(&h);
}
