/* tool_survey.h - what a store's space is spent on, by one walk over its keys.
 *
 *   struct survey s;
 *   code = survey_run(&s, t, quiet);      0, or an exit code after a message
 *   ...
 *   survey_free(&s);                      in both cases
 *
 * Memory: a byte for each bucket.  Threads: one.
 */
#ifndef BLT_TOOL_SURVEY_H
#define BLT_TOOL_SURVEY_H

#include "tool/tool.h"

#define SURVEY_SIZES 34 /* 0; 1; 2-3; 4-7; ... */
#define SURVEY_CELLS 150
#define SURVEY_CHAINS 16 /* the last one: as long as this, or longer */

/* A stretch of the file; what is neither is dead, or not used any more. */
struct survey_cell {
	uint64_t bytes, live, index;
};

/* Whose key something is; bytes NULL: nobody's. */
struct survey_key {
	uint8_t *bytes; /* malloc'd */
	size_t len;
};

struct survey {
	uint64_t keys, value_bytes, live_bytes;
	uint64_t largest; /* value */
	struct survey_key largest_key, newest_key;
	int64_t oldest, newest; /* BLT_NO_TIME: none has a time */
	uint64_t size[SURVEY_SIZES];
	uint64_t chain[SURVEY_CHAINS]; /* buckets with so many keys */
	unsigned longest;              /* chain; 255 may be more */
	double steps; /* blocks that a lookup of a key that is there looks
		       * at, on average */
	uint64_t file_size, cell_len;
	struct survey_cell cell[SURVEY_CELLS];
	unsigned n_cells;
	uint8_t *counts; /* keys of each bucket, at most 255 */
};

int survey_run(struct survey *s, struct tool *t, bool quiet);
void survey_free(struct survey *s);

/* The class of survey.size that a length is in. */
unsigned survey_class(uint64_t len);

/* ---- tool_chart.c ---- */

/* Draws it as SVG. */
void chart_draw(FILE *to, const char *name, const struct blt_info *info,
		const struct survey *s);

#endif
