/* ops_at.h - requests for a sequence's positions (seq_positions.h); ops_route.c
 * sends them here, and each replies.  Nothing is kept by the kernel.
 */
#ifndef FS_OPS_AT_H
#define FS_OPS_AT_H

#include "request/ops.h"

/* The name .at in a sequence. */
void at_ops_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
/* A name in .at. */
void at_ops_lookup_link(fuse_req_t req, fuse_ino_t parent, const char *name);
void at_ops_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void at_ops_readlink(fuse_req_t req, fuse_ino_t ino);
void at_ops_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void at_ops_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi, bool plus);
void at_ops_releasedir(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *fi);

#endif
