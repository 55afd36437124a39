/* moment.h - what a piece of work took, as bench/engine and bench/seq print it:
 * a line "ROW WALL CPU", in nanoseconds an operation.
 */
#ifndef BENCH_MOMENT_H
#define BENCH_MOMENT_H

#include <stdint.h>
#include <stdio.h>
#include <time.h>

/* What the clock on the wall says, and what the processor did for this process
 * (the kernel's work for it counted): on a machine that others use too, only
 * the latter can be repeated. */
struct moment {
	double wall, cpu;
};

static inline double read_clock(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static inline struct moment now(void)
{
	return (struct moment){ read_clock(CLOCK_MONOTONIC),
				read_clock(CLOCK_PROCESS_CPUTIME_ID) };
}

static inline void say(const char *row, struct moment start, uint64_t times)
{
	struct moment end = now();

	printf("%s\t%.1f\t%.1f\n", row, (end.wall - start.wall) / (double)times,
	       (end.cpu - start.cpu) / (double)times);
	fflush(stdout);
}

#endif
