/* inode_fresh.c - files that were created and are not in the store yet: a list,
 * as there are few at a time. */
#include "inode/inode_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void inodes_unfresh(struct inodes *t, struct inode *inode)
{
	if (!inode->fresh_name)
		return;
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
	struct inode *n = t->fresh;

	while (n && (n->dir_len != len || memcmp(n->key, dir, len) != 0 ||
		     strcmp(n->fresh_name, name) != 0))
		n = n->next_fresh;
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
