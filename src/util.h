/* util.h - little-endian integers, hex and small arithmetic; no state.
 *
 * Everything here is pure and may be called from any thread.
 */
#ifndef BLT_UTIL_H
#define BLT_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Reads an unsigned little-endian integer of n bytes, n <= 8. */
static inline uint64_t get_le(const void *from, size_t n)
{
	const uint8_t *p = from;
	uint64_t v = 0;

	for (size_t i = n; i-- > 0;)
		v = v << 8 | p[i];
	return v;
}

/* Writes the low n bytes of v, little-endian, n <= 8. */
static inline void put_le(void *to, uint64_t v, size_t n)
{
	uint8_t *p = to;

	for (size_t i = 0; i < n; i++, v >>= 8)
		p[i] = (uint8_t)v;
}

/* Writes 2 * len lower-case hex digits and a NUL. */
void hex_encode(char *to, const void *from, size_t len);

/* The value of a hex digit of either case, or -1. */
int hex_digit(char c);

/* Decodes len hex digits (either case) into len / 2 bytes.  Returns 0, or
 * -EINVAL where len is odd or a character is no hex digit. */
int hex_decode(void *to, const char *from, size_t len);

/* The time now, in microseconds since the Unix epoch. */
int64_t now_us(void);

#endif
