/* mountinfo.h - the mounts of a mount namespace, as /proc shows them.
 *
 *   struct mountinfo m;
 *
 *   if (mountinfo_find("/srv/kv", &m) == 0)
 *           ...
 *   mountinfo_free(&m);
 *
 * Ownership: the strings of what mountinfo_find fills in are the caller's.
 * Errors: negative errnos.  Any thread.
 */
#ifndef BASE_MOUNTINFO_H
#define BASE_MOUNTINFO_H

#include <stdbool.h>
#include <stddef.h>

#define MOUNTINFO_BLTFS "fuse.bltfs"

struct mountinfo {
	char *point;
	char *type;
	char *source;
	bool read_only;
	unsigned major, minor; /* of the device that stat shows */
};

/* All mounts in their order, borrowed for the call, until fn returns something
 * else than 0, which it returns; or a negative errno. */
int mountinfo_each(int (*fn)(void *arg, const struct mountinfo *m), void *arg);
/* The same of a file like /proc/PID/mountinfo. */
int mountinfo_each_in(const char *path,
		      int (*fn)(void *arg, const struct mountinfo *m),
		      void *arg);
/* The uppermost mount at exactly that path.  0, -ENOENT: it is none, or as the
 * system gave it. */
int mountinfo_find(const char *point, struct mountinfo *ret);
void mountinfo_free(struct mountinfo *m);

/* Who has the store: "is mounted on /srv/kv, by bltfs (pid 12)", or "is in use
 * by python3 (pid 13)".  Whether it is mounted. */
bool mountinfo_user(const char *store, char *to, size_t size);

#endif
