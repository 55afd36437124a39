/* stats.h - how often the kernel asked for what, and how long that took.
 *
 *   int64_t since = stats_begin();
 *   ...the request, replied to
 *   stats_end(&stats, STATS_LOOKUP, since);
 *   stats_print(&stats, to);
 *
 * Zeros are a valid start.  Counters are atomic, one by one: a reader may see
 * a call counted whose time is not.  Any thread.
 */
#ifndef FS_STATS_H
#define FS_STATS_H

#include "clock.h"

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

struct stats {
	struct {
		_Atomic uint64_t calls, ns, longest;
	} op[STATS__COUNT];
};

static inline int64_t stats_begin(void)
{
	return clock_ticks_ns();
}

void stats_end(struct stats *s, enum stats_op op, int64_t since);

/* Lines "op.NAME.calls N", "op.NAME.mean_us N", "op.NAME.longest_us N". */
void stats_print(struct stats *s, FILE *to);

#endif
