/* writer.h - whose close stores what was written through a handle.
 *
 *   writer_wrote(&h->writer, thread);          each change
 *   if (writer_closes(&h->writer, thread))     each flush
 *           commit
 *
 * The kernel sends a flush whenever a descriptor closes, also the copy that a
 * forked process inherited and its exec or exit closes.  It tells the thread
 * that writes and the thread that closes, and not how many descriptors are
 * left: a flush by a process that is certainly another than the one that has
 * written leaves the change to the close of the latter, or to the release.  In
 * doubt the flush stores it.
 */
#ifndef FS_WRITER_H
#define FS_WRITER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#define WRITER_NONE 0   /* nothing was written since the last flush */
#define WRITER_ANY (-1) /* by several processes, or nobody knows */

typedef _Atomic pid_t writer_t;

/* thread: of the request; 0 (of another pid namespace) is nobody known. */
void writer_wrote(writer_t *w, pid_t thread);

/* True: it was written to, and thread may be of the process that did. Then it
 * is WRITER_NONE. */
bool writer_closes(writer_t *w, pid_t thread);

/* What was written could not be stored: any close is to try it again. */
static inline void writer_unknown(writer_t *w)
{
	atomic_store(w, WRITER_ANY);
}

#endif
