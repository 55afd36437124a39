/* The table of requests.  What is not in it libfuse answers with ENOSYS, after
 * which the kernel asks no more and does by itself what is right here: lseek
 * (one run of data), access, locks (local ones).
 */
#include "ops.h"

#include <errno.h>

struct fuse_entry_param ops_entry(const struct dir_found *found)
{
	return (struct fuse_entry_param){
		.ino = node_number(found->node),
		.attr = found->st,
		.attr_timeout = found->sure ? OPS_FOREVER : 0,
		.entry_timeout = found->sure ? OPS_FOREVER : 0,
	};
}

void ops_reply_entry(fuse_req_t req, const struct dir_found *found)
{
	struct nodes *nodes = ops_fs(req)->nodes;
	struct fuse_entry_param e = ops_entry(found);

	if (fuse_reply_entry(req, &e) < 0) /* interrupted: not taken over */
		nodes_put(nodes, found->node, 1);
}

static const struct fuse_lowlevel_ops all = {
	.lookup = ops_lookup,
	.forget = ops_forget,
	.forget_multi = ops_forget_multi,
	.getattr = ops_getattr,
	.setattr = ops_setattr,
	.readlink = ops_readlink,
	.mknod = ops_mknod,
	.mkdir = ops_mkdir,
	.unlink = ops_unlink,
	.rmdir = ops_rmdir,
	.symlink = ops_symlink,
	.rename = ops_rename,
	.link = ops_link,
	.open = ops_open,
	.create = ops_create,
	.read = ops_read,
	.write = ops_write,
	.flush = ops_flush,
	.release = ops_release,
	.fsync = ops_fsync,
	.fallocate = ops_fallocate,
	.copy_file_range = ops_copy_file_range,
	.opendir = ops_opendir,
	.readdir = ops_readdir,
	.readdirplus = ops_readdirplus,
	.releasedir = ops_releasedir,
	.fsyncdir = ops_fsyncdir,
	.statfs = ops_statfs,
	.getxattr = ops_getxattr,
	.listxattr = ops_listxattr,
	.setxattr = ops_setxattr,
	.removexattr = ops_removexattr,
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
