/* tool_seq_fields.c - the fields of a record: listed, and dropped. */
#include "tool/cmd/tool_seq.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

/* A record on its way to what is left of it. */
struct record {
	struct seq_item_buf buf;
	bool is_record;
	char **drop; /* n names */
	int n;
	bool *dropped;
};

static int take_place(void *arg, const struct blt_seq_place *place)
{
	struct record *rec = arg;

	seq_item_free(&rec->buf); /* once more, where the first one went */
	rec->is_record = place->record;
	return place->record ? 0 : -ENOTDIR;
}

static bool is_dropped(struct record *rec, const struct blt_seq_field *f)
{
	for (int i = 0; i < rec->n; i++) {
		if (strlen(rec->drop[i]) == f->name_len &&
		    !memcmp(rec->drop[i], f->name, f->name_len))
			return rec->dropped[i] = true;
	}
	return false;
}

static int take_field(void *arg, const struct blt_seq_field *f)
{
	struct record *rec = arg;
	char *name, *value;

	if (!f->name || is_dropped(rec, f))
		return 0;
	name = malloc(f->name_len + 1);
	value = malloc(f->value_len + 1);
	if (!name || !value) {
		free(name);
		free(value);
		return -ENOMEM;
	}
	memcpy(name, f->name, f->name_len);
	memcpy(value, f->value, f->value_len);
	return seq_item_add(&rec->buf, name, f->name_len, value, f->value_len);
}

int tool_seq_drop(const struct tool_seq *s, int64_t at, const char *text,
		  char **names, int n)
{
	struct record rec = { .drop = names,
			      .n = n,
			      .dropped = calloc((size_t)n, sizeof(bool)) };
	const struct seq_reader to = { take_place, take_field, NULL, &rec };
	int r = rec.dropped ? s->calls->read(s, at, &to) : -ENOMEM, code = 0;

	for (int i = 0; r == 0 && i < n && !code; i++) {
		if (!rec.dropped[i])
			code = tool_fail(s->t, TOOL_NOT_FOUND,
					 "%s: item %s has no field %s", s->name,
					 text, names[i]);
	}
	if (r == 0 && !code)
		r = s->calls->put(s, SEQ_SET, at, &rec.buf.item, 1);
	if (r < 0)
		code = tool_seq_fail(s, text, r);
	seq_item_free(&rec.buf);
	free(rec.dropped);
	return code;
}

/* ---- names ---- */

struct names {
	bool json;
	struct jout j;
};

static int begin_names(void *arg, const struct blt_seq_place *place)
{
	(void)arg;
	return place->record ? 0 : -ENOTDIR;
}

static int print_name(void *arg, const struct blt_seq_field *f)
{
	struct names *n = arg;

	if (!f->name)
		return 0;
	if (n->json) {
		jout_bytes(&n->j, NULL, f->name, f->name_len);
		return 0;
	}
	tool_print_name(f->name, f->name_len);
	putchar('\n');
	return 0;
}

int tool_seq_fields(const struct tool_seq *s, int64_t at, const char *text)
{
	struct names n = { .json = tool_has(s->t, OPT_JSON),
			   .j = { .to = stdout } };
	const struct seq_reader to = { begin_names, print_name, NULL, &n };
	int r;

	if (n.json)
		jout_open(&n.j, NULL, '[');
	r = s->calls->read(s, at, &to);
	if (n.json)
		jout_close(&n.j, ']');
	return r < 0 ? tool_seq_fail(s, text, r) : 0;
}
