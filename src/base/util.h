/* util.h - what is asked for everywhere: integers and hex as bytes, small
 * arithmetic, memory for a while, clocks, threads.
 *
 * No state; any thread.
 */
#ifndef BLT_UTIL_H
#define BLT_UTIL_H

#include "base/array.h"

#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Below, at or above 0 as a's bytes are below, at or above b's. */
static inline int compare_bytes(const void *a, size_t a_len, const void *b,
				size_t b_len)
{
	size_t n = a_len < b_len ? a_len : b_len;
	int sign = n ? memcmp(a, b, n) : 0;

	return sign ? sign : (a_len > b_len) - (a_len < b_len);
}

/* Integers of a few bytes in memory, little-endian, as one access each. */
static inline uint64_t get_le16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return le16toh(v);
}

static inline uint64_t get_le32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

static inline uint64_t get_le64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

/* Reads an unsigned little-endian integer of n bytes, n <= 8.  The widths that
 * files have, 2, 4, 6, 7 and 8, take an access or two. */
static inline uint64_t get_le(const void *from, size_t n)
{
	const uint8_t *p = from;
	uint64_t v = 0;

	switch (n) {
	case 8:
		return get_le64(p);
	case 7:
		return get_le32(p) | get_le32(p + 3) << 24;
	case 6:
		return get_le32(p) | get_le16(p + 4) << 32;
	case 4:
		return get_le32(p);
	case 2:
		return get_le16(p);
	default:
		for (size_t i = n; i-- > 0;)
			v = v << 8 | p[i];
		return v;
	}
}

static inline void put_le16(uint8_t *p, uint64_t v)
{
	uint16_t le = htole16((uint16_t)v);

	memcpy(p, &le, sizeof(le));
}

static inline void put_le32(uint8_t *p, uint64_t v)
{
	uint32_t le = htole32((uint32_t)v);

	memcpy(p, &le, sizeof(le));
}

/* Writes the low n bytes of v, little-endian, n <= 8. */
static inline void put_le(void *to, uint64_t v, size_t n)
{
	uint8_t *p = to;

	switch (n) {
	case 8:
		put_le32(p + 4, v >> 32);
		put_le32(p, v);
		break;
	case 7:
		put_le32(p + 3, v >> 24);
		put_le32(p, v);
		break;
	case 6:
		put_le16(p + 4, v >> 32);
		put_le32(p, v);
		break;
	case 4:
		put_le32(p, v);
		break;
	case 2:
		put_le16(p, v);
		break;
	default:
		for (size_t i = 0; i < n; i++, v >>= 8)
			p[i] = (uint8_t)v;
	}
}

/* Writes 2 * len lower-case hex digits and a NUL. */
void hex_encode(char *to, const void *from, size_t len);

/* The value of a hex digit of either case, or -1. */
int hex_digit(char c);

/* Decodes len hex digits (either case) into len / 2 bytes.  Returns 0, or
 * -EINVAL where len is odd or a character is no hex digit. */
int hex_decode(void *to, const char *from, size_t len);

/* A key or the like in a message: its first 64 bytes, those as \xNN that are no
 * printable ASCII. */
#define SHOWN_BYTES 64
#define SHOWN_ROOM (4 * SHOWN_BYTES + 4)
const char *show_bytes(const void *bytes, size_t len, char to[SHOWN_ROOM]);

/* Memory for a while, of which nothing stays with malloc if it is much: the
 * length is said again when it is given back.  NULL where there is none. */
void *scratch_get(size_t len);
void *scratch_zeroed(size_t len);
void scratch_put(void *p, size_t len); /* NULL is fine */

/* What stood there is in the new memory; NULL: it stays where it is. */
void *scratch_resize(void *p, size_t old_len, size_t len);

/* Reads just n bytes of a file; -ENODATA where it ends before. */
int pread_all(int fd, void *to, size_t n, uint64_t pos);

/* The time now, in microseconds since the Unix epoch. */
int64_t now_us(void);

/* Microseconds of a clock that nobody sets; a condition that is waited for
 * until a time by it, as pthread_cond_timedwait wants that. */
int64_t steady_us(void);
void steady_cond_init(pthread_cond_t *cond);
struct timespec steady_timespec(int64_t us);

/* pthread_create with all signals blocked but SIGBUS, which file_try needs:
 * one that interrupts a read of the program's own threads must not land there
 * instead.  0 or -errno. */
int thread_start(pthread_t *ret, void *(*run)(void *arg), void *arg);

/* Pins this thread to a processor.  Threads made by thread_start and processes
 * made by child_start do not inherit that: they run where this thread was
 * allowed to before.  0 or -errno. */
int thread_pin(int cpu);

/* For a moment a pinned thread is not, so that what it starts inherits nothing;
 * thread_unpin returns what thread_repin is to be given. */
bool thread_unpin(void);
void thread_repin(bool pinned);

/* Whether bytes are UTF-8 as Python decodes it: no overlong forms, no
 * surrogates, nothing above U+10FFFF.
 *
 *   struct utf8 u = { 0 };
 *   while (bytes)  utf8_feed(&u, p, n);     -EINVAL as soon as known
 *   utf8_end(&u);                           -EINVAL within a character
 *
 * No memory is held; a struct utf8 belongs to one thread.
 */

struct utf8 {
	uint8_t need;      /* bytes missing from the character */
	uint8_t low, high; /* bounds of the next one, where need > 0 */
};

int utf8_feed(struct utf8 *u, const void *bytes, size_t len);

/* One byte; 0 or -EINVAL. */
static inline int utf8_step(struct utf8 *u, uint8_t c)
{
	if (u->need > 0) {
		if (c < u->low || c > u->high)
			return -EINVAL;
		u->need--;
		u->low = 0x80;
		u->high = 0xbf;
		return 0;
	}
	if (c < 0x80)
		return 0;
	if (c < 0xc2 || c > 0xf4)
		return -EINVAL;
	u->need = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
	u->low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
	u->high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
	return 0;
}

/* How many of the first bytes of s make one character; 0: none do. */
size_t utf8_char(const uint8_t *s, size_t len);

static inline int utf8_end(const struct utf8 *u)
{
	return u->need > 0 ? -EINVAL : 0;
}

#endif
