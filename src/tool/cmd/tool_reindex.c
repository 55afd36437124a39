/* tool_reindex.c - blt reindex */
#include "tool/mount_client.h"

#include "bltfs_ioctl.h"

static int run_reindex(struct tool *t)
{
	struct job_request req = { .kind = JOB_REINDEX };
	struct bltfs_reindex ask = { 0 };
	uint64_t buckets = 0;
	int code;

	code = tool_opt_u64(t, OPT_BUCKETS, 1, UINT32_MAX, 0, &buckets);
	if (code)
		return code;
	ask.buckets = req.n_buckets = (uint32_t)buckets;
	return tool_work(t, BLTFS_IOC_REINDEX, &ask, &req);
}

static const struct tool_option options[] = {
	{ OPT_BUCKETS, 'b', "buckets", "N",
	  "size of the new index (the next of 12007, 144013, ...)" },
	TOOL_OPT_JOB,
	TOOL_OPT_LOCK,
	TOOL_OPT_END,
};

const struct tool_command tool_reindex = {
	.name = "reindex",
	.args = "STORE|MOUNTPOINT",
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
