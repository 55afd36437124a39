/* name.h - one component of a key <-> one file name; the bijection.
 *
 * A key is split at '/'; this module turns one component into the name a
 * directory shows and back.  It knows bytes only: which components are a key
 * and a directory at once, and which long component a hash stands for, is the
 * caller's knowledge (ns.h).  Rules (doc/names.md holds the reasons):
 *
 *   a component is its own name, but for
 *   NUL -> %00   whole "." -> %2E   whole ".." -> %2E%2E
 *   whole empty component -> %
 *   a first component equal to the control name: its first byte as %XX
 *   flat: '/' -> %2F, the whole key is one component
 *   written longer than 255 bytes, suffix counted:
 *       %~ and 26 hex digits of the hash of the key up to and including the
 *       component, and % where it is in conflict
 *   conflict (a key beside a directory of its name): one more % at the end
 *   a '%' from which on a component reads like one of these: %25
 *   integer keys: decimal; a key of another length: %x and its hex digits
 *
 * Escapes are written with upper-case hex digits, hashes and %x keys with
 * lower-case ones.  Every file name is that of one component, but for names of
 * hashes and what is written behind a conflict's suffix (x%% where x is a key
 * and a directory); in stores of integers only numbers are names.
 *
 * Pure; any thread.  beside is called from within.
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

/* Which components of the directory are a key and a directory at once: 1, 0 or
 * an error.  Asked only for those that another component's name ends in % or
 * %25...25 behind.  NULL instead of this: none is. */
struct name_beside {
	int (*both)(void *arg, const uint8_t *comp, size_t len);
	void *arg;
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
 * such a name is -ENAMETOOLONG.  Else only what beside fails with. */
int name_write(const struct name_rules *rules, const void *comp, size_t len,
	       bool first, bool conflict, const struct keyhash *upto,
	       const struct name_beside *beside, char name[NAME_BUF]);

/* Reads a name back.  0, what beside fails with, or -EINVAL where it is no name
 * that name_write can give (a hash is taken on trust: the caller resolves it
 * and compares what name_write gives for the component it found). */
int name_read(const struct name_rules *rules, const char *name, size_t len,
	      bool first, const struct name_beside *beside,
	      struct name_parsed *ret);

#endif
