/* Trying again: a server that is restarted, or whose standby takes its place,
 * is back after some seconds, and nobody above should notice more than the
 * wait. */
#include "postgres/pg_store.h"

#include "base/util.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#define PAUSE_LEAST_US 2000
#define PAUSE_MOST_US 500000
/* A server that is away for less is not worth a line. */
#define PATIENCE_US 2000000

int64_t pg_random(struct pg_store *store)
{
	uint64_t x =
		atomic_fetch_add(&store->random, UINT64_C(0x9e3779b97f4a7c15));

	/* splitmix64 (Steele, Lea and Flood, 2014), from a seed of the
	 * kernel's */
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	x ^= x >> 31;
	return x ? (int64_t)x : 1;
}

static void note_why(struct pg_store *store, const char *why)
{
	pthread_mutex_lock(&store->lock);
	snprintf(store->why, sizeof(store->why), "%s", why);
	pthread_mutex_unlock(&store->lock);
}

/* Once when it goes, and once when it is back. */
static void tell(struct pg_store *store, bool down)
{
	char text[2 * PG_WHY_MAX + 200];
	bool news;

	pthread_mutex_lock(&store->lock);
	news = store->told_down != down && store->tell;
	store->told_down = down;
	snprintf(text, sizeof(text),
		 down ? "the server does not answer (%s); requests wait for it "
			"up to %u s" :
			"the server is back",
		 store->why, store->url.timeo);
	pthread_mutex_unlock(&store->lock);
	if (news)
		store->tell(store->tell_arg, text);
}

static void pause_us(int64_t us)
{
	const struct timespec ts = { .tv_sec = us / 1000000,
				     .tv_nsec = us % 1000000 * 1000 };

	nanosleep(&ts, NULL);
}

static int try_once(struct pg_store *store, pg_try_fn *fn, void *arg,
		    int64_t until)
{
	char why[PG_WHY_MAX];
	struct pg_conn *c;
	int rc = pg_pool_take(&store->pool, until, &c);
	bool broken;

	if (rc < 0) {
		pg_pool_why(&store->pool, why);
		note_why(store, why);
		return rc;
	}
	rc = fn(arg, c, until);
	if (rc < 0 && c->why[0])
		note_why(store, c->why);
	broken = c->broken;
	pg_pool_give(&store->pool, c);
	if (broken && rc == -ERESTART)
		pg_pool_drop_idle(&store->pool);
	return rc;
}

/* A server that is silent is not waited for when there may be another. */
static int64_t try_until(const struct pg_store *store, int64_t until)
{
	int64_t part = (int64_t)store->url.timeo * 1000000 / 3 + steady_us();

	return store->url.n_hosts > 1 && part < until ? part : until;
}

int pg_run(struct pg_store *store, pg_try_fn *fn, void *arg)
{
	int64_t began = steady_us(), pause = PAUSE_LEAST_US;
	int64_t until = began + (int64_t)store->url.timeo * 1000000;
	int rc;

	for (;;) {
		rc = try_once(store, fn, arg, try_until(store, until));
		if (rc != -ERESTART)
			break;
		if (steady_us() + pause >= until)
			return -EIO;
		if (steady_us() - began > PATIENCE_US)
			tell(store, true);
		pause_us(pause + pg_random(store) % PAUSE_LEAST_US);
		pause = pause * 2 < PAUSE_MOST_US ? pause * 2 : PAUSE_MOST_US;
	}
	if (store->told_down)
		tell(store, false);
	return rc;
}

/* ---- one question ---- */

void pg_fill_id(void *arg, struct pg_args *args)
{
	const struct pg_store *store = arg;

	pg_args_int8(args, store->id);
}

void pg_fill_number(void *arg, struct pg_args *args)
{
	pg_args_int8(args, *(const int64_t *)arg);
}

struct asking {
	enum pg_statement s;
	pg_fill_fn *fill;
	void *arg;
	PGresult *res;
};

static int try_ask(void *arg, struct pg_conn *c, int64_t until)
{
	struct asking *a = arg;
	struct pg_turn t;
	int rc;

	pg_turn_begin(&t, c, until);
	a->fill(a->arg, pg_turn_args(&t));
	pg_turn_add(&t, a->s);
	pg_turn_send(&t);
	(void)pg_turn_result(&t, &a->res);
	rc = pg_turn_end(&t);
	if (rc < 0) {
		PQclear(a->res);
		a->res = NULL;
	}
	return rc;
}

void pg_fill_row(void *arg, struct pg_args *args)
{
	const struct pg_row *row = arg;

	pg_args_int8(args, row->store->id);
	pg_args_bytes(args, row->key, row->len);
}

static __thread struct pg_conn *pinned;
static __thread int64_t pinned_until;

void pg_pin(struct pg_conn *c, int64_t until)
{
	pinned = c;
	pinned_until = until;
}

int pg_ask(struct pg_store *store, enum pg_statement s, pg_fill_fn *fill,
	   void *arg, PGresult **ret)
{
	struct asking a = { s, fill, arg, NULL };
	int rc = pinned ? try_ask(&a, pinned, pinned_until) :
			  pg_run(store, try_ask, &a);

	*ret = a.res;
	return rc;
}

int pg_do(struct pg_store *store, enum pg_statement s, pg_fill_fn *fill,
	  void *arg)
{
	PGresult *res;
	int rc = pg_ask(store, s, fill, arg, &res);

	PQclear(res);
	return rc;
}
