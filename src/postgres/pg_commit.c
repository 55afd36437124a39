/* Changing keys.  Every change is one transaction of the server's.
 *
 * Where nothing depends on what is there (puts, drops, one delete), its
 * statements and its COMMIT travel in one message.  Else the rows are locked
 * first, sorted by key so that two batches cannot wait for each other, and the
 * operations are run on what they say (pg_change.h); then what has come of
 * them is written, in a second message.
 *
 * Whether a COMMIT counted when its answer did not come is told by the row
 * that each of them puts into bltfs.done: it is tried again with the same row,
 * which cannot be put twice, and which waits for a transaction that is still
 * on its way.  Where it is found, one more commit waits for the standbys: a
 * server that was killed and is back has what it had not told them.
 *
 * A network may deliver a message long after it was given up, and the server
 * runs it then.  So the row of a commit of which that can be stays
 * until a prune finds it a day old; and the next commit puts the rows of those
 * that failed with an unknown outcome, behind which they fail. */
#include "postgres/pg_commit.h"

#include "base/array.h"
#include "base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SETTLED_MOST 256u /* rows of done that wait to be dropped */

/* ---- what may be written ---- */

int pg_key(struct blt *blt, const void *key, size_t len,
	   struct backend_key *ret)
{
	(void)blt;
	if (len > PG_KEY_MAX)
		return -ENAMETOOLONG;
	*ret = (struct backend_key){ .bytes = key, .len = len };
	return 0;
}

int pg_check_value(struct blt *blt, const void *value, size_t len)
{
	(void)blt;
	(void)value;
	return len > PG_VALUE_MAX ? -EFBIG : 0;
}

/* ---- the end of a transaction ---- */

/* The COMMIT is the last one, and counts.  rows: of the statement behind the
 * frame. */
static int finish(struct pg_commit *c, struct pg_turn *t, uint64_t *ret_rows)
{
	bool sent;
	int rc;

	pg_write_drop_done(c, t);
	pg_write_fence(c, t);
	pg_turn_args(t);
	sent = pg_turn_add(t, PG_COMMIT) == 0;
	pg_turn_send(t);
	while (t->rc == 0 && t->got < t->sent)
		(void)pg_turn_done(t, t->got == 2 ? ret_rows : NULL);
	rc = pg_turn_end(t);
	/* else the server has said what came of it */
	if (sent && rc == -ERESTART && t->c->broken)
		c->unknown = true;
	return rc;
}

/* The row of done is there already. */
static int found_done(struct pg_commit *c)
{
	if (!c->unknown)
		return -EIO;
	c->was_done = true;
	return 0;
}

/* ---- where nothing depends on what is there ---- */

static bool is_create(const struct backend_op *op)
{
	const struct backend_op *put = op->next;

	return op->kind == BACKEND_ABSENT && put && !put->next &&
	       put->kind == BACKEND_PUT && op->key.len == put->key.len &&
	       memcmp(op->key.bytes, put->key.bytes, op->key.len) == 0;
}

static bool is_simple(const struct backend_op *first)
{
	bool puts = false, drops = false;

	if (is_create(first) || (first->kind == BACKEND_DELETE && !first->next))
		return true;
	for (const struct backend_op *op = first; op; op = op->next) {
		puts = puts || op->kind == BACKEND_PUT;
		drops = drops || op->kind == BACKEND_DROP;
		if (op->kind != BACKEND_PUT && op->kind != BACKEND_DROP)
			return false;
	}
	return !(puts && drops);
}

static int compare_values(const void *a, const void *b)
{
	const struct pg_value *x = a, *y = b;

	return compare_bytes(x->key, x->key_len, y->key, y->key_len);
}

/* Of each key the put that came last; ver is its place so far. */
static void keep_last(struct pg_commit *c)
{
	size_t n = 0;

	qsort(c->value, c->n_values, sizeof(*c->value), compare_values);
	for (size_t i = 0; i < c->n_values; i++) {
		struct pg_value *v = &c->value[i];

		if (n == 0 || compare_values(&c->value[n - 1], v) != 0)
			c->value[n++] = *v;
		else if (v->ver > c->value[n - 1].ver)
			c->value[n - 1] = *v;
	}
	c->n_values = n;
}

/* One source by itself need not be one that can be read again. */
static int read_once(struct pg_commit *c)
{
	const struct backend_op *op = c->value[0].op;

	if (c->n_values != 1 || !op->source.read || op->staged_at)
		return 0;
	c->bytes = malloc(op->value_len + 1);
	if (!c->bytes)
		return -ENOMEM;
	return op->value_len ? op->source.read(op->source.arg, c->bytes,
					       op->value_len, 0) :
			       0;
}

static int simple_values(struct pg_commit *c)
{
	size_t room = 0;

	for (const struct backend_op *op = c->first; op; op = op->next)
		room += op->kind == BACKEND_PUT;
	if (room == 0)
		return 0;
	c->value = calloc(room, sizeof(*c->value));
	if (!c->value)
		return -ENOMEM;
	for (const struct backend_op *op = c->first; op; op = op->next) {
		if (op->kind != BACKEND_PUT)
			continue;
		c->value[c->n_values] = (struct pg_value){
			.op = op,
			.key = op->key.bytes,
			.key_len = op->key.len,
			.mtime = op->timestamp,
			.ver = (int64_t)c->n_values,
		};
		c->n_values++;
	}
	if (room > 1)
		keep_last(c);
	for (size_t i = 0; i < c->n_values; i++)
		c->value[i].ver = pg_random(c->store);
	return read_once(c);
}

static int try_simple(void *arg, struct pg_conn *conn, int64_t until)
{
	struct pg_commit *c = arg;
	const bool create = c->first->kind == BACKEND_ABSENT;
	uint64_t rows = 0;
	struct pg_turn t;
	int rc;

	pg_turn_begin(&t, conn, until);
	pg_write_frame(c, &t, PG_BEGIN);
	if (c->n_values)
		pg_write_puts(c, &t, create ? PG_INSERT : PG_PUT);
	else
		pg_write_drops(c, &t);
	rc = finish(c, &t, &rows);
	/* The row of done is there from the time before, or the key is. */
	if (rc == -EEXIST && t.got == 2)
		return found_done(c);
	if (rc == 0 && c->first->kind == BACKEND_DELETE && rows == 0)
		return -ENOENT;
	return rc;
}

/* ---- where it does ---- */

static void take_rows(struct pg_commit *c, const PGresult *res)
{
	for (int row = 0; row < PQntuples(res); row++) {
		size_t len;
		const uint8_t *key = pg_bytes(res, row, 0, &len);

		pg_changes_found(&c->changes, key, len, pg_int8(res, row, 1),
				 (uint64_t)pg_int8(res, row, 2));
	}
}

/* 1: the batch was committed by the try before. */
static int lock_rows(struct pg_commit *c, struct pg_conn *conn, int64_t until)
{
	struct pg_turn t;
	PGresult *res = NULL;
	int rc;

	pg_turn_begin(&t, conn, until);
	pg_write_frame(c, &t, c->changes.serial ? PG_BEGIN_SERIAL : PG_BEGIN);
	if (c->changes.n)
		pg_write_lock(c, &t);
	pg_turn_send(&t);
	(void)pg_turn_done(&t, NULL);
	rc = pg_turn_done(&t, NULL);
	if (rc == -EEXIST)
		rc = 1;
	else if (rc == 0 && c->changes.n)
		rc = pg_turn_result(&t, &res);
	pg_turn_end(&t);
	if (rc == 0 && res)
		take_rows(c, res);
	PQclear(res);
	return rc;
}

static int changed_values(struct pg_commit *c)
{
	const struct pg_changes *all = &c->changes;

	if (!c->value)
		c->value = calloc(all->n + 1, sizeof(*c->value));
	if (!c->value)
		return -ENOMEM;
	c->n_values = 0;
	for (size_t i = 0; i < all->n; i++) {
		const struct pg_change *at = &all->at[i];

		if (at->is && at->put)
			c->value[c->n_values++] = (struct pg_value){
				.op = at->put,
				.key = at->key,
				.key_len = at->len,
				.mtime = at->mtime,
				.ver = pg_random(c->store),
			};
	}
	return 0;
}

static int write_changes(struct pg_commit *c, struct pg_conn *conn,
			 int64_t until)
{
	struct pg_turn t;

	pg_turn_begin(&t, conn, until);
	pg_write_moves(c, &t);
	pg_write_drops(c, &t);
	pg_write_touches(c, &t);
	pg_notes_write(c, &t);
	pg_write_puts(c, &t, PG_PUT);
	return finish(c, &t, NULL);
}

/* Names, and keys that are not there, which no lock can hold: the level
 * SERIALIZABLE does. */
static int compare_tokens(struct pg_commit *c, struct pg_conn *conn,
			  int64_t until)
{
	int rc = 0;

	pg_pin(conn, until);
	for (const struct backend_op *op = c->first; op && rc == 0;
	     op = op->next) {
		uint64_t now;

		if (op->kind != BACKEND_UNCHANGED ||
		    (!op->always && pg_changes_was(&c->changes, op)))
			continue;
		rc = pg_token(&c->store->face, op->key.bytes, op->key.len,
			      op->always, &now);
		if (rc == 0 && now != op->value_offset)
			rc = -EAGAIN;
	}
	pg_pin(NULL, 0);
	return rc;
}

/* On an error the transaction is rolled back when the connection is given
 * back. */
static int try_locked(void *arg, struct pg_conn *conn, int64_t until)
{
	struct pg_commit *c = arg;
	int rc;

	pg_changes_reset(&c->changes);
	rc = lock_rows(c, conn, until);
	if (rc != 0)
		return rc > 0 ? found_done(c) : rc;
	rc = pg_notes_check(c, conn, until);
	if (rc == 0)
		rc = compare_tokens(c, conn, until);
	if (rc == 0)
		rc = pg_changes_run(&c->changes, c->first);
	if (rc == 0)
		rc = changed_values(c);
	return rc < 0 ? rc : write_changes(c, conn, until);
}

/* ---- a batch ---- */

static int take_ids(struct pg_commit *c)
{
	struct pg_store *store = c->store;
	int rc = 0;

	pthread_mutex_lock(&store->lock);
	if (store->n_settled >= SETTLED_MOST) {
		c->drop_done = store->settled;
		c->n_drop_done = store->n_settled;
		store->settled = NULL;
		store->n_settled = store->settled_room = 0;
	}
	if (store->n_given_up) {
		c->n_fence = store->n_given_up;
		c->fence = malloc(c->n_fence * sizeof(*c->fence));
		if (c->fence)
			memcpy(c->fence, store->given_up,
			       c->n_fence * sizeof(*c->fence));
		else
			rc = -ENOMEM;
	}
	pthread_mutex_unlock(&store->lock);
	return rc;
}

static bool is_fenced(const struct pg_commit *c, int64_t id)
{
	for (size_t i = 0; i < c->n_fence; i++)
		if (c->fence[i] == id)
			return true;
	return false;
}

static void drop_fenced(struct pg_commit *c)
{
	struct pg_store *store = c->store;
	size_t n = 0;

	for (size_t i = 0; i < store->n_given_up; i++)
		if (!is_fenced(c, store->given_up[i]))
			store->given_up[n++] = store->given_up[i];
	store->n_given_up = n;
}

/* Without memory, or where it was not taken out, a prune sweeps it. */
static int note_end(struct pg_commit *c, int rc)
{
	struct pg_store *store = c->store;

	pthread_mutex_lock(&store->lock);
	if (rc == 0 && !c->was_done)
		drop_fenced(c);
	if (rc == 0 && !c->unknown &&
	    ARRAY_ROOM(store->settled, store->settled_room,
		       store->n_settled + 1) == 0)
		store->settled[store->n_settled++] = c->id;
	if (rc == -EIO && c->unknown &&
	    ARRAY_ROOM(store->given_up, store->given_up_room,
		       store->n_given_up + 1) == 0)
		store->given_up[store->n_given_up++] = c->id;
	pthread_mutex_unlock(&store->lock);
	free(c->drop_done);
	free(c->fence);
	return rc;
}

static void fill_done(void *arg, struct pg_args *args)
{
	const struct pg_commit *c = arg;

	pg_args_int8(args, c->store->id);
	pg_args_int8(args, c->id);
}

/* Conditions that end, and nothing else. */
static bool is_nothing(struct backend_op *first)
{
	for (struct backend_op *op = first; op; op = op->next)
		if (op->kind != BACKEND_ONLY_IF || !op->always)
			return false;
	for (struct backend_op *op = first; op; op = op->next)
		op->held = true;
	return true;
}

int pg_commit(struct blt *blt, struct backend_op *first)
{
	struct pg_commit c = { .store = pg_of(blt), .first = first };
	int rc;

	if (!blt->writable)
		return -EROFS;
	if (is_nothing(first))
		return 0;
	c.id = pg_random(c.store);
	c.simple = is_simple(first);
	rc = pg_changes_new(&c.changes, first);
	if (rc == 0)
		rc = pg_write_long(&c);
	if (rc == 0 && c.simple)
		rc = simple_values(&c);
	if (rc == 0) {
		rc = take_ids(&c);
		if (rc == 0)
			rc = pg_run(c.store, c.simple ? try_simple : try_locked,
				    &c);
		if (rc == 0 && c.was_done)
			rc = pg_do(c.store, PG_DONE_AGAIN, fill_done, &c);
		rc = note_end(&c, rc);
	}
	free(c.value);
	free(c.bytes);
	pg_changes_free(&c.changes);
	return rc;
}

/* ---- single changes ---- */

static int run_one(struct blt *blt, struct backend_op *op, const void *key,
		   size_t len)
{
	int rc = pg_key(blt, key, len, &op->key);

	if (rc == 0)
		rc = backend_time(blt, op->timestamp, &op->timestamp);
	if (rc == 0)
		rc = op->value_len > PG_VALUE_MAX ? -EFBIG : 0;
	return rc < 0 ? rc : pg_commit(blt, op);
}

int pg_put(struct blt *blt, const void *key, size_t key_len, const void *value,
	   size_t value_len, int64_t timestamp)
{
	struct backend_op op = { .kind = BACKEND_PUT,
				 .value = value,
				 .value_len = value_len,
				 .timestamp = timestamp };

	return run_one(blt, &op, key, key_len);
}

int pg_put_from(struct blt *blt, const void *key, size_t key_len,
		const struct blt_source *source, int64_t timestamp)
{
	struct backend_op op = { .kind = BACKEND_PUT,
				 .source = *source,
				 .value_len = source->len,
				 .timestamp = timestamp };

	return run_one(blt, &op, key, key_len);
}

int pg_put_blob(struct pg_store *store, const void *key, size_t len,
		int64_t blob, uint64_t value_len, int64_t timestamp)
{
	struct backend_op op = { .kind = BACKEND_PUT,
				 .value_len = value_len,
				 .staged_at = (uint64_t)blob,
				 .timestamp = timestamp };

	return run_one(&store->face, &op, key, len);
}

int pg_delete(struct blt *blt, const void *key, size_t len)
{
	struct backend_op op = { .kind = BACKEND_DELETE };
	int rc = run_one(blt, &op, key, len);

	/* What no key can be is not there. */
	return rc == -ENAMETOOLONG ? -ENOENT : rc;
}

int pg_touch(struct blt *blt, const void *key, size_t len, int64_t timestamp)
{
	struct backend_op op = { .kind = BACKEND_TOUCH,
				 .timestamp = timestamp };

	return run_one(blt, &op, key, len);
}

/* ---- making it last ---- */

/* A change that was acknowledged is as durable as the server makes it. */
int pg_sync(struct blt *blt)
{
	(void)blt;
	return 0;
}

int pg_settle(struct blt *blt, bool idle)
{
	(void)idle;
	return pg_sync(blt);
}
