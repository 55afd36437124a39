/* mount_ask.h - one request to the daemon of a mount, and its checked answer.
 *
 *   struct bltfs_key k = { .offset = 8192 };
 *   r = mount_ask(fd, BLTFS_IOC_KEY, &k);
 *   if (r == 0)
 *           memcpy(to, k.bytes, k.len);           k.len fits
 *
 * The daemon of a mount can be any program of any user: its answer is hostile
 * until it is checked.  All of src/tool asks through this call, which has a
 * check for every request of bltfs_ioctl.h.  After it every text ends in a NUL,
 * every length fits the array that it is about, every enum has one of its
 * values, what was asked for is what is answered (a number, an offset, a name),
 * the answer of a listing comes after the one before, and a name is one
 * component of a path.
 *
 * A listing that ascends can still be long: who loops ends it at MOUNT_ASK_MOST
 * answers.
 *
 * Ownership: arg is the caller's; on an error its bytes are undefined.
 * Errors: the daemon's as a negative errno; -EPROTO: an answer that no bltfs
 * gives; -EINVAL: no such request.
 * Threads: any number at once.
 */
#ifndef BLT_MOUNT_ASK_H
#define BLT_MOUNT_ASK_H

#define MOUNT_ASK_MOST 16384

/* arg is the request's struct, or NULL where it has none. */
int mount_ask(int fd, unsigned cmd, void *arg);

#endif
