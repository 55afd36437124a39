/* keyhash.h - the 13-byte hash that names a key in a booklet file.
 *
 * BLAKE2s with a 13-byte digest and no key, of the key's bytes
 * (doc/format.md, section 3).  Pure; any thread.
 */
#ifndef BLT_KEYHASH_H
#define BLT_KEYHASH_H

#include <blake2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define KEYHASH_LEN 13

struct keyhash {
	uint8_t byte[KEYHASH_LEN];
};

struct keyhash keyhash_of(const void *key, size_t len);

/* The same of n keys. */
struct blt_bytes;
void keyhash_of_many(const struct blt_bytes *keys, size_t n,
		     struct keyhash *ret);

/* The hashes of longer and longer beginnings of one key, which together cost as
 * much as that of the longest: a path has as many directories as it has
 * slashes.
 *
 *   struct keyhash_prefixes p = { .key = key };
 *   h = keyhash_of_prefix(&p, len); ...   len never becomes less
 *
 * The key is borrowed.  One thread at a time. */
struct keyhash_prefixes {
	const uint8_t *key;
	size_t fed; /* bytes that are in state; 0: it is not begun */
	blake2s_state state;
};

struct keyhash keyhash_of_prefix(struct keyhash_prefixes *p, size_t len);

static inline bool keyhash_equal(const struct keyhash *a,
				 const struct keyhash *b)
{
	return memcmp(a->byte, b->byte, KEYHASH_LEN) == 0;
}

/* The hash as a 104-bit little-endian integer, modulo n_buckets (> 0). */
uint32_t keyhash_bucket(const struct keyhash *h, uint32_t n_buckets);

/* 64 of the hash's bits, for tables in memory, cookies and inode numbers. */
static inline uint64_t keyhash_word(const struct keyhash *h)
{
	uint64_t w;

	memcpy(&w, h->byte, sizeof(w));
	return w;
}

#define HASH62_MAX ((UINT64_C(1) << 62) - 16)

/* The cookie that a listing gives to a thing, of 64 bits of a hash; kept away
 * from both ends of 1 .. INT64_MAX - 2, so that a few can be added. */
static inline uint64_t hash_cookie(uint64_t word, bool is_dir)
{
	uint64_t hash62 = word >> 2;

	if (hash62 == 0)
		hash62 = 1;
	if (hash62 > HASH62_MAX)
		hash62 = HASH62_MAX;
	return hash62 << 1 | is_dir;
}

/* BLAKE2s of what fits one block.
 *
 * Nearly every key has at most 64 bytes, and its hash is then one call of
 * BLAKE2s's compression.  That is most of what a lookup costs, so there are
 * several ways of it, the same code for different instruction sets; the best
 * that the processor has is taken.  tests/unit/keyhash.c holds all of them
 * against libb2.
 *
 * Pure; any thread.
 */

#define KEYHASH_BLOCK 64 /* bytes of a key, at most */
#define KEYHASH_MANY 8   /* keys hashed side by side */

/* The first 16 bytes of a digest that is 13 bytes long: the rest is for
 * nobody. */
struct keyhash_digest {
	uint8_t byte[16];
};

/* A key of len bytes, at most KEYHASH_BLOCK. */
struct keyhash_key {
	const void *bytes;
	size_t len;
};

struct keyhash_way {
	const char *name;
	bool (*works)(void); /* on this processor */
	void (*one)(const struct keyhash_key *key, struct keyhash_digest *ret);
	/* KEYHASH_MANY of each. */
	void (*many)(const struct keyhash_key *key, struct keyhash_digest *ret);
};

/* The portable one is the first, the best the last. */
extern const struct keyhash_way keyhash_ways[];
extern const size_t keyhash_n_ways;

/* The one in use.  Tests and counts of instructions may choose another. */
extern const struct keyhash_way *keyhash_way;

#endif
