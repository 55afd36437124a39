/* tool_del.c - blt del */
#include "tool.h"

#include <errno.h>
#include <sysexits.h>

static int delete_one(struct tool *t, const struct tool_key *key)
{
	int r = blt_delete(t->store, key->bytes, key->len);

	if (r == -ENOENT)
		return tool_fail_missing(t, key->name);
	return r < 0 ? tool_fail_store(t, key->name, r) : 0;
}

static int run_del(struct tool *t)
{
	int code, result = EX_OK;

	code = tool_open(t, t->arg[0], BLT_WRITE, NULL);
	if (code)
		return code;
	for (int i = 1; i < t->n_args && !tool_signal(); i++) {
		struct tool_key key;

		code = tool_key(t, t->arg[i], false, &key);
		if (!code)
			code = delete_one(t, &key);
		tool_key_free(&key);
		if (code)
			result = code;
		if (code && code != TOOL_NOT_FOUND)
			break;
	}
	return result;
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
