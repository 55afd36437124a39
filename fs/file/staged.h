/* staged.h - what is written to a file, until it is a value of the store.
 *
 *   staged_begin(fs, node, false);       the node has a stage, of its value
 *   stage_write(node->stage, ...);
 *   staged_commit(fs, node, last);       into the store, if it was changed
 *
 * All want names shared (node.h) and the node's lock held.  The stage is the
 * node's until its last handle is released (content.h).  Results are 0 or
 * -errno; where a stage could not be stored it is left as it was.
 */
#ifndef FS_STAGED_H
#define FS_STAGED_H

#include "main/bltfs.h"

/* Gives the node a stage, unless it has one: with its value, or an empty one.
 * -ESTALE: the file has been removed, and nobody had looked at its value. */
int staged_begin(struct bltfs *fs, struct node *node, bool empty);

/* Whatever it held, it is empty now. */
int staged_cut(struct bltfs *fs, struct node *node);

/* Puts the stage into the store, changed or not.  last: no write will follow;
 * why it was refused is logged then. */
int staged_put(struct bltfs *fs, struct node *node, bool last);

/* The same for what was changed, and for what an earlier call could not make
 * safe; what others read of the file is dropped. */
int staged_commit(struct bltfs *fs, struct node *node, bool last);

/* The store has another value by now.  An open file that was written and stored
 * is still read from its stage, and would be stored from it again: it goes, but
 * not what was changed and is not stored, which wins.  Takes the lock itself.
 */
void staged_drop(struct node *node);

/* What was closed could not be stored, with err: the kernel must not go on
 * showing it. */
void staged_forget(struct bltfs *fs, struct node *node, int err);

#endif
