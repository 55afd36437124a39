/* tool_reindex.c - blt reindex */
#include "tool.h"

#include <errno.h>
#include <sysexits.h>

static int run_reindex(struct tool *t)
{
	uint64_t buckets;
	int code, r;

	code = tool_opt_u64(t, OPT_BUCKETS, 1, UINT32_MAX, 0, &buckets);
	if (!code)
		code = tool_open(t, t->arg[0], BLT_WRITE, NULL);
	if (code)
		return code;
	r = blt_reindex(t->store, (uint32_t)buckets, NULL, NULL);
	return r < 0 ? tool_fail_store(t, NULL, r) : EX_OK;
}

static const struct tool_option options[] = {
	{ OPT_BUCKETS, 'b', "buckets", "N",
	  "size of the new index (the next of 12007, 144013, ...)" },
	TOOL_OPT_LOCK,
	TOOL_OPT_END,
};

const struct tool_command tool_reindex = {
	.name = "reindex",
	.args = "STORE",
	.summary = "give a store a new index",
	.help = "Gives the store a fresh index at the end of the file. That "
		"happens by itself when there are more keys than buckets, up "
		"to the largest size that Python uses, 20736017; a store with "
		"many more keys is faster with an index of its own size.",
	.min_args = 1,
	.max_args = 1,
	.options = options,
	.run = run_reindex,
};
