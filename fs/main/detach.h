/* detach.h - the daemon leaves the terminal, and the command that started it
 * returns, when the mount is live or has failed.
 *
 *   code = detach_begin(&parent);   code >= 0: this is the command, which exits
 *   ...                             all that can fail; messages go to stderr
 *   detach_end(&parent);            the command returns 0
 *
 * The daemon that exits before detach_end makes the command exit with its code.
 * Threads: detach_begin comes before any; detach_end is for one.
 */
#ifndef FS_DETACH_H
#define FS_DETACH_H

/* In the daemon -1, with a descriptor in *ret_parent; in the command its exit
 * code, once that is known. */
int detach_begin(int *ret_parent);

/* Does nothing where *parent is -1, which it is then.  -EPIPE: the command is
 * gone, and its user thinks that there is no mount. */
int detach_end(int *parent);

#endif
