#include "base/child.h"

#include "base/util.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <unistd.h>

int child_start(const struct child_how *how, pid_t *ret)
{
	short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, all;
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
	rc = posix_spawn(ret, how->program, &files, &attr, how->argv, how->env);
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
