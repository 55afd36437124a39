/* The environments that this process has open.
 *
 * It must not have one open twice: LMDB's locks would be let go by the first
 * close.  So all that are open stand in a list, by the file that they are. */
#include "lmdb/lmdb_store.h"

#include <errno.h>

static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static struct lmdb_store *list; /* under list_lock */

/* In front of list_lock. */
static pthread_mutex_t change_lock = PTHREAD_MUTEX_INITIALIZER;

void lmdb_list_hold(void)
{
	pthread_mutex_lock(&change_lock);
}

void lmdb_list_release(void)
{
	pthread_mutex_unlock(&change_lock);
}

int lmdb_list_add(struct lmdb_store *store, const char *file)
{
	struct lmdb_store *s;
	struct stat st;
	int rc = 0;

	/* No other thread makes it now (change_lock). */
	if (stat(file, &st) < 0)
		st = (struct stat){ 0 };
	pthread_mutex_lock(&list_lock);
	for (s = list; s; s = s->next)
		if (st.st_ino && s->dev == st.st_dev && s->ino == st.st_ino)
			rc = -EBUSY;
	if (rc == 0) {
		store->dev = st.st_dev;
		store->ino = st.st_ino;
		store->next = list;
		list = store;
	}
	pthread_mutex_unlock(&list_lock);
	return rc;
}

void lmdb_list_note(struct lmdb_store *store)
{
	struct stat st;

	if (fstat(store->fd, &st) < 0)
		return;
	pthread_mutex_lock(&list_lock);
	store->dev = st.st_dev;
	store->ino = st.st_ino;
	pthread_mutex_unlock(&list_lock);
}

void lmdb_list_remove(struct lmdb_store *store)
{
	pthread_mutex_lock(&list_lock);
	for (struct lmdb_store **at = &list; *at; at = &(*at)->next) {
		if (*at == store) {
			*at = store->next;
			break;
		}
	}
	pthread_mutex_unlock(&list_lock);
}

bool lmdb_is_open(const char *file)
{
	struct stat st;
	bool is = false;

	if (stat(file, &st) < 0)
		return false;
	pthread_mutex_lock(&list_lock);
	for (struct lmdb_store *s = list; s; s = s->next)
		is = is || (s->dev == st.st_dev && s->ino == st.st_ino);
	pthread_mutex_unlock(&list_lock);
	return is;
}
