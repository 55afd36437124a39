/* tool_get.c - blt get */
#include "tool/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

/* Where the values go. */
struct output {
	const char *name;
	int fd;
};

/* Opened when there is something to write, so that a key that is not there
 * leaves the file alone. */
static int open_output(struct tool *t, struct output *out)
{
	struct stat st, own;

	if (out->fd >= 0)
		return 0;
	if (!stat(out->name, &st) && !fstat(blt_fd(t->store), &own) &&
	    st.st_dev == own.st_dev && st.st_ino == own.st_ino)
		return tool_fail(t, EX_USAGE,
				 "--output %s: is the store "
				 "itself",
				 out->name);
	out->fd =
		open(out->name,
		     O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666);
	if (out->fd >= 0)
		return 0;
	return tool_fail_create(t, out->name, -errno);
}

static int get_one(struct tool *t, const struct tool_key *key, void *arg)
{
	struct output *out = arg;
	struct blt_view v;
	bool writing;
	int code, r;

	r = blt_get(t->store, key->bytes, key->len, &v);
	if (r == -ENOENT)
		return tool_fail_missing(t, key->name);
	if (r < 0)
		return tool_fail_store(t, key->name, r);
	code = open_output(t, out);
	if (!code) {
		r = tool_view_write(&v, out->fd, tool_has(t, OPT_HEX),
				    &writing);
		if (r < 0 && writing && out->fd == STDOUT_FILENO)
			code = tool_fail_stdout(t, r);
		else if (r < 0 && writing)
			code = tool_fail_file(t, out->name, "write", r);
		else if (r < 0)
			code = tool_fail_store(t, key->name, r);
	}
	blt_view_release(&v);
	return code;
}

static int run_get(struct tool *t)
{
	struct output out = { "standard output", STDOUT_FILENO };
	int code;

	code = tool_open(t, t->arg[0], BLT_READ, NULL);
	if (code)
		return code;
	if (tool_has(t, OPT_OUTPUT))
		out = (struct output){ t->opt[OPT_OUTPUT], -1 };
	code = tool_each_key(t, get_one, &out);
	if (out.fd > STDOUT_FILENO && close(out.fd) < 0)
		code = tool_fail_file(t, out.name, "write", -errno);
	return code;
}

static const struct tool_option options[] = {
	{ OPT_OUTPUT, 'o', "output", "FILE",
	  "write to FILE instead of standard output" },
	{ OPT_HEX, 'x', "hex", NULL,
	  "keys are given, and values printed, as hex digits" },
	TOOL_OPT_KEYS,
	{ OPT_QUIET, 'q', "quiet", NULL, "no message for a missing key" },
	TOOL_OPT_DB,
	TOOL_OPT_LOCK,
	TOOL_OPT_END,
};

const struct tool_command tool_get = {
	.name = "get",
	.args = "STORE KEY...",
	.summary = "print the values of keys",
	.help = "Writes the values of the keys, one behind the other, with "
		"nothing in between. A KEY is the path that it has on a "
		"mount, unless --raw or --hex says otherwise. Exit code 1: a "
		"key was not there; the others are written all the same.",
	.min_args = 2,
	.max_args = -1,
	.options = options,
	.run = run_get,
};
