#include "dir/dir.h"

#include "blt_seq.h"
#include "file/content.h"
#include "dir/mapping.h"
#include "inode/notify_queue.h"
#include "inode/syncer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- one side of a rename ---- */

struct side {
	struct inode *dir;
	const char *name;
	enum blt_kind kind;
	uint8_t *key;
	size_t key_len;
	struct inode *inode; /* NULL: the kernel does not know it */
	bool stored;         /* a key is there (a directory: exists) */
	bool fresh;
};

static void side_release(struct bltfs *fs, struct side *s)
{
	free(s->key);
	inodes_put(fs->inodes, s->inode, 1);
}

static int side_find(struct bltfs *fs, struct side *s)
{
	struct blt_node found;
	int rc = dir_resolve(fs, s->dir, s->name, &found, &s->inode);

	if (rc < 0)
		return rc;
	s->kind = found.kind;
	s->key = found.key;
	s->key_len = found.key_len;
	s->fresh = s->inode && inodes_is_fresh(fs->inodes, s->inode);
	s->stored = !s->fresh;
	return 0;
}

/* The key that a file would have there, and what has it now.  Not a lookup,
 * which might wait for the walk. */
static int side_claim_file(struct bltfs *fs, struct side *s)
{
	struct blt_stat st;
	int rc;

	rc = dir_new_key(fs, s->dir, s->name, BLT_FILE, &s->key, &s->key_len);
	if (rc < 0)
		return rc;
	s->kind = BLT_FILE;
	rc = dir_stat_file(fs, s->key, s->key_len, &st);
	if (rc < 0 && rc != -ENOENT)
		return rc;
	s->stored = rc == 0;
	s->inode = inodes_find(fs->inodes, BLT_FILE, s->key, s->key_len,
			       blt_key_hash(s->key, s->key_len));
	s->fresh = s->inode && inodes_is_fresh(fs->inodes, s->inode);
	return 0;
}

static struct mapping side_mapping(const struct side *from,
				   const struct side *to)
{
	return (struct mapping){
		.kind = from->kind,
		.from = from->key,
		.from_len = from->key_len,
		.to = to->key,
		.to_len = to->key_len,
		.to_dir_len = to->dir->key_len,
	};
}

static void done(const struct side *a, const struct side *b)
{
	dir_changed(a->dir);
	if (b->dir != a->dir)
		dir_changed(b->dir);
}

/* The same behind a change of the store.  Where each is to be durable at once
 * and is not, the answer is an error, and the kernel must look at the names
 * again. */
static int written(struct bltfs *fs, const struct side *a, const struct side *b)
{
	int rc = syncer_done(fs->syncer, a->key_len + b->key_len);

	done(a, b);
	if (rc < 0) {
		notify_queue_entry(fs->notify_queue, a->dir, a->name);
		notify_queue_entry(fs->notify_queue, b->dir, b->name);
	}
	return rc;
}

/* ---- files ---- */

/* A file that is not stored yet, and whose content cannot be stored now (a
 * half-written JSON text), moves in memory alone. */
static int move_fresh(struct bltfs *fs, struct side *from, struct side *to)
{
	struct mapping m = side_mapping(from, to);
	int rc;

	rc = inodes_set_fresh(fs->inodes, from->inode, to->name);
	if (rc < 0)
		return rc;
	if (fs->keeps_attrs)
		(void)blt_attrs_move(fs->store, m.from, m.from_len, m.to,
				     m.to_len);
	rc = mapping_rekey(fs, from->inode, &m);
	if (rc < 0)
		return rc;
	done(from, to);
	return 0;
}

/* The value of a file that names a directory's marker must not be one. */
static int check_marker(struct bltfs *fs, struct side *from, struct side *to)
{
	struct blt_view v;
	int rc;

	if (to->key_len == 0 || to->key_len != to->dir->key_len)
		return 0;
	rc = blt_get(fs->store, from->key, from->key_len, &v);
	if (rc < 0)
		return rc;
	if (v.len == 0 || blt_seq_is_mark(v.data, v.len))
		rc = -EINVAL;
	blt_view_release(&v);
	return rc;
}

static int move_file(struct bltfs *fs, struct side *from, struct side *to,
		     bool no_replace)
{
	struct mapping m;
	int rc = side_claim_file(fs, to);

	if (rc < 0)
		return rc;
	if (no_replace && (to->stored || to->fresh))
		return -EEXIST;
	if (from->inode && from->inode == to->inode)
		return 0;
	if (from->inode) {
		rc = content_commit(fs, from->inode);
		if (rc < 0 && from->fresh)
			return to->stored || to->fresh ?
				       rc :
				       move_fresh(fs, from, to);
	}
	rc = check_marker(fs, from, to);
	if (rc == 0 && to->inode)
		rc = content_keep(fs, to->inode);
	if (rc < 0)
		return rc;
	m = side_mapping(from, to);
	rc = mapping_apply(fs, &m, 1, from->dir, to->dir);
	if (rc < 0) {
		if (to->inode)
			content_stays(to->inode);
		return rc;
	}
	if (to->inode)
		content_gone(fs, to->inode);
	rc = from->inode ? mapping_rekey(fs, from->inode, &m) : 0;
	if (rc < 0)
		content_lose(fs, from->inode, rc);
	return written(fs, from, to);
}

/* ---- directories ---- */

static int move_dir(struct bltfs *fs, struct side *from, struct side *to,
		    bool no_replace)
{
	struct mapping m;
	int rc = side_find(fs, to);

	if (rc == 0) {
		if (no_replace)
			return -EEXIST;
		if (to->kind != BLT_DIR)
			return -ENOTDIR;
		rc = dir_is_empty(fs, to->key, to->key_len);
		if (rc <= 0)
			return rc < 0 ? rc : -ENOTEMPTY;
	} else if (rc == -ENOENT) {
		rc = dir_new_key(fs, to->dir, to->name, BLT_DIR, &to->key,
				 &to->key_len);
		if (rc < 0)
			return rc;
	} else {
		return rc;
	}
	m = side_mapping(from, to);
	if (mapping_covers(&m, BLT_DIR, to->key, to->key_len))
		return to->key_len == from->key_len ? 0 : -EINVAL;
	rc = mapping_apply(fs, &m, 1, from->dir, to->dir);
	if (rc < 0)
		return rc;
	if (to->inode) {
		inodes_hold(fs->inodes, to->inode, false);
		content_gone(fs, to->inode);
	}
	atomic_fetch_add(&fs->moves, 1);
	mapping_move_rights(fs, &m);
	mapping_rekey_all(fs, &m, 1);
	dir_notify_left(fs, from->dir, from->name, from->key, from->key_len);
	return written(fs, from, to);
}

/* ---- exchange ---- */

/* Of a file and a directory that swap names, the file's key loses or the
 * directory's prefix gains the '/'.  A key beside a directory of its name
 * cannot be one. */
static int swap_kinds(struct bltfs *fs, struct side *a, struct side *b,
		      struct mapping m[2], uint8_t **ret_prefix)
{
	struct side *file = a->kind == BLT_FILE ? a : b;
	struct side *dir = a->kind == BLT_FILE ? b : a;
	size_t i = a->kind == BLT_FILE ? 0 : 1; /* the file's mapping */
	struct blt_dir_facts facts;
	struct blt_stat st;
	uint8_t *prefix;

	if (file->key_len == file->dir->key_len ||
	    blt_stat_key(fs->store, dir->key, dir->key_len - 1, &st) == 0)
		return -EINVAL;
	prefix = malloc(file->key_len + 1);
	if (!prefix)
		return -ENOMEM;
	memcpy(prefix, file->key, file->key_len);
	prefix[file->key_len] = '/';
	/* such a name waits for the walk already when it is looked up */
	if (file->name[strlen(file->name) - 1] == '%' &&
	    blt_ns_dir(fs->ns, prefix, file->key_len + 1, &facts) == 0) {
		free(prefix);
		return -EINVAL;
	}
	m[i].to_len = dir->key_len - 1;
	m[1 - i].to = prefix;
	m[1 - i].to_len = file->key_len + 1;
	*ret_prefix = prefix;
	return 0;
}

static int settle(struct bltfs *fs, struct side *s)
{
	int rc;

	if (!s->inode || s->kind != BLT_FILE)
		return 0;
	rc = content_commit(fs, s->inode);
	return s->fresh ? rc : 0;
}

static int exchange(struct bltfs *fs, struct side *a, struct side *b)
{
	uint8_t *prefix = NULL;
	struct mapping m[2];
	int rc = side_find(fs, b);

	if (rc == 0)
		rc = settle(fs, a);
	if (rc == 0)
		rc = settle(fs, b);
	if (rc < 0)
		return rc;
	m[0] = side_mapping(a, b);
	m[1] = side_mapping(b, a);
	if (mapping_covers(&m[0], b->kind, b->key, b->key_len) ||
	    mapping_covers(&m[1], a->kind, a->key, a->key_len))
		return a->key_len == b->key_len ? 0 : -EINVAL;
	if (a->kind != b->kind)
		rc = swap_kinds(fs, a, b, m, &prefix);
	if (rc == 0)
		rc = mapping_apply(fs, m, 2, a->dir, b->dir);
	if (rc == 0) {
		mapping_exchange_rights(fs, m);
		atomic_fetch_add(&fs->moves, 1);
		mapping_rekey_all(fs, m, 2);
		rc = written(fs, a, b);
	}
	free(prefix);
	return rc;
}

/* ---- the interface ---- */

/* Whether the tree must be whole before names is taken.  What a long value
 * takes until it is durable is waited for here, too. */
static int kind_of(struct bltfs *fs, struct inode *dir, const char *name,
		   enum blt_kind *ret)
{
	struct inode *inode = NULL;
	struct blt_node found;
	int rc;

	bltfs_share_names(fs);
	rc = dir_resolve(fs, dir, name, &found, &inode);
	bltfs_leave_names(fs);
	if (rc < 0)
		return rc;
	*ret = found.kind;
	/* where it fails, so does the rename */
	if (found.kind == BLT_FILE)
		(void)blt_prepare_rename(fs->store, found.key, found.key_len);
	free(found.key);
	inodes_put(fs->inodes, inode, 1);
	return 0;
}

int move_name(struct bltfs *fs, struct inode *from_dir, const char *from,
	      struct inode *to_dir, const char *to, unsigned flags)
{
	struct side a = { .dir = from_dir, .name = from };
	struct side b = { .dir = to_dir, .name = to };
	bool no_replace = flags & RENAME_NOREPLACE;
	enum blt_kind kind;
	int rc;

	if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE) ||
	    flags == (RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	rc = kind_of(fs, from_dir, from, &kind);
	if (rc == 0 && (kind == BLT_DIR || flags & RENAME_EXCHANGE))
		rc = blt_ns_wait(fs->ns);
	if (rc < 0)
		return rc;
	bltfs_own_names(fs);
	rc = side_find(fs, &a);
	if (rc == 0 && a.kind != kind)
		rc = -EAGAIN;
	else if (rc == 0 && flags & RENAME_EXCHANGE)
		rc = exchange(fs, &a, &b);
	else if (rc == 0 && kind == BLT_DIR)
		rc = move_dir(fs, &a, &b, no_replace);
	else if (rc == 0)
		rc = move_file(fs, &a, &b, no_replace);
	bltfs_leave_names(fs);
	side_release(fs, &a);
	side_release(fs, &b);
	return rc;
}
