/* absent.h - names that a lookup has just found to be none.
 *
 * open(2) with O_CREAT has the kernel look the name up and then make the file,
 * with its own lock on the directory held: where the store is a server's, to
 * ask a second time costs a round trip and tells nothing new.
 *
 *   absent_note(fs->absent, dir, name);          a lookup: -ENOENT
 *   if (absent_take(fs->absent, dir, name))      the creation, once
 *
 * What is noted counts for a second, and once.  Any thread; no lock is wanted.
 * NULL takes no notes.
 */
#ifndef FS_ABSENT_H
#define FS_ABSENT_H

#include <stdbool.h>

struct absent;
struct inode;

int absent_new(struct absent **ret);
void absent_free(struct absent *a); /* NULL is fine */
void absent_note(struct absent *a, const struct inode *dir, const char *name);
bool absent_take(struct absent *a, const struct inode *dir, const char *name);

#endif
