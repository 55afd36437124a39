#include "inode/notify_queue.h"

#include "main/log.h"
#include "inode/inode.h"

#include <errno.h>
#include <fuse_lowlevel.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct message {
	struct message *next;
	struct inode *inode; /* a reference */
	size_t len;          /* of the name; 0: about the inode itself */
	char name[];
};

struct notify_queue {
	struct fuse_session *se;
	struct inodes *inodes;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	pthread_cond_t sent;
	struct message *head, **tail; /* lock */
	uint64_t queued, done;        /* lock; messages so far */
	bool sending, stop;           /* lock */
};

static void send_message(struct fuse_session *se, const struct message *m)
{
	fuse_ino_t number = inode_nodeid(m->inode);
	int rc;

	if (m->len)
		rc = fuse_lowlevel_notify_inval_entry(se, number, m->name,
						      m->len);
	else
		rc = fuse_lowlevel_notify_inval_inode(se, number, 0, 0);
	if (rc < 0 && rc != -ENOENT && !fuse_session_exited(se))
		log_warn(
			"a change may stay unseen: the kernel did not take an invalidation: %s",
			strerror(-rc));
}

static void drop(struct notify_queue *n, struct message *m)
{
	inodes_put(n->inodes, m->inode, 1);
	free(m);
}

static void *run(void *arg)
{
	struct notify_queue *n = arg;

	pthread_mutex_lock(&n->lock);
	while (!n->stop) {
		struct message *m = n->head;

		if (!m) {
			pthread_cond_wait(&n->wake, &n->lock);
			continue;
		}
		n->head = m->next;
		if (!n->head)
			n->tail = &n->head;
		n->sending = true;
		pthread_mutex_unlock(&n->lock);
		send_message(n->se, m);
		drop(n, m);
		pthread_mutex_lock(&n->lock);
		n->sending = false;
		n->done++;
		pthread_cond_broadcast(&n->sent);
	}
	pthread_mutex_unlock(&n->lock);
	return NULL;
}

static void enqueue(struct notify_queue *n, struct inode *inode,
		    const char *name)
{
	size_t len = name ? strlen(name) : 0;
	struct message *m;

	if (!n)
		return;
	m = malloc(sizeof(*m) + len + 1);
	if (!m) {
		log_warn(
			"a change may stay unseen: out of memory for an invalidation");
		return;
	}
	*m = (struct message){ .inode = inode, .len = len };
	memcpy(m->name, name ? name : "", len + 1);
	inodes_ref(n->inodes, inode);
	pthread_mutex_lock(&n->lock);
	*n->tail = m;
	n->tail = &m->next;
	n->queued++;
	pthread_cond_signal(&n->wake);
	pthread_mutex_unlock(&n->lock);
}

void notify_queue_entry(struct notify_queue *n, struct inode *dir,
			const char *name)
{
	enqueue(n, dir, name);
}

void notify_queue_inode(struct notify_queue *n, struct inode *inode)
{
	enqueue(n, inode, NULL);
}

void notify_queue_wait(struct notify_queue *n)
{
	uint64_t until;

	if (!n)
		return;
	pthread_mutex_lock(&n->lock);
	until = n->queued;
	while (n->done < until && !n->stop)
		pthread_cond_wait(&n->sent, &n->lock);
	pthread_mutex_unlock(&n->lock);
}

int notify_queue_new(struct fuse_session *se, struct inodes *inodes,
		     struct notify_queue **ret)
{
	struct notify_queue *n = calloc(1, sizeof(*n));
	int rc;

	if (!n)
		return -ENOMEM;
	n->se = se;
	n->inodes = inodes;
	n->tail = &n->head;
	pthread_mutex_init(&n->lock, NULL);
	pthread_cond_init(&n->wake, NULL);
	pthread_cond_init(&n->sent, NULL);
	rc = -pthread_create(&n->thread, NULL, run, n);
	if (rc < 0) {
		free(n);
		return rc;
	}
	*ret = n;
	return 0;
}

void notify_queue_stop(struct notify_queue *n)
{
	if (!n)
		return;
	pthread_mutex_lock(&n->lock);
	n->stop = true;
	pthread_cond_signal(&n->wake);
	pthread_cond_broadcast(&n->sent);
	while (n->sending)
		pthread_cond_wait(&n->sent, &n->lock);
	pthread_mutex_unlock(&n->lock);
}

void notify_queue_free(struct notify_queue *n)
{
	if (!n)
		return;
	notify_queue_stop(n);
	pthread_join(n->thread, NULL);
	while (n->head) {
		struct message *m = n->head;

		n->head = m->next;
		drop(n, m);
	}
	pthread_cond_destroy(&n->wake);
	pthread_cond_destroy(&n->sent);
	pthread_mutex_destroy(&n->lock);
	free(n);
}
