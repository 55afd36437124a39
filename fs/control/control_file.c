/* control_file.c - open files of the control directory: a snapshot each, and
 * what writing to them does. */
#include "control/control.h"

#include "control/control_inner.h"
#include "inode/syncer.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define WRITE_MAX ((size_t)64 << 20)

struct control_handle {
	const struct control_row *row;
	uint64_t job;
	pthread_mutex_t lock;
	char *buf; /* lock; malloc'd */
	size_t len;
	size_t at; /* lock; of "control": read up to here */
	bool appends;
	bool changed;               /* lock; a slot is to be put */
	struct control_name *names; /* of a directory */
	size_t n_names;
	struct control *control;
	/* the control's lock; what points here, NULL: not in its list */
	struct control_handle **from, *next;
};

/* An empty slot is an empty file. */
static int load_slot(struct bltfs *fs, struct control_handle *h)
{
	struct blt_view view;
	int64_t got;
	int rc = blt_slot_get(fs->store, h->row->slot, &view);

	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	h->buf = malloc(view.len + 1);
	got = h->buf ? blt_view_copy(&view, h->buf, view.len, 0) : -ENOMEM;
	blt_view_release(&view);
	if (got < 0)
		return (int)got;
	h->len = (size_t)got;
	return 0;
}

static int load_text(struct bltfs *fs, struct control_handle *h)
{
	FILE *to = open_memstream(&h->buf, &h->len);
	int rc;

	if (!to)
		return -ENOMEM;
	rc = h->row->print(fs, h->job, to);
	if (fclose(to) != 0 && rc == 0)
		rc = -ENOMEM;
	return rc;
}

static void enter(struct control *c, struct control_handle *h)
{
	h->control = c;
	pthread_mutex_lock(&c->lock);
	h->from = &c->open;
	h->next = c->open;
	if (h->next)
		h->next->from = &h->next;
	c->open = h;
	pthread_mutex_unlock(&c->lock);
}

static void leave(struct control_handle *h)
{
	pthread_mutex_lock(&h->control->lock);
	*h->from = h->next;
	if (h->next)
		h->next->from = h->from;
	pthread_mutex_unlock(&h->control->lock);
}

static struct control_handle *new_handle(void)
{
	struct control_handle *h = calloc(1, sizeof(*h));

	if (h)
		pthread_mutex_init(&h->lock, NULL);
	return h;
}

int control_open(struct bltfs *fs, uint64_t ino, int flags,
		 struct control_handle **ret)
{
	bool write = (flags & O_ACCMODE) != O_RDONLY;
	struct control_handle *h;
	const struct control_row *row;
	int rc = control_row_of(fs, ino, &row);

	if (rc < 0)
		return rc;
	if (row->is_dir)
		return -EISDIR;
	if (write && !control_may_write(fs, row))
		return fs->opts->ro ? -EROFS : -EACCES;
	h = new_handle();
	if (!h)
		return -ENOMEM;
	h->row = row;
	h->job = control_job_of(ino);
	h->appends = flags & O_APPEND;
	rc = row->print ? load_text(fs, h) : load_slot(fs, h);
	if (rc < 0) {
		control_close(h);
		return rc;
	}
	if (row->write == WRITE_SLOT && write && flags & O_TRUNC)
		control_cut(h, 0);
	enter(fs->control, h);
	*ret = h;
	return 0;
}

int control_opendir(struct bltfs *fs, uint64_t ino, struct control_handle **ret)
{
	struct control_handle *h = new_handle();
	int rc = h ? control_list(fs, ino, &h->names, &h->n_names) : -ENOMEM;

	if (rc < 0) {
		if (h)
			control_close(h);
		return rc;
	}
	enter(fs->control, h);
	*ret = h;
	return 0;
}

const struct control_name *control_names(const struct control_handle *h,
					 size_t *ret_n)
{
	*ret_n = h->n_names;
	return h->names;
}

void control_close(struct control_handle *h)
{
	if (h->from)
		leave(h);
	pthread_mutex_destroy(&h->lock);
	free(h->names);
	free(h->buf);
	free(h);
}

void control_close_all(struct control *c)
{
	while (c->open)
		control_close(c->open);
}

/* The file "control" is a stream: where a command was written, its reply is
 * read next. */
int64_t control_read(struct control_handle *h, void *buf, size_t n,
		     uint64_t offset)
{
	pthread_mutex_lock(&h->lock);
	if (h->row->write == WRITE_LINES)
		offset = h->at;
	if (offset >= h->len)
		n = 0;
	else if (n > h->len - offset)
		n = h->len - offset;
	if (n > 0)
		memcpy(buf, h->buf + offset, n);
	h->at = (size_t)offset + n;
	pthread_mutex_unlock(&h->lock);
	return (int64_t)n;
}

/* ---- writing ---- */

/* lock is held. */
static int resize(struct control_handle *h, size_t len)
{
	char *more;

	if (len > WRITE_MAX)
		return -EFBIG;
	if (len > h->len) {
		more = realloc(h->buf, len);
		if (!more)
			return -ENOMEM;
		memset(more + h->len, 0, len - h->len);
		h->buf = more;
	}
	h->len = len;
	h->changed = true;
	return 0;
}

int control_cut(struct control_handle *h, uint64_t len)
{
	int rc = 0;

	pthread_mutex_lock(&h->lock);
	if (h->row->write == WRITE_SLOT)
		rc = len > WRITE_MAX ? -EFBIG : resize(h, (size_t)len);
	pthread_mutex_unlock(&h->lock);
	return rc;
}

static int64_t write_slot(struct control_handle *h, const char *buf, size_t n,
			  uint64_t offset)
{
	int rc = 0;

	if (offset > WRITE_MAX || n > WRITE_MAX)
		return -EFBIG;
	pthread_mutex_lock(&h->lock);
	if (h->appends)
		offset = h->len;
	h->changed = true;
	if (offset + n > h->len)
		rc = resize(h, (size_t)offset + n);
	if (rc == 0)
		memcpy(h->buf + offset, buf, n);
	pthread_mutex_unlock(&h->lock);
	return rc < 0 ? rc : (int64_t)n;
}

/* The reply stays with the handle and with the mount. */
static int run_line(struct bltfs *fs, struct control_handle *h,
		    const char *line)
{
	struct control *c = fs->control;
	char *reply = NULL;
	int rc = control_line(fs, line, &reply);

	pthread_mutex_lock(&c->lock);
	free(c->reply);
	c->reply = reply ? strdup(reply) : NULL;
	pthread_mutex_unlock(&c->lock);
	pthread_mutex_lock(&h->lock);
	free(h->buf);
	h->buf = reply;
	h->len = reply ? strlen(reply) : 0;
	h->at = 0;
	pthread_mutex_unlock(&h->lock);
	return rc;
}

/* One command a line; the first that fails ends it.  What came before has been
 * taken: the caller who goes on behind that gets the error. */
static int64_t write_lines(struct bltfs *fs, struct control_handle *h,
			   const char *buf, size_t n)
{
	size_t at = 0;

	while (at < n) {
		const char *end = memchr(buf + at, '\n', n - at);
		size_t len = end ? (size_t)(end - buf) - at : n - at;
		char *line = strndup(buf + at, len);
		int rc = -ENOMEM;

		if (line && strlen(line) != len)
			rc = -EINVAL;
		else if (line)
			rc = run_line(fs, h, line);
		free(line);
		if (rc < 0)
			return at ? (int64_t)at : rc;
		at += len + (end != NULL);
	}
	return (int64_t)n;
}

int64_t control_write(struct bltfs *fs, struct control_handle *h,
		      const char *buf, size_t n, uint64_t offset)
{
	int rc;

	switch (h->row->write) {
	case WRITE_LINES:
		return write_lines(fs, h, buf, n);
	case WRITE_SLOT:
		return write_slot(h, buf, n, offset);
	case WRITE_CANCEL:
		rc = jobs_cancel(fs->control->jobs, h->job);
		return rc < 0 ? rc : (int64_t)n;
	case WRITE_NOTHING:
	case WRITE_NAMES:
		break;
	}
	return -EACCES;
}

int control_flush(struct bltfs *fs, struct control_handle *h)
{
	int rc = 0;

	pthread_mutex_lock(&h->lock);
	if (h->row->write == WRITE_SLOT && h->changed) {
		rc = blt_slot_put(fs->store, h->row->slot, h->buf ? h->buf : "",
				  h->len);
		if (rc == 0)
			rc = syncer_commit(fs->syncer, h->len);
		if (rc == 0)
			h->changed = false;
	}
	pthread_mutex_unlock(&h->lock);
	return rc;
}
