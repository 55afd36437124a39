/* unnamed.h - temporary files that nobody can find, and that vanish with their
 * descriptor.  Any thread.
 */
#ifndef BLT_UNNAMED_H
#define BLT_UNNAMED_H

/* A descriptor for reading and writing, in that directory; or a negative
 * errno. */
int unnamed_file(const char *dir);

/* Where such files go if nowhere else: TMPDIR, or what may be there for long.
 */
const char *unnamed_dir(void);

#endif
