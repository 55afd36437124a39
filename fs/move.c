/* A move is one mapping of keys (of a file, or of all that begins with a
 * directory's prefix), an exchange is two.  The mappings are applied to the
 * store in one batch, and then to the nodes.
 */
#include "move.h"

#include "dir.h"
#include "content.h"
#include "log.h"
#include "syncer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct mapping {
	enum blt_kind kind;
	const uint8_t *from, *to; /* keys, or prefixes */
	size_t from_len, to_len;
	size_t to_dir_len;
};

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
	if (k->n == MOVE_MAX_KEYS || k->bytes > MOVE_MAX_BYTES)
		return -EXDEV;
	if (k->n == k->room) {
		size_t room = k->room ? k->room * 2 : 64;
		struct key *more = realloc(k->key, room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		k->key = more;
		k->room = room;
	}
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

static bool maps(const struct mapping *m, enum blt_kind kind,
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

/* ---- nodes ---- */

/* A long component's name is a hash of the whole key up to it, so it changes
 * with the directory above: what the kernel has under the old one must go.
 * Empty for all others. */
static void long_name(struct bltfs *fs, const struct node *node, char name[256])
{
	size_t len = 2 + 26; /* %~ and the hash; not the suffix of a conflict */

	/* a byte takes at most three in a name */
	if (node->key_len - node->dir_len < 255 / 3 ||
	    blt_ns_name(fs->ns, node->key, node->key_len, node->kind, name) <
		    0 ||
	    strncmp(name, "%~", 2) != 0)
		len = 0;
	name[len] = '\0';
}

static void drop_name(struct bltfs *fs, const struct node *node,
		      const char *name)
{
	struct node *dir;

	if (!name[0])
		return;
	dir = nodes_find_dir(fs->nodes, node->key, node->dir_len);
	if (dir)
		dir_notify_pair(fs, dir, name);
	nodes_put(fs->nodes, dir, 1);
}

static int rekey(struct bltfs *fs, struct node *node, const struct mapping *m)
{
	bool self = node->kind == m->kind && node->key_len == m->from_len;
	bool held = node->held && !node->gone;
	char old_name[256];
	struct key to;
	int rc = map_key(m, node->key, node->key_len, &to);

	if (rc < 0)
		return rc;
	long_name(fs, node, old_name);
	if (held)
		blt_ns_hold(fs->ns, node->key, node->key_len, false);
	rc = nodes_rekey(
		fs->nodes, node, to.bytes, to.len,
		self ? m->to_dir_len : node->dir_len - m->from_len + m->to_len,
		blt_key_hash(to.bytes,
			     node->kind == BLT_DIR ? to.len - 1 : to.len));
	if (held)
		blt_ns_hold(fs->ns, node->key, node->key_len, true);
	if (!self)
		drop_name(fs, node, old_name);
	free(to.bytes);
	return rc;
}

static int by_length(const void *a, const void *b)
{
	const struct node *x = *(struct node *const *)a;
	const struct node *y = *(struct node *const *)b;

	return (x->key_len > y->key_len) - (x->key_len < y->key_len);
}

/* Nodes that the store's change has overtaken must follow; an upper directory
 * first, so that what is held finds its own directory held. */
static void rekey_nodes(struct bltfs *fs, const struct mapping *m, size_t n_m)
{
	struct node **list;
	size_t n;
	int rc = nodes_all(fs->nodes, &list, &n);

	if (rc < 0) {
		log_error(
			"a rename is done, but open files were lost on the way: out of memory");
		return;
	}
	qsort(list, n, sizeof(*list), by_length);
	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < n_m && !list[i]->gone; j++) {
			if (!maps(&m[j], list[i]->kind, list[i]->key,
				  list[i]->key_len))
				continue;
			if (rekey(fs, list[i], &m[j]) < 0)
				content_gone(fs, list[i]);
			break;
		}
		nodes_put(fs->nodes, list[i], 1);
	}
	free(list);
}

/* ---- one side of a rename ---- */

struct side {
	struct node *dir;
	const char *name;
	enum blt_kind kind;
	uint8_t *key;
	size_t key_len;
	struct node *node; /* NULL: the kernel does not know it */
	bool stored;       /* a key is there (a directory: exists) */
	bool fresh;
};

static void side_release(struct bltfs *fs, struct side *s)
{
	free(s->key);
	nodes_put(fs->nodes, s->node, 1);
}

static int side_find(struct bltfs *fs, struct side *s)
{
	struct blt_node found;
	int rc = dir_resolve(fs, s->dir, s->name, &found, &s->node);

	if (rc < 0)
		return rc;
	s->kind = found.kind;
	s->key = found.key;
	s->key_len = found.key_len;
	s->fresh = s->node && nodes_is_fresh(fs->nodes, s->node);
	s->stored = !s->fresh;
	return 0;
}

/* The key that a file would have there, and what has it now.  Not a lookup,
 * which might wait for the walk. */
static int side_claim_file(struct bltfs *fs, struct side *s)
{
	struct blt_stat st;
	int rc;

	if (s->dir->key_len == 0 && fs->opts->control &&
	    strcmp(s->name, fs->opts->control) == 0)
		return -EPERM;
	rc = blt_ns_key(fs->ns, s->dir->key, s->dir->key_len, s->name,
			strlen(s->name), BLT_FILE, &s->key, &s->key_len);
	if (rc < 0)
		return rc;
	s->kind = BLT_FILE;
	rc = blt_stat_key(fs->store, s->key, s->key_len, &st);
	if (rc < 0 && rc != -ENOENT)
		return rc;
	s->stored = rc == 0;
	s->node = nodes_find(fs->nodes, BLT_FILE, s->key, s->key_len,
			     blt_key_hash(s->key, s->key_len));
	s->fresh = s->node && nodes_is_fresh(fs->nodes, s->node);
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

static void done(struct bltfs *fs, const struct side *a, const struct side *b)
{
	dir_changed(a->dir);
	if (b->dir != a->dir)
		dir_changed(b->dir);
	syncer_wrote(fs->syncer, a->key_len + b->key_len);
}

/* Applies the mappings to the store. */
static int apply(struct bltfs *fs, const struct mapping *m, size_t n,
		 struct node *left, struct node *entered)
{
	struct blt_batch *batch;
	int rc = blt_batch_new(fs->store, &batch);

	if (rc < 0)
		return rc;
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = batch_mapping(fs, batch, &m[i], n > 1, i == 0);
	if (rc == 0 && left != entered && n == 1)
		rc = dir_keep(fs, batch, left);
	if (rc < 0) {
		blt_batch_abort(batch);
		return rc;
	}
	rc = blt_batch_commit(batch);
	if (rc < 0)
		return rc;
	/* It is done; what cannot be handed on now fails every later write. */
	rc = blt_flush(fs->store);
	if (rc < 0)
		log_error("%s: a rename could not be written: %s",
			  blt_path(fs->store), strerror(-rc));
	return 0;
}

/* ---- files ---- */

/* A file that is not stored yet, and whose content cannot be stored now (a
 * half-written JSON text), moves in memory alone. */
static int move_fresh(struct bltfs *fs, struct side *from, struct side *to)
{
	struct mapping m = side_mapping(from, to);
	int rc;

	rc = nodes_set_fresh(fs->nodes, from->node, to->name);
	if (rc < 0)
		return rc;
	rc = rekey(fs, from->node, &m);
	if (rc < 0)
		return rc;
	done(fs, from, to);
	return 0;
}

/* The value of a file that names a directory's marker must not be empty. */
static int check_marker(struct bltfs *fs, struct side *from, struct side *to)
{
	struct blt_stat st;
	int rc;

	if (to->key_len == 0 || to->key_len != to->dir->key_len)
		return 0;
	rc = blt_stat_key(fs->store, from->key, from->key_len, &st);
	if (rc < 0)
		return rc;
	return st.len == 0 ? -EINVAL : 0;
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
	if (from->node && from->node == to->node)
		return 0;
	if (from->node) {
		rc = content_commit(fs, from->node, false);
		if (rc < 0 && from->fresh)
			return to->stored || to->fresh ?
				       rc :
				       move_fresh(fs, from, to);
	}
	rc = check_marker(fs, from, to);
	if (rc == 0 && to->node)
		rc = content_keep(fs, to->node);
	if (rc < 0)
		return rc;
	m = side_mapping(from, to);
	rc = apply(fs, &m, 1, from->dir, to->dir);
	if (rc < 0)
		return rc;
	if (to->node)
		content_gone(fs, to->node);
	if (from->node && rekey(fs, from->node, &m) < 0)
		content_gone(fs, from->node);
	done(fs, from, to);
	return 0;
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
		rc = blt_ns_key(fs->ns, to->dir->key, to->dir->key_len,
				to->name, strlen(to->name), BLT_DIR, &to->key,
				&to->key_len);
		if (rc < 0)
			return rc;
	} else {
		return rc;
	}
	m = side_mapping(from, to);
	if (maps(&m, BLT_DIR, to->key, to->key_len))
		return to->key_len == from->key_len ? 0 : -EINVAL;
	rc = apply(fs, &m, 1, from->dir, to->dir);
	if (rc < 0)
		return rc;
	if (to->node) {
		nodes_hold(fs->nodes, to->node, false);
		content_gone(fs, to->node);
	}
	atomic_fetch_add(&fs->moves, 1);
	rekey_nodes(fs, &m, 1);
	dir_notify_pair(fs, from->dir, from->name);
	done(fs, from, to);
	return 0;
}

/* ---- exchange ---- */

/* Of a file and a directory that swap names, the file's key loses or the
 * directory's prefix gains the '/'.  A name with a suffix that stands for a
 * conflict cannot be a directory's. */
static int swap_kinds(struct bltfs *fs, struct side *a, struct side *b,
		      struct mapping m[2], uint8_t **ret_prefix)
{
	struct side *file = a->kind == BLT_FILE ? a : b;
	struct side *dir = a->kind == BLT_FILE ? b : a;
	size_t i = a->kind == BLT_FILE ? 0 : 1; /* the file's mapping */
	size_t len = strlen(file->name);
	struct blt_stat st;
	uint8_t *prefix;

	if (file->name[len - 1] == '%' || file->key_len == file->dir->key_len ||
	    blt_stat_key(fs->store, dir->key, dir->key_len - 1, &st) == 0)
		return -EINVAL;
	prefix = malloc(file->key_len + 1);
	if (!prefix)
		return -ENOMEM;
	memcpy(prefix, file->key, file->key_len);
	prefix[file->key_len] = '/';
	m[i].to_len = dir->key_len - 1;
	m[1 - i].to = prefix;
	m[1 - i].to_len = file->key_len + 1;
	*ret_prefix = prefix;
	return 0;
}

static int settle(struct bltfs *fs, struct side *s)
{
	int rc;

	if (!s->node || s->kind != BLT_FILE)
		return 0;
	rc = content_commit(fs, s->node, false);
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
	if (maps(&m[0], b->kind, b->key, b->key_len) ||
	    maps(&m[1], a->kind, a->key, a->key_len))
		return a->key_len == b->key_len ? 0 : -EINVAL;
	if (a->kind != b->kind)
		rc = swap_kinds(fs, a, b, m, &prefix);
	if (rc == 0)
		rc = apply(fs, m, 2, a->dir, b->dir);
	if (rc == 0) {
		atomic_fetch_add(&fs->moves, 1);
		rekey_nodes(fs, m, 2);
		done(fs, a, b);
	}
	free(prefix);
	return rc;
}

/* ---- the interface ---- */

/* Whether the tree must be whole before names is taken. */
static int kind_of(struct bltfs *fs, struct node *dir, const char *name,
		   enum blt_kind *ret)
{
	struct node *node = NULL;
	struct blt_node found;
	int rc;

	bltfs_share_names(fs);
	rc = dir_resolve(fs, dir, name, &found, &node);
	bltfs_leave_names(fs);
	if (rc < 0)
		return rc;
	*ret = found.kind;
	free(found.key);
	nodes_put(fs->nodes, node, 1);
	return 0;
}

int move_name(struct bltfs *fs, struct node *from_dir, const char *from,
	      struct node *to_dir, const char *to, unsigned flags)
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
