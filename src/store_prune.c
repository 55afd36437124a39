/* Prune and trim, on an open store. */
#include "store.h"

#include "prune.h"
#include "trim.h"

#include <errno.h>

/* Of all but the first: little to move, with little scratch space. */
#define ROUNDS 7
#define ROUND_CHUNK ((uint64_t)1 << 20)

static int prune_behind(struct engine *e, const struct blt_prune_options *opts,
			struct blt_prune_result *ret)
{
	const struct blt_prune_options more = { .progress = opts->progress,
						.arg = opts->arg };
	struct blt_prune_result r = *ret;
	int rc = 0;

	for (unsigned i = 0;
	     i < ROUNDS && rc == 0 && r.size_after > r.size_before; i++) {
		rc = prune(e, &more, &r);
		ret->moved += r.moved;
		ret->size_after = r.size_after;
	}
	return rc;
}

/* What others commit while blocks slide down stands behind the gap that these
 * leave, and a file is cut only where nothing does.  So that is packed in
 * another round, which has less to do; where they never pause, the gap is left
 * to the next prune. */
static int prune_in_rounds(struct engine *e,
			   const struct blt_prune_options *opts,
			   struct blt_prune_result *ret)
{
	const uint64_t chunk = e->prune_chunk;
	int rc = prune(e, opts, ret);

	if (rc < 0)
		return rc;
	if (!chunk)
		e->prune_chunk = ROUND_CHUNK;
	rc = prune_behind(e, opts, ret);
	e->prune_chunk = chunk;
	return rc;
}

int blt_prune(struct blt *store, const struct blt_prune_options *opts,
	      struct blt_prune_result *ret)
{
	static const struct blt_prune_options plain;
	struct blt_prune_result result = { 0 };
	struct engine *e = &store->engine;
	int rc;

	if (!e->space.file.writable)
		return -EROFS;
	pthread_mutex_lock(&e->whole);
	rc = prune_in_rounds(e, opts ? opts : &plain, &result);
	pthread_mutex_unlock(&e->whole);
	if (ret)
		*ret = result;
	return rc;
}

int blt_trim(struct blt *store, blt_progress_fn *progress, void *arg,
	     struct blt_trim_result *ret)
{
	struct blt_trim_result result = { 0 };
	struct engine *e = &store->engine;
	int rc;

	if (!e->space.file.writable)
		return -EROFS;
	pthread_mutex_lock(&e->whole);
	rc = trim(e, progress, arg, &result);
	pthread_mutex_unlock(&e->whole);
	if (ret)
		*ret = result;
	return rc;
}
