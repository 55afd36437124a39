/* name.h - one component of a key <-> one file name; the bijection.
 *
 * A key is split at '/'; this module turns one component into the name a
 * directory shows and back.  It knows bytes only: whether a directory of a
 * name exists, and which long component a hash stands for, is the caller's
 * knowledge (ns.h).  Rules (doc/names.md holds the reasons):
 *
 *   NUL -> %00   '%' -> %25   whole "." -> %2E   whole ".." -> %2E%2E
 *   whole empty component -> %
 *   a first component equal to the control name: its first byte as %XX
 *   flat: '/' -> %2F, the whole key is one component
 *   conflict (a key beside a directory of its name): one more % at the end
 *   written longer than 255 bytes, suffix counted:
 *       %~ and 26 hex digits of the hash of the key up to and including the
 *       component, and % where it stands in conflict
 *   integer keys: decimal; a key of another length: %x and its hex digits
 *
 * Escapes are written with upper-case hex digits, hashes and %x keys with
 * lower-case ones.  Every other spelling is no name at all.
 *
 * Pure; any thread.
 */
#ifndef BLT_NAME_H
#define BLT_NAME_H

#include "booklet/format/keyhash.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NAME_MAX_LEN 255
#define NAME_BUF (NAME_MAX_LEN + 1)

/* Where a component ends at: '/' , or nowhere for flat and integer stores. */
struct name_rules {
	bool flat;
	unsigned int_width; /* 0: bytes or text; else N-byte integers */
	bool int_signed;
	const char *control; /* borrowed, outlives the rules; NULL: none.  Not
			      * empty, no '%' and no '/' in it, not "." nor
			      * "..": else two keys could share a name */
};

/* How a parsed name refers to its component. */
enum name_form {
	NAME_PLAIN,    /* ret holds the component's bytes */
	NAME_CONFLICT, /* the same, written with the conflict suffix */
	NAME_LONG,     /* only the hash is known */
	NAME_LONG_CONFLICT,
};

struct name_parsed {
	enum name_form form;
	uint8_t comp[NAME_MAX_LEN]; /* PLAIN, CONFLICT */
	size_t comp_len;
	struct keyhash hash; /* LONG, LONG_CONFLICT */
};

/* Writes the name of a component as a NUL-terminated string of at most
 * NAME_MAX_LEN bytes and returns its length.  first: the component stands at
 * the root of the store.  upto: the hash of the key up to and including the
 * component, looked at only where the name comes out long; where it is NULL
 * such a name is -ENAMETOOLONG.  No other error. */
int name_write(const struct name_rules *rules, const void *comp, size_t len,
	       bool first, bool conflict, const struct keyhash *upto,
	       char name[NAME_BUF]);

/* Reads a name back.  0, or -EINVAL where it is no name that name_write can
 * give (a long name is taken on trust: the caller resolves its hash and
 * compares what name_write gives for the component it found). */
int name_read(const struct name_rules *rules, const char *name, size_t len,
	      bool first, struct name_parsed *ret);

#endif
