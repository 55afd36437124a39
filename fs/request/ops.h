/* ops.h - the FUSE requests: decode and check, execute, reply.
 *
 * Only ops*.c call fuse_reply_*.  A callback replies exactly once, and holds no
 * lock when it does.  The session's user data is the struct bltfs.
 */
#ifndef FS_OPS_H
#define FS_OPS_H

#include "dir/dir.h"
#include "file/content.h"
#include "main/bltfs.h"
#include "main/uring.h"

#include <fuse_lowlevel.h>

/* The kernel keeps sure answers until it is told otherwise; of transactions it
 * keeps none. */
#define OPS_FOREVER (365.0 * 86400)

/* How long it keeps one: for ever, or not at all where others may change the
 * store without our knowing; where to ask costs a round trip, for a moment: an
 * open asks for itself (cache_validity.h). */
double ops_lasting(const struct bltfs *fs);

/* Whether the kernel may keep names and attributes: not what others change,
 * too, nor what a transaction shows.  Of pages and listings cache_validity.h
 * says that.
 */
static inline bool ops_keeps(const struct bltfs *fs)
{
	return !fs->info.shared && !fs->is_txn;
}

/* The table for this mount, once it is known what its store keeps. */
struct fuse_lowlevel_ops ops_table(const struct bltfs *fs);

static inline struct bltfs *ops_fs(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

/* Of a mount's inode, or a transaction's. */
static inline struct bltfs *ops_fs_of(fuse_req_t req, fuse_ino_t ino)
{
	return inodes_of(ops_fs(req)->inodes, ino)->fs;
}

static inline struct inode *ops_inode(fuse_req_t req, fuse_ino_t ino)
{
	return inodes_of(ops_fs(req)->inodes, ino);
}

/* Of who makes something, with that mode. */
static inline struct rights ops_rights(fuse_req_t req, mode_t mode)
{
	const struct fuse_ctx *who = fuse_req_ctx(req);

	return (struct rights){ mode, who->uid, who->gid };
}

/* Room for the data of a reply: that from which the transport takes it, where
 * there is such.  NULL: out of memory. */
char *ops_buffer(size_t n);
void ops_free_buffer(char *buf); /* behind the reply; NULL is fine */

/* 0 or a negative errno. */
static inline void ops_reply(fuse_req_t req, int rc)
{
	fuse_reply_err(req, rc < 0 ? -rc : 0);
}

/* Whether the kernel may keep what it is told of a name.  Not of one with the
 * suffix that tells a value from the directory beside it: that goes and comes
 * with the directory, and what invalidates it runs behind the answer. */
bool ops_name_lasts(const char *name);

struct fuse_entry_param ops_entry(const struct bltfs *fs,
				  const struct dir_found *found,
				  const char *name);
/* Hands the reference in *found to the kernel, or drops it. */
void ops_reply_entry(fuse_req_t req, const struct dir_found *found,
		     const char *name);

/* ops_dir.c */
void ops_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void ops_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name,
	       mode_t mode);
void ops_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void ops_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void ops_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		 struct fuse_file_info *fi);
void ops_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		     struct fuse_file_info *fi);
void ops_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void ops_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync,
		  struct fuse_file_info *fi);

/* ops_file.c */

/* The file was changed through the handle in fi: the close of who did it stores
 * that. */
void ops_wrote(fuse_req_t req, const struct fuse_file_info *fi);
void ops_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void ops_create(fuse_req_t req, fuse_ino_t parent, const char *name,
		mode_t mode, struct fuse_file_info *fi);
void ops_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	      struct fuse_file_info *fi);
void ops_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size,
	       off_t off, struct fuse_file_info *fi);
void ops_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void ops_fsync(fuse_req_t req, fuse_ino_t ino, int datasync,
	       struct fuse_file_info *fi);
void ops_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void ops_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset,
		   off_t length, struct fuse_file_info *fi);
void ops_copy_file_range(fuse_req_t req, fuse_ino_t ino_in, off_t off_in,
			 struct fuse_file_info *fi_in, fuse_ino_t ino_out,
			 off_t off_out, struct fuse_file_info *fi_out,
			 size_t len, int flags);

/* ops_inode.c */
void ops_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup);
void ops_forget_multi(fuse_req_t req, size_t count,
		      struct fuse_forget_data *forgets);
void ops_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void ops_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		 struct fuse_file_info *fi);
void ops_readlink(fuse_req_t req, fuse_ino_t ino);
void ops_symlink(fuse_req_t req, const char *target, fuse_ino_t parent,
		 const char *name);
void ops_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent,
	      const char *name);
void ops_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	       dev_t rdev);
void ops_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void ops_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
		fuse_ino_t newparent, const char *newname, unsigned flags);
void ops_statfs(fuse_req_t req, fuse_ino_t ino);

/* ops_xattr.c */
void ops_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
		  size_t size);
void ops_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);
void ops_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
		  const char *value, size_t size, int flags);
void ops_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name);

/* Requests for a sequence's positions (seq_positions.h); ops_route.c
 * sends them here, and each replies.  Nothing is kept by the kernel.
 */

/* The name .at in a sequence. */
void at_ops_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
/* A name in .at. */
void at_ops_lookup_link(fuse_req_t req, fuse_ino_t parent, const char *name);
void at_ops_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void at_ops_readlink(fuse_req_t req, fuse_ino_t ino);
void at_ops_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void at_ops_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi);
void at_ops_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
			struct fuse_file_info *fi);
void at_ops_releasedir(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *fi);

/* Requests for inodes of the control directory.
 *
 * ops_route.c sends them here; each replies.
 */

void control_ops_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void control_ops_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name,
		       mode_t mode);
void control_ops_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void control_ops_getattr(fuse_req_t req, fuse_ino_t ino,
			 struct fuse_file_info *fi);
void control_ops_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr,
			 int to_set, struct fuse_file_info *fi);
void control_ops_open(fuse_req_t req, fuse_ino_t ino,
		      struct fuse_file_info *fi);
void control_ops_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		      struct fuse_file_info *fi);
void control_ops_write(fuse_req_t req, fuse_ino_t ino, const char *buf,
		       size_t size, off_t off, struct fuse_file_info *fi);
void control_ops_flush(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *fi);
void control_ops_release(fuse_req_t req, fuse_ino_t ino,
			 struct fuse_file_info *fi);
void control_ops_fsync(fuse_req_t req, fuse_ino_t ino, int datasync,
		       struct fuse_file_info *fi);
void control_ops_opendir(fuse_req_t req, fuse_ino_t ino,
			 struct fuse_file_info *fi);
void control_ops_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
			 struct fuse_file_info *fi);
void control_ops_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size,
			     off_t off, struct fuse_file_info *fi);
void control_ops_releasedir(fuse_req_t req, fuse_ino_t ino,
			    struct fuse_file_info *fi);
void control_ops_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned cmd, void *arg,
		       struct fuse_file_info *fi, unsigned flags,
		       const void *in, size_t in_len, size_t out_len);

#endif
