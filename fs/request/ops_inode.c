#include "request/ops.h"

#include "dir/seq_positions.h"
#include "dir/dir.h"
#include "main/clock.h"
#include "control/control.h"
#include "control/txns.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/statvfs.h>

/* The last inode of a transaction that has ended takes that with it. */
static void forget(fuse_req_t req, fuse_ino_t ino, uint64_t n)
{
	struct inode *inode;
	struct inodes *inodes;
	bool is_txn;

	if (seq_positions_owns(ino))
		seq_positions_forget(ops_fs(req), ino, n);
	if (control_owns(ino))
		return;
	inode = ops_inode(req, ino);
	inodes = inode->fs->inodes;
	is_txn = inode->fs->is_txn;
	inodes_put(inodes, inode, n);
	if (is_txn)
		txns_sweep(ops_fs(req)->txns);
}

void ops_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
	forget(req, ino, nlookup);
	fuse_reply_none(req);
}

void ops_forget_multi(fuse_req_t req, size_t count,
		      struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		forget(req, forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

/* ---- attributes ---- */

static void reply_attr(fuse_req_t req, struct inode *inode)
{
	struct bltfs *fs = inode->fs;
	struct stat st;
	int rc;

	bltfs_share_names(fs);
	rc = attr_get(fs, inode, NULL, &st);
	bltfs_leave_names(fs);
	if (rc < 0)
		ops_reply(req, rc);
	else
		fuse_reply_attr(req, &st, ops_lasting(fs));
}

void ops_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)fi;
	reply_attr(req, ops_inode(req, ino));
}

static int set_size(struct bltfs *fs, struct inode *inode, off_t size,
		    bool open)
{
	int rc;

	if (inode->kind == BLT_DIR)
		return -EISDIR;
	bltfs_share_names(fs);
	rc = content_resize(fs, inode, (uint64_t)size, !open);
	bltfs_leave_names(fs);
	return rc;
}

static int set_mtime(struct bltfs *fs, struct inode *inode,
		     const struct stat *attr, int to_set)
{
	const struct timespec *ts = &attr->st_mtim;
	int64_t us = clock_now_us();
	int rc;

	if (!(to_set & FUSE_SET_ATTR_MTIME_NOW)) {
		/* seven bytes hold the time in a block */
		if (ts->tv_sec < 0 ||
		    ts->tv_sec >= (INT64_C(1) << 56) / 1000000)
			return -EINVAL;
		us = (int64_t)ts->tv_sec * 1000000 + ts->tv_nsec / 1000;
	}
	if (inode->kind == BLT_DIR)
		return dir_touch(fs, inode, us);
	bltfs_share_names(fs);
	rc = content_touch(fs, inode, us);
	bltfs_leave_names(fs);
	return rc;
}

/* Where it cannot be known the answer is no. */
static bool in_group(void *arg, gid_t gid)
{
	fuse_req_t req = arg;
	gid_t few[64], *list = few;
	int room = 64, n = fuse_req_getgroups(req, room, few);
	bool found = fuse_req_ctx(req)->gid == gid;

	if (n > room) {
		list = malloc((size_t)n * sizeof(*list));
		room = n;
		n = list ? fuse_req_getgroups(req, room, list) : 0;
	}
	for (int i = 0; i < n && i < room && !found; i++)
		found = list[i] == gid;
	if (list != few)
		free(list);
	return found;
}

#define SET_RIGHTS (FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)

/* Whether this takes set-ID bits away.  A request that sets nothing is what the
 * kernel sends before a write that does. */
static bool clears_ids(fuse_req_t req, const struct inode *inode, int to_set)
{
	if (!ops_fs(req)->clears_ids || inode->kind == BLT_DIR)
		return false;
	return to_set == 0 ||
	       to_set & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID) ||
	       (to_set & FUSE_SET_ATTR_SIZE && fuse_req_ctx(req)->uid != 0);
}

static int set_rights(fuse_req_t req, struct inode *inode,
		      const struct stat *attr, int to_set, bool clear_ids)
{
	struct bltfs *fs = inode->fs;
	const uid_t caller = fuse_req_ctx(req)->uid;
	const struct rights_change change = {
		.clear_ids = clear_ids,
		.mode = to_set & FUSE_SET_ATTR_MODE,
		.uid = to_set & FUSE_SET_ATTR_UID,
		.gid = to_set & FUSE_SET_ATTR_GID,
		.to = { attr->st_mode, attr->st_uid, attr->st_gid },
		.check = !fs->opts->default_permissions && caller != 0,
		.caller = caller,
		.in_group = in_group,
		.arg = req,
	};
	int rc;

	bltfs_share_names(fs);
	rc = rights_change(fs, inode, &change);
	bltfs_leave_names(fs);
	if (rc == -ENOTSUP)
		return fs->opts->strict_attrs && to_set & SET_RIGHTS ? -EPERM :
								       0;
	return rc;
}

void ops_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		 struct fuse_file_info *fi)
{
	struct bltfs *fs = ops_fs_of(req, ino);
	struct inode *inode = ops_inode(req, ino);
	const bool clear = clears_ids(req, inode, to_set);
	int rc = 0;

	if (to_set & SET_RIGHTS || clear)
		rc = set_rights(req, inode, attr, to_set, clear);
	if (rc == 0 && to_set & FUSE_SET_ATTR_SIZE)
		rc = set_size(fs, inode, attr->st_size, fi != NULL);
	if (fi && to_set & FUSE_SET_ATTR_SIZE)
		ops_wrote(req, fi);
	if (rc == 0 && to_set & (FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW))
		rc = set_mtime(fs, inode, attr, to_set);
	if (rc < 0)
		ops_reply(req, rc);
	else
		reply_attr(req, inode);
}

void ops_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct blt_info info;
	struct statvfs st;
	int rc = blt_statvfs(ops_fs(req)->store, &st);

	(void)ino;
	if (rc < 0) {
		ops_reply(req, rc);
		return;
	}
	/* df's "used" is what lives; what can be written now is f_bavail */
	blt_get_info(ops_fs(req)->store, &info);
	if (info.dead_known && st.f_frsize)
		st.f_bfree += info.dead_bytes / st.f_frsize;
	if (st.f_bfree > st.f_blocks)
		st.f_bfree = st.f_blocks;
	st.f_namemax = 255;
	fuse_reply_statfs(req, &st);
}

/* ---- names ---- */

void ops_readlink(fuse_req_t req, fuse_ino_t ino)
{
	struct bltfs *fs = ops_fs_of(req, ino);
	struct inode *inode = ops_inode(req, ino);
	char target[BLT_LINK_MAX + 1];
	int rc;

	bltfs_share_names(fs);
	rc = content_link_target(fs, inode->key, inode->key_len, target);
	bltfs_leave_names(fs);
	if (rc < 0)
		ops_reply(req, rc);
	else
		fuse_reply_readlink(req, target);
}

void ops_symlink(fuse_req_t req, const char *target, fuse_ino_t parent,
		 const char *name)
{
	const struct rights who = ops_rights(req, RIGHTS_NO_MODE);
	struct dir_found found;
	int rc = dir_symlink(ops_fs_of(req, parent), ops_inode(req, parent),
			     name, &who, target, &found);

	if (rc == 0)
		ops_reply_entry(req, &found, name);
	else
		ops_reply(req, rc);
}

void ops_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent,
	      const char *name)
{
	(void)ino;
	(void)parent;
	(void)name;
	ops_reply(req, -EPERM);
}

void ops_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	       dev_t rdev)
{
	const struct rights who = ops_rights(req, mode);
	struct dir_found found;
	int rc = -EPERM;

	(void)rdev;
	if (S_ISREG(mode))
		rc = dir_create(ops_fs_of(req, parent), ops_inode(req, parent),
				name, &who, DIR_NOW, &found);
	if (rc == 0)
		ops_reply_entry(req, &found, name);
	else
		ops_reply(req, rc);
}

void ops_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	ops_reply(req, dir_unlink(ops_fs_of(req, parent),
				  ops_inode(req, parent), name));
}

void ops_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
		fuse_ino_t newparent, const char *newname, unsigned flags)
{
	struct bltfs *fs = ops_fs_of(req, parent);
	int rc = -EXDEV;

	/* into a transaction, or out of it, mv(1) copies */
	if (fs == ops_fs_of(req, newparent))
		rc = move_name(fs, ops_inode(req, parent), name,
			       ops_inode(req, newparent), newname, flags);
	ops_reply(req, rc);
}
