/* listeners.h - those who are told which keys have changed.
 *
 * An engine has a struct listeners and calls listeners_tell for each key of a
 * commit, when readers see the change and before the next commit can begin.
 * Who listens is called with the engine's write lock held: it must be quick,
 * and must not use the store.
 *
 *   struct listener w = { .changed = fn, .arg = arg };
 *   listeners_add(&engine->listeners, &w);
 *   ...
 *   listeners_remove(&engine->listeners, &w);      fn is not running any more
 *
 * Any thread.
 */
#ifndef BLT_LISTENERS_H
#define BLT_LISTENERS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

/* It was not there before, it is not any more, or its value or time changed. */
enum listener_event { LISTENER_CAME, LISTENER_WENT, LISTENER_CHANGED };

struct listener {
	/* key NULL: it is not known which. */
	void (*changed)(void *arg, enum listener_event what, const void *key,
			size_t len);
	void *arg;
	struct listener *next; /* the listeners' lock */
};

struct listeners {
	pthread_mutex_t lock;
	struct listener *first;
	atomic_uint n;
};

void listeners_init(struct listeners *w);
void listeners_release(struct listeners *w);
void listeners_add(struct listeners *w, struct listener *who);
void listeners_remove(struct listeners *w, struct listener *who);
/* Whether there is anybody to tell. */
static inline int listeners_any(struct listeners *w)
{
	return atomic_load(&w->n) > 0;
}
void listeners_tell(struct listeners *w, enum listener_event what,
		    const void *key, size_t len);

#endif
