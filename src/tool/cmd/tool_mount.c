/* tool_mount.c - mounts and the processes around them, as /proc shows them. */
#include "tool/tool.h"
#include "tool/tool_system.h"
#include "base/util.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* The kernel may know what stat asks for, but not this. */
bool tool_mount_is_dead(const char *point)
{
	struct statfs st;

	return statfs(point, &st) < 0 && errno == ENOTCONN;
}

/* ---- who holds a lock ---- */

static bool runs(long pid, const char *comm)
{
	char path[64], name[32] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%ld/comm", pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	if (!fgets(name, sizeof(name), f))
		name[0] = '\0';
	fclose(f);
	name[strcspn(name, "\n")] = '\0';
	return !strcmp(name, comm);
}

/* "1: FLOCK  ADVISORY  WRITE 1234 08:01:5678 0 EOF": the pid, or 0.  A writer's
 * lock excludes all others, so whoever has it is the one; the device number
 * there is not stat's on every filesystem, then the program's name decides. */
static long parse_lock(const char *line, const struct stat *st,
		       const char *comm)
{
	unsigned major, minor;
	char mode[16];
	uint64_t ino;
	bool same_dev;
	long pid;

	if (sscanf(line, "%*s FLOCK %*s %15s %ld %x:%x:%" SCNu64, mode, &pid,
		   &major, &minor, &ino) != 5 ||
	    pid <= 0 || ino != st->st_ino)
		return 0;
	same_dev = makedev(major, minor) == st->st_dev;
	if (same_dev && !strcmp(mode, "WRITE"))
		return pid;
	return runs(pid, comm) ? pid : 0;
}

int tool_lock_holders(const char *path, const char *comm, int *fds, int max)
{
	struct stat st;
	char *line = NULL;
	size_t room = 0;
	int n = 0;
	FILE *f;

	if (stat(path, &st) < 0)
		return -errno;
	f = fopen("/proc/locks", "re");
	if (!f)
		return -errno;
	while (n < max && getline(&line, &room, f) > 0) {
		long pid = parse_lock(line, &st, comm);
		long fd;

		if (!pid)
			continue;
		fd = syscall(SYS_pidfd_open, pid, 0);
		if (fd >= 0)
			fds[n++] = (int)fd;
	}
	free(line);
	fclose(f);
	return n;
}

/* ---- who keeps a mount busy ---- */

static bool is_below(const char *path, const char *point)
{
	size_t len = strlen(point);

	return !strncmp(path, point, len) &&
	       (path[len] == '/' || path[len] == '\0');
}

static bool link_is_below(int dir, const char *name, const char *point)
{
	char to[4096];
	ssize_t n = readlinkat(dir, name, to, sizeof(to) - 1);

	if (n <= 0)
		return false;
	to[n] = '\0';
	return is_below(to, point);
}

static bool has_file_below(int dir, const char *point)
{
	int fd = openat(dir, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *e;
	bool found = false;
	DIR *d;

	if (fd < 0)
		return false;
	d = fdopendir(fd);
	if (!d) {
		close(fd);
		return false;
	}
	while (!found && (e = readdir(d)))
		found = link_is_below(dirfd(d), e->d_name, point);
	closedir(d);
	return found;
}

static bool has_mapping_below(int dir, const char *point)
{
	int fd = openat(dir, "maps", O_RDONLY | O_CLOEXEC);
	char *line = NULL, *path;
	size_t room = 0;
	bool found = false;
	FILE *f;

	if (fd < 0)
		return false;
	f = fdopen(fd, "r");
	if (!f) {
		close(fd);
		return false;
	}
	while (!found && getline(&line, &room, f) > 0) {
		path = strchr(line, '/');
		found = path && is_below(path, point);
	}
	free(line);
	fclose(f);
	return found;
}

static bool uses(int dir, const char *point)
{
	return link_is_below(dir, "cwd", point) ||
	       link_is_below(dir, "root", point) ||
	       link_is_below(dir, "exe", point) || has_file_below(dir, point) ||
	       has_mapping_below(dir, point);
}

/* Each process but this one that fits, as "12 (bash), 14 (vim)". */
static void list_processes(bool (*fits)(int dir, void *arg), void *arg,
			   char *buf, size_t len)
{
	DIR *proc = opendir("/proc");
	struct dirent *e;
	size_t at = 0;

	buf[0] = '\0';
	while (proc && (e = readdir(proc)) && at < len) {
		char comm[32] = "?";
		ssize_t n = 0;
		int dir, fd;

		if (!isdigit((unsigned char)e->d_name[0]) ||
		    strtol(e->d_name, NULL, 10) == getpid())
			continue;
		dir = openat(dirfd(proc), e->d_name,
			     O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (dir < 0)
			continue;
		if (fits(dir, arg)) {
			fd = openat(dir, "comm", O_RDONLY | O_CLOEXEC);
			if (fd >= 0) {
				n = read(fd, comm, sizeof(comm) - 1);
				close(fd);
			}
			comm[n > 0 ? n : 1] = '\0';
			comm[strcspn(comm, "\n")] = '\0';
			at += (size_t)snprintf(buf + at, len - at, "%s%s (%s)",
					       at ? ", " : "", e->d_name, comm);
		}
		close(dir);
	}
	if (proc)
		closedir(proc);
}

static bool uses_it(int dir, void *arg)
{
	return uses(dir, arg);
}

/* What this process has open it was given by another. */
void tool_users_of(const char *point, char *buf, size_t len)
{
	list_processes(uses_it, (void *)(uintptr_t)point, buf, len);
}

/* ---- who has a copy of a mount ---- */

struct copies {
	const struct mountinfo *of;
	ino_t seen[32]; /* namespaces; the first is this process's */
	size_t n;
};

static int is_copy(void *arg, const struct mountinfo *m)
{
	const struct mountinfo *of = arg;

	return m->major == of->major && m->minor == of->minor;
}

/* A process a namespace, since all of one have the same mounts. */
static bool has_copy(int dir, void *arg)
{
	struct copies *c = arg;
	char path[64];
	struct stat st;

	if (fstatat(dir, "ns/mnt", &st, 0) < 0)
		return false;
	for (size_t i = 0; i < c->n; i++)
		if (c->seen[i] == st.st_ino)
			return false;
	if (c->n < ARRAY_SIZE(c->seen))
		c->seen[c->n++] = st.st_ino;
	snprintf(path, sizeof(path), "/proc/self/fd/%d/mountinfo", dir);
	return mountinfo_each_in(path, is_copy, (void *)(uintptr_t)c->of) == 1;
}

void tool_mount_copies(const struct mountinfo *m, char *buf, size_t len)
{
	struct copies c = { .of = m };
	struct stat st;

	if (stat("/proc/self/ns/mnt", &st) == 0)
		c.seen[c.n++] = st.st_ino;
	list_processes(has_copy, &c, buf, len);
}
