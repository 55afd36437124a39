#include "request/ops.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool ops_name_lasts(const char *name)
{
	size_t len = strlen(name);

	while (len >= 2 && memcmp(name + len - 2, "25", 2) == 0)
		len -= 2;
	return len == 0 || name[len - 1] != '%';
}

char *ops_buffer(size_t n)
{
	char *space = uring_reply_space(n);

	return space ? space : malloc(n);
}

void ops_free_buffer(char *buf)
{
	if (buf != uring_reply_space(0))
		free(buf);
}

double ops_lasting(const struct bltfs *fs)
{
	if (fs->info.tokens && !fs->is_txn)
		return (double)fs->opts->attr_ms / 1000;
	return ops_keeps(fs) ? OPS_FOREVER : 0;
}

struct fuse_entry_param ops_entry(const struct bltfs *fs,
				  const struct dir_found *found,
				  const char *name)
{
	const bool lasts = found->sure && ops_name_lasts(name);

	return (struct fuse_entry_param){
		.ino = inode_nodeid(found->inode),
		.attr = found->st,
		.attr_timeout = found->sure ? ops_lasting(fs) : 0,
		.entry_timeout = lasts ? ops_lasting(fs) : 0,
	};
}

void ops_reply_entry(fuse_req_t req, const struct dir_found *found,
		     const char *name)
{
	struct bltfs *fs = found->inode->fs;
	struct fuse_entry_param e = ops_entry(fs, found, name);

	if (fuse_reply_entry(req, &e) < 0) /* interrupted: not taken over */
		inodes_put(fs->inodes, found->inode, 1);
}
