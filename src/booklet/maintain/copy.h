/* copy.h - the live blocks of a store, written back to back into a new file.
 *
 * The copy is the store as it was when the copy began (snapshot.h), beside
 * writers. It has the standard layout: header, index, data.  Each block goes to
 * the head of its chain, so the data is written once, from front to back, and
 * the index, gathered in memory, after it.
 *
 * Memory: 6 bytes a bucket, and what the snapshot keeps.
 * Errors: err gets a sentence that names the file at fault, or the key.
 */
#ifndef BLT_COPY_H
#define BLT_COPY_H

#include "blt.h"
#include "booklet/core/engine.h"

struct copy_how {
	const struct format *fmt;  /* of the copy, as format_make left it */
	const char *path;          /* what the copy is called in messages */
	int64_t now;               /* the time of keys that come without one */
	blt_progress_fn *progress; /* or NULL */
	void *arg;
};

/* Fills an empty file and makes it durable. */
int copy_into(struct engine *from, struct file *to, const struct copy_how *how,
	      struct blt_error *err);

#endif
