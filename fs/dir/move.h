/* move.h - rename(2).
 *
 * One batch moves all keys, so others see everything moved or nothing.  Open
 * files follow; what is replaced lives on for those who have it open.
 */
#ifndef FS_MOVE_H
#define FS_MOVE_H

#include "main/bltfs.h"

/* flags: those of renameat2(2).  No lock is held by the caller. */
int move_name(struct bltfs *fs, struct inode *from_dir, const char *from,
	      struct inode *to_dir, const char *to, unsigned flags);

#endif
