/* The way of each request: to the control directory or to the keys, with the
 * time that it takes.
 *
 * Names in the control directory, and its own, cannot be made, moved or
 * removed, but for those of transactions; nor can those of a sequence's
 * positions.
 */
#include "request/ops.h"

#include "dir/seq_positions.h"
#include "control/control.h"
#include "main/stats.h"

#include <errno.h>

/* req is gone when call returns. */
#define TIMED(req, which, call)                             \
	do {                                                \
		struct stats *stats_ = &ops_fs(req)->stats; \
		int64_t since_ = stats_begin();             \
                                                            \
		call;                                       \
		stats_end(stats_, which, since_);           \
	} while (0)

static bool is_ours(fuse_req_t req, fuse_ino_t dir, const char *name)
{
	return control_owns(dir) || control_is_name(ops_fs(req), dir, name) ||
	       seq_positions_is_name(ops_fs(req), dir, name);
}

static void route_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	if (seq_positions_owns(parent))
		TIMED(req, STATS_LOOKUP, at_ops_lookup_link(req, parent, name));
	else if (control_owns(parent) ||
		 control_is_name(ops_fs(req), parent, name))
		TIMED(req, STATS_CONTROL,
		      control_ops_lookup(req, parent, name));
	else if (seq_positions_is_name(ops_fs(req), parent, name))
		TIMED(req, STATS_LOOKUP, at_ops_lookup(req, parent, name));
	else
		TIMED(req, STATS_LOOKUP, ops_lookup(req, parent, name));
}

static void route_getattr(fuse_req_t req, fuse_ino_t ino,
			  struct fuse_file_info *fi)
{
	if (seq_positions_owns(ino))
		TIMED(req, STATS_GETATTR, at_ops_getattr(req, ino, fi));
	else if (control_owns(ino))
		TIMED(req, STATS_CONTROL, control_ops_getattr(req, ino, fi));
	else
		TIMED(req, STATS_GETATTR, ops_getattr(req, ino, fi));
}

static void route_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr,
			  int to_set, struct fuse_file_info *fi)
{
	if (control_owns(ino))
		TIMED(req, STATS_CONTROL,
		      control_ops_setattr(req, ino, attr, to_set, fi));
	else
		TIMED(req, STATS_SETATTR,
		      ops_setattr(req, ino, attr, to_set, fi));
}

static void route_open(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *fi)
{
	if (control_owns(ino))
		TIMED(req, STATS_CONTROL, control_ops_open(req, ino, fi));
	else
		TIMED(req, STATS_OPEN, ops_open(req, ino, fi));
}

static void route_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		       struct fuse_file_info *fi)
{
	if (control_owns(ino))
		TIMED(req, STATS_CONTROL,
		      control_ops_read(req, ino, size, off, fi));
	else
		TIMED(req, STATS_READ, ops_read(req, ino, size, off, fi));
}

static void route_write(fuse_req_t req, fuse_ino_t ino, const char *buf,
			size_t size, off_t off, struct fuse_file_info *fi)
{
	if (control_owns(ino))
		TIMED(req, STATS_CONTROL,
		      control_ops_write(req, ino, buf, size, off, fi));
	else
		TIMED(req, STATS_WRITE,
		      ops_write(req, ino, buf, size, off, fi));
}

static void route_flush(fuse_req_t req, fuse_ino_t ino,
			struct fuse_file_info *fi)
{
	if (control_owns(ino))
		TIMED(req, STATS_CONTROL, control_ops_flush(req, ino, fi));
	else
		TIMED(req, STATS_FLUSH, ops_flush(req, ino, fi));
}

static void route_release(fuse_req_t req, fuse_ino_t ino,
			  struct fuse_file_info *fi)
{
	if (control_owns(ino))
		TIMED(req, STATS_CONTROL, control_ops_release(req, ino, fi));
	else
		TIMED(req, STATS_RELEASE, ops_release(req, ino, fi));
}

static void route_fsync(fuse_req_t req, fuse_ino_t ino, int datasync,
			struct fuse_file_info *fi)
{
	if (control_owns(ino))
		TIMED(req, STATS_CONTROL,
		      control_ops_fsync(req, ino, datasync, fi));
	else
		TIMED(req, STATS_FSYNC, ops_fsync(req, ino, datasync, fi));
}

static void route_opendir(fuse_req_t req, fuse_ino_t ino,
			  struct fuse_file_info *fi)
{
	if (seq_positions_owns(ino))
		TIMED(req, STATS_OPEN, at_ops_opendir(req, ino, fi));
	else if (control_owns(ino))
		TIMED(req, STATS_CONTROL, control_ops_opendir(req, ino, fi));
	else
		TIMED(req, STATS_OPEN, ops_opendir(req, ino, fi));
}

static void route_readdir(fuse_req_t req, fuse_ino_t ino, size_t size,
			  off_t off, struct fuse_file_info *fi)
{
	if (seq_positions_owns(ino))
		TIMED(req, STATS_READDIR,
		      at_ops_readdir(req, ino, size, off, fi, false));
	else if (control_owns(ino))
		TIMED(req, STATS_CONTROL,
		      control_ops_readdir(req, ino, size, off, fi));
	else
		TIMED(req, STATS_READDIR, ops_readdir(req, ino, size, off, fi));
}

static void route_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size,
			      off_t off, struct fuse_file_info *fi)
{
	if (seq_positions_owns(ino))
		TIMED(req, STATS_READDIR,
		      at_ops_readdir(req, ino, size, off, fi, true));
	else if (control_owns(ino))
		TIMED(req, STATS_CONTROL,
		      control_ops_readdirplus(req, ino, size, off, fi));
	else
		TIMED(req, STATS_READDIR,
		      ops_readdirplus(req, ino, size, off, fi));
}

static void route_releasedir(fuse_req_t req, fuse_ino_t ino,
			     struct fuse_file_info *fi)
{
	if (seq_positions_owns(ino))
		TIMED(req, STATS_RELEASE, at_ops_releasedir(req, ino, fi));
	else if (control_owns(ino))
		TIMED(req, STATS_CONTROL, control_ops_releasedir(req, ino, fi));
	else
		TIMED(req, STATS_RELEASE, ops_releasedir(req, ino, fi));
}

static void route_readlink(fuse_req_t req, fuse_ino_t ino)
{
	if (seq_positions_owns(ino))
		at_ops_readlink(req, ino);
	else
		ops_readlink(req, ino);
}

static void route_mknod(fuse_req_t req, fuse_ino_t parent, const char *name,
			mode_t mode, dev_t rdev)
{
	if (is_ours(req, parent, name))
		ops_reply(req, -EPERM);
	else
		TIMED(req, STATS_NAMES,
		      ops_mknod(req, parent, name, mode, rdev));
}

static void route_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name,
			mode_t mode)
{
	if (control_is_txns(parent))
		TIMED(req, STATS_CONTROL, control_ops_mkdir(req, parent, name));
	else if (is_ours(req, parent, name))
		ops_reply(req, -EPERM);
	else
		TIMED(req, STATS_NAMES, ops_mkdir(req, parent, name, mode));
}

static void route_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	if (is_ours(req, parent, name))
		ops_reply(req, -EPERM);
	else
		TIMED(req, STATS_NAMES, ops_unlink(req, parent, name));
}

static void route_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	if (control_is_txns(parent))
		TIMED(req, STATS_CONTROL, control_ops_rmdir(req, parent, name));
	else if (is_ours(req, parent, name))
		ops_reply(req, -EPERM);
	else
		TIMED(req, STATS_NAMES, ops_rmdir(req, parent, name));
}

static void route_symlink(fuse_req_t req, const char *target, fuse_ino_t parent,
			  const char *name)
{
	if (is_ours(req, parent, name))
		ops_reply(req, -EPERM);
	else
		TIMED(req, STATS_NAMES, ops_symlink(req, target, parent, name));
}

static void route_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
			 fuse_ino_t newparent, const char *newname,
			 unsigned flags)
{
	if (is_ours(req, parent, name) || is_ours(req, newparent, newname))
		ops_reply(req, -EPERM);
	else
		TIMED(req, STATS_NAMES,
		      ops_rename(req, parent, name, newparent, newname, flags));
}

static void route_create(fuse_req_t req, fuse_ino_t parent, const char *name,
			 mode_t mode, struct fuse_file_info *fi)
{
	if (is_ours(req, parent, name))
		ops_reply(req, -EPERM);
	else
		TIMED(req, STATS_CREATE,
		      ops_create(req, parent, name, mode, fi));
}

static void route_fallocate(fuse_req_t req, fuse_ino_t ino, int mode,
			    off_t offset, off_t length,
			    struct fuse_file_info *fi)
{
	if (control_owns(ino))
		ops_reply(req, -EOPNOTSUPP);
	else
		ops_fallocate(req, ino, mode, offset, length, fi);
}

static void route_copy_file_range(fuse_req_t req, fuse_ino_t ino_in,
				  off_t off_in, struct fuse_file_info *fi_in,
				  fuse_ino_t ino_out, off_t off_out,
				  struct fuse_file_info *fi_out, size_t len,
				  int flags)
{
	if (control_owns(ino_in) || control_owns(ino_out))
		ops_reply(req, -EXDEV);
	else
		ops_copy_file_range(req, ino_in, off_in, fi_in, ino_out,
				    off_out, fi_out, len, flags);
}

static void route_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
			   size_t size)
{
	if (control_owns(ino))
		ops_reply(req, -ENODATA);
	else
		ops_getxattr(req, ino, name, size);
}

static void route_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	if (control_owns(ino))
		ops_reply(req, -EOPNOTSUPP);
	else
		ops_listxattr(req, ino, size);
}

/* The table of requests.  What is not in it libfuse answers with ENOSYS, after
 * which the kernel asks no more and does by itself what is right here: lseek
 * (one run of data), access, locks (local ones). */
static const struct fuse_lowlevel_ops all = {
	.lookup = route_lookup,
	.forget = ops_forget,
	.forget_multi = ops_forget_multi,
	.getattr = route_getattr,
	.setattr = route_setattr,
	.readlink = route_readlink,
	.mknod = route_mknod,
	.mkdir = route_mkdir,
	.unlink = route_unlink,
	.rmdir = route_rmdir,
	.symlink = route_symlink,
	.rename = route_rename,
	.link = ops_link,
	.open = route_open,
	.create = route_create,
	.read = route_read,
	.write = route_write,
	.flush = route_flush,
	.release = route_release,
	.fsync = route_fsync,
	.fallocate = route_fallocate,
	.copy_file_range = route_copy_file_range,
	.opendir = route_opendir,
	.readdir = route_readdir,
	.readdirplus = route_readdirplus,
	.releasedir = route_releasedir,
	.fsyncdir = ops_fsyncdir,
	.statfs = ops_statfs,
	.getxattr = route_getxattr,
	.listxattr = route_listxattr,
	.setxattr = ops_setxattr,
	.removexattr = ops_removexattr,
	.ioctl = control_ops_ioctl,
};

struct fuse_lowlevel_ops ops_table(const struct options *opts)
{
	struct fuse_lowlevel_ops table = all;

	if (!opts->xattr) {
		table.getxattr = NULL;
		table.listxattr = NULL;
		table.setxattr = NULL;
		table.removexattr = NULL;
	}
	return table;
}
