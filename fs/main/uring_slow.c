#include "main/uring_inner.h"

#include "base/util.h"

#include <errno.h>

void uring_slow_init(struct uring_slow *s)
{
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->wake, NULL);
	s->tail = &s->head;
}

static struct uring_entry *take(struct uring_slow *s)
{
	struct uring_entry *e;

	pthread_mutex_lock(&s->lock);
	s->n_idle++;
	while (!s->head && !s->stop)
		pthread_cond_wait(&s->wake, &s->lock);
	s->n_idle--;
	e = s->head;
	if (e)
		s->head = e->next;
	if (!s->head)
		s->tail = &s->head;
	pthread_mutex_unlock(&s->lock);
	return e;
}

static void *run(void *arg)
{
	struct uring_slow *s = arg;
	struct uring_entry *e;

	while ((e = take(s)))
		uring_entry_handle(e);
	return NULL;
}

/* lock is held. */
static int add_thread(struct uring_slow *s)
{
	int rc;

	if (s->n_threads == URING_SLOW_MAX)
		return 0;
	rc = thread_start(&s->thread[s->n_threads], run, s);
	s->n_threads += rc == 0;
	return s->n_threads ? 0 : rc;
}

int uring_slow_add(struct uring_slow *s, struct uring_entry *e)
{
	int rc = 0;

	e->next = NULL;
	pthread_mutex_lock(&s->lock);
	/* one that is woken counts as idle until it runs */
	if (s->head || s->n_idle == 0)
		rc = add_thread(s);
	if (rc == 0) {
		*s->tail = e;
		s->tail = &e->next;
		pthread_cond_signal(&s->wake);
	}
	pthread_mutex_unlock(&s->lock);
	return rc;
}

void uring_slow_stop(struct uring_slow *s)
{
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_cond_broadcast(&s->wake);
	pthread_mutex_unlock(&s->lock);
	for (unsigned i = 0; i < s->n_threads; i++)
		pthread_join(s->thread[i], NULL);
	s->n_threads = 0;
}

void uring_slow_release(struct uring_slow *s)
{
	uring_slow_stop(s);
	pthread_cond_destroy(&s->wake);
	pthread_mutex_destroy(&s->lock);
}
