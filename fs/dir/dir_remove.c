/* dir_remove.c - names that go.
 *
 * A directory is there as long as a key is below it, or its marker.  So
 * whatever takes the last name out of one puts the marker in with the same
 * batch (dir_keep); where the store takes no empty values the namespace holds
 * the directory in memory.
 */
#include "dir/dir.h"

#include "file/content.h"
#include "inode/notify_queue.h"
#include "inode/syncer.h"

#include <errno.h>
#include <stdlib.h>

int dir_keep(struct bltfs *fs, struct blt_batch *batch, struct inode *dir)
{
	struct blt_dir_facts facts;
	struct blt_stat st;
	int rc;

	if (dir->key_len == 0)
		return 0;
	if (dir_is_complete(fs)) {
		rc = blt_ns_dir(fs->ns, dir->key, dir->key_len, &facts);
		if (rc < 0)
			return rc == -ENOENT ? 0 : rc;
		/* the rest may have gone when a transaction commits */
		if (facts.marked ||
		    (facts.entries > 1 && !(fs->is_txn && fs->takes_empty)))
			return 0;
	} else if (blt_stat_key(fs->store, dir->key, dir->key_len, &st) == 0) {
		return 0;
	}
	if (fs->takes_empty)
		return blt_batch_put(batch, dir->key, dir->key_len, "", 0,
				     BLT_NOW);
	rc = blt_ns_hold(fs->ns, dir->key, dir->key_len, true);
	if (rc == 0)
		inodes_hold(fs->inodes, dir, true);
	return rc;
}

static int any(void *arg, const struct inode *inode)
{
	(void)arg;
	(void)inode;
	return 1;
}

int dir_is_empty(struct bltfs *fs, const void *prefix, size_t len)
{
	struct blt_dir_facts facts;
	int rc = blt_ns_dir(fs->ns, prefix, len, &facts);

	if (rc < 0 && rc != -ENOENT)
		return rc;
	if (rc == 0 && facts.entries > 0)
		return 0;
	return inodes_each_fresh(fs->inodes, prefix, len, any, NULL) == 0;
}

static int delete_key(struct bltfs *fs, struct inode *dir, const uint8_t *key,
		      size_t len)
{
	struct blt_batch *batch;
	int rc = blt_batch_new(fs->store, &batch);

	if (rc < 0)
		return rc;
	rc = blt_batch_delete(batch, key, len);
	if (rc == 0)
		rc = dir_keep(fs, batch, dir);
	if (rc < 0) {
		blt_batch_abort(batch);
		return rc;
	}
	return syncer_names(fs->syncer, batch);
}

/* The inode's lock is not held across the delete: a close that commits just
 * before it is undone by it, one that comes after finds the inode gone only if
 * it is marked first.  So it is marked first, and unmarked on failure. */
static int unlink_file(struct bltfs *fs, struct inode *dir,
		       const struct blt_node *found, struct inode *inode)
{
	bool fresh = inode && inodes_is_fresh(fs->inodes, inode);
	int rc = 0;

	if (inode) {
		rc = content_keep(fs, inode);
		if (rc < 0)
			return rc;
		fresh = fresh && inodes_is_fresh(fs->inodes, inode);
	}
	if (fresh)
		rights_drop(fs, inode);
	else
		rc = delete_key(fs, dir, found->key, found->key_len);
	if (inode && rc == 0)
		content_gone(fs, inode);
	else if (inode)
		content_stays(inode);
	if (rc == 0 && !fresh)
		rc = syncer_done(fs->syncer, found->key_len);
	return rc;
}

int dir_unlink(struct bltfs *fs, struct inode *dir, const char *name)
{
	struct inode *inode = NULL;
	struct blt_node found;
	int rc;

	bltfs_share_names(fs);
	rc = dir_resolve(fs, dir, name, &found, &inode);
	if (rc < 0)
		goto out;
	rc = -EISDIR;
	if (found.kind == BLT_FILE)
		rc = unlink_file(fs, dir, &found, inode);
	if (rc == 0)
		dir_changed(dir);
	else if (rc == -EIO) /* it may be gone all the same */
		notify_queue_entry(fs->notify_queue, dir, name);
	free(found.key);
out:
	bltfs_leave_names(fs);
	inodes_put(fs->inodes, inode, 1);
	return rc;
}

/* The marker goes, or what held the directory in memory. */
static int remove_dir(struct bltfs *fs, struct inode *dir,
		      const struct blt_node *found, struct inode *inode)
{
	struct blt_batch *batch;
	struct blt_stat st;
	int rc = dir_is_empty(fs, found->key, found->key_len);

	if (rc <= 0)
		return rc < 0 ? rc : -ENOTEMPTY;
	rc = blt_batch_new(fs->store, &batch);
	if (rc < 0)
		return rc;
	if (blt_stat_key(fs->store, found->key, found->key_len, &st) == 0)
		rc = blt_batch_delete(batch, found->key, found->key_len);
	if (rc == 0)
		rc = dir_keep(fs, batch, dir);
	if (rc < 0) {
		blt_batch_abort(batch);
		return rc;
	}
	rc = syncer_names(fs->syncer, batch);
	if (rc == 0 && !fs->takes_empty)
		rc = blt_ns_hold(fs->ns, found->key, found->key_len, false);
	if (rc < 0)
		return rc;
	if (inode) {
		inodes_hold(fs->inodes, inode, false);
		content_gone(fs, inode);
	}
	rights_drop_key(fs, found->key, found->key_len);
	return syncer_done(fs->syncer, found->key_len);
}

int dir_rmdir(struct bltfs *fs, struct inode *dir, const char *name)
{
	struct inode *inode = NULL;
	struct blt_node found;
	int rc = blt_ns_wait(fs->ns);

	if (rc < 0)
		return rc;
	bltfs_share_names(fs);
	rc = dir_resolve(fs, dir, name, &found, &inode);
	if (rc < 0)
		goto out;
	rc = -ENOTDIR;
	if (found.kind == BLT_DIR)
		rc = remove_dir(fs, dir, &found, inode);
	if (rc == 0) {
		dir_changed(dir);
		dir_notify_left(fs, dir, name, found.key, found.key_len);
	} else if (rc == -EIO) { /* it may be gone all the same */
		dir_notify_pair(fs, dir, name);
	}
	free(found.key);
out:
	bltfs_leave_names(fs);
	inodes_put(fs->inodes, inode, 1);
	return rc;
}
