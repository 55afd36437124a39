/* tool_trim.c - blt trim */
#include "tool/mount_client.h"

#include "bltfs_ioctl.h"

static int run_trim(struct tool *t)
{
	const struct job_request req = { .kind = JOB_TRIM };
	struct bltfs_job job = { 0 };

	return tool_work(t, BLTFS_IOC_TRIM, &job, &req);
}

static const struct tool_option options[] = {
	TOOL_OPT_JOB,
	TOOL_OPT_LOCK,
	TOOL_OPT_END,
};

const struct tool_command tool_trim = {
	.name = "trim",
	.args = "STORE|MOUNTPOINT",
	.summary = "give back the disk space of what was deleted",
	.help = "Punches holes under what was deleted and overwritten, so that "
		"the disk has its space again. Nothing is moved: the file "
		"does not become shorter, takes less room, and this is sooner "
		"done than a prune. It works on a full disk, too. May be "
		"interrupted at any time.",
	.min_args = 1,
	.max_args = 1,
	.options = options,
	.run = run_trim,
};
