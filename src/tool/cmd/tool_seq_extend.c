/* tool_seq_extend.c - blt seq extend: many items at once.
 *
 * Lines of JSON, a directory, or a tar archive (tool_seq_tar.c).  Which of the
 * first and the last it is, the first bytes say: no line of JSON begins as an
 * archive, compressed or not.
 *
 * Items are read and appended some at a time, each of these a batch or a few;
 * what stops it leaves those that were appended before.
 */
#include "tool/cmd/tool_seq.h"
#include "base/util.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

static int append_pending(struct seq_pending *p)
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

int seq_pending_done(struct seq_pending *p)
{
	struct seq_item_buf *b = &p->buf[p->n];

	for (size_t i = 0; i < b->n; i++)
		p->bytes += b->fields[i].value_len;
	p->item[p->n++] = b->item;
	if (p->n < SEQ_AT_ONCE && p->bytes < SEQ_BYTES_AT_ONCE)
		return 0;
	return append_pending(p);
}

/* ---- lines of JSON ---- */

static int extend_lines(struct seq_pending *p, FILE *from, const char *name)
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
			code = seq_pending_done(p);
			continue;
		}
		seq_item_free(&p->buf[p->n]);
		code = r == -EINVAL ?
			       tool_fail(p->s->t, EX_DATAERR,
					 "%s: line %" PRIu64
					 " is no JSON in UTF-8; the lines "
					 "before it are appended",
					 name, number) :
			       tool_seq_fail(p->s, NULL, r);
	}
	/* a line may be longer than memory, which is no error of the stream */
	if (!code && !tool_signal() && !feof(from))
		code = tool_fail_file(p->s->t, name, "read", -errno);
	free(line);
	return code;
}

/* ---- a directory ---- */

static int read_file(struct seq_pending *p, int dir, const char *name,
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
	return r < 0 ? tool_seq_fail(p->s, NULL, r) : 0;
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int no_dots(const struct dirent *e)
{
	return strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
}

typedef int each_fn(struct seq_pending *p, int dir, const char *name,
		    const char *path);

/* Calls fn for what is in a directory, in the order of the names. */
static int each_entry(struct seq_pending *p, int parent, const char *name,
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
			code = tool_seq_fail(p->s, NULL, -ENOMEM);
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

static int add_field(struct seq_pending *p, int dir, const char *name,
		     const char *path)
{
	return read_file(p, dir, name, path, true);
}

static int add_item(struct seq_pending *p, int dir, const char *name,
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
	return code ? code : seq_pending_done(p);
}

/* ---- whatever it is ---- */

int64_t seq_input_read(struct seq_input *in, void *buf, size_t n)
{
	ssize_t got;

	if (in->at < in->len) {
		n = min_u64(n, in->len - in->at);
		memcpy(buf, in->head + in->at, n);
		in->at += n;
		return (int64_t)n;
	}
	do
		got = read(in->fd, buf, n);
	while (got < 0 && errno == EINTR && !tool_signal());
	return got < 0 ? -errno : got;
}

/* As many of the first bytes as there are. */
static int look_ahead(struct seq_input *in)
{
	while (in->len < sizeof(in->head)) {
		ssize_t got = read(in->fd, in->head + in->len,
				   sizeof(in->head) - in->len);

		if (got < 0 && errno == EINTR && !tool_signal())
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		in->len += (size_t)got;
	}
	return 0;
}

static bool is_archive(const struct seq_input *in)
{
	static const char magic[] = "ustar";

	if (in->len == sizeof(in->head) &&
	    !memcmp(in->head + 257, magic, sizeof(magic) - 1))
		return true;
	return in->len > 0 &&
	       (!in->head[0] ||
		!strchr(" \t\r\n\"{[-0123456789tfn", in->head[0]));
}

static ssize_t read_cookie(void *cookie, char *buf, size_t n)
{
	int64_t got = seq_input_read(cookie, buf, n);

	if (got < 0)
		errno = (int)-got;
	return got < 0 ? -1 : (ssize_t)got;
}

static int extend_input(struct seq_pending *p, struct seq_input *in)
{
	int code, r = look_ahead(in);
	FILE *lines;

	if (r < 0)
		return tool_fail_file(p->s->t, in->name, "read", r);
	if (is_archive(in))
		return seq_extend_tar(p, in);
	lines = fopencookie(in, "r",
			    (cookie_io_functions_t){ .read = read_cookie });
	if (!lines)
		return tool_seq_fail(p->s, NULL, -ENOMEM);
	code = extend_lines(p, lines, in->name);
	fclose(lines);
	return code;
}

static int extend_file(struct seq_pending *p, const char *from)
{
	struct seq_input in = { .fd = STDIN_FILENO, .name = "standard input" };
	int code;

	if (!strcmp(from, "-"))
		return extend_input(p, &in);
	in.name = from;
	in.fd = open(from, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (in.fd < 0)
		return tool_fail_file(p->s->t, from, "open", -errno);
	code = extend_input(p, &in);
	close(in.fd);
	return code;
}

int tool_seq_extend(const struct tool_seq *s, const char *from)
{
	struct seq_pending *p = calloc(1, sizeof(*p));
	struct stat st;
	int code, last;

	if (!p)
		return tool_seq_fail(s, NULL, -ENOMEM);
	p->s = s;
	if (strcmp(from, "-") != 0 && stat(from, &st) == 0 &&
	    S_ISDIR(st.st_mode))
		code = each_entry(p, AT_FDCWD, from, from, add_item);
	else
		code = extend_file(p, from);
	last = append_pending(p);
	free(p);
	return code ? code : last;
}
