/* tool_json.c - JSON documents, written as they come. */
#include "tool/tool.h"
#include "base/json.h"

#include <inttypes.h>
#include <string.h>

/* A comma where one is due, the indentation and the member's name. */
static void start(struct jout *j, const char *name)
{
	if (!j->first)
		putc(',', j->to);
	if (j->depth == 0)
		;
	else if (j->line || (j->flat && j->depth > 1))
		fputs(j->first ? "" : " ", j->to);
	else
		fprintf(j->to, "\n%*s", (int)(2 * j->depth), "");
	j->first = false;
	if (name) {
		json_put_string(j->to, name, strlen(name));
		fputs(": ", j->to);
	}
}

void jout_open(struct jout *j, const char *name, char bracket)
{
	if (j->depth == 0)
		j->first = true;
	start(j, name);
	putc(bracket, j->to);
	j->depth++;
	j->first = true;
}

void jout_close(struct jout *j, char bracket)
{
	j->depth--;
	if (!j->first && !j->line && !(j->flat && j->depth > 0))
		fprintf(j->to, "\n%*s", (int)(2 * j->depth), "");
	putc(bracket, j->to);
	if (j->depth == 0)
		putc('\n', j->to);
	j->first = false;
}

void jout_bytes(struct jout *j, const char *name, const void *b, size_t len)
{
	start(j, name);
	json_put_string(j->to, b, len);
}

void jout_text(struct jout *j, const char *name, const char *text)
{
	start(j, name);
	if (text)
		json_put_string(j->to, text, strlen(text));
	else
		fputs("null", j->to);
}

void jout_hex(struct jout *j, const char *name, const void *b, size_t len)
{
	const uint8_t *p = b;

	start(j, name);
	putc('"', j->to);
	for (size_t i = 0; i < len; i++)
		fprintf(j->to, "%02x", p[i]);
	putc('"', j->to);
}

void jout_u64(struct jout *j, const char *name, uint64_t v)
{
	start(j, name);
	fprintf(j->to, "%" PRIu64, v);
}

void jout_fixed(struct jout *j, const char *name, double v)
{
	start(j, name);
	fprintf(j->to, "%.3f", v);
}

void jout_bool(struct jout *j, const char *name, bool v)
{
	start(j, name);
	fputs(v ? "true" : "false", j->to);
}

void jout_time(struct jout *j, int64_t us)
{
	char text[TIME_BUF];

	if (us < 0) {
		start(j, "timestamp");
		fputs("null", j->to);
		jout_text(j, "time", NULL);
		return;
	}
	jout_u64(j, "timestamp", (uint64_t)us);
	jout_text(j, "time", time_text(us, text));
}

/* "5 keys imported, 1.2 KiB, 1 kept, 2 passed over"; the verb is the command's.
 * What stopped it has been said. */
static int print_summary(const struct tool *t, const struct tool_counts *c,
			 bool done)
{
	char size[32];

	if (!done || tool_has(t, OPT_QUIET))
		return 0;
	printf("%" PRIu64 " key%s %sed, %s", c->items, c->items == 1 ? "" : "s",
	       t->cmd->name, tool_size(c->bytes, size));
	if (c->kept)
		printf(", %" PRIu64 " kept", c->kept);
	if (c->failed)
		printf(", %" PRIu64 " passed over", c->failed);
	putchar('\n');
	return tool_flush(t);
}

int tool_print_counts(const struct tool *t, const struct tool_counts *c,
		      bool done)
{
	struct jout j = { .to = stdout };

	if (!tool_has(t, OPT_JSON))
		return print_summary(t, c, done);
	jout_open(&j, NULL, '{');
	jout_text(&j, "kind", t->cmd->name);
	jout_text(&j, "state", done ? "done" : "stopped");
	jout_u64(&j, "items", c->items);
	jout_u64(&j, "bytes", c->bytes);
	jout_u64(&j, "kept", c->kept);
	jout_u64(&j, "failed", c->failed);
	jout_close(&j, '}');
	return tool_flush(t);
}
