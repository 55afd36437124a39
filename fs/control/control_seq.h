/* control_seq.h - a directory's ioctls as a sequence: what src/blt_seq.h has,
 * asked with a struct bltfs_seq.
 *
 * May wait for the tree's walk, and for other changes of sequences; a change is
 * known to the kernel when it returns.  So it is for a thread that answers no
 * other request, with no lock held.  c takes pieces of arguments and keeps what
 * does not fit into an answer; the store is that of the inode.
 *
 * Results are 0 or -errno.
 */
#ifndef FS_CONTROL_SEQ_H
#define FS_CONTROL_SEQ_H

#include "main/bltfs.h"
#include "bltfs_ioctl.h"

int control_seq(struct control *c, struct inode *dir, struct bltfs_seq *x);

#endif
