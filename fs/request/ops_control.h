/* ops_control.h - requests for inodes of the control directory.
 *
 * ops_route.c sends them here; each replies.
 */
#ifndef FS_OPS_CONTROL_H
#define FS_OPS_CONTROL_H

#include "request/ops.h"

void control_ops_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void control_ops_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name);
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
