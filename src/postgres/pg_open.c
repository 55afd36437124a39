/* Opening and closing a store, and facts of it. */
#include "postgres/pg_store.h"

#include "base/util.h"
#include "booklet/format/serial.h"
#include "engine/cookie_cache.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/statvfs.h>

#define FACTS_FOR_US (INT64_C(2) * 1000000)

static int fail(const struct pg_store *store, struct blt_error *err, int rc)
{
	const char *why = store->why;

	switch (-rc) {
	case EIO:
		return store_fail(err, rc, "%s: the server cannot be used: %s",
				  store->path, why);
	case ENXIO:
		return store_fail(err, rc,
				  "%s: the server has no such database: %s; "
				  "make it with createdb",
				  store->path, why);
	case EACCES:
		return store_fail(err, rc, "%s: the server refuses: %s",
				  store->path, why);
	case ENOENT:
		return store_fail(err, rc, "%s: there is no such store: %s",
				  store->path, *why ? why : store->url.store);
	default:
		return store_fail(err, rc, "%s: cannot be opened: %s",
				  store->path, *why ? why : strerror(-rc));
	}
}

/* ---- making the tables ---- */

static int run_all(struct pg_conn *c, const char *const *sql, int64_t until)
{
	int rc = 0;

	for (; *sql && rc == 0; sql++)
		rc = pg_exec(c, *sql, until);
	return rc;
}

static int has_citus(struct pg_conn *c, int64_t until, bool *ret)
{
	struct pg_turn t;
	PGresult *res;
	int rc;

	pg_turn_begin(&t, c, until);
	t.in_flight = true;
	if (!PQsendQueryParams(c->pg,
			       "select 1 from pg_extension where "
			       "extname = 'citus'",
			       0, NULL, NULL, NULL, NULL, 1))
		return -ERESTART;
	t.sent++;
	pg_turn_send(&t);
	rc = pg_turn_result(&t, &res);
	*ret = rc == 0 && PQntuples(res) > 0;
	PQclear(res);
	return pg_turn_end(&t);
}

/* Two that make the tables at once find each other's half made: both try
 * again.  Every statement is by itself, and does nothing where all is there. */
static int try_schema(void *arg, struct pg_conn *c, int64_t until)
{
	bool citus = false;
	int rc = run_all(c, pg_schema, until);

	(void)arg;
	if (rc == 0)
		rc = has_citus(c, until, &citus);
	if (rc == 0 && citus)
		rc = run_all(c, pg_schema_citus, until);
	for (size_t i = 0; rc == 0 && pg_schema_extra[i]; i++)
		if (pg_exec(c, pg_schema_extra[i], until) == -ERESTART)
			rc = -ERESTART;
	return rc == -EEXIST ? -ERESTART : rc;
}

struct naming {
	struct pg_store *store;
	int version;
	bool found;
};

static void fill_name(void *arg, struct pg_args *args)
{
	const struct naming *n = arg;
	const char *name = n->store->url.store;

	pg_args_bytes(args, name, strlen(name));
}

static int find_name(struct naming *n)
{
	PGresult *res;
	int rc = pg_ask(n->store, PG_OPEN, fill_name, n, &res);

	n->found = rc == 0 && PQntuples(res) > 0;
	if (n->found) {
		n->store->id = pg_int8(res, 0, 0);
		n->version = pg_int4(res, 0, 1);
		n->store->created = pg_int8(res, 0, 2);
	}
	PQclear(res);
	return rc;
}

static void fill_new(void *arg, struct pg_args *args)
{
	struct naming *n = arg;

	pg_args_int8(args, pg_random(n->store) & INT64_MAX);
	fill_name(arg, args);
	pg_args_int4(args, PG_SCHEMA_VERSION);
	pg_args_int8(args, now_us());
}

/* Of two that name it at once one is first, and both have that one's. */
static int make(struct naming *n, struct blt_error *err)
{
	int rc = pg_run(n->store, try_schema, NULL);

	if (rc == 0)
		rc = pg_do(n->store, PG_NAME, fill_new, n);
	if (rc == 0 || rc == -EEXIST)
		rc = find_name(n);
	return rc < 0 ? fail(n->store, err, rc) : 0;
}

static int find(struct pg_store *store, const struct blt_open_options *opts,
		struct blt_error *err)
{
	bool create = opts->mode == BLT_CREATE || opts->mode == BLT_TRUNCATE;
	struct naming n = { .store = store };
	int rc = find_name(&n);

	if (rc == -ENOENT && !create)
		return store_fail(err, rc,
				  "%s: the database has no tables of ours: %s",
				  store->path, store->why);
	if (rc < 0 && !(rc == -ENOENT && create))
		return fail(store, err, rc);
	store->why[0] = '\0';
	if (!n.found && !create)
		return store_fail(err, -ENOENT,
				  "%s: the database has no store of the name "
				  "%s",
				  store->path, store->url.store);
	rc = n.found ? 0 : make(&n, err);
	if (rc == 0 && n.version != PG_SCHEMA_VERSION)
		return store_fail(err, -EPROTONOSUPPORT,
				  "%s: its tables are of version %d, and this "
				  "program knows version %d",
				  store->path, n.version, PG_SCHEMA_VERSION);
	return rc;
}

/* ---- opening ---- */

static void free_store(struct pg_store *store)
{
	pg_pool_release(&store->pool);
	pg_url_free(&store->url);
	cookie_cache_free(store->cookies);
	pthread_mutex_destroy(&store->lock);
	free(store->settled);
	free(store->given_up);
	free(store->path);
	free(store);
}

static int open_url(struct pg_store *store, const char *path,
		    const struct blt_open_options *opts, struct blt_error *err)
{
	struct blt_error why = { "" };
	int rc = pg_url_parse(&store->url, path, &why);

	if (*why.text)
		return store_fail(err, rc, "a store's URL: %s", why.text);
	if (rc < 0)
		return rc;
	if (opts->db)
		return store_fail(err, -EINVAL,
				  "%s: has no databases in it; say store=NAME "
				  "in the URL",
				  path);
	return find(store, opts, err);
}

int pg_store_open(const char *path, const struct blt_open_options *opts,
		  struct blt **ret, struct blt_error *err)
{
	struct pg_store *store = calloc(1, sizeof(*store));
	uint64_t seed;
	int rc = -ENOMEM;

	if (!store)
		return store_fail(err, rc, "%s: out of memory", path);
	store->face = (struct blt){ &postgres_backend, opts->mode != BLT_READ };
	pthread_mutex_init(&store->lock, NULL);
	pg_pool_init(&store->pool, &store->url);
	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		seed = (uint64_t)now_us();
	atomic_init(&store->random, seed);
	store->tell = opts->tell;
	store->tell_arg = opts->tell_arg;
	store->path = strdup(path);
	if (store->path)
		rc = open_url(store, path, opts, err);
	if (rc == 0 && opts->mode == BLT_TRUNCATE)
		rc = pg_clear(store, err);
	if (rc < 0)
		free_store(store);
	else
		*ret = &store->face;
	return rc;
}

static int store_close(struct blt *blt)
{
	struct pg_store *store = pg_of(blt);

	pg_drop_settled(store);
	free_store(store);
	return 0;
}

/* ---- facts ---- */

static const char *path_of(const struct blt *blt)
{
	return const_pg_of(blt)->path;
}

static int fd_of(const struct blt *blt)
{
	(void)blt;
	return -1;
}

static bool takes_empty(const struct blt *blt)
{
	(void)blt;
	return true;
}

/* A count takes its time: the last one does for a moment. */
static void get_counts(struct pg_store *store, uint64_t *ret_keys,
		       uint64_t *ret_size)
{
	int64_t now = steady_us();
	PGresult *res;
	bool old;

	pthread_mutex_lock(&store->lock);
	old = !store->facts_at || now - store->facts_at > FACTS_FOR_US;
	pthread_mutex_unlock(&store->lock);
	if (old && pg_ask(store, PG_FACTS, pg_fill_id, store, &res) == 0) {
		int64_t n = pg_int8(res, 0, 0), guess = pg_int8(res, 0, 1);

		pthread_mutex_lock(&store->lock);
		store->n_keys =
			(uint64_t)(n >= 1000000 && guess > n ? guess : n);
		store->file_size = (uint64_t)pg_int8(res, 0, 2);
		store->facts_at = now;
		pthread_mutex_unlock(&store->lock);
		PQclear(res);
	}
	pthread_mutex_lock(&store->lock);
	*ret_keys = store->n_keys;
	*ret_size = store->file_size;
	pthread_mutex_unlock(&store->lock);
}

static void get_info(struct blt *blt, struct blt_info *ret)
{
	struct pg_store *store = pg_of(blt);

	*ret = (struct blt_info){
		.engine = postgres_backend.name,
		.shared = true,
		.version = PG_SCHEMA_VERSION,
		.writable = blt->writable,
		.has_timestamps = true,
		.tokens = true,
		.key_serializer = (unsigned)serial_code("bytes"),
		.value_serializer = (unsigned)serial_code("bytes"),
		.created = store->created,
		.modified = store->created,
		.value_max = PG_VALUE_MAX,
	};
	memcpy(ret->uuid, &store->id, 8);
	memcpy(ret->uuid + 8, &store->created, 8);
	get_counts(store, &ret->n_keys, &ret->file_size);
}

static int64_t modified(struct blt *blt)
{
	return pg_of(blt)->created;
}

/* How much room the server's disk has it does not say. */
static int statvfs_of(struct blt *blt, struct statvfs *ret)
{
	uint64_t n, size;

	get_counts(pg_of(blt), &n, &size);
	*ret = (struct statvfs){
		.f_bsize = 4096,
		.f_frsize = 4096,
		.f_blocks = ((uint64_t)1 << 50) / 4096,
		.f_bfree = (((uint64_t)1 << 50) - size) / 4096,
		.f_bavail = (((uint64_t)1 << 50) - size) / 4096,
		.f_files = n,
		.f_namemax = 255,
	};
	return 0;
}

static void fill_none(void *arg, struct pg_args *args)
{
	(void)arg;
	(void)args;
}

static bool is_true(const PGresult *res, int column)
{
	size_t n;
	const uint8_t *v = pg_bytes(res, 0, column, &n);

	return n == 1 && *v;
}

/* How many standbys wait with a commit is in the server's settings, and what it
 * says of them now. */
static int durability(struct blt *blt, char text[BLT_DURABILITY_MAX])
{
	long long sync, async;
	PGresult *res;
	int rc = pg_ask(pg_of(blt), PG_DURABLE, fill_none, NULL, &res);

	if (rc < 0)
		return rc;
	sync = (long long)pg_int8(res, 0, 3);
	async = (long long)pg_int8(res, 0, 4);
	if (!is_true(res, 0) || !is_true(res, 1))
		snprintf(text, BLT_DURABILITY_MAX,
			 "no disk: the server has %s = off, and may lose what "
			 "it acknowledged",
			 is_true(res, 0) ? "synchronous_commit" : "fsync");
	else if (is_true(res, 2) && sync)
		snprintf(text, BLT_DURABILITY_MAX,
			 "the server's disk and %lld synchronous standby%s",
			 sync, sync == 1 ? "" : "s");
	else if (is_true(res, 2))
		snprintf(text, BLT_DURABILITY_MAX,
			 "the server's disk and its synchronous standbys");
	else if (async)
		snprintf(text, BLT_DURABILITY_MAX,
			 "the server's disk alone: its standby%s %s "
			 "asynchronous, and a failover may lose what was "
			 "acknowledged",
			 async == 1 ? "" : "s", async == 1 ? "is" : "are");
	else
		snprintf(text, BLT_DURABILITY_MAX, "the server's disk");
	PQclear(res);
	return 0;
}

/* ---- changes by others ---- */

/* The server's snapshot is another one behind each write, of whomever; where it
 * cannot be asked for, everything may have changed each time. */
uint64_t pg_changes(struct blt *blt)
{
	struct pg_store *store = pg_of(blt);
	PGresult *res = NULL;
	uint64_t now = 0, n;
	int rc = pg_ask(store, PG_SNAPSHOT, fill_none, NULL, &res);

	if (rc == 0) {
		size_t len;
		const uint8_t *text = pg_bytes(res, 0, 0, &len);

		now = blt_key_hash(text, len);
		PQclear(res);
	}
	pthread_mutex_lock(&store->lock);
	if (rc < 0 || now != store->snapshot)
		store->changes++;
	store->snapshot = now;
	n = store->changes;
	pthread_mutex_unlock(&store->lock);
	return n;
}

static int rebuild(const char *path, const struct blt_rebuild_options *opts,
		   struct blt_rebuild_result *ret, struct blt_error *err)
{
	(void)opts;
	(void)ret;
	return store_fail(err, -ENOTSUP,
			  "%s: is in a database, which recovers by itself; "
			  "what is lost there its backups have",
			  path);
}

const struct backend postgres_backend = {
	.name = "postgresql",

	.is_mine = pg_url_is,
	.open = pg_store_open,
	.rebuild = rebuild,
	.close = store_close,
	.path = path_of,
	.fd = fd_of,
	.get_info = get_info,
	.modified = modified,
	.statvfs = statvfs_of,
	.durability = durability,
	.count = pg_count,
	.takes_empty = takes_empty,

	.get = pg_get,
	.get_many = pg_get_many,
	.get_part = pg_get_part,
	.dirty_by_others = pg_changes,
	.view_release = pg_view_release,
	.stat_key = pg_stat_key,
	.look = pg_look,

	.key = pg_key,
	.check_value = pg_check_value,
	.time = backend_time,
	.put = pg_put,
	.put_from = pg_put_from,
	.delete = pg_delete,
	.touch = pg_touch,
	.commit = pg_commit,
	.token = pg_token,
	.flush = pg_sync,
	.sync = pg_sync,
	.settle = pg_settle,

	.stream_open = pg_stream_open,
	.stream_write = pg_stream_write,
	.stream_read = pg_stream_read,
	.stream_resize = pg_stream_resize,
	.stream_len = pg_stream_len,
	.stream_sync = pg_stream_sync,
	.stream_commit = pg_stream_commit,
	.stream_abort = pg_stream_abort,

	.iter_open = pg_iter_open,
	.iter_next = pg_iter_next,
	.iter_free = pg_iter_free,
	.iter_ordered = pg_iter_ordered,

	.notes = pg_notes,

	.prune = pg_prune,
	.copy = pg_copy,
	.check = pg_check,
	.place_begin = pg_place_begin,
	.place_end = pg_place_end,
	.place_drop = pg_place_drop,

	.dirs = &pg_dirs,
};
