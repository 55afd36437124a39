/* lockinfo.h - who holds the lock on a file, as far as the system tells.
 *
 * Reads /proc/locks; any thread.
 */
#ifndef BLT_LOCKINFO_H
#define BLT_LOCKINFO_H

#include <stddef.h>
#include <sys/types.h>

/* The pid of a process that holds a flock on the file, or 0 where it is not
 * known (another pid namespace, no /proc, nobody). */
pid_t lockinfo_pid(dev_t dev, ino_t ino);

/* The same as words: "bltfs (pid 123)", or "another process". */
void lockinfo_holder(dev_t dev, ino_t ino, char *to, size_t size);

#endif
