/* tool_seq_extend.c - blt seq extend: many items at once.
 *
 * Items are read and appended some at a time, each of these a batch or a few;
 * what stops it leaves those that were appended before.
 */
#include "tool_seq.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#define AT_ONCE 1024
#define BYTES_AT_ONCE (8u << 20)

/* Items that wait to be appended. */
struct pending {
	const struct tool_seq *s;
	struct seq_item_buf buf[AT_ONCE];
	struct blt_seq_item item[AT_ONCE];
	size_t n;
	uint64_t bytes;
};

static int append_pending(struct pending *p)
{
	int r = 0;

	if (p->n > 0)
		r = p->s->calls->put(p->s, SEQ_APPEND, 0, p->item, p->n);
	for (size_t i = 0; i < p->n; i++)
		seq_item_free(&p->buf[i]);
	p->n = 0;
	p->bytes = 0;
	return r < 0 ? tool_seq_fail(p->s, NULL, r) : 0;
}

/* The next item is whole; its memory is p's now. */
static int item_done(struct pending *p)
{
	struct seq_item_buf *b = &p->buf[p->n];

	for (size_t i = 0; i < b->n; i++)
		p->bytes += b->fields[i].value_len;
	p->item[p->n++] = b->item;
	if (p->n < AT_ONCE && p->bytes < BYTES_AT_ONCE)
		return 0;
	return append_pending(p);
}

/* ---- lines of JSON ---- */

static int extend_lines(struct pending *p, FILE *from, const char *name)
{
	char *line = NULL;
	size_t room = 0;
	uint64_t number = 0;
	ssize_t len;
	int code = 0;

	while (!code && !tool_signal() &&
	       (len = getline(&line, &room, from)) > 0) {
		int r;

		number++;
		if (len == 1 && line[0] == '\n')
			continue;
		r = seq_item_parse(line, (size_t)len, &p->buf[p->n]);
		if (r == 0) {
			code = item_done(p);
			continue;
		}
		seq_item_free(&p->buf[p->n]);
		code = r == -EINVAL ?
			       tool_fail(p->s->t, EX_DATAERR,
					 "%s: line %" PRIu64
					 " is no JSON in UTF-8; the lines "
					 "before it are appended",
					 name, number) :
			       tool_fail_store(p->s->t, p->s->name, r);
	}
	if (!code && ferror(from))
		code = tool_fail_file(p->s->t, name, "read", -errno);
	free(line);
	return code;
}

/* ---- a directory ---- */

static int read_file(struct pending *p, int dir, const char *name,
		     const char *path, bool field)
{
	struct stat st;
	char *bytes = NULL, *own = NULL;
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK), r;

	if (fd < 0)
		return tool_fail_file(p->s->t, path, "open", -errno);
	r = fstat(fd, &st) < 0 ? -errno : 0;
	if (r == 0 && !S_ISREG(st.st_mode))
		r = -EINVAL;
	if (r == 0) {
		bytes = malloc((size_t)st.st_size + 1);
		own = field ? strdup(name) : NULL;
		if (!bytes || (field && !own))
			r = -ENOMEM;
	}
	if (r == 0)
		r = tool_read_at(fd, bytes, (size_t)st.st_size, 0);
	close(fd);
	if (r < 0) {
		free(bytes);
		free(own);
		if (r == -EINVAL)
			return tool_fail(p->s->t, EX_DATAERR,
					 "%s: is neither a file nor a "
					 "directory of files",
					 path);
		return tool_fail_file(p->s->t, path, "read", r);
	}
	r = seq_item_add(&p->buf[p->n], own, own ? strlen(own) : 0, bytes,
			 (size_t)st.st_size);
	return r < 0 ? tool_fail_store(p->s->t, p->s->name, r) : 0;
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int no_dots(const struct dirent *e)
{
	return strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
}

typedef int each_fn(struct pending *p, int dir, const char *name,
		    const char *path);

/* Calls fn for what is in a directory, in the order of the names. */
static int each_entry(struct pending *p, int parent, const char *name,
		      const char *path, each_fn *fn)
{
	struct dirent **entries;
	int dir = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int n = dir < 0 ? -1 : scandirat(dir, ".", &entries, no_dots, by_bytes);
	int code = 0;

	if (n < 0)
		code = tool_fail_file(p->s->t, path, "read", -errno);
	for (int i = 0; i < n; i++) {
		char *below = NULL;

		if (!code && !tool_signal() &&
		    asprintf(&below, "%s/%s", path, entries[i]->d_name) < 0)
			code = tool_fail_store(p->s->t, p->s->name, -ENOMEM);
		else if (!code && !tool_signal())
			code = fn(p, dir, entries[i]->d_name, below);
		free(below);
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
	if (dir >= 0)
		close(dir);
	return code;
}

static int add_field(struct pending *p, int dir, const char *name,
		     const char *path)
{
	return read_file(p, dir, name, path, true);
}

static int add_item(struct pending *p, int dir, const char *name,
		    const char *path)
{
	struct stat st;
	int code;

	if (fstatat(dir, name, &st, 0) < 0)
		return tool_fail_file(p->s->t, path, "read", -errno);
	code = S_ISDIR(st.st_mode) ? each_entry(p, dir, name, path, add_field) :
				     read_file(p, dir, name, path, false);
	if (code)
		seq_item_free(&p->buf[p->n]);
	return code ? code : item_done(p);
}

/* ---- either ---- */

int tool_seq_extend(const struct tool_seq *s, const char *from)
{
	struct pending *p = calloc(1, sizeof(*p));
	struct stat st;
	FILE *file = stdin;
	int code, last;

	if (!p)
		return tool_fail_store(s->t, s->name, -ENOMEM);
	p->s = s;
	if (!strcmp(from, "-")) {
		code = extend_lines(p, stdin, "standard input");
	} else if (stat(from, &st) == 0 && S_ISDIR(st.st_mode)) {
		code = each_entry(p, AT_FDCWD, from, from, add_item);
	} else {
		file = fopen(from, "re");
		code = file ? extend_lines(p, file, from) :
			      tool_fail_file(s->t, from, "open", -errno);
		if (file)
			fclose(file);
	}
	last = append_pending(p);
	free(p);
	return code ? code : last;
}
