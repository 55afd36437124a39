/* uring.h - requests through io_uring in place of read and write of /dev/fuse
 * (Linux 6.14 and later, /sys/module/fuse/parameters/enable_uring).
 *
 *   uring_new(se, &config, &u);
 *   uring_offer(u, flags2)               what the kernel's INIT says
 *   uring_prepare(u, max_write)          while INIT is handled
 *   uring_patch_init(u, &out)            INIT's answer, before it is written
 *   uring_start(u)                       after it was written
 *   uring_reply(u, iov, n)               each reply, before the device gets it
 *   uring_drain(u)                       the session's loop has ended
 *   uring_stop(u)                        before fuse_session_unmount
 *   uring_free(u)                        when nothing replies any more
 *
 * The library's hooks for reading and writing (fuse_session_custom_io) call
 * these; handlers are called and reply as with the device.
 *
 * ENTRY.  A header and a payload in our memory, which the kernel fills with a
 * request and we with its reply.  It belongs to one processor's queue, and to
 * one ring, whose thread alone submits for it.  Its life:
 *
 *   FETCHING  the kernel owns it; nobody here touches its memory
 *   SERVED    its request is handled: by the ring's thread, or AWAY: by a slow
 *             thread, or by a thread that a handler made.  Its memory belongs
 *             to the handler until that replies
 *   REPLIED   the reply is in it; it belongs to the ring's thread, which
 *             commits it: FETCHING again
 *
 *   REGISTER -> FETCHING -> SERVED -> REPLIED -> FETCHING ...
 *
 * Only the ring's thread commits: a thread that commits elsewhere would run
 * the kernel's next request as its own task work.  So a reply from another
 * thread fills the entry, sets it to REPLIED and wakes the owner by the ring's
 * eventfd.  Replies find their entry by the request's number (unique), which
 * is 0 in entries that await none; those that find none are the device's:
 * INIT, INTERRUPT, notifications.  FORGET and INTERRUPT come by the device.
 *
 * RINGS.  One thread, one ring; two for each processor that is online, pinned
 * to it, so that one handler that blocks leaves the other; one thread for all
 * processors that are possible but offline, since the kernel sends nothing
 * before each possible processor's queue has an entry.  A ring begins with one
 * entry.  Whenever one is AWAY and no other of its queue is FETCHING, the
 * thread registers a spare (up to URING_ENTRIES): requests that wait long
 * (waiting ioctls, fsync, the control directory) never take a queue's last.
 * What is slow is said by config.is_slow; slow threads handle it.
 *
 * START.  Rings, threads and memory are made before INIT's answer, which then
 * says FUSE_OVER_IO_URING; from that answer on requests wait until all queues
 * have an entry.  REGISTER comes after it (before, it is EAGAIN).  THE WAY
 * BACK: where one fails, a REGISTER for a queue that cannot be makes the kernel
 * return to the device (EINVAL), the threads end, and the mount goes on as
 * without.
 *
 * END.  uring_drain: no request is handled any more, as when the threads that
 * read the device have ended; requests that still come stay unanswered until
 * the connection ends.  Replies of those that are AWAY are still committed.
 * uring_stop: the threads leave and close their rings.  The rings hold the
 * connection, so this is before fuse_session_unmount.  Entries live until
 * uring_free: a late reply fills one that nobody commits.
 *
 * FAILURE OF A COMMIT.  fuse_reply_*() returns before the kernel has taken the
 * reply, so a handler does not see that it was refused.  The kernel takes each
 * reply of a request that it has handed out, a killed caller's too, unless the
 * connection has ended (ENOTCONN; of the device, ENOENT).  What the reply
 * would have handed over, a handle or a reference, is then released with all
 * others: bltfs_close_open, inodes_free.  A commit that fails otherwise is
 * our fault: it is logged and ends the session, and so does the same.
 *
 * Locks: uring.lock (phases, counts) and slow.lock (the queue of slow requests)
 * are leaves and held for moments.  Entry states are atomic.
 *
 * Errors: 0 or -errno; a text says why.  All but uring_reply and
 * uring_reply_space are for the thread that handles INIT or for the one that
 * loops.
 */
#ifndef FS_URING_H
#define FS_URING_H

#include "main/options.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct fuse_init_out;
struct fuse_session;
struct uring;

struct uring_config {
	enum io_uring_wish wish;
	/* Whether a request may take long; any thread. */
	bool (*is_slow)(void *arg, uint32_t opcode, uint64_t inode);
	void *arg;
};

/* Where nothing is prepared, u is a transport that is not in use. */
int uring_new(struct fuse_session *se, const struct uring_config *config,
	      struct uring **ret);
/* flags2: of INIT; 0 where it has none. */
void uring_offer(struct uring *u, uint32_t flags2);

/* Makes rings, threads and memory for writes of up to that length.  Without an
 * offer, or where it is not wished: -EOPNOTSUPP.  Failing leaves the device;
 * uring_why says why, and what to do. */
int uring_prepare(struct uring *u, size_t max_write);
const char *uring_why(const struct uring *u);

/* Changes INIT's answer, which is about to be written. */
void uring_patch_init(const struct uring *u, struct fuse_init_out *out);
/* Registers all entries; returns when the kernel has them, or when it has gone
 * back to the device: then -errno. */
int uring_start(struct uring *u);

/* Takes a reply: the bytes, or -1 where it is for the device. */
ssize_t uring_reply(struct uring *u, const struct iovec *iov, int n);

/* The memory from which the kernel takes the reply of the request that this
 * thread handles, for n bytes; NULL where there is none.  What is put there and
 * replied is not copied.  Only for a request that brought no payload. */
void *uring_reply_space(size_t n);

bool uring_in_use(const struct uring *u);

void uring_drain(struct uring *u);
/* -errno where the transport has failed. */
int uring_stop(struct uring *u);
void uring_free(struct uring *u); /* NULL is fine */

#endif
