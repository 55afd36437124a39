/* mountpoint.h - is this a directory to mount on, and where is the store?
 *
 * Failures are logged with what to do; the result is then an exit code of
 * sysexits.h, 0 where all is well.
 */
#ifndef FS_MOUNTPOINT_H
#define FS_MOUNTPOINT_H

#include "main/options.h"

/* Both paths without links and ".."; the caller frees them.  Takes away a mount
 * that a dead daemon left behind. */
int mountpoint_find(const struct options *opts, char **ret_store,
		    char **ret_mountpoint);

#endif
