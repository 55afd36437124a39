/* tool_sync.c - blt sync and blt clear. */
#include "tool/mount_client.h"

#include "bltfs_ioctl.h"

#include <errno.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

static int run_sync(struct tool *t)
{
	int fd, r, code = mount_client_open(t, t->arg[0], &fd);

	if (code)
		return code;
	if (fd >= 0) {
		/* pages written through a mapping are the kernel's still */
		if (syncfs(fd) < 0 || ioctl(fd, BLTFS_IOC_SYNC) < 0)
			code = mount_client_fail(t, t->arg[0], -errno);
		close(fd);
		return code;
	}
	code = tool_open(t, t->arg[0], BLT_WRITE, NULL);
	if (code)
		return code;
	r = blt_sync(t->store);
	return r < 0 ? tool_fail_store(t, NULL, r) : EX_OK;
}

static int run_clear(struct tool *t)
{
	const struct job_request req = { .kind = JOB_CLEAR };
	struct bltfs_job job = { 0 };

	return tool_work(t, BLTFS_IOC_CLEAR, &job, &req);
}

const struct tool_command tool_sync = {
	.name = "sync",
	.args = "STORE|MOUNTPOINT",
	.summary = "make what was written durable",
	.help = "Returns when what was closed on a mount is on the disk, which "
		"sync(1) does not see to. Of a store file it makes a plain "
		"one, whatever a program that died left of it.",
	.min_args = 1,
	.max_args = 1,
	.options = (const struct tool_option[]){ TOOL_OPT_LOCK, TOOL_OPT_END },
	.run = run_sync,
};

static const struct tool_option clear_options[] = {
	TOOL_OPT_JOB,
	TOOL_OPT_DB,
	TOOL_OPT_LOCK,
	TOOL_OPT_END,
};

const struct tool_command tool_clear = {
	.name = "clear",
	.args = "STORE|MOUNTPOINT",
	.summary = "delete all keys",
	.help = "Deletes all keys that are there when it begins. Metadata and "
		"reserved values stay. The file does not become shorter.",
	.min_args = 1,
	.max_args = 1,
	.options = clear_options,
	.run = run_clear,
};
