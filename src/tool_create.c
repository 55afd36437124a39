/* tool_create.c - blt create */
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define MAX_CODE 64 /* above every serializer code there is */

static int list_serializers(const struct tool *t, const char *given)
{
	char names[1024] = "";
	size_t len = 0;

	for (unsigned code = 1; code < MAX_CODE; code++) {
		const char *name = blt_serializer_name(code);

		/* Two codes stand for bytes. */
		if (!name || blt_serializer_code(name) != (int)code)
			continue;
		len += (size_t)snprintf(names + len, sizeof(names) - len, " %s",
					name);
		if (len >= sizeof(names))
			break;
	}
	return tool_fail(t, EX_USAGE, "%s: no such serializer; there are:%s",
			 given, names);
}

static int opt_serializer(const struct tool *t, enum tool_opt opt,
			  unsigned *ret)
{
	int code;

	if (!t->opt[opt])
		return 0;
	code = blt_serializer_code(t->opt[opt]);
	if (code < 0)
		return list_serializers(t, t->opt[opt]);
	*ret = (unsigned)code;
	return 0;
}

int tool_create_options(const struct tool *t, struct blt_create_options *create)
{
	uint64_t buckets, value_len;
	int code;

	code = tool_opt_u64(t, OPT_BUCKETS, 1, UINT32_MAX, create->n_buckets,
			    &buckets);
	if (!code)
		code = tool_opt_u64(t, OPT_VALUE_LEN, 1, UINT32_MAX,
				    create->value_len, &value_len);
	if (!code)
		code = opt_serializer(t, OPT_KEY_SERIALIZER,
				      &create->key_serializer);
	if (!code)
		code = opt_serializer(t, OPT_VALUE_SERIALIZER,
				      &create->value_serializer);
	if (code)
		return code;
	if (value_len && tool_has(t, OPT_VALUE_SERIALIZER))
		return tool_fail(t, EX_USAGE,
				 "--value-serializer and "
				 "--value-len: a store whose values all have "
				 "one length holds plain bytes; leave one out");
	create->n_buckets = (uint32_t)buckets;
	create->value_len = (uint32_t)value_len;
	if (tool_has(t, OPT_NO_TIMESTAMPS))
		create->no_timestamps = true;
	return 0;
}

static int run_create(struct tool *t)
{
	const char *path = t->arg[0];
	struct blt_create_options create = { 0 };
	bool ours = false;
	int code, fd;

	code = tool_create_options(t, &create);
	if (code)
		return code;
	if (!tool_has(t, OPT_FORCE)) {
		/* Taken first, so that two creates cannot both succeed. */
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
		if (fd < 0 && errno == EEXIST)
			return tool_fail(t, EX_CANTCREAT,
					 "%s: exists already; "
					 "--force replaces it, and all that it "
					 "holds is gone then",
					 path);
		if (fd < 0)
			return tool_fail_create(t, path, -errno);
		close(fd);
		ours = true;
	}
	code = tool_open(t, path, BLT_TRUNCATE, &create);
	if (code && ours)
		unlink(path);
	return code;
}

static const struct tool_option options[] = {
	{ OPT_BUCKETS, 'b', "buckets", "N",
	  "size of the index (12007); best above the number of keys" },
	{ OPT_VALUE_LEN, 'l', "value-len", "N",
	  "all values have N bytes; saves 4 to 11 bytes a key" },
	{ OPT_KEY_SERIALIZER, 'k', "key-serializer", "NAME",
	  "what keys are to Python (str)" },
	{ OPT_VALUE_SERIALIZER, 'v', "value-serializer", "NAME",
	  "what values are to Python (bytes)" },
	{ OPT_NO_TIMESTAMPS, 'T', "no-timestamps", NULL,
	  "keep no times; saves 7 bytes a key" },
	{ OPT_FORCE, 'f', "force", NULL, "replace STORE if it exists" },
	TOOL_OPT_LOCK,
	TOOL_OPT_END,
};

const struct tool_command tool_create = {
	.name = "create",
	.args = "STORE",
	.summary = "make an empty store",
	.help = "Makes an empty store, as the Python library booklet would. "
		"Serializers: bytes, str (UTF-8), json, orjson, uint4, int8, "
		"pickle, zstd and so on; a wrong name lists them all. Keys of "
		"an integer serializer show as numbers.",
	.min_args = 1,
	.max_args = 1,
	.options = options,
	.run = run_create,
};
