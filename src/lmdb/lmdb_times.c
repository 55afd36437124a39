/* A table of sets of eight entries, which doubles where one is full, up to a
 * limit; then the oldest of the set goes, and floor takes over its time. */
#include "lmdb/lmdb_times.h"

#include "base/util.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define WAYS 8u
#define SETS_MIN 256u
#define SETS_MAX 32768u

struct entry {
	uint64_t key;     /* 0: empty */
	uint64_t version; /* 0: not known */
	int64_t time;
	uint64_t others; /* it was looked at when there were so many */
	uint64_t txn;    /* and in that transaction, or a later one */
};

struct lmdb_times {
	pthread_mutex_t lock;
	/* under lock */
	struct entry *at;
	size_t sets; /* a power of two */
	int64_t floor;
};

struct lmdb_times *lmdb_times_new(int64_t opened)
{
	struct lmdb_times *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->sets = SETS_MIN;
	t->at = calloc(t->sets * WAYS, sizeof(*t->at));
	if (!t->at) {
		free(t);
		return NULL;
	}
	t->floor = opened;
	pthread_mutex_init(&t->lock, NULL);
	return t;
}

void lmdb_times_free(struct lmdb_times *t)
{
	if (!t)
		return;
	pthread_mutex_destroy(&t->lock);
	free(t->at);
	free(t);
}

uint64_t lmdb_times_key(const void *key, size_t len)
{
	uint64_t hash = XXH3_64bits(key, len);

	return hash ? hash : 1;
}

static struct entry *set_of(struct entry *at, size_t sets, uint64_t key)
{
	return at + (key & (sets - 1)) * WAYS;
}

static struct entry *find(const struct lmdb_times *t, uint64_t key)
{
	struct entry *set = set_of(t->at, t->sets, key);

	for (size_t i = 0; i < WAYS; i++)
		if (set[i].key == key)
			return &set[i];
	return NULL;
}

static struct entry *find_free(struct entry *set)
{
	for (size_t i = 0; i < WAYS; i++)
		if (!set[i].key)
			return &set[i];
	return NULL;
}

/* What was in one set is in two, so each finds a place. */
static struct entry *grow(struct lmdb_times *t, uint64_t key)
{
	struct entry *more = NULL, *free_one;

	if (t->sets < SETS_MAX)
		more = calloc(t->sets * 2 * WAYS, sizeof(*more));
	if (!more)
		return NULL;
	for (size_t i = 0; i < t->sets * WAYS; i++) {
		if (!t->at[i].key)
			continue;
		free_one = find_free(set_of(more, t->sets * 2, t->at[i].key));
		if (free_one)
			*free_one = t->at[i];
	}
	free(t->at);
	t->at = more;
	t->sets *= 2;
	return find_free(set_of(t->at, t->sets, key));
}

static struct entry *make_room(struct lmdb_times *t, uint64_t key)
{
	struct entry *set = set_of(t->at, t->sets, key), *oldest = set;

	for (size_t i = 1; i < WAYS; i++)
		if (set[i].time < oldest->time)
			oldest = &set[i];
	/* a time in the future is that file's alone */
	if (oldest->time > t->floor && oldest->time <= now_us())
		t->floor = oldest->time;
	return oldest;
}

/* The entry of a key; a new one has the time of all that are not known. */
static struct entry *have(struct lmdb_times *t, uint64_t key)
{
	struct entry *e = find(t, key);

	if (e)
		return e;
	e = find_free(set_of(t->at, t->sets, key));
	if (!e)
		e = grow(t, key);
	if (!e)
		e = make_room(t, key);
	*e = (struct entry){ .key = key, .time = t->floor };
	return e;
}

static bool is_verified(const struct entry *e, struct lmdb_view view)
{
	return e->version && (e->others == view.others || view.txn < e->txn);
}

/* In a transaction that shows the value which the entry is of, or a later one:
 * a reader may be late. */
static void note(struct entry *e, struct lmdb_view view, uint64_t is,
		 int64_t changed)
{
	if (view.txn < e->txn)
		return;
	if (e->version && e->version != is)
		e->time = changed > e->time ? changed :
					      e->time + (e->time < INT64_MAX);
	e->version = is;
	e->others = view.others;
	e->txn = view.txn;
}

int64_t lmdb_times_look(struct lmdb_times *t, uint64_t key,
			struct lmdb_view view, lmdb_version_fn *version,
			const void *arg)
{
	struct entry *e;
	uint64_t is;
	int64_t time, changed;

	pthread_mutex_lock(&t->lock);
	e = find(t, key);
	if (e && is_verified(e, view)) {
		time = e->time;
		pthread_mutex_unlock(&t->lock);
		return time;
	}
	pthread_mutex_unlock(&t->lock);
	is = version(arg, &changed);
	pthread_mutex_lock(&t->lock);
	e = have(t, key);
	note(e, view, is, changed);
	time = e->time;
	pthread_mutex_unlock(&t->lock);
	return time;
}

static void set(struct entry *e, uint64_t version, int64_t time,
		struct lmdb_view view)
{
	e->version = version;
	e->time = time;
	e->others = view.others;
	e->txn = view.txn;
}

void lmdb_times_set(struct lmdb_times *t, uint64_t key, uint64_t version,
		    int64_t time, struct lmdb_view view)
{
	pthread_mutex_lock(&t->lock);
	set(have(t, key), version, time, view);
	pthread_mutex_unlock(&t->lock);
}

void lmdb_times_touch(struct lmdb_times *t, uint64_t key, int64_t time)
{
	pthread_mutex_lock(&t->lock);
	have(t, key)->time = time;
	pthread_mutex_unlock(&t->lock);
}

static void forget(struct lmdb_times *t, uint64_t key)
{
	struct entry *e = find(t, key);

	if (e)
		*e = (struct entry){ 0 };
}

void lmdb_times_move(struct lmdb_times *t, uint64_t from, uint64_t to,
		     uint64_t version, struct lmdb_view view)
{
	struct entry *e;
	int64_t time;

	pthread_mutex_lock(&t->lock);
	e = find(t, from);
	time = e ? e->time : t->floor;
	forget(t, from);
	set(have(t, to), version, time, view);
	pthread_mutex_unlock(&t->lock);
}

void lmdb_times_exchange(struct lmdb_times *t, uint64_t one, uint64_t two,
			 struct lmdb_view view)
{
	struct entry *e;
	int64_t times[2];

	pthread_mutex_lock(&t->lock);
	e = find(t, one);
	times[0] = e ? e->time : t->floor;
	e = find(t, two);
	times[1] = e ? e->time : t->floor;
	set(have(t, one), 0, times[1], view);
	set(have(t, two), 0, times[0], view);
	pthread_mutex_unlock(&t->lock);
}

void lmdb_times_forget(struct lmdb_times *t, uint64_t key)
{
	pthread_mutex_lock(&t->lock);
	forget(t, key);
	pthread_mutex_unlock(&t->lock);
}

void lmdb_times_moved(struct lmdb_times *t)
{
	pthread_mutex_lock(&t->lock);
	for (size_t i = 0; i < t->sets * WAYS; i++)
		t->at[i].version = 0;
	pthread_mutex_unlock(&t->lock);
}
