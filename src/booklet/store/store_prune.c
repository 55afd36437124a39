/* Prune and trim, on an open store. */
#include "booklet/store/store.h"

#include "booklet/maintain/maintain.h"
#include "booklet/maintain/verify.h"

#include <errno.h>

/* Of all but the first: little to move, with little scratch space. */
#define ROUNDS 10
#define ROUND_CHUNK ((uint64_t)1 << 20)
/* A round with no more than this to move is done while writers wait for it, but
 * no longer than so many microseconds. */
#define LAST_ROUND ((uint64_t)256 << 10)
#define LAST_ROUND_US 20000

/* Those who commit wait behind it (store_committed), so that the file can end
 * where the packed blocks do.  Nobody is told, who may take a rest then. */
static int prune_last(struct store *store, uint64_t *at,
		      struct blt_prune_result *ret)
{
	static const struct blt_prune_options quiet;
	int rc;

	atomic_store(&store->quiet_until, steady_us() + LAST_ROUND_US);
	rc = compaction(&store->engine, &quiet, at, ret);
	atomic_store(&store->quiet_until, 0);
	return rc;
}

static int prune_behind(struct store *store,
			const struct blt_prune_options *opts, uint64_t at,
			struct blt_prune_result *ret)
{
	const struct blt_prune_options more = { .progress = opts->progress,
						.arg = opts->arg };
	struct blt_prune_result r = *ret;
	int rc = 0;

	for (unsigned i = 0; i < ROUNDS && rc == 0 && at && r.size_after > at;
	     i++) {
		if (i && r.size_after - r.size_before <= LAST_ROUND)
			rc = prune_last(store, &at, &r);
		else
			rc = compaction(&store->engine, &more, &at, &r);
		ret->moved += r.moved;
		ret->size_after = r.size_after;
	}
	return rc;
}

/* What others commit while blocks slide down stands behind the gap that these
 * leave, and a file is cut only where nothing does.  So that is packed in
 * another round, which has less to do, and what comes meanwhile in the next.
 * Where the disk is too slow for a round in the time that writers wait, the gap
 * is left to the next prune. */
static int prune_in_rounds(struct store *store,
			   const struct blt_prune_options *opts,
			   struct blt_prune_result *ret)
{
	struct engine *e = &store->engine;
	const uint64_t chunk = e->prune_chunk;
	uint64_t at = 0;
	int rc = compaction(e, opts, &at, ret);

	if (rc < 0)
		return rc;
	if (!chunk)
		e->prune_chunk = ROUND_CHUNK;
	rc = prune_behind(store, opts, at, ret);
	e->prune_chunk = chunk;
	return rc;
}

/* Those who commit leave their syncs to this work, which comes to one often. */
static void begin_whole(struct store *store)
{
	pthread_mutex_lock(&store->engine.whole);
	atomic_store(&store->helping, true);
}

static void end_whole(struct store *store)
{
	atomic_store(&store->helping, false);
	pthread_mutex_unlock(&store->engine.whole);
}

int booklet_prune(struct blt *blt, const struct blt_prune_options *opts,
		  struct blt_prune_result *ret)
{
	struct store *store = store_of(blt);
	static const struct blt_prune_options plain;
	struct blt_prune_result result = { 0 };
	struct engine *e = &store->engine;
	int rc;

	if (ret)
		*ret = result;
	if (!e->wal.file.writable)
		return -EROFS;
	opts = opts ? opts : &plain;
	begin_whole(store);
	rc = verify_walk(e, opts->progress, opts->arg);
	if (rc == 0)
		rc = prune_in_rounds(store, opts, &result);
	end_whole(store);
	if (ret)
		*ret = result;
	return rc;
}

int booklet_trim(struct blt *blt, blt_progress_fn *progress, void *arg,
		 struct blt_trim_result *ret)
{
	struct store *store = store_of(blt);
	struct blt_trim_result result = { 0 };
	struct engine *e = &store->engine;
	int rc;

	if (ret)
		*ret = result;
	if (!e->wal.file.writable)
		return -EROFS;
	begin_whole(store);
	rc = verify_walk(e, progress, arg);
	if (rc == 0)
		rc = punch_holes(e, progress, arg, &result);
	end_whole(store);
	if (ret)
		*ret = result;
	return rc;
}
