#include "base/watch.h"

void watches_init(struct watches *w)
{
	pthread_mutex_init(&w->lock, NULL);
	w->first = NULL;
	atomic_store(&w->n, 0);
}

void watches_release(struct watches *w)
{
	pthread_mutex_destroy(&w->lock);
}

void watches_add(struct watches *w, struct watch *who)
{
	pthread_mutex_lock(&w->lock);
	who->next = w->first;
	w->first = who;
	atomic_fetch_add(&w->n, 1);
	pthread_mutex_unlock(&w->lock);
}

void watches_remove(struct watches *w, struct watch *who)
{
	struct watch **p = &w->first;

	pthread_mutex_lock(&w->lock);
	while (*p != who)
		p = &(*p)->next;
	*p = who->next;
	atomic_fetch_sub(&w->n, 1);
	pthread_mutex_unlock(&w->lock);
}

void watches_tell(struct watches *w, enum watch_what what, const void *key,
		  size_t len)
{
	pthread_mutex_lock(&w->lock);
	for (struct watch *who = w->first; who; who = who->next)
		who->changed(who->arg, what, key, len);
	pthread_mutex_unlock(&w->lock);
}
