#include "booklet/log/group_commit.h"

#include "base/util.h"

#include <errno.h>
#include <semaphore.h>

/* The longest that callers are waited for. */
#define GATHER_MOST_US 1000

/* Stands on the stack of the thread that waits; whoever posts woken touches it
 * no more. */
struct group_commit_waiter {
	struct group_commit_waiter *next;
	sem_t woken;
	bool leads; /* else it has been done, with this result */
	int result;
};

static void forget_waiters(struct group_commit *g)
{
	g->first = NULL;
	g->last = &g->first;
	g->n = 0;
}

void group_commit_init(struct group_commit *g)
{
	*g = (struct group_commit){ .expected = 1 };
	forget_waiters(g);
	pthread_mutex_init(&g->lock, NULL);
	steady_cond_init(&g->enough);
}

void group_commit_release(struct group_commit *g)
{
	pthread_cond_destroy(&g->enough);
	pthread_mutex_destroy(&g->lock);
}

static bool has_enough(const struct group_commit *g)
{
	return g->n + 1 >= g->expected;
}

/* With lock held. */
static void gather(struct group_commit *g)
{
	int64_t until = steady_us() + (int64_t)min_u64((uint64_t)g->took_us / 2,
						       GATHER_MOST_US);
	struct timespec ts = steady_timespec(until);

	g->gathering = true;
	while (!has_enough(g))
		if (pthread_cond_timedwait(&g->enough, &g->lock, &ts))
			break;
	g->gathering = false;
}

static void wake(struct group_commit_waiter *w, int result)
{
	while (w) {
		struct group_commit_waiter *next = w->next;

		w->result = result;
		sem_post(&w->woken);
		w = next;
	}
}

/* With lock held: one of those who have come meanwhile goes on, if any. */
static struct group_commit_waiter *next_leader(struct group_commit *g)
{
	struct group_commit_waiter *w = g->first;

	g->led = w != NULL;
	if (!w)
		return NULL;
	g->first = w->next;
	if (!g->first)
		g->last = &g->first;
	g->n--;
	w->next = NULL;
	w->leads = true;
	return w;
}

/* With lock held, which is let go of. */
static int lead(struct group_commit *g, int (*fn)(void *arg), void *arg)
{
	struct group_commit_waiter *served, *next;
	unsigned n;
	int64_t start;
	int rc;

	if (!has_enough(g))
		gather(g);
	served = g->first;
	n = g->n + 1;
	forget_waiters(g);
	pthread_mutex_unlock(&g->lock);

	start = steady_us();
	rc = fn(arg);

	pthread_mutex_lock(&g->lock);
	g->took_us = steady_us() - start;
	g->expected = n + g->n;
	next = next_leader(g);
	pthread_mutex_unlock(&g->lock);
	wake(served, rc);
	wake(next, 0);
	return rc;
}

/* With lock held. */
static void join(struct group_commit *g, struct group_commit_waiter *w)
{
	*g->last = w;
	g->last = &w->next;
	g->n++;
	if (g->gathering && has_enough(g))
		pthread_cond_signal(&g->enough);
}

/* With lock held: whether this caller is to lead, with lock held again, or has
 * been served. */
static bool wait_for_others(struct group_commit *g, int *ret)
{
	struct group_commit_waiter self = { .result = 0 };

	sem_init(&self.woken, 0, 0);
	join(g, &self);
	pthread_mutex_unlock(&g->lock);
	while (sem_wait(&self.woken) < 0 && errno == EINTR)
		;
	sem_destroy(&self.woken);
	*ret = self.result;
	if (self.leads)
		pthread_mutex_lock(&g->lock);
	return self.leads;
}

int group_commit_call(struct group_commit *g, int (*fn)(void *arg), void *arg)
{
	int rc;

	pthread_mutex_lock(&g->lock);
	if (g->led && !wait_for_others(g, &rc))
		return rc;
	g->led = true;
	return lead(g, fn, arg);
}
