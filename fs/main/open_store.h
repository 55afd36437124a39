/* open_store.h - the store of a mount: opened as the options say, with messages
 * for who mounts it.
 *
 * Results are exit codes (sysexits.h), 0 for success; why is in the log.  opts
 * must last as long as the store.  One thread.
 */
#ifndef FS_OPEN_STORE_H
#define FS_OPEN_STORE_H

#include "blt.h"
#include "main/options.h"

/* path is the real one of opts->store. */
int open_store(const struct options *opts, const char *path, struct blt **ret);
/* Of an error of the store's. */
int exit_code(int err);

#endif
