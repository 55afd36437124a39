/* tool_put.c - blt put and blt del. */
#include "tool/tool.h"

#include <errno.h>
#include <sysexits.h>

static int parse_time(const struct tool *t, int64_t *ret)
{
	const char *text = t->opt[OPT_TIME];

	*ret = BLT_NOW;
	if (!text || !time_parse(text, ret))
		return 0;
	return tool_fail_time(t, OPT_TIME);
}

static int put_value(struct tool *t, const struct tool_key *key,
		     const char *file, int64_t when)
{
	struct tool_value v;
	int code, r;

	code = tool_value_open(t, file, &v);
	if (!code) {
		r = blt_put_from(t->store, key->bytes, key->len, &v.source,
				 when);
		if (r == -ENODATA)
			code = tool_fail(t, EX_IOERR,
					 "%s: became shorter "
					 "while it was read; nothing is "
					 "changed",
					 v.name);
		else if (r < 0 && tool_signal())
			code = tool_fail(t, EX_TEMPFAIL,
					 "%s: interrupted; "
					 "nothing is changed",
					 v.name);
		else if (r < 0)
			code = tool_fail_put(t, key, v.source.len, r);
	}
	tool_value_close(&v);
	return code;
}

static int run_put(struct tool *t)
{
	struct tool_key key = { 0 };
	int64_t when;
	int code;

	code = parse_time(t, &when);
	if (!code)
		code = tool_open(t, t->arg[0], BLT_WRITE, NULL);
	if (!code)
		code = tool_key(t, t->arg[1], true, &key);
	if (!code)
		code = put_value(t, &key, t->n_args > 2 ? t->arg[2] : NULL,
				 when);
	tool_key_free(&key);
	return code;
}

static const struct tool_option put_options[] = {
	{ OPT_TIME, 't', "time", "TIME",
	  "timestamp: 2023-11-14T22:13:20Z, @SECONDS, microseconds (now)" },
	{ OPT_HEX, 'x', "hex", NULL, "key and value are given as hex digits" },
	TOOL_OPT_KEYS,
	TOOL_OPT_DB,
	TOOL_OPT_LOCK,
	TOOL_OPT_END,
};

const struct tool_command tool_put = {
	.name = "put",
	.args = "STORE KEY [FILE]",
	.summary = "store a value",
	.help = "Stores what is in FILE, or comes from standard input, under "
		"KEY, in place of what was there. The value is read in "
		"pieces: it may be larger than memory. It is durable when the "
		"command returns.",
	.min_args = 2,
	.max_args = 3,
	.options = put_options,
	.run = run_put,
};

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

static const struct tool_option del_options[] = {
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
	.options = del_options,
	.run = run_del,
};
