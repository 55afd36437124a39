/* os.h - what the operating system is asked for: files without a name, the
 * holder of a lock, the memory limit, child processes.  Any thread.
 */
#ifndef BLT_OS_H
#define BLT_OS_H

#include <linux/magic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Temporary files that nobody can find, and that vanish with their
 * descriptor.  Any thread.
 */

/* A descriptor for reading and writing, in that directory; or a negative
 * errno. */
int unnamed_file(const char *dir);

/* Memory of that length whose pages are those of such a file, which the system
 * writes out and takes back as it needs; where there is no room for one, plain
 * pages.  NULL; else for munmap. */
void *unnamed_map(const char *dir, size_t len);

/* Where such files go if nowhere else: TMPDIR, or what may be there for long.
 */
const char *unnamed_dir(void);

/* Filesystems that linux/magic.h does not name everywhere. */
#ifndef SMB2_SUPER_MAGIC
#define SMB2_SUPER_MAGIC 0xFE534D42
#endif
#ifndef CIFS_SUPER_MAGIC
#define CIFS_SUPER_MAGIC 0xFF534D42
#endif

/* The name of the filesystem that a file is on, where the kernel caches it for
 * a server (FUSE, NFS, SMB, 9p); else NULL. */
const char *os_remote(int fd);

/* The least of the memory limits of the control groups that this process is in
 * (cgroups(7), v1 and v2), in bytes; UINT64_MAX: none is known. */
uint64_t os_memory_limit(void);

/* Who holds the lock on a file, as far as the system tells.
 *
 * Reads /proc/locks; any thread.
 */

/* The pid of a process that holds a flock on the file, or 0 where it is not
 * known (another pid namespace, no /proc, nobody). */
pid_t lockinfo_pid(dev_t dev, ino_t ino);

/* The same as words: "bltfs (pid 123)", or "another process". */
void lockinfo_holder(dev_t dev, ino_t ino, char *to, size_t size);

/* Starting a process of a map, and what it says on standard error.
 *
 * Errors: a negative errno.  One thread per tail; the rest is free of state.
 */

#define CHILD_TAIL 400
#define CHILD_TAIL_LINE (CHILD_TAIL + 3)

/* The last that it said. */
struct child_tail {
	char text[CHILD_TAIL];
	size_t len;
};

struct child_how {
	const char *program; /* a path */
	char *const *argv, *const *env;
	const char *dir; /* its working directory; NULL: the caller's */
	const int *fds;  /* become its 0 to n_fds - 1; -1: none there */
	int n_fds;
	bool group; /* it leads a process group of its own */
};

/* It blocks and ignores no signals, whatever its parent does. */
int child_start(const struct child_how *how, pid_t *ret);

/* What to do where a program cannot be run for that errno: "; ..." or "". */
const char *child_advice(int err);

/* Closes a descriptor that is open, and makes it -1. */
void child_shut(int *fd);

void child_tail_add(struct child_tail *t, const char *said, size_t n);

/* As one line behind ": ", or "". */
void child_tail_line(const struct child_tail *t, char to[CHILD_TAIL_LINE]);

#endif
