/* tool_slot.c - blt slot: metadata and the reserved slots. */
#include "tool/tool.h"
#include "base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

static const struct slot_name {
	const char *name;
	enum blt_slot slot;
} slot_names[] = {
	{ "metadata", BLT_METADATA },
	{ "1", BLT_RESERVED_1 },
	{ "2", BLT_RESERVED_2 },
};

static int fail_slot(struct tool *t, const char *name, int err)
{
	const char *path = blt_path(t->store);

	if (err == -ENOTSUP && blt_engine_of(path))
		return tool_fail(t, EX_DATAERR, "%s: %s, as %s, has no slots",
				 name,
				 blt_is_url(path) ? "a store in PostgreSQL" :
						    "an LMDB environment",
				 path);
	if (err == -ENOENT)
		return tool_fail(t, TOOL_NOT_FOUND,
				 "%s: nothing is there in "
				 "%s",
				 name, path);
	if (err == -ENOTSUP)
		return tool_fail(t, EX_DATAERR,
				 "%s: a store whose values all "
				 "have one length, as %s, has no slots",
				 name, path);
	if (err == -EINVAL)
		return tool_fail(t, EX_DATAERR,
				 "%s: must be a JSON document "
				 "in UTF-8; %s is as it was",
				 name, path);
	return tool_fail_store(t, name, err);
}

static int slot_get(struct tool *t, const struct slot_name *s)
{
	struct blt_view v;
	bool writing;
	int code = EX_OK, r;

	r = blt_slot_get(t->store, s->slot, &v);
	if (r < 0)
		return fail_slot(t, s->name, r);
	r = tool_view_write(&v, STDOUT_FILENO, tool_has(t, OPT_HEX), &writing);
	if (r < 0 && writing)
		code = tool_fail_stdout(t, r);
	else if (r < 0)
		code = tool_fail_store(t, s->name, r);
	blt_view_release(&v);
	return code;
}

static int slot_put(struct tool *t, const struct slot_name *s)
{
	struct tool_value v;
	uint8_t *bytes = NULL;
	int code, r;

	code = tool_value_open(t, t->n_args > 3 ? t->arg[3] : NULL, &v);
	if (code)
		goto out;
	bytes = malloc(v.source.len + 1);
	r = bytes ? v.source.read(v.source.arg, bytes, v.source.len, 0) :
		    -ENOMEM;
	if (r < 0) {
		code = tool_fail_file(t, v.name, "read", r);
		goto out;
	}
	r = blt_slot_put(t->store, s->slot, bytes, v.source.len);
	if (r < 0)
		code = fail_slot(t, s->name, r);
out:
	free(bytes);
	tool_value_close(&v);
	return code;
}

static int slot_del(struct tool *t, const struct slot_name *s)
{
	int r = blt_slot_delete(t->store, s->slot);

	return r < 0 ? fail_slot(t, s->name, r) : EX_OK;
}

static const struct action {
	const char *name;
	enum blt_mode mode;
	int max_args;
	int (*run)(struct tool *t, const struct slot_name *s);
} actions[] = {
	{ "get", BLT_READ, 3, slot_get },
	{ "put", BLT_WRITE, 4, slot_put },
	{ "del", BLT_WRITE, 3, slot_del },
};

static bool is_action(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(actions); i++)
		if (!strcmp(actions[i].name, name))
			return true;
	return false;
}

static int run_slot(struct tool *t)
{
	const struct action *a = actions;
	const struct slot_name *s = slot_names;
	int code;

	/* the order of words of earlier releases */
	if (is_action(t->arg[1]) && !is_action(t->arg[0])) {
		char *store = t->arg[0];

		t->arg[0] = t->arg[1];
		t->arg[1] = store;
	}
	while (a < actions + ARRAY_SIZE(actions) && strcmp(a->name, t->arg[0]))
		a++;
	if (a == actions + ARRAY_SIZE(actions) || t->n_args > a->max_args)
		return tool_fail(t, EX_USAGE,
				 "%s: expected is get STORE SLOT, put STORE "
				 "SLOT [FILE] or del STORE SLOT",
				 t->arg[0]);
	while (s < slot_names + ARRAY_SIZE(slot_names) &&
	       strcmp(s->name, t->arg[2]))
		s++;
	if (s == slot_names + ARRAY_SIZE(slot_names))
		return tool_fail(t, EX_USAGE,
				 "%s: no such slot; there are "
				 "metadata, 1 and 2",
				 t->arg[2]);
	code = tool_open(t, t->arg[1], a->mode, NULL);
	return code ? code : a->run(t, s);
}

static const struct tool_option options[] = {
	{ OPT_HEX, 'x', "hex", NULL,
	  "the value is printed, or given, as hex digits" },
	TOOL_OPT_LOCK,
	TOOL_OPT_END,
};

const struct tool_command tool_slot = {
	.name = "slot",
	.args = "get|put|del STORE metadata|1|2 [FILE]",
	.summary = "read and write metadata and reserved slots",
	.help = "A store has room for a JSON document of metadata and for two "
		"values, 1 and 2, that libraries built on booklet use. They "
		"are no keys: ls, dump and a mount's files do not show them. "
		"put reads FILE or standard input.",
	.min_args = 3,
	.max_args = 4,
	.options = options,
	.run = run_slot,
};
