/* tool_check.c - blt check */
#include "tool/tool.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sysexits.h>

struct check {
	const struct tool *t;
	const char *path;
	bool positions; /* of faults: LMDB does not tell them */
	struct progress progress;
	struct jout j;
};

static int print_fault(void *arg, const struct blt_fault *f)
{
	struct check *c = arg;
	bool warning = f->kind == BLT_FAULT_LOAD;

	if (tool_has(c->t, OPT_JSON)) {
		jout_open(&c->j, NULL, '{');
		jout_u64(&c->j, "position", f->position);
		jout_text(&c->j, "kind", blt_fault_name(f->kind));
		jout_bool(&c->j, "warning", warning);
		jout_bytes(&c->j, "text", f->text, strlen(f->text));
		jout_close(&c->j, '}');
		return 0;
	}
	if (tool_has(c->t, OPT_QUIET))
		return 0;
	progress_end(&c->progress);
	tool_print_name(c->path, strlen(c->path));
	if (c->positions)
		printf(": at %" PRIu64, f->position);
	printf(": %s%s\n", warning ? "warning: " : "", f->text);
	return 0;
}

static int show_progress(void *arg, uint64_t done, uint64_t total,
			 uint64_t keys)
{
	struct check *c = arg;

	return progress_follow(&c->progress, done, total, keys);
}

static void print_summary(const struct check *c,
			  const struct blt_check_result *r)
{
	tool_print_name(c->path, strlen(c->path));
	printf(": %" PRIu64 " fault%s", r->faults, r->faults == 1 ? "" : "s");
	if (r->warnings)
		printf(", %" PRIu64 " warning%s", r->warnings,
		       r->warnings == 1 ? "" : "s");
	printf("; %" PRIu64 " keys in %" PRIu64 " bytes, %" PRIu64
	       " dead block%s of %" PRIu64 " bytes",
	       r->keys, r->live_bytes, r->dead_blocks,
	       r->dead_blocks == 1 ? "" : "s", r->dead_bytes);
	if (r->skipped_bytes)
		printf("; %" PRIu64 " bytes could not be checked",
		       r->skipped_bytes);
	if (r->was_open)
		fputs("; its last writer did not close it", stdout);
	putchar('\n');
}

static void print_json_summary(struct jout *j, const struct blt_check_result *r)
{
	jout_close(j, ']');
	jout_u64(j, "faults", r->faults);
	jout_u64(j, "warnings", r->warnings);
	jout_u64(j, "keys", r->keys);
	jout_u64(j, "live_blocks", r->live_blocks);
	jout_u64(j, "live_bytes", r->live_bytes);
	jout_u64(j, "dead_blocks", r->dead_blocks);
	jout_u64(j, "dead_bytes", r->dead_bytes);
	jout_u64(j, "skipped_bytes", r->skipped_bytes);
	jout_u64(j, "longest_chain", r->longest_chain);
	jout_bool(j, "was_open", r->was_open);
	jout_close(j, '}');
}

static void begin_json(struct check *c)
{
	c->j = (struct jout){ .to = stdout };
	jout_open(&c->j, NULL, '{');
	jout_bytes(&c->j, "store", c->path, strlen(c->path));
	jout_open(&c->j, "found", '[');
}

static int run_check(struct tool *t)
{
	struct check c = { .t = t,
			   .path = t->arg[0],
			   .positions = !blt_engine_of(t->arg[0]) };
	struct blt_check_options opts = { .values = tool_has(t, OPT_VALUES),
					  .db = t->opt[OPT_DB],
					  .progress = show_progress };
	struct blt_check_result result = { 0 };
	struct blt_error err;
	int timeout, code, r;

	code = tool_opt_lock(t, &timeout);
	if (code)
		return code;
	tool_catch_signals();
	progress_start(&c.progress, "check", 0, tool_has(t, OPT_QUIET));
	if (tool_has(t, OPT_JSON))
		begin_json(&c);
	r = blt_check_file(c.path, timeout, &opts, print_fault, &c, &result,
			   &err);
	progress_end(&c.progress);
	if (tool_has(t, OPT_JSON))
		print_json_summary(&c.j, &result);
	if (r < 0 && tool_signal())
		return tool_fail(t, TOOL_SIGNALLED, "interrupted");
	if (r < 0)
		return tool_fail_open(t, c.path, r, &err);
	if (!tool_has(t, OPT_JSON) && !tool_has(t, OPT_QUIET))
		print_summary(&c, &result);
	return result.faults ? EX_DATAERR : EX_OK;
}

static const struct tool_option options[] = {
	{ OPT_VALUES, 'a', "values", NULL,
	  "warn of keys and values that Python would not load" },
	TOOL_OPT_JSON,
	{ OPT_QUIET, 'q', "quiet", NULL, "print nothing; the exit code tells" },
	TOOL_OPT_DB,
	TOOL_OPT_LOCK,
	TOOL_OPT_END,
};

const struct tool_command tool_check = {
	.name = "check",
	.args = "STORE",
	.summary = "look for damage in a store",
	.help = "Reads the whole store and prints a line for every fault, with "
		"its position in the file: in the header, the blocks, their "
		"hashes, the chains of the index, and the number of keys. A "
		"value has no checksum in this format. Exit code 65 if there "
		"is a fault. Nothing is changed.",
	.min_args = 1,
	.max_args = 1,
	.options = options,
	.run = run_check,
};
