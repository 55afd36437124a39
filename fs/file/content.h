/* content.h - the content of a file: in the store, or buffered while it is
 * written.
 *
 * A file that is only read is read from the store.  The first write, or cut,
 * makes a buffer of it, which all handles share; content_commit puts the buffer
 * into the store as one value.  The buffer goes with the last handle.  An
 * unlinked file that is open lives on in its buffer or in a view taken before.
 *
 * All calls but content_prepare want names shared (inode.h) and take the
 * inode's lock themselves. Results are 0 or -errno unless said otherwise.
 */
#ifndef FS_CONTENT_H
#define FS_CONTENT_H

#include "file/writer.h"
#include "inode/cache_validity.h"
#include "main/bltfs.h"

#include <stddef.h>
#include <stdint.h>

/* One open file, in fuse_file_info's fh. */
struct handle {
	struct inode_open open;
	struct inode *inode;
	struct cache_validity_open validity;
	bool writes; /* opened for it */
	bool appends;
	/* Where nothing was written through it since its last flush, its
	 * flush, and its release, which the kernel sends when it likes, commit
	 * nothing: what another descriptor is writing by now is that one's. */
	writer_t writer;
	bool keeps; /* the kernel may go on with the pages that it has */
};

/* cut: O_TRUNC.  The handle holds a reference to the inode. */
int content_open(struct bltfs *fs, struct inode *inode, int flags,
		 struct handle **ret);
/* A file with no key yet: shown under name until it is put; name NULL: it has
 * its key, with an empty value. */
int content_create(struct bltfs *fs, struct inode *inode, const char *name);
/* An empty file that is stored at once; nobody has it open. */
int content_make(struct bltfs *fs, struct inode *inode);
/* Commits what no close did; frees the handle, whatever the result. */
int content_release(struct bltfs *fs, struct handle *h);

/* Length and time.  known: as the store has them now, or NULL. */
int content_stat(struct bltfs *fs, struct inode *inode,
		 const struct blt_stat *known, struct blt_stat *ret);

/* The stored value, for a long read straight from the file; -EAGAIN where the
 * bytes are elsewhere: then content_read. */
int content_view(struct bltfs *fs, struct inode *inode, struct blt_view *ret);
/* Bytes read, or -errno. */
int64_t content_read(struct bltfs *fs, struct inode *inode, void *buf, size_t n,
		     uint64_t offset);

/* append: at the end, wherever offset is. */
int content_write(struct bltfs *fs, struct inode *inode, const void *buf,
		  size_t n, uint64_t offset, bool append);
/* now: into the store at once, since no close will follow. */
int content_resize(struct bltfs *fs, struct inode *inode, uint64_t len,
		   bool now);
int content_allocate(struct bltfs *fs, struct inode *inode, int mode,
		     uint64_t offset, uint64_t len);
int content_touch(struct bltfs *fs, struct inode *inode, int64_t mtime);

/* Before content_commit or content_release, with names not held: what takes
 * long of it, for a large file. */
void content_prepare(struct inode *inode);

/* Puts a changed file, which then survives this process; the machine after a
 * blt_sync. */
int content_commit(struct bltfs *fs, struct inode *inode);

/* A file loses its key: content_keep, so that what is open keeps its content,
 * and what the kernel is about to open, and no close puts it again; the change
 * of the store; then content_gone for good, or content_stays. */
int content_keep(struct bltfs *fs, struct inode *inode);
void content_stays(struct inode *inode);
void content_gone(struct bltfs *fs, struct inode *inode);

/* The same for one whose key has not gone, but cannot be known any more: what
 * is written to it is lost, and its close says so with err. */
void content_lose(struct bltfs *fs, struct inode *inode, int err);

/* The target of a symbolic link, NUL-terminated; its length, or -EINVAL where
 * the file is none.  target: BLT_LINK_MAX + 1 bytes. */
int content_link_target(struct bltfs *fs, const void *key, size_t len,
			char *target);

/* What is written to a file, until it is a value.
 *
 *   writeback_begin(fs, inode, false);          a write buffer with its value
 *   write_buffer_write(inode->buffer, ...);
 *   writeback_commit(fs, inode, last);          into the store, if changed
 *
 * The caller holds names shared (inode.h) and the inode's lock.  The buffer is
 * the inode's until its last handle is released (content.h).  Results are 0 or
 * -errno; a buffer that could not be stored is left as it was.
 */

/* Gives the inode a buffer, unless it has one: with its value, or an empty one.
 * -ESTALE: the file has been removed, and nobody had looked at its value. */
int writeback_begin(struct bltfs *fs, struct inode *inode, bool empty);

/* Whatever it held, it is empty now. */
int writeback_cut(struct bltfs *fs, struct inode *inode);

/* Puts the buffer into the store, changed or not.  last: no write will follow;
 * why it was refused is logged then. */
int writeback_put(struct bltfs *fs, struct inode *inode, bool last);

/* The same for what was changed, and for what an earlier call could not make
 * safe; what others read of the file is dropped. */
int writeback_commit(struct bltfs *fs, struct inode *inode, bool last);

/* The store has another value by now.  An open file that was written and stored
 * is still read from its buffer, and would be stored from it again: it goes,
 * but not what was changed and is not stored, which wins.  Takes the lock
 * itself.
 */
void writeback_drop(struct inode *inode);

/* What was closed could not be stored, with err: the kernel must not go on
 * showing it. */
void writeback_forget(struct bltfs *fs, struct inode *inode, int err);

#endif
