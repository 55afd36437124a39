/* node_fresh.c - files that were created and are not in the store yet: a list,
 * as there are few at a time. */
#include "inode/node_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void nodes_unfresh(struct nodes *t, struct node *node)
{
	if (!node->fresh_name)
		return;
	if (node->prev_fresh)
		node->prev_fresh->next_fresh = node->next_fresh;
	else
		t->fresh = node->next_fresh;
	if (node->next_fresh)
		node->next_fresh->prev_fresh = node->prev_fresh;
	free(node->fresh_name);
	node->fresh_name = NULL;
}

int nodes_set_fresh(struct nodes *t, struct node *node, const char *name)
{
	char *copy = strdup(name);

	if (!copy)
		return -ENOMEM;
	pthread_mutex_lock(&t->lock);
	nodes_unfresh(t, node);
	node->fresh_name = copy;
	node->prev_fresh = NULL;
	node->next_fresh = t->fresh;
	if (t->fresh)
		t->fresh->prev_fresh = node;
	t->fresh = node;
	pthread_mutex_unlock(&t->lock);
	return 0;
}

void nodes_clear_fresh(struct nodes *t, struct node *node)
{
	pthread_mutex_lock(&t->lock);
	nodes_unfresh(t, node);
	pthread_mutex_unlock(&t->lock);
}

bool nodes_is_fresh(struct nodes *t, struct node *node)
{
	bool fresh;

	pthread_mutex_lock(&t->lock);
	fresh = node->fresh_name != NULL;
	pthread_mutex_unlock(&t->lock);
	return fresh;
}

static struct node *find_fresh(struct nodes *t, const void *dir, size_t len,
			       const char *name)
{
	struct node *n = t->fresh;

	while (n && (n->dir_len != len || memcmp(n->key, dir, len) != 0 ||
		     strcmp(n->fresh_name, name) != 0))
		n = n->next_fresh;
	return n;
}

struct node *nodes_find_fresh(struct nodes *t, const void *dir, size_t len,
			      const char *name)
{
	struct node *node;

	pthread_mutex_lock(&t->lock);
	node = find_fresh(t, dir, len, name);
	if (node)
		node->refs++;
	pthread_mutex_unlock(&t->lock);
	return node;
}

bool nodes_has_fresh(struct nodes *t, const void *dir, size_t len,
		     const char *name)
{
	bool has;

	pthread_mutex_lock(&t->lock);
	has = find_fresh(t, dir, len, name) != NULL;
	pthread_mutex_unlock(&t->lock);
	return has;
}

int nodes_each_fresh(struct nodes *t, const void *dir, size_t len,
		     nodes_fresh_fn *fn, void *arg)
{
	int rc = 0;

	pthread_mutex_lock(&t->lock);
	for (struct node *n = t->fresh; n && rc == 0; n = n->next_fresh) {
		if (n->dir_len == len && memcmp(n->key, dir, len) == 0)
			rc = fn(arg, n);
	}
	pthread_mutex_unlock(&t->lock);
	return rc;
}
