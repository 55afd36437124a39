#include "dir/dir.h"

#include "file/content.h"
#include "inode/rights.h"

#include <errno.h>
#include <string.h>

static struct timespec to_timespec(int64_t us)
{
	return (struct timespec){
		.tv_sec = us / 1000000,
		.tv_nsec = us % 1000000 * 1000,
	};
}

/* Where no time is kept: of a file when its value was seen to change, or else
 * when the store last changed; of a directory when the store was made (a time
 * that moves would void the kernel's cache). */
static int64_t time_of(struct bltfs *fs, enum blt_kind kind,
		       const struct blt_stat *st)
{
	if (kind == BLT_DIR)
		return st->timestamp > 0 ? st->timestamp : fs->info.created;
	if (st->timestamp != BLT_NO_TIME)
		return st->timestamp;
	return st->seen ? st->seen : blt_modified(fs->store);
}

static void fill(struct bltfs *fs, struct inode *inode, bool link,
		 const struct blt_stat *st, struct stat *ret)
{
	enum blt_kind kind = inode->kind;
	mode_t type = kind == BLT_DIR ? S_IFDIR : link ? S_IFLNK : S_IFREG;
	struct rights rights;

	*ret = (struct stat){
		.st_ino = inode->ino,
		.st_nlink = 1,
		.st_blksize = 4096,
		.st_mtim = to_timespec(time_of(fs, kind, st)),
	};
	pthread_mutex_lock(&inode->lock);
	if (inode->gone)
		ret->st_nlink = 0;
	rights_get(fs, inode, &rights);
	pthread_mutex_unlock(&inode->lock);
	ret->st_mode = type | (link ? 0777 : rights.mode);
	ret->st_uid = rights.uid;
	ret->st_gid = rights.gid;
	ret->st_atim = ret->st_ctim = ret->st_mtim;
	if (kind == BLT_FILE) {
		ret->st_size = (off_t)st->len;
		ret->st_blocks = (blkcnt_t)((st->len + 511) / 512);
	}
}

static int get_dir(struct bltfs *fs, struct inode *inode,
		   const struct blt_stat *known, struct stat *ret)
{
	struct blt_stat st = { .timestamp = 0 };
	int64_t changed;
	int rc = 0;

	if (known) {
		st = *known;
	} else if (inode->key_len && !inode->gone) {
		rc = blt_ns_marker(fs->ns, inode->key, inode->key_len, &st);
		if (rc <= 0)
			st.timestamp = 0;
		rc = rc < 0 ? rc : 0;
	}
	pthread_mutex_lock(&inode->lock);
	changed = inode->changed;
	pthread_mutex_unlock(&inode->lock);
	if (changed)
		st.timestamp = changed;
	if (rc == 0)
		fill(fs, inode, false, &st, ret);
	return rc;
}

/* Whether a file is shown as a link is settled the first time somebody looks:
 * the kernel does not bear an inode whose type changes.  Returns the target's
 * length, 0 for a plain file. */
static int link_length(struct bltfs *fs, struct inode *inode, uint64_t len)
{
	char target[BLT_LINK_MAX + 1];
	enum inode_link link;
	int rc;

	pthread_mutex_lock(&inode->lock);
	if (inode->link == LINK_UNKNOWN &&
	    (!fs->takes_links || len != BLT_LINK_LEN || inode->buffer))
		inode->link = LINK_NO;
	link = inode->link;
	pthread_mutex_unlock(&inode->lock);
	if (link == LINK_NO)
		return 0;
	rc = content_link_target(fs, inode->key, inode->key_len, target);
	if (link == LINK_YES)
		return rc == -EINVAL ? -EIO : rc;
	if (rc < 0 && rc != -EINVAL)
		return rc;
	pthread_mutex_lock(&inode->lock);
	if (inode->link == LINK_UNKNOWN)
		inode->link = rc > 0 ? LINK_YES : LINK_NO;
	pthread_mutex_unlock(&inode->lock);
	return rc > 0 ? rc : 0;
}

int attr_get(struct bltfs *fs, struct inode *inode,
	     const struct blt_stat *known, struct stat *ret)
{
	struct blt_stat st;
	int rc, target;

	if (inode->kind == BLT_DIR)
		return get_dir(fs, inode, known, ret);
	rc = content_stat(fs, inode, known, &st);
	if (rc < 0)
		return rc;
	target = link_length(fs, inode, st.len);
	if (target < 0)
		return target;
	if (target > 0)
		st.len = (uint64_t)target;
	fill(fs, inode, target > 0, &st, ret);
	return 0;
}
