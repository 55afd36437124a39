/* loop.h - the threads that take requests from the kernel.
 *
 * With a time to poll (-o poll_us), a thread that has answered a request looks
 * for the next one so long before it sleeps: on many machines most of a round
 * trip is the wake-up.  One thread at a time does that; the others sleep in
 * read(2).  Without, libfuse's own loop runs.
 */
#ifndef FS_LOOP_H
#define FS_LOOP_H

struct fuse_session;
struct options;

/* Returns when the mount has ended or the session was told to exit: 0 or
 * -errno. */
int loop_run(struct fuse_session *se, const struct options *opts);

#endif
