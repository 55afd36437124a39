/* control.c - the names in the control directory and what stands in the files,
 * a row each.  What is done with open ones is in control_file.c.
 */
#include "control/control.h"

#include "base/array.h"
#include "control/control_inner.h"
#include "main/log.h"
#include "control/txns.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum row_id {
	ROOT,
	CONTROL,
	STATS,
	METRICS,
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
	TXN,
	TRANSACTIONS,
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
	size_t key_len;
	char *line;

	for (uint64_t n = 0;
	     jobs_error(fs->control->jobs, job, n, &line, &key_len) == 0; n++) {
		fprintf(to, "%s\n", line);
		free(line);
	}
	return 0;
}

static int print_transactions(struct bltfs *fs, uint64_t job, FILE *to)
{
	(void)job;
	if (fs->txns)
		txns_print(fs->txns, to);
	return 0;
}

static int print_nothing(struct bltfs *fs, uint64_t job, FILE *to)
{
	(void)fs;
	(void)job;
	(void)to;
	return 0;
}

static const struct control_row rows[] = {
	[ROOT] = { "", ROOT, true, WRITE_NOTHING, 0, NULL },
	[CONTROL] = { "control", ROOT, false, WRITE_LINES, 0, print_reply },
	[STATS] = { "stats", ROOT, false, WRITE_NOTHING, 0, print_stats },
	[METRICS] = { "metrics", ROOT, false, WRITE_NOTHING, 0,
		      control_print_metrics },
	[METADATA] = { "metadata", ROOT, false, WRITE_SLOT, BLT_METADATA,
		       NULL },
	[RESERVED] = { "reserved", ROOT, true, WRITE_NOTHING, 0, NULL },
	[RESERVED_1] = { "1", RESERVED, false, WRITE_SLOT, BLT_RESERVED_1,
			 NULL },
	[RESERVED_2] = { "2", RESERVED, false, WRITE_SLOT, BLT_RESERVED_2,
			 NULL },
	[JOBS] = { "jobs", ROOT, true, WRITE_NOTHING, 0, NULL },
	[LOG] = { "log", ROOT, false, WRITE_NOTHING, 0, print_log },
	[JOB] = { NULL, JOBS, true, WRITE_NOTHING, 0, NULL },
	[JOB_STATUS] = { "status", JOB, false, WRITE_NOTHING, 0, print_status },
	[JOB_ERRORS] = { "errors", JOB, false, WRITE_NOTHING, 0, print_errors },
	[JOB_CANCEL] = { "cancel", JOB, false, WRITE_CANCEL, 0, print_nothing },
	[TXN] = { "txn", ROOT, true, WRITE_NAMES, 0, NULL },
	[TRANSACTIONS] = { "transactions", ROOT, false, WRITE_NOTHING, 0,
			   print_transactions },
};

/* ---- numbers ---- */

static uint64_t ino_of(enum row_id id, uint64_t job)
{
	return CONTROL_INO | job << 8 | id;
}

uint64_t control_job_of(uint64_t ino)
{
	return (ino & ~CONTROL_INO) >> 8;
}

/* A number that we gave out; the job may have been forgotten since. */
int control_row_of(struct bltfs *fs, uint64_t ino,
		   const struct control_row **ret)
{
	uint64_t id = ino & 255, job = control_job_of(ino);
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
	return dir == INODE_ROOT && fs->opts->control &&
	       strcmp(name, fs->opts->control) == 0;
}

bool control_is_txns(uint64_t ino)
{
	return ino == ino_of(TXN, 0);
}

bool control_allows(uid_t uid)
{
	return uid == geteuid();
}

/* ---- names and attributes ---- */

bool control_may_write(const struct bltfs *fs, const struct control_row *row)
{
	if (fs->opts->ro || row->write == WRITE_NOTHING)
		return false;
	return row->write != WRITE_SLOT || fs->opts->control_write;
}

static void fill(struct bltfs *fs, const struct control_row *row, uint64_t job,
		 struct stat *ret)
{
	mode_t type = row->is_dir ? S_IFDIR | 0100 : S_IFREG;
	mode_t mode = type | (control_may_write(fs, row) ? 0600 : 0400);

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
	const struct control_row *row;
	int rc = control_row_of(fs, ino, &row);

	if (rc == 0)
		fill(fs, row, control_job_of(ino), ret);
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
	uint64_t job = control_job_of(dir);
	size_t id = 1;

	if (dir == INODE_ROOT)
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

static int add_txns(struct bltfs *fs, struct control_name **list, size_t *n)
{
	struct txns_info info = { .name = "" };
	int rc = 0;

	while (rc == 0 && fs->txns &&
	       txns_next(fs->txns, info.name, &info) == 0)
		rc = add_name(list, n, info.name, info.ino, true);
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
			      id == ROOT ? INODE_ROOT : ino_of(rows[id].dir, 0),
			      true);
	if (rc == 0 && id == JOBS)
		rc = add_jobs(fs, &list, &n);
	if (rc == 0 && id == TXN)
		rc = add_txns(fs, &list, &n);
	for (size_t i = 1; rc == 0 && i < ARRAY_SIZE(rows); i++) {
		if (rows[i].dir == id && rows[i].name)
			rc = add_name(
				&list, &n, rows[i].name,
				ino_of((enum row_id)i, control_job_of(dir)),
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
