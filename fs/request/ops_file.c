#include "request/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* From here on a read is answered from the store's file itself: below, one
 * copy is cheaper than setting up a pipe. */
#define READ_FROM_FILE ((size_t)64 << 10)
#define COPY_CHUNK ((size_t)1 << 20)
#define COPY_MOST ((size_t)128 << 20)

static struct handle *handle_of(const struct fuse_file_info *fi)
{
	return (struct handle *)(uintptr_t)fi->fh;
}

void ops_wrote(fuse_req_t req, const struct fuse_file_info *fi)
{
	writer_wrote(&handle_of(fi)->writer, fuse_req_ctx(req)->pid);
}

static void set_handle(struct fuse_file_info *fi, struct handle *h)
{
	fi->fh = (uintptr_t)h;
	fi->keep_cache = h->keeps;
	fi->noflush = !h->writes;
}

void ops_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct bltfs *fs = ops_fs_of(req, ino);
	struct handle *h;
	int rc;

	bltfs_share_names(fs);
	rc = content_open(fs, ops_inode(req, ino), fi->flags, &h);
	bltfs_leave_names(fs);
	if (rc < 0) {
		ops_reply(req, rc);
		return;
	}
	set_handle(fi, h);
	if (fi->flags & O_TRUNC)
		ops_wrote(req, fi);
	/* The length that the kernel keeps may be that of another value. */
	if (fs->info.tokens && !fs->is_txn && !h->keeps)
		fuse_lowlevel_notify_inval_inode(fs->session, ino, -1, 0);
	if (fuse_reply_open(req, fi) < 0) {
		bltfs_share_names(fs);
		content_release(fs, h);
		bltfs_leave_names(fs);
	}
}

/* Makes the file, or finds the one that another process has just made. */
static int create_or_find(struct bltfs *fs, struct inode *dir, const char *name,
			  const struct rights *who, int *flags,
			  struct dir_found *ret)
{
	int rc = dir_create(fs, dir, name, who,
			    *flags & O_EXCL ? DIR_EXCLUSIVE : DIR_LATER, ret);

	if (rc == 0)
		*flags &= ~O_TRUNC; /* it is empty */
	else if (rc == -EEXIST && !(*flags & O_EXCL))
		rc = dir_lookup(fs, dir, name, ret);
	return rc;
}

void ops_create(fuse_req_t req, fuse_ino_t parent, const char *name,
		mode_t mode, struct fuse_file_info *fi)
{
	struct bltfs *fs = ops_fs_of(req, parent);
	const struct rights who = ops_rights(req, mode);
	struct fuse_entry_param e;
	struct dir_found found;
	struct handle *h = NULL;
	int flags = fi->flags;
	int rc = create_or_find(fs, ops_inode(req, parent), name, &who, &flags,
				&found);

	if (rc < 0) {
		ops_reply(req, rc);
		return;
	}
	bltfs_share_names(fs);
	rc = content_open(fs, found.inode, flags, &h);
	bltfs_leave_names(fs);
	e = ops_entry(fs, &found, name);
	if (rc == 0) {
		set_handle(fi, h);
		ops_wrote(req, fi);
		rc = fuse_reply_create(req, &e, fi);
	} else {
		ops_reply(req, rc);
	}
	if (rc < 0) {
		bltfs_share_names(fs);
		if (h)
			content_release(fs, h);
		bltfs_leave_names(fs);
		inodes_put(fs->inodes, found.inode, 1);
	}
}

/* offset is in front of the value's end. */
static void reply_from_file(fuse_req_t req, const struct blt_view *view,
			    size_t size, uint64_t offset)
{
	size_t n = size < view->len - offset ? size : view->len - offset;
	struct fuse_bufvec buf = FUSE_BUFVEC_INIT(n);
	char *space = uring_reply_space(n);
	ssize_t got;

	if (space) {
		got = pread(view->fd, space, n, (off_t)(view->offset + offset));
		if (got < 0)
			ops_reply(req, -errno);
		else
			fuse_reply_buf(req, space, (size_t)got);
		return;
	}
	buf.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
	buf.buf[0].fd = view->fd;
	buf.buf[0].pos = (off_t)(view->offset + offset);
	fuse_reply_data(req, &buf, 0);
}

/* True where the reply was given. */
static bool read_from_file(fuse_req_t req, struct inode *inode, size_t size,
			   uint64_t offset)
{
	struct bltfs *fs = inode->fs;
	struct blt_view view;
	int rc;

	if (size < READ_FROM_FILE || fs->info.shared || uring_reply_space(size))
		return false;
	bltfs_share_names(fs);
	rc = content_view(fs, inode, &view);
	bltfs_leave_names(fs);
	if (rc < 0)
		return false;
	rc = -EAGAIN;
	if (view.fd >= 0 && offset < view.len &&
	    view.len - offset >= READ_FROM_FILE) {
		reply_from_file(req, &view, size, offset);
		rc = 0;
	}
	blt_view_release(&view);
	return rc == 0;
}

void ops_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	      struct fuse_file_info *fi)
{
	struct bltfs *fs = ops_fs_of(req, ino);
	struct inode *inode = ops_inode(req, ino);
	int64_t got = -ENOMEM;
	char *buf;

	if (read_from_file(req, inode, size, (uint64_t)off))
		return;
	buf = ops_buffer(size);
	if (buf) {
		bltfs_share_names(fs);
		got = content_read(fs, inode, buf, size, (uint64_t)off);
		bltfs_leave_names(fs);
		cache_validity_read(fs, &handle_of(fi)->validity);
	}
	if (got < 0)
		ops_reply(req, (int)got);
	else
		fuse_reply_buf(req, buf, (size_t)got);
	ops_free_buffer(buf);
}

void ops_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size,
	       off_t off, struct fuse_file_info *fi)
{
	struct bltfs *fs = ops_fs_of(req, ino);
	/* a page of a mapping has its place, whatever the handle says */
	bool append = handle_of(fi)->appends && !fi->writepage;
	int rc;

	bltfs_share_names(fs);
	rc = content_write(fs, ops_inode(req, ino), buf, size, (uint64_t)off,
			   append);
	bltfs_leave_names(fs);
	/* behind the write: a flush beside it may have come too early */
	ops_wrote(req, fi);
	if (rc < 0)
		ops_reply(req, rc);
	else
		fuse_reply_write(req, size);
}

void ops_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct bltfs *fs = ops_fs_of(req, ino);
	struct handle *h = handle_of(fi);
	int rc = 0;

	if (h->writes && writer_closes(&h->writer, fuse_req_ctx(req)->pid)) {
		content_prepare(ops_inode(req, ino));
		bltfs_share_names(fs);
		rc = content_commit(fs, ops_inode(req, ino));
		bltfs_leave_names(fs);
		if (rc < 0)
			writer_unknown(&h->writer);
	}
	ops_reply(req, rc);
}

void ops_fsync(fuse_req_t req, fuse_ino_t ino, int datasync,
	       struct fuse_file_info *fi)
{
	struct bltfs *fs = ops_fs_of(req, ino);
	int rc;

	(void)datasync;
	(void)fi;
	content_prepare(ops_inode(req, ino));
	bltfs_share_names(fs);
	rc = content_commit(fs, ops_inode(req, ino));
	bltfs_leave_names(fs);
	/* no lock is held while the disk works */
	if (rc == 0 && fs->syncer)
		rc = blt_sync(fs->store);
	ops_reply(req, rc);
}

void ops_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct bltfs *fs = ops_fs_of(req, ino);

	content_prepare(ops_inode(req, ino));
	bltfs_share_names(fs);
	content_release(fs, handle_of(fi));
	bltfs_leave_names(fs);
	ops_reply(req, 0);
}

void ops_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset,
		   off_t length, struct fuse_file_info *fi)
{
	struct bltfs *fs = ops_fs_of(req, ino);
	int rc;

	bltfs_share_names(fs);
	rc = content_allocate(fs, ops_inode(req, ino), mode, (uint64_t)offset,
			      (uint64_t)length);
	bltfs_leave_names(fs);
	ops_wrote(req, fi);
	ops_reply(req, rc);
}

static int64_t copy_chunk(struct bltfs *fs, struct inode *from, uint64_t at,
			  struct inode *to, uint64_t to_at, char *buf, size_t n)
{
	int64_t got = content_read(fs, from, buf, n, at);
	int rc = 0;

	if (got > 0)
		rc = content_write(fs, to, buf, (size_t)got, to_at, false);
	return rc < 0 ? rc : got;
}

/* Bytes copied, fewer at the source's end; or -errno where none were.  A rename
 * that waits for names, and all who wait for that, wait for a chunk. */
static int64_t copy_range(struct bltfs *fs, struct inode *from, uint64_t at,
			  struct inode *to, uint64_t to_at, uint64_t len)
{
	char *buf = malloc(COPY_CHUNK);
	int64_t got = buf ? 1 : -ENOMEM;
	uint64_t done = 0;

	while (got > 0 && done < len) {
		size_t n = len - done < COPY_CHUNK ? len - done : COPY_CHUNK;

		bltfs_share_names(fs);
		got = copy_chunk(fs, from, at + done, to, to_at + done, buf, n);
		bltfs_leave_names(fs);
		done += got > 0 ? (uint64_t)got : 0;
	}
	free(buf);
	return done > 0 ? (int64_t)done : got;
}

void ops_copy_file_range(fuse_req_t req, fuse_ino_t ino_in, off_t off_in,
			 struct fuse_file_info *fi_in, fuse_ino_t ino_out,
			 off_t off_out, struct fuse_file_info *fi_out,
			 size_t len, int flags)
{
	struct bltfs *fs = ops_fs_of(req, ino_in);
	int64_t done;

	if (fs != ops_fs_of(req, ino_out)) {
		ops_reply(req, -EXDEV);
		return;
	}
	(void)fi_in;
	(void)flags;
	/* the caller goes on from there, or has been killed */
	if (len > COPY_MOST)
		len = COPY_MOST;
	done = copy_range(fs, ops_inode(req, ino_in), (uint64_t)off_in,
			  ops_inode(req, ino_out), (uint64_t)off_out, len);
	ops_wrote(req, fi_out);
	if (done < 0)
		ops_reply(req, (int)done);
	else
		fuse_reply_write(req, (size_t)done);
}
