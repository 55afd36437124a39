/* control_parse.h - a written command's words, as the struct of its ioctl.
 *
 *   control_split(line, &words);
 *   control_parse_reindex(fs, &words, &reindex);
 *
 * Ownership: the words point into the line.  Errors: -errno; -EINVAL for what
 * is no such command, -EPERM for what written text may not ask for.  Any
 * thread.
 */
#ifndef FS_CONTROL_PARSE_H
#define FS_CONTROL_PARSE_H

#include "main/bltfs.h"

#include <stddef.h>

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

#endif
