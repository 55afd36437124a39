#include "main/daemon.h"

#include "inode/notify_queue.h"

#include <errno.h>
#include <fuse_lowlevel.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

/* Interrupts the looping thread's wait; means nothing else. */
#define WAKE SIGUSR1
/* A wake-up that comes too early is repeated after this time. */
#define AGAIN_NS 10000000L

struct signals {
	struct fuse_session *session;
	struct notify_queue *notify_queue;
	pthread_t looping;
	pthread_t thread;
	atomic_bool over; /* the loop has ended */
};

static void ours(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
}

void signals_ignore(void)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };

	sigaction(SIGPIPE, &ignore, NULL);
	sigaction(SIGXFSZ, &ignore, NULL);
}

void signals_block(void)
{
	sigset_t set;

	ours(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static void *run(void *arg)
{
	const struct timespec pause = { .tv_nsec = AGAIN_NS };
	struct signals *s = arg;
	sigset_t set;
	int which;

	ours(&set);
	while (sigwait(&set, &which) != 0)
		;
	if (!atomic_load(&s->over)) {
		notify_queue_stop(s->notify_queue);
		fuse_session_exit(s->session);
	}
	while (!atomic_load(&s->over)) {
		pthread_kill(s->looping, WAKE);
		nanosleep(&pause, NULL);
	}
	return NULL;
}

static void nothing(int signal)
{
	(void)signal;
}

int signals_start(struct fuse_session *se, struct notify_queue *notify_queue,
		  struct signals **ret)
{
	struct sigaction wake = { .sa_handler = nothing };
	struct signals *s = calloc(1, sizeof(*s));
	sigset_t wakes;
	int rc;

	if (!s)
		return -ENOMEM;
	/* whoever started us may have blocked it */
	sigemptyset(&wakes);
	sigaddset(&wakes, WAKE);
	pthread_sigmask(SIG_UNBLOCK, &wakes, NULL);
	s->session = se;
	s->notify_queue = notify_queue;
	s->looping = pthread_self();
	sigaction(WAKE, &wake, NULL);
	rc = -pthread_create(&s->thread, NULL, run, s);
	if (rc < 0) {
		free(s);
		return rc;
	}
	*ret = s;
	return 0;
}

void signals_stop(struct signals *s)
{
	if (!s)
		return;
	atomic_store(&s->over, true);
	/* where none came, its thread still waits for one */
	pthread_kill(s->thread, SIGTERM);
	pthread_join(s->thread, NULL);
	free(s);
}
