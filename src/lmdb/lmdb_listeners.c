/* Who listeners is told of the keys of our own commits; of those of other
 * processes only that there were some, when we come to make one ourselves, or
 * somebody begins to watch.
 *
 * Keys are noted while a transaction goes on, since whether they were there can
 * be seen then, and told behind its commit, before the next one can begin.
 */
#include "lmdb/lmdb_store.h"
#include "base/array.h"

#include <errno.h>
#include <stdlib.h>

int lmdb_watch_note(struct lmdb_store *store, MDB_txn *txn, const void *key,
		    size_t len, const struct lmdb_place *at, bool goes)
{
	struct lmdb_noted *n = &store->noted;
	MDB_val value;
	bool there;

	if (at->self || !listeners_any(&store->listeners))
		return 0;
	if (ARRAY_ROOM(n->at, n->room, n->n + 1) < 0)
		return ENOMEM;
	there = lmdb_value(txn, at, &value) == 0;
	n->at[n->n].what = goes  ? LISTENER_WENT :
			   there ? LISTENER_CHANGED :
				   LISTENER_CAME;
	n->at[n->n].key = key;
	n->at[n->n++].len = len;
	return 0;
}

void lmdb_watch_tell(struct lmdb_store *store)
{
	struct lmdb_noted *n = &store->noted;

	for (size_t i = 0; i < n->n; i++)
		listeners_tell(&store->listeners, n->at[i].what, n->at[i].key,
			       n->at[i].len);
	n->n = 0;
}

void lmdb_watch_others(struct lmdb_store *store, uint64_t by_others)
{
	if (by_others != store->told_others && listeners_any(&store->listeners))
		listeners_tell(&store->listeners, LISTENER_CHANGED, NULL, 0);
	store->told_others = by_others;
}

/* No transaction of ours is under way, which would have noted nothing. */
void lmdb_watch(struct blt *blt, struct listener *w)
{
	struct lmdb_store *store = lmdb_of(blt);

	pthread_mutex_lock(&store->write);
	lmdb_watch_others(store, lmdb_changes_by_others(blt));
	listeners_add(&store->listeners, w);
	pthread_mutex_unlock(&store->write);
}

void lmdb_unwatch(struct blt *blt, struct listener *w)
{
	listeners_remove(&lmdb_of(blt)->listeners, w);
}
