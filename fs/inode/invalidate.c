#include "inode/cache_validity.h"

#include "main/clock.h"
#include "dir/dir.h"
#include "inode/notify_queue.h"
#include "file/content.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A name came or went: it, what it conflicts with, and the listing. */
static void name_changed(struct bltfs *fs, struct inode *dir, const char *name)
{
	dir_notify_pair(fs, dir, name);
	notify_queue_inode(fs->notify_queue, dir);
	dir_changed(dir);
}

static bool is_there(struct bltfs *fs, const uint8_t *key, size_t len)
{
	struct blt_stat st;

	return blt_stat_key(fs->store, key, len, &st) != -ENOENT;
}

static bool dir_is_there(struct bltfs *fs, const uint8_t *prefix, size_t len)
{
	struct blt_dir_facts facts;

	return blt_ns_dir(fs->ns, prefix, len, &facts) != -ENOENT;
}

/* The file of that key in a directory that the kernel knows. */
static void file_changed(struct bltfs *fs, struct inode *dir,
			 const uint8_t *key, size_t len)
{
	struct inode *inode = inodes_find(fs->inodes, BLT_FILE, key, len,
					  blt_key_hash(key, len));
	bool link = false, known = inode != NULL;
	char name[256];

	if (inode) {
		writeback_drop(inode);
		pthread_mutex_lock(&inode->lock);
		link = inode->link == LINK_YES;
		pthread_mutex_unlock(&inode->lock);
		notify_queue_inode(fs->notify_queue, inode);
		/* what is no link any more wants another inode */
		if (link)
			inodes_unindex(fs->inodes, inode);
		inodes_put(fs->inodes, inode, 1);
	}
	if (known && !link && is_there(fs, key, len))
		return;
	if (blt_ns_name(fs->ns, key, len, BLT_FILE, name) == 0)
		name_changed(fs, dir, name);
}

/* Goes down from the root as far as the kernel knows directories that are
 * still there; where that ends, a name came or went. */
static void walk(struct bltfs *fs, const uint8_t *key, size_t len)
{
	struct inode *dir = inodes_root(fs->inodes), *child;
	size_t at = 0;
	char name[256];

	for (;;) {
		const uint8_t *slash = memchr(key + at, '/', len - at);
		size_t next = slash ? (size_t)(slash - key) + 1 : 0;

		if (!slash || blt_ns_name(fs->ns, key, next, BLT_DIR, name)) {
			if (at < len)
				file_changed(fs, dir, key, len);
			break;
		}
		child = inodes_find_dir(fs->inodes, key, next);
		if (!child || !dir_is_there(fs, key, next)) {
			name_changed(fs, dir, name);
			inodes_put(fs->inodes, child, 1);
			break;
		}
		inodes_put(fs->inodes, dir, 1);
		dir = child;
		at = next;
	}
	inodes_put(fs->inodes, dir, 1);
}

/* What the kernel does not know it need not forget. */
void invalidate_any(struct bltfs *fs)
{
	struct inode **list;
	size_t n;

	if (blt_ns_wait(fs->ns) < 0)
		return;
	atomic_store(&fs->changed, true);
	if (inodes_all(fs->inodes, &list, &n) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		struct inode *inode = list[i];

		bltfs_share_names(fs);
		if (inode->kind == BLT_DIR)
			notify_queue_inode(fs->notify_queue, inode);
		if (!inode->gone && inode->key_len)
			walk(fs, inode->key, inode->key_len);
		bltfs_leave_names(fs);
		inodes_put(fs->inodes, inode, 1);
	}
	free(list);
}

void invalidate_key(struct bltfs *fs, const void *key, size_t len)
{
	if (blt_ns_wait(fs->ns) < 0)
		return;
	atomic_store(&fs->changed, true);
	bltfs_share_names(fs);
	walk(fs, key, len);
	bltfs_leave_names(fs);
}

bool invalidate_lost(struct bltfs *fs, struct inode *inode, bool stored)
{
	if (!atomic_load(&fs->changed))
		return false;
	if (stored && !is_there(fs, inode->key, inode->key_len))
		return true;
	return inode->dir_len && !dir_is_there(fs, inode->key, inode->dir_len);
}

void invalidate_back(struct bltfs *fs, struct inode *inode)
{
	struct inode *dir = inodes_root(fs->inodes), *child;
	const uint8_t *key = inode->key;
	size_t len = inode->key_len, to = 0;
	char name[256];

	do {
		const uint8_t *slash = memchr(key + to, '/', len - to);
		enum blt_kind kind =
			slash && inode->dir_len ? BLT_DIR : BLT_FILE;

		to = kind == BLT_DIR ? (size_t)(slash - key) + 1 : len;
		if (blt_ns_name(fs->ns, key, to, kind, name) == 0) {
			dir_notify_pair(fs, dir, name);
			notify_queue_inode(fs->notify_queue, dir);
		}
		child = to < len ? inodes_find_dir(fs->inodes, key, to) : NULL;
		inodes_put(fs->inodes, dir, 1);
		dir = child;
	} while (dir);
}
