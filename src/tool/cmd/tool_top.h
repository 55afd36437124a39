/* tool_top.h - what blt top shows: samples of a mount, and the differences
 * between two.
 *
 *   struct top_sample before, now;
 *
 *   r = top_take(fd, &now);                 fd is that of its root
 *   top_print(to, &how, NULL, &now);        since the mount began
 *   top_print(to, &how, &before, &now);     between the two
 *   top_free(&now);
 *
 * Errors: negative errnos.
 * Threads: one.
 */
#ifndef BLT_TOOL_TOP_H
#define BLT_TOOL_TOP_H

#include "job/job.h"
#include "tool/tool.h"

#define TOP_KINDS 32 /* of requests */
#define TOP_TIMES 64

/* One kind of request; times are powers of two, as bltfs-control(7) has
 * them. */
struct top_kind {
	char name[16];
	uint64_t calls, times[TOP_TIMES];
	double total_us, longest_us;
};

struct top_sample {
	char *store, *failed;
	int64_t at, mounted;
	uint64_t keys, file_bytes, inodes, staged_bytes;
	uint64_t live_bytes, dead_bytes, counted; /* 0: not counted */
	struct top_kind kind[TOP_KINDS];
	size_t n_kinds;
	struct job_info *job; /* malloc'd */
	size_t n_jobs;
};

/* *ret is the caller's to free in both cases. */
int top_take(int fd, struct top_sample *ret);
void top_free(struct top_sample *s);

/* before NULL: since the mount. */
struct top_style {
	const char *path; /* the mount point, as given */
	const char *mark; /* put in front of headings */
	int64_t keep_us;  /* how long jobs are shown that have ended; 0: those
			   * that had not ended before */
};
void top_print(FILE *to, const struct top_style *style,
	       const struct top_sample *before, const struct top_sample *now);
/* One line. */
void top_print_json(FILE *to, const struct top_style *style,
		    const struct top_sample *before,
		    const struct top_sample *now);

#endif
