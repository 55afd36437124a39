/* tool_seq_item.c - items of a sequence, from arguments and JSON, and printed.
 */
#include "tool/cmd/tool_seq.h"

#include "base/json.h"
#include "base/array.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

/* ---- putting together ---- */

void seq_item_free(struct seq_item_buf *b)
{
	for (size_t i = 0; i < b->n; i++) {
		free((void *)(uintptr_t)b->fields[i].name);
		free((void *)(uintptr_t)b->fields[i].value);
	}
	free(b->fields);
	*b = (struct seq_item_buf){ 0 };
}

int seq_item_add(struct seq_item_buf *b, char *name, size_t name_len,
		 char *value, size_t value_len)
{
	if (ARRAY_ROOM(b->fields, b->room, b->n + 1) < 0) {
		free(name);
		free(value);
		return -ENOMEM;
	}
	b->fields[b->n].name = name;
	b->fields[b->n].name_len = name_len;
	b->fields[b->n].value = value;
	b->fields[b->n].value_len = value_len;
	b->n++;
	b->item.fields = b->fields;
	b->item.n = b->n;
	return 0;
}

static int add_copy(struct seq_item_buf *b, const char *name, size_t name_len,
		    const char *value)
{
	char *own_name = strndup(name, name_len);
	char *own_value = strdup(value);

	if (own_name && own_value)
		return seq_item_add(b, own_name, name_len, own_value,
				    strlen(value));
	free(own_name);
	free(own_value);
	return -ENOMEM;
}

/* A value from a file, or from standard input (NULL), under a name that is
 * freed on an error, too (NULL: none). */
static int read_value(const struct tool_seq *s, const char *path, char *name,
		      struct seq_item_buf *ret)
{
	struct tool_value v;
	char *bytes = NULL;
	int code = tool_value_open(s->t, path, &v), r;

	if (code)
		goto out;
	bytes = malloc(v.source.len + 1);
	r = bytes ? v.source.read(v.source.arg, bytes, v.source.len, 0) :
		    -ENOMEM;
	if (r < 0) {
		code = tool_fail_file(s->t, v.name, "read", r);
		free(bytes);
		goto out;
	}
	r = seq_item_add(ret, name, name ? strlen(name) : 0, bytes,
			 v.source.len);
	name = NULL;
	if (r < 0)
		code = tool_seq_fail(s, NULL, r);
out:
	free(name);
	tool_value_close(&v);
	return code;
}

/* FIELD=VALUE, or FIELD=@FILE; a VALUE that begins with @@ begins with @. */
static int add_argument(const struct tool_seq *s, const char *arg,
			struct seq_item_buf *ret)
{
	const char *equals = strchr(arg, '='), *value;
	char *name;
	int r;

	if (!equals || equals == arg || equals[-1] == '/')
		return tool_fail(s->t, EX_USAGE,
				 "%s: expected is FIELD=VALUE or FIELD=@FILE",
				 arg);
	value = equals + 1;
	if (value[0] == '@' && value[1] != '@') {
		name = strndup(arg, (size_t)(equals - arg));
		return name ? read_value(s, value + 1, name, ret) :
			      tool_seq_fail(s, NULL, -ENOMEM);
	}
	r = add_copy(ret, arg, (size_t)(equals - arg), value + (*value == '@'));
	return r < 0 ? tool_seq_fail(s, NULL, r) : 0;
}

int tool_seq_item(const struct tool_seq *s, char **args, int n,
		  struct seq_item_buf *ret)
{
	int code = 0;

	if (n <= 0)
		return read_value(s, NULL, NULL, ret);
	for (int i = 0; i < n && !code; i++)
		code = add_argument(s, args[i], ret);
	return code;
}

/* ---- from JSON ---- */

/* A text that is one of JSON for certain. */
struct scan {
	const char *at, *end;
};

static void skip_space(struct scan *s)
{
	while (s->at < s->end && strchr(" \t\r\n", *s->at))
		s->at++;
}

static uint32_t read_unit(struct scan *s)
{
	char digits[5] = { 0 };

	memcpy(digits, s->at, 4);
	s->at += 4;
	return (uint32_t)strtoul(digits, NULL, 16);
}

static char *write_utf8(char *to, uint32_t c)
{
	if (c < 0x80) {
		*to++ = (char)c;
	} else if (c < 0x800) {
		*to++ = (char)(0xc0 | c >> 6);
		*to++ = (char)(0x80 | (c & 0x3f));
	} else if (c < 0x10000) {
		*to++ = (char)(0xe0 | c >> 12);
		*to++ = (char)(0x80 | (c >> 6 & 0x3f));
		*to++ = (char)(0x80 | (c & 0x3f));
	} else {
		*to++ = (char)(0xf0 | c >> 18);
		*to++ = (char)(0x80 | (c >> 12 & 0x3f));
		*to++ = (char)(0x80 | (c >> 6 & 0x3f));
		*to++ = (char)(0x80 | (c & 0x3f));
	}
	return to;
}

static char *write_escape(struct scan *s, char *to)
{
	static const char from[] = "bfnrt", meant[] = "\b\f\n\r\t";
	const char *known;
	uint32_t c;
	char letter = *s->at++;

	if (letter != 'u') {
		known = strchr(from, letter);
		*to++ = known ? meant[known - from] : letter;
		return to;
	}
	c = read_unit(s);
	if (c >= 0xd800 && c < 0xdc00) {
		s->at += 2; /* its other half follows */
		c = 0x10000 + ((c & 0x3ff) << 10) + (read_unit(s) & 0x3ff);
	}
	return write_utf8(to, c);
}

/* malloc'd; NULL: no memory. */
static char *read_string(struct scan *s, size_t *ret_len)
{
	char *text = malloc((size_t)(s->end - s->at) + 1), *to = text;

	if (!text)
		return NULL;
	s->at++;
	while (*s->at != '"') {
		if (*s->at == '\\') {
			s->at++;
			to = write_escape(s, to);
		} else {
			*to++ = *s->at++;
		}
	}
	s->at++;
	*ret_len = (size_t)(to - text);
	return text;
}

/* Anything, as the text that it is. */
static char *read_raw(struct scan *s, size_t *ret_len)
{
	const char *from = s->at;
	unsigned depth = 0;
	bool quoted = false;
	char *text;

	for (; s->at < s->end; s->at++) {
		if (quoted && *s->at == '\\')
			s->at++;
		else if (*s->at == '"')
			quoted = !quoted;
		else if (quoted)
			continue;
		else if (strchr("[{", *s->at))
			depth++;
		else if (depth == 0 && strchr(",]} \t\r\n", *s->at))
			break;
		else if (strchr("]}", *s->at))
			depth--;
	}
	*ret_len = (size_t)(s->at - from);
	text = malloc(*ret_len + 1);
	if (text)
		memcpy(text, from, *ret_len);
	return text;
}

static char *read_any(struct scan *s, size_t *ret_len)
{
	return *s->at == '"' ? read_string(s, ret_len) : read_raw(s, ret_len);
}

static int read_members(struct scan *s, struct seq_item_buf *ret)
{
	int r = 0;

	s->at++;
	skip_space(s);
	while (r == 0 && *s->at != '}') {
		size_t name_len = 0, value_len = 0;
		char *name = read_string(s, &name_len), *value;

		skip_space(s);
		s->at++; /* : */
		skip_space(s);
		value = name ? read_any(s, &value_len) : NULL;
		if (!value) {
			free(name);
			return -ENOMEM;
		}
		r = seq_item_add(ret, name, name_len, value, value_len);
		skip_space(s);
		if (*s->at == ',')
			s->at++;
		skip_space(s);
	}
	return r;
}

int seq_item_parse(const char *line, size_t len, struct seq_item_buf *ret)
{
	struct scan s = { line, line + len };
	struct json j = { .parser = JSON_BOTH };
	char *value;
	size_t n = 0;

	if (json_feed(&j, line, len) < 0 || json_end(&j) < 0)
		return -EINVAL;
	skip_space(&s);
	if (*s.at == '{')
		return read_members(&s, ret);
	value = read_any(&s, &n);
	return value ? seq_item_add(ret, NULL, 0, value, n) : -ENOMEM;
}

/* ---- printing ---- */

struct print {
	const struct tool_seq *s;
	const char *field; /* the one wanted, or NULL: all */
	struct jout j;
	bool record, found;
	int code;
};

static int print_bytes(struct print *p, const struct blt_seq_field *field)
{
	int r = fflush(stdout) ? -errno : 0;

	if (r == 0)
		r = tool_write_all(STDOUT_FILENO, field->value,
				   field->value_len);
	if (r < 0)
		p->code =
			tool_fail_file(p->s->t, "standard output", "write", r);
	return r < 0 ? 1 : 0;
}

static int print_field(void *arg, const struct blt_seq_field *field)
{
	struct print *p = arg;
	char *name;

	if (p->field && (!field->name || strlen(p->field) != field->name_len ||
			 memcmp(p->field, field->name, field->name_len) != 0))
		return 0;
	p->found = true;
	if (p->field || (!field->name && !p->j.to))
		return print_bytes(p, field);
	if (!field->name) {
		jout_bytes(&p->j, NULL, field->value, field->value_len);
		return 0;
	}
	name = strndup(field->name, field->name_len);
	if (!name)
		return -ENOMEM;
	jout_bytes(&p->j, name, field->value, field->value_len);
	free(name);
	return 0;
}

static void start_line(struct print *p, bool record)
{
	p->j = (struct jout){
		.to = stdout, .depth = 2, .first = true, .flat = true
	};
	p->record = record;
	if (record)
		jout_open(&p->j, NULL, '{');
}

static void end_line(struct print *p)
{
	if (p->record)
		jout_close(&p->j, '}');
	putchar('\n');
}

static int start_item(void *arg, const struct blt_seq_place *place)
{
	struct print *p = arg;

	if (!p->field && (place->record || tool_has(p->s->t, OPT_JSON)))
		start_line(p, place->record);
	return 0;
}

int tool_seq_get(const struct tool_seq *s, int64_t i, const char *at,
		 const char *field)
{
	struct print p = { .s = s, .field = field };
	const struct seq_reader to = { start_item, print_field, NULL, &p };
	int r = s->calls->read(s, i, &to);

	if (p.code)
		return p.code;
	if (r < 0)
		return tool_seq_fail(s, at, r);
	if (field && !p.found)
		return tool_fail(s->t, TOOL_NOT_FOUND,
				 "%s: item %s has no field %s", s->name, at,
				 field);
	if (p.j.to)
		end_line(&p);
	return 0;
}

static int start_listed(void *arg, const struct blt_seq_place *place)
{
	if (tool_signal() || ferror(stdout))
		return 1;
	start_line(arg, place->record);
	return 0;
}

static int end_listed(void *arg)
{
	end_line(arg);
	return 0;
}

/* One by one: there are fewer than between the ends. */
static int print_steps(const struct tool_seq *s, int64_t from, int64_t to,
		       int64_t step, const struct seq_reader *reader)
{
	int r = 0;

	for (int64_t i = from; r == 0 && (step > 0 ? i < to : i > to);
	     i += step) {
		r = s->calls->read(s, i, reader);
		if (r == 0)
			r = reader->end(reader->arg);
	}
	return r;
}

int tool_seq_print(const struct tool_seq *s, int64_t from, int64_t to,
		   int64_t step)
{
	struct print p = { .s = s };
	const struct seq_reader reader = { start_listed, print_field,
					   end_listed, &p };
	int r = step == 1 ? s->calls->each(s, from, to, &reader) :
			    print_steps(s, from, to, step, &reader);

	if (p.code)
		return p.code;
	return r < 0 ? tool_seq_fail(s, ":", r) : 0;
}
