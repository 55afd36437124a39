/* tool_prune.c - blt prune */
#include "tool.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

static int follow(void *arg, uint64_t done, uint64_t total, uint64_t keys)
{
	struct progress *p = arg;

	p->total = total;
	progress_show(p, done, keys);
	return tool_signal() ? -EINTR : 0;
}

static int fail(const struct tool *t, int err)
{
	if (tool_signal())
		return tool_fail(t, TOOL_SIGNALLED,
				 "interrupted; what was done is kept, and the "
				 "next %s goes on",
				 t->cmd->name);
	if (err == -ENOTSUP)
		return tool_fail(t, EX_UNAVAILABLE,
				 "%s: keeps no timestamps, so no key is older "
				 "than another",
				 t->arg[0]);
	return tool_fail_store(t, NULL, err);
}

/* ---- prune ---- */

static void report_prune(const struct tool *t, const struct blt_prune_result *r)
{
	uint64_t freed = r->size_before > r->size_after ?
				 r->size_before - r->size_after :
				 0;
	char is[32], less[32];

	if (tool_has(t, OPT_JSON)) {
		struct jout j = { .to = stdout };

		jout_open(&j, NULL, '{');
		jout_u64(&j, "dropped", r->dropped);
		jout_u64(&j, "moved_bytes", r->moved);
		jout_u64(&j, "size_before", r->size_before);
		jout_u64(&j, "size_after", r->size_after);
		jout_close(&j, '}');
		return;
	}
	if (tool_has(t, OPT_QUIET))
		return;
	if (tool_has(t, OPT_OLDER_THAN))
		printf("%" PRIu64 " key%s dropped; ", r->dropped,
		       r->dropped == 1 ? "" : "s");
	printf("%s given back, %s left\n", tool_size(freed, less),
	       tool_size(r->size_after, is));
}

static int older_than(const struct tool *t, int64_t *ret)
{
	const char *text = t->opt[OPT_OLDER_THAN];

	*ret = 0;
	if (text && time_parse(text, ret) < 0)
		return tool_fail(t, EX_USAGE,
				 "--older-than %s: no time; give one as "
				 "2024-05-31T12:00:00Z or @SECONDS",
				 text);
	if (!text && t->n_args > 1)
		return tool_fail(t, EX_USAGE,
				 "keys to keep are for --older-than");
	return 0;
}

static int run_prune(struct tool *t)
{
	struct blt_bytes *keep = calloc((size_t)t->n_args, sizeof(*keep));
	struct progress p;
	struct blt_prune_result result;
	struct blt_prune_options o = { .keep = keep,
				       .progress = follow,
				       .arg = &p };
	int code, r;

	if (!keep)
		return tool_fail(t, EX_OSERR, "out of memory");
	code = older_than(t, &o.older_than);
	if (!code)
		code = tool_open(t, t->arg[0], BLT_WRITE, NULL);
	for (; !code && (int)o.n_keep + 1 < t->n_args; o.n_keep++) {
		struct tool_key key;

		code = tool_key(t, t->arg[o.n_keep + 1], true, &key);
		keep[o.n_keep] = (struct blt_bytes){ key.bytes, key.len };
	}
	if (!code) {
		progress_start(&p, "prune", 0, tool_has(t, OPT_QUIET));
		r = blt_prune(t->store, &o, &result);
		progress_end(&p);
		if (r < 0)
			code = fail(t, r);
		else
			report_prune(t, &result);
	}
	for (size_t i = 0; i < o.n_keep; i++)
		free((void *)(uintptr_t)keep[i].bytes);
	free(keep);
	return code ? code : tool_flush(t);
}

static const struct tool_option prune_options[] = {
	{ OPT_OLDER_THAN, 'o', "older-than", "TIME",
	  "delete keys with an earlier timestamp first" },
	{ OPT_HEX, 'x', "hex", NULL, "keys are given as hex digits" },
	TOOL_OPT_KEYS,
	TOOL_OPT_JSON,
	{ OPT_QUIET, 'q', "quiet", NULL, "no progress and no report" },
	TOOL_OPT_LOCK,
	TOOL_OPT_END,
};

const struct tool_command tool_prune = {
	.name = "prune",
	.args = "STORE [KEEP]...",
	.summary = "take what was deleted and overwritten out of a store",
	.help = "Moves what STORE holds together, in place and in its order, "
		"and cuts the file: it then has the size that Python's prune "
		"gives it. With --older-than, keys with an earlier timestamp "
		"are deleted first, but for those named as KEEP. Needs some "
		"megabytes of free space, or the length of the largest value. "
		"May be interrupted at any time: the store is whole, and the "
		"next prune goes on.",
	.min_args = 1,
	.max_args = -1,
	.options = prune_options,
	.run = run_prune,
};
