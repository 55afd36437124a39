/* rnd.h - for unit tests: numbers that look random, the same in each run.
 *
 * Each file that includes this draws from a row of its own; a test that takes
 * a seed from its user stirs it into rnd_state before it draws. */
#ifndef TESTS_RND_H
#define TESTS_RND_H

#include <stdint.h>

static uint64_t rnd_state = 88172645463325252u;

/* 0 to below - 1, by xorshift64. */
static inline uint32_t rnd(uint32_t below)
{
	rnd_state ^= rnd_state << 13;
	rnd_state ^= rnd_state >> 7;
	rnd_state ^= rnd_state << 17;
	return (uint32_t)((rnd_state >> 16) % below);
}

#endif
