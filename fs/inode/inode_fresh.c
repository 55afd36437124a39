/* Files that were created and are not in the store yet: by directory and name
 * for a lookup, and as a list for a listing. */
#include "inode/inode_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint64_t add_bytes(uint64_t hash, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ p[i]) * UINT64_C(0x100000001B3); /* FNV-1a */
	return hash;
}

static struct inode **fresh_chain(struct inodes *t, const void *dir, size_t len,
				  const char *name)
{
	uint64_t hash = add_bytes(UINT64_C(0xCBF29CE484222325), dir, len);

	hash = add_bytes(hash, name, strlen(name));
	return &t->by_fresh[(hash ^ hash >> 32) & (t->size - 1)];
}

void inodes_link_fresh(struct inodes *t, struct inode *inode)
{
	struct inode **chain;

	if (!inode->fresh_name)
		return;
	chain = fresh_chain(t, inode->key, inode->dir_len, inode->fresh_name);
	inode->next_by_fresh = *chain;
	*chain = inode;
}

void inodes_unlink_fresh(struct inodes *t, struct inode *inode)
{
	struct inode **p;

	if (!inode->fresh_name)
		return;
	p = fresh_chain(t, inode->key, inode->dir_len, inode->fresh_name);
	while (*p != inode)
		p = &(*p)->next_by_fresh;
	*p = inode->next_by_fresh;
}

void inodes_unfresh(struct inodes *t, struct inode *inode)
{
	if (!inode->fresh_name)
		return;
	inodes_unlink_fresh(t, inode);
	if (inode->prev_fresh)
		inode->prev_fresh->next_fresh = inode->next_fresh;
	else
		t->fresh = inode->next_fresh;
	if (inode->next_fresh)
		inode->next_fresh->prev_fresh = inode->prev_fresh;
	free(inode->fresh_name);
	inode->fresh_name = NULL;
}

int inodes_set_fresh(struct inodes *t, struct inode *inode, const char *name)
{
	char *copy = strdup(name);

	if (!copy)
		return -ENOMEM;
	pthread_mutex_lock(&t->lock);
	inodes_unfresh(t, inode);
	inode->fresh_name = copy;
	inode->prev_fresh = NULL;
	inode->next_fresh = t->fresh;
	if (t->fresh)
		t->fresh->prev_fresh = inode;
	t->fresh = inode;
	inodes_link_fresh(t, inode);
	pthread_mutex_unlock(&t->lock);
	return 0;
}

void inodes_clear_fresh(struct inodes *t, struct inode *inode)
{
	pthread_mutex_lock(&t->lock);
	inodes_unfresh(t, inode);
	pthread_mutex_unlock(&t->lock);
}

bool inodes_is_fresh(struct inodes *t, struct inode *inode)
{
	bool fresh;

	pthread_mutex_lock(&t->lock);
	fresh = inode->fresh_name != NULL;
	pthread_mutex_unlock(&t->lock);
	return fresh;
}

static struct inode *find_fresh(struct inodes *t, const void *dir, size_t len,
				const char *name)
{
	struct inode *n = *fresh_chain(t, dir, len, name);

	while (n && (n->dir_len != len || memcmp(n->key, dir, len) != 0 ||
		     strcmp(n->fresh_name, name) != 0))
		n = n->next_by_fresh;
	return n;
}

struct inode *inodes_find_fresh(struct inodes *t, const void *dir, size_t len,
				const char *name)
{
	struct inode *inode;

	pthread_mutex_lock(&t->lock);
	inode = find_fresh(t, dir, len, name);
	if (inode)
		inode->refs++;
	pthread_mutex_unlock(&t->lock);
	return inode;
}

bool inodes_has_fresh(struct inodes *t, const void *dir, size_t len,
		      const char *name)
{
	bool has;

	pthread_mutex_lock(&t->lock);
	has = find_fresh(t, dir, len, name) != NULL;
	pthread_mutex_unlock(&t->lock);
	return has;
}

int inodes_each_fresh(struct inodes *t, const void *dir, size_t len,
		      inodes_fresh_fn *fn, void *arg)
{
	int rc = 0;

	pthread_mutex_lock(&t->lock);
	for (struct inode *n = t->fresh; n && rc == 0; n = n->next_fresh) {
		if (n->dir_len == len && memcmp(n->key, dir, len) == 0)
			rc = fn(arg, n);
	}
	pthread_mutex_unlock(&t->lock);
	return rc;
}
