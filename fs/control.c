/* The files.  An inode's number is CONTROL_INO, the number of a job (0 outside
 * jobs/N) and the row below.
 */
#include "control.h"

#include "control_jobs.h"
#include "log.h"
#include "syncer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define WRITE_MAX ((size_t)64 << 20)

enum row_id {
	ROOT,
	CONTROL,
	STATS,
	METADATA,
	RESERVED,
	RESERVED_1,
	RESERVED_2,
	JOBS,
	LOG,
	JOB,
	JOB_STATUS,
	JOB_ERRORS,
	JOB_CANCEL,
};

/* What writing does. */
enum row_write { NOTHING, LINES, SLOT, CANCEL };

struct row {
	const char *name; /* NULL: a job's number */
	enum row_id dir;
	bool is_dir;
	enum row_write write;
	enum blt_slot slot;
	/* The content; NULL: that of the slot. */
	int (*print)(struct bltfs *fs, uint64_t job, FILE *to);
};

struct control_handle {
	const struct row *row;
	uint64_t job;
	pthread_mutex_t lock;
	char *buf; /* lock; malloc'd */
	size_t len;
	size_t at; /* lock; of "control": read up to here */
	bool appends;
	bool changed; /* lock; a slot is to be put */
};

/* ---- contents ---- */

static int print_reply(struct bltfs *fs, uint64_t job, FILE *to)
{
	struct control *c = fs->control;

	(void)job;
	pthread_mutex_lock(&c->lock);
	if (c->reply)
		fputs(c->reply, to);
	pthread_mutex_unlock(&c->lock);
	return 0;
}

static int print_stats(struct bltfs *fs, uint64_t job, FILE *to)
{
	(void)job;
	return control_print_stats(fs, to);
}

static int print_log(struct bltfs *fs, uint64_t job, FILE *to)
{
	(void)fs;
	(void)job;
	log_print(to);
	return 0;
}

static int print_status(struct bltfs *fs, uint64_t job, FILE *to)
{
	struct job_info info;
	int rc = jobs_get(fs->control->jobs, job, &info);

	if (rc < 0)
		return rc;
	control_print_job(&info, to);
	return 0;
}

static int print_errors(struct bltfs *fs, uint64_t job, FILE *to)
{
	char *line;

	for (uint64_t n = 0; jobs_error(fs->control->jobs, job, n, &line) == 0;
	     n++) {
		fprintf(to, "%s\n", line);
		free(line);
	}
	return 0;
}

static int print_nothing(struct bltfs *fs, uint64_t job, FILE *to)
{
	(void)fs;
	(void)job;
	(void)to;
	return 0;
}

static const struct row rows[] = {
	[ROOT] = { "", ROOT, true, NOTHING, 0, NULL },
	[CONTROL] = { "control", ROOT, false, LINES, 0, print_reply },
	[STATS] = { "stats", ROOT, false, NOTHING, 0, print_stats },
	[METADATA] = { "metadata", ROOT, false, SLOT, BLT_METADATA, NULL },
	[RESERVED] = { "reserved", ROOT, true, NOTHING, 0, NULL },
	[RESERVED_1] = { "1", RESERVED, false, SLOT, BLT_RESERVED_1, NULL },
	[RESERVED_2] = { "2", RESERVED, false, SLOT, BLT_RESERVED_2, NULL },
	[JOBS] = { "jobs", ROOT, true, NOTHING, 0, NULL },
	[LOG] = { "log", ROOT, false, NOTHING, 0, print_log },
	[JOB] = { NULL, JOBS, true, NOTHING, 0, NULL },
	[JOB_STATUS] = { "status", JOB, false, NOTHING, 0, print_status },
	[JOB_ERRORS] = { "errors", JOB, false, NOTHING, 0, print_errors },
	[JOB_CANCEL] = { "cancel", JOB, false, CANCEL, 0, print_nothing },
};

/* ---- numbers ---- */

static uint64_t ino_of(enum row_id id, uint64_t job)
{
	return CONTROL_INO | job << 8 | id;
}

static uint64_t job_of(uint64_t ino)
{
	return (ino & ~CONTROL_INO) >> 8;
}

/* A number that we gave out; the job may have been forgotten since. */
static int row_of(struct bltfs *fs, uint64_t ino, const struct row **ret)
{
	uint64_t id = ino & 255, job = job_of(ino);
	struct job_info info;

	if (id >= ARRAY_SIZE(rows))
		return -ESTALE;
	if (job && jobs_get(fs->control->jobs, job, &info) < 0)
		return -ENOENT;
	*ret = &rows[id];
	return 0;
}

bool control_is_name(const struct bltfs *fs, uint64_t dir, const char *name)
{
	return dir == NODE_ROOT && fs->opts->control &&
	       strcmp(name, fs->opts->control) == 0;
}

bool control_allows(uid_t uid)
{
	return uid == geteuid();
}

/* ---- names and attributes ---- */

static bool may_write(const struct bltfs *fs, const struct row *row)
{
	if (fs->opts->ro || row->write == NOTHING)
		return false;
	return row->write != SLOT || fs->opts->control_write;
}

static void fill(struct bltfs *fs, const struct row *row, uint64_t job,
		 struct stat *ret)
{
	mode_t mode = row->is_dir        ? S_IFDIR | 0500 :
		      may_write(fs, row) ? S_IFREG | 0600 :
					   S_IFREG | 0400;

	*ret = (struct stat){
		.st_ino = ino_of((enum row_id)(row - rows), job),
		.st_mode = mode,
		.st_nlink = 1,
		.st_uid = geteuid(),
		.st_gid = getegid(),
		.st_blksize = 4096,
	};
	clock_gettime(CLOCK_REALTIME, &ret->st_mtim);
	ret->st_atim = ret->st_ctim = ret->st_mtim;
}

int control_stat(struct bltfs *fs, uint64_t ino, struct stat *ret)
{
	const struct row *row;
	int rc = row_of(fs, ino, &row);

	if (rc == 0)
		fill(fs, row, job_of(ino), ret);
	return rc;
}

/* "12", and no other spelling of it. */
static uint64_t parse_job(const char *name)
{
	char again[24];
	uint64_t job = strtoull(name, NULL, 10);

	snprintf(again, sizeof(again), "%" PRIu64, job);
	return strcmp(again, name) == 0 && job < UINT64_C(1) << 54 ? job : 0;
}

int control_lookup(struct bltfs *fs, uint64_t dir, const char *name,
		   struct stat *ret)
{
	uint64_t job = job_of(dir);
	size_t id = 1;

	if (dir == NODE_ROOT)
		return control_stat(fs, ino_of(ROOT, 0), ret);
	if ((dir & 255) == JOBS) {
		job = parse_job(name);
		return job ? control_stat(fs, ino_of(JOB, job), ret) : -ENOENT;
	}
	while (id < ARRAY_SIZE(rows) &&
	       (rows[id].dir != (dir & 255) || strcmp(rows[id].name, name)))
		id++;
	if (id == ARRAY_SIZE(rows))
		return -ENOENT;
	return control_stat(fs, ino_of((enum row_id)id, job), ret);
}

/* ---- listings ---- */

static int add_name(struct control_name **list, size_t *n, const char *name,
		    uint64_t ino, bool is_dir)
{
	struct control_name *more =
		realloc(*list, (*n + 1) * sizeof(struct control_name));

	if (!more)
		return -ENOMEM;
	*list = more;
	more += (*n)++;
	snprintf(more->name, sizeof(more->name), "%s", name);
	more->ino = ino;
	more->type = is_dir ? S_IFDIR : S_IFREG;
	return 0;
}

static int add_jobs(struct bltfs *fs, struct control_name **list, size_t *n)
{
	struct job_info info = { 0 };
	char name[24];
	int rc = 0;

	while (rc == 0 && jobs_next(fs->control->jobs, info.id, &info) == 0) {
		snprintf(name, sizeof(name), "%" PRIu64, info.id);
		rc = add_name(list, n, name, ino_of(JOB, info.id), true);
	}
	return rc;
}

int control_list(struct bltfs *fs, uint64_t dir, struct control_name **ret,
		 size_t *ret_n)
{
	struct control_name *list = NULL;
	enum row_id id = dir & 255;
	size_t n = 0;
	int rc;

	rc = add_name(&list, &n, ".", dir, true);
	if (rc == 0)
		rc = add_name(&list, &n, "..",
			      id == ROOT ? NODE_ROOT : ino_of(rows[id].dir, 0),
			      true);
	if (rc == 0 && id == JOBS)
		rc = add_jobs(fs, &list, &n);
	for (size_t i = 1; rc == 0 && i < ARRAY_SIZE(rows); i++) {
		if (rows[i].dir == id && rows[i].name)
			rc = add_name(&list, &n, rows[i].name,
				      ino_of((enum row_id)i, job_of(dir)),
				      rows[i].is_dir);
	}
	if (rc < 0) {
		free(list);
		return rc;
	}
	*ret = list;
	*ret_n = n;
	return 0;
}

/* ---- open files ---- */

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

int control_open(struct bltfs *fs, uint64_t ino, int flags,
		 struct control_handle **ret)
{
	bool write = (flags & O_ACCMODE) != O_RDONLY;
	struct control_handle *h;
	const struct row *row;
	int rc = row_of(fs, ino, &row);

	if (rc < 0)
		return rc;
	if (row->is_dir)
		return -EISDIR;
	if (write && !may_write(fs, row))
		return fs->opts->ro ? -EROFS : -EACCES;
	h = calloc(1, sizeof(*h));
	if (!h)
		return -ENOMEM;
	pthread_mutex_init(&h->lock, NULL);
	h->row = row;
	h->job = job_of(ino);
	h->appends = flags & O_APPEND;
	rc = row->print ? load_text(fs, h) : load_slot(fs, h);
	if (rc < 0) {
		control_close(h);
		return rc;
	}
	if (row->write == SLOT && write && flags & O_TRUNC)
		control_cut(h, 0);
	*ret = h;
	return 0;
}

void control_close(struct control_handle *h)
{
	pthread_mutex_destroy(&h->lock);
	free(h->buf);
	free(h);
}

/* The file "control" is a stream: where a command was written, its reply is
 * read next. */
int64_t control_read(struct control_handle *h, void *buf, size_t n,
		     uint64_t offset)
{
	pthread_mutex_lock(&h->lock);
	if (h->row->write == LINES)
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
	if (h->row->write == SLOT)
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
	case LINES:
		return write_lines(fs, h, buf, n);
	case SLOT:
		return write_slot(h, buf, n, offset);
	case CANCEL:
		rc = jobs_cancel(fs->control->jobs, h->job);
		return rc < 0 ? rc : (int64_t)n;
	case NOTHING:
		break;
	}
	return -EACCES;
}

int control_flush(struct bltfs *fs, struct control_handle *h)
{
	int rc = 0;

	pthread_mutex_lock(&h->lock);
	if (h->row->write == SLOT && h->changed) {
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
