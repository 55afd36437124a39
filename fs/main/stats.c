#include "main/stats.h"

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

/* The set that this thread counts in. */
static unsigned own_set(void)
{
	static atomic_uint threads;
	static _Thread_local unsigned set; /* plus 1; 0: none yet */

	if (!set)
		set = 1 + atomic_fetch_add_explicit(&threads, 1,
						    memory_order_relaxed) %
				  STATS_SETS;
	return set - 1;
}

static unsigned time_index(uint64_t ns)
{
	uint64_t us = ns / 1000;
	unsigned bits = us ? 64 - (unsigned)__builtin_clzll(us) : 0;

	return bits < STATS_TIMES ? bits : STATS_TIMES - 1;
}

static void raise_to(_Atomic uint64_t *v, uint64_t to)
{
	uint64_t old = atomic_load_explicit(v, memory_order_relaxed);

	while (to > old &&
	       !atomic_compare_exchange_weak_explicit(
		       v, &old, to, memory_order_release, memory_order_relaxed))
		;
}

void stats_end(struct stats *s, enum stats_op op, int64_t since)
{
	struct stats_count *c = &s->set[own_set()].op[op];
	uint64_t took = (uint64_t)(clock_ticks_ns() - since);

	/* stats_get reads them the other way round: what is counted is in the
	 * longest and in the sum */
	atomic_fetch_add_explicit(&c->ns, took, memory_order_relaxed);
	raise_to(&c->longest, took);
	atomic_fetch_add_explicit(&c->times[time_index(took)], 1,
				  memory_order_release);
}

const char *stats_name(enum stats_op op)
{
	return names[op];
}

void stats_get(struct stats *s, enum stats_op op, struct stats_sum *ret)
{
	*ret = (struct stats_sum){ 0 };
	for (size_t i = 0; i < STATS_SETS; i++) {
		struct stats_count *c = &s->set[i].op[op];
		uint64_t longest;

		for (size_t k = 0; k < STATS_TIMES; k++)
			ret->times[k] += atomic_load(&c->times[k]);
		longest = atomic_load(&c->longest);
		if (longest > ret->longest)
			ret->longest = longest;
		ret->ns += atomic_load(&c->ns);
	}
	for (size_t k = 0; k < STATS_TIMES; k++)
		ret->calls += ret->times[k];
}

uint64_t stats_calls(struct stats *s)
{
	struct stats_sum sum;
	uint64_t n = 0;

	for (int i = 0; i < STATS__COUNT; i++) {
		stats_get(s, (enum stats_op)i, &sum);
		n += sum.calls;
	}
	return n;
}

void stats_print(struct stats *s, FILE *to)
{
	for (int i = 0; i < STATS__COUNT; i++) {
		size_t used = STATS_TIMES;
		struct stats_sum sum;

		stats_get(s, (enum stats_op)i, &sum);
		fprintf(to, "op.%s.calls %" PRIu64 "\n", names[i], sum.calls);
		fprintf(to, "op.%s.total_us %.1f\n", names[i],
			(double)sum.ns / 1000);
		fprintf(to, "op.%s.mean_us %.1f\n", names[i],
			sum.calls ? (double)sum.ns / (double)sum.calls / 1000 :
				    0.0);
		fprintf(to, "op.%s.longest_us %.1f\n", names[i],
			(double)sum.longest / 1000);
		while (used > 1 && !sum.times[used - 1])
			used--;
		fprintf(to, "op.%s.times", names[i]);
		for (size_t k = 0; k < used; k++)
			fprintf(to, " %" PRIu64, sum.times[k]);
		putc('\n', to);
	}
}
