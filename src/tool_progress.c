/* tool_progress.c - how far a long command has come. */
#include "tool.h"
#include "util.h"

#include <inttypes.h>
#include <unistd.h>

#define INTERVAL_US 250000

const char *tool_size(uint64_t bytes, char buf[32])
{
	static const char units[][4] = { "KiB", "MiB", "GiB", "TiB", "PiB" };
	double v = (double)bytes;
	size_t unit = 0;

	if (bytes < 1024) {
		snprintf(buf, 32, "%" PRIu64 " B", bytes);
		return buf;
	}
	for (v /= 1024; v >= 1024 && unit + 1 < ARRAY_SIZE(units); unit++)
		v /= 1024;
	snprintf(buf, 32, "%.1f %s", v, units[unit]);
	return buf;
}

void progress_start(struct progress *p, const char *what, uint64_t total,
		    bool off)
{
	*p = (struct progress){
		.on = !off && isatty(STDERR_FILENO),
		.what = what,
		.total = total,
		.started = now_us(),
	};
	p->last = p->started;
}

void progress_show(struct progress *p, uint64_t bytes, uint64_t items)
{
	char done[32], rate[32];
	double seconds;
	int64_t now;

	if (!p->on)
		return;
	now = now_us();
	if (now - p->last < INTERVAL_US)
		return;
	p->last = now;
	p->shown = true;
	seconds = (double)(now - p->started) / 1e6;
	fprintf(stderr, "\r%s: %" PRIu64 " keys, %s, %s/s", p->what, items,
		tool_size(bytes, done),
		tool_size((uint64_t)((double)bytes / seconds), rate));
	if (p->total && bytes) {
		double part =
			(double)min_u64(bytes, p->total) / (double)p->total;

		fprintf(stderr, ", %.0f %%, %.0f s left", part * 100,
			seconds / part - seconds);
	}
	fputs("\033[K", stderr);
}

void progress_end(struct progress *p)
{
	if (p->shown)
		fputs("\r\033[K", stderr);
	p->shown = false;
}
