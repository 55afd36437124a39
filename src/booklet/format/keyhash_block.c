/* The compression works on four vectors of four words: a, b, c and d are the
 * rows of its state, and a step mixes the four columns side by side.  For the
 * diagonals, a, c and d are turned and not b, which is the last of a step to be
 * known; the message words are taken in an order to match.
 *
 * "many" turns that by a quarter: one vector a word of the state, and a lane a
 * key, so that nothing has to be turned. */
#include "booklet/format/keyhash.h"

#include "base/array.h"

#include <endian.h>
#include <string.h>

typedef uint32_t four __attribute__((vector_size(16)));
typedef uint32_t eight __attribute__((vector_size(32)));

/* Inlined into a function that is compiled for other instructions, it is
 * compiled for those. */
#define IN_EACH static inline __attribute__((always_inline))

/* The order in which the rounds take the message's words (RFC 7693, 2.7). */
#define ROUNDS(X)                                               \
	X(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15) \
	X(14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3) \
	X(11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4) \
	X(7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8) \
	X(9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13) \
	X(2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9) \
	X(12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11) \
	X(13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10) \
	X(6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5) \
	X(10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0)

#define IV0 0x6A09E667u
#define IV1 0xBB67AE85u
#define IV2 0x3C6EF372u
#define IV3 0xA54FF53Au
#define IV4 0x510E527Fu
#define IV5 0x9B05688Cu
#define IV6 0x1F83D9ABu
#define IV7 0x5BE0CD19u

/* The parameters: no key, sequential, a digest of KEYHASH_LEN bytes. */
#define FIRST (IV0 ^ 0x01010000u ^ KEYHASH_LEN)

#define TURN(v, n) ((v) >> (n) | (v) << (32 - (n)))

/* One half of the mixing function; x is a vector of message words.  All is one
 * chain of instructions that wait for each other, and b is the last to be
 * known: so x is added first. */
#define HALF(a, b, c, d, x, n, m)     \
	do {                          \
		(a) += (x);           \
		(a) += (b);           \
		(d) ^= (a);           \
		(d) = TURN((d), (n)); \
		(c) += (d);           \
		(b) ^= (c);           \
		(b) = TURN((b), (m)); \
	} while (0)

/* ---- one key ---- */

#define TURN_LANES(v, i, j, k, l) __builtin_shufflevector(v, v, i, j, k, l)

#define ROUND(i0, i1, i2, i3, i4, i5, i6, i7, i8, i9, i10, i11, i12, i13, i14, \
	      i15)                                                             \
	HALF(a, b, c, d, WORDS(i0, i2, i4, i6), 16, 12);                       \
	HALF(a, b, c, d, WORDS(i1, i3, i5, i7), 8, 7);                         \
	a = TURN_LANES(a, 3, 0, 1, 2);                                         \
	c = TURN_LANES(c, 1, 2, 3, 0);                                         \
	d = TURN_LANES(d, 2, 3, 0, 1);                                         \
	HALF(a, b, c, d, WORDS(i14, i8, i10, i12), 16, 12);                    \
	HALF(a, b, c, d, WORDS(i15, i9, i11, i13), 8, 7);                      \
	a = TURN_LANES(a, 1, 2, 3, 0);                                         \
	c = TURN_LANES(c, 3, 0, 1, 2);                                         \
	d = TURN_LANES(d, 2, 3, 0, 1);

#define START_ONE                                    \
	const four first = { FIRST, IV1, IV2, IV3 }; \
	four a = first, b = { IV4, IV5, IV6, IV7 };  \
	four c = { IV0, IV1, IV2, IV3 };             \
	four d = { IV4 ^ (uint32_t)len, IV5, ~IV6, IV7 }

IN_EACH void finish_one(four digest, struct keyhash_digest *ret)
{
	for (int i = 0; i < 4; i++) {
		uint32_t word = htole32(digest[i]);

		memcpy(ret->byte + 4 * i, &word, sizeof(word));
	}
}

/* Up to 16 bytes, the rest zero, without a loop or a call: what reads past
 * eight bytes reads some of them twice. */
IN_EACH void load_short(const uint8_t *p, size_t len, uint64_t ret[2])
{
	uint32_t low, high;

	ret[0] = ret[1] = 0;
	if (len >= 8) {
		memcpy(&ret[0], p, 8);
		ret[0] = le64toh(ret[0]);
		if (len > 8) {
			memcpy(&ret[1], p + len - 8, 8);
			ret[1] = le64toh(ret[1]) >> 8 * (16 - len);
		}
	} else if (len >= 4) {
		memcpy(&low, p, 4);
		memcpy(&high, p + len - 4, 4);
		ret[0] = le32toh(low) | (uint64_t)le32toh(high)
						<< 8 * (len - 4);
	} else if (len > 0) {
		ret[0] = p[0] | (uint64_t)p[len / 2] << 8 * (len / 2) |
			 (uint64_t)p[len - 1] << 8 * (len - 1);
	}
}

/* Four words of the message, the others are zero. */
IN_EACH void short_key(const void *key, size_t len, struct keyhash_digest *ret)
{
	const four zero = { 0 };
	uint64_t w[2];
	four m;

	START_ONE;
	load_short(key, len, w);
	m = (four){ (uint32_t)w[0], (uint32_t)(w[0] >> 32), (uint32_t)w[1],
		    (uint32_t)(w[1] >> 32) };
#define WORD(i) ((i) < 4 ? (i) : 4)
#define WORDS(i, j, k, l) \
	__builtin_shufflevector(m, zero, WORD(i), WORD(j), WORD(k), WORD(l))
	ROUNDS(ROUND)
#undef WORDS
#undef WORD
	finish_one(first ^ a ^ c, ret);
}

IN_EACH void long_key(const void *key, size_t len, struct keyhash_digest *ret)
{
	uint32_t m[16] = { 0 };

	START_ONE;
	memcpy(m, key, len);
	for (int i = 0; i < 16; i++)
		m[i] = le32toh(m[i]);
#define WORDS(i, j, k, l) ((four){ m[i], m[j], m[k], m[l] })
	ROUNDS(ROUND)
#undef WORDS
	finish_one(first ^ a ^ c, ret);
}

IN_EACH void one_key(const struct keyhash_key *key, struct keyhash_digest *ret)
{
	if (key->len <= 16)
		short_key(key->bytes, key->len, ret);
	else
		long_key(key->bytes, key->len, ret);
}

/* ---- many keys ---- */

#define MIX(a, b, c, d, x, y)                       \
	HALF(v[a], v[b], v[c], v[d], m[x], 16, 12); \
	HALF(v[a], v[b], v[c], v[d], m[y], 8, 7);

#define ROUND_OF_MANY(i0, i1, i2, i3, i4, i5, i6, i7, i8, i9, i10, i11, i12, \
		      i13, i14, i15)                                         \
	MIX(0, 4, 8, 12, i0, i1)                                             \
	MIX(1, 5, 9, 13, i2, i3)                                             \
	MIX(2, 6, 10, 14, i4, i5)                                            \
	MIX(3, 7, 11, 15, i6, i7)                                            \
	MIX(0, 5, 10, 15, i8, i9)                                            \
	MIX(1, 6, 11, 12, i10, i11)                                          \
	MIX(2, 7, 8, 13, i12, i13)                                           \
	MIX(3, 4, 9, 14, i14, i15)

IN_EACH void many_keys(const struct keyhash_key *key,
		       struct keyhash_digest *ret)
{
	uint32_t word[16][KEYHASH_MANY] = { { 0 } };
	eight m[16], len = { 0 }, one = { 0 };
	eight v[16];

	for (int k = 0; k < KEYHASH_MANY; k++) {
		len[k] = (uint32_t)key[k].len;
		if (key[k].len > 16) {
			uint32_t bytes[16] = { 0 };

			memcpy(bytes, key[k].bytes, key[k].len);
			for (int i = 0; i < 16; i++)
				word[i][k] = le32toh(bytes[i]);
		} else {
			uint64_t w[2];

			load_short(key[k].bytes, key[k].len, w);
			word[0][k] = (uint32_t)w[0];
			word[1][k] = (uint32_t)(w[0] >> 32);
			word[2][k] = (uint32_t)w[1];
			word[3][k] = (uint32_t)(w[1] >> 32);
		}
	}
	memcpy(m, word, sizeof(m));
	one += 1;
	v[0] = one * FIRST, v[1] = one * IV1, v[2] = one * IV2;
	v[3] = one * IV3, v[4] = one * IV4, v[5] = one * IV5;
	v[6] = one * IV6, v[7] = one * IV7, v[8] = one * IV0;
	v[9] = one * IV1, v[10] = one * IV2, v[11] = one * IV3;
	v[12] = len ^ one * IV4, v[13] = one * IV5, v[14] = ~(one * IV6);
	v[15] = one * IV7;
	ROUNDS(ROUND_OF_MANY)
	v[0] ^= one * FIRST ^ v[8];
	v[1] ^= one * IV1 ^ v[9];
	v[2] ^= one * IV2 ^ v[10];
	v[3] ^= one * IV3 ^ v[11];
	for (int k = 0; k < KEYHASH_MANY; k++)
		finish_one((four){ v[0][k], v[1][k], v[2][k], v[3][k] },
			   &ret[k]);
}

/* ---- the ways ---- */

#define WAY(name, attribute)                                             \
	attribute static void one_##name(const struct keyhash_key *key,  \
					 struct keyhash_digest *ret)     \
	{                                                                \
		one_key(key, ret);                                       \
	}                                                                \
	attribute static void many_##name(const struct keyhash_key *key, \
					  struct keyhash_digest *ret)    \
	{                                                                \
		many_keys(key, ret);                                     \
	}

#define WAY_ROW(name)                                        \
	{                                                    \
#name, works_##name, one_##name, many_##name \
	}

WAY(portable, )

static bool works_portable(void)
{
	return true;
}

#ifdef __x86_64__
WAY(avx2, __attribute__((target("avx2"))))
WAY(avx512, __attribute__((target("avx2,avx512f,avx512vl"))))

static bool works_avx2(void)
{
	return __builtin_cpu_supports("avx2");
}

static bool works_avx512(void)
{
	return __builtin_cpu_supports("avx2") &&
	       __builtin_cpu_supports("avx512vl");
}
#endif

const struct keyhash_way keyhash_ways[] = {
	WAY_ROW(portable),
#ifdef __x86_64__
	WAY_ROW(avx2),
	WAY_ROW(avx512),
#endif
};
const size_t keyhash_n_ways = ARRAY_SIZE(keyhash_ways);
const struct keyhash_way *keyhash_way = &keyhash_ways[0];

__attribute__((constructor)) static void choose(void)
{
#ifdef __x86_64__
	__builtin_cpu_init();
#endif
	for (size_t i = 0; i < keyhash_n_ways; i++)
		if (keyhash_ways[i].works())
			keyhash_way = &keyhash_ways[i];
}
