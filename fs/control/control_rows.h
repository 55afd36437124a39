/* control_rows.h - the files and directories of the control directory: a row
 * each.
 *
 * Internal to control*.c.  An inode's number is CONTROL_INO, the number of a
 * job (0 outside jobs/N) and the row's.  Rows are constants; any thread.
 */
#ifndef FS_CONTROL_ROWS_H
#define FS_CONTROL_ROWS_H

#include "main/bltfs.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

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

#endif
