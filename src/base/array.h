/* array.h - arrays that grow, of any type and of bytes; for both directories.
 *
 *   if (ARRAY_ROOM(list->item, list->room, list->n + 1) < 0)
 *           return -ENOMEM;
 *   list->item[list->n++] = item;
 *
 * The items are malloc'd; NULL with room 0 is an empty array.  Any thread.
 */
#ifndef BLT_ARRAY_H
#define BLT_ARRAY_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Makes room for want items in the array whose room is counted in items: 0, or
 * -ENOMEM, which changes nothing.  Room doubles, so that n items cost n moves
 * at most. */
#define ARRAY_ROOM(items, room, want) \
	array_room(&(items), &(room), want, sizeof(*(items)))

/* For ARRAY_ROOM: array is the address of the pointer, whatever its type. */
static inline int array_room(void *array, size_t *room, size_t want,
			     size_t size)
{
	size_t more = *room > SIZE_MAX / 2 ? SIZE_MAX : *room * 2;
	void *old, *items;

	if (want <= *room)
		return 0;
	if (more < want)
		more = want;
	if (more < 16)
		more = 16;
	if (more > SIZE_MAX / size)
		return -ENOMEM;
	memcpy(&old, array, sizeof(old));
	items = realloc(old, more * size);
	if (!items)
		return -ENOMEM;
	memcpy(array, &items, sizeof(items));
	*room = more;
	/* cppcheck-suppress memleak ; the caller's pointer has it */
	return 0;
}

/* The room that bytes_append has made where there are len bytes: a power of two
 * above len. */
static inline size_t bytes_room(size_t len)
{
	size_t room = 64;

	while (room <= len && room <= SIZE_MAX / 2)
		room *= 2;
	return room;
}

/* Adds n bytes to the *len at *bytes (NULL: none so far), which only this
 * function makes larger: they are malloc'd, with a room that follows from *len,
 * so that n bytes cost 2n moves at most however small the pieces are.  0, or
 * -ENOMEM, which changes nothing. */
static inline int bytes_append(uint8_t **bytes, size_t *len, const void *from,
			       size_t n)
{
	size_t room;

	if (n > SIZE_MAX / 2 - *len)
		return -ENOMEM;
	room = bytes_room(*len + n);
	if (!*bytes || room > bytes_room(*len)) {
		uint8_t *more = realloc(*bytes, room);

		if (!more)
			return -ENOMEM;
		*bytes = more;
	}
	if (n)
		memcpy(*bytes + *len, from, n);
	*len += n;
	return 0;
}

#endif
