/* mapshared.c - a shared object for "blt map": every value as it is, behind so
 * many microseconds of work as its argument says; or, with a second one, of
 * sleep. */
#include "blt_map.h"

#include <stdlib.h>
#include <time.h>

static long work_ns, sleep_ns;

static long now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

int blt_map_init(int argc, char **argv)
{
	long ns = argc > 1 ? atol(argv[1]) * 1000 : 0;

	work_ns = argc > 2 ? 0 : ns;
	sleep_ns = argc > 2 ? ns : 0;
	return 0;
}

int blt_map_fn(const struct blt_map_item *item, const struct blt_map_out *out)
{
	long until = work_ns ? now_ns() + work_ns : 0;

	while (until && now_ns() < until)
		;
	if (sleep_ns)
		nanosleep(&(struct timespec){ .tv_nsec = sleep_ns }, NULL);
	return out->put_same(out, item->value, item->value_len);
}
