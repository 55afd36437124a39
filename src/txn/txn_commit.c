/* The commit of a transaction: what is in upper, and what is deleted, as one
 * batch of lower, whose first operation looks for conflicts.
 */
#include "txn/txn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A value of so many bytes is kept in memory until lower takes it, which is
 * quicker; a longer one is read then. */
#define SHORT 256u

/* A key of upper, whose value is read when lower takes it. */
struct lifted {
	struct blt *upper;
	struct lifted *next;
	size_t key_len;
	uint8_t key[];
};

static int read_lifted(void *arg, void *buf, size_t n, uint64_t offset)
{
	const struct lifted *l = arg;
	struct blt_source source;
	struct blt_view view;
	int rc = blt_get(l->upper, l->key, l->key_len, &view);

	if (rc < 0)
		return rc;
	source = txn_source(&view);
	rc = source.read(source.arg, buf, n, offset);
	blt_view_release(&view);
	return rc;
}

static int lift(struct txn *t, struct blt_batch *batch,
		const struct blt_item *item, struct lifted **list)
{
	struct lifted *l = malloc(sizeof(*l) + item->key_len);
	int64_t time = t->has_times ? item->timestamp : BLT_NOW;
	struct blt_source source = { .len = item->value_len,
				     .read = read_lifted,
				     .arg = l };

	if (!l)
		return -ENOMEM;
	*l = (struct lifted){ t->upper, *list, item->key_len };
	if (l->key_len)
		memcpy(l->key, item->key, l->key_len);
	*list = l;
	if (item->value_len <= SHORT)
		return blt_batch_put(batch, l->key, l->key_len, item->value,
				     item->value_len, time);
	return blt_batch_put_from(batch, l->key, l->key_len, &source, time);
}

static int add_puts(struct txn *t, struct blt_batch *batch,
		    struct lifted **list)
{
	const struct blt_iter_options opts = { 0 };
	struct blt_iter *it;
	struct blt_item item;
	int rc = blt_iter_open(t->upper, &opts, &it);

	if (rc < 0)
		return rc;
	while ((rc = blt_iter_next(it, &item)) > 0) {
		rc = lift(t, batch, &item, list);
		if (rc < 0)
			break;
	}
	blt_iter_free(it);
	return rc;
}

bool txn_is_deleted(struct txn *t, const struct txn_key *key)
{
	struct blt_stat st;

	return blt_stat_key(t->upper, key->bytes, key->len, &st) == -ENOENT;
}

static int add_deletes(struct txn *t, struct blt_batch *batch)
{
	int rc = 0;

	for (size_t i = 0; i < t->deleted.n && rc == 0; i++) {
		const struct txn_key *key = &t->deleted.key[i];

		if (txn_is_deleted(t, key))
			rc = backend_batch_drop(batch, key->bytes, key->len);
	}
	return rc;
}

/* Lower's write lock is held: from here on nobody else changes it. */
static int check(void *arg)
{
	struct txn *t = arg;
	int rc;

	pthread_mutex_lock(&t->lock);
	rc = t->n_conflicts || t->doomed ? -EAGAIN : 0;
	pthread_mutex_unlock(&t->lock);
	return rc;
}

static int add_tokens(struct txn *t, struct blt_batch *batch)
{
	int rc = 0;

	pthread_mutex_lock(&t->see);
	for (size_t i = 0; i < t->n_seen && rc == 0; i++)
		rc = backend_batch_unchanged(batch, t->seen[i].bytes,
					     t->seen[i].len, t->seen[i].names,
					     t->seen[i].token);
	pthread_mutex_unlock(&t->see);
	return rc;
}

static int apply(struct txn *t, bool force, struct lifted **list)
{
	struct blt_batch *batch;
	int rc = blt_batch_new(t->lower, &batch);

	if (rc < 0)
		return rc;
	if (!force)
		rc = backend_batch_check(batch, check, t);
	if (rc == 0 && !force)
		rc = add_tokens(t, batch);
	if (rc == 0)
		rc = add_puts(t, batch, list);
	if (rc == 0)
		rc = add_deletes(t, batch);
	if (rc < 0) {
		blt_batch_abort(batch);
		return rc;
	}
	pthread_mutex_lock(&t->lock);
	t->committing = true;
	t->committer = pthread_self();
	pthread_mutex_unlock(&t->lock);
	rc = blt_batch_commit(batch);
	pthread_mutex_lock(&t->lock);
	t->committing = false;
	t->ended = rc == 0;
	pthread_mutex_unlock(&t->lock);
	return rc;
}

/* Newest first, as they stand in the list: the order means nothing. */
static void tell(struct txn *t, const struct blt_txn_options *opts,
		 const struct lifted *list)
{
	for (; list; list = list->next)
		opts->changed(opts->arg, list->key, list->key_len);
	for (size_t i = 0; i < t->deleted.n; i++) {
		const struct txn_key *key = &t->deleted.key[i];

		if (txn_is_deleted(t, key))
			opts->changed(opts->arg, key->bytes, key->len);
	}
}

int blt_txn_commit(struct blt *txn, const struct blt_txn_options *opts)
{
	static const struct blt_txn_options plain;
	struct lifted *list = NULL;
	struct txn *t = txn_of(txn);
	bool changes;
	int rc;

	if (!opts)
		opts = &plain;
	pthread_mutex_lock(&t->change);
	pthread_mutex_lock(&t->lock);
	rc = t->ended ? -ESTALE : 0;
	pthread_mutex_unlock(&t->lock);
	if (rc == 0 && !opts->force)
		rc = check(t);
	if (rc == 0)
		rc = apply(t, opts->force, &list);
	/* which they are, nobody has told */
	if (rc == -EAGAIN && t->lower->backend->token)
		(void)txn_compare(t);
	changes = list || t->deleted.n > 0;
	if (rc == 0 && opts->changed)
		tell(t, opts, list);
	pthread_mutex_unlock(&t->change);
	if (rc == 0 && changes)
		rc = blt_sync(t->lower);
	while (list) {
		struct lifted *l = list;

		list = l->next;
		free(l);
	}
	return rc;
}

void blt_txn_abort(struct blt *txn)
{
	struct txn *t = txn_of(txn);

	pthread_mutex_lock(&t->change);
	pthread_mutex_lock(&t->lock);
	t->ended = true;
	pthread_mutex_unlock(&t->lock);
	pthread_mutex_unlock(&t->change);
}
