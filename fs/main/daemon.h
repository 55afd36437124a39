/* daemon.h - the parts of the daemon: the mount, its mount point, detaching,
 * readiness, signals, the loop over requests.
 */
#ifndef FS_DAEMON_H
#define FS_DAEMON_H

#include "main/options.h"

/* The life of a mount, from checked options to the exit code.
 *
 *   parent: mount_run -> detach: fork, wait for the child's word, exit
 *   child:  check the mount point -> open the store -> mount -> threads
 *           -> loop ... the kernel's INIT: live, tell the parent, let go of
 *           the terminal
 *           -> unmount -> put what is buffered -> stop threads -> close
 *
 * What fails before the mount is live is told on stderr, and the command fails
 * with the code.  No thread exists before the fork.
 */

/* Returns an exit code of sysexits.h. */
int mount_run(const struct options *opts);

/* Is this a directory to mount on, and where is the store?
 *
 * Failures are logged with what to do; the result is then an exit code of
 * sysexits.h, 0 where all is well.
 */

/* Both paths without links and ".."; the caller frees them.  Takes away a mount
 * that a dead daemon left behind.  With -o mkdir, makes the mount point where
 * it is missing: *ret_made, and the caller removes it. */
int mountpoint_find(const struct options *opts, char **ret_store,
		    char **ret_mountpoint, bool *ret_made);

/* Says who has the store, where it is mounted, and how long we wait. */
void mountpoint_tell_wait(const struct options *opts, const char *store);

/* The daemon leaves the terminal, and the command that started it
 * returns, when the mount is live or has failed.
 *
 *   code = detach_begin(&parent);   code >= 0: this is the command, which exits
 *   ...                             all that can fail; messages go to stderr
 *   detach_end(&parent);            the command returns 0
 *
 * The daemon that exits before detach_end makes the command exit with its code.
 * Threads: detach_begin comes before any; detach_end is for one.
 */

/* In the daemon -1, with a descriptor in *ret_parent; in the command its exit
 * code, once that is known. */
int detach_begin(int *ret_parent);

/* Does nothing where *parent is -1, which it is then.  -EPIPE: the command is
 * gone, and its user thinks that there is no mount. */
int detach_end(int *parent);

/* A word to systemd (Type=notify), where it started us.
 *
 * Does nothing without NOTIFY_SOCKET in the environment.
 */

/* state: "READY=1", "STOPPING=1", as in sd_notify(3); the daemon's pid goes
 * with it. */
void ready_tell(const char *state);

/* SIGTERM, SIGINT and SIGHUP end the session's loop.
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

/* The threads that take requests from the kernel.
 *
 * With a time to poll (-o poll_us), a thread that has answered a request looks
 * for the next one so long before it sleeps: on many machines most of a round
 * trip is the wake-up.  One thread at a time does that; the others sleep in
 * read(2).  Without, libfuse's own loop runs.
 */

struct fuse_session;
struct options;

/* Returns when the mount has ended or the session was told to exit: 0 or
 * -errno. */
int loop_run(struct fuse_session *se, const struct options *opts);

#endif
