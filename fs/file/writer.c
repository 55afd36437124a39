#include "file/writer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum kin { KIN_SAME, KIN_OTHER, KIN_UNKNOWN };

/* 0: thread belongs to the process of of; or -errno. */
static int find_task(pid_t of, pid_t thread)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d", (int)of, (int)thread);
	return access(path, F_OK) < 0 ? -errno : 0;
}

/* Whether the numbers in /proc are those that the kernel gives us. */
static bool proc_is_ours(void)
{
	char self[32];
	ssize_t n = readlink("/proc/self", self, sizeof(self) - 1);

	if (n <= 0)
		return false;
	self[n] = '\0';
	return strtol(self, NULL, 10) == (long)getpid();
}

/* KIN_OTHER only of two that both live and can be looked at. */
static enum kin kin(pid_t one, pid_t two)
{
	if (one == two)
		return KIN_SAME;
	if (one <= 0 || two <= 0 || !proc_is_ours())
		return KIN_UNKNOWN;
	if (find_task(one, two) == 0)
		return KIN_SAME;
	return find_task(one, one) == 0 && find_task(two, two) == 0 &&
			       find_task(one, two) == -ENOENT ?
		       KIN_OTHER :
		       KIN_UNKNOWN;
}

void writer_wrote(writer_t *w, pid_t thread)
{
	pid_t was = atomic_load(w);
	pid_t now;

	do {
		now = thread > 0 ? thread : WRITER_ANY;
		if (was != WRITER_NONE)
			now = kin(was, now) == KIN_SAME ? was : WRITER_ANY;
	} while (!atomic_compare_exchange_weak(w, &was, now));
}

bool writer_closes(writer_t *w, pid_t thread)
{
	pid_t was = atomic_load(w);

	if (was == WRITER_NONE || kin(was, thread) == KIN_OTHER)
		return false;
	atomic_store(w, WRITER_NONE);
	return true;
}
