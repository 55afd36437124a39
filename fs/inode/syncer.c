#include "inode/syncer.h"

#include "blt.h"
#include "main/log.h"

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
	bool always;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	uint64_t bytes;           /* lock; since the last sync */
	bool changed;             /* lock */
	bool resting;             /* lock; the file is plain, unless changed */
	bool stop;                /* lock */
	uint64_t unseen;          /* lock; bytes since watch was called */
	void (*watch)(void *arg); /* lock */
	void *watch_arg;          /* lock */
	bool watching;            /* lock; it runs */
	bool late; /* the thread's own: a full disk, say, delays a sync */
};

static void say(struct syncer *s, const char *what, int err)
{
	log_error("%s: %s: %s", blt_path(s->store), what, strerror(-err));
}

/* Both let others go on while the store works. */

static void sync_store(struct syncer *s)
{
	int rc;

	pthread_mutex_unlock(&s->lock);
	rc = blt_sync(s->store);
	if (rc == -EIO)
		say(s,
		    "changes could not be made durable; it takes no more "
		    "writes until it is mounted again",
		    rc);
	else if (rc < 0 && !s->late)
		say(s,
		    "changes could not be made durable yet; that is tried "
		    "again",
		    rc);
	pthread_mutex_lock(&s->lock);
	s->late = rc < 0 && rc != -EIO;
	s->changed = s->changed || s->late;
}

static void settle_store(struct syncer *s)
{
	int rc;

	pthread_mutex_unlock(&s->lock);
	rc = blt_settle(s->store, false);
	if (rc < 0)
		say(s,
		    "could not be made a plain booklet file; it will be "
		    "recovered when it is opened next",
		    rc);
	pthread_mutex_lock(&s->lock);
}

static void look(struct syncer *s)
{
	void (*watch)(void *arg) = s->watch;
	void *arg = s->watch_arg;

	s->unseen = 0;
	if (!watch)
		return;
	s->watching = true;
	pthread_mutex_unlock(&s->lock);
	watch(arg);
	pthread_mutex_lock(&s->lock);
	s->watching = false;
	pthread_cond_broadcast(&s->wake);
}

/* Waits for the time between two syncs to pass, or for something to do before
 * that: so many bytes, the end. */
static void wait_turn(struct syncer *s)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (time_t)s->seconds;
	while (!s->stop && s->bytes < SYNC_BYTES) {
		if (s->unseen >= SYNCER_LOOK)
			look(s);
		else if (pthread_cond_timedwait(&s->wake, &s->lock, &until))
			break;
	}
}

/* One turn: what was written is made durable; a store that rests is made a
 * plain booklet file, so that it is one even if the daemon dies now. */
static void take_turn(struct syncer *s)
{
	if (s->changed) {
		s->changed = false;
		s->bytes = 0;
		s->resting = false;
		sync_store(s);
		look(s);
	} else {
		s->resting = true;
		settle_store(s);
	}
}

static void *run(void *arg)
{
	struct syncer *s = arg;

	pthread_mutex_lock(&s->lock);
	for (;;) {
		while (!s->changed && s->resting && !s->stop)
			pthread_cond_wait(&s->wake, &s->lock);
		wait_turn(s);
		if (s->stop)
			break;
		take_turn(s);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

int syncer_new(struct blt *store, unsigned seconds, bool always,
	       struct syncer **ret)
{
	struct syncer *s = calloc(1, sizeof(*s));
	pthread_condattr_t attr;
	int rc;

	if (!s)
		return -ENOMEM;
	s->store = store;
	s->seconds = seconds;
	s->always = always;
	s->resting = true;
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

void syncer_watch(struct syncer *s, void (*fn)(void *arg), void *arg)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->watch = fn;
	s->watch_arg = arg;
	while (!fn && s->watching)
		pthread_cond_wait(&s->wake, &s->lock);
	pthread_mutex_unlock(&s->lock);
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

void syncer_note(struct syncer *s, uint64_t bytes)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->bytes += bytes;
	s->unseen += bytes;
	if (!s->changed || s->bytes >= SYNC_BYTES || s->unseen >= SYNCER_LOOK)
		pthread_cond_broadcast(&s->wake);
	s->changed = true;
	pthread_mutex_unlock(&s->lock);
}

int syncer_commit(struct syncer *s, uint64_t bytes)
{
	if (!s)
		return 0;
	syncer_note(s, bytes);
	return s->always ? blt_sync(s->store) : blt_flush(s->store);
}

int syncer_names(struct syncer *s, struct blt_batch *batch)
{
	int rc = blt_batch_commit_flush(batch);

	if (rc < 0 && rc != -ENOENT && s)
		say(s, "a change of names could not be written", rc);
	return rc;
}

int syncer_done(struct syncer *s, uint64_t bytes)
{
	int rc;

	if (!s)
		return 0;
	syncer_note(s, bytes);
	rc = s->always ? blt_sync(s->store) : 0;
	if (rc < 0)
		say(s, "a change of names could not be made durable", rc);
	return rc < 0 ? -EIO : 0;
}
