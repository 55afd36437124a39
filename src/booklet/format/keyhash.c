#include "booklet/format/keyhash.h"

#include "blt.h"
#include "base/util.h"

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

struct keyhash keyhash_of_prefix(struct keyhash_prefixes *p, size_t len)
{
	blake2s_state whole;
	struct keyhash h;

	if (len <= KEYHASH_BLOCK)
		return keyhash_of(p->key, len);
	if (!p->fed)
		blake2s_init(&p->state, KEYHASH_LEN);
	blake2s_update(&p->state, p->key + p->fed, len - p->fed);
	p->fed = len;
	whole = p->state;
	blake2s_final(&whole, h.byte, KEYHASH_LEN);
	return h;
}

/* Eight keys of one block each. */
static void hash_side_by_side(const struct blt_bytes *keys, struct keyhash *ret)
{
	struct keyhash_digest digest[KEYHASH_MANY];
	struct keyhash_key block[KEYHASH_MANY];

	for (size_t i = 0; i < KEYHASH_MANY; i++)
		block[i] = (struct keyhash_key){ keys[i].bytes, keys[i].len };
	keyhash_way->many(block, digest);
	for (size_t i = 0; i < KEYHASH_MANY; i++)
		memcpy(ret[i].byte, digest[i].byte, KEYHASH_LEN);
}

static bool fit_one_block(const struct blt_bytes *keys)
{
	for (size_t i = 0; i < KEYHASH_MANY; i++)
		if (keys[i].len > KEYHASH_BLOCK)
			return false;
	return true;
}

void keyhash_of_many(const struct blt_bytes *keys, size_t n,
		     struct keyhash *ret)
{
	while (n >= KEYHASH_MANY && fit_one_block(keys)) {
		hash_side_by_side(keys, ret);
		keys += KEYHASH_MANY;
		ret += KEYHASH_MANY;
		n -= KEYHASH_MANY;
	}
	for (size_t i = 0; i < n; i++)
		ret[i] = keyhash_of(keys[i].bytes, keys[i].len);
}

/* Of the 104 bits, the first 40 and then 32 at a time: what is left of a
 * division fits, with the next 32 behind it, one word. */
uint32_t keyhash_bucket(const struct keyhash *h, uint32_t n_buckets)
{
	uint64_t rest = get_le(h->byte + 8, KEYHASH_LEN - 8) % n_buckets;

	rest = (rest << 32 | get_le(h->byte + 4, 4)) % n_buckets;
	return (uint32_t)((rest << 32 | get_le(h->byte, 4)) % n_buckets);
}

void blt_key_digest(const void *key, size_t len, uint8_t ret[BLT_HASH_LEN])
{
	struct keyhash h = keyhash_of(key, len);

	memcpy(ret, h.byte, KEYHASH_LEN);
}

uint64_t blt_key_hash(const void *key, size_t len)
{
	struct keyhash h = keyhash_of(key, len);

	return keyhash_word(&h);
}
