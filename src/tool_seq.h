/* tool_seq.h - what the files of blt seq share: tool_seq.c (the command and its
 * verbs), tool_seq_item.c (items on their way in and out), tool_seq_extend.c
 * (many of them).
 *
 * Errors: functions return 0 or an exit code after a message, unless they say
 * otherwise.
 */
#ifndef BLT_TOOL_SEQ_H
#define BLT_TOOL_SEQ_H

#include "blt_seq.h"
#include "tool.h"

/* One run. */
struct tool_seq {
	struct tool *t;
	const char *name; /* the directory, as given */
	uint8_t *prefix;
	size_t len;
	struct blt_seq *seq; /* NULL: not opened */
};

/* Says why a call failed; at: the position as it was given, or NULL. */
int tool_seq_fail(const struct tool_seq *s, const char *at, int err);

/* ---- tool_seq_item.c ---- */

/* An item that is put together; all malloc'd. */
struct seq_item_buf {
	struct blt_seq_item item;
	struct blt_seq_field *fields;
	size_t n, room;
};
void seq_item_free(struct seq_item_buf *b);
/* Takes over name (NULL: a value) and value, freed on an error, too.
 * -ENOMEM. */
int seq_item_add(struct seq_item_buf *b, char *name, size_t name_len,
		 char *value, size_t value_len);

/* What stands behind the position on the command line: fields as NAME=VALUE,
 * or none, and then the value of standard input. */
int tool_seq_item(const struct tool_seq *s, char **args, int n,
		  struct seq_item_buf *ret);

/* One line of JSON: a string, or an object of strings; other members count as
 * the text that they are.  -EINVAL: none; -ENOMEM. */
int seq_item_parse(const char *line, size_t len, struct seq_item_buf *ret);

/* The item at a position, which was given as at, or one field of it, as bytes;
 * a record as a line of JSON. */
int tool_seq_get(const struct tool_seq *s, int64_t i, const char *at,
		 const char *field);

/* Items as lines of JSON. */
int tool_seq_print(const struct tool_seq *s, int64_t from, int64_t to);

/* ---- tool_seq_extend.c ---- */

int tool_seq_extend(const struct tool_seq *s, const char *from);

#endif
