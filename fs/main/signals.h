/* signals.h - SIGTERM, SIGINT and SIGHUP end the session's loop.
 *
 *   signals_ignore();                    before the store is opened
 *   signals_block();                     before the first thread
 *   signals_start(session, notify, &s);  in the thread that will loop
 *   ... the session's loop ...
 *   signals_stop(s);
 *
 * A thread of its own waits for them.  libfuse's own handlers are not used: one
 * that runs just before the loop goes to sleep is forgotten, and the daemon
 * then lives on until something else wakes it.  Here the looping thread is
 * woken again until it has left the loop.
 *
 * A request that has come in when the session is told to exit may be dropped
 * unanswered, and the kernel would hold what it holds for that until the mount
 * is gone.  So first of all notify, which may wait for that, is stopped.
 *
 * The three stay blocked for good, so a second one does not cut short the
 * closing of the store.  Whoever starts a program gives it a mask of its own.
 */
#ifndef FS_SIGNALS_H
#define FS_SIGNALS_H

struct fuse_session;
struct notify_queue;
struct signals;

/* Those that would kill a daemon for an error that a system call reports: a
 * broken pipe, a file that grows beyond the limit of ulimit -f. */
void signals_ignore(void);

/* For this thread and all that it starts. */
void signals_block(void);

/* 0 or -errno. */
int signals_start(struct fuse_session *se, struct notify_queue *notify_queue,
		  struct signals **ret);
void signals_stop(struct signals *s); /* NULL is fine */

#endif
