/* tool_top_print.c - a sample as text, or as a line of JSON.
 *
 * Medians are of the time between two samples, and estimated: within a power
 * of two, times are taken to be spread evenly.
 */
#include "tool/mount_client.h"
#include "tool/cmd/tool_top.h"

#include "base/util.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* What happened between two samples. */
struct change {
	const char *name;
	uint64_t calls, times[TOP_TIMES];
	double total_us, longest_us;
};

static const struct top_kind *find_kind(const struct top_sample *s,
					const char *name)
{
	for (size_t i = 0; s && i < s->n_kinds; i++) {
		if (!strcmp(s->kind[i].name, name))
			return &s->kind[i];
	}
	return NULL;
}

/* A daemon that was started anew in between has counted less than before. */
static struct change change_of(const struct top_sample *before,
			       const struct top_kind *now)
{
	const struct top_kind *old = find_kind(before, now->name);
	struct change c = { .name = now->name, .longest_us = now->longest_us };

	if (old && old->calls > now->calls)
		old = NULL;
	c.total_us = now->total_us - (old ? old->total_us : 0);
	for (size_t i = 0; i < TOP_TIMES; i++) {
		uint64_t was = old ? min_u64(old->times[i], now->times[i]) : 0;

		c.times[i] = now->times[i] - was;
		c.calls += c.times[i];
	}
	return c;
}

/* The time that a part of the calls did not take longer than: the place in its
 * power of two is a guess, but never behind the longest of all. */
static double quantile(const struct change *c, double part)
{
	double wanted = part * (double)c->calls, seen = 0;

	for (size_t i = 0; i < TOP_TIMES; i++) {
		double from = i ? (double)(UINT64_C(1) << (i - 1)) : 0;
		double to = (double)(UINT64_C(1) << i);
		double n = (double)c->times[i];

		if (n > 0 && seen + n >= wanted)
			return fmin(from + (to - from) * (wanted - seen) / n,
				    c->longest_us);
		seen += n;
	}
	return 0;
}

static double mean(const struct change *c)
{
	return c->calls ? c->total_us / (double)c->calls : 0;
}

static double seconds_between(const struct top_sample *before,
			      const struct top_sample *now)
{
	int64_t us = now->at - (before ? before->at : now->mounted);

	return us > 0 ? (double)us / 1e6 : 1e-6;
}

static bool had_ended(const struct top_sample *before, uint64_t id)
{
	for (size_t i = 0; i < before->n_jobs; i++) {
		if (before->job[i].id == id)
			return job_has_ended(&before->job[i]);
	}
	return false;
}

static bool is_shown(const struct top_style *style,
		     const struct top_sample *before,
		     const struct top_sample *now, const struct job_info *job)
{
	if (!job_has_ended(job))
		return true;
	if (style->keep_us)
		return job->ended > now->at - style->keep_us;
	return before && !had_ended(before, job->id);
}

/* ---- text ---- */

static const char *time_of(double us, char buf[32])
{
	if (us < 1000)
		snprintf(buf, 32, "%.1f us", us);
	else if (us < 1000000)
		snprintf(buf, 32, "%.1f ms", us / 1000);
	else
		snprintf(buf, 32, "%.1f s", us / 1000000);
	return buf;
}

static void print_store(FILE *to, const char *path,
			const struct top_sample *now)
{
	char size[32], dead[32], staged[32], when[TIME_BUF];

	fprintf(to, "%s on %s, %.19sZ\n", now->store, path,
		time_text(now->at, when));
	fprintf(to, "%" PRIu64 " keys, %s", now->keys,
		tool_size(now->file_bytes, size));
	if (now->counted)
		fprintf(to, ", %s of it dead",
			tool_size(now->dead_bytes, dead));
	fprintf(to, "; %" PRIu64 " inodes in use, %s being written\n",
		now->inodes, tool_size(now->staged_bytes, staged));
	if (now->failed)
		fprintf(to, "nothing can be written any more: %s\n",
			now->failed);
}

static void print_change(FILE *to, const struct change *c, double seconds)
{
	char average[32] = "-", half[32] = "-", most[32] = "-", longest[32];

	if (c->calls) {
		time_of(mean(c), average);
		time_of(quantile(c, 0.5), half);
		time_of(quantile(c, 0.99), most);
	}
	fprintf(to, "%-10s %10.1f %10s %10s %10s %10s\n", c->name,
		(double)c->calls / seconds, average, half, most,
		time_of(c->longest_us, longest));
}

static void print_job(FILE *to, const struct job_info *i)
{
	char done[32], left[32] = "-", part[16] = "-";

	if (i->total)
		snprintf(part, sizeof(part), "%.0f %%",
			 100.0 * (double)min_u64(i->done, i->total) /
				 (double)i->total);
	if (i->left_us >= 0)
		tool_duration((double)i->left_us / 1e6, left);
	fprintf(to, "%-4" PRIu64 " %-8s %-9s %10" PRIu64 " %10s %6s %12s  %s\n",
		i->id, job_kind_name(i->kind), job_state_name(i->state),
		i->items, tool_size(i->done, done), part, left, i->text);
}

void top_print(FILE *to, const struct top_style *style,
	       const struct top_sample *before, const struct top_sample *now)
{
	double seconds = seconds_between(before, now);
	bool any = false;

	print_store(to, style->path, now);
	fprintf(to, "%s%-10s %10s %10s %10s %10s %10s\n", style->mark,
		"REQUEST", "A SECOND", "MEAN", "P50", "P99", "LONGEST");
	for (size_t i = 0; i < now->n_kinds; i++) {
		struct change c = change_of(before, &now->kind[i]);

		if (now->kind[i].calls)
			print_change(to, &c, seconds);
	}
	for (size_t i = now->n_jobs; i-- > 0;) {
		if (!is_shown(style, before, now, &now->job[i]))
			continue;
		if (!any)
			fprintf(to, "%s%-4s %-8s %-9s %10s %10s %6s %12s\n",
				style->mark, "JOB", "KIND", "STATE", "KEYS",
				"DONE", "", "LEFT");
		any = true;
		print_job(to, &now->job[i]);
	}
}

/* ---- JSON ---- */

static void put_kind(struct jout *j, const struct change *c, double seconds)
{
	jout_open(j, c->name, '{');
	jout_u64(j, "calls", c->calls);
	jout_fixed(j, "per_second", (double)c->calls / seconds);
	jout_fixed(j, "mean_us", mean(c));
	jout_fixed(j, "p50_us", quantile(c, 0.5));
	jout_fixed(j, "p99_us", quantile(c, 0.99));
	jout_fixed(j, "longest_us", c->longest_us);
	jout_close(j, '}');
}

static void put_store(struct jout *j, const char *path,
		      const struct top_sample *now)
{
	jout_text(j, "mountpoint", path);
	jout_text(j, "store", now->store);
	jout_text(j, "failed", now->failed);
	jout_u64(j, "keys", now->keys);
	jout_u64(j, "file_bytes", now->file_bytes);
	if (now->counted) {
		jout_u64(j, "live_bytes", now->live_bytes);
		jout_u64(j, "dead_bytes", now->dead_bytes);
	}
	jout_u64(j, "inodes", now->inodes);
	jout_u64(j, "staged_bytes", now->staged_bytes);
}

void top_print_json(FILE *to, const struct top_style *style,
		    const struct top_sample *before,
		    const struct top_sample *now)
{
	/* below the top, all of it stands on one line */
	struct jout j = { .to = to, .depth = 2, .first = true, .flat = true };
	double seconds = seconds_between(before, now);

	jout_open(&j, NULL, '{');
	jout_time(&j, now->at);
	jout_fixed(&j, "seconds", seconds);
	put_store(&j, style->path, now);
	jout_open(&j, "requests", '{');
	for (size_t i = 0; i < now->n_kinds; i++) {
		struct change c = change_of(before, &now->kind[i]);

		put_kind(&j, &c, seconds);
	}
	jout_close(&j, '}');
	jout_open(&j, "jobs", '[');
	for (size_t i = 0; i < now->n_jobs; i++) {
		if (is_shown(style, before, now, &now->job[i]))
			tool_print_job_json(&j, &now->job[i]);
	}
	jout_close(&j, ']');
	jout_close(&j, '}');
	putc('\n', to);
}
