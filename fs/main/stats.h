/* stats.h - how often the kernel asked for what, and how long that took.
 *
 *   int64_t since = stats_begin();
 *   ...the request, replied to
 *   stats_end(&stats, STATS_LOOKUP, since);
 *   stats_print(&stats, to);
 *
 * Zeros are a valid start.  Threads count apart, in one of a few sets each, so
 * that no cache line goes to and fro between them; who prints adds these up.
 * Counters are atomic, one by one: a reader may see the time of a call that is
 * not counted yet.  Any thread.
 */
#ifndef FS_STATS_H
#define FS_STATS_H

#include "main/clock.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>

enum stats_op {
	STATS_LOOKUP,
	STATS_GETATTR,
	STATS_SETATTR,
	STATS_OPEN,
	STATS_CREATE,
	STATS_READ,
	STATS_WRITE,
	STATS_FLUSH,
	STATS_FSYNC,
	STATS_RELEASE,
	STATS_READDIR,
	STATS_NAMES, /* mkdir, unlink, rmdir, rename, symlink, mknod */
	STATS_CONTROL,
	STATS__COUNT,
};

/* Calls by the time they took: [i] has those of less than 2^i microseconds
 * that are not in [i - 1]; the last has all the longer ones, from 4 s on. */
#define STATS_TIMES 24
#define STATS_SETS 8

struct stats_count {
	_Atomic uint64_t ns, longest, times[STATS_TIMES];
};

struct stats {
	struct {
		struct stats_count op[STATS__COUNT];
		char apart[64];
	} set[STATS_SETS];
};

static inline int64_t stats_begin(void)
{
	return clock_ticks_ns();
}

void stats_end(struct stats *s, enum stats_op op, int64_t since);

/* What one kind of request comes to. */
struct stats_sum {
	uint64_t calls, ns, longest, times[STATS_TIMES];
};
void stats_get(struct stats *s, enum stats_op op, struct stats_sum *ret);
const char *stats_name(enum stats_op op);
/* All that have ended. */
uint64_t stats_calls(struct stats *s);

/* Lines "op.NAME.calls N", and so on: bltfs-control(7). */
void stats_print(struct stats *s, FILE *to);

#endif
