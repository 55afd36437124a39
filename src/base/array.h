/* array.h - how many elements an array has, and bytes that become more; for
 * both directories.  Any thread.
 */
#ifndef BLT_ARRAY_H
#define BLT_ARRAY_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Adds n bytes to the *len at *bytes (NULL: none so far), which are malloc'd.
 * 0, or -ENOMEM, which changes nothing. */
static inline int bytes_append(uint8_t **bytes, size_t *len, const void *from,
			       size_t n)
{
	uint8_t *more = realloc(*bytes, *len + n + 1);

	if (!more)
		return -ENOMEM;
	if (n)
		memcpy(more + *len, from, n);
	*bytes = more;
	*len += n;
	return 0;
}

#endif
