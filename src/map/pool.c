#include "map/pool_inner.h"

#include "base/util.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define BYTES_MAX (64u << 20) /* of values in memory, in the whole pool */
#define HELLO_MS 60000
#define STOP_MS 10000
#define LOOK_MS 250 /* how often the dead are looked for, whatever is said */
#define READS 8     /* in a row from one worker */
#define LAST_READS 100000 /* from one that has ended */

/* ---- a step ---- */

/* The one that ended while something else holds its socket open, too. */
static int look_for_dead(struct pool *p, int64_t t)
{
	int rc = 0;

	if (t - p->looked < LOOK_MS * 1000)
		return 0;
	p->looked = t;
	for (unsigned i = 0; i < p->how.workers && rc == 0; i++) {
		struct pool_worker *w = &p->worker[i];

		if (w->state == POOL_NONE || !pool_worker_ended(w))
			continue;
		rc = pool_reply(p, w, LAST_READS);
		if (rc == 0 && w->state != POOL_NONE && pool_worker_ended(w))
			rc = pool_lose(p, w, NULL);
	}
	return rc;
}

static int64_t deadline(const struct pool *p, const struct pool_worker *w)
{
	if (w->state == POOL_STARTING)
		return w->since + HELLO_MS * (int64_t)1000;
	if (w->state == POOL_READY && w->first && p->how.timeout_ms)
		return w->since + p->how.timeout_ms * (int64_t)1000;
	return INT64_MAX;
}

static int kill_late(struct pool *p, int64_t t)
{
	char text[80];
	int rc = 0;

	for (unsigned i = 0; i < p->how.workers && rc == 0; i++) {
		struct pool_worker *w = &p->worker[i];

		if (t < deadline(p, w))
			continue;
		if (w->state == POOL_STARTING)
			snprintf(text, sizeof(text),
				 "it said no hello in %d seconds",
				 HELLO_MS / 1000);
		else
			snprintf(text, sizeof(text),
				 "it took longer than %g seconds",
				 p->how.timeout_ms / 1000.0);
		rc = pool_lose(p, w, text);
	}
	return rc;
}

static int wait_ms(const struct pool *p, int timeout_ms)
{
	int64_t t = steady_us(), left = timeout_ms * (int64_t)1000;

	for (unsigned i = 0; i < p->how.workers; i++) {
		const struct pool_worker *w = &p->worker[i];
		int64_t until = deadline(p, w);

		if (w->state != POOL_NONE && left > LOOK_MS * 1000)
			left = LOOK_MS * 1000;
		if (until < INT64_MAX && until - t < left)
			left = until - t;
	}
	return left < 0 ? 0 : (int)((left + 999) / 1000);
}

static void fill_poll(struct pool *p)
{
	const unsigned n = p->how.workers;

	for (unsigned i = 0; i < n; i++) {
		const struct pool_worker *w = &p->worker[i];
		bool on = w->state != POOL_NONE;
		short events = POLLIN;

		if (on && wire_pending(&w->out))
			events = POLLIN | POLLOUT;
		p->poll[2 * i] = (struct pollfd){ on ? w->fd : -1, events, 0 };
		p->poll[2 * i + 1] =
			(struct pollfd){ on ? w->err : -1, POLLIN, 0 };
	}
	p->poll[2 * n] = (struct pollfd){ p->how.wake_fd, POLLIN, 0 };
}

static int serve(struct pool *p)
{
	int rc = 0;

	for (unsigned i = 0; i < p->how.workers && rc == 0; i++) {
		struct pool_worker *w = &p->worker[i];

		if (w->state == POOL_NONE)
			continue;
		if (p->poll[2 * i + 1].revents)
			pool_worker_listen(w);
		if (p->poll[2 * i].revents & POLLOUT &&
		    wire_flush(&w->out, w->fd) < 0)
			p->poll[2 * i].revents |= POLLIN;
		if (p->poll[2 * i].revents & (POLLIN | POLLHUP | POLLERR))
			rc = pool_reply(p, w, READS);
	}
	return rc;
}

int pool_step(struct pool *p, int timeout_ms)
{
	int rc = p->fatal ? -ECHILD : pool_hand_out(p);
	int64_t t;

	if (rc < 0)
		return rc;
	fill_poll(p);
	if (poll(p->poll, 2 * p->how.workers + 1, wait_ms(p, timeout_ms)) < 0)
		return errno == EINTR ? 0 : -errno;
	rc = serve(p);
	t = steady_us();
	if (rc == 0)
		rc = kill_late(p, t);
	return rc < 0 ? rc : look_for_dead(p, t);
}

int pool_start(struct pool *p)
{
	struct pool_worker *w = &p->worker[0];
	int rc = 0;

	if (w->state == POOL_NONE)
		rc = pool_start_worker(p, w);
	if (rc == 0 && w->state != POOL_READY)
		rc = pool_step(p, LOOK_MS);
	return rc < 0 ? rc : w->state == POOL_READY;
}

/* ---- the rest ---- */

int pool_new(const struct pool_how *how, struct pool **ret)
{
	struct pool *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->how = *how;
	p->last = &p->first;
	p->worker = calloc(how->workers, sizeof(*p->worker));
	p->poll = calloc(2 * (size_t)how->workers + 1, sizeof(*p->poll));
	if (!p->worker || !p->poll) {
		free(p->worker);
		free(p->poll);
		free(p);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < how->workers; i++)
		p->worker[i].last = &p->worker[i].first;
	*ret = p;
	return 0;
}

bool pool_wants(const struct pool *p)
{
	return p->n_waiting < POOL_AHEAD_MAX * p->how.workers &&
	       p->bytes < BYTES_MAX;
}

bool pool_idle(const struct pool *p)
{
	return !p->n_waiting && !p->n_out;
}

const char *pool_why(const struct pool *p)
{
	return p->why;
}

static bool any_left(struct pool *p)
{
	bool any = false;

	for (unsigned i = 0; i < p->how.workers; i++) {
		struct pool_worker *w = &p->worker[i];

		if (w->state != POOL_NONE && pool_worker_ended(w))
			pool_worker_kill(w);
		any = any || w->state != POOL_NONE;
	}
	return any;
}

void pool_stop(struct pool *p)
{
	const int64_t until = steady_us() + STOP_MS * (int64_t)1000;

	for (unsigned i = 0; i < p->how.workers; i++)
		if (p->worker[i].state != POOL_NONE)
			shutdown(p->worker[i].fd, SHUT_WR);
	while (any_left(p) && steady_us() < until) {
		fill_poll(p);
		/* A closed socket could be read for ever. */
		for (unsigned i = 0; i < p->how.workers; i++)
			p->poll[2 * i].fd = -1;
		if (poll(p->poll, 2 * p->how.workers + 1, 5) < 0 ||
		    p->poll[2 * p->how.workers].revents)
			return;
		for (unsigned i = 0; i < p->how.workers; i++)
			if (p->poll[2 * i + 1].revents)
				pool_worker_listen(&p->worker[i]);
	}
}

static void free_row(struct pool_task *task)
{
	while (task) {
		struct pool_task *next = task->next;

		pool_task_free(task);
		task = next;
	}
}

void pool_free(struct pool *p)
{
	if (!p)
		return;
	for (unsigned i = 0; i < p->how.workers; i++) {
		pool_worker_kill(&p->worker[i]);
		free_row(p->worker[i].first);
	}
	free_row(p->first);
	free(p->worker);
	free(p->poll);
	free(p);
}
