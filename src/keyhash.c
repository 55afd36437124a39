#include "keyhash.h"

#include "blt.h"
#include "keyhash_block.h"
#include "util.h"

#include <blake2.h>

struct keyhash keyhash_of(const void *key, size_t len)
{
	struct keyhash_key block = { key, len };
	struct keyhash_digest digest;
	struct keyhash h;

	if (len <= KEYHASH_BLOCK) {
		keyhash_way->one(&block, &digest);
		memcpy(h.byte, digest.byte, KEYHASH_LEN);
		return h;
	}
	/* Fails only for a digest or key length that BLAKE2s does not have. */
	blake2s(h.byte, key, NULL, KEYHASH_LEN, len, 0);
	return h;
}

/* Of the 104 bits, the first 40 and then 32 at a time: what is left of a
 * division fits, with the next 32 behind it, one word. */
uint32_t keyhash_bucket(const struct keyhash *h, uint32_t n_buckets)
{
	uint64_t rest = get_le(h->byte + 8, KEYHASH_LEN - 8) % n_buckets;

	rest = (rest << 32 | get_le(h->byte + 4, 4)) % n_buckets;
	return (uint32_t)((rest << 32 | get_le(h->byte, 4)) % n_buckets);
}

uint64_t blt_key_hash(const void *key, size_t len)
{
	struct keyhash h = keyhash_of(key, len);

	return keyhash_word(&h);
}
