/* What the kernel keeps of a node is right for a count of changes by others, if
 * all of it was read while that was the count: node->kept is 1 + that count, or
 * 0 where it is right for none.  Readings look at the count behind what they
 * have read.
 *
 * The kernel drops what it keeps when it has the answer to an open, so not
 * before that handle's first reading may node->kept be set: another open, whose
 * answer overtakes that one, must not be told to keep what is yet to be
 * dropped. */
#include "inode/beside.h"

#include "main/bltfs.h"
#include "inode/notify.h"
#include "file/staged.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

struct beside {
	struct bltfs *fs;
	unsigned ms;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct beside_open *opens; /* lock */
	size_t n;                  /* lock; of these */
	uint64_t seen;             /* lock; the count that all that is open
				    * was told of */
	bool stop;                 /* lock */
};

/* ---- what is open ---- */

static void link_open(struct beside *b, struct beside_open *o, uint64_t now)
{
	pthread_mutex_lock(&b->lock);
	if (!b->opens)
		pthread_cond_signal(&b->wake);
	/* another open may have come between, and seen more */
	if (!b->opens || now < b->seen)
		b->seen = now;
	o->next = b->opens;
	o->at = &b->opens;
	if (o->next)
		o->next->at = &o->next;
	b->opens = o;
	b->n++;
	pthread_mutex_unlock(&b->lock);
}

bool beside_opened(struct bltfs *fs, struct node *node, struct beside_open *o)
{
	struct beside *b = fs->beside;
	uint64_t now;

	if (!b)
		return !fs->info.shared && !fs->is_txn;
	now = blt_changes_by_others(fs->store);
	o->node = node;
	atomic_init(&o->dropped, 0);
	link_open(b, o, now);
	if (atomic_load(&node->kept) == now + 1)
		return true;
	staged_drop(node);
	atomic_store(&node->kept, 0);
	atomic_store(&o->dropped, now + 1);
	return false;
}

void beside_read(struct bltfs *fs, struct beside_open *o)
{
	uint64_t now, dropped;

	if (!fs->beside)
		return;
	now = blt_changes_by_others(fs->store) + 1;
	dropped = atomic_exchange(&o->dropped, 0);
	if (dropped)
		atomic_store(&o->node->kept, dropped == now ? now : 0);
	else if (atomic_load(&o->node->kept) != now)
		atomic_store(&o->node->kept, 0);
}

void beside_closed(struct bltfs *fs, struct beside_open *o)
{
	struct beside *b = fs->beside;

	if (!b)
		return;
	pthread_mutex_lock(&b->lock);
	*o->at = o->next;
	if (o->next)
		o->next->at = o->at;
	b->n--;
	pthread_mutex_unlock(&b->lock);
}

/* ---- the thread ---- */

/* The nodes of what is open, with a reference each; NULL: none, or no memory.
 * The lock is held. */
static struct node **list_nodes(struct beside *b, size_t *ret_n)
{
	struct node **list = b->n ? malloc(b->n * sizeof(*list)) : NULL;
	size_t n = 0;

	for (struct beside_open *o = b->opens; list && o; o = o->next) {
		nodes_ref(b->fs->nodes, o->node);
		list[n++] = o->node;
	}
	*ret_n = n;
	return list;
}

static void forget(struct bltfs *fs, struct node *node)
{
	atomic_store(&node->kept, 0);
	staged_drop(node);
	notify_inode(fs->notify, node);
	nodes_put(fs->nodes, node, 1);
}

/* The lock is held, but not while the nodes' are taken: behind one of them the
 * disk may work. */
static void look(struct beside *b)
{
	uint64_t now = blt_changes_by_others(b->fs->store);
	struct node **list;
	size_t n;

	if (now == b->seen)
		return;
	list = list_nodes(b, &n);
	if (!list && b->n)
		return; /* again, next time */
	b->seen = now;
	pthread_mutex_unlock(&b->lock);
	for (size_t i = 0; i < n; i++)
		forget(b->fs, list[i]);
	free(list);
	pthread_mutex_lock(&b->lock);
}

static void *run(void *arg)
{
	struct beside *b = arg;
	struct timespec until;

	pthread_mutex_lock(&b->lock);
	while (!b->stop) {
		if (!b->opens) {
			pthread_cond_wait(&b->wake, &b->lock);
			continue;
		}
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += b->ms / 1000;
		until.tv_nsec += (long)(b->ms % 1000) * 1000000;
		if (until.tv_nsec >= 1000000000) {
			until.tv_sec++;
			until.tv_nsec -= 1000000000;
		}
		while (!b->stop &&
		       pthread_cond_timedwait(&b->wake, &b->lock, &until) == 0)
			;
		if (!b->stop)
			look(b);
	}
	pthread_mutex_unlock(&b->lock);
	return NULL;
}

int beside_new(struct bltfs *fs, unsigned ms, struct beside **ret)
{
	struct beside *b = calloc(1, sizeof(*b));
	pthread_condattr_t attr;
	int rc;

	if (!b)
		return -ENOMEM;
	b->fs = fs;
	b->ms = ms;
	pthread_mutex_init(&b->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&b->wake, &attr);
	pthread_condattr_destroy(&attr);
	rc = -pthread_create(&b->thread, NULL, run, b);
	if (rc < 0) {
		free(b);
		return rc;
	}
	*ret = b;
	return 0;
}

void beside_stop(struct beside *b)
{
	bool first;

	if (!b)
		return;
	pthread_mutex_lock(&b->lock);
	first = !b->stop;
	b->stop = true;
	pthread_cond_signal(&b->wake);
	pthread_mutex_unlock(&b->lock);
	if (first)
		pthread_join(b->thread, NULL);
}

void beside_free(struct beside *b)
{
	if (!b)
		return;
	beside_stop(b);
	pthread_cond_destroy(&b->wake);
	pthread_mutex_destroy(&b->lock);
	free(b);
}
