#include "inode/changed.h"

#include "main/clock.h"
#include "dir/dir.h"
#include "inode/notify.h"
#include "file/staged.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A name came or went: it, what it conflicts with, and the listing. */
static void name_changed(struct bltfs *fs, struct node *dir, const char *name)
{
	dir_notify_pair(fs, dir, name);
	notify_inode(fs->notify, dir);
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
static void file_changed(struct bltfs *fs, struct node *dir, const uint8_t *key,
			 size_t len)
{
	struct node *node = nodes_find(fs->nodes, BLT_FILE, key, len,
				       blt_key_hash(key, len));
	bool link = false, known = node != NULL;
	char name[256];

	if (node) {
		staged_drop(node);
		pthread_mutex_lock(&node->lock);
		link = node->link == LINK_YES;
		pthread_mutex_unlock(&node->lock);
		notify_inode(fs->notify, node);
		/* what is no link any more wants another inode */
		if (link)
			nodes_unindex(fs->nodes, node);
		nodes_put(fs->nodes, node, 1);
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
	struct node *dir = nodes_root(fs->nodes), *child;
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
		child = nodes_find_dir(fs->nodes, key, next);
		if (!child || !dir_is_there(fs, key, next)) {
			name_changed(fs, dir, name);
			nodes_put(fs->nodes, child, 1);
			break;
		}
		nodes_put(fs->nodes, dir, 1);
		dir = child;
		at = next;
	}
	nodes_put(fs->nodes, dir, 1);
}

/* What the kernel does not know it need not forget. */
void changed_any(struct bltfs *fs)
{
	struct node **list;
	size_t n;

	if (blt_ns_wait(fs->ns) < 0)
		return;
	atomic_store(&fs->changed, true);
	if (nodes_all(fs->nodes, &list, &n) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		struct node *node = list[i];

		bltfs_share_names(fs);
		if (node->kind == BLT_DIR)
			notify_inode(fs->notify, node);
		if (!node->gone && node->key_len)
			walk(fs, node->key, node->key_len);
		bltfs_leave_names(fs);
		nodes_put(fs->nodes, node, 1);
	}
	free(list);
}

void changed_key(struct bltfs *fs, const void *key, size_t len)
{
	if (blt_ns_wait(fs->ns) < 0)
		return;
	atomic_store(&fs->changed, true);
	bltfs_share_names(fs);
	walk(fs, key, len);
	bltfs_leave_names(fs);
}

bool changed_lost(struct bltfs *fs, struct node *node, bool stored)
{
	if (!atomic_load(&fs->changed))
		return false;
	if (stored && !is_there(fs, node->key, node->key_len))
		return true;
	return node->dir_len && !dir_is_there(fs, node->key, node->dir_len);
}

void changed_back(struct bltfs *fs, struct node *node)
{
	struct node *dir = nodes_root(fs->nodes), *child;
	const uint8_t *key = node->key;
	size_t len = node->key_len, to = 0;
	char name[256];

	do {
		const uint8_t *slash = memchr(key + to, '/', len - to);
		enum blt_kind kind =
			slash && node->dir_len ? BLT_DIR : BLT_FILE;

		to = kind == BLT_DIR ? (size_t)(slash - key) + 1 : len;
		if (blt_ns_name(fs->ns, key, to, kind, name) == 0) {
			dir_notify_pair(fs, dir, name);
			notify_inode(fs->notify, dir);
		}
		child = to < len ? nodes_find_dir(fs->nodes, key, to) : NULL;
		nodes_put(fs->nodes, dir, 1);
		dir = child;
	} while (dir);
}
