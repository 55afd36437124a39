/* The index grows: in a thread of the store's own, or step by step with those
 * who commit. */
#include "booklet/store/booklet.h"
#include "booklet/store/store.h"

#include "booklet/maintain/maintain.h"
#include "booklet/maintain/verify.h"
#include "base/util.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* How long a commit waits where much waits for a sync that the thread is
 * about: so memory does not grow, and nobody waits for the whole of it. */
static const struct timespec pause_of_a_commit = { .tv_nsec = 1000000 };

/* Whether there is growth to be done: to *ret_size buckets, or, 0, what is
 * under way already. */
static bool is_time(struct store *store, uint32_t *ret_size)
{
	struct wal *wal = &store->engine.wal;
	uint64_t n_keys;
	uint32_t n_buckets;

	pthread_rwlock_rdlock(&wal->lock);
	n_keys = wal->n_keys;
	n_buckets = wal->fmt.n_buckets;
	pthread_rwlock_unlock(&wal->lock);
	*ret_size = 0;
	if (n_keys < atomic_load(&store->grow_at))
		return false;
	if (atomic_load(&store->engine.growing))
		return true;
	if (n_keys > n_buckets)
		*ret_size = format_next_buckets(n_buckets);
	return *ret_size;
}

/* Growth makes the store faster, it is not needed for any promise: where it
 * cannot go on now, it is tried again later. */
static void try_later(struct store *store)
{
	struct wal *wal = &store->engine.wal;
	uint64_t n_keys;

	pthread_rwlock_rdlock(&wal->lock);
	n_keys = wal->n_keys;
	pthread_rwlock_unlock(&wal->lock);
	atomic_store(&store->grow_at, n_keys + n_keys / 4 + 1);
}

/* With engine.whole held: what is under way, then one of size buckets. */
static int run(struct store *store, uint32_t size, blt_progress_fn *progress,
	       void *arg)
{
	struct engine *e = &store->engine;
	uint64_t done, total;
	int rc = rehash_resume(e);

	if (rc == 0 && size)
		rc = rehash_begin(e, size);
	while (rc == 0 && (rc = rehash_step(e)) > 0) {
		rc = 0;
		if (atomic_load(&e->wal.full))
			rc = wal_sync(&e->wal);
		done = rehash_done(e, &total);
		if (rc == 0 && progress)
			rc = progress(arg, done, total, e->growth.keys);
	}
	return rc;
}

static int run_alone(struct store *store, uint32_t size,
		     blt_progress_fn *progress, void *arg)
{
	int rc;

	atomic_store(&store->helping, true);
	rc = run(store, size, progress, arg);
	atomic_store(&store->helping, false);
	return rc;
}

/* ---- the thread ---- */

static void *grow(void *arg)
{
	struct store *store = arg;
	struct engine *e = &store->engine;
	uint32_t size;
	int rc = 0;

	pthread_mutex_lock(&e->whole);
	while (rc == 0 && is_time(store, &size))
		rc = run_alone(store, size, NULL, NULL);
	pthread_mutex_unlock(&e->whole);
	if (rc < 0)
		try_later(store);
	atomic_store(&store->growing, false);
	return NULL;
}

static int start_thread(struct store *store)
{
	int rc = 0;

	/* A thread may have ended before the one that started it has noted
	 * that. */
	pthread_mutex_lock(&store->grower_lock);
	if (!atomic_exchange(&store->growing, true)) {
		/* The one before has nothing left to do. */
		if (store->grower_made)
			pthread_join(store->grower, NULL);
		rc = thread_start(&store->grower, grow, store);
		store->grower_made = rc == 0;
		if (rc < 0)
			atomic_store(&store->growing, false);
	}
	pthread_mutex_unlock(&store->grower_lock);
	return rc;
}

void store_grow_end(struct store *store)
{
	if (store->grower_made)
		pthread_join(store->grower, NULL);
	store->grower_made = false;
}

/* ---- steps ---- */

int store_grow_step(struct store *store, uint32_t n_buckets)
{
	struct engine *e = &store->engine;
	int rc;

	/* Long work on the whole file goes first. */
	if (pthread_mutex_trylock(&e->whole) != 0)
		return 0;
	if (atomic_load(&e->growing))
		rc = rehash_step(e);
	else
		rc = n_buckets ? rehash_begin(e, n_buckets) : 0;
	pthread_mutex_unlock(&e->whole);
	return rc < 0 ? rc : 0;
}

static void grow_if_needed(struct store *store)
{
	uint32_t size;

	if (!atomic_load(&store->engine.wal.crowded) &&
	    !atomic_load(&store->engine.growing))
		return;
	if (atomic_load(&store->growing) || !is_time(store, &size))
		return;
	if (!store->alone && start_thread(store) == 0)
		return;
	if (store_grow_step(store, size) < 0)
		try_later(store);
}

static void be_quiet(struct store *store)
{
	int64_t until;

	while ((until = atomic_load(&store->quiet_until)) &&
	       steady_us() < until)
		nanosleep(&pause_of_a_commit, NULL);
}

void store_committed(struct store *store)
{
	be_quiet(store);
	grow_if_needed(store);
	if (!atomic_load(&store->engine.wal.full))
		return;
	if (atomic_load(&store->helping))
		nanosleep(&pause_of_a_commit, NULL);
	else
		(void)wal_sync(&store->engine.wal);
}

int store_grow_on(struct store *store)
{
	int rc;

	atomic_store(&store->engine.growing, true);
	if (!store->alone && start_thread(store) == 0)
		return 0;
	rc = rehash_resume(&store->engine);
	if (rc != -ENOSPC)
		return rc;
	/* Half moved it is as good; deletes must find a way in. */
	try_later(store);
	return 0;
}

/* ---- on demand ---- */

int booklet_reindex(struct blt *blt, uint32_t n_buckets,
		    blt_progress_fn *progress, void *arg)
{
	struct store *store = store_of(blt);
	struct engine *e = &store->engine;
	int rc;

	if (!e->wal.file.writable)
		return -EROFS;
	pthread_mutex_lock(&e->whole);
	rc = verify_walk(e, progress, arg);
	if (rc == 0)
		rc = rehash_resume(e);
	if (!n_buckets)
		n_buckets = format_next_buckets(e->wal.fmt.n_buckets);
	if (rc == 0 && n_buckets)
		rc = run_alone(store, n_buckets, progress, arg);
	pthread_mutex_unlock(&e->whole);
	return rc;
}

/* ---- what Python cannot do ---- */

/* Python's booklet covers an index that it leaves behind with one dead block,
 * which in a store of fixed-length values reaches only so far; where that is
 * too short it fails with OverflowError in the middle of the work.  Said where
 * that may be soon: half of the keys are there. */
void booklet_cautions(struct blt *blt, blt_caution_fn *fn, void *arg)
{
	struct blt_info i;
	char *text;

	booklet_get_info(blt, &i);
	if (!i.value_len || i.index_offset == FORMAT_HEADER_LEN ||
	    format_index_len(i.n_buckets) <= 21u + UINT16_MAX + i.value_len ||
	    !format_next_buckets(i.n_buckets) || i.n_keys < i.n_buckets / 2 ||
	    asprintf(&text,
		     "%s: once it has more than %" PRIu32
		     " keys, Python's booklet fails to grow its index "
		     "(OverflowError) and damages it, as it does with any "
		     "store of fixed-length values of that size; have bltfs "
		     "or blt put the next ones, or grow it before: blt "
		     "reindex",
		     booklet_path(blt), i.n_buckets) < 0)
		return;
	fn(arg, text);
	free(text);
}
