#include "base/lockinfo.h"

#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

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
