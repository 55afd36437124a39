/* Two hash tables over the same inodes: by (kind, key) for lookups, by inode
 * number so that no two living inodes share one.  They must not: after "mv a b"
 * the inode of b keeps the number that came from a, and a new a may not get it
 * too, or find(1) sees a loop where a directory was moved.
 */
#include "inode/inode_table.h"

#include "file/write_buffer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A directory a/ and a key a have one hash. */
static uint64_t mix(uint64_t hash, enum blt_kind kind)
{
	return kind == BLT_DIR ? hash * UINT64_C(0x9E3779B97F4A7C15) : hash;
}

static struct inode **key_chain(struct inodes *t, enum blt_kind kind,
				uint64_t hash)
{
	return &t->by_key[mix(hash, kind) & (t->size - 1)];
}

static struct inode **ino_chain(struct inodes *t, uint64_t ino)
{
	return &t->by_ino[ino & (t->size - 1)];
}

/* ---- chains; the table's lock is held ---- */

static struct inode *find(struct inodes *t, enum blt_kind kind, const void *key,
			  size_t len, uint64_t hash)
{
	struct inode *inode = *key_chain(t, kind, hash);

	while (inode && (inode->kind != kind || inode->key_len != len ||
			 memcmp(inode->key, key, len) != 0))
		inode = inode->next_by_key;
	return inode;
}

static void link_key(struct inodes *t, struct inode *inode)
{
	struct inode **chain = key_chain(t, inode->kind, inode->hash);

	inode->next_by_key = *chain;
	*chain = inode;
	inode->indexed = true;
}

static void unlink_key(struct inodes *t, struct inode *inode)
{
	struct inode **p = key_chain(t, inode->kind, inode->hash);

	if (!inode->indexed)
		return;
	while (*p != inode)
		p = &(*p)->next_by_key;
	*p = inode->next_by_key;
	inode->indexed = false;
}

static void link_ino(struct inodes *t, struct inode *inode)
{
	struct inode **chain = ino_chain(t, inode->ino);

	inode->next_by_ino = *chain;
	*chain = inode;
}

static void unlink_ino(struct inodes *t, struct inode *inode)
{
	struct inode **p = ino_chain(t, inode->ino);

	while (*p != inode)
		p = &(*p)->next_by_ino;
	*p = inode->next_by_ino;
}

static uint64_t free_ino(struct inodes *t, enum blt_kind kind, uint64_t hash)
{
	uint64_t ino = mix(hash, kind) ^ t->salt;

	for (;; ino += UINT64_C(0x9E3779B97F4A7C15)) {
		struct inode *inode = *ino_chain(t, ino);

		while (inode && inode->ino != ino)
			inode = inode->next_by_ino;
		if (!inode && ino > INODE_ROOT)
			return ino;
	}
}

/* Failing to grow only makes the chains longer. */
static void grow(struct inodes *t)
{
	struct inode **old = t->by_ino;
	size_t old_size = t->size;
	struct inode **k = calloc(old_size * 2, sizeof(struct inode *));
	struct inode **i = calloc(old_size * 2, sizeof(struct inode *));
	struct inode **f = calloc(old_size * 2, sizeof(struct inode *));

	if (!k || !i || !f) {
		free(k);
		free(i);
		free(f);
		return;
	}
	free(t->by_key);
	free(t->by_fresh);
	t->by_key = k;
	t->by_ino = i;
	t->by_fresh = f;
	t->size = old_size * 2;
	for (size_t n = 0; n < old_size; n++) {
		for (struct inode *inode = old[n], *next; inode; inode = next) {
			next = inode->next_by_ino;
			link_ino(t, inode);
			if (inode->indexed)
				link_key(t, inode);
			inodes_link_fresh(t, inode);
		}
	}
	free(old);
}

/* ---- life of an inode ---- */

static void inode_free(struct inode *inode)
{
	if (inode->has_view)
		blt_view_release(&inode->view);
	write_buffer_free(inode->buffer);
	pthread_mutex_destroy(&inode->lock);
	free(inode->fresh_name);
	free(inode->key);
	free(inode);
}

static struct inode *inode_new(enum blt_kind kind, const void *key, size_t len,
			       size_t dir_len, uint64_t hash)
{
	struct inode *inode = calloc(1, sizeof(*inode));
	uint8_t *copy = malloc(len + 1);

	if (!inode || !copy) {
		free(inode);
		free(copy);
		return NULL;
	}
	memcpy(copy, key, len);
	inode->kind = kind;
	inode->key = copy;
	inode->key_len = len;
	inode->dir_len = dir_len;
	inode->hash = hash;
	inode->refs = 1;
	pthread_mutex_init(&inode->lock, NULL);
	return inode;
}

int inodes_new(struct bltfs *fs, uint64_t salt, struct inodes **ret)
{
	struct inodes *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	pthread_mutex_init(&t->lock, NULL);
	t->fs = fs;
	t->salt = salt;
	t->size = salt ? 64 : 1024;
	t->by_key = calloc(t->size, sizeof(struct inode *));
	t->by_ino = calloc(t->size, sizeof(struct inode *));
	t->by_fresh = calloc(t->size, sizeof(struct inode *));
	t->root = inode_new(BLT_DIR, "", 0, 0, 0);
	if (!t->by_key || !t->by_ino || !t->by_fresh || !t->root) {
		inodes_free(t);
		return -ENOMEM;
	}
	t->root->fs = fs;
	t->root->ino = salt ? salt : INODE_ROOT;
	link_key(t, t->root);
	link_ino(t, t->root);
	*ret = t;
	return 0;
}

void inodes_free(struct inodes *t)
{
	if (!t)
		return;
	for (size_t i = 0; t->by_ino && i < t->size; i++) {
		for (struct inode *inode = t->by_ino[i], *next; inode;
		     inode = next) {
			next = inode->next_by_ino;
			inode_free(inode);
		}
	}
	free(t->by_key);
	free(t->by_ino);
	free(t->by_fresh);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

struct inode *inodes_root(struct inodes *t)
{
	return t->root;
}

struct inode *inodes_of(struct inodes *t, uint64_t number)
{
	if (number == INODE_ROOT)
		return t->root;
	return (struct inode *)(uintptr_t)number;
}

uint64_t inode_nodeid(const struct inode *inode)
{
	if (inode->ino == INODE_ROOT)
		return INODE_ROOT;
	return (uintptr_t)inode;
}

struct inode *inodes_find(struct inodes *t, enum blt_kind kind, const void *key,
			  size_t len, uint64_t hash)
{
	struct inode *inode;

	pthread_mutex_lock(&t->lock);
	inode = find(t, kind, key, len, hash);
	if (inode)
		inode->refs++;
	pthread_mutex_unlock(&t->lock);
	return inode;
}

struct inode *inodes_find_dir(struct inodes *t, const void *prefix, size_t len)
{
	if (len == 0) {
		inodes_ref(t, t->root);
		return t->root;
	}
	return inodes_find(t, BLT_DIR, prefix, len,
			   blt_key_hash(prefix, len - 1));
}

int inodes_get(struct inodes *t, enum blt_kind kind, const void *key,
	       size_t len, size_t dir_len, uint64_t hash, struct inode **ret)
{
	struct inode *inode;

	pthread_mutex_lock(&t->lock);
	inode = find(t, kind, key, len, hash);
	if (inode) {
		inode->refs++;
	} else {
		inode = inode_new(kind, key, len, dir_len, hash);
		if (inode) {
			if (++t->count > t->size)
				grow(t);
			inode->fs = t->fs;
			inode->ino = free_ino(t, kind, hash);
			link_key(t, inode);
			link_ino(t, inode);
		}
	}
	pthread_mutex_unlock(&t->lock);
	if (!inode)
		return -ENOMEM;
	*ret = inode;
	return 0;
}

void inodes_ref(struct inodes *t, struct inode *inode)
{
	pthread_mutex_lock(&t->lock);
	inode->refs++;
	pthread_mutex_unlock(&t->lock);
}

void inodes_put(struct inodes *t, struct inode *inode, uint64_t n)
{
	bool last = false;

	if (!inode || (inode == t->root && !t->salt))
		return;
	pthread_mutex_lock(&t->lock);
	inode->refs -= n < inode->refs ? n : inode->refs;
	if (inode->refs == 0) {
		unlink_key(t, inode);
		unlink_ino(t, inode);
		inodes_unfresh(t, inode);
		t->count--;
		last = true;
	}
	pthread_mutex_unlock(&t->lock);
	if (last)
		inode_free(inode);
}

uint64_t inodes_ino(struct inodes *t, enum blt_kind kind, const void *key,
		    size_t len, uint64_t hash)
{
	struct inode *inode;
	uint64_t ino;

	pthread_mutex_lock(&t->lock);
	inode = find(t, kind, key, len, hash);
	ino = inode ? inode->ino : free_ino(t, kind, hash);
	pthread_mutex_unlock(&t->lock);
	return ino;
}

void inodes_hold(struct inodes *t, struct inode *inode, bool held)
{
	bool drop;

	pthread_mutex_lock(&t->lock);
	drop = inode->held && !held;
	if (held && !inode->held)
		inode->refs++;
	inode->held = held;
	pthread_mutex_unlock(&t->lock);
	if (drop)
		inodes_put(t, inode, 1);
}

void inodes_unindex(struct inodes *t, struct inode *inode)
{
	pthread_mutex_lock(&t->lock);
	unlink_key(t, inode);
	pthread_mutex_unlock(&t->lock);
}

int inodes_rekey(struct inodes *t, struct inode *inode, const void *key,
		 size_t len, size_t dir_len, uint64_t hash)
{
	uint8_t *copy = malloc(len + 1);
	struct inode *other;

	if (!copy)
		return -ENOMEM;
	memcpy(copy, key, len);
	pthread_mutex_lock(&t->lock);
	other = find(t, inode->kind, key, len, hash);
	if (other && other != inode)
		unlink_key(t, other);
	unlink_key(t, inode);
	inodes_unlink_fresh(t, inode);
	free(inode->key);
	inode->key = copy;
	inode->key_len = len;
	inode->dir_len = dir_len;
	inode->hash = hash;
	link_key(t, inode);
	inodes_link_fresh(t, inode);
	pthread_mutex_unlock(&t->lock);
	return 0;
}

void inode_add_open(struct inode *inode, struct inode_open *open)
{
	pthread_mutex_lock(&inode->lock);
	open->next = inode->opens;
	open->at = &inode->opens;
	if (open->next)
		open->next->at = &open->next;
	inode->opens = open;
	pthread_mutex_unlock(&inode->lock);
}

void inode_remove_open(struct inode *inode, struct inode_open *open)
{
	pthread_mutex_lock(&inode->lock);
	*open->at = open->next;
	if (open->next)
		open->next->at = open->at;
	pthread_mutex_unlock(&inode->lock);
}

size_t inodes_count(struct inodes *t)
{
	size_t n;

	pthread_mutex_lock(&t->lock);
	n = t->count;
	pthread_mutex_unlock(&t->lock);
	return n;
}

bool inodes_idle(struct inodes *t)
{
	bool idle;

	pthread_mutex_lock(&t->lock);
	idle = t->count == 0 && t->root->refs == 1;
	pthread_mutex_unlock(&t->lock);
	return idle;
}

int inodes_all(struct inodes *t, struct inode ***ret, size_t *ret_n)
{
	struct inode **list;
	size_t n = 0;

	pthread_mutex_lock(&t->lock);
	list = malloc((t->count + 1) * sizeof(struct inode *));
	for (size_t i = 0; list && i < t->size; i++) {
		for (struct inode *p = t->by_ino[i]; p; p = p->next_by_ino) {
			p->refs++;
			list[n++] = p;
		}
	}
	pthread_mutex_unlock(&t->lock);
	if (!list)
		return -ENOMEM;
	*ret = list;
	*ret_n = n;
	return 0;
}
