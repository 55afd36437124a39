/* watch.h - those who are told which keys have changed.
 *
 * An engine has a struct watches and calls watches_tell for each key of a
 * commit, when readers see the change and before the next commit can begin.
 * Who watches is called with the engine's write lock held: it must be quick,
 * and must not use the store.
 *
 *   struct watch w = { .changed = fn, .arg = arg };
 *   watches_add(&engine->watches, &w);
 *   ...
 *   watches_remove(&engine->watches, &w);      fn is not running any more
 *
 * Any thread.
 */
#ifndef BLT_WATCH_H
#define BLT_WATCH_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

/* It was not there before, it is not any more, or its value or time changed. */
enum watch_what { WATCH_CAME, WATCH_WENT, WATCH_CHANGED };

struct watch {
	/* key NULL: it is not known which. */
	void (*changed)(void *arg, enum watch_what what, const void *key,
			size_t len);
	void *arg;
	struct watch *next; /* the watches' lock */
};

struct watches {
	pthread_mutex_t lock;
	struct watch *first;
	atomic_uint n;
};

void watches_init(struct watches *w);
void watches_release(struct watches *w);
void watches_add(struct watches *w, struct watch *who);
void watches_remove(struct watches *w, struct watch *who);
/* Whether there is anybody to tell. */
static inline int watches_any(struct watches *w)
{
	return atomic_load(&w->n) > 0;
}
void watches_tell(struct watches *w, enum watch_what what, const void *key,
		  size_t len);

#endif
