/* tool_copy.c - blt copy */
#include "tool.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <sysexits.h>

/* What is not asked for stays as it is in the store. */
static int parse_options(const struct tool *t,
			 struct blt_create_options *create)
{
	uint64_t buckets, value_len;
	struct blt_info info;
	int code;

	blt_get_info(t->store, &info);
	code = tool_opt_u64(t, OPT_BUCKETS, 1, UINT32_MAX, 0, &buckets);
	if (!code)
		code = tool_opt_u64(t, OPT_VALUE_LEN, 0, UINT32_MAX,
				    info.value_len, &value_len);
	if (code)
		return code;
	if (tool_has(t, OPT_TIMESTAMPS) && tool_has(t, OPT_NO_TIMESTAMPS))
		return tool_fail(t, EX_USAGE,
				 "--timestamps and --no-timestamps: give one "
				 "of the two");
	if (tool_has(t, OPT_TIMESTAMPS) && value_len)
		return tool_fail(t, EX_USAGE,
				 "--timestamps: a store whose values all have "
				 "one length keeps none; with --value-len 0 "
				 "they may have any");
	*create = (struct blt_create_options){
		.n_buckets = (uint32_t)buckets,
		.value_len = (uint32_t)value_len,
		.no_timestamps = !tool_has(t, OPT_TIMESTAMPS) &&
				 (tool_has(t, OPT_NO_TIMESTAMPS) ||
				  !info.has_timestamps),
	};
	return 0;
}

static int report(const struct tool *t, uint64_t keys)
{
	char was[32], is[32], less[32];
	struct blt_info info;
	struct stat st;

	if (tool_has(t, OPT_QUIET))
		return 0;
	if (stat(t->arg[1], &st) < 0)
		return tool_fail_file(t, t->arg[1], "look", -errno);
	blt_get_info(t->store, &info);
	tool_size(info.file_size, was);
	tool_size((uint64_t)st.st_size, is);
	printf("%" PRIu64 " keys, %s instead of %s", keys, is, was);
	if ((uint64_t)st.st_size < info.file_size)
		printf(": %s saved",
		       tool_size(info.file_size - (uint64_t)st.st_size, less));
	putchar('\n');
	return tool_flush(t);
}

static int fail_copy(const struct tool *t, int err, const char *text)
{
	if (tool_signal())
		return tool_fail(t, TOOL_SIGNALLED,
				 "interrupted; %s is as it was", t->arg[1]);
	if (err == -EEXIST && !tool_has(t, OPT_FORCE))
		return tool_fail(t, EX_CANTCREAT,
				 "%s; --force replaces it, unless it is the "
				 "store itself",
				 text);
	if (err == -ENOENT)
		return tool_fail(t, EX_CANTCREAT, "%s", text);
	return tool_fail(t, tool_exit_code(err), "%s", text);
}

static int run_copy(struct tool *t)
{
	struct blt_create_options create;
	struct progress progress;
	struct blt_error err;
	int code, r;

	code = tool_open(t, t->arg[0], BLT_READ, NULL);
	if (!code)
		code = parse_options(t, &create);
	if (code)
		return code;
	tool_catch_signals();
	progress_start(&progress, "copy", 0, tool_has(t, OPT_QUIET));
	r = blt_copy(t->store, t->arg[1], &create, tool_has(t, OPT_FORCE),
		     progress_follow, &progress, &err);
	progress_end(&progress);
	return r < 0 ? fail_copy(t, r, err.text) : report(t, progress.items);
}

static const struct tool_option options[] = {
	{ OPT_BUCKETS, 'b', "buckets", "N",
	  "size of the index (the next of 12007, 144013, ... above the keys)" },
	{ OPT_VALUE_LEN, 'l', "value-len", "N",
	  "all values have N bytes; 0: any length" },
	{ OPT_NO_TIMESTAMPS, 'T', "no-timestamps", NULL,
	  "leave the times out; saves 7 bytes a key" },
	{ OPT_TIMESTAMPS, 't', "timestamps", NULL,
	  "keep times from now on; keys without one get the present" },
	{ OPT_FORCE, 'f', "force", NULL, "replace NEW if it exists" },
	{ OPT_QUIET, 'q', "quiet", NULL, "no progress and no report" },
	TOOL_OPT_LOCK,
	TOOL_OPT_END,
};

const struct tool_command tool_copy = {
	.name = "copy",
	.args = "STORE NEW",
	.summary = "make a compact copy of a store",
	.help = "Copies what STORE holds to the new file NEW, without the "
		"space of what was overwritten and deleted, and says how much "
		"that saves. NEW is of the same kind unless the options ask "
		"for another; its name appears when all of it is on the disk. "
		"To compact a store, copy it and rename the copy to its name "
		"while nobody uses it.",
	.min_args = 2,
	.max_args = 2,
	.options = options,
	.run = run_copy,
};
