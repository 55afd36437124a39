/* attrs_inner.h - what attrs.c (from the store and to it, and what is asked of
 * one key) and attrs_keys.c (what changes with the keys) share.
 */
#ifndef BLT_ATTRS_INNER_H
#define BLT_ATTRS_INNER_H

#include "engine/attrs.h"
#include "engine/attrs_table.h"

#include <pthread.h>
#include <stdatomic.h>

enum attrs_state { UNREAD, READ, UNUSABLE };

struct attrs {
	pthread_mutex_t writing;
	int64_t credit;  /* bytes that may be written, by writing */
	int64_t counted; /* when it was last added to */
	pthread_mutex_t lock;
	/* lock */
	enum attrs_state state;
	int why; /* unusable */
	struct attrs_table table;
	_Atomic bool dirty;   /* changed by who holds lock */
	_Atomic bool written; /* and not flushed */
	/* Read, and empty: what a commit asks first. */
	_Atomic bool idle;
};

/* The table with its lock held, or an error without. */
int attrs_lock(struct blt *store, struct attrs **ret);
/* The same for a change. */
int attrs_lock_to_change(struct blt *store, struct attrs **ret);
void attrs_unlock(struct attrs *a);
/* With the lock held. */
void attrs_changed(struct attrs *a);
void attrs_remove_key(struct attrs *a, const void *key, size_t len);

#endif
