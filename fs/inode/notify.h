/* notify.h - tells the kernel what it must no longer believe.
 *
 *   notify_new(se, nodes, &n);  once the session is mounted
 *   notify_entry(n, dir, "x");  from any thread, with any lock held
 *   notify_stop(n);             while requests are still answered, or when no
 *                               more can come
 *   notify_free(n);             after the unmount
 *
 * The kernel takes a directory's lock to drop one of its names, and that lock
 * may be held by a request which waits for us.  So the messages are sent by a
 * thread that holds nothing and answers nothing; callers only queue them.
 * What the kernel does not know is passed over.  A message holds a reference to
 * its node: an address that were freed could come to name another one.  A
 * message that cannot be queued for want of memory is lost, and logged.
 */
#ifndef FS_NOTIFY_H
#define FS_NOTIFY_H

struct fuse_session;
struct node;
struct nodes;
struct notify;

int notify_new(struct fuse_session *se, struct nodes *nodes,
	       struct notify **ret);
/* Both take NULL.  After notify_stop no message is in the kernel and none goes
 * there; what waits is dropped.  It waits for the one that is on its way, and
 * that perhaps for a request to be answered: by others than the caller. */
void notify_stop(struct notify *n);
void notify_free(struct notify *n);

/* All these take n NULL, as when the mount is gone: nobody to tell.
 *
 * The name in that directory: look it up again. */
void notify_entry(struct notify *n, struct node *dir, const char *name);
/* Attributes and content of a node: fetch them again. */
void notify_inode(struct notify *n, struct node *node);
/* Waits until the kernel has what is queued by now.  Not for who answers a
 * request, or holds a lock. */
void notify_wait(struct notify *n);

#endif
