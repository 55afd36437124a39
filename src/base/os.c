#include "base/os.h"

#include "base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

const char *unnamed_dir(void)
{
	const char *dir = getenv("TMPDIR");

	return dir && *dir ? dir : "/var/tmp";
}

int unnamed_file(const char *dir)
{
	char path[4096];
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0)
		return fd;
	/* what a filesystem, or an old kernel, that does not know it says */
	if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)
		return -errno;
	if (snprintf(path, sizeof(path), "%s/.blt-XXXXXX", dir) >=
	    (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	unlink(path);
	return fd;
}

void *unnamed_map(const char *dir, size_t len)
{
	int fd = unnamed_file(dir);
	void *at = MAP_FAILED;

	if (fd >= 0 && fallocate(fd, 0, 0, (off_t)len) == 0)
		at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fd >= 0)
		close(fd);
	if (at == MAP_FAILED)
		at = mmap(NULL, len, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return at == MAP_FAILED ? NULL : at;
}

const char *os_remote(int fd)
{
	static const struct {
		unsigned long magic;
		const char *name;
	} known[] = {
		{ FUSE_SUPER_MAGIC, "FUSE" }, { NFS_SUPER_MAGIC, "NFS" },
		{ SMB_SUPER_MAGIC, "SMB" },   { SMB2_SUPER_MAGIC, "SMB" },
		{ CIFS_SUPER_MAGIC, "CIFS" }, { V9FS_MAGIC, "9p" },
		{ CEPH_SUPER_MAGIC, "Ceph" }, { AFS_SUPER_MAGIC, "AFS" },
	};
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if ((unsigned long)fs.f_type == known[i].magic)
			return known[i].name;
	return NULL;
}

/* ---- the memory limit ---- */

static uint64_t read_limit(const char *path)
{
	FILE *from = fopen(path, "re");
	unsigned long long limit;
	uint64_t found = UINT64_MAX;

	if (!from)
		return found;
	/* v2 has the word "max" where there is none, v1 a huge number */
	if (fscanf(from, "%llu", &limit) == 1)
		found = limit;
	fclose(from);
	return found;
}

/* The limits of a group and of those that it is in. */
static uint64_t limit_of_group(const char *mount, const char *group,
			       const char *file)
{
	size_t len = strlen(group);
	uint64_t least = UINT64_MAX;
	char path[PATH_MAX];

	while (len > 0) {
		uint64_t limit;

		snprintf(path, sizeof(path), "%s%.*s/%s", mount, (int)len,
			 group, file);
		limit = read_limit(path);
		least = limit < least ? limit : least;
		while (len > 0 && group[--len] != '/')
			;
	}
	snprintf(path, sizeof(path), "%s/%s", mount, file);
	return min_u64(least, read_limit(path));
}

/* A line is "4:memory:/group", and "0::/group" for v2. */
uint64_t os_memory_limit(void)
{
	FILE *groups = fopen("/proc/self/cgroup", "re");
	uint64_t least = UINT64_MAX;
	char line[PATH_MAX];

	while (groups && fgets(line, sizeof(line), groups)) {
		char *rest = line, *controllers, *group;

		line[strcspn(line, "\n")] = '\0';
		strsep(&rest, ":");
		controllers = strsep(&rest, ":");
		group = rest;
		if (!group)
			continue;
		if (strcmp(controllers, "memory") == 0)
			least = min_u64(
				least,
				limit_of_group("/sys/fs/cgroup/memory", group,
					       "memory.limit_in_bytes"));
		else if (!*controllers)
			least = min_u64(least,
					limit_of_group("/sys/fs/cgroup", group,
						       "memory.max"));
	}
	if (groups)
		fclose(groups);
	return least;
}

/* A line is "1: FLOCK  ADVISORY  WRITE 123 08:01:4567 0 EOF", with "->" behind
 * the number for one that waits (proc(5)). */
pid_t lockinfo_pid(dev_t dev, ino_t ino)
{
	FILE *locks = fopen("/proc/locks", "re");
	char line[256];
	pid_t found = 0;

	if (!locks)
		return 0;
	while (!found && fgets(line, sizeof(line), locks)) {
		unsigned int major_no, minor_no;
		unsigned long inode;
		int pid;

		if (sscanf(line, "%*d: FLOCK %*s %*s %d %x:%x:%lu", &pid,
			   &major_no, &minor_no, &inode) == 4 &&
		    makedev(major_no, minor_no) == dev && inode == ino &&
		    pid > 0)
			found = pid;
	}
	fclose(locks);
	return found;
}

static void process_name(pid_t pid, char *to, size_t size)
{
	char path[64];
	FILE *comm;

	snprintf(to, size, "a process");
	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	comm = fopen(path, "re");
	if (!comm)
		return;
	if (fgets(to, (int)size, comm))
		to[strcspn(to, "\n")] = '\0';
	fclose(comm);
}

void lockinfo_holder(dev_t dev, ino_t ino, char *to, size_t size)
{
	pid_t pid = lockinfo_pid(dev, ino);
	char name[64];

	if (!pid) {
		snprintf(to, size, "another process");
		return;
	}
	process_name(pid, name, sizeof(name));
	snprintf(to, size, "%s (pid %d)", name, (int)pid);
}

int child_start(const struct child_how *how, pid_t *ret)
{
	short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, all;
	bool pinned;
	int rc;

	if (how->group)
		flags |= POSIX_SPAWN_SETPGROUP;
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, flags);
	posix_spawnattr_setpgroup(&attr, 0);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawn_file_actions_init(&files);
	for (int i = 0; i < how->n_fds; i++)
		if (how->fds[i] >= 0)
			posix_spawn_file_actions_adddup2(&files, how->fds[i],
							 i);
	if (how->dir)
		posix_spawn_file_actions_addchdir_np(&files, how->dir);
	pinned = thread_unpin();
	rc = posix_spawn(ret, how->program, &files, &attr, how->argv, how->env);
	thread_repin(pinned);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attr);
	return -rc;
}

const char *child_advice(int err)
{
	switch (-err) {
	case ENOENT:
		return "; give the path of a program, or the name of one that "
		       "PATH has";
	case EACCES:
		return "; make it a program (chmod +x), or give another";
	case ENOEXEC:
		return "; a script begins with a line like #!/bin/sh";
	default:
		return "";
	}
}

void child_shut(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void child_tail_add(struct child_tail *t, const char *said, size_t n)
{
	size_t keep;

	if (n > CHILD_TAIL) {
		said += n - CHILD_TAIL;
		n = CHILD_TAIL;
	}
	keep = (size_t)min_u64(t->len, CHILD_TAIL - n);
	memmove(t->text, t->text + t->len - keep, keep);
	memcpy(t->text + keep, said, n);
	t->len = keep + n;
}

void child_tail_line(const struct child_tail *t, char to[CHILD_TAIL_LINE])
{
	size_t len = t->len, n = 0;

	while (len && strchr("\n\r\t ", t->text[len - 1]))
		len--;
	if (len)
		memcpy(to, ": ", n = 2);
	for (size_t i = 0; i < len; i++) {
		char c = t->text[i];

		to[n++] = (unsigned char)c < ' ' || c == 0x7f ? ' ' : c;
	}
	to[n] = '\0';
}
