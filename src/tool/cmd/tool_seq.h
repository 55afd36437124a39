/* tool_seq.h - what the files of blt seq share: tool_seq.c (the command and its
 * verbs), tool_seq_store.c and tool_seq_mount.c (the calls, on a store of our
 * own and on a mount), tool_seq_item.c (items on their way in and out),
 * tool_seq_extend.c and tool_seq_tar.c (many of them).
 *
 * Errors: functions return 0 or an exit code after a message, unless they say
 * otherwise.
 */
#ifndef BLT_TOOL_SEQ_H
#define BLT_TOOL_SEQ_H

#include "blt_seq.h"
#include "tool/tool.h"

struct tool_seq;

/* What is done with items. */
enum seq_put { SEQ_APPEND, SEQ_INSERT, SEQ_SET, SEQ_UPDATE };

/* Who is told of items that are read, as by blt_seq_read; end may be NULL. */
struct seq_reader {
	blt_seq_place_fn *place;
	blt_seq_field_fn *field;
	int (*end)(void *arg);
	void *arg;
};

/* The calls of blt_seq.h, wherever the store is.  Results as there. */
struct seq_calls {
	int (*create)(const struct tool_seq *s);
	int (*len)(const struct tool_seq *s, uint64_t *ret);
	int (*read)(const struct tool_seq *s, int64_t at,
		    const struct seq_reader *to);
	int (*each)(const struct tool_seq *s, int64_t from, int64_t to,
		    const struct seq_reader *reader);
	int (*put)(const struct tool_seq *s, enum seq_put how, int64_t at,
		   const struct blt_seq_item *items, size_t n);
	int (*remove)(const struct tool_seq *s, int64_t from, int64_t to);
	int (*move)(const struct tool_seq *s, int64_t from, int64_t to);
};

/* One run. */
struct tool_seq {
	struct tool *t;
	const char *name; /* the directory, as given */
	const struct seq_calls *calls;
	/* of a store of our own */
	uint8_t *prefix;
	size_t len;
	struct blt_seq *seq; /* NULL: not opened */
	/* of a mount: the directory, or -1 */
	int fd;
};

/* Says why a call failed; at: the position as it was given, or NULL. */
int tool_seq_fail(const struct tool_seq *s, const char *at, int err);
/* The store is one that has no sequences. */
int tool_seq_fail_kind(const struct tool_seq *s);

/* ---- tool_seq_store.c, tool_seq_mount.c ---- */

/* What STORE and DIR, or the path of a directory on a mount, name: sets all of
 * s but t and name.  create: it need not be a sequence, nor be there. */
int tool_seq_open_store(struct tool_seq *s, bool create);
int tool_seq_open_mount(struct tool_seq *s, bool create);
void tool_seq_close(struct tool_seq *s);
/* Whether that is, or would be, a directory on a mount that is not the mount
 * point; or on none that can be asked, which is then an exit code after a
 * message.  *ret: it is. */
int tool_seq_is_mounted(const struct tool *t, const char *path, bool *ret);

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

/* What stands behind the position on the command line: fields as NAME=VALUE or
 * NAME=@FILE, or none, and then the value of standard input. */
int tool_seq_item(const struct tool_seq *s, char **args, int n,
		  struct seq_item_buf *ret);

/* One line of JSON: a string, or an object of strings; other members count as
 * the text that they are.  -EINVAL: none; -ENOMEM. */
int seq_item_parse(const char *line, size_t len, struct seq_item_buf *ret);

/* The item at a position, which was given as at, or one field of it, as bytes;
 * a record as a line of JSON. */
int tool_seq_get(const struct tool_seq *s, int64_t i, const char *at,
		 const char *field);

/* Each step-th item as a line of JSON; step < 0: backwards, to is behind. */
int tool_seq_print(const struct tool_seq *s, int64_t from, int64_t to,
		   int64_t step);

/* ---- tool_seq_fields.c ---- */

/* The names of a record's fields, a line each. */
int tool_seq_fields(const struct tool_seq *s, int64_t at, const char *text);
/* Takes n fields out of a record, by writing the others anew. */
int tool_seq_drop(const struct tool_seq *s, int64_t at, const char *text,
		  char **names, int n);

/* ---- tool_seq_extend.c, tool_seq_tar.c ---- */

#define SEQ_AT_ONCE 1024
#define SEQ_BYTES_AT_ONCE (8u << 20)

/* Items that wait to be appended. */
struct seq_pending {
	const struct tool_seq *s;
	struct seq_item_buf buf[SEQ_AT_ONCE];
	struct blt_seq_item item[SEQ_AT_ONCE];
	size_t n;
	uint64_t bytes;
};
/* The next one, which was put together in p->buf[p->n], is whole. */
int seq_pending_done(struct seq_pending *p);

/* A stream of which the first bytes have been looked at. */
struct seq_input {
	int fd;
	const char *name;
	char head[512];
	size_t len, at; /* of head: there are; were read */
};
/* Bytes, 0 at the end, or -errno. */
int64_t seq_input_read(struct seq_input *in, void *buf, size_t n);

int seq_extend_tar(struct seq_pending *p, struct seq_input *in);

int tool_seq_extend(const struct tool_seq *s, const char *from);

#endif
