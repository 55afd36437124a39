/* The way of each request: to the keys, to the control directory or to a
 * sequence's positions, with the time that it takes.
 *
 * Each of the three has a table of what it answers.  What the control directory
 * has no answer to is refused with the error of the row here.  Names in the
 * control directory, and its own, cannot be made, moved or removed, but for
 * those of transactions; nor can those of a sequence's positions.
 */
#include "request/ops.h"

#include "dir/seq_positions.h"
#include "control/control.h"
#include "main/stats.h"

#include <errno.h>

static const struct fuse_lowlevel_ops key_ops = {
	.getattr = ops_getattr,
	.setattr = ops_setattr,
	.readlink = ops_readlink,
	.mknod = ops_mknod,
	.mkdir = ops_mkdir,
	.unlink = ops_unlink,
	.rmdir = ops_rmdir,
	.symlink = ops_symlink,
	.open = ops_open,
	.create = ops_create,
	.read = ops_read,
	.write = ops_write,
	.flush = ops_flush,
	.release = ops_release,
	.fsync = ops_fsync,
	.fallocate = ops_fallocate,
	.opendir = ops_opendir,
	.readdir = ops_readdir,
	.readdirplus = ops_readdirplus,
	.releasedir = ops_releasedir,
	.getxattr = ops_getxattr,
	.listxattr = ops_listxattr,
	.setxattr = ops_setxattr,
	.removexattr = ops_removexattr,
};

static const struct fuse_lowlevel_ops control_ops = {
	.getattr = control_ops_getattr,
	.setattr = control_ops_setattr,
	.mkdir = control_ops_mkdir,
	.rmdir = control_ops_rmdir,
	.open = control_ops_open,
	.read = control_ops_read,
	.write = control_ops_write,
	.flush = control_ops_flush,
	.release = control_ops_release,
	.fsync = control_ops_fsync,
	.opendir = control_ops_opendir,
	.readdir = control_ops_readdir,
	.readdirplus = control_ops_readdirplus,
	.releasedir = control_ops_releasedir,
};

/* A position is a link; for the rest, the keys answer. */
static const struct fuse_lowlevel_ops position_ops = {
	.getattr = at_ops_getattr,
	.readlink = at_ops_readlink,
	.opendir = at_ops_opendir,
	.readdir = at_ops_readdir,
	.readdirplus = at_ops_readdirplus,
	.releasedir = at_ops_releasedir,
};

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

/* A request about an inode.  which: what it counts as outside the control
 * directory; refused: what that says where it has no answer. */
#define ROUTE_INODE(op, which, refused, params, args)                 \
	static void route_##op params                                 \
	{                                                             \
		const bool control = control_owns(ino);               \
		const struct fuse_lowlevel_ops *to =                  \
			control ? &control_ops : &key_ops;            \
                                                                      \
		if (position_ops.op && seq_positions_owns(ino))       \
			to = &position_ops;                           \
		if (!to->op)                                          \
			ops_reply(req, refused);                      \
		else                                                  \
			TIMED(req, control ? STATS_CONTROL : (which), \
			      to->op args);                           \
	}

/* A request that makes or removes a name. */
#define ROUTE_NAME(op, which, params, args)                             \
	static void route_##op params                                   \
	{                                                               \
		if (control_ops.op && control_is_txns(parent))          \
			TIMED(req, STATS_CONTROL, control_ops.op args); \
		else if (is_ours(req, parent, name))                    \
			ops_reply(req, -EPERM);                         \
		else                                                    \
			TIMED(req, which, key_ops.op args);             \
	}

/* Those that many share. */
#define ROUTE_OPEN(op, which)                                                 \
	ROUTE_INODE(                                                          \
		op, which, -EIO,                                              \
		(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info * fi), \
		(req, ino, fi))
#define ROUTE_READ(op, which)                                                \
	ROUTE_INODE(op, which, -EIO,                                         \
		    (fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, \
		     struct fuse_file_info * fi),                            \
		    (req, ino, size, off, fi))
#define ROUTE_REMOVE(op)                                                  \
	ROUTE_NAME(op, STATS_NAMES,                                       \
		   (fuse_req_t req, fuse_ino_t parent, const char *name), \
		   (req, parent, name))

/* clang-format off */
ROUTE_OPEN(getattr, STATS_GETATTR)
ROUTE_OPEN(open, STATS_OPEN)
ROUTE_OPEN(flush, STATS_FLUSH)
ROUTE_OPEN(release, STATS_RELEASE)
ROUTE_OPEN(opendir, STATS_OPEN)
ROUTE_OPEN(releasedir, STATS_RELEASE)
ROUTE_READ(read, STATS_READ)
ROUTE_READ(readdir, STATS_READDIR)
ROUTE_READ(readdirplus, STATS_READDIR)
ROUTE_INODE(setattr, STATS_SETATTR, -EIO,
	    (fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
	     struct fuse_file_info *fi),
	    (req, ino, attr, to_set, fi))
ROUTE_INODE(readlink, STATS_LOOKUP, -EINVAL, (fuse_req_t req, fuse_ino_t ino),
	    (req, ino))
ROUTE_INODE(write, STATS_WRITE, -EIO,
	    (fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size,
	     off_t off, struct fuse_file_info *fi),
	    (req, ino, buf, size, off, fi))
ROUTE_INODE(fsync, STATS_FSYNC, -EIO,
	    (fuse_req_t req, fuse_ino_t ino, int datasync,
	     struct fuse_file_info *fi),
	    (req, ino, datasync, fi))
ROUTE_INODE(fallocate, STATS_WRITE, -EOPNOTSUPP,
	    (fuse_req_t req, fuse_ino_t ino, int mode, off_t offset,
	     off_t length, struct fuse_file_info *fi),
	    (req, ino, mode, offset, length, fi))
ROUTE_INODE(getxattr, STATS_GETATTR, -EOPNOTSUPP,
	    (fuse_req_t req, fuse_ino_t ino, const char *name, size_t size),
	    (req, ino, name, size))
ROUTE_INODE(listxattr, STATS_GETATTR, -EOPNOTSUPP,
	    (fuse_req_t req, fuse_ino_t ino, size_t size), (req, ino, size))
ROUTE_INODE(setxattr, STATS_SETATTR, -EOPNOTSUPP,
	    (fuse_req_t req, fuse_ino_t ino, const char *name,
	     const char *value, size_t size, int flags),
	    (req, ino, name, value, size, flags))
ROUTE_INODE(removexattr, STATS_SETATTR, -EOPNOTSUPP,
	    (fuse_req_t req, fuse_ino_t ino, const char *name),
	    (req, ino, name))

ROUTE_REMOVE(unlink)
ROUTE_REMOVE(rmdir)
ROUTE_NAME(mknod, STATS_NAMES,
	   (fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	    dev_t rdev),
	   (req, parent, name, mode, rdev))
ROUTE_NAME(mkdir, STATS_NAMES,
	   (fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode),
	   (req, parent, name, mode))
ROUTE_NAME(symlink, STATS_NAMES,
	   (fuse_req_t req, const char *target, fuse_ino_t parent,
	    const char *name),
	   (req, target, parent, name))
ROUTE_NAME(create, STATS_CREATE,
	   (fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	    struct fuse_file_info *fi),
	   (req, parent, name, mode, fi))
/* clang-format on */

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
	.setxattr = route_setxattr,
	.removexattr = route_removexattr,
	.ioctl = control_ops_ioctl,
};

struct fuse_lowlevel_ops ops_table(const struct bltfs *fs)
{
	struct fuse_lowlevel_ops table = all;

	if (!fs->keeps_attrs && !fs->opts->xattr) {
		table.getxattr = NULL;
		table.listxattr = NULL;
		table.setxattr = NULL;
		table.removexattr = NULL;
	}
	return table;
}
