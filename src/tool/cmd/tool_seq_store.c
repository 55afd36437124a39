/* tool_seq_store.c - blt seq on a store that this process opens. */
#include "tool/cmd/tool_seq.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

int tool_seq_fail_kind(const struct tool_seq *s)
{
	if (s->fd >= 0)
		return tool_fail(s->t, EX_DATAERR,
				 "%s: there are no sequences here: the store's "
				 "values must be bytes or str of any length, "
				 "and its keys no numbers, in a tree; and "
				 "transactions have none",
				 s->name);
	return tool_fail(s->t, EX_DATAERR,
			 "%s: there are no sequences in %s: its values must be "
			 "bytes or str of any length, and its keys no numbers",
			 s->name, blt_path(s->t->store));
}

/* ---- the calls ---- */

static int create(const struct tool_seq *s)
{
	return blt_seq_create(s->t->ns, s->prefix, s->len);
}

static int len(const struct tool_seq *s, uint64_t *ret)
{
	return blt_seq_len(s->seq, ret);
}

static int read_item(const struct tool_seq *s, int64_t at,
		     const struct seq_reader *to)
{
	return blt_seq_read(s->seq, at, to->place, to->field, to->arg);
}

struct each {
	struct blt_seq *seq;
	const struct seq_reader *reader;
};

static int each_place(void *arg, const struct blt_seq_place *place)
{
	const struct each *e = arg;
	const struct seq_reader *to = e->reader;
	int r = to->place(to->arg, place);

	if (r == 0)
		r = blt_seq_read_named(e->seq, place, to->field, to->arg);
	return r == 0 ? to->end(to->arg) : r;
}

/* Nobody else has the store: no item goes meanwhile. */
static int each(const struct tool_seq *s, int64_t from, int64_t to,
		const struct seq_reader *reader)
{
	struct each e = { s->seq, reader };

	return blt_seq_slice(s->seq, from, to, each_place, &e);
}

static int put(const struct tool_seq *s, enum seq_put how, int64_t at,
	       const struct blt_seq_item *items, size_t n)
{
	switch (how) {
	case SEQ_APPEND:
		return blt_seq_append(s->seq, items, n);
	case SEQ_INSERT:
		return blt_seq_insert(s->seq, at, items, n);
	case SEQ_SET:
		return blt_seq_set(s->seq, at, items);
	case SEQ_UPDATE:
		return blt_seq_update(s->seq, at, items->fields, items->n);
	}
	return -EINVAL;
}

static int delete_items(const struct tool_seq *s, int64_t from, int64_t to)
{
	return blt_seq_delete(s->seq, from, to);
}

static int move(const struct tool_seq *s, int64_t from, int64_t to)
{
	return blt_seq_move(s->seq, from, to);
}

static const struct seq_calls calls = {
	.create = create,
	.len = len,
	.read = read_item,
	.each = each,
	.put = put,
	.remove = delete_items,
	.move = move,
};

/* ---- opening ---- */

/* The directory's prefix: of the one that is there, or of one of that path. */
static int find_prefix(struct tool_seq *s)
{
	struct tool *t = s->t;
	struct tool_key key = { 0 };
	struct blt_node node;
	size_t n = strlen(s->name);
	char *path;
	int code = tool_need_ns(t);

	if (code)
		return code;
	if (tool_int_keys(t))
		return tool_seq_fail_kind(s);
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
	while (n > 0 && path[n - 1] == '/')
		path[--n] = '\0';
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

int tool_seq_open_store(struct tool_seq *s, bool make)
{
	int code, r;

	s->calls = &calls;
	code = find_prefix(s);
	if (code || make)
		return code;
	r = blt_seq_open(s->t->ns, s->prefix, s->len, &s->seq);
	return r < 0 ? tool_seq_fail(s, NULL, r) : 0;
}

void tool_seq_close(struct tool_seq *s)
{
	blt_seq_close(s->seq);
	free(s->prefix);
	if (s->fd >= 0)
		close(s->fd);
}
