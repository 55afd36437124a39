/* mapshared.c - a shared object for "blt map": every value as it is, behind so
 * many microseconds of work as its argument says. */
#include "blt_map.h"

#include <stdlib.h>
#include <time.h>

static long work_ns;

static long now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

int blt_map_init(int argc, char **argv)
{
	work_ns = argc > 1 ? atol(argv[1]) * 1000 : 0;
	return 0;
}

int blt_map_fn(const struct blt_map_item *item, const struct blt_map_out *out)
{
	long until = work_ns ? now_ns() + work_ns : 0;

	while (until && now_ns() < until)
		;
	return out->put_same(out, item->value, item->value_len);
}
