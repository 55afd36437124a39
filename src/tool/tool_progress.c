/* tool_progress.c - how far a long command has come.
 *
 *   copy: 120000 keys, 1.5 GiB of 6.0 GiB, 25 %, 400.0 MiB/s, 12 s left
 *   map: 120000 of 480000 keys, 1.5 GiB, 25 %, 400.0 MiB/s, 12 s left
 *
 * One line that is written over itself, with blanks and no escape sequences, so
 * that it is right on any terminal.
 */
#include "tool/tool.h"
#include "base/util.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define PATIENCE_US 1000000 /* what is done sooner needs no line */
#define INTERVAL_US 250000
#define COLUMNS 80 /* where the terminal does not say */

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

const char *tool_duration(double seconds, char buf[32])
{
	uint64_t s = seconds < 1 ? 1 : (uint64_t)(seconds + 0.5);

	if (s < 100)
		snprintf(buf, 32, "%" PRIu64 " s", s);
	else if (s < 6000)
		snprintf(buf, 32, "%" PRIu64 " min %" PRIu64 " s", s / 60,
			 s % 60);
	else
		snprintf(buf, 32, "%" PRIu64 " h %" PRIu64 " min", s / 3600,
			 s / 60 % 60);
	return buf;
}

void progress_start(struct progress *p, const char *what, uint64_t total,
		    bool off)
{
	*p = (struct progress){
		.on = !off && isatty(STDERR_FILENO),
		.what = what,
		.items_are = "keys",
		.total = total,
		.started = now_us(),
	};
	p->last = p->started + PATIENCE_US - INTERVAL_US;
}

bool progress_is_due(const struct progress *p)
{
	return now_us() - p->started >= PATIENCE_US;
}

static size_t columns(void)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col < 2)
		return COLUMNS;
	return size.ws_col;
}

/* Writes text over what stands there; the last column is left alone, where
 * some terminals begin a line. */
static void write_over(struct progress *p, const char *text)
{
	size_t len = min_u64(strlen(text), columns() - 1);

	fprintf(stderr, "\r%.*s", (int)len, text);
	if (p->shown > len)
		fprintf(stderr, "%*s\r%.*s", (int)(p->shown - len), "",
			(int)len, text);
	fflush(stderr);
	p->shown = len;
}

/* "of 6.0 GiB, 25 %" and the rest of such a line are known with the total. */
static int line(const struct progress *p, uint64_t bytes, double seconds,
		char *text, size_t room)
{
	uint64_t at = p->total_is_items ? p->items : bytes;
	char done[32], all[32] = "", rate[32], left[32], of[64] = "";
	double part;

	tool_size((uint64_t)((double)bytes / seconds), rate);
	tool_size(bytes, done);
	if (!p->total || !at)
		return snprintf(text, room, "%s: %" PRIu64 " %s, %s, %s/s",
				p->what, p->items, p->items_are, done, rate);
	at = min_u64(at, p->total);
	part = (double)at / (double)p->total;
	if (p->total_is_items)
		snprintf(of, sizeof(of), " of %" PRIu64, p->total);
	else
		tool_size(p->total, all);
	return snprintf(text, room,
			"%s: %" PRIu64 "%s %s, %s%s%s, %.0f %%, %s/s, %s left",
			p->what, p->items, of, p->items_are, done,
			*of ? "" : " of ", *of ? "" : all, part * 100, rate,
			tool_duration(seconds / part - seconds, left));
}

void progress_show(struct progress *p, uint64_t bytes, uint64_t items)
{
	char text[256];
	int64_t now;

	p->items = items;
	if (!p->on)
		return;
	now = now_us();
	if (now - p->last < INTERVAL_US)
		return;
	p->last = now;
	if (line(p, bytes, (double)(now - p->started) / 1e6, text,
		 sizeof(text)) > 0)
		write_over(p, text);
}

int progress_follow(void *arg, uint64_t done, uint64_t total, uint64_t keys)
{
	struct progress *p = arg;

	p->total = total;
	progress_show(p, done, keys);
	return tool_signal() ? -EINTR : 0;
}

void progress_end(struct progress *p)
{
	if (p->shown) {
		write_over(p, "");
		fputc('\r', stderr);
	}
	p->shown = 0;
}
