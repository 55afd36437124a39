/* tool_map_python.c - blt map --python: a function of Python as a framed
 * command */
#include "tool/cmd/tool_map.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define WORKER "blt_map_python.py"
#define BATCH_MAX 256 /* items that a worker has ahead, at the most */

/* The words of the command. */
enum { PYTHON, SCRIPT, FUNCTION, BATCH, KEY, VALUE, TO_KEY, TO_VALUE };

static int check_file(const struct tool *t, const char *function)
{
	const char *colon = strrchr(function, ':');
	char *file;
	int code = 0;

	if (!colon || colon == function || !colon[1])
		return tool_fail(t, EX_USAGE,
				 "--python %s: expected is FILE:FUNC, as in "
				 "words.py:count",
				 function);
	file = strndup(function, (size_t)(colon - function));
	if (!file)
		return tool_fail(t, EX_OSERR, "out of memory");
	if (access(file, R_OK) < 0)
		code = tool_fail_file(t, file, "read", -errno);
	free(file);
	return code;
}

int map_python_parse(const struct tool *t, struct map_options *o,
		     struct map_python *p)
{
	const char *function = t->opt[OPT_PYTHON];
	uint64_t batch;
	int code = tool_opt_u64(t, OPT_BATCH, 1, BATCH_MAX, 0, &batch);

	if (!code && t->n_args > 1)
		code = tool_fail(t, EX_USAGE, "--python %s: takes no command",
				 function);
	if (!code)
		code = check_file(t, function);
	if (!code && map_find_file(WORKER, PKGDATADIR, &p->worker) < 0)
		code = tool_fail(t, EX_OSERR, "out of memory");
	if (code)
		return code;
	snprintf(p->batch, sizeof(p->batch), "%llu", (unsigned long long)batch);
	p->words[PYTHON] = "python3";
	p->words[SCRIPT] = p->worker;
	p->words[FUNCTION] = function;
	p->words[BATCH] = p->batch;
	/* which are not known yet */
	for (int i = KEY; i <= TO_VALUE; i++)
		p->words[i] = "bytes";
	o->argv = (char *const *)(uintptr_t)p->words;
	o->kind = MAP_FRAMED;
	return 0;
}

/* One of their own, or none: what the function gets and gives are bytes. */
static const char *name_of(unsigned serializer)
{
	const char *name = blt_serializer_name(serializer);

	return name ? name : "bytes";
}

/* The serializers of the store that takes the results. */
static int find_output(struct tool *t, const struct map_options *o,
		       struct blt_info *ret)
{
	struct blt_open_options how = { .mode = BLT_READ,
					.lock_timeout_ms = o->lock_timeout_ms };
	struct blt_error err;
	struct blt *to;
	int rc = blt_open(o->to, &how, &to, &err);

	if (rc == -ENOENT) {
		/* if it is not to be made, that is said later */
		ret->key_serializer = o->create.key_serializer;
		ret->value_serializer = o->create.value_serializer;
		return 0;
	}
	if (rc < 0)
		return tool_fail_open(t, o->to, rc, &err);
	blt_get_info(to, ret);
	blt_close(to);
	return 0;
}

int map_python_types(struct tool *t, const struct blt_info *in,
		     const struct map_options *o, struct map_python *p)
{
	struct blt_info out = *in;
	int code = o->to ? find_output(t, o, &out) : 0;

	if (code)
		return code;
	p->words[KEY] = name_of(in->key_serializer);
	p->words[VALUE] = name_of(in->value_serializer);
	p->words[TO_KEY] = name_of(out.key_serializer);
	p->words[TO_VALUE] = name_of(out.value_serializer);
	return 0;
}

void map_python_free(struct map_python *p)
{
	free(p->worker);
}
