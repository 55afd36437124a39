/* keyhash_block.h - BLAKE2s of what fits one block.
 *
 * Nearly every key has at most 64 bytes, and its hash is then one call of
 * BLAKE2s's compression.  That is most of what a lookup costs, so there are
 * several ways of it, the same code for different instruction sets; the best
 * that the processor has is taken.  tests/test-keyhash.c holds all of them
 * against libb2.
 *
 * Pure; any thread.
 */
#ifndef BLT_KEYHASH_BLOCK_H
#define BLT_KEYHASH_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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
