/* seqname.h - names for the items of a sequence: the sorted names are the
 * order, and there is a name between any two.
 *
 * Names are made of the digits 0-9a-z and compared as bytes, which is also how
 * ls sorts them in any locale.  A name at an end counts on from the last (or
 * back from the first) one: a letter says how many digits follow, i for one, j
 * for two and so on up, h for one, g for two and so on down, so that an item is
 * appended without making names longer: the first 36 have 2 characters, the
 * next 1,296 have 3, the next 46,656 have 4, the next 1,679,616 have 5.  What
 * comes between two names has as few digits as tell it from both (fractional
 * indexing: the names are digits behind a point).  No name that is made here
 * ends in a 0 behind the counted digits, since nothing comes between "x" and
 * "x0".
 *
 * Neighbours may be any bytes that somebody has chosen as a name, not empty and
 * without NUL.  Where there is no name between two, or none of SEQNAME_MAX
 * bytes: -ERANGE; their neighbourhood has to be named anew then.
 *
 * Pure; any thread.
 */
#ifndef BLT_SEQNAME_H
#define BLT_SEQNAME_H

#include <stddef.h>
#include <stdint.h>

#define SEQNAME_MAX 64 /* bytes of a name that is made */
#define SEQNAME_BUF (SEQNAME_MAX + 1)

/* A neighbour; bytes NULL: there is none, the sequence ends here. */
struct seqname {
	const uint8_t *bytes;
	size_t len;
};

/* Names one after the other; private. */
struct seqname_run {
	const struct seqname *prefix; /* of all; NULL: counted names */
	size_t prefix_len;
	size_t digits;    /* behind it */
	__int128 at;      /* the last one's number, or the count */
	__int128 step;    /* from one to the next, */
	uint64_t rest, n; /* and rest parts of n more */
	uint64_t over;    /* parts had so far */
};

/* Begins n names, n > 0, spread evenly between two neighbours, or counted on
 * from the one that is there; the run borrows both.  -EINVAL where before is
 * not below after. */
int seqname_begin(struct seqname_run *run, const struct seqname *before,
		  const struct seqname *after, uint64_t n);

/* The length of the longest of them. */
size_t seqname_longest(const struct seqname_run *run);

/* The next one, NUL-terminated; its length.  As many calls as there are names.
 */
size_t seqname_next(struct seqname_run *run, char ret[SEQNAME_BUF]);

#endif
