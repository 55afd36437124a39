#include "stats.h"

#include <inttypes.h>

static const char *const names[STATS__COUNT] = {
	[STATS_LOOKUP] = "lookup",   [STATS_GETATTR] = "getattr",
	[STATS_SETATTR] = "setattr", [STATS_OPEN] = "open",
	[STATS_CREATE] = "create",   [STATS_READ] = "read",
	[STATS_WRITE] = "write",     [STATS_FLUSH] = "flush",
	[STATS_FSYNC] = "fsync",     [STATS_RELEASE] = "release",
	[STATS_READDIR] = "readdir", [STATS_NAMES] = "names",
	[STATS_CONTROL] = "control",
};

void stats_end(struct stats *s, enum stats_op op, int64_t since)
{
	uint64_t took = (uint64_t)(clock_ticks_ns() - since), longest;

	atomic_fetch_add_explicit(&s->op[op].calls, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&s->op[op].ns, took, memory_order_relaxed);
	longest =
		atomic_load_explicit(&s->op[op].longest, memory_order_relaxed);
	while (took > longest &&
	       !atomic_compare_exchange_weak_explicit(
		       &s->op[op].longest, &longest, took, memory_order_relaxed,
		       memory_order_relaxed))
		;
}

void stats_print(struct stats *s, FILE *to)
{
	for (int i = 0; i < STATS__COUNT; i++) {
		uint64_t calls = atomic_load(&s->op[i].calls);
		uint64_t ns = atomic_load(&s->op[i].ns);
		uint64_t longest = atomic_load(&s->op[i].longest);

		fprintf(to, "op.%s.calls %" PRIu64 "\n", names[i], calls);
		fprintf(to, "op.%s.mean_us %.1f\n", names[i],
			calls ? (double)ns / (double)calls / 1000 : 0.0);
		fprintf(to, "op.%s.longest_us %.1f\n", names[i],
			(double)longest / 1000);
	}
}
