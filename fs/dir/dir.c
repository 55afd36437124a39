/* dir.c - names that are looked up, and that come; those that go are in
 * dir_remove.c, listings in list.c. */
#include "dir/dir.h"

#include "dir/absent.h"
#include "inode/cache_validity.h"
#include "main/clock.h"
#include "main/log.h"
#include "file/content.h"
#include "inode/notify_queue.h"
#include "inode/syncer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool dir_is_complete(struct bltfs *fs)
{
	bool complete = atomic_load(&fs->complete);

	if (!complete) {
		blt_ns_progress(fs->ns, &complete);
		if (complete)
			atomic_store(&fs->complete, true);
	}
	return complete;
}

static uint64_t hash_of(enum blt_kind kind, const uint8_t *key, size_t len)
{
	return blt_key_hash(key, kind == BLT_DIR ? len - 1 : len);
}

void dir_changed(struct inode *dir)
{
	pthread_mutex_lock(&dir->lock);
	dir->changed = clock_now_us();
	pthread_mutex_unlock(&dir->lock);
}

void dir_notify_pair(struct bltfs *fs, struct inode *dir, const char *name)
{
	char pair[512];

	snprintf(pair, sizeof(pair), "%s%%", name);
	notify_queue_entry(fs->notify_queue, dir, name);
	notify_queue_entry(fs->notify_queue, dir, pair);
}

/* Only then: an invalidation wants the lock of the directory, whose holder may
 * wait for us, and should we be killed in that moment, nobody can end it. */
void dir_notify_left(struct bltfs *fs, struct inode *dir, const char *name,
		     const void *prefix, size_t len)
{
	struct blt_stat st;

	if (blt_stat_key(fs->store, prefix, len - 1, &st) == 0)
		dir_notify_pair(fs, dir, name);
}

/* ---- lookup ---- */

static int fill_fresh(const struct inode *inode, struct blt_node *ret)
{
	uint8_t *key = malloc(inode->key_len + 1);

	if (!key)
		return -ENOMEM;
	memcpy(key, inode->key, inode->key_len);
	*ret = (struct blt_node){
		.kind = BLT_FILE,
		.key = key,
		.key_len = inode->key_len,
		.hash = inode->hash,
		.sure = true,
	};
	return 0;
}

/* A file goes from fresh to stored, never back: so whoever asks for the fresh
 * ones first misses none. */
int dir_resolve(struct bltfs *fs, struct inode *dir, const char *name,
		struct blt_node *ret, struct inode **ret_inode)
{
	struct inode *inode =
		inodes_find_fresh(fs->inodes, dir->key, dir->key_len, name);
	int rc;

	if (inode) {
		rc = fill_fresh(inode, ret);
		if (rc < 0)
			inodes_put(fs->inodes, inode, 1);
		else
			*ret_inode = inode;
		return rc;
	}
	rc = blt_ns_lookup(fs->ns, dir->key, dir->key_len, name, strlen(name),
			   ret);
	if (rc == 0)
		*ret_inode = inodes_find(fs->inodes, ret->kind, ret->key,
					 ret->key_len, ret->hash);
	return rc;
}

/* Before the walk's end a lookup may have to wait for it, which nobody may who
 * holds names.  If the directory was moved meanwhile: again. */
static int resolve_early(struct bltfs *fs, struct inode *dir, const char *name,
			 struct blt_node *ret)
{
	size_t len = dir->key_len;
	uint8_t *key = malloc(len + 1);
	uint64_t moves = atomic_load(&fs->moves);
	int rc;

	if (!key)
		return -ENOMEM;
	memcpy(key, dir->key, len);
	bltfs_leave_names(fs);
	rc = blt_ns_lookup(fs->ns, key, len, name, strlen(name), ret);
	bltfs_share_names(fs);
	free(key);
	if (moves == atomic_load(&fs->moves))
		return rc;
	if (rc == 0)
		free(ret->key);
	return -EAGAIN;
}

static int make_found(struct bltfs *fs, struct inode *dir,
		      const struct blt_node *found, struct dir_found *ret)
{
	struct inode *inode;
	int rc;

	rc = inodes_get(fs->inodes, found->kind, found->key, found->key_len,
			dir->key_len, found->hash, &inode);
	if (rc < 0)
		return rc;
	rc = attr_get(fs, inode, &found->stat, &ret->st);
	if (rc < 0) {
		inodes_put(fs->inodes, inode, 1);
		return rc == -ESTALE ? -ENOENT : rc;
	}
	ret->inode = inode;
	ret->sure = found->sure;
	return 0;
}

int dir_lookup(struct bltfs *fs, struct inode *dir, const char *name,
	       struct dir_found *ret)
{
	struct blt_node found;
	struct inode *inode = NULL;
	int rc;

	bltfs_share_names(fs);
	if (dir_is_complete(fs) ||
	    inodes_has_fresh(fs->inodes, dir->key, dir->key_len, name)) {
		rc = dir_resolve(fs, dir, name, &found, &inode);
	} else {
		do
			rc = resolve_early(fs, dir, name, &found);
		while (rc == -EAGAIN);
	}
	if (rc == 0) {
		rc = make_found(fs, dir, &found, ret);
		free(found.key);
	}
	bltfs_leave_names(fs);
	inodes_put(fs->inodes, inode, 1);
	if (rc == -ENOENT)
		absent_note(fs->absent, dir, name);
	return rc;
}

/* ---- new names; names is held ---- */

/* Once: a tree that is copied may have many such names. */
static void say_not_text(struct bltfs *fs, const char *name)
{
	char text[4 * 255 + 1], *to = text;

	if (atomic_exchange(&fs->told_text, true))
		return;
	for (size_t i = 0; i < 255 && name[i]; i++) {
		unsigned char c = (unsigned char)name[i];

		if (c >= ' ' && c < 0x7f)
			*to++ = (char)c;
		else
			to += sprintf(to, "\\x%02x", c);
	}
	*to = '\0';
	log_warn(
		"%s: cannot be a name here: the store's keys are text (str), and this is not UTF-8 (logged for the first such name)",
		text);
}

int dir_new_key(struct bltfs *fs, struct inode *dir, const char *name,
		enum blt_kind kind, uint8_t **ret_key, size_t *ret_len)
{
	int rc = blt_ns_key(fs->ns, dir->key, dir->key_len, name, strlen(name),
			    kind, ret_key, ret_len);

	if (rc == -EILSEQ)
		say_not_text(fs, name);
	return rc;
}

int dir_stat_file(struct bltfs *fs, const void *key, size_t len,
		  struct blt_stat *ret)
{
	struct blt_stat marker;
	int rc = blt_stat_key(fs->store, key, len, ret);

	if (rc == 0 && blt_ns_marker(fs->ns, key, len, &marker) == 1)
		rc = -ENOENT;
	return rc;
}

/* The key of a new name: of one that was looked up a moment ago, and is none,
 * the store is not asked again. */
static int free_key(struct bltfs *fs, struct inode *dir, const char *name,
		    enum blt_kind kind, uint8_t **ret_key, size_t *ret_len)
{
	struct blt_stat st;
	int rc;

	if (kind == BLT_FILE && absent_take(fs->absent, dir, name) &&
	    blt_ns_key_of_none(fs->ns, dir->key, dir->key_len, name,
			       strlen(name), ret_key, ret_len) == 0)
		return 0;
	rc = dir_new_key(fs, dir, name, kind, ret_key, ret_len);
	if (rc < 0)
		return rc;
	rc = kind == BLT_FILE ?
		     dir_stat_file(fs, *ret_key, *ret_len, &st) :
		     blt_stat_key(fs->store, *ret_key, *ret_len, &st);
	if (rc == -ENOENT)
		return 0;
	free(*ret_key);
	return rc == 0 ? -EEXIST : rc;
}

/* Kind, key and inode for a name that nothing has. */
static int claim(struct bltfs *fs, struct inode *dir, const char *name,
		 enum blt_kind kind, struct inode **ret)
{
	struct inode *fresh;
	uint8_t *key;
	size_t len;
	int rc;

	fresh = inodes_find_fresh(fs->inodes, dir->key, dir->key_len, name);
	inodes_put(fs->inodes, fresh, 1);
	if (fresh)
		return -EEXIST;
	rc = free_key(fs, dir, name, kind, &key, &len);
	if (rc < 0)
		return rc;
	rc = inodes_get(fs->inodes, kind, key, len, dir->key_len,
			hash_of(kind, key, len), ret);
	free(key);
	return rc;
}

/* A new key; where others change the store, it is so at that moment too. */
static int put_new(struct bltfs *fs, const struct inode *inode,
		   const void *value, size_t len)
{
	struct blt_batch *b;
	int rc;

	if (!fs->info.shared)
		return blt_put(fs->store, inode->key, inode->key_len, value,
			       len, BLT_NOW);
	rc = blt_batch_new(fs->store, &b);
	if (rc < 0)
		return rc;
	rc = blt_batch_absent(b, inode->key, inode->key_len);
	if (rc == 0)
		rc = blt_batch_put(b, inode->key, inode->key_len, value, len,
				   BLT_NOW);
	if (rc == 0)
		return blt_batch_commit(b);
	blt_batch_abort(b);
	return rc;
}

static int store_value(struct bltfs *fs, struct inode *inode, const void *value,
		       size_t len)
{
	bool lost = invalidate_lost(fs, inode, false);
	int rc = put_new(fs, inode, value, len);

	if (lost)
		invalidate_back(fs, inode);
	return rc < 0 ? rc : syncer_commit(fs->syncer, inode->key_len + len);
}

/* What stands between a claimed inode and the answer: rc so far. */
static int answer_new(struct bltfs *fs, struct inode *dir, struct inode *inode,
		      int rc, struct dir_found *ret)
{
	if (rc == 0)
		rc = attr_get(fs, inode, NULL, &ret->st);
	if (rc < 0) {
		rights_drop(fs, inode);
		inodes_put(fs->inodes, inode, 1);
		return rc;
	}
	dir_changed(dir);
	ret->inode = inode;
	ret->sure = dir_is_complete(fs);
	return 0;
}

/* A file that nobody else has made, here or elsewhere: 1; 0: it need not be
 * put for that. */
static int make_exclusive(struct bltfs *fs, struct inode *inode)
{
	int rc;

	if (!fs->info.tokens || !fs->takes_empty ||
	    inode->key_len == inode->dir_len)
		return 0;
	rc = put_new(fs, inode, "", 0);
	if (rc == 0)
		rc = syncer_commit(fs->syncer, inode->key_len);
	return rc < 0 ? rc : 1;
}

static int make_file(struct bltfs *fs, struct inode *inode, const char *name,
		     enum dir_make how)
{
	int rc = how != DIR_LATER ? make_exclusive(fs, inode) : 0;

	if (rc < 0)
		return rc;
	if (how == DIR_NOW)
		return rc ? 0 : content_make(fs, inode);
	return content_create(fs, inode, rc ? NULL : name);
}

int dir_create(struct bltfs *fs, struct inode *dir, const char *name,
	       const struct rights *who, enum dir_make how,
	       struct dir_found *ret)
{
	struct inode *inode;
	int rc;

	bltfs_share_names(fs);
	rc = claim(fs, dir, name, BLT_FILE, &inode);
	if (rc == 0) {
		inode->link = LINK_NO;
		rc = rights_make(fs, dir, inode, who);
		if (rc == 0)
			rc = make_file(fs, inode, name, how);
		rc = answer_new(fs, dir, inode, rc, ret);
	}
	bltfs_leave_names(fs);
	return rc;
}

int dir_symlink(struct bltfs *fs, struct inode *dir, const char *name,
		const struct rights *who, const char *target,
		struct dir_found *ret)
{
	uint8_t value[BLT_LINK_LEN];
	struct inode *inode;
	int rc;

	if (!fs->takes_links)
		return -EPERM;
	rc = blt_link_write(target, value);
	if (rc < 0)
		return rc;
	bltfs_share_names(fs);
	rc = claim(fs, dir, name, BLT_FILE, &inode);
	if (rc == 0) {
		inode->link = LINK_UNKNOWN;
		rc = rights_make(fs, dir, inode, who);
		if (rc == 0)
			rc = store_value(fs, inode, value, sizeof(value));
		rc = answer_new(fs, dir, inode, rc, ret);
	}
	bltfs_leave_names(fs);
	return rc;
}

/* In the store, or in memory as long as the mount lives. */
static int make_dir(struct bltfs *fs, struct inode *inode)
{
	int rc;

	if (fs->takes_empty)
		return store_value(fs, inode, "", 0);
	rc = blt_ns_hold(fs->ns, inode->key, inode->key_len, true);
	if (rc == 0)
		inodes_hold(fs->inodes, inode, true);
	return rc;
}

int dir_mkdir(struct bltfs *fs, struct inode *dir, const char *name,
	      const struct rights *who, struct dir_found *ret)
{
	struct inode *inode;
	int rc;

	bltfs_share_names(fs);
	rc = claim(fs, dir, name, BLT_DIR, &inode);
	if (rc == 0) {
		rc = rights_make(fs, dir, inode, who);
		if (rc == 0)
			rc = make_dir(fs, inode);
		rc = answer_new(fs, dir, inode, rc, ret);
	}
	bltfs_leave_names(fs);
	return rc;
}

/* ---- times ---- */

static int touch_marker(struct bltfs *fs, struct inode *dir, int64_t mtime)
{
	struct blt_stat st;
	int rc = blt_ns_marker(fs->ns, dir->key, dir->key_len, &st);

	if (rc == 1)
		return blt_touch(fs->store, dir->key, dir->key_len, mtime);
	rc = blt_stat_key(fs->store, dir->key, dir->key_len, &st);
	if (rc == -ENOENT && fs->takes_empty)
		return blt_put(fs->store, dir->key, dir->key_len, "", 0, mtime);
	return -ENOTSUP;
}

int dir_touch(struct bltfs *fs, struct inode *dir, int64_t mtime)
{
	int rc = -ENOTSUP;

	bltfs_share_names(fs);
	if (dir->key_len && fs->info.has_timestamps && !dir->gone)
		rc = touch_marker(fs, dir, mtime);
	if (rc == 0)
		rc = syncer_commit(fs->syncer, dir->key_len);
	if (rc == 0 || rc == -ENOTSUP) {
		pthread_mutex_lock(&dir->lock);
		/* where no marker keeps it, as long as the inode lives */
		dir->changed = rc == 0 ? 0 : mtime;
		pthread_mutex_unlock(&dir->lock);
		rc = 0;
	}
	bltfs_leave_names(fs);
	return rc;
}
