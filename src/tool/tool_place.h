/* tool_place.h - a file that gets its name when it is whole.
 *
 *   r = place_begin(&p, dir);          write to p.fd, and
 *   r = place_end(&p, name, replace);  or place_abort(&p)
 *
 * Until then it stands in the directory as p.temporary.
 * Errors: a negative errno; a failed place_end has removed the file.
 */
#ifndef BLT_TOOL_PLACE_H
#define BLT_TOOL_PLACE_H

#include <stdbool.h>

struct place {
	int dir; /* borrowed */
	int fd;
	char temporary[32];
};
int place_begin(struct place *p, int dir);
/* -EEXIST: something has the name, and replace is not set. */
int place_end(struct place *p, const char *name, bool replace);
/* Also where there is none any more. */
void place_abort(struct place *p);

#endif
