/* What the kernel keeps of an inode is right for a count of changes by others,
 * if all of it was read while that was the count: inode->kept is 1 + that
 * count, or 0 where it is right for none.  Readings look at the count behind
 * what they have read.
 *
 * The kernel drops what it keeps when it has the answer to an open, so not
 * before that handle's first reading may inode->kept be set: another open,
 * whose answer overtakes that one, must not be told to keep what is yet to be
 * dropped. */
#include "inode/cache_validity.h"

#include "main/bltfs.h"
#include "inode/notify_queue.h"
#include "file/content.h"
#include "file/write_buffer.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

struct cache_validity {
	struct bltfs *fs;
	unsigned ms;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct cache_validity_open *opens; /* lock */
	size_t n;                          /* lock; of these */
	uint64_t seen; /* lock; the count that all that is open
			* was told of */
	bool stop;     /* lock */
};

/* ---- what is open ---- */

static void link_open(struct cache_validity *b, struct cache_validity_open *o,
		      uint64_t now)
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

/* What is put has a token: the kernel may keep what it has read since a handle
 * was opened that found the same one.  A directory has none. */
static int token_of(struct bltfs *fs, struct inode *inode, uint64_t *ret)
{
	struct blt_stat st;
	bool own;
	int rc;

	*ret = 0;
	if (inode->kind == BLT_DIR)
		return 0;
	pthread_mutex_lock(&inode->lock);
	own = inode->gone || (inode->buffer && inode->buffer->dirty);
	pthread_mutex_unlock(&inode->lock);
	if (own)
		return 0;
	rc = blt_stat_key(fs->store, inode->key, inode->key_len, &st);
	if (rc == 0)
		*ret = st.token;
	return rc == -ENOENT ? -ESTALE : rc;
}

static int opened_by_token(struct cache_validity *b, struct inode *inode,
			   struct cache_validity_open *o)
{
	uint64_t token;
	int rc = token_of(b->fs, inode, &token);

	if (rc < 0)
		return rc;
	o->inode = inode;
	atomic_init(&o->dropped, 0);
	/* no older than what is open already: it was asked for just now */
	link_open(b, o, UINT64_MAX);
	if (token && atomic_load(&inode->kept) == token)
		return 1;
	writeback_drop(inode);
	atomic_store(&inode->kept, 0);
	atomic_store(&o->dropped, token);
	return 0;
}

int cache_validity_opened(struct bltfs *fs, struct inode *inode,
			  struct cache_validity_open *o)
{
	struct cache_validity *b = fs->cache_validity;
	uint64_t now;

	if (!b)
		return !fs->info.shared && !fs->is_txn;
	if (fs->info.tokens)
		return opened_by_token(b, inode, o);
	now = blt_changes_by_others(fs->store);
	o->inode = inode;
	atomic_init(&o->dropped, 0);
	link_open(b, o, now);
	if (atomic_load(&inode->kept) == now + 1)
		return 1;
	writeback_drop(inode);
	atomic_store(&inode->kept, 0);
	atomic_store(&o->dropped, now + 1);
	return 0;
}

void cache_validity_read(struct bltfs *fs, struct cache_validity_open *o)
{
	uint64_t now, dropped;

	if (!fs->cache_validity)
		return;
	if (fs->info.tokens) {
		dropped = atomic_exchange(&o->dropped, 0);
		if (dropped)
			atomic_store(&o->inode->kept, dropped);
		return;
	}
	now = blt_changes_by_others(fs->store) + 1;
	dropped = atomic_exchange(&o->dropped, 0);
	if (dropped)
		atomic_store(&o->inode->kept, dropped == now ? now : 0);
	else if (atomic_load(&o->inode->kept) != now)
		atomic_store(&o->inode->kept, 0);
}

void cache_validity_closed(struct bltfs *fs, struct cache_validity_open *o)
{
	struct cache_validity *b = fs->cache_validity;

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

/* The inodes of what is open, with a reference each; NULL: none, or no memory.
 * The lock is held. */
static struct inode **list_inodes(struct cache_validity *b, size_t *ret_n)
{
	struct inode **list = b->n ? malloc(b->n * sizeof(*list)) : NULL;
	size_t n = 0;

	for (struct cache_validity_open *o = b->opens; list && o; o = o->next) {
		inodes_ref(b->fs->inodes, o->inode);
		list[n++] = o->inode;
	}
	*ret_n = n;
	return list;
}

static bool is_kept(struct bltfs *fs, struct inode *inode)
{
	uint64_t kept = atomic_load(&inode->kept), now = 0;

	if (!fs->info.tokens)
		return false;
	bltfs_share_names(fs);
	(void)token_of(fs, inode, &now);
	bltfs_leave_names(fs);
	return kept == now;
}

static void forget(struct bltfs *fs, struct inode *inode)
{
	if (is_kept(fs, inode)) {
		inodes_put(fs->inodes, inode, 1);
		return;
	}
	atomic_store(&inode->kept, 0);
	writeback_drop(inode);
	notify_queue_inode(fs->notify_queue, inode);
	inodes_put(fs->inodes, inode, 1);
}

/* The lock is held, but not while the inodes' are taken: behind one of them the
 * disk may work. */
static void look(struct cache_validity *b)
{
	uint64_t now = blt_changes_by_others(b->fs->store);
	struct inode **list;
	size_t n;

	if (now == b->seen)
		return;
	list = list_inodes(b, &n);
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
	struct cache_validity *b = arg;
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

int cache_validity_new(struct bltfs *fs, unsigned ms,
		       struct cache_validity **ret)
{
	struct cache_validity *b = calloc(1, sizeof(*b));
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

void cache_validity_stop(struct cache_validity *b)
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

void cache_validity_free(struct cache_validity *b)
{
	if (!b)
		return;
	cache_validity_stop(b);
	pthread_cond_destroy(&b->wake);
	pthread_mutex_destroy(&b->lock);
	free(b);
}
