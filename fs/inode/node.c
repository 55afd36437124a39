/* Two hash tables over the same nodes: by (kind, key) for lookups, by inode
 * number so that no two living nodes share one.  They must not: after "mv a b"
 * the node of b keeps the number that came from a, and a new a may not get it
 * too, or find(1) sees a loop where a directory was moved.
 */
#include "inode/node_table.h"

#include "file/stage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A directory a/ and a key a have one hash. */
static uint64_t mix(uint64_t hash, enum blt_kind kind)
{
	return kind == BLT_DIR ? hash * UINT64_C(0x9E3779B97F4A7C15) : hash;
}

static struct node **key_chain(struct nodes *t, enum blt_kind kind,
			       uint64_t hash)
{
	return &t->by_key[mix(hash, kind) & (t->size - 1)];
}

static struct node **ino_chain(struct nodes *t, uint64_t ino)
{
	return &t->by_ino[ino & (t->size - 1)];
}

/* ---- chains; the table's lock is held ---- */

static struct node *find(struct nodes *t, enum blt_kind kind, const void *key,
			 size_t len, uint64_t hash)
{
	struct node *node = *key_chain(t, kind, hash);

	while (node && (node->kind != kind || node->key_len != len ||
			memcmp(node->key, key, len) != 0))
		node = node->next_by_key;
	return node;
}

static void link_key(struct nodes *t, struct node *node)
{
	struct node **chain = key_chain(t, node->kind, node->hash);

	node->next_by_key = *chain;
	*chain = node;
	node->indexed = true;
}

static void unlink_key(struct nodes *t, struct node *node)
{
	struct node **p = key_chain(t, node->kind, node->hash);

	if (!node->indexed)
		return;
	while (*p != node)
		p = &(*p)->next_by_key;
	*p = node->next_by_key;
	node->indexed = false;
}

static void link_ino(struct nodes *t, struct node *node)
{
	struct node **chain = ino_chain(t, node->ino);

	node->next_by_ino = *chain;
	*chain = node;
}

static void unlink_ino(struct nodes *t, struct node *node)
{
	struct node **p = ino_chain(t, node->ino);

	while (*p != node)
		p = &(*p)->next_by_ino;
	*p = node->next_by_ino;
}

static uint64_t free_ino(struct nodes *t, enum blt_kind kind, uint64_t hash)
{
	uint64_t ino = mix(hash, kind) ^ t->salt;

	for (;; ino += UINT64_C(0x9E3779B97F4A7C15)) {
		struct node *node = *ino_chain(t, ino);

		while (node && node->ino != ino)
			node = node->next_by_ino;
		if (!node && ino > NODE_ROOT)
			return ino;
	}
}

/* Failing to grow only makes the chains longer. */
static void grow(struct nodes *t)
{
	struct node **old = t->by_ino;
	size_t old_size = t->size;
	struct node **k = calloc(old_size * 2, sizeof(struct node *));
	struct node **i = calloc(old_size * 2, sizeof(struct node *));

	if (!k || !i) {
		free(k);
		free(i);
		return;
	}
	free(t->by_key);
	t->by_key = k;
	t->by_ino = i;
	t->size = old_size * 2;
	for (size_t n = 0; n < old_size; n++) {
		for (struct node *node = old[n], *next; node; node = next) {
			next = node->next_by_ino;
			link_ino(t, node);
			if (node->indexed)
				link_key(t, node);
		}
	}
	free(old);
}

/* ---- life of a node ---- */

static void node_free(struct node *node)
{
	if (node->has_view)
		blt_view_release(&node->view);
	stage_free(node->stage);
	pthread_mutex_destroy(&node->lock);
	free(node->fresh_name);
	free(node->key);
	free(node);
}

static struct node *node_new(enum blt_kind kind, const void *key, size_t len,
			     size_t dir_len, uint64_t hash)
{
	struct node *node = calloc(1, sizeof(*node));
	uint8_t *copy = malloc(len + 1);

	if (!node || !copy) {
		free(node);
		free(copy);
		return NULL;
	}
	memcpy(copy, key, len);
	node->kind = kind;
	node->key = copy;
	node->key_len = len;
	node->dir_len = dir_len;
	node->hash = hash;
	node->refs = 1;
	pthread_mutex_init(&node->lock, NULL);
	return node;
}

int nodes_new(struct bltfs *fs, uint64_t salt, struct nodes **ret)
{
	struct nodes *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	pthread_mutex_init(&t->lock, NULL);
	t->fs = fs;
	t->salt = salt;
	t->size = salt ? 64 : 1024;
	t->by_key = calloc(t->size, sizeof(struct node *));
	t->by_ino = calloc(t->size, sizeof(struct node *));
	t->root = node_new(BLT_DIR, "", 0, 0, 0);
	if (!t->by_key || !t->by_ino || !t->root) {
		nodes_free(t);
		return -ENOMEM;
	}
	t->root->fs = fs;
	t->root->ino = salt ? salt : NODE_ROOT;
	link_key(t, t->root);
	link_ino(t, t->root);
	*ret = t;
	return 0;
}

void nodes_free(struct nodes *t)
{
	if (!t)
		return;
	for (size_t i = 0; t->by_ino && i < t->size; i++) {
		for (struct node *node = t->by_ino[i], *next; node;
		     node = next) {
			next = node->next_by_ino;
			node_free(node);
		}
	}
	free(t->by_key);
	free(t->by_ino);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

struct node *nodes_root(struct nodes *t)
{
	return t->root;
}

struct node *nodes_of(struct nodes *t, uint64_t number)
{
	if (number == NODE_ROOT)
		return t->root;
	return (struct node *)(uintptr_t)number;
}

uint64_t node_number(const struct node *node)
{
	if (node->ino == NODE_ROOT)
		return NODE_ROOT;
	return (uintptr_t)node;
}

struct node *nodes_find(struct nodes *t, enum blt_kind kind, const void *key,
			size_t len, uint64_t hash)
{
	struct node *node;

	pthread_mutex_lock(&t->lock);
	node = find(t, kind, key, len, hash);
	if (node)
		node->refs++;
	pthread_mutex_unlock(&t->lock);
	return node;
}

struct node *nodes_find_dir(struct nodes *t, const void *prefix, size_t len)
{
	if (len == 0) {
		nodes_ref(t, t->root);
		return t->root;
	}
	return nodes_find(t, BLT_DIR, prefix, len,
			  blt_key_hash(prefix, len - 1));
}

int nodes_get(struct nodes *t, enum blt_kind kind, const void *key, size_t len,
	      size_t dir_len, uint64_t hash, struct node **ret)
{
	struct node *node;

	pthread_mutex_lock(&t->lock);
	node = find(t, kind, key, len, hash);
	if (node) {
		node->refs++;
	} else {
		node = node_new(kind, key, len, dir_len, hash);
		if (node) {
			if (++t->count > t->size)
				grow(t);
			node->fs = t->fs;
			node->ino = free_ino(t, kind, hash);
			link_key(t, node);
			link_ino(t, node);
		}
	}
	pthread_mutex_unlock(&t->lock);
	if (!node)
		return -ENOMEM;
	*ret = node;
	return 0;
}

void nodes_ref(struct nodes *t, struct node *node)
{
	pthread_mutex_lock(&t->lock);
	node->refs++;
	pthread_mutex_unlock(&t->lock);
}

void nodes_put(struct nodes *t, struct node *node, uint64_t n)
{
	bool last = false;

	if (!node || (node == t->root && !t->salt))
		return;
	pthread_mutex_lock(&t->lock);
	node->refs -= n < node->refs ? n : node->refs;
	if (node->refs == 0) {
		unlink_key(t, node);
		unlink_ino(t, node);
		nodes_unfresh(t, node);
		t->count--;
		last = true;
	}
	pthread_mutex_unlock(&t->lock);
	if (last)
		node_free(node);
}

uint64_t nodes_ino(struct nodes *t, enum blt_kind kind, const void *key,
		   size_t len, uint64_t hash)
{
	struct node *node;
	uint64_t ino;

	pthread_mutex_lock(&t->lock);
	node = find(t, kind, key, len, hash);
	ino = node ? node->ino : free_ino(t, kind, hash);
	pthread_mutex_unlock(&t->lock);
	return ino;
}

void nodes_hold(struct nodes *t, struct node *node, bool held)
{
	bool drop;

	pthread_mutex_lock(&t->lock);
	drop = node->held && !held;
	if (held && !node->held)
		node->refs++;
	node->held = held;
	pthread_mutex_unlock(&t->lock);
	if (drop)
		nodes_put(t, node, 1);
}

void nodes_unindex(struct nodes *t, struct node *node)
{
	pthread_mutex_lock(&t->lock);
	unlink_key(t, node);
	pthread_mutex_unlock(&t->lock);
}

int nodes_rekey(struct nodes *t, struct node *node, const void *key, size_t len,
		size_t dir_len, uint64_t hash)
{
	uint8_t *copy = malloc(len + 1);
	struct node *other;

	if (!copy)
		return -ENOMEM;
	memcpy(copy, key, len);
	pthread_mutex_lock(&t->lock);
	other = find(t, node->kind, key, len, hash);
	if (other && other != node)
		unlink_key(t, other);
	unlink_key(t, node);
	free(node->key);
	node->key = copy;
	node->key_len = len;
	node->dir_len = dir_len;
	node->hash = hash;
	link_key(t, node);
	pthread_mutex_unlock(&t->lock);
	return 0;
}

void node_add_open(struct node *node, struct node_open *open)
{
	pthread_mutex_lock(&node->lock);
	open->next = node->opens;
	open->at = &node->opens;
	if (open->next)
		open->next->at = &open->next;
	node->opens = open;
	pthread_mutex_unlock(&node->lock);
}

void node_remove_open(struct node *node, struct node_open *open)
{
	pthread_mutex_lock(&node->lock);
	*open->at = open->next;
	if (open->next)
		open->next->at = open->at;
	pthread_mutex_unlock(&node->lock);
}

size_t nodes_count(struct nodes *t)
{
	size_t n;

	pthread_mutex_lock(&t->lock);
	n = t->count;
	pthread_mutex_unlock(&t->lock);
	return n;
}

bool nodes_idle(struct nodes *t)
{
	bool idle;

	pthread_mutex_lock(&t->lock);
	idle = t->count == 0 && t->root->refs == 1;
	pthread_mutex_unlock(&t->lock);
	return idle;
}

int nodes_all(struct nodes *t, struct node ***ret, size_t *ret_n)
{
	struct node **list;
	size_t n = 0;

	pthread_mutex_lock(&t->lock);
	list = malloc((t->count + 1) * sizeof(struct node *));
	for (size_t i = 0; list && i < t->size; i++) {
		for (struct node *p = t->by_ino[i]; p; p = p->next_by_ino) {
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
