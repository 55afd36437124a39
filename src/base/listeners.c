#include "base/listeners.h"

void listeners_init(struct listeners *w)
{
	pthread_mutex_init(&w->lock, NULL);
	w->first = NULL;
	atomic_store(&w->n, 0);
}

void listeners_release(struct listeners *w)
{
	pthread_mutex_destroy(&w->lock);
}

void listeners_add(struct listeners *w, struct listener *who)
{
	pthread_mutex_lock(&w->lock);
	who->next = w->first;
	w->first = who;
	atomic_fetch_add(&w->n, 1);
	pthread_mutex_unlock(&w->lock);
}

void listeners_remove(struct listeners *w, struct listener *who)
{
	struct listener **p = &w->first;

	pthread_mutex_lock(&w->lock);
	while (*p != who)
		p = &(*p)->next;
	*p = who->next;
	atomic_fetch_sub(&w->n, 1);
	pthread_mutex_unlock(&w->lock);
}

void listeners_tell(struct listeners *w, enum listener_event what,
		    const void *key, size_t len)
{
	pthread_mutex_lock(&w->lock);
	for (struct listener *who = w->first; who; who = who->next)
		who->changed(who->arg, what, key, len);
	pthread_mutex_unlock(&w->lock);
}
