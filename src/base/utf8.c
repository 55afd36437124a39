#include "base/utf8.h"

#include <string.h>

int utf8_feed(struct utf8 *u, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;
	const uint8_t *end = p + len;
	uint64_t eight;

	while (p < end) {
		/* eight bytes of ASCII at a time: most text is that */
		if (u->need == 0 && end - p >= 8) {
			memcpy(&eight, p, 8);
			if ((eight & UINT64_C(0x8080808080808080)) == 0) {
				p += 8;
				continue;
			}
		}
		if (utf8_step(u, *p++) < 0)
			return -EINVAL;
	}
	return 0;
}
