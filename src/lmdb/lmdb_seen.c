/* What the table of times (lmdb_times.h) is told of what is read and changed.
 *
 * A change is noted while its transaction goes on, looked at behind its last
 * operation, when each value stands where it is going to be, and told behind
 * the commit. */
#include "lmdb/lmdb_store.h"

#include "base/array.h"

#include <errno.h>
#include <string.h>
#include <xxhash.h>

/* A longer value has pages of its own, in front of whose bytes is a head with
 * the first one's number: it has another place whenever it is put.  Since that
 * may become the old one again, its ends and its middle count, too. */
#define WHOLE_MAX ((size_t)64 << 10)
#define SAMPLE ((size_t)4096)
#define PAGE_HEAD 16u

static uint64_t version_of(const MDB_val *value)
{
	const uint8_t *p = value->mv_data;
	const size_t len = value->mv_size;
	uint64_t parts[5] = { len }, hash;

	if (len <= WHOLE_MAX) {
		hash = XXH3_64bits(p, len);
	} else {
		memcpy(&parts[1], p - PAGE_HEAD, sizeof(parts[1]));
		parts[2] = XXH3_64bits(p, SAMPLE);
		parts[3] = XXH3_64bits(p + len / 2, SAMPLE);
		parts[4] = XXH3_64bits(p + len - SAMPLE, SAMPLE);
		hash = XXH3_64bits(parts, sizeof(parts));
	}
	return hash ? hash : 1;
}

/* ---- what is read ---- */

struct look {
	struct lmdb_store *store;
	const MDB_val *value;
};

/* lock is held. */
static uint64_t run_version(const void *arg, int64_t *ret_changed)
{
	const struct look *l = arg;
	struct stat st;

	*ret_changed = fstat(l->store->fd, &st) < 0 ? 0 : lmdb_mtime_of(&st);
	return version_of(l->value);
}

int64_t lmdb_seen(struct lmdb_read *r, const void *key, size_t len,
		  const MDB_val *value)
{
	const struct look l = { r->store, value };
	const size_t txn = mdb_txn_id(r->txn);
	const struct lmdb_view view = { txn,
					lmdb_commits_until(r->store, txn) };

	if (!r->store->times)
		return 0;
	return lmdb_times_look(r->store->times, lmdb_times_key(key, len), view,
			       run_version, &l);
}

/* ---- what is changed: with write held ---- */

int lmdb_seen_note(struct lmdb_store *store, const struct backend_op *op)
{
	struct lmdb_changes *c = &store->changes;

	if (!store->times)
		return 0;
	if (ARRAY_ROOM(c->at, c->room, c->n + 1) < 0)
		return ENOMEM;
	c->at[c->n++] = (struct lmdb_change){
		.kind = op->kind,
		.key = op->key.bytes,
		.len = op->key.len,
		.to = op->to.bytes,
		.to_len = op->to.len,
		.time = op->timestamp,
	};
	return 0;
}

static uint64_t look_at(struct lmdb_store *store, MDB_txn *txn, const void *key,
			size_t len)
{
	struct lmdb_place at;
	MDB_val value;

	if (lmdb_find_place(store, key, len, &at, NULL) < 0 ||
	    lmdb_value(txn, &at, &value) != 0)
		return 0;
	return version_of(&value);
}

void lmdb_seen_look(struct lmdb_store *store, MDB_txn *txn)
{
	struct lmdb_changes *c = &store->changes;

	for (size_t i = 0; i < c->n; i++) {
		struct lmdb_change *at = &c->at[i];

		if (at->kind == BACKEND_PUT)
			at->version = look_at(store, txn, at->key, at->len);
		else if (at->kind == BACKEND_RENAME)
			at->version = look_at(store, txn, at->to, at->to_len);
	}
}

static void apply(struct lmdb_times *t, const struct lmdb_change *c,
		  struct lmdb_view view)
{
	const uint64_t key = lmdb_times_key(c->key, c->len);
	const uint64_t to = c->to ? lmdb_times_key(c->to, c->to_len) : 0;

	switch (c->kind) {
	case BACKEND_PUT:
		lmdb_times_set(t, key, c->version, c->time, view);
		break;
	case BACKEND_TOUCH:
		lmdb_times_touch(t, key, c->time);
		break;
	case BACKEND_RENAME:
		lmdb_times_move(t, key, to, c->version, view);
		break;
	case BACKEND_EXCHANGE:
		lmdb_times_exchange(t, key, to, view);
		break;
	default:
		lmdb_times_forget(t, key);
	}
}

void lmdb_seen_apply(struct lmdb_store *store)
{
	struct lmdb_changes *c = &store->changes;

	for (size_t i = 0; i < c->n; i++)
		apply(store->times, &c->at[i], c->view);
	c->n = 0;
}
