/* notes.h - the notes of a booklet store (engine/backend.h), as bytes.
 *
 * They are kept in one hidden entry, reserved slot 1 (doc/format.md, section
 * 7): a magic of 8 bytes, and for each note
 *
 *   2 bytes  length of its name
 *   4 bytes  length of its bytes
 *   name, bytes
 *
 * An entry without the magic is of another library's, and left alone.
 *
 *   size_t at = 0;
 *   while ((rc = notes_next(table, len, &at, &note)) > 0)
 *           ...
 *
 * Pure; any thread.
 */
#ifndef BLT_NOTES_H
#define BLT_NOTES_H

#include <stddef.h>
#include <stdint.h>

#define NOTES_MAX (64u << 20) /* bytes of all of them */

struct note {
	const char *name; /* in the table, as bytes */
	const uint8_t *bytes;
	size_t name_len, len;
};

/* 1: a note; 0: the end; -EEXIST: no such table; -EUCLEAN: a damaged one.  *at
 * is 0 at first.  An empty table has no notes. */
int notes_next(const uint8_t *table, size_t len, size_t *at, struct note *ret);

/* The table with this note in it (bytes NULL: without it) in place of the one
 * of its name, malloc'd, NULL where none is left; if that one is now what was
 * says (bytes NULL: not there), else -ESTALE.  -ENOSPC: over NOTES_MAX. */
int notes_change(const uint8_t *table, size_t len, const struct note *was,
		 const struct note *to, uint8_t **ret, size_t *ret_len);

#endif
