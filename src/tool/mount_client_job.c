/* mount_client_job.c - jobs, of a mount's daemon and of this process: started,
 * and followed to their end. */
#include "tool/mount_client.h"
#include "tool/mount_ask.h"

#include "bltfs_ioctl.h"
#include "base/util.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define LOOK_MIN_MS 5
#define LOOK_MAX_MS 200

/* The states have one order in both. */
static void take(const struct bltfs_job_info *from, struct job_info *to)
{
	*to = (struct job_info){
		.id = from->job,
		.kind = JOB__COUNT,
		.state = (enum job_state)from->state,
		.err = -from->error,
		.items = from->items,
		.done = from->done,
		.total = from->total,
		.errors = from->errors,
		.rate = (double)min_u64(from->rate, INT64_MAX),
		.left_us = from->left,
		.queued = from->queued,
		.started = from->started,
		.ended = from->ended,
	};
	for (int k = 0; k < JOB__COUNT; k++) {
		if (!strcmp(job_kind_name((enum job_kind)k), from->kind))
			to->kind = (enum job_kind)k;
	}
	memcpy(to->fact, from->fact, sizeof(to->fact));
	snprintf(to->text, sizeof(to->text), "%s", from->text);
}

int mount_client_job(int fd, uint64_t id, struct job_info *ret)
{
	struct bltfs_job_info info = { .job = id };
	int r = mount_ask(fd, BLTFS_IOC_JOB, &info);

	if (r == 0)
		take(&info, ret);
	return r;
}

int mount_client_next_job(struct job_list *list, struct job_info *ret)
{
	struct bltfs_job_info info = { .job = list->last };
	int r = mount_ask(list->fd, BLTFS_IOC_NEXT_JOB, &info);

	if (r == 0 && list->n == MOUNT_ASK_MOST)
		r = -EPROTO;
	if (r < 0)
		return r == -ESRCH ? 0 : r;
	list->n++;
	list->last = info.job;
	take(&info, ret);
	return 1;
}

/* One job, wherever it runs. */
struct source {
	int fd;            /* of a mount, or -1 */
	struct jobs *jobs; /* of this process */
	uint64_t id;
};

static int look(const struct source *s, struct job_info *ret)
{
	if (s->fd < 0)
		return jobs_get(s->jobs, s->id, ret);
	return mount_client_job(s->fd, s->id, ret);
}

static void cancel(const struct source *s)
{
	struct bltfs_job job = { .job = s->id };

	if (s->fd < 0)
		jobs_cancel(s->jobs, s->id);
	else
		(void)mount_ask(s->fd, BLTFS_IOC_CANCEL, &job);
}

/* "KEY: why", malloc'd, or NULL; the key's bytes in *ret_key_len. */
static char *error_of(const struct source *s, uint64_t n, size_t *ret_key_len)
{
	struct bltfs_job_error e = { .job = s->id, .index = n };
	char *line;

	if (s->fd < 0)
		return jobs_error(s->jobs, s->id, n, &line, ret_key_len) < 0 ?
			       NULL :
			       line;
	if (mount_ask(s->fd, BLTFS_IOC_JOB_ERROR, &e) < 0)
		return NULL;
	*ret_key_len = e.key_len;
	return strdup(e.text);
}

/* Each on a line of stderr, and as an element of what is open in j, if that is
 * not NULL. */
static void print_errors(const struct tool *t, const struct source *s,
			 uint64_t n, struct jout *j)
{
	for (uint64_t i = 0; i < min_u64(n, JOB_ERRORS_KEPT); i++) {
		size_t key_len = 0;
		char *line = error_of(s, i, &key_len);
		const char *why = line ? line + key_len : NULL;

		if (line && j) {
			jout_open(j, NULL, '{');
			jout_bytes(j, "key", line, key_len);
			jout_text(j, "error",
				  strncmp(why, ": ", 2) ? why : why + 2);
			jout_close(j, '}');
		}
		if (line)
			tool_say(t, "%s", line);
		free(line);
	}
}

/* ---- how far it is ---- */

/* Where no line can be rewritten: one for each tenth, of what takes long. */
static void print_tenth(const struct tool *t, const struct job_info *i,
			unsigned *tenth)
{
	unsigned now =
		i->total ?
			(unsigned)(min_u64(i->done, i->total) * 10 / i->total) :
			0;

	if (now <= *tenth || now >= 10)
		return;
	*tenth = now;
	tool_say(t, "%u %%, %" PRIu64 " keys", now * 10, i->items);
}

static void wait_a_little(unsigned *ms)
{
	struct timespec ts = { .tv_nsec = (long)*ms * 1000000 };

	nanosleep(&ts, NULL); /* a signal ends it */
	*ms = *ms * 2 < LOOK_MAX_MS ? *ms * 2 : LOOK_MAX_MS;
}

/* Until it has ended; the first signal cancels it. */
static int follow(const struct tool *t, const struct source *s,
		  struct job_info *ret)
{
	bool quiet = tool_has(t, OPT_QUIET), cancelled = false;
	unsigned ms = LOOK_MIN_MS, tenth = 0;
	struct progress p;
	int r;

	progress_start(&p, t->cmd->name, 0, quiet);
	while ((r = look(s, ret)) == 0 && !job_has_ended(ret)) {
		p.total = ret->total;
		/* a map counts keys, and bytes besides */
		p.total_is_items = ret->kind == JOB_MAP;
		if (p.on && p.total_is_items)
			progress_show(&p, ret->fact[JOB_MAP_BYTES], ret->done);
		else if (p.on)
			progress_show(&p, ret->done, ret->items);
		else if (!quiet && !tool_has(t, OPT_JSON) &&
			 progress_is_due(&p))
			print_tenth(t, ret, &tenth);
		if (tool_signal() && !cancelled) {
			cancel(s);
			cancelled = true;
			ms = LOOK_MIN_MS;
		}
		wait_a_little(&ms);
	}
	progress_end(&p);
	return r;
}

static void open_job_json(struct jout *j, const struct job_info *i)
{
	jout_open(j, NULL, '{');
	jout_u64(j, "job", i->id);
	jout_text(j, "kind", job_kind_name(i->kind));
	jout_text(j, "state", job_state_name(i->state));
	jout_u64(j, "items", i->items);
	jout_u64(j, "done", i->done);
	jout_u64(j, "total", i->total);
	jout_u64(j, "errors", i->errors);
	jout_fixed(j, "rate", i->rate);
	jout_fixed(j, "seconds_left",
		   i->left_us < 0 ? -1 : (double)i->left_us / 1e6);
	for (unsigned n = 0; job_fact_name(i->kind, n); n++)
		jout_u64(j, job_fact_name(i->kind, n), i->fact[n]);
	jout_u64(j, "queued", (uint64_t)i->queued);
	jout_u64(j, "started", (uint64_t)i->started);
	jout_u64(j, "ended", (uint64_t)i->ended);
	jout_text(j, "text", i->text);
}

void tool_print_job_json(struct jout *j, const struct job_info *i)
{
	open_job_json(j, i);
	jout_close(j, '}');
}

const char *tool_copy_advice(const struct tool *t, int err, const char *text)
{
	static const char exists[] = ": exists already";
	size_t len = strlen(text), n = sizeof(exists) - 1;

	if (err != -EEXIST || tool_has(t, OPT_FORCE) || len < n ||
	    strcmp(text + len - n, exists) != 0)
		return "";
	return "; --force replaces it";
}

/* Why it failed.  What a copy or a map was to make has no directory, else the
 * input is not there. */
static int fail_job(const struct tool *t, const struct job_info *i)
{
	const bool makes = i->kind == JOB_COPY || tool_has(t, OPT_CREATE);
	const char *advice = "";
	int code = tool_exit_code(i->err);

	if (i->errors && i->kind != JOB_MAP)
		code = EX_SOFTWARE;
	else if (i->err == -ENOENT && makes)
		code = EX_CANTCREAT;
	if (i->kind == JOB_COPY)
		advice = tool_copy_advice(t, i->err, i->text);
	return tool_fail_told(t, code, i->text, advice);
}

static void print_line(const char *text)
{
	tool_print_name(text, strlen(text));
	putchar('\n');
}

static int report(const struct tool *t, const struct source *s,
		  const struct job_info *i)
{
	struct jout j = { .to = stdout };

	const bool json = tool_has(t, OPT_JSON);

	if (json)
		open_job_json(&j, i);
	if (json && i->kind == JOB_MAP)
		jout_open(&j, "failed", '[');
	print_errors(t, s, i->errors, json && i->kind == JOB_MAP ? &j : NULL);
	if (json && i->kind == JOB_MAP)
		jout_close(&j, ']');
	if (json)
		jout_close(&j, '}');
	else if (i->state == JOB_DONE && !tool_has(t, OPT_QUIET) && i->text[0])
		print_line(i->text);
	if (i->state == JOB_DONE && i->errors)
		return EX_SOFTWARE;
	if (i->state == JOB_FAILED)
		return fail_job(t, i);
	if (i->state == JOB_CANCELLED && !tool_signal())
		return tool_fail(t, EX_TEMPFAIL, "cancelled");
	if (i->state == JOB_CANCELLED)
		tool_say(t, "interrupted");
	return tool_flush(t);
}

static int follow_and_report(const struct tool *t, const struct source *s)
{
	struct job_info info;
	int r;

	if (s->fd >= 0)
		tool_catch_first_signal();
	else
		tool_catch_signals();
	r = follow(t, s, &info);
	if (r < 0 && s->fd >= 0)
		return mount_client_fail(t, t->arg[0], r);
	if (r < 0)
		return tool_fail(t, EX_SOFTWARE, "%s", strerror(-r));
	return report(t, s, &info);
}

/* Has the daemon start a job; args begin with its number. */
static int start(const struct tool *t, int fd, unsigned cmd, void *args,
		 struct source *ret)
{
	int err = mount_ask(fd, cmd, args);

	if (err < 0)
		return mount_client_fail(t, t->arg[0], err);
	*ret = (struct source){ .fd = fd };
	memcpy(&ret->id, args, sizeof(ret->id));
	return 0;
}

int mount_client_result(const struct tool *t, int fd, unsigned cmd, void *args,
			struct job_info *ret)
{
	struct source s;
	int code = start(t, fd, cmd, args, &s), r;

	if (code)
		return code;
	tool_catch_first_signal();
	r = follow(t, &s, ret);
	if (r < 0)
		return mount_client_fail(t, t->arg[0], r);
	return ret->state == JOB_DONE ? 0 : report(t, &s, ret);
}

int mount_client_start(const struct tool *t, int fd, unsigned cmd, void *args)
{
	struct source s;
	int code = start(t, fd, cmd, args, &s);

	/* A map that can go on later ends with us, so that it can go on. */
	if (!code && (tool_has(t, OPT_JOB) || tool_has(t, OPT_RETRY_FAILED)) &&
	    !tool_has(t, OPT_DETACH))
		ioctl(fd, BLTFS_IOC_ATTEND, &(struct bltfs_job){ s.id });
	if (!code && tool_has(t, OPT_DETACH)) {
		printf("%" PRIu64 "\n", s.id);
		code = tool_flush(t);
	} else if (!code) {
		code = follow_and_report(t, &s);
	}
	close(fd);
	return code;
}

int tool_job_run(const struct tool *t, const struct job_request *req)
{
	struct source s = { .fd = -1 };
	int code, r = jobs_new(t->store, NULL, &s.jobs);

	if (r == 0)
		r = jobs_start(s.jobs, req, &s.id);
	if (r < 0)
		code = tool_fail_store(t, NULL, r);
	else
		code = follow_and_report(t, &s);
	if (s.jobs)
		jobs_free(s.jobs);
	return code;
}

int tool_open_alone(struct tool *t)
{
	if (tool_has(t, OPT_DETACH))
		return tool_fail(t, EX_USAGE,
				 "--detach: %s is no mount, where a daemon "
				 "would go on with it",
				 t->arg[0]);
	return tool_open(t, t->arg[0], BLT_WRITE, NULL);
}

int tool_work(struct tool *t, unsigned cmd, void *args,
	      const struct job_request *req)
{
	int fd, code = mount_client_open(t, t->arg[0], &fd);

	if (code)
		return code;
	if (fd >= 0)
		return mount_client_start(t, fd, cmd, args);
	code = tool_open_alone(t);
	return code ? code : tool_job_run(t, req);
}
