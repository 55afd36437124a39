/* pg_change.h - what the operations of a batch come to, key by key.
 *
 *   rc = pg_changes_new(&c, first);              its keys, sorted
 *   ...                                          each row locked, and told:
 *   pg_changes_found(&c, key, len, mtime, ver);
 *   rc = pg_changes_run(&c, first);              the operations, in memory
 *   for each c.at[i]: put, move, touch or drop what has become of it
 *   pg_changes_free(&c);
 *
 * Nothing here asks the server.  Operations are borrowed.  Errors: as those of
 * a commit (backend.h).  One thread.
 */
#ifndef BLT_PG_CHANGE_H
#define BLT_PG_CHANGE_H

#include "engine/backend.h"

struct pg_change {
	const void *key;
	size_t len;
	bool was; /* there, when the batch began */
	bool is;  /* there, now */
	bool touched;
	int64_t mtime, old_mtime; /* touched, or put */
	uint64_t ver;             /* of what is there now */
	uint64_t old_ver;
	/* What is there now: the value of put, or else the row that this key
	 * had when the batch began. */
	const struct backend_op *put;
	size_t from;
};

struct pg_changes {
	struct pg_change *at; /* sorted by key */
	size_t n;
	bool serial; /* what is absent counts, and no row can be locked */
};

int pg_changes_new(struct pg_changes *c, struct backend_op *first);
void pg_changes_found(struct pg_changes *c, const void *key, size_t len,
		      int64_t mtime, uint64_t ver);
/* From the beginning again: nothing was found, nothing was run. */
void pg_changes_reset(struct pg_changes *c);
/* Whether the operation's key was there when the batch began. */
bool pg_changes_was(struct pg_changes *c, const struct backend_op *op);
int pg_changes_run(struct pg_changes *c, struct backend_op *first);
void pg_changes_free(struct pg_changes *c);

#endif
