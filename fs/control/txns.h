/* txns.h - a mount's transactions.
 *
 * Each has a name and is a struct bltfs, whose root is a directory in the
 * control directory; everything in fs/ that works on a mount's files works on
 * it.  What it shows and keeps is the library's (blt_txn_begin).
 *
 * A transaction ends by its commit, its abort, or with the mount.  From then on
 * it has no name and all in it is -ESTALE; its memory goes when the kernel has
 * forgotten its last inode, which txns_sweep finds out.
 *
 * Errors: -errno; -ENOENT: no such transaction.  Any thread, but the calls that
 * end one wait for requests in it: none is held up by them.
 */
#ifndef FS_TXNS_H
#define FS_TXNS_H

#include "main/bltfs.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define TXNS_NAME_MAX 255

struct txns;

int txns_new(struct bltfs *fs, struct txns **ret);
/* Aborts all there are; no request can come any more. */
void txns_free(struct txns *t); /* NULL is fine */

/* name: of the directory; empty: a number that is free is chosen.  -EEXIST,
 * -EINVAL: no name of a directory, -ENAMETOOLONG.  Waits for the tree's walk.
 */
int txns_begin(struct txns *t, const char *name,
	       char ret_name[TXNS_NAME_MAX + 1]);
/* -EAGAIN: others have changed what it has read or written. */
int txns_commit(struct txns *t, const char *name, bool force);
int txns_abort(struct txns *t, const char *name);

/* Its root, with a reference, which is the caller's. */
int txns_root(struct txns *t, const char *name, struct inode **ret);

struct txns_info {
	char name[TXNS_NAME_MAX + 1];
	uint64_t ino; /* of its root */
	struct blt_txn_info txn;
};
/* The first whose name comes behind that, by its bytes; "": of all. */
int txns_next(struct txns *t, const char *name, struct txns_info *ret);

/* The path of the n-th key in conflict, malloc'd; -ENODATA behind the last. */
int txns_conflict(struct txns *t, const char *name, uint64_t n,
		  char **ret_path);

/* A line on each. */
void txns_print(struct txns *t, FILE *to);

/* Frees those that have ended and that the kernel has forgotten. */
void txns_sweep(struct txns *t);

#endif
