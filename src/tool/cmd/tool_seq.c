/* tool_seq.c - blt seq: directories as sequences. */
#include "tool/cmd/tool_seq.h"

#include "tool/mount_client.h"
#include "base/suggest.h"
#include "base/util.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

int tool_seq_fail(const struct tool_seq *s, const char *at, int err)
{
	const struct tool *t = s->t;
	uint64_t n = 0;

	if (err == -ERANGE && s->calls->len(s, &n) == 0)
		return tool_fail(t, TOOL_NOT_FOUND,
				 "%s: position %s is out of range: %s has "
				 "%" PRIu64 " item%s",
				 s->name, at, s->name, n, n == 1 ? "" : "s");
	if (err == -ENOENT)
		return tool_fail(t, TOOL_NOT_FOUND,
				 "%s: is no sequence; make it one with \"blt "
				 "seq create %s%s%s\"",
				 s->name, s->fd < 0 ? t->arg[1] : "",
				 s->fd < 0 ? " " : "", s->name);
	if (err == -EPROTONOSUPPORT)
		return tool_fail(t, EX_DATAERR,
				 "%s: is a sequence of a later format; update "
				 "blt",
				 s->name);
	if (err == -ENOTDIR)
		return tool_fail(t, EX_DATAERR,
				 "%s: item %s has a value and no fields; "
				 "replace it with \"blt seq set\"",
				 s->name, at);
	if (err == -EINVAL)
		return tool_fail(t, EX_DATAERR,
				 "%s: a value or the name of a field would not "
				 "load; nothing of that item is stored",
				 s->name);
	if (err == -ENOTSUP)
		return tool_seq_fail_kind(s);
	if (err == -E2BIG)
		return tool_fail(t, EX_DATAERR,
				 "%s: an item of more than 64 MiB does not go "
				 "through here: read and write its files",
				 s->name);
	if (s->fd >= 0)
		return mount_client_fail(t, s->name, err);
	return tool_fail_store(t, s->name, err);
}

/* ---- positions ---- */

static int fail_position(const struct tool_seq *s, const char *text,
			 const char *expected)
{
	return tool_fail(s->t, EX_USAGE, "%s: expected is %s", text, expected);
}

static bool read_number(const char **text, int64_t *ret)
{
	char *end;
	long long v;

	errno = 0;
	v = strtoll(*text, &end, 10);
	if (end == *text || errno || **text == ' ' || **text == '+')
		return false;
	*text = end;
	*ret = v;
	return true;
}

static int parse_position(const struct tool_seq *s, const char *text,
			  int64_t *ret)
{
	const char *p = text;

	if (read_number(&p, ret) && !*p)
		return 0;
	return fail_position(s, text, "a position: 0, 1, ... or -1, -2, ...");
}

static int64_t clamp(int64_t at, int64_t n)
{
	if (at < 0)
		at += n;
	return at < 0 ? 0 : at > n ? n : at;
}

/* The same for a way back: from -1, in front of the first, to n - 1. */
static int64_t back(int64_t at, int64_t n)
{
	if (at < 0)
		at += n;
	return at < 0 ? -1 : at >= n ? n - 1 : at;
}

/* Of I:J:K; what is left out stays as it is. */
struct slice {
	int64_t from, to, step;
	bool has_from, has_to;
};

static bool read_slice(const char *p, struct slice *ret)
{
	*ret = (struct slice){ .step = 1 };
	ret->has_from = *p != ':';
	if (ret->has_from && !read_number(&p, &ret->from))
		return false;
	if (*p++ != ':')
		return false;
	ret->has_to = *p && *p != ':';
	if (ret->has_to && !read_number(&p, &ret->to))
		return false;
	if (*p == ':' && *++p && !read_number(&p, &ret->step))
		return false;
	return !*p && ret->step;
}

/* I:J:K as Python has it: each may be left out, and what is out of range ends
 * at the end. */
static int parse_steps(const struct tool_seq *s, const char *text,
		       struct slice *ret)
{
	uint64_t len;
	int64_t n;
	int r = s->calls->len(s, &len);

	if (r < 0)
		return tool_seq_fail(s, NULL, r);
	n = (int64_t)len;
	if (!read_slice(text, ret))
		return fail_position(s, text, "I:J, I:, :J, : or I:J:STEP");
	if (ret->step > 0) {
		ret->from = ret->has_from ? clamp(ret->from, n) : 0;
		ret->to = ret->has_to ? clamp(ret->to, n) : n;
		if (ret->to < ret->from)
			ret->to = ret->from;
	} else {
		/* the one in front of the first is -1 here */
		ret->from = ret->has_from ? back(ret->from, n) : n - 1;
		ret->to = ret->has_to ? back(ret->to, n) : -1;
	}
	return 0;
}

static int parse_slice(const struct tool_seq *s, const char *text,
		       int64_t *ret_from, int64_t *ret_to)
{
	struct slice x = { .step = 1 };
	int code = parse_steps(s, text, &x);

	if (code)
		return code;
	if (x.step != 1)
		return fail_position(s, text,
				     "I:J, I:, :J or :, without a step");
	*ret_from = x.from;
	*ret_to = x.to;
	return 0;
}

/* ---- verbs ---- */

static int run_create(const struct tool_seq *s, char **arg, int n)
{
	int r = s->calls->create(s);

	(void)arg;
	(void)n;
	if (r == -EEXIST)
		return tool_fail(s->t, EX_DATAERR,
				 "%s: is a sequence already, or its name is "
				 "taken",
				 s->name);
	if (r == -EINVAL)
		return tool_fail(s->t, EX_DATAERR,
				 "%s: is no directory that can be a sequence",
				 s->name);
	return r < 0 ? tool_seq_fail(s, NULL, r) : 0;
}

static int run_len(const struct tool_seq *s, char **arg, int n)
{
	struct jout j = { .to = stdout };
	uint64_t len;
	int r = s->calls->len(s, &len);

	(void)arg;
	(void)n;
	if (r < 0)
		return tool_seq_fail(s, NULL, r);
	if (!tool_has(s->t, OPT_JSON)) {
		printf("%" PRIu64 "\n", len);
		return 0;
	}
	jout_open(&j, NULL, '{');
	jout_u64(&j, "items", len);
	jout_close(&j, '}');
	return 0;
}

static int run_get(const struct tool_seq *s, char **arg, int n)
{
	int64_t at = 0;
	int code = parse_position(s, arg[0], &at);

	return code ? code : tool_seq_get(s, at, arg[0], n > 1 ? arg[1] : NULL);
}

static int run_iter(const struct tool_seq *s, char **arg, int n)
{
	struct slice x = { .step = 1 };
	int code = parse_steps(s, n > 0 ? arg[0] : ":", &x);

	return code ? code : tool_seq_print(s, x.from, x.to, x.step);
}

static int put_item(const struct tool_seq *s, enum seq_put how, const char *at,
		    char **fields, int n)
{
	struct seq_item_buf b = { 0 };
	int64_t i = 0;
	int code = at ? parse_position(s, at, &i) : 0, r = 0;

	if (!code)
		code = tool_seq_item(s, fields, n, &b);
	if (code)
		goto out;
	r = s->calls->put(s, how, i, &b.item, 1);
	/* out of range it goes to that end, as in Python's lists */
	if (r == -ERANGE && how == SEQ_INSERT)
		r = s->calls->put(s, i < 0 ? SEQ_INSERT : SEQ_APPEND, 0,
				  &b.item, 1);
	if (r < 0)
		code = tool_seq_fail(s, at, r);
out:
	seq_item_free(&b);
	return code;
}

static int run_append(const struct tool_seq *s, char **arg, int n)
{
	return put_item(s, SEQ_APPEND, NULL, arg, n);
}

static int run_insert(const struct tool_seq *s, char **arg, int n)
{
	return put_item(s, SEQ_INSERT, arg[0], arg + 1, n - 1);
}

static int run_set(const struct tool_seq *s, char **arg, int n)
{
	return put_item(s, SEQ_SET, arg[0], arg + 1, n - 1);
}

static int run_update(const struct tool_seq *s, char **arg, int n)
{
	return put_item(s, SEQ_UPDATE, arg[0], arg + 1, n - 1);
}

static int run_fields(const struct tool_seq *s, char **arg, int n)
{
	int64_t at = 0;
	int code = parse_position(s, arg[0], &at);

	(void)n;
	return code ? code : tool_seq_fields(s, at, arg[0]);
}

static int run_drop(const struct tool_seq *s, char **arg, int n)
{
	int64_t at = 0;
	int code = parse_position(s, arg[0], &at);

	return code ? code : tool_seq_drop(s, at, arg[0], arg + 1, n - 1);
}

static int run_delete(const struct tool_seq *s, char **arg, int n)
{
	int64_t from = 0, to = 0;
	int code, r;

	(void)n;
	if (strchr(arg[0], ':')) {
		code = parse_slice(s, arg[0], &from, &to);
		if (code)
			return code;
		r = s->calls->remove(s, from, to);
	} else {
		code = parse_position(s, arg[0], &from);
		if (code)
			return code;
		r = 0;
		/* behind the last one, -1 + 1 would be the first */
		if (from == -1) {
			uint64_t len = 0;

			r = s->calls->len(s, &len);
			if (r == 0 && len == 0)
				r = -ERANGE;
			from = (int64_t)len - 1;
		}
		if (r == 0)
			r = s->calls->remove(
				s, from, from == INT64_MAX ? from : from + 1);
	}
	return r < 0 ? tool_seq_fail(s, arg[0], r) : 0;
}

static bool is_position(const struct tool_seq *s, int64_t at)
{
	uint64_t len = 0;

	if (s->calls->len(s, &len) < 0)
		return false;
	return at < 0 ? at >= -(int64_t)len : at < (int64_t)len;
}

static int run_move(const struct tool_seq *s, char **arg, int n)
{
	int64_t from = 0, to = 0;
	int code = parse_position(s, arg[0], &from), r;

	(void)n;
	if (!code)
		code = parse_position(s, arg[1], &to);
	if (code)
		return code;
	r = s->calls->move(s, from, to);
	if (r == -ERANGE && is_position(s, from))
		return tool_seq_fail(s, arg[1], r);
	return r < 0 ? tool_seq_fail(s, arg[0], r) : 0;
}

static int run_extend(const struct tool_seq *s, char **arg, int n)
{
	return tool_seq_extend(s, n > 0 ? arg[0] : "-");
}

/* ---- the command ---- */

static const struct verb {
	const char *name;
	const char *args; /* behind STORE DIR, or DIR */
	int min, max;     /* of these; max < 0: any number */
	enum blt_mode mode;
	int (*run)(const struct tool_seq *s, char **arg, int n);
} verbs[] = {
	{ "append", "[FIELD=VALUE]...", 0, -1, BLT_WRITE, run_append },
	{ "create", "", 0, 0, BLT_WRITE, run_create },
	{ "delete", "I|I:J", 1, 1, BLT_WRITE, run_delete },
	{ "drop", "I FIELD...", 2, -1, BLT_WRITE, run_drop },
	{ "extend", "[FILE|DIRECTORY]", 0, 1, BLT_WRITE, run_extend },
	{ "fields", "I", 1, 1, BLT_READ, run_fields },
	{ "get", "I [FIELD]", 1, 2, BLT_READ, run_get },
	{ "insert", "I [FIELD=VALUE]...", 1, -1, BLT_WRITE, run_insert },
	{ "iter", "", 0, 0, BLT_READ, run_iter },
	{ "len", "", 0, 0, BLT_READ, run_len },
	{ "move", "I J", 2, 2, BLT_WRITE, run_move },
	{ "set", "I [FIELD=VALUE]...", 1, -1, BLT_WRITE, run_set },
	{ "slice", "I:J[:STEP]", 1, 1, BLT_READ, run_iter },
	{ "update", "I FIELD=VALUE...", 2, -1, BLT_WRITE, run_update },
};

int tool_seq_each_verb(int (*fn)(void *arg, const char *name, const char *args),
		       void *arg)
{
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(verbs) && !r; i++)
		r = fn(arg, verbs[i].name, verbs[i].args);
	return r;
}

static const struct verb *find_verb(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (!strcmp(verbs[i].name, name))
			return &verbs[i];
	return NULL;
}

static int fail_verb(const struct tool *t, const char *name)
{
	struct suggest s = suggest_for(name);

	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		suggest_offer(&s, verbs[i].name);
	if (s.best)
		return tool_fail(t, EX_USAGE,
				 "%s: no such verb; did you mean \"%s\"? see "
				 "\"blt help seq\"",
				 name, s.best);
	return tool_fail(
		t, EX_USAGE,
		"%s: expected is append, create, delete, drop, extend, "
		"fields, get, insert, iter, len, move, set, slice or "
		"update",
		name);
}

/* How many arguments stand behind the verb's own. */
static int check_args(const struct tool *t, const struct verb *verb, int n,
		      bool mounted)
{
	if (n >= verb->min && (verb->max < 0 || n <= verb->max))
		return 0;
	return tool_fail(t, EX_USAGE, "%s arguments; usage: blt seq %s %s%s%s",
			 n < verb->min ? "missing" : "too many", verb->name,
			 mounted ? "DIR" : "STORE DIR", *verb->args ? " " : "",
			 verb->args);
}

static int run_seq(struct tool *t)
{
	const struct verb *verb = find_verb(t->arg[0]);
	struct tool_seq s = { .t = t, .fd = -1 };
	bool mounted = false, create;
	int first, code;

	if (!verb)
		return fail_verb(t, t->arg[0]);
	create = verb->run == run_create;
	code = tool_seq_is_mounted(t, t->arg[1], &mounted);
	first = mounted ? 2 : 3;
	if (!code)
		code = check_args(t, verb, t->n_args - first, mounted);
	if (code)
		return code;
	s.name = t->arg[first - 1];
	if (!mounted)
		code = tool_open(t, t->arg[1], verb->mode, NULL);
	if (!code)
		code = mounted ? tool_seq_open_mount(&s, create) :
				 tool_seq_open_store(&s, create);
	if (!code)
		code = verb->run(&s, t->arg + first, t->n_args - first);
	tool_seq_close(&s);
	return code;
}

static const struct tool_option options[] = {
	TOOL_OPT_JSON,
	TOOL_OPT_LOCK,
	TOOL_OPT_END,
};

const struct tool_command tool_seq = {
	.name = "seq",
	.args = "VERB STORE|PATH [DIR] [ARGUMENT]...",
	.summary = "work on a directory as a sequence of items",
	.help = "A sequence is a directory of items in an order, each a value "
		"or a record of fields; PATH is that of one on a "
		"mount. VERB: create makes DIR one; len; get I "
		"[FIELD]; fields I lists their names; append, insert I and set "
		"I, with FIELD=VALUE..., FIELD=@FILE or a value from standard "
		"input; update I FIELD=VALUE..., which leaves other fields; "
		"drop I FIELD...; delete I or I:J; move I J; slice I:J[:STEP] "
		"and iter, which print lines of JSON; extend [FILE|DIRECTORY], "
		"which appends such lines, or files, also of a tar archive. I and J count from 0, or "
		"from -1 on back from the end.",
	.min_args = 2,
	.max_args = -1,
	.takes_numbers = true,
	.options = options,
	.run = run_seq,
};
