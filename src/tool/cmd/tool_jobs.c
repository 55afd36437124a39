/* tool_jobs.c - blt jobs, cancel and wait: the jobs of a mount. */
#include "tool/mount_client.h"
#include "tool/mount_ask.h"

#include "bltfs_ioctl.h"
#include "base/util.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define WIDE 79       /* columns left of the result */
#define NARROW 53     /* without the bytes and their rate */
#define MIN_RESULT 16 /* shorter it says nothing */

static int parse_id(const struct tool *t, const char *text, uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(text, &end, 10);
	if (errno || *end || text[0] < '0' || text[0] > '9')
		return tool_fail(t, EX_USAGE, "%s: not a job's number", text);
	return 0;
}

static int fail_job(const struct tool *t, uint64_t id, int err)
{
	if (err == -ESRCH)
		return tool_fail(t, TOOL_NOT_FOUND,
				 "%" PRIu64 ": no such job in %s", id,
				 t->arg[0]);
	return mount_client_fail(t, t->arg[0], err);
}

/* ---- jobs ---- */

/* Bytes a second; keys where it counts no bytes. */
static const char *rate_text(const struct job_info *i, char buf[64])
{
	char size[32];

	if (!(i->rate > 0))
		return "-";
	if (i->done && i->kind != JOB_MAP)
		snprintf(buf, 64, "%s/s", tool_size((uint64_t)i->rate, size));
	else
		snprintf(buf, 64, "%.0f/s", i->rate);
	return buf;
}

/* How many columns there are for the result, and of these which others: on a
 * narrow terminal the rate and the bytes go first. */
struct layout {
	bool wide;
	size_t result; /* 0: any length */
};

static struct layout layout(void)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || !size.ws_col)
		return (struct layout){ .wide = true };
	if (size.ws_col >= WIDE + MIN_RESULT)
		return (struct layout){ true, size.ws_col - WIDE };
	return (struct layout){ false, size.ws_col > NARROW + MIN_RESULT ?
					       size.ws_col - NARROW :
					       MIN_RESULT };
}

static void print_result(const struct layout *l, const char *text)
{
	size_t len = strlen(text);
	bool cut = l->result && len > l->result;

	tool_print_name(text, cut ? l->result - 3 : len);
	puts(cut ? "..." : "");
}

static void print_row(const struct layout *l, const struct job_info *i)
{
	/* a map counts keys, and bytes besides */
	uint64_t bytes = i->kind == JOB_MAP ? i->fact[3] : i->done;
	char done[32], rate[64], left[32] = "-";

	if (i->left_us >= 0)
		snprintf(left, sizeof(left), "%.0f s",
			 (double)i->left_us / 1e6);
	printf("%4" PRIu64 "  %-8s %-9s %10" PRIu64 " ", i->id,
	       job_kind_name(i->kind), job_state_name(i->state), i->items);
	if (l->wide)
		printf("%12s %12s ", tool_size(bytes, done),
		       rate_text(i, rate));
	printf("%8s %6" PRIu64 "  ", left, i->errors);
	print_result(l, i->text);
}

static void print_head(const struct layout *l)
{
	printf("%4s  %-8s %-9s %10s ", "JOB", "KIND", "STATE", "KEYS");
	if (l->wide)
		printf("%12s %12s ", "DONE", "RATE");
	printf("%8s %6s  %s\n", "LEFT", "ERRORS", "RESULT");
}

static int run_jobs(struct tool *t)
{
	struct jout j = { .to = stdout, .flat = true };
	bool json = tool_has(t, OPT_JSON), any = false;
	const struct layout at = layout();
	struct job_list list = { 0 };
	struct job_info info;
	int r, code = mount_client_mount(t, t->arg[0], &list.fd);

	if (code)
		return code;
	if (json)
		jout_open(&j, NULL, '[');
	while ((r = mount_client_next_job(&list, &info)) > 0) {
		if (json)
			tool_print_job_json(&j, &info);
		else if (!any)
			print_head(&at);
		if (!json)
			print_row(&at, &info);
		any = true;
	}
	if (json)
		jout_close(&j, ']');
	close(list.fd);
	return r == 0 ? tool_flush(t) : fail_job(t, list.last, r);
}

/* ---- cancel ---- */

static int run_cancel(struct tool *t)
{
	int fd, r, code = mount_client_mount(t, t->arg[0], &fd), result;

	if (code)
		return code;
	result = EX_OK;
	for (int i = 1; i < t->n_args; i++) {
		struct bltfs_job job;

		code = parse_id(t, t->arg[i], &job.job);
		r = code ? 0 : mount_ask(fd, BLTFS_IOC_CANCEL, &job);
		if (r < 0)
			code = fail_job(t, job.job, r);
		result = code ? code : result;
	}
	close(fd);
	return result;
}

/* ---- wait ---- */

/* Exit code 75: a job of these did not come to its end. */
static int wait_for(const struct tool *t, int fd, uint64_t id)
{
	const struct timespec ts = { .tv_nsec = 50000000 };
	struct job_info info;
	int r;

	while ((r = mount_client_job(fd, id, &info)) == 0 &&
	       !job_has_ended(&info) && !tool_signal())
		nanosleep(&ts, NULL);
	if (r < 0)
		return fail_job(t, id, r);
	if (info.state == JOB_FAILED)
		return tool_fail(t, tool_exit_code(info.err),
				 "job %" PRIu64 " failed: %s", id, info.text);
	if (info.state == JOB_CANCELLED)
		return tool_fail(t, EX_TEMPFAIL,
				 "job %" PRIu64 " was cancelled", id);
	return EX_OK;
}

/* Those that had not ended when it began. */
static int wait_for_all(const struct tool *t, int fd)
{
	struct job_list list = { .fd = fd };
	struct job_info info;
	int code, result = EX_OK, r;

	while ((r = mount_client_next_job(&list, &info)) > 0) {
		if (job_has_ended(&info))
			continue;
		code = wait_for(t, fd, info.id);
		result = code ? code : result;
	}
	if (r < 0 && !result)
		result = fail_job(t, list.last, r);
	return result;
}

static int run_wait(struct tool *t)
{
	int fd, code = mount_client_mount(t, t->arg[0], &fd), result = EX_OK;
	uint64_t id;

	if (code)
		return code;
	tool_catch_first_signal();
	if (t->n_args == 1)
		result = wait_for_all(t, fd);
	for (int i = 1; i < t->n_args; i++) {
		code = parse_id(t, t->arg[i], &id);
		if (!code)
			code = wait_for(t, fd, id);
		result = code ? code : result;
	}
	close(fd);
	return result;
}

const struct tool_command tool_jobs = {
	.name = "jobs",
	.args = "MOUNTPOINT",
	.summary = "list the jobs of a mounted store",
	.help = "Lists the jobs of a mount, also those of the last 100 that "
		"have ended: number, kind, state, keys and bytes done, the "
		"time that is left as far as it can be told, and what came of "
		"it.",
	.min_args = 1,
	.max_args = 1,
	.options = (const struct tool_option[]){ TOOL_OPT_JSON, TOOL_OPT_END },
	.run = run_jobs,
};

const struct tool_command tool_cancel = {
	.name = "cancel",
	.args = "MOUNTPOINT JOB...",
	.summary = "stop jobs of a mounted store",
	.help = "Asks jobs to stop, and does not wait for that: \"blt wait\" "
		"does. What a job has changed so far stays. One that has "
		"ended stays as it is. Exit code 1: there is no such job; the "
		"others are asked all the same.",
	.min_args = 2,
	.max_args = -1,
	.options = (const struct tool_option[]){ TOOL_OPT_END },
	.run = run_cancel,
};

const struct tool_command tool_wait = {
	.name = "wait",
	.args = "MOUNTPOINT [JOB...]",
	.summary = "wait for jobs of a mounted store",
	.help = "Returns when the jobs have ended; without JOB, all that had "
		"not ended when it began. Exit code 75: one was cancelled; 1: "
		"there is no such job; that of the error: one failed.",
	.min_args = 1,
	.max_args = -1,
	.options = (const struct tool_option[]){ TOOL_OPT_END },
	.run = run_wait,
};
