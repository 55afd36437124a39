/* tool_del.c - blt del */
#include "tool/tool.h"

#include <errno.h>

static int delete_one(struct tool *t, const struct tool_key *key, void *arg)
{
	int r = blt_delete(t->store, key->bytes, key->len);

	(void)arg;
	if (r == -ENOENT)
		return tool_fail_missing(t, key->name);
	return r < 0 ? tool_fail_store(t, key->name, r) : 0;
}

static int run_del(struct tool *t)
{
	int code = tool_open(t, t->arg[0], BLT_WRITE, NULL);

	return code ? code : tool_each_key(t, delete_one, NULL);
}

static const struct tool_option options[] = {
	{ OPT_HEX, 'x', "hex", NULL, "keys are given as hex digits" },
	TOOL_OPT_KEYS,
	{ OPT_QUIET, 'q', "quiet", NULL, "no message for a missing key" },
	TOOL_OPT_DB,
	TOOL_OPT_LOCK,
	TOOL_OPT_END,
};

const struct tool_command tool_del = {
	.name = "del",
	.args = "STORE KEY...",
	.summary = "delete keys",
	.help = "Deletes keys and their values. Exit code 1: a key was not "
		"there; the others are deleted all the same.",
	.min_args = 2,
	.max_args = -1,
	.options = options,
	.run = run_del,
};
