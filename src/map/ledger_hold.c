/* Who owns a shard: a list of this process, and the engine's lock, where other
 * processes can have the store open. */
#include "map/ledger_inner.h"

#include "engine/backend.h"
#include "base/util.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOOK_US 20000 /* between two looks, while another run has it */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct ledger_hold *first; /* under lock */

bool ledger_hold_is_sure(const struct blt *store)
{
	struct blt_info info;

	if (store->backend->hold)
		return true;
	blt_get_info((struct blt *)(uintptr_t)store, &info);
	return !info.shared;
}

/* Of each other: the same shard, or all of the job. */
static bool excludes(const struct ledger_hold *a, const struct ledger_hold *b)
{
	return a->store == b->store && strcmp(a->job, b->job) == 0 &&
	       (!a->shard || !b->shard || a->shard == b->shard);
}

static bool add_ours(struct ledger_hold *h)
{
	bool free_one = true;

	pthread_mutex_lock(&lock);
	for (const struct ledger_hold *o = first; o; o = o->next)
		free_one = free_one && !excludes(o, h);
	if (free_one) {
		h->next = first;
		first = h;
	}
	pthread_mutex_unlock(&lock);
	return free_one;
}

static void remove_ours(const struct ledger_hold *h)
{
	pthread_mutex_lock(&lock);
	for (struct ledger_hold **at = &first; *at; at = &(*at)->next)
		if (*at == h) {
			*at = h->next;
			break;
		}
	pthread_mutex_unlock(&lock);
}

/* A range of numbers for each job: its shards, by 1. */
static int take_lock(struct ledger_hold *h)
{
	const struct backend *is = h->store->backend;
	uint64_t at = blt_key_hash(h->job, strlen(h->job)) >> 16;

	if (!is->hold)
		return 0;
	at -= at % (2 * LEDGER_SHARDS_MAX);
	return is->hold(h->store, at + (h->shard ? h->shard : 1),
			h->shard ? 1 : LEDGER_SHARDS_MAX, &h->fd);
}

static int try_take(struct ledger_hold *h)
{
	int rc;

	if (!add_ours(h))
		return -EBUSY;
	rc = take_lock(h);
	if (rc < 0)
		remove_ours(h);
	return rc == -EWOULDBLOCK ? -EBUSY : rc;
}

int ledger_hold_take(struct blt *store, const char *job, unsigned shard,
		     int wait_ms, struct ledger_hold **ret)
{
	const struct timespec pause = { .tv_nsec = LOOK_US * 1000 };
	int64_t until = steady_us() + (int64_t)wait_ms * 1000;
	struct ledger_hold *h = calloc(1, sizeof(*h));
	int rc;

	if (!h)
		return -ENOMEM;
	*h = (struct ledger_hold){ .store = store, .shard = shard, .fd = -1 };
	snprintf(h->job, sizeof(h->job), "%s", job);
	while ((rc = try_take(h)) == -EBUSY &&
	       (wait_ms < 0 || steady_us() < until))
		if (nanosleep(&pause, NULL) < 0)
			break; /* a signal ends the wait */
	if (rc < 0) {
		free(h);
		return rc;
	}
	*ret = h;
	return 0;
}

void ledger_hold_release(struct ledger_hold *h)
{
	if (!h)
		return;
	remove_ours(h);
	if (h->fd >= 0)
		close(h->fd);
	free(h);
}
