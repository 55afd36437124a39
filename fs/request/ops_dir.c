#include "request/ops.h"

#include "control/control.h"
#include "inode/syncer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void ops_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct bltfs *fs = ops_fs_of(req, parent);
	/* that nothing is there is kept, but not where somebody else may make
	 * it */
	struct fuse_entry_param none = { .entry_timeout = OPS_FOREVER };
	struct dir_found found;
	int rc = dir_lookup(fs, ops_inode(req, parent), name, &found);

	if (rc == 0)
		ops_reply_entry(req, &found, name);
	else if (rc == -ENOENT && ops_keeps(fs) && atomic_load(&fs->complete) &&
		 ops_name_lasts(name))
		fuse_reply_entry(req, &none);
	else
		ops_reply(req, rc);
}

void ops_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	const struct rights who = ops_rights(req, mode);
	struct dir_found found;
	int rc = dir_mkdir(ops_fs_of(req, parent), ops_inode(req, parent), name,
			   &who, &found);

	if (rc == 0)
		ops_reply_entry(req, &found, name);
	else
		ops_reply(req, rc);
}

void ops_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	ops_reply(req, dir_rmdir(ops_fs_of(req, parent), ops_inode(req, parent),
				 name));
}

static struct dir_handle *handle_of(const struct fuse_file_info *fi)
{
	return (struct dir_handle *)(uintptr_t)fi->fh;
}

void ops_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct bltfs *fs = ops_fs_of(req, ino);
	struct dir_handle *h;
	int rc = dir_open(fs, ops_inode(req, ino), &h);

	if (rc < 0) {
		ops_reply(req, rc);
		return;
	}
	fi->fh = (uintptr_t)h;
	fi->cache_readdir = dir_cacheable(h) && !fs->is_txn;
	fi->keep_cache = dir_keeps(h);
	if (fuse_reply_open(req, fi) < 0)
		dir_close(fs, h);
}

static size_t cost_short(size_t name_len)
{
	char name[256];

	memset(name, 'n', name_len);
	name[name_len] = '\0';
	return fuse_add_direntry(NULL, NULL, 0, name, NULL, 0);
}

static size_t cost_plus(size_t name_len)
{
	char name[256];

	memset(name, 'n', name_len);
	name[name_len] = '\0';
	return fuse_add_direntry_plus(NULL, NULL, 0, name, NULL, 0);
}

/* Adds one entry to the reply; false where it does not fit. */
static bool add_entry(fuse_req_t req, char *buf, size_t size, size_t *used,
		      const struct dir_entry *e, bool plus)
{
	struct fuse_entry_param param = { .attr = e->st };
	size_t need;

	if (e->inode)
		param = ops_entry(ops_fs(req),
				  &(struct dir_found){ e->inode, e->st, true },
				  e->name);
	if (plus)
		need = fuse_add_direntry_plus(req, buf + *used, size - *used,
					      e->name, &param,
					      (off_t)e->offset);
	else
		need = fuse_add_direntry(req, buf + *used, size - *used,
					 e->name, &e->st, (off_t)e->offset);
	if (need > size - *used)
		return false;
	*used += need;
	return true;
}

/* References of entries that the kernel got are its own now.  In a transaction
 * it gets none: it is to look at each itself, so that what has been seen is
 * known. */
static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		 struct fuse_file_info *fi, bool plus)
{
	struct bltfs *fs = ops_fs_of(req, ino);
	struct dir_listing found = { .n = 0 };
	size_t sent = 0, used = 0;
	char *buf = ops_buffer(size);
	int rc = buf ? 0 : -ENOMEM;

	if (rc == 0)
		rc = dir_list(fs, handle_of(fi), (uint64_t)off, size,
			      plus ? cost_plus : cost_short,
			      plus && !fs->is_txn, &found);
	if (rc < 0) {
		ops_reply(req, rc);
		ops_free_buffer(buf);
		return;
	}
	while (sent < found.n &&
	       add_entry(req, buf, size, &used, &found.entry[sent], plus))
		sent++;
	if (fuse_reply_buf(req, buf, used) < 0)
		sent = 0;
	dir_free_listing(fs, &found, sent);
	ops_free_buffer(buf);
}

void ops_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		 struct fuse_file_info *fi)
{
	list(req, ino, size, off, fi, false);
}

void ops_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		     struct fuse_file_info *fi)
{
	list(req, ino, size, off, fi, true);
}

void ops_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct bltfs *fs = ops_fs_of(req, ino);

	if (fs->control)
		control_left(fs->control, fi->fh);
	dir_close(fs, handle_of(fi));
	ops_reply(req, 0);
}

void ops_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync,
		  struct fuse_file_info *fi)
{
	struct bltfs *fs = ops_fs(req);

	(void)ino;
	(void)datasync;
	(void)fi;
	ops_reply(req, fs->syncer ? blt_sync(fs->store) : 0);
}
