/* keyhash.h - the 13-byte hash that names a key in a booklet file.
 *
 * BLAKE2s with a 13-byte digest and no key, of the key's bytes
 * (doc/format.md, section 3).  Pure; any thread.
 */
#ifndef BLT_KEYHASH_H
#define BLT_KEYHASH_H

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

#endif
