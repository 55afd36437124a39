#include "base/epoch.h"

#include "base/util.h"

#include <errno.h>

/* The low bits of a ticket. */
enum { TICKET = 1, PARITY = 2 };

void epoch_init(struct epoch *e)
{
	for (int i = 0; i < EPOCH_SLOTS; i++)
		e->slot[i].epoch = e;
	pthread_mutex_init(&e->lock, NULL);
	steady_cond_init(&e->left);
}

void epoch_release(struct epoch *e)
{
	pthread_mutex_destroy(&e->lock);
	pthread_cond_destroy(&e->left);
}

static unsigned own_slot(void)
{
	static atomic_uint threads;
	static _Thread_local unsigned own;

	if (!own)
		own = atomic_fetch_add(&threads, 1) % EPOCH_SLOTS + 1;
	return own - 1;
}

void *epoch_enter(struct epoch *e)
{
	struct epoch_slot *s = &e->slot[own_slot()];

	atomic_fetch_add(&s->n[e->now], 1);
	return (char *)s + TICKET + (e->now ? PARITY : 0);
}

bool epoch_is_ticket(const void *p)
{
	return (uintptr_t)p & TICKET;
}

void epoch_leave(void *ticket)
{
	uintptr_t bits = (uintptr_t)ticket & (TICKET | PARITY);
	struct epoch_slot *s = (void *)((char *)ticket - bits);
	struct epoch *e = s->epoch;

	if (atomic_fetch_sub(&s->n[bits & PARITY ? 1 : 0], 1) == 1)
		epoch_wake(e);
}

void epoch_begin(struct epoch *e)
{
	e->now = !e->now;
}

void epoch_wake(struct epoch *e)
{
	if (!atomic_load(&e->waiters))
		return;
	pthread_mutex_lock(&e->lock);
	pthread_cond_broadcast(&e->left);
	pthread_mutex_unlock(&e->lock);
}

static bool all_left(void *arg)
{
	struct epoch *e = arg;

	for (int i = 0; i < EPOCH_SLOTS; i++)
		if (atomic_load(&e->slot[i].n[!e->now]))
			return false;
	return true;
}

bool epoch_wait_for(struct epoch *e, int ms, bool (*done)(void *arg), void *arg)
{
	struct timespec until =
		steady_timespec(steady_us() + (int64_t)ms * 1000);
	bool is = done(arg);
	int rc = 0;

	if (is)
		return true;
	atomic_fetch_add(&e->waiters, 1);
	pthread_mutex_lock(&e->lock);
	while (!(is = done(arg)) && rc != ETIMEDOUT)
		rc = pthread_cond_timedwait(&e->left, &e->lock, &until);
	pthread_mutex_unlock(&e->lock);
	atomic_fetch_sub(&e->waiters, 1);
	return is;
}

bool epoch_wait(struct epoch *e, int ms)
{
	return epoch_wait_for(e, ms, all_left, e);
}
