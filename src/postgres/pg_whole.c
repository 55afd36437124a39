/* Work on a whole store: counting, checking, pruning, emptying. */
#include "postgres/pg_store.h"

#include "base/util.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define AT_ONCE 1000 /* keys that are dropped together */

/* All keys and notes of a store. */
static int clear_rows(struct pg_store *store, int64_t id)
{
	bool more = true;
	PGresult *res;
	int rc = 0;

	while (rc == 0 && more) {
		rc = pg_ask(store, PG_CLEAR, pg_fill_number, &id, &res);
		more = rc == 0 && strcmp(PQcmdTuples(res), "0") != 0;
		PQclear(res);
	}
	return rc == 0 ? pg_do(store, PG_CLEAR_NOTES, pg_fill_number, &id) : rc;
}

/* ---- counting ---- */

int pg_count(struct blt *blt, struct blt_census *ret)
{
	struct pg_store *store = pg_of(blt);
	PGresult *res;
	int rc = pg_ask(store, PG_COUNT, pg_fill_id, store, &res);

	if (rc < 0)
		return rc;
	*ret = (struct blt_census){
		.keys = (uint64_t)pg_int8(res, 0, 0),
		.value_bytes = (uint64_t)pg_int8(res, 0, 1),
	};
	ret->live_bytes = ret->value_bytes + (uint64_t)pg_int8(res, 0, 2);
	PQclear(res);
	return 0;
}

/* ---- checking ---- */

struct checking {
	struct pg_store *store;
	const struct blt_check_options *opts;
	blt_fault_fn *fn;
	void *arg;
	struct blt_check_result result;
	uint64_t total;
};

static int fault(struct checking *c, const uint8_t *key, size_t len,
		 const char *what)
{
	char text[SHOWN_ROOM + 200], shown[SHOWN_ROOM];
	struct blt_fault f = { .kind = BLT_FAULT_BLOCK, .text = text };

	snprintf(text, sizeof(text), "key %s: %s", show_bytes(key, len, shown),
		 what);
	c->result.faults++;
	return c->fn ? c->fn(c->arg, &f) : 0;
}

/* A long value's chunks are all there, and as long as it is. */
static int check_blob(struct checking *c, const uint8_t *key, size_t len,
		      int64_t blob, uint64_t value_len)
{
	uint64_t want = (value_len + PG_CHUNK - 1) / PG_CHUNK, n, bytes;
	char what[160];
	PGresult *res;
	int rc = pg_ask(c->store, PG_CHUNK_SUM, pg_fill_number, &blob, &res);

	if (rc < 0)
		return rc;
	n = (uint64_t)pg_int8(res, 0, 0);
	bytes = (uint64_t)pg_int8(res, 0, 1);
	PQclear(res);
	if (n == want && bytes == value_len)
		return 0;
	snprintf(what, sizeof(what),
		 "its value has %llu bytes in %llu chunks, and should have "
		 "%llu in %llu",
		 (unsigned long long)bytes, (unsigned long long)n,
		 (unsigned long long)value_len, (unsigned long long)want);
	return fault(c, key, len, what);
}

static int check_row(struct checking *c, const PGresult *res, int row)
{
	uint64_t value_len = (uint64_t)pg_int8(res, row, PG_COL_LEN);
	size_t len, n;
	const uint8_t *key = pg_bytes(res, row, PG_COL_KEY, &len);

	c->result.keys++;
	c->result.live_bytes += len + value_len;
	if (len > PG_KEY_MAX)
		return fault(c, key, len, "is longer than a key may be");
	if (pg_int8(res, row, PG_COL_TIME) < 0)
		return fault(c, key, len, "has a time before 1970");
	if (!PQgetisnull(res, row, PG_COL_BLOB))
		return check_blob(c, key, len, pg_int8(res, row, PG_COL_BLOB),
				  value_len);
	pg_bytes(res, row, PG_COL_V, &n);
	if (PQgetisnull(res, row, PG_COL_V) || n != value_len)
		return fault(c, key, len,
			     "its value is not as long as its row says");
	return 0;
}

struct paging {
	struct pg_store *store;
	uint8_t from[PG_KEY_MAX + 1];
	size_t len;
	uint8_t end[PG_KEY_MAX + 1];
	int64_t time;
};

static void fill_rows(void *arg, struct pg_args *args)
{
	const struct paging *p = arg;

	pg_args_int8(args, p->store->id);
	pg_args_bytes(args, p->from, p->len);
	pg_args_bytes(args, p->end, sizeof(p->end));
	pg_args_int8(args, 200);
	pg_args_int8(args, PG_INLINE);
}

static void go_behind(struct paging *p, const PGresult *res)
{
	size_t n;
	const uint8_t *key = pg_bytes(res, PQntuples(res) - 1, 0, &n);

	n = min_u64(n, PG_KEY_MAX);
	memcpy(p->from, key, n);
	p->from[n] = 0;
	p->len = n + 1;
}

int pg_check(struct blt *blt, const struct blt_check_options *opts,
	     blt_fault_fn *fn, void *arg, struct blt_check_result *ret)
{
	struct checking c = { pg_of(blt), opts, fn, arg, { 0 }, 0 };
	struct paging p = { .store = c.store };
	struct blt_info info;
	int rc = 0, n = 1;

	blt_get_info(blt, &info);
	c.total = info.n_keys;
	memset(p.end, 0xff, sizeof(p.end));
	while (rc == 0 && n > 0) {
		PGresult *res;

		rc = pg_ask(c.store, PG_PAGE_VALUES, fill_rows, &p, &res);
		n = rc < 0 ? 0 : PQntuples(res);
		for (int row = 0; rc == 0 && row < n; row++)
			rc = check_row(&c, res, row);
		if (rc == 0 && n)
			go_behind(&p, res);
		PQclear(res);
		if (rc == 0 && opts && opts->progress)
			rc = opts->progress(arg, c.result.keys,
					    max_u64(c.total, c.result.keys),
					    c.result.keys);
	}
	c.result.live_blocks = c.result.keys;
	if (rc == 0)
		*ret = c.result;
	return rc;
}

/* ---- pruning ---- */

static void fill_old(void *arg, struct pg_args *args)
{
	const struct paging *p = arg;

	pg_args_int8(args, p->store->id);
	pg_args_int8(args, p->time);
	pg_args_bytes(args, p->from, p->len);
	pg_args_int8(args, AT_ONCE);
}

static bool is_kept(const struct blt_prune_options *opts, const uint8_t *key,
		    size_t len)
{
	for (size_t i = 0; i < opts->n_keep; i++)
		if (compare_bytes(opts->keep[i].bytes, opts->keep[i].len, key,
				  len) == 0)
			return true;
	return false;
}

/* Those of a page that still have the value that was too old. */
static int drop_page(struct pg_store *store, const PGresult *res,
		     const struct blt_prune_options *opts, uint64_t *ret_n)
{
	bool held[AT_ONCE] = { false };
	struct blt_batch *b = NULL;
	int rc = blt_batch_new(&store->face, &b), n = PQntuples(res);

	for (int row = 0; rc == 0 && row < n; row++) {
		size_t len;
		const uint8_t *key = pg_bytes(res, row, 0, &len);

		if (is_kept(opts, key, len))
			continue;
		rc = blt_batch_only_if(b, key, len,
				       (uint64_t)pg_int8(res, row, 1),
				       &held[row]);
		if (rc == 0)
			rc = backend_batch_drop(b, key, len);
	}
	if (rc < 0) {
		blt_batch_abort(b);
		return rc;
	}
	rc = blt_batch_commit(b);
	for (int row = 0; rc == 0 && row < n; row++)
		*ret_n += held[row];
	return rc;
}

static int drop_old(struct pg_store *store,
		    const struct blt_prune_options *opts, uint64_t *ret_n)
{
	struct paging p = { .store = store, .time = opts->older_than };
	int rc = 0, n = AT_ONCE;

	while (rc == 0 && n == AT_ONCE) {
		PGresult *res;

		rc = pg_ask(store, PG_OLD, fill_old, &p, &res);
		n = rc < 0 ? 0 : PQntuples(res);
		if (n)
			rc = drop_page(store, res, opts, ret_n);
		if (rc == 0 && n)
			go_behind(&p, res);
		PQclear(res);
		if (rc == 0 && opts->progress)
			rc = opts->progress(opts->arg, 0, 1, *ret_n);
	}
	return rc;
}

static int sweep_orphans(struct pg_store *store)
{
	int64_t before = ((int64_t)time(NULL) - PG_ORPHAN_AGE) << PG_BLOB_BITS;
	PGresult *res;
	int rc = pg_ask(store, PG_CHUNK_ORPHANS, pg_fill_number, &before, &res);

	for (int row = 0; rc == 0 && row < PQntuples(res); row++) {
		int64_t blob = pg_int8(res, row, 0);

		rc = pg_do(store, PG_CHUNK_DROP, pg_fill_number, &blob);
	}
	PQclear(res);
	return rc;
}

/* Should somebody make it still, he finds that it has no name any longer. */
static int drop_rows(struct pg_store *store, int64_t id)
{
	int rc = clear_rows(store, id);

	if (rc == 0)
		rc = pg_do(store, PG_LEFT_UNNAME, pg_fill_number, &id);
	return rc == 0 ? pg_do(store, PG_DONE_CLEAR, pg_fill_number, &id) : rc;
}

static int drop_left(struct pg_store *store, int64_t id)
{
	PGresult *res;
	int rc = pg_ask(store, PG_DONE_LATELY, pg_fill_number, &id, &res);
	bool busy = rc == 0 && pg_int8(res, 0, 0) > 0;

	PQclear(res);
	return rc < 0 || busy ? rc : drop_rows(store, id);
}

/* Copies whose process has died: nobody has changed them for an hour. */
static int sweep_copies(struct pg_store *store)
{
	int64_t before = now_us() - (int64_t)PG_COPY_AGE * 1000000;
	PGresult *res;
	int rc = pg_ask(store, PG_LEFT, pg_fill_number, &before, &res);

	for (int row = 0; rc == 0 && row < PQntuples(res); row++)
		rc = drop_left(store, pg_int8(res, row, 0));
	PQclear(res);
	return rc;
}

/* What is dead in the tables themselves autovacuum makes room of. */
int pg_prune(struct blt *blt, const struct blt_prune_options *opts,
	     struct blt_prune_result *ret)
{
	struct pg_store *store = pg_of(blt);
	struct blt_prune_result r = { 0 };
	struct blt_info info;
	int rc = 0;

	if (ret)
		*ret = r;
	if (!blt->writable)
		return -EROFS;
	blt_get_info(blt, &info);
	r.size_before = r.size_after = info.file_size;
	if (opts && opts->older_than)
		rc = drop_old(store, opts, &r.dropped);
	if (rc == 0)
		rc = sweep_copies(store);
	if (rc == 0)
		rc = sweep_orphans(store);
	if (rc == 0)
		rc = pg_do(store, PG_DONE_SWEEP, pg_fill_id, store);
	if (ret)
		*ret = r;
	return rc;
}

/* ---- emptying ---- */

int pg_clear(struct pg_store *store, struct blt_error *err)
{
	int rc = clear_rows(store, store->id);

	return rc < 0 ? store_fail(err, rc, "%s: cannot be emptied: %s",
				   store->path, store->why) :
			0;
}

static int try_drop_settled(void *arg, struct pg_conn *c, int64_t until)
{
	const struct pg_store *store = arg;
	struct pg_array ids;
	struct pg_args *args;
	struct pg_turn t;

	pg_array_begin(&ids, PG_INT8);
	for (size_t i = 0; i < store->n_settled; i++)
		pg_array_int8(&ids, store->settled[i]);
	pg_turn_begin(&t, c, until);
	args = pg_turn_args(&t);
	pg_args_int8(args, store->id);
	pg_args_array(args, &ids);
	pg_turn_add(&t, PG_DONE_DROP);
	pg_array_free(&ids);
	pg_turn_send(&t);
	(void)pg_turn_done(&t, NULL);
	return pg_turn_end(&t);
}

/* Once, over a connection that is there: a prune sweeps what is left. */
void pg_drop_settled(struct pg_store *store)
{
	struct pg_conn *c = store->pool.idle;
	int64_t until = steady_us() + 2 * 1000000;

	if (store->n_settled && c &&
	    pg_pool_take(&store->pool, until, &c) == 0) {
		(void)try_drop_settled(store, c, until);
		pg_pool_give(&store->pool, c);
	}
}
