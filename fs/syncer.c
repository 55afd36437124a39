#include "syncer.h"

#include "blt.h"
#include "log.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SYNC_BYTES (UINT64_C(32) << 20)

struct syncer {
	struct blt *store;
	unsigned seconds;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	uint64_t bytes; /* lock; since the last sync */
	bool changed;   /* lock */
	bool stop;      /* lock */
};

static void sync_now(struct syncer *s)
{
	int rc;

	s->changed = false;
	s->bytes = 0;
	pthread_mutex_unlock(&s->lock);
	rc = blt_sync(s->store);
	if (rc < 0)
		log_error("%s: changes could not be made durable: %s",
			  blt_path(s->store), strerror(-rc));
	pthread_mutex_lock(&s->lock);
}

/* Waits until it is time to sync, or to stop. */
static void wait_turn(struct syncer *s)
{
	struct timespec until;

	while (!s->changed && !s->stop)
		pthread_cond_wait(&s->wake, &s->lock);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (time_t)s->seconds;
	while (!s->stop && s->bytes < SYNC_BYTES) {
		if (pthread_cond_timedwait(&s->wake, &s->lock, &until) != 0)
			break;
	}
}

static void *run(void *arg)
{
	struct syncer *s = arg;

	pthread_mutex_lock(&s->lock);
	for (;;) {
		wait_turn(s);
		if (s->stop)
			break;
		sync_now(s);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

int syncer_new(struct blt *store, unsigned seconds, struct syncer **ret)
{
	struct syncer *s = calloc(1, sizeof(*s));
	pthread_condattr_t attr;
	int rc;

	if (!s)
		return -ENOMEM;
	s->store = store;
	s->seconds = seconds;
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->wake, &attr);
	pthread_condattr_destroy(&attr);
	rc = -pthread_create(&s->thread, NULL, run, s);
	if (rc < 0) {
		free(s);
		return rc;
	}
	*ret = s;
	return 0;
}

void syncer_free(struct syncer *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->thread, NULL);
	pthread_cond_destroy(&s->wake);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

void syncer_wrote(struct syncer *s, uint64_t bytes)
{
	pthread_mutex_lock(&s->lock);
	s->bytes += bytes;
	if (!s->changed || s->bytes >= SYNC_BYTES)
		pthread_cond_signal(&s->wake);
	s->changed = true;
	pthread_mutex_unlock(&s->lock);
}
