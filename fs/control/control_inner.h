/* control_inner.h - what the files of the control directory share.
 */
#ifndef FS_CONTROL_INNER_H
#define FS_CONTROL_INNER_H

#include "bltfs_ioctl.h"
#include "job/job.h"
#include "main/bltfs.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* A mount's jobs: how they are shown, and what is done about
 * what they change.
 *
 * Internal to control*.c.
 */

#define CONTROL_ARGS 32

/* Long arguments on their way in, or an answer on its way out; id 0: a free
 * place. */
struct control_args {
	uint64_t id;
	uint8_t *bytes; /* malloc'd */
	size_t len;
	size_t at; /* so much of an answer has been fetched */
};

struct control {
	struct bltfs *fs;
	struct jobs *jobs;
	atomic_bool stopping; /* the mount ends */
	/* lock; of on_changed: started, has done its work, is to be joined */
	bool late, told;
	pthread_t teller;
	pthread_cond_t moved; /* told was set */
	int64_t mounted;      /* when */
	pthread_mutex_t lock;
	char *reply; /* lock; to the last line that was written */
	/* lock; what the last count found, and when: 0: none yet */
	struct blt_census census;
	int64_t counted;
	/* autoprune.h: not before so many bytes are dead */
	_Atomic uint64_t prune_from;
	uint64_t calls; /* of busy: requests when it was asked last */
	struct control_args args[CONTROL_ARGS]; /* lock */
	struct control_attended {
		uint64_t handle, job;
	} * attended; /* lock, as these */
	size_t n_attended, attended_room;
	uint64_t last_args;          /* lock */
	struct control_handle *open; /* lock; a list */
	unsigned slow; /* lock; moved: commands that run elsewhere */
};

/* Adds to those of that number; 0: new ones, whose number is then in *id.
 * -ENOENT: they are not there any more. */
int control_args_add(struct control *c, uint64_t *id, const void *bytes,
		     size_t len);
/* Takes them out; the bytes are the caller's.  id 0: none. */
int control_args_take(struct control *c, uint64_t id, struct control_args *ret);
/* The next bytes of an answer that was added so: their number.  *id is 0 when
 * these were the last. */
int control_args_fetch(struct control *c, uint64_t *id, void *buf, size_t room);
void control_args_drop_all(struct control *c);

/* "key value" lines, for jobs/N/status. */
void control_print_job(const struct job_info *info, FILE *to);

/* Lines about the store and the mount, for stats; and all of it for metrics. */
int control_print_stats(struct bltfs *fs, FILE *to);
int control_print_metrics(struct bltfs *fs, uint64_t job, FILE *to);
/* The last count, made anew where the file is small; when, or 0: none yet. */
int64_t control_census(struct bltfs *fs, uint64_t file_size,
		       struct blt_census *ret);
/* How many jobs there are in each state. */
void control_count_jobs(struct bltfs *fs, uint64_t n[JOB__STATES]);

/* The files and directories of the control directory: a row
 * each.
 *
 * Internal to control*.c.  An inode's number is CONTROL_INO, the number of a
 * job (0 outside jobs/N) and the row's.  Rows are constants; any thread.
 */

/* What writing does. */
enum control_how {
	WRITE_NOTHING,
	WRITE_LINES,
	WRITE_SLOT,
	WRITE_CANCEL,
	WRITE_NAMES /* a directory, in which some are made */
};

struct control_row {
	const char *name; /* NULL: a job's number */
	unsigned dir;     /* the row of the directory it is in */
	bool is_dir;
	enum control_how write;
	enum blt_slot slot;
	/* The content; NULL: that of the slot. */
	int (*print)(struct bltfs *fs, uint64_t job, FILE *to);
};

uint64_t control_job_of(uint64_t ino);
/* A number that we gave out; the job may have been forgotten since: 0, -ENOENT
 * or -ESTALE. */
int control_row_of(struct bltfs *fs, uint64_t ino,
		   const struct control_row **ret);
/* Whether that may be written in this mount. */
bool control_may_write(const struct bltfs *fs, const struct control_row *row);

/* A written command's words, as the struct of its ioctl.
 *
 *   control_split(line, &words);
 *   control_parse_reindex(fs, &words, &reindex);
 *
 * Ownership: the words point into the line.  Errors: -errno; -EINVAL for what
 * is no such command, -EPERM for what written text may not ask for.  Any
 * thread.
 */

#define CONTROL_WORDS 256

/* A line, cut at its blanks. */
struct control_words {
	char *word[CONTROL_WORDS + 1]; /* NULL behind the last */
	size_t n;
};

/* -E2BIG. */
int control_split(char *line, struct control_words *ret);

/* The words behind the first into arg, which is zeros. */
typedef int control_parse_fn(struct bltfs *fs, const struct control_words *w,
			     void *arg);

control_parse_fn control_parse_reindex; /* struct bltfs_reindex */
control_parse_fn control_parse_job;     /* struct bltfs_job */
control_parse_fn control_parse_map;     /* struct bltfs_map */
control_parse_fn control_parse_prune;   /* struct bltfs_prune */

/* A directory's ioctls as a sequence: what src/blt_seq.h has,
 * asked with a struct bltfs_seq.
 *
 * May wait for the tree's walk, and for other changes of sequences; a change is
 * known to the kernel when it returns.  So it is for a thread that answers no
 * other request, with no lock held.  c takes pieces of arguments and keeps what
 * does not fit into an answer; the store is that of the inode.
 *
 * Results are 0 or -errno.
 */

int control_seq(struct control *c, struct inode *dir, struct bltfs_seq *x);

/* The ioctls of transactions.
 *
 * Rows of the table of commands (control_command.c): arg is the ioctl's struct.
 * 0 or -errno; any thread.
 */

int control_txn_begin(struct bltfs *fs, void *arg);    /* bltfs_txn */
int control_txn_commit(struct bltfs *fs, void *arg);   /* bltfs_txn */
int control_txn_abort(struct bltfs *fs, void *arg);    /* bltfs_txn */
int control_txn_next(struct bltfs *fs, void *arg);     /* bltfs_txn */
int control_txn_conflict(struct bltfs *fs, void *arg); /* _txn_key */

#endif
