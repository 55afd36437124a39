/* Prune and trim, on an open store. */
#include "store.h"

#include "prune.h"
#include "trim.h"

#include <errno.h>

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
	rc = prune(e, opts ? opts : &plain, &result);
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
