/* Single keys of a transaction, and batches.
 *
 * A reader looks in upper, then whether the key is covered, then in lower.  A
 * writer puts into upper first and covers behind that, so that a reader who
 * finds a key covered that he has not found before looks in upper once more.
 */
#include "txn/txn.h"

#include "booklet/format/marker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- marks ---- */

int txn_see(struct txn *t, const void *key, size_t len)
{
	struct keyhash hash = keyhash_of(key, len);
	struct txn_keyset_entry *is;
	int rc = -ESTALE;

	pthread_mutex_lock(&t->lock);
	if (!t->ended)
		rc = txn_keyset_make(&t->keys, &hash, &is);
	pthread_mutex_unlock(&t->lock);
	return rc < 0 ? rc : txn_see_token(t, &t->keys, &hash, key, len);
}

bool txn_has_whiteout(struct txn *t, const struct keyhash *hash)
{
	struct txn_keyset_entry *is;
	bool covered;

	pthread_mutex_lock(&t->lock);
	is = txn_keyset_get(&t->keys, hash);
	covered = is && is->flags & TXN_WHITEOUT;
	pthread_mutex_unlock(&t->lock);
	return covered;
}

static bool has_whiteout(struct txn *t, const void *key, size_t len)
{
	struct keyhash hash = keyhash_of(key, len);

	return txn_has_whiteout(t, &hash);
}

static bool is_marker(struct blt *store, const void *key, size_t len)
{
	uint8_t value[MARKER_SEQ_LEN];
	struct blt_view view;
	int64_t got;
	size_t whole;

	if (!len || ((const uint8_t *)key)[len - 1] != '/' ||
	    blt_get(store, key, len, &view) < 0)
		return false;
	whole = view.len;
	got = blt_view_copy(&view, value, sizeof(value), 0);
	blt_view_release(&view);
	return got >= 0 && marker_is(key, len, value, whole);
}

void txn_add_whiteout(struct txn *t, const void *key, size_t len)
{
	struct keyhash hash = keyhash_of(key, len);
	struct blt_stat st;
	struct txn_keyset_entry *is;
	bool before;

	pthread_mutex_lock(&t->lock);
	is = txn_keyset_get(&t->keys, &hash);
	before = !is || is->flags & TXN_WHITEOUT;
	if (is)
		is->flags |= TXN_WHITEOUT;
	pthread_mutex_unlock(&t->lock);
	if (!before && blt_stat_key(t->lower, key, len, &st) == 0)
		txn_dirs_whiteout(t, key, len, is_marker(t->lower, key, len));
}

/* ---- reading ---- */

int txn_get(struct blt *face, const void *key, size_t len, struct blt_view *ret)
{
	struct txn *t = txn_of(face);
	int rc = txn_see(t, key, len);

	if (rc == 0)
		rc = blt_get(t->upper, key, len, ret);
	else
		return rc;
	if (rc != -ENOENT)
		return rc;
	if (has_whiteout(t, key, len))
		return blt_get(t->upper, key, len, ret);
	return blt_get(t->lower, key, len, ret);
}

int64_t txn_get_part(struct blt *face, const void *key, size_t len, void *to,
		     size_t n, uint64_t offset)
{
	struct txn *t = txn_of(face);
	int64_t got = txn_see(t, key, len);

	if (got == 0)
		got = blt_get_part(t->upper, key, len, to, n, offset);
	if (got != -ENOENT)
		return got;
	return blt_get_part(has_whiteout(t, key, len) ? t->upper : t->lower,
			    key, len, to, n, offset);
}

static int stat_now(struct txn *t, const void *key, size_t len,
		    struct blt_stat *ret)
{
	int rc = blt_stat_key(t->upper, key, len, ret);

	if (rc != -ENOENT)
		return rc;
	if (has_whiteout(t, key, len))
		return blt_stat_key(t->upper, key, len, ret);
	return blt_stat_key(t->lower, key, len, ret);
}

/* Who asks for a directory's marker asks for the directory, which is there
 * whether or not it is marked: that is no read of the key. */
int txn_stat_key(struct blt *face, const void *key, size_t len,
		 struct blt_stat *ret)
{
	bool marker = len > 0 && ((const uint8_t *)key)[len - 1] == '/';
	struct txn *t = txn_of(face);
	int rc;

	if (marker && t->has_dirs && !t->flat) {
		if (txn_has_ended(t))
			return -ESTALE;
		rc = stat_now(t, key, len, ret);
		if (rc < 0 || ret->len == 0)
			return rc;
	}
	rc = txn_see(t, key, len);
	return rc < 0 ? rc : stat_now(t, key, len, ret);
}

static int read_view(void *arg, void *buf, size_t n, uint64_t offset)
{
	const struct blt_view *view = arg;
	int64_t got = blt_view_copy(view, buf, n, offset);

	if (got < 0)
		return (int)got;
	return (size_t)got == n ? 0 : -EIO;
}

struct blt_source txn_source(const struct blt_view *view)
{
	return (struct blt_source){
		.len = view->len,
		.read = read_view,
		.arg = (void *)(uintptr_t)view,
	};
}

/* ---- single changes ---- */

/* Takes the lock where it returns 0. */
static int begin(struct txn *t, const void *key, size_t len)
{
	struct backend_key k;
	int rc = t->lower->backend->key(t->lower, key, len, &k);

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&t->change);
	rc = txn_see(t, key, len);
	if (rc < 0)
		pthread_mutex_unlock(&t->change);
	return rc;
}

static int end(struct txn *t, const void *key, size_t len, int rc)
{
	if (rc == 0)
		txn_add_whiteout(t, key, len);
	pthread_mutex_unlock(&t->change);
	return rc;
}

int txn_put(struct blt *face, const void *key, size_t key_len,
	    const void *value, size_t value_len, int64_t timestamp)
{
	struct txn *t = txn_of(face);
	int rc = begin(t, key, key_len);

	if (rc < 0)
		return rc;
	return end(
		t, key, key_len,
		blt_put(t->upper, key, key_len, value, value_len, timestamp));
}

int txn_put_from(struct blt *face, const void *key, size_t key_len,
		 const struct blt_source *source, int64_t timestamp)
{
	struct txn *t = txn_of(face);
	int rc = begin(t, key, key_len);

	if (rc < 0)
		return rc;
	return end(t, key, key_len,
		   blt_put_from(t->upper, key, key_len, source, timestamp));
}

/* The rest as a batch of one. */

static int one(struct blt *face, struct backend_op *op, const void *key,
	       size_t len)
{
	int rc = face->backend->key(face, key, len, &op->key);

	return rc < 0 ? rc : txn_commit_ops(face, op);
}

int txn_delete(struct blt *face, const void *key, size_t len)
{
	struct backend_op op = { .kind = BACKEND_DELETE };
	int rc = one(face, &op, key, len);

	/* What no key can be is not there. */
	return rc == -EINVAL || rc == -EILSEQ || rc == -ENAMETOOLONG ? -ENOENT :
								       rc;
}

int txn_touch(struct blt *face, const void *key, size_t len, int64_t timestamp)
{
	struct backend_op op = { .kind = BACKEND_TOUCH,
				 .timestamp = timestamp };

	return one(face, &op, key, len);
}

/* ---- batches ---- */

enum where { NOWHERE, IN_BASE, IN_UPPER };

/* A view of lower that upper's batch reads from. */
struct held {
	struct blt_view view;
	struct held *next;
};

struct translation {
	struct txn *t;
	struct blt_batch *batch; /* of upper */
	struct txn_keyset now;   /* flags: where a key is behind the operations
				  * so far */
	struct held *held;
};

/* Where the key is; marks it as touched. */
static int find(struct translation *x, const struct backend_key *key)
{
	struct keyhash hash = keyhash_of(key->bytes, key->len);
	struct txn_keyset_entry *is = txn_keyset_get(&x->now, &hash);
	struct blt_stat st;
	int rc;

	if (is)
		return is->flags;
	rc = txn_see(x->t, key->bytes, key->len);
	if (rc < 0)
		return rc;
	rc = blt_stat_key(x->t->upper, key->bytes, key->len, &st);
	if (rc != -ENOENT)
		return rc < 0 ? rc : IN_UPPER;
	if (txn_has_whiteout(x->t, &hash))
		return NOWHERE;
	rc = blt_stat_key(x->t->lower, key->bytes, key->len, &st);
	if (rc == -ENOENT)
		return NOWHERE;
	return rc < 0 ? rc : IN_BASE;
}

static int set(struct translation *x, const struct backend_key *key,
	       enum where where)
{
	struct keyhash hash = keyhash_of(key->bytes, key->len);
	struct txn_keyset_entry *is;
	int rc = txn_keyset_make(&x->now, &hash, &is);

	if (rc == 0)
		is->flags = (uint16_t)where;
	return rc;
}

/* It goes: where lower has it, the commit is to know its name. */
static int gone(struct translation *x, const struct backend_key *key)
{
	struct keyhash hash = keyhash_of(key->bytes, key->len);
	struct txn *t = x->t;
	struct blt_stat st;
	struct txn_keyset_entry *is;
	int rc = blt_stat_key(t->lower, key->bytes, key->len, &st);

	if (rc == -ENOENT)
		return set(x, key, NOWHERE);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&t->lock);
	is = txn_keyset_get(&t->keys, &hash);
	if (is && !(is->flags & TXN_DELETED)) {
		rc = txn_keys_add(&t->deleted, key->bytes, key->len);
		if (rc == 0)
			is->flags |= TXN_DELETED;
	}
	pthread_mutex_unlock(&t->lock);
	return rc < 0 ? rc : set(x, key, NOWHERE);
}

/* Lower's value of from becomes upper's of to.  timestamp NULL: with its own.
 */
static int lift(struct translation *x, const struct backend_key *from,
		const struct backend_key *to, const int64_t *timestamp)
{
	struct held *h = calloc(1, sizeof(*h));
	struct blt_source source;
	int64_t time;
	int rc;

	if (!h)
		return -ENOMEM;
	rc = blt_get(x->t->lower, from->bytes, from->len, &h->view);
	if (rc < 0) {
		free(h);
		return rc;
	}
	h->next = x->held;
	x->held = h;
	time = h->view.timestamp == BLT_NO_TIME ? BLT_NOW : h->view.timestamp;
	source = txn_source(&h->view);
	rc = blt_batch_put_from(x->batch, to->bytes, to->len, &source,
				timestamp ? *timestamp : time);
	return rc < 0 ? rc : set(x, to, IN_UPPER);
}

static int to_put(struct translation *x, const struct backend_op *op)
{
	int rc = find(x, &op->key);

	if (rc >= 0 && op->source.read)
		rc = blt_batch_put_from(x->batch, op->key.bytes, op->key.len,
					&op->source, op->timestamp);
	else if (rc >= 0)
		rc = blt_batch_put(x->batch, op->key.bytes, op->key.len,
				   op->value, op->value_len, op->timestamp);
	return rc < 0 ? rc : set(x, &op->key, IN_UPPER);
}

static int to_delete(struct translation *x, const struct backend_op *op)
{
	int rc = find(x, &op->key);

	if (rc == NOWHERE)
		return -ENOENT;
	if (rc == IN_UPPER)
		rc = blt_batch_delete(x->batch, op->key.bytes, op->key.len);
	return rc < 0 ? rc : gone(x, &op->key);
}

static int to_touch(struct translation *x, const struct backend_op *op)
{
	int rc = find(x, &op->key);

	if (rc == NOWHERE)
		return -ENOENT;
	if (rc < 0 || !x->t->has_times)
		return rc < 0 ? rc : 0;
	if (rc == IN_BASE)
		return lift(x, &op->key, &op->key, &op->timestamp);
	if (rc == IN_UPPER)
		rc = blt_batch_touch(x->batch, op->key.bytes, op->key.len,
				     op->timestamp);
	return rc;
}

static bool same(const struct backend_key *a, const struct backend_key *b)
{
	return a->len == b->len &&
	       (a->len == 0 || memcmp(a->bytes, b->bytes, a->len) == 0);
}

static int to_rename(struct translation *x, const struct backend_op *op)
{
	const struct backend_key *from = &op->key, *to = &op->to;
	int rc = find(x, to), is;

	is = rc < 0 ? rc : find(x, from);
	if (is == NOWHERE)
		return -ENOENT;
	if (is < 0 || same(from, to))
		return is < 0 ? is : 0;
	if (is == IN_BASE)
		rc = lift(x, from, to, NULL);
	else
		rc = blt_batch_rename(x->batch, from->bytes, from->len,
				      to->bytes, to->len);
	if (rc == 0)
		rc = set(x, to, IN_UPPER);
	return rc < 0 ? rc : gone(x, from);
}

static int to_exchange(struct translation *x, const struct backend_op *op)
{
	const struct backend_key *key[] = { &op->key, &op->to };
	int rc = 0;

	for (int i = 0; i < 2 && rc == 0; i++) {
		rc = find(x, key[i]);
		if (rc == NOWHERE)
			rc = -ENOENT;
		else if (rc == IN_BASE)
			rc = lift(x, key[i], key[i], NULL);
		else if (rc == IN_UPPER)
			rc = set(x, key[i], IN_UPPER);
	}
	if (rc < 0 || same(key[0], key[1]))
		return rc;
	return blt_batch_exchange(x->batch, key[0]->bytes, key[0]->len,
				  key[1]->bytes, key[1]->len);
}

static int translate(struct translation *x, const struct backend_op *op)
{
	int rc;

	switch (op->kind) {
	case BACKEND_PUT:
		return to_put(x, op);
	case BACKEND_DELETE:
		return to_delete(x, op);
	case BACKEND_TOUCH:
		return to_touch(x, op);
	case BACKEND_RENAME:
		return to_rename(x, op);
	case BACKEND_EXCHANGE:
		return to_exchange(x, op);
	case BACKEND_ABSENT:
		rc = find(x, &op->key);
		return rc < 0 ? rc : rc == NOWHERE ? 0 : -EEXIST;
	case BACKEND_ONLY_IF:
	case BACKEND_DROP:
	case BACKEND_UNCHANGED:
	case BACKEND_CHECK:
	case BACKEND_NOTE:
		break;
	}
	return -ENOTSUP;
}

static void whiteout_one(struct translation *x, const struct backend_key *key)
{
	struct keyhash hash;

	if (!key->bytes)
		return;
	hash = keyhash_of(key->bytes, key->len);
	if (txn_keyset_get(&x->now, &hash))
		txn_add_whiteout(x->t, key->bytes, key->len);
}

static void whiteout_all(struct translation *x, const struct backend_op *first)
{
	for (const struct backend_op *op = first; op; op = op->next) {
		whiteout_one(x, &op->key);
		whiteout_one(x, &op->to);
	}
}

int txn_commit_ops(struct blt *face, struct backend_op *first)
{
	struct translation x = { .t = txn_of(face) };
	int rc;

	pthread_mutex_lock(&x.t->change);
	rc = blt_batch_new(x.t->upper, &x.batch);
	for (struct backend_op *op = first; op && rc == 0; op = op->next)
		rc = translate(&x, op);
	if (rc == 0)
		rc = blt_batch_commit(x.batch);
	else
		blt_batch_abort(x.batch);
	if (rc == 0)
		whiteout_all(&x, first);
	while (x.held) {
		struct held *h = x.held;

		x.held = h->next;
		blt_view_release(&h->view);
		free(h);
	}
	txn_keyset_clear(&x.now);
	pthread_mutex_unlock(&x.t->change);
	return rc;
}
