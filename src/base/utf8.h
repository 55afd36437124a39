/* utf8.h - whether bytes are UTF-8 as Python decodes it: no overlong forms, no
 * surrogates, nothing above U+10FFFF.
 *
 *   struct utf8 u = { 0 };
 *   while (bytes)  utf8_feed(&u, p, n);     -EINVAL as soon as known
 *   utf8_end(&u);                           -EINVAL within a character
 *
 * No memory is held; a struct utf8 belongs to one thread.
 */
#ifndef BLT_UTF8_H
#define BLT_UTF8_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

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

static inline int utf8_end(const struct utf8 *u)
{
	return u->need > 0 ? -EINVAL : 0;
}

#endif
