/* tool_mount_run.c - blt mount: bltfs, under the name that is looked for. */
#include "tool/tool.h"
#include "tool/tool_system.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

static int run_mount(struct tool *t)
{
	static char o[] = "-o", f[] = "-f", end[] = "--";
	char path[PATH_MAX];
	char *argv[8] = { path };
	int n = 1;

	if (!tool_find_daemon(path))
		return tool_fail(t, EX_UNAVAILABLE,
				 "bltfs is not in PATH: install it, or put its "
				 "directory into PATH");
	if (tool_has(t, OPT_FOREGROUND))
		argv[n++] = f;
	if (t->mount_options) {
		argv[n++] = o;
		argv[n++] = t->mount_options;
	}
	argv[n++] = end;
	argv[n++] = t->arg[0];
	argv[n++] = t->arg[1];
	execv(path, argv);
	return tool_fail_file(t, path, "run", -errno);
}

static const struct tool_option options[] = {
	{ OPT_OPTIONS, 'o', "options", "OPTION",
	  "options of bltfs(8), with commas between: ro, create, ..." },
	{ OPT_FOREGROUND, 'f', "foreground", NULL,
	  "stay in the foreground and log to standard error" },
	TOOL_OPT_END,
};

const struct tool_command tool_mount = {
	.name = "mount",
	.args = "STORE DIR",
	.summary = "mount a store on a directory",
	.help = "Runs \"bltfs STORE DIR\": see bltfs(8). -o may be given more "
		"than once. \"blt umount DIR\" unmounts.",
	.min_args = 2,
	.max_args = 2,
	.options = options,
	.run = run_mount,
};
