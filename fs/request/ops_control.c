/* The control directory's requests.  Each is for the daemon's own user alone;
 * nothing is kept by the kernel, so that each comes here.
 */
#include "request/ops.h"

#include "base/util.h"
#include "bltfs_ioctl.h"
#include "dir/dir.h"
#include "control/control.h"
#include "control/control_inner.h"
#include "inode/notify_queue.h"
#include "control/txns.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool refused(fuse_req_t req)
{
	if (control_allows(fuse_req_ctx(req)->uid))
		return false;
	ops_reply(req, -EACCES);
	return true;
}

static struct control_handle *handle_of(const struct fuse_file_info *fi)
{
	return (struct control_handle *)(uintptr_t)fi->fh;
}

/* ---- transactions ---- */

/* A transaction's root is an inode like others, and nothing of it is kept. */
static void reply_txn(fuse_req_t req, const char *name)
{
	struct bltfs *fs = ops_fs(req);
	struct dir_found found = { .sure = false };
	int rc = fs->txns ? txns_root(fs->txns, name, &found.inode) : -ENOENT;

	if (rc == 0)
		rc = attr_get(found.inode->fs, found.inode, NULL, &found.st);
	if (rc < 0) {
		if (found.inode)
			inodes_put(found.inode->fs->inodes, found.inode, 1);
		ops_reply(req, rc);
		return;
	}
	ops_reply_entry(req, &found, name);
}

void control_ops_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name,
		       mode_t mode)
{
	struct bltfs *fs = ops_fs(req);
	char made[TXNS_NAME_MAX + 1];
	int rc = -EPERM;

	(void)mode;
	if (refused(req))
		return;
	if (control_is_txns(parent))
		rc = fs->txns ? txns_begin(fs->txns, name, made) : -EROFS;
	if (rc < 0)
		ops_reply(req, rc);
	else
		reply_txn(req, name);
}

void control_ops_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct bltfs *fs = ops_fs(req);
	int rc = -EPERM;

	if (refused(req))
		return;
	if (control_is_txns(parent))
		rc = fs->txns ? txns_abort(fs->txns, name) : -EROFS;
	ops_reply(req, rc);
}

void control_ops_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param e = { 0 };
	int rc;

	if (refused(req))
		return;
	if (control_is_txns(parent)) {
		reply_txn(req, name);
		return;
	}
	rc = control_lookup(ops_fs(req), parent, name, &e.attr);
	e.ino = e.attr.st_ino;
	if (rc < 0)
		ops_reply(req, rc);
	else
		fuse_reply_entry(req, &e);
}

void control_ops_getattr(fuse_req_t req, fuse_ino_t ino,
			 struct fuse_file_info *fi)
{
	struct stat st;
	int rc;

	(void)fi;
	if (refused(req))
		return;
	rc = control_stat(ops_fs(req), ino, &st);
	if (rc < 0)
		ops_reply(req, rc);
	else
		fuse_reply_attr(req, &st, 0);
}

/* An open file can be cut; there is nothing else to set. */
void control_ops_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr,
			 int to_set, struct fuse_file_info *fi)
{
	int rc = -EPERM;

	if (refused(req))
		return;
	if (fi && to_set & FUSE_SET_ATTR_SIZE &&
	    !(to_set &
	      (FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)))
		rc = control_cut(handle_of(fi), (uint64_t)attr->st_size);
	if (rc < 0)
		ops_reply(req, rc);
	else
		control_ops_getattr(req, ino, fi);
}

void control_ops_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct control_handle *h;
	int rc;

	if (refused(req))
		return;
	rc = control_open(ops_fs(req), ino, fi->flags, &h);
	if (rc < 0) {
		ops_reply(req, rc);
		return;
	}
	fi->fh = (uintptr_t)h;
	fi->direct_io = 1;
	if (fuse_reply_open(req, fi) < 0)
		control_close(h);
}

void control_ops_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		      struct fuse_file_info *fi)
{
	char *buf;
	int64_t n;

	(void)ino;
	if (refused(req))
		return;
	buf = malloc(size + 1);
	n = buf ? control_read(handle_of(fi), buf, size, (uint64_t)off) :
		  -ENOMEM;
	if (n < 0)
		ops_reply(req, (int)n);
	else
		fuse_reply_buf(req, buf, (size_t)n);
	free(buf);
}

/* Checked again: the file may have been opened by us, and handed to a program
 * of more rights as its standard error. */
void control_ops_write(fuse_req_t req, fuse_ino_t ino, const char *buf,
		       size_t size, off_t off, struct fuse_file_info *fi)
{
	int64_t n;

	(void)ino;
	if (refused(req))
		return;
	n = control_write(ops_fs(req), handle_of(fi), buf, size, (uint64_t)off);
	if (n < 0)
		ops_reply(req, (int)n);
	else
		fuse_reply_write(req, (size_t)n);
}

void control_ops_flush(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *fi)
{
	(void)ino;
	ops_reply(req, control_flush(ops_fs(req), handle_of(fi)));
}

void control_ops_release(fuse_req_t req, fuse_ino_t ino,
			 struct fuse_file_info *fi)
{
	(void)ino;
	control_close(handle_of(fi));
	ops_reply(req, 0);
}

void control_ops_fsync(fuse_req_t req, fuse_ino_t ino, int datasync,
		       struct fuse_file_info *fi)
{
	struct bltfs *fs = ops_fs(req);
	int rc;

	(void)ino;
	(void)datasync;
	rc = control_flush(fs, handle_of(fi));
	if (rc == 0 && fs->syncer)
		rc = blt_sync(fs->store);
	ops_reply(req, rc);
}

/* ---- directories ---- */

void control_ops_opendir(fuse_req_t req, fuse_ino_t ino,
			 struct fuse_file_info *fi)
{
	struct control_handle *h;
	int rc;

	if (refused(req))
		return;
	rc = control_opendir(ops_fs(req), ino, &h);
	if (rc < 0) {
		ops_reply(req, rc);
		return;
	}
	fi->fh = (uintptr_t)h;
	if (fuse_reply_open(req, fi) < 0)
		control_close(h);
}

static void list(fuse_req_t req, size_t size, off_t off,
		 const struct control_handle *h, bool plus)
{
	size_t n_names, used = 0;
	const struct control_name *names = control_names(h, &n_names);
	char *buf = malloc(size);

	if (!buf) {
		ops_reply(req, -ENOMEM);
		return;
	}
	for (size_t i = (size_t)off; i < n_names; i++) {
		const struct control_name *name = &names[i];
		/* no inode is handed over: the kernel looks it up */
		struct fuse_entry_param e = {
			.attr = { .st_ino = name->ino, .st_mode = name->type }
		};
		size_t n;

		if (plus)
			n = fuse_add_direntry_plus(req, buf + used, size - used,
						   name->name, &e,
						   (off_t)i + 1);
		else
			n = fuse_add_direntry(req, buf + used, size - used,
					      name->name, &e.attr,
					      (off_t)i + 1);
		if (n > size - used)
			break;
		used += n;
	}
	fuse_reply_buf(req, buf, used);
	free(buf);
}

void control_ops_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
			 struct fuse_file_info *fi)
{
	(void)ino;
	list(req, size, off, handle_of(fi), false);
}

void control_ops_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size,
			     off_t off, struct fuse_file_info *fi)
{
	(void)ino;
	list(req, size, off, handle_of(fi), true);
}

void control_ops_releasedir(fuse_req_t req, fuse_ino_t ino,
			    struct fuse_file_info *fi)
{
	(void)ino;
	control_close(handle_of(fi));
	ops_reply(req, 0);
}

/* ---- ioctls ---- */

static bool takes(struct bltfs *fs, fuse_ino_t ino, unsigned cmd)
{
	/* blt umount has to know what it waits for */
	if (!fs->opts->control)
		return cmd == BLTFS_IOC_STORE && ino == INODE_ROOT;
	if (cmd == BLTFS_IOC_KEY || cmd == BLTFS_IOC_SEQ)
		return !control_owns(ino);
	/* what goes with a sequence's */
	if (cmd == BLTFS_IOC_PIECE || cmd == BLTFS_IOC_FETCH)
		return true;
	/* no other directory's closing is noticed */
	if (cmd == BLTFS_IOC_ATTEND)
		return ino == INODE_ROOT;
	return (ino == INODE_ROOT || control_owns(ino)) &&
	       control_knows_ioctl(cmd);
}

/* What is stored: bytes on their way into a file do not count. */
static int tell_key(struct inode *inode, struct bltfs_key *k)
{
	struct blt_stat st = { .timestamp = BLT_NO_TIME };
	struct bltfs *fs = inode->fs;
	int rc = 0;

	bltfs_share_names(fs);
	if (inode->kind == BLT_FILE)
		rc = content_stat(fs, inode, NULL, &st);
	k->key_len = inode->key_len;
	k->size = st.len;
	k->timestamp = st.timestamp;
	k->len = 0;
	if (k->offset < k->key_len)
		k->len = (uint32_t)(k->key_len - k->offset < sizeof(k->bytes) ?
					    k->key_len - k->offset :
					    sizeof(k->bytes));
	if (k->len)
		memcpy(k->bytes, inode->key + k->offset, k->len);
	bltfs_leave_names(fs);
	return rc;
}

static int run_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned cmd, void *buf,
		     size_t len, size_t *ret_len)
{
	struct bltfs *fs = ops_fs(req);

	if (cmd != BLTFS_IOC_KEY && cmd != BLTFS_IOC_SEQ)
		return control_ioctl(fs, cmd, buf, len, ret_len);
	if (len < _IOC_SIZE(cmd))
		return -EINVAL;
	*ret_len = _IOC_SIZE(cmd);
	if (cmd == BLTFS_IOC_SEQ)
		return control_seq(fs->control, ops_inode(req, ino), buf);
	return tell_key(ops_inode(req, ino), buf);
}

/* One request, perhaps in a thread of its own; buf is its own too. */
struct asked {
	fuse_req_t req;
	fuse_ino_t ino;
	unsigned cmd;
	size_t len;
	uint8_t buf[];
};

static void answer(struct asked *a)
{
	size_t ret_len = 0;
	int rc = run_ioctl(a->req, a->ino, a->cmd, a->buf, a->len, &ret_len);

	if (rc < 0)
		ops_reply(a->req, rc);
	else
		fuse_reply_ioctl(a->req, 0, a->buf, ret_len);
	free(a);
}

static void *answer_slowly(void *arg)
{
	struct asked *a = arg;
	struct control *c = ops_fs(a->req)->control;

	pthread_detach(pthread_self());
	answer(a);
	control_slow_end(c);
	return NULL;
}

/* Where it cannot have a thread it is refused: it waits for what the kernel is
 * told, which no request may. */
static void start(struct asked *a)
{
	struct control *c = ops_fs(a->req)->control;
	pthread_t thread;

	control_slow_begin(c);
	if (thread_start(&thread, answer_slowly, a) < 0) {
		ops_reply(a->req, -EAGAIN);
		free(a);
		control_slow_end(c);
	}
}

static void attend(fuse_req_t req, const struct fuse_file_info *fi,
		   const void *in, size_t len)
{
	struct bltfs_job job;
	int rc = -EINVAL;

	if (len >= sizeof(job)) {
		memcpy(&job, in, sizeof(job));
		rc = control_attend(ops_fs(req)->control, fi->fh, job.job);
	}
	if (rc < 0)
		ops_reply(req, rc);
	else
		fuse_reply_ioctl(req, 0, &job, sizeof(job));
}

void control_ops_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned cmd, void *arg,
		       struct fuse_file_info *fi, unsigned flags,
		       const void *in, size_t in_len, size_t out_len)
{
	size_t len = in_len > out_len ? in_len : out_len;
	struct asked *a;

	(void)arg;
	if (flags & FUSE_IOCTL_UNRESTRICTED || !takes(ops_fs(req), ino, cmd)) {
		ops_reply(req, -ENOTTY);
		return;
	}
	if (refused(req))
		return;
	if (cmd == BLTFS_IOC_ATTEND) {
		attend(req, fi, in, in_len);
		return;
	}
	a = calloc(1, sizeof(*a) + len + 1);
	if (!a) {
		ops_reply(req, -ENOMEM);
		return;
	}
	*a = (struct asked){ req, ino, cmd, len };
	if (in_len)
		memcpy(a->buf, in, in_len);
	if (control_is_slow(cmd))
		start(a);
	else
		answer(a);
}
