/* file_writeback.h - what is written to a file, until it is a value.
 *
 *   writeback_begin(fs, inode, false);          a write buffer with its value
 *   write_buffer_write(inode->buffer, ...);
 *   writeback_commit(fs, inode, last);          into the store, if changed
 *
 * The caller holds names shared (inode.h) and the inode's lock.  The buffer is
 * the inode's until its last handle is released (content.h).  Results are 0 or
 * -errno; a buffer that could not be stored is left as it was.
 */
#ifndef FS_FILE_WRITEBACK_H
#define FS_FILE_WRITEBACK_H

#include "main/bltfs.h"

/* Gives the inode a buffer, unless it has one: with its value, or an empty one.
 * -ESTALE: the file has been removed, and nobody had looked at its value. */
int writeback_begin(struct bltfs *fs, struct inode *inode, bool empty);

/* Whatever it held, it is empty now. */
int writeback_cut(struct bltfs *fs, struct inode *inode);

/* Puts the buffer into the store, changed or not.  last: no write will follow;
 * why it was refused is logged then. */
int writeback_put(struct bltfs *fs, struct inode *inode, bool last);

/* The same for what was changed, and for what an earlier call could not make
 * safe; what others read of the file is dropped. */
int writeback_commit(struct bltfs *fs, struct inode *inode, bool last);

/* The store has another value by now.  An open file that was written and stored
 * is still read from its buffer, and would be stored from it again: it goes,
 * but not what was changed and is not stored, which wins.  Takes the lock
 * itself.
 */
void writeback_drop(struct inode *inode);

/* What was closed could not be stored, with err: the kernel must not go on
 * showing it. */
void writeback_forget(struct bltfs *fs, struct inode *inode, int err);

#endif
