/* beside.h - what the kernel keeps of a store that other processes change, too.
 *
 * Of such a store (struct blt_info, shared) the kernel keeps no names and no
 * attributes: it asks each time, so each lookup and stat shows what is there.
 * What it does keep is a file's pages and a directory's listing, as long as no
 * other process has changed anything, which a count tells that costs next to
 * nothing (blt_changes_by_others):
 *
 *   opened     beside_opened says whether what the kernel kept is still right;
 *              where not, the kernel drops it with the answer
 *   read       beside_read notes what it is right for
 *   open       while anything is, a thread looks every so often, and has the
 *              kernel forget what it keeps of what is open, or mapped
 *
 *   beside_new(fs, ms, &fs->beside);      behind the notifier
 *   beside_stop(fs->beside);              before that stops
 *   beside_free(fs->beside);              when nothing is open any more
 *
 * Without a struct beside (fs->beside NULL) all these may be called, too.
 * Errors: -errno.  Threads: any; no lock need be held, and no node's may be.
 */
#ifndef FS_BESIDE_H
#define FS_BESIDE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct beside;
struct bltfs;
struct node;

/* One open file or directory. */
struct beside_open {
	struct beside_open *next, **at; /* of all; under struct beside's lock */
	struct node *node;
	/* The kernel dropped what it kept when this was opened: 1 + the count
	 * of then, until the first reading; or 0. */
	_Atomic uint64_t dropped;
};

int beside_new(struct bltfs *fs, unsigned ms, struct beside **ret);
void beside_stop(struct beside *b); /* NULL is fine */
void beside_free(struct beside *b); /* NULL is fine */

/* Whether the kernel may go on with what it keeps of the node. */
bool beside_opened(struct bltfs *fs, struct node *node, struct beside_open *o);
/* Something of it was read, and is about to be answered. */
void beside_read(struct bltfs *fs, struct beside_open *o);
void beside_closed(struct bltfs *fs, struct beside_open *o);

#endif
