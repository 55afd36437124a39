#include "dir/mapping.h"

#include "file/content.h"
#include "dir/dir.h"
#include "main/log.h"
#include "inode/syncer.h"
#include "base/array.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct key {
	uint8_t *bytes;
	size_t len;
};

struct keys {
	struct key *key;
	size_t n, room;
	uint64_t bytes;
};

/* ---- keys below a prefix ---- */

static void keys_clear(struct keys *k)
{
	for (size_t i = 0; i < k->n; i++)
		free(k->key[i].bytes);
	free(k->key);
	*k = (struct keys){ 0 };
}

static int keys_add(void *arg, const uint8_t *key, size_t len,
		    uint64_t value_len)
{
	struct keys *k = arg;
	uint8_t *copy;

	k->bytes += len + value_len;
	if (k->n == MAPPING_MAX_KEYS || k->bytes > MAPPING_MAX_BYTES)
		return -EXDEV;
	if (ARRAY_ROOM(k->key, k->room, k->n + 1) < 0)
		return -ENOMEM;
	copy = malloc(len + 1);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, key, len);
	k->key[k->n++] = (struct key){ copy, len };
	return 0;
}

static int keys_collect(struct bltfs *fs, const struct mapping *m,
			struct keys *to)
{
	int rc;

	if (m->kind == BLT_FILE)
		return keys_add(to, m->from, m->from_len, 0);
	rc = blt_ns_walk(fs->ns, m->from, m->from_len, keys_add, to);
	return rc == -ENOENT ? 0 : rc;
}

/* ---- mappings ---- */

bool mapping_covers(const struct mapping *m, enum blt_kind kind,
		    const uint8_t *key, size_t len)
{
	if (m->kind == BLT_FILE)
		return kind == BLT_FILE && len == m->from_len &&
		       memcmp(key, m->from, len) == 0;
	return len >= m->from_len && memcmp(key, m->from, m->from_len) == 0;
}

static int map_key(const struct mapping *m, const uint8_t *key, size_t len,
		   struct key *ret)
{
	size_t rest = len - m->from_len;
	uint8_t *bytes;

	if (m->to_len + rest > BLT_KEY_MAX)
		return -ENAMETOOLONG;
	bytes = malloc(m->to_len + rest + 1);
	if (!bytes)
		return -ENOMEM;
	memcpy(bytes, m->to, m->to_len);
	memcpy(bytes + m->to_len, key + m->from_len, rest);
	*ret = (struct key){ bytes, m->to_len + rest };
	return 0;
}

/* Adds one key's move.  In an exchange a key whose counterpart is there too is
 * swapped with it, once: by the first mapping. */
static int batch_key(struct bltfs *fs, struct blt_batch *batch,
		     const struct mapping *m, const struct key *key,
		     bool exchange, bool first)
{
	struct blt_stat st;
	struct key to;
	int rc = map_key(m, key->bytes, key->len, &to);

	if (rc < 0)
		return rc;
	if (exchange && blt_stat_key(fs->store, to.bytes, to.len, &st) == 0)
		rc = !first ? 0 :
			      blt_batch_exchange(batch, key->bytes, key->len,
						 to.bytes, to.len);
	else
		rc = blt_batch_rename(batch, key->bytes, key->len, to.bytes,
				      to.len);
	free(to.bytes);
	return rc;
}

static int batch_mapping(struct bltfs *fs, struct blt_batch *batch,
			 const struct mapping *m, bool exchange, bool first)
{
	struct keys keys = { 0 };
	int rc = keys_collect(fs, m, &keys);

	for (size_t i = 0; rc == 0 && i < keys.n; i++)
		rc = batch_key(fs, batch, m, &keys.key[i], exchange, first);
	keys_clear(&keys);
	return rc;
}

/* ---- inodes ---- */

/* A long component's name is a hash of the whole key up to it, so it changes
 * with the directory above: what the kernel has under the old one must go.
 * Empty for all others. */
static void long_name(struct bltfs *fs, const struct inode *inode,
		      char name[256])
{
	size_t len = 2 + 26; /* %~ and the hash; not the suffix of a conflict */

	/* a byte takes at most three in a name */
	if (inode->key_len - inode->dir_len < 255 / 3 ||
	    blt_ns_name(fs->ns, inode->key, inode->key_len, inode->kind, name) <
		    0 ||
	    strncmp(name, "%~", 2) != 0)
		len = 0;
	name[len] = '\0';
}

static void drop_name(struct bltfs *fs, const struct inode *inode,
		      const char *name)
{
	struct inode *dir;

	if (!name[0])
		return;
	dir = inodes_find_dir(fs->inodes, inode->key, inode->dir_len);
	if (dir)
		dir_notify_pair(fs, dir, name);
	inodes_put(fs->inodes, dir, 1);
}

int mapping_rekey(struct bltfs *fs, struct inode *inode,
		  const struct mapping *m)
{
	bool self = inode->kind == m->kind && inode->key_len == m->from_len;
	bool held = inode->held && !inode->gone;
	char old_name[256];
	struct key to;
	int rc = map_key(m, inode->key, inode->key_len, &to);

	if (rc < 0)
		return rc;
	long_name(fs, inode, old_name);
	if (held)
		blt_ns_hold(fs->ns, inode->key, inode->key_len, false);
	rc = inodes_rekey(
		fs->inodes, inode, to.bytes, to.len,
		self ? m->to_dir_len : inode->dir_len - m->from_len + m->to_len,
		blt_key_hash(to.bytes,
			     inode->kind == BLT_DIR ? to.len - 1 : to.len));
	if (held)
		blt_ns_hold(fs->ns, inode->key, inode->key_len, true);
	if (!self)
		drop_name(fs, inode, old_name);
	free(to.bytes);
	return rc;
}

static int by_length(const void *a, const void *b)
{
	const struct inode *x = *(struct inode *const *)a;
	const struct inode *y = *(struct inode *const *)b;

	return (x->key_len > y->key_len) - (x->key_len < y->key_len);
}

/* Nodes that the store's change has overtaken must follow; an upper directory
 * first, so that what is held finds its own directory held. */
void mapping_rekey_all(struct bltfs *fs, const struct mapping *m, size_t n_m)
{
	struct inode **list;
	size_t n;
	int rc = inodes_all(fs->inodes, &list, &n);

	if (rc < 0) {
		log_error(
			"a rename is done, but open files were lost on the way: out of memory");
		return;
	}
	qsort(list, n, sizeof(*list), by_length);
	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < n_m && !list[i]->gone; j++) {
			if (!mapping_covers(&m[j], list[i]->kind, list[i]->key,
					    list[i]->key_len))
				continue;
			rc = mapping_rekey(fs, list[i], &m[j]);
			if (rc < 0)
				content_lose(fs, list[i], rc);
			break;
		}
		inodes_put(fs->inodes, list[i], 1);
	}
	free(list);
}

/* ---- records of directories ---- */

/* The names have moved; where a record cannot, it is lost alone. */
static void move_rights(struct bltfs *fs, const void *from, size_t len,
			const void *to, size_t to_len)
{
	if (fs->keeps_attrs)
		(void)blt_attrs_move(fs->store, from, len, to, to_len);
}

void mapping_move_rights(struct bltfs *fs, const struct mapping *m)
{
	if (m->kind != BLT_DIR || !fs->keeps_attrs)
		return;
	move_rights(fs, m->from, m->from_len, m->to, m->to_len);
	(void)blt_flush(fs->store);
}

static bool both_dirs(const struct mapping m[2])
{
	return m[0].kind == BLT_DIR && m[1].kind == BLT_DIR;
}

void mapping_exchange_rights(struct bltfs *fs, const struct mapping m[2])
{
	if (both_dirs(m))
		return; /* the batch did it */
	mapping_move_rights(fs, &m[0]);
	mapping_move_rights(fs, &m[1]);
}

/* ---- the store ---- */

/* Applies the mappings to the store. */
int mapping_apply(struct bltfs *fs, const struct mapping *m, size_t n,
		  struct inode *left, struct inode *entered)
{
	struct blt_batch *batch;
	int rc = blt_batch_new(fs->store, &batch);

	if (rc < 0)
		return rc;
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = batch_mapping(fs, batch, &m[i], n > 1, i == 0);
	if (rc == 0 && n == 2 && both_dirs(m))
		rc = blt_batch_exchange_attrs(batch, m[0].from, m[0].from_len,
					      m[1].from, m[1].from_len);
	if (rc == 0 && left != entered && n == 1)
		rc = dir_keep(fs, batch, left);
	if (rc < 0) {
		blt_batch_abort(batch);
		return rc;
	}
	return syncer_names(fs->syncer, batch);
}
