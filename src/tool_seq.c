/* tool_seq.c - blt seq: directories as sequences. */
#include "tool_seq.h"

#include "util.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

int tool_seq_fail(const struct tool_seq *s, const char *at, int err)
{
	const struct tool *t = s->t;
	uint64_t n = 0;

	if (err == -ERANGE && s->seq && blt_seq_len(s->seq, &n) == 0)
		return tool_fail(t, TOOL_NOT_FOUND,
				 "%s: position %s is out of range: %s has "
				 "%" PRIu64 " item%s",
				 s->name, at, s->name, n, n == 1 ? "" : "s");
	if (err == -ENOENT)
		return tool_fail(t, TOOL_NOT_FOUND,
				 "%s: is no sequence; make it one with \"blt "
				 "seq create %s %s\"",
				 s->name, t->arg[1], s->name);
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

/* I:J as Python has it: either may be left out, and what is out of range ends
 * at the end. */
static int parse_slice(const struct tool_seq *s, const char *text,
		       int64_t *ret_from, int64_t *ret_to)
{
	const char *p = text;
	int64_t from = 0, to;
	uint64_t n;
	int r = blt_seq_len(s->seq, &n);

	if (r < 0)
		return tool_seq_fail(s, NULL, r);
	to = (int64_t)n;
	if (*p != ':' && !read_number(&p, &from))
		goto bad;
	if (*p++ != ':')
		goto bad;
	if (*p && !read_number(&p, &to))
		goto bad;
	if (*p)
		goto bad;
	*ret_from = clamp(from, (int64_t)n);
	*ret_to = clamp(to, (int64_t)n);
	if (*ret_to < *ret_from)
		*ret_to = *ret_from;
	return 0;
bad:
	return fail_position(s, text, "I:J, I:, :J or :");
}

/* ---- verbs ---- */

static int fail_store_kind(const struct tool_seq *s)
{
	return tool_fail(s->t, EX_DATAERR,
			 "%s: there are no sequences in %s: its values must be "
			 "bytes or str of any length, and its keys no numbers",
			 s->name, blt_path(s->t->store));
}

static int run_create(const struct tool_seq *s, char **arg, int n)
{
	int r = blt_seq_create(s->t->ns, s->prefix, s->len);

	(void)arg;
	(void)n;
	if (r == -EEXIST)
		return tool_fail(s->t, EX_DATAERR,
				 "%s: is a sequence already, or its name is "
				 "taken",
				 s->name);
	if (r == -ENOTSUP)
		return fail_store_kind(s);
	return r < 0 ? tool_fail_store(s->t, s->name, r) : 0;
}

static int run_len(const struct tool_seq *s, char **arg, int n)
{
	struct jout j = { .to = stdout };
	uint64_t len;
	int r = blt_seq_len(s->seq, &len);

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
	int64_t from = 0, to = 0;
	int code = parse_slice(s, n > 0 ? arg[0] : ":", &from, &to);

	return code ? code : tool_seq_print(s, from, to);
}

/* What the verbs that take one item do with it. */
enum put { APPEND, INSERT, SET, UPDATE };

static int put_item(const struct tool_seq *s, enum put how, const char *at,
		    char **fields, int n)
{
	struct seq_item_buf b = { 0 };
	int64_t i = 0;
	int code = at ? parse_position(s, at, &i) : 0, r = 0;

	if (!code)
		code = tool_seq_item(s, fields, n, &b);
	if (code)
		goto out;
	switch (how) {
	case APPEND:
		r = blt_seq_append(s->seq, &b.item, 1);
		break;
	case INSERT:
		r = blt_seq_insert(s->seq, i, &b.item, 1);
		break;
	case SET:
		r = blt_seq_set(s->seq, i, &b.item);
		break;
	case UPDATE:
		r = blt_seq_update(s->seq, i, b.item.fields, b.item.n);
		break;
	}
	if (r < 0)
		code = tool_seq_fail(s, at, r);
out:
	seq_item_free(&b);
	return code;
}

static int run_append(const struct tool_seq *s, char **arg, int n)
{
	return put_item(s, APPEND, NULL, arg, n);
}

static int run_insert(const struct tool_seq *s, char **arg, int n)
{
	return put_item(s, INSERT, arg[0], arg + 1, n - 1);
}

static int run_set(const struct tool_seq *s, char **arg, int n)
{
	return put_item(s, SET, arg[0], arg + 1, n - 1);
}

static int run_update(const struct tool_seq *s, char **arg, int n)
{
	return put_item(s, UPDATE, arg[0], arg + 1, n - 1);
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
		r = blt_seq_delete(s->seq, from, to);
	} else {
		code = parse_position(s, arg[0], &from);
		if (code)
			return code;
		/* behind the last one, -1 + 1 would be the first */
		r = from == -1 ? blt_seq_read(s->seq, -1, NULL, NULL, NULL) : 0;
		if (r == 0 && from == -1) {
			uint64_t len;

			r = blt_seq_len(s->seq, &len);
			from = r == 0 ? (int64_t)len - 1 : 0;
		}
		if (r == 0)
			r = blt_seq_delete(s->seq, from,
					   from == INT64_MAX ? from : from + 1);
	}
	return r < 0 ? tool_seq_fail(s, arg[0], r) : 0;
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
	r = blt_seq_move(s->seq, from, to);
	if (r == -ERANGE && blt_seq_read(s->seq, from, NULL, NULL, NULL) == 0)
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
	const char *args; /* behind STORE DIR */
	int min, max;     /* of these; max < 0: any number */
	enum blt_mode mode;
	int (*run)(const struct tool_seq *s, char **arg, int n);
} verbs[] = {
	{ "append", "[FIELD=VALUE]...", 0, -1, BLT_WRITE, run_append },
	{ "create", "", 0, 0, BLT_WRITE, run_create },
	{ "delete", "I|I:J", 1, 1, BLT_WRITE, run_delete },
	{ "extend", "[FILE|DIRECTORY]", 0, 1, BLT_WRITE, run_extend },
	{ "get", "I [FIELD]", 1, 2, BLT_READ, run_get },
	{ "insert", "I [FIELD=VALUE]...", 1, -1, BLT_WRITE, run_insert },
	{ "iter", "", 0, 0, BLT_READ, run_iter },
	{ "len", "", 0, 0, BLT_READ, run_len },
	{ "move", "I J", 2, 2, BLT_WRITE, run_move },
	{ "set", "I [FIELD=VALUE]...", 1, -1, BLT_WRITE, run_set },
	{ "slice", "I:J", 1, 1, BLT_READ, run_iter },
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

/* The directory's prefix: of the one that is there, or of one of that path. */
static int find_prefix(struct tool_seq *s)
{
	struct tool *t = s->t;
	struct tool_key key = { 0 };
	struct blt_node node;
	size_t len = strlen(s->name);
	char *path;
	int code = tool_need_ns(t);

	if (code)
		return code;
	if (tool_int_keys(t))
		return fail_store_kind(s);
	if (blt_ns_resolve(t->ns, s->name, &node) == 0) {
		s->prefix = node.key;
		s->len = node.key_len;
		if (node.kind == BLT_DIR && node.key_len > 0)
			return 0;
		return tool_fail(t, EX_DATAERR,
				 "%s: is no directory that can be a sequence",
				 s->name);
	}
	path = strdup(s->name);
	if (!path)
		return tool_fail_store(t, NULL, -ENOMEM);
	while (len > 0 && path[len - 1] == '/')
		path[--len] = '\0';
	code = tool_key(t, path, true, &key);
	free(path);
	if (code)
		return code;
	s->prefix = realloc(key.bytes, key.len + 1);
	if (!s->prefix) {
		tool_key_free(&key);
		return tool_fail_store(t, NULL, -ENOMEM);
	}
	s->prefix[key.len] = '/';
	s->len = key.len + 1;
	return 0;
}

static int open_seq(struct tool_seq *s, const struct verb *verb)
{
	int code = find_prefix(s), r;

	if (code || verb->run == run_create)
		return code;
	r = blt_seq_open(s->t->ns, s->prefix, s->len, &s->seq);
	return r < 0 ? tool_seq_fail(s, NULL, r) : 0;
}

static int run_seq(struct tool *t)
{
	const struct verb *verb = find_verb(t->arg[0]);
	struct tool_seq s = { .t = t, .name = t->arg[2] };
	int n = t->n_args - 3, code;

	if (!verb)
		return tool_fail(t, EX_USAGE,
				 "%s: expected is append, create, delete, "
				 "extend, get, insert, iter, len, move, set, "
				 "slice or update",
				 t->arg[0]);
	if (n < verb->min || (verb->max >= 0 && n > verb->max))
		return tool_fail(
			t, EX_USAGE,
			"%s arguments; usage: blt seq %s STORE DIR%s%s",
			n < verb->min ? "missing" : "too many", verb->name,
			*verb->args ? " " : "", verb->args);
	code = tool_open(t, t->arg[1], verb->mode, NULL);
	if (!code)
		code = open_seq(&s, verb);
	if (!code)
		code = verb->run(&s, t->arg + 3, n);
	blt_seq_close(s.seq);
	free(s.prefix);
	return code;
}

static const struct tool_option options[] = {
	TOOL_OPT_JSON,
	TOOL_OPT_LOCK,
	TOOL_OPT_END,
};

const struct tool_command tool_seq = {
	.name = "seq",
	.args = "VERB STORE DIR [ARGUMENT]...",
	.summary = "work on a directory as a sequence of items",
	.help = "A sequence is a directory of items in an order, each a value "
		"or a record of fields. VERB: create makes DIR one; len; get I "
		"[FIELD]; append, insert I and set I, with FIELD=VALUE... or a "
		"value from standard input; update I FIELD=VALUE..., which "
		"leaves other fields; delete I or I:J; move I J; slice I:J "
		"and iter, which print lines of JSON; extend [FILE|DIRECTORY], "
		"which appends such lines, or files. I and J count from 0, or "
		"from -1 on back from the end.",
	.min_args = 3,
	.max_args = -1,
	.takes_numbers = true,
	.options = options,
	.run = run_seq,
};
