/* tool_map_job.c - maps in shards, and maps that have a name. */
#include "tool/cmd/tool_map.h"

#include "base/array.h"
#include "base/util.h"
#include "bltfs_ioctl.h"
#include "map/map_inner.h"
#include "tool/mount_client.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

/* ---- shards ---- */

/* What starts several processes of one program says which this is. */
static const struct launcher {
	const char *name;
	const char *rank, *size; /* variables */
	const char *also;        /* another that is set by it alone, or NULL */
} launchers[] = {
	/* In a batch script, also of an array, there is no step's size. */
	{ "srun", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_STEP_ID" },
	{ "mpirun", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", NULL },
	{ "mpirun", "PMI_RANK", "PMI_SIZE", NULL },
};

/* A number without anything else; -1: none. */
static long number_of(const char *text, char end)
{
	char *rest;
	long n;

	if (!text || *text < '0' || *text > '9')
		return -1;
	errno = 0;
	n = strtol(text, &rest, 10);
	return errno || *rest != end || n > LEDGER_SHARDS_MAX ? -1 : n;
}

static void find_shard(const struct tool *t, struct map_options *o)
{
	for (size_t i = 0; i < ARRAY_SIZE(launchers); i++) {
		const struct launcher *l = &launchers[i];
		long rank = number_of(getenv(l->rank), '\0');
		long size = number_of(getenv(l->size), '\0');

		if (rank < 0 || size < 2 || rank >= size ||
		    (l->also && !getenv(l->also)))
			continue;
		o->shard = (unsigned)rank + 1;
		o->shards = (unsigned)size;
		if (!tool_has(t, OPT_QUIET))
			tool_say(t,
				 "shard %u/%u, as %s has it; --shard 1/1 "
				 "takes all keys",
				 o->shard, o->shards, l->name);
		return;
	}
}

static int parse_shard(const struct tool *t, struct map_options *o)
{
	const char *text = t->opt[OPT_SHARD];
	const char *slash = text ? strchr(text, '/') : NULL;
	long shard = number_of(text, '/');
	long shards = slash ? number_of(slash + 1, '\0') : -1;

	if (!text) {
		find_shard(t, o);
		return 0;
	}
	if (shard < 1 || shard > shards)
		return tool_fail(t, EX_USAGE,
				 "--shard %s: expected is I/N, from 1/N to "
				 "N/N, with N up to %d",
				 text, LEDGER_SHARDS_MAX);
	o->shard = (unsigned)shard;
	o->shards = (unsigned)shards;
	return 0;
}

/* ---- jobs ---- */

static int check_together(const struct tool *t)
{
	static const enum tool_opt need_job[] = { OPT_RESTART, OPT_FORGET };

	if (tool_has(t, OPT_JOB) && tool_has(t, OPT_RETRY_FAILED))
		return tool_fail(t, EX_USAGE,
				 "--job and --retry-failed: give one of the "
				 "two, each names the job");
	for (size_t i = 0; i < ARRAY_SIZE(need_job); i++)
		if (tool_has(t, need_job[i]) && !tool_has(t, OPT_JOB))
			return tool_fail(t, EX_USAGE,
					 "--%s: goes with --job, which names "
					 "the job",
					 tool_opt_name(t, need_job[i]));
	if (tool_has(t, OPT_RESTART) && tool_has(t, OPT_FORGET))
		return tool_fail(t, EX_USAGE,
				 "--restart and --forget: give one of the two");
	return 0;
}

/* A job has the same keys whenever it goes on. */
static int check_times(const struct tool *t)
{
	static const enum tool_opt times[] = { OPT_NEWER_THAN, OPT_OLDER_THAN };
	char when[TIME_BUF];
	int64_t us;

	if (!tool_has(t, OPT_JOB) && !tool_has(t, OPT_RETRY_FAILED))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		const char *text = t->opt[times[i]];

		if (!text || !time_is_relative(text) ||
		    time_parse(text, &us) < 0)
			continue;
		return tool_fail(
			t, EX_USAGE,
			"--%s %s: is another time when the job goes "
			"on; write %s",
			tool_opt_name(t, times[i]), text,
			time_text(us == BLT_NOW ? now_us() : us, when));
	}
	return 0;
}

int map_job_parse(const struct tool *t, struct map_options *o)
{
	int code = check_together(t);

	if (!code)
		code = check_times(t);
	if (!code)
		code = parse_shard(t, o);
	o->retry_failed = tool_has(t, OPT_RETRY_FAILED);
	o->job = t->opt[o->retry_failed ? OPT_RETRY_FAILED : OPT_JOB];
	o->restart = tool_has(t, OPT_RESTART);
	o->forget = tool_has(t, OPT_FORGET);
	/* Without --shard, what failed in all of them. */
	if (o->retry_failed && !tool_has(t, OPT_SHARD))
		o->shard = o->shards = 0;
	return code;
}

/* ---- how far they are ---- */

struct show {
	struct jout j; /* of --json */
	bool json;
};

static const char *state_of(const struct ledger_entry *e)
{
	if (e->damaged)
		return "damaged";
	if (e->running)
		return "running";
	if (!e->row)
		return "not begun";
	if (e->row->state == LEDGER_DONE)
		return "done";
	return e->row->state == LEDGER_RUNNING ? "interrupted" : "stopped";
}

static void show_json(struct jout *j, const struct ledger_entry *e)
{
	static const struct ledger_row none;
	const struct ledger_row *r = e->row ? e->row : &none;

	jout_open(j, NULL, '{');
	jout_text(j, "job", e->job);
	jout_u64(j, "shard", e->shard);
	jout_u64(j, "shards", e->head->shards);
	jout_text(j, "state", state_of(e));
	jout_u64(j, "written", r->count[LEDGER_WRITTEN]);
	jout_u64(j, "skipped", r->count[LEDGER_SKIPPED]);
	jout_u64(j, "failed", r->count[LEDGER_FAILED]);
	jout_time(j, e->row ? r->renewed : BLT_NO_TIME);
	jout_text(j, "owner", r->owner);
	jout_text(j, "function", e->head->function);
	jout_open(j, "failed_keys", '[');
	for (size_t i = 0; i < r->n_failed; i++)
		jout_hex(j, NULL, r->failed[i].bytes, r->failed[i].len);
	jout_close(j, ']');
	jout_close(j, '}');
}

static int show_entry(void *arg, const struct ledger_entry *e)
{
	const struct ledger_row *r = e->row;
	struct show *s = arg;
	char when[TIME_BUF];

	if (s->json) {
		show_json(&s->j, e);
		return 0;
	}
	/* The ledger gives no other names of jobs than ledger_is_name's. */
	printf("%s %u/%u %s", e->job, e->shard, e->head->shards, state_of(e));
	if (r)
		printf(", %" PRIu64 " written, %" PRIu64 " skipped, %" PRIu64
		       " failed, %s, ",
		       r->count[LEDGER_WRITTEN], r->count[LEDGER_SKIPPED],
		       r->count[LEDGER_FAILED], time_text(r->renewed, when));
	if (r)
		tool_print_name(r->owner, strlen(r->owner));
	fputs(": ", stdout);
	tool_print_name(e->head->function, strlen(e->head->function));
	putchar('\n');
	return 0;
}

/* The daemon's answer, whole. */
static int fetch(int fd, uint64_t args, uint8_t **ret, size_t *ret_len)
{
	struct bltfs_piece p = { .args = args };
	int rc = bytes_append(ret, ret_len, "", 0);

	while (rc == 0 && p.args) {
		if (ioctl(fd, BLTFS_IOC_FETCH, &p) < 0)
			return -errno;
		if (p.len > sizeof(p.bytes) || (p.args && !p.len))
			return -EPROTO;
		rc = bytes_append(ret, ret_len, p.bytes, p.len);
	}
	return rc;
}

static int each_mounted(int fd, const char *job, ledger_fn *fn, void *arg)
{
	struct bltfs_map ask = { .args = 0 };
	uint8_t *bytes = NULL;
	size_t len = 0;
	int rc = ioctl(fd, BLTFS_IOC_LEDGER, &ask) < 0 ? -errno : 0;

	if (rc == 0)
		rc = fetch(fd, ask.args, &bytes, &len);
	if (rc == 0)
		rc = ledger_unpack(bytes, len, job, fn, arg);
	free(bytes);
	return rc;
}

static int fail_status(struct tool *t, int rc)
{
	struct blt_error err;

	if (rc == -EUCLEAN)
		return tool_fail(t, EX_DATAERR,
				 "%s: what is noted of a job is damaged; begin "
				 "it anew with --restart, or --forget it",
				 t->arg[0]);
	if (t->store)
		return ledger_fail(t->store, t->opt[OPT_JOB], rc, &err),
		       tool_fail(t, tool_exit_code(rc), "%s", err.text);
	if (rc == -ENOENT)
		return tool_fail(t, EX_NOINPUT, "%s: has no job %s", t->arg[0],
				 t->opt[OPT_JOB]);
	return mount_client_fail(t, t->arg[0], rc);
}

int map_job_status(struct tool *t)
{
	struct show s = { .j = { .to = stdout, .flat = true },
			  .json = tool_has(t, OPT_JSON) };
	const char *job = t->opt[OPT_JOB];
	int fd = -1, rc, code;

	if (t->n_args > 1)
		return tool_fail(t, EX_USAGE, "--status: takes no command");
	code = mount_client_open(t, t->arg[0], &fd);
	if (!code && fd < 0)
		code = tool_open(t, t->arg[0], BLT_READ, NULL);
	if (code)
		return code;
	if (s.json)
		jout_open(&s.j, NULL, '[');
	rc = fd < 0 ? ledger_each(t->store, job, show_entry, &s) :
		      each_mounted(fd, job, show_entry, &s);
	if (s.json)
		jout_close(&s.j, ']');
	code = rc < 0 ? fail_status(t, rc) : tool_flush(t);
	if (fd >= 0)
		close(fd);
	return code;
}
