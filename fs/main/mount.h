/* mount.h - the life of a mount, from checked options to the exit code.
 *
 *   parent: mount_run -> detach: fork, wait for the child's word, exit
 *   child:  check the mount point -> open the store -> mount -> threads
 *           -> loop ... the kernel's INIT: live, tell the parent, let go of
 *           the terminal
 *           -> unmount -> put what is buffered -> stop threads -> close
 *
 * What fails before the mount is live is told on stderr, and the command fails
 * with the code.  No thread exists before the fork.
 */
#ifndef FS_MOUNT_H
#define FS_MOUNT_H

#include "main/options.h"

/* Returns an exit code of sysexits.h. */
int mount_run(const struct options *opts);

#endif
