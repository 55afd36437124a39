/* Prunes, trims and reindexes any bytes as a store.  Of a store without a fault
 * none may come of it, and none may be lost; of any other, the work must end.
 */
#include "fuzz.h"
#include "booklet/maintain/verify.h"
#include "booklet/store/store.h"

#include <stdlib.h>

/* Steps that one run may take: what has no end is stopped by nobody else. */
#define STEPS_MOST 100000

static int step(void *arg, uint64_t done, uint64_t total, uint64_t keys)
{
	unsigned *left = arg;

	(void)done, (void)total, (void)keys;
	if ((*left)-- == 0)
		abort();
	return 0;
}

static bool is_sound(struct blt *store, uint64_t *ret_keys)
{
	struct blt_check_result result;

	if (blt_check(store, NULL, NULL, NULL, &result) < 0)
		return false;
	*ret_keys = result.keys;
	return result.faults == 0;
}

static int work(struct blt *store, unsigned what)
{
	unsigned left = STEPS_MOST;
	struct blt_prune_options prune = { .progress = step, .arg = &left };

	switch (what) {
	case 0:
		return blt_prune(store, &prune, NULL);
	case 1:
		prune.older_than = INT64_MAX;
		return blt_prune(store, &prune, NULL);
	case 2:
		return blt_trim(store, step, &left, NULL);
	default:
		return blt_reindex(store, 101, step, &left);
	}
}

static void run(const uint8_t *data, size_t size, unsigned what)
{
	struct file_ops ops = fuzz_ops();
	uint64_t before = 0, after = 0;
	struct blt_error err;
	struct blt *store;
	bool sound;
	int fd = fuzz_file(data, size), rc;

	if (fd < 0 || store_adopt(fd, true, &ops, &store, &err) < 0)
		return;
	sound = is_sound(store, &before);
	rc = work(store, what);
	if (sound && rc == -EUCLEAN)
		abort();
	if (sound &&
	    (!is_sound(store, &after) || (what != 1 && after != before)))
		abort();
	blt_close(store);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (unsigned what = 0; what < 4; what++)
		run(data, size, what);
	return 0;
}
