/* notify_queue.h - tells the kernel what it must no longer believe.
 *
 *   notify_queue_new(se, inodes, &n);   once the session is mounted
 *   notify_queue_entry(n, dir, "x");    from any thread, with any lock held
 *   notify_queue_stop(n);               while requests are still answered, or
 *                                       when no more can come
 *   notify_queue_free(n);               after the unmount
 *
 * The kernel takes a directory's lock to drop one of its names, and that lock
 * may be held by a request which waits for us.  So the messages are sent by a
 * thread that holds nothing and answers nothing; callers only queue them.
 * What the kernel does not know is passed over.  A message holds a reference to
 * its inode: once that were freed, its address could name another one.  A
 * message that cannot be queued for want of memory is lost, and logged.
 */
#ifndef FS_NOTIFY_QUEUE_H
#define FS_NOTIFY_QUEUE_H

struct fuse_session;
struct inode;
struct inodes;
struct notify_queue;

int notify_queue_new(struct fuse_session *se, struct inodes *inodes,
		     struct notify_queue **ret);
/* Both take NULL.  After notify_queue_stop no message is in the kernel and none
 * goes there; what waits is dropped.  It waits for the one that is on its way,
 * and that perhaps for a request to be answered: by others than the caller. */
void notify_queue_stop(struct notify_queue *n);
void notify_queue_free(struct notify_queue *n);

/* All these take n NULL, as when the mount is gone: nobody to tell.
 *
 * The name in that directory: look it up again. */
void notify_queue_entry(struct notify_queue *n, struct inode *dir,
			const char *name);
/* Attributes and content of an inode: fetch them again. */
void notify_queue_inode(struct notify_queue *n, struct inode *inode);
/* Waits until the kernel has what is queued by now.  Not for who answers a
 * request, or holds a lock. */
void notify_queue_wait(struct notify_queue *n);

#endif
