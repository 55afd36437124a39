#include "map/pool_inner.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILD_FDS 4
#define ABOVE_CHILD 10
#define KILL_ROUNDS 10
#define KILL_DEPTH 64

/* In a process without standard streams a new descriptor may have a number
 * that the child's own are to have. */
static int move_up(int *fd)
{
	int up;

	if (*fd >= ABOVE_CHILD)
		return 0;
	up = fcntl(*fd, F_DUPFD_CLOEXEC, ABOVE_CHILD);
	if (up < 0)
		return -errno;
	close(*fd);
	*fd = up;
	return 0;
}

/* The two pairs; its[0] is the child's socket, its[1] its standard error. */
static int make_channels(struct pool_worker *w, int its[2])
{
	int fd[2], rc;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) < 0)
		return -errno;
	w->fd = fd[0];
	its[0] = fd[1];
	if (pipe2(fd, O_CLOEXEC) < 0)
		return -errno;
	w->err = fd[0];
	its[1] = fd[1];
	if (fcntl(w->fd, F_SETFL, O_NONBLOCK) < 0 ||
	    fcntl(w->err, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	rc = move_up(&its[0]);
	return rc < 0 ? rc : move_up(&its[1]);
}

int pool_worker_start(struct pool_worker *w, const struct pool_how *how)
{
	int its[2] = { -1, -1 };
	int rc;

	w->fd = w->err = -1;
	rc = make_channels(w, its);
	if (rc == 0) {
		const int fds[CHILD_FDS] = { its[0], its[0], its[1],
					     how->store_fd };
		const struct child_how child = { .program = how->program,
						 .argv = how->argv,
						 .env = how->env,
						 .dir = how->dir,
						 .fds = fds,
						 .n_fds = CHILD_FDS,
						 .group = true };

		rc = child_start(&child, &w->pid);
	}
	child_shut(&its[0]);
	child_shut(&its[1]);
	if (rc < 0) {
		child_shut(&w->fd);
		child_shut(&w->err);
		return rc;
	}
	wire_in_init(&w->in);
	wire_out_init(&w->out);
	w->state = POOL_STARTING;
	w->places = w->keys = w->late = false;
	w->wants = 0;
	w->average = 0;
	w->tail.len = 0;
	return 0;
}

void pool_worker_listen(struct pool_worker *w)
{
	char said[4096];

	/* A flood must not keep us from the others. */
	for (int i = 0; i < 16 && w->err >= 0; i++) {
		ssize_t n = read(w->err, said, sizeof(said));

		if (n > 0)
			child_tail_add(&w->tail, said, (size_t)n);
		else if (n == 0 || (errno != EAGAIN && errno != EINTR))
			child_shut(&w->err);
		else
			return;
	}
}

bool pool_worker_ended(const struct pool_worker *w)
{
	siginfo_t info = { 0 };

	if (waitid(P_PID, (id_t)w->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
		return errno == ECHILD;
	return info.si_pid == w->pid;
}

/* All below a process, but not itself; whether any was.  One that is stopped
 * does not reap, so that the numbers stay those of its children. */
static bool kill_below(pid_t pid, int depth)
{
	char path[64];
	FILE *f;
	int child;
	bool any = false;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid,
		 (int)pid);
	kill(pid, SIGSTOP);
	f = depth > 0 ? fopen(path, "re") : NULL;
	if (!f)
		return false;
	while (fscanf(f, "%d", &child) == 1) {
		kill_below(child, depth - 1);
		kill(child, SIGKILL);
		any = true;
	}
	fclose(f);
	return any;
}

/* What has left the group, too.  The worker is stopped, or it would begin the
 * item anew; what loses its parent becomes its child, and is met by the next
 * round. */
static void kill_descendants(pid_t worker)
{
	for (int i = 0; i < KILL_ROUNDS && kill_below(worker, KILL_DEPTH); i++)
		;
}

int pool_worker_kill(struct pool_worker *w)
{
	int status = -1;
	pid_t got;

	if (w->state == POOL_NONE)
		return -1;
	pool_worker_listen(w);
	kill_descendants(w->pid);
	/* Not reaped yet, so the group is still this one's. */
	kill(-w->pid, SIGKILL);
	do
		got = waitpid(w->pid, &status, 0);
	while (got < 0 && errno == EINTR);
	child_shut(&w->fd);
	child_shut(&w->err);
	wire_in_free(&w->in);
	wire_out_free(&w->out);
	w->state = POOL_NONE;
	return got < 0 ? -1 : status;
}
