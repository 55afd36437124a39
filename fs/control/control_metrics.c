/* control_metrics.c - the file "metrics": what stats says, as Prometheus reads
 * it (text format 0.0.4).
 */
#include "control/control_inner.h"

#include "base/util.h"
#include "control/control.h"
#include "inode/inode.h"
#include "main/stats.h"

#include <inttypes.h>
#include <string.h>

struct out {
	FILE *to;
	const char *store; /* its label, on every sample */
};

/* The value of a label with its quotes: UTF-8, with three characters escaped.
 */
static void put_label(FILE *to, const char *value)
{
	const uint8_t *s = (const uint8_t *)value;
	size_t len = strlen(value), n;

	putc('"', to);
	for (; len; s += n, len -= n) {
		n = utf8_char(s, len);
		if (!n) {
			fputs("\xef\xbf\xbd", to);
			n = 1;
		} else if (*s == '\n') {
			fputs("\\n", to);
		} else {
			if (*s == '"' || *s == '\\')
				putc('\\', to);
			fwrite(s, 1, n, to);
		}
	}
	putc('"', to);
}

static void begin(const struct out *o, const char *name, const char *type,
		  const char *help)
{
	fprintf(o->to, "# HELP bltfs_%s %s\n# TYPE bltfs_%s %s\n", name, help,
		name, type);
}

/* The sample's name and labels; more: "" or ",label=\"value\"". */
static void sample(const struct out *o, const char *name, const char *more)
{
	fprintf(o->to, "bltfs_%s{store=", name);
	put_label(o->to, o->store);
	fprintf(o->to, "%s} ", more);
}

static void gauge(const struct out *o, const char *name, const char *help,
		  uint64_t value)
{
	begin(o, name, "gauge", help);
	sample(o, name, "");
	fprintf(o->to, "%" PRIu64 "\n", value);
}

static void put_store(const struct out *o, struct bltfs *fs)
{
	struct blt_census census;
	struct blt_info i;

	blt_get_info(fs->store, &i);
	gauge(o, "keys", "Keys in the store.", i.n_keys);
	gauge(o, "file_bytes", "Size of the store file.", i.file_size);
	gauge(o, "writable", "1: the mount takes changes.", i.writable);
	gauge(o, "failed", "1: nothing can be written any more.",
	      i.failed != 0);
	if (!control_census(fs, i.file_size, &census))
		return;
	gauge(o, "live_bytes", "Bytes in use, as of the last count.",
	      census.live_bytes);
	gauge(o, "dead_bytes", "Bytes that a prune gives back, likewise.",
	      census.dead_bytes);
	gauge(o, "value_bytes", "Bytes of all values, likewise.",
	      census.value_bytes);
}

static void put_mount(const struct out *o, struct bltfs *fs)
{
	uint64_t n[JOB__STATES];
	char label[64];

	gauge(o, "start_time_seconds", "When it was mounted.",
	      (uint64_t)(fs->control->mounted / 1000000));
	gauge(o, "inodes", "Inodes that the kernel knows.",
	      inodes_count(fs->inodes));
	gauge(o, "staged_bytes", "Bytes of files that are being written.",
	      atomic_load(&fs->pool.used));
	control_count_jobs(fs, n);
	begin(o, "jobs", "gauge", "Jobs of the mount by state.");
	for (int s = 0; s < JOB__STATES; s++) {
		snprintf(label, sizeof(label), ",state=\"%s\"",
			 job_state_name((enum job_state)s));
		sample(o, "jobs", label);
		fprintf(o->to, "%" PRIu64 "\n", n[s]);
	}
}

static void put_request(const struct out *o, struct bltfs *fs, enum stats_op op)
{
	const char *op_name = stats_name(op);
	struct stats_sum sum;
	uint64_t below = 0;
	char label[64];

	stats_get(&fs->stats, op, &sum);
	for (int k = 0; k < STATS_TIMES - 1; k++) {
		below += sum.times[k];
		snprintf(label, sizeof(label), ",op=\"%s\",le=\"%.6f\"",
			 op_name, (double)(UINT64_C(1) << k) / 1e6);
		sample(o, "request_duration_seconds_bucket", label);
		fprintf(o->to, "%" PRIu64 "\n", below);
	}
	snprintf(label, sizeof(label), ",op=\"%s\",le=\"+Inf\"", op_name);
	sample(o, "request_duration_seconds_bucket", label);
	fprintf(o->to, "%" PRIu64 "\n", sum.calls);
	snprintf(label, sizeof(label), ",op=\"%s\"", op_name);
	sample(o, "request_duration_seconds_sum", label);
	fprintf(o->to, "%.6f\n", (double)sum.ns / 1e9);
	sample(o, "request_duration_seconds_count", label);
	fprintf(o->to, "%" PRIu64 "\n", sum.calls);
}

int control_print_metrics(struct bltfs *fs, uint64_t job, FILE *to)
{
	const struct out o = { to, blt_path(fs->store) };

	(void)job;
	put_store(&o, fs);
	put_mount(&o, fs);
	begin(&o, "request_duration_seconds", "histogram",
	      "Time that requests of the kernel took.");
	for (int op = 0; op < STATS__COUNT; op++)
		put_request(&o, fs, (enum stats_op)op);
	return 0;
}
