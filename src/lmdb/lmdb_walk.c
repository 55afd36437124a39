/* A walk over all keys: some at a time, copied, each time in a transaction of
 * its own that begins behind the last one.  So a walk may take for ever and
 * keeps no page from being used again.
 *
 * It shows the store as it was when it began.  What this process changes in
 * front of it is remembered as it was, until the walk comes there: all walks
 * stand in a list, and whoever writes tells them (lmdb_walks_tell).  What other
 * processes change meanwhile may be met or not, but what stays is met exactly
 * once. */
#include "lmdb/lmdb_undo.h"
#include "lmdb/lmdb_store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Taken at a time: so many bytes, or keys, but at least one key. */
#define CHUNK_BYTES ((size_t)1 << 20)
#define CHUNK_KEYS 1024u

#define NUMBER_ROOM 22u /* '/' and the digits of a value's number */

struct item {
	size_t at; /* in the chunk's bytes: the key, then the value */
	size_t key_len, value_len;
	uint64_t token;
};

struct lmdb_walk {
	struct lmdb_store *store;
	bool values;
	struct lmdb_walk *next_walk; /* under the store's walks_lock */
	pthread_mutex_t lock; /* where it is, and before; behind walks_lock */
	struct undo before;
	/* where it goes on: behind this key of this database */
	size_t db;
	bool begun;
	size_t last_len;
	uint8_t last[LMDB_KEY_MAX];
	size_t number; /* and behind so many of its values: 0, of all */
	/* what was taken */
	struct item item[CHUNK_KEYS];
	size_t n, next;
	uint8_t *bytes;
	size_t len, room;
	size_t prefix_len;
	uint8_t prefix[];
};

int lmdb_walk_new(struct lmdb_store *store, const void *prefix, size_t len,
		  bool values, struct lmdb_walk **ret)
{
	struct lmdb_walk *w = malloc(sizeof(*w) + len);

	if (!w)
		return -ENOMEM;
	memset(w, 0, sizeof(*w));
	w->store = store;
	w->values = values;
	w->prefix_len = len;
	if (len)
		memcpy(w->prefix, prefix, len);
	pthread_mutex_init(&w->lock, NULL);
	/* A commit that is on its way has told nobody of what it changes. */
	if (store->face.writable)
		pthread_mutex_lock(&store->write);
	pthread_mutex_lock(&store->walks_lock);
	w->next_walk = store->walks;
	store->walks = w;
	pthread_mutex_unlock(&store->walks_lock);
	if (store->face.writable)
		pthread_mutex_unlock(&store->write);
	*ret = w;
	return 0;
}

int lmdb_walk_after(struct lmdb_walk *w, const void *key, size_t len)
{
	struct lmdb_store *store = w->store;
	struct lmdb_place at;
	int rc;

	pthread_rwlock_rdlock(&store->lock);
	rc = lmdb_find_place(store, key, len, &at, NULL);
	if (rc == 0) {
		pthread_mutex_lock(&w->lock);
		w->db = (size_t)(at.db - store->db);
		w->begun = true;
		w->last_len = at.key.mv_size;
		memcpy(w->last, at.key.mv_data, at.key.mv_size);
		w->number = at.dup ? at.number + 1 : 0;
		pthread_mutex_unlock(&w->lock);
	}
	pthread_rwlock_unlock(&store->lock);
	return rc;
}

void lmdb_walk_free(struct lmdb_walk *w)
{
	struct lmdb_walk **at;

	if (!w)
		return;
	pthread_mutex_lock(&w->store->walks_lock);
	for (at = &w->store->walks; *at != w;)
		at = &(*at)->next_walk;
	*at = w->next_walk;
	pthread_mutex_unlock(&w->store->walks_lock);
	undo_clear(&w->before);
	pthread_mutex_destroy(&w->lock);
	lmdb_free(w->bytes, w->room);
	free(w);
}

void lmdb_walks_forget(struct lmdb_store *store, size_t i)
{
	pthread_mutex_lock(&store->walks_lock);
	for (struct lmdb_walk *w = store->walks; w; w = w->next_walk) {
		pthread_mutex_lock(&w->lock);
		if (w->db == i)
			w->begun = false;
		else if (w->db > i)
			w->db--;
		pthread_mutex_unlock(&w->lock);
	}
	pthread_mutex_unlock(&store->walks_lock);
}

void lmdb_walks_insert(struct lmdb_store *store, size_t i)
{
	pthread_mutex_lock(&store->walks_lock);
	for (struct lmdb_walk *w = store->walks; w; w = w->next_walk) {
		pthread_mutex_lock(&w->lock);
		if (w->db >= i)
			w->db++;
		pthread_mutex_unlock(&w->lock);
	}
	pthread_mutex_unlock(&store->walks_lock);
}

/* ---- what changes in front of it ---- */

static bool is_wanted(const struct lmdb_walk *w, const void *key, size_t len)
{
	return len >= w->prefix_len &&
	       (w->prefix_len == 0 ||
		memcmp(key, w->prefix, w->prefix_len) == 0);
}

/* Whether the walk has been there. */
static bool is_behind(const struct lmdb_walk *w, MDB_txn *txn,
		      const struct lmdb_place *at)
{
	MDB_val last = { w->last_len, (void *)(uintptr_t)w->last };
	size_t db = (size_t)(at->db - w->store->db);

	if (db != w->db)
		return db < w->db;
	return w->begun && mdb_cmp(txn, at->db->dbi, &at->key, &last) <= 0;
}

struct changing {
	struct lmdb_walk *w;
	MDB_txn *txn;
	const void *key;
	size_t len;
	const struct lmdb_place *at;
};

static int remember_old(void *arg)
{
	const struct changing *c = arg;
	struct lmdb_walk *w = c->w;
	MDB_val value = { 0 };
	int rc;

	if (is_behind(w, c->txn, c->at) || undo_has(&w->before, c->key, c->len))
		return 0;
	rc = lmdb_value(c->txn, c->at, &value);
	if (rc && rc != MDB_NOTFOUND)
		return rc;
	return -undo_put(&w->before, c->key, c->len, rc == 0,
			 w->values ? value.mv_data : NULL, value.mv_size,
			 rc == 0 && w->values ? lmdb_token(&value) : 0);
}

int lmdb_walks_tell(struct lmdb_store *store, MDB_txn *txn, const void *key,
		    size_t len, const struct lmdb_place *at)
{
	struct changing c = { NULL, txn, key, len, at };
	int rc = 0;

	if (at->self)
		return 0;
	pthread_mutex_lock(&store->walks_lock);
	for (struct lmdb_walk *w = store->walks; w && rc == 0;
	     w = w->next_walk) {
		if (!is_wanted(w, key, len))
			continue;
		c.w = w;
		pthread_mutex_lock(&w->lock);
		rc = lmdb_guard(store, remember_old, &c);
		pthread_mutex_unlock(&w->lock);
	}
	pthread_mutex_unlock(&store->walks_lock);
	return rc;
}

/* ---- one key ---- */

/* The key of blt.h, with its database's name and its value's number. */
static size_t whole_key(const struct lmdb_db *db, const MDB_val *key,
			size_t number, uint8_t *to)
{
	size_t len = 0;

	if (db->name) {
		len = strlen(db->name);
		memcpy(to, db->name, len);
		to[len++] = '/';
	}
	len += lmdb_key_bytes(db, key, to + len);
	if (db->flags & MDB_DUPSORT)
		len += (size_t)sprintf((char *)to + len, "/%zu", number);
	return len;
}

static int have_room(struct lmdb_walk *w, size_t more)
{
	size_t room = w->len + more;
	uint8_t *bytes;

	if (room <= w->room)
		return 0;
	room = room < CHUNK_BYTES ? CHUNK_BYTES : room;
	bytes = lmdb_alloc(w->store, room);
	if (!bytes)
		return -ENOMEM;
	if (w->room)
		memcpy(bytes, w->bytes, w->room);
	lmdb_free(w->bytes, w->room);
	w->bytes = bytes;
	w->room = room;
	return 0;
}

static bool is_full(const struct lmdb_walk *w)
{
	return w->n == CHUNK_KEYS || (w->n && w->len >= CHUNK_BYTES);
}

/* The key stands in bytes already, where the item is to be. */
static int add_item(struct lmdb_walk *w, size_t key_len, const void *value,
		    size_t value_len, uint64_t token)
{
	if (have_room(w, key_len + (w->values ? value_len : 0)) < 0)
		return -ENOMEM;
	w->item[w->n++] = (struct item){ w->len, key_len, value_len, token };
	w->len += key_len;
	if (w->values && value_len) {
		memcpy(w->bytes + w->len, value, value_len);
		w->len += value_len;
	}
	return 1;
}

/* As it was before we changed it. */
static int add_old(struct lmdb_walk *w, struct undo_key *was)
{
	int rc = was->there ?
			 add_item(w, was->key_len, was->bytes + was->key_len,
				  was->value_len, was->token) :
			 0;

	free(was);
	return rc;
}

/* 1: taken; 0: none of those that are wanted. */
static int take(struct lmdb_walk *w, const struct lmdb_db *db,
		const MDB_val *key, const MDB_val *value)
{
	size_t name = db->name ? strlen(db->name) + 1 : 0, len;
	struct undo_key *was;

	if (have_room(w, name + LMDB_KEY_MAX + NUMBER_ROOM) < 0)
		return -ENOMEM;
	len = whole_key(db, key, w->number, w->bytes + w->len);
	if (!is_wanted(w, w->bytes + w->len, len))
		return 0;
	was = undo_take(&w->before, w->bytes + w->len, len);
	if (was)
		return add_old(w, was);
	return add_item(w, len, value->mv_data, value->mv_size,
			w->values ? lmdb_token(value) : 0);
}

/* At the end: what we have deleted in front of it, and it did not meet. */
static int take_deleted(struct lmdb_walk *w)
{
	struct undo_key *was;
	int rc = 1;

	while (rc > 0 && !is_full(w) && (was = undo_any(&w->before))) {
		if (have_room(w, was->key_len) < 0) {
			free(was);
			return ENOMEM;
		}
		memcpy(w->bytes + w->len, was->bytes, was->key_len);
		rc = add_old(w, was);
	}
	return rc < 0 ? ENOMEM : 0;
}

/* ---- a chunk ---- */

/* Where this database's part of the walk begins: keys in front of that are not
 * wanted.  Only where its order is that of bytes. */
static void seek_prefix(const struct lmdb_walk *w, const struct lmdb_db *db,
			MDB_val *ret)
{
	size_t own = db->name ? strlen(db->name) + 1 : 0;

	if (w->prefix_len <= own ||
	    db->flags & (MDB_INTEGERKEY | MDB_DUPSORT) ||
	    w->prefix_len - own > LMDB_KEY_MAX)
		return;
	ret->mv_data = (void *)(uintptr_t)(w->prefix + own);
	ret->mv_size = w->prefix_len - own;
}

/* To the first that is not behind the walk yet. */
static int find_next(struct lmdb_walk *w, const struct lmdb_db *db,
		     MDB_cursor *c, MDB_val *key, MDB_val *value)
{
	MDB_val from = { 0 };
	int rc;

	if (!w->begun) {
		w->number = 0;
		seek_prefix(w, db, &from);
		*key = from;
		return mdb_cursor_get(c, key, value,
				      from.mv_size ? MDB_SET_RANGE : MDB_FIRST);
	}
	*key = (MDB_val){ w->last_len, w->last };
	rc = mdb_cursor_get(c, key, value, MDB_SET_RANGE);
	if (rc || key->mv_size != w->last_len ||
	    memcmp(key->mv_data, w->last, w->last_len) != 0) {
		w->number = 0;
		return rc;
	}
	for (size_t i = 0; rc == 0 && i < w->number; i++)
		rc = mdb_cursor_get(c, key, value, MDB_NEXT_DUP);
	if (w->number && rc == 0)
		return 0;
	w->number = 0;
	return rc && rc != MDB_NOTFOUND ?
		       rc :
		       mdb_cursor_get(c, key, value, MDB_NEXT_NODUP);
}

/* What comes behind a value: another of the same key, or the next key. */
static int go_on(struct lmdb_walk *w, const struct lmdb_db *db, MDB_cursor *c,
		 MDB_val *key, MDB_val *value)
{
	int rc;

	if (!(db->flags & MDB_DUPSORT))
		return mdb_cursor_get(c, key, value, MDB_NEXT);
	rc = mdb_cursor_get(c, key, value, MDB_NEXT_DUP);
	w->number++;
	if (rc != MDB_NOTFOUND)
		return rc;
	w->number = 0;
	return mdb_cursor_get(c, key, value, MDB_NEXT_NODUP);
}

static void remember(struct lmdb_walk *w, const MDB_val *key)
{
	w->begun = true;
	w->last_len = key->mv_size;
	memcpy(w->last, key->mv_data, key->mv_size);
}

/* Whether nothing behind this key can be wanted. */
static bool is_past(const struct lmdb_walk *w, const struct lmdb_db *db,
		    const MDB_val *key)
{
	MDB_val from = { 0 };
	size_t n;

	seek_prefix(w, db, &from);
	n = key->mv_size < from.mv_size ? key->mv_size : from.mv_size;
	return n && memcmp(key->mv_data, from.mv_data, n) > 0;
}

/* With a cursor that is the caller's to close.  MDB_NOTFOUND: the database's
 * end. */
static int walk_db(struct lmdb_walk *w, const struct lmdb_db *db, MDB_cursor *c)
{
	MDB_val key, value;
	int rc = find_next(w, db, c, &key, &value), taken = 0;

	while (rc == 0 && taken >= 0 && !is_past(w, db, &key)) {
		if (key.mv_size > LMDB_KEY_MAX) {
			rc = MDB_CORRUPTED;
			break;
		}
		if (!lmdb_is_db(w->store, db, &key))
			taken = take(w, db, &key, &value);
		remember(w, &key);
		if (is_full(w)) {
			/* behind this value, of a key that may have more */
			w->number += (db->flags & MDB_DUPSORT) != 0;
			return 0;
		}
		rc = go_on(w, db, c, &key, &value);
	}
	return taken < 0 ? -taken : rc ? rc : MDB_NOTFOUND;
}

struct filling {
	struct lmdb_walk *w;
	MDB_txn *txn;
	MDB_cursor *cursor;
};

static int run_fill(void *arg)
{
	struct filling *f = arg;
	struct lmdb_walk *w = f->w;
	int rc = 0;

	w->n = w->next = w->len = 0;
	while (rc == 0 && !is_full(w) && w->db < w->store->n_dbs) {
		const struct lmdb_db *db = &w->store->db[w->db];

		mdb_cursor_close(f->cursor);
		f->cursor = NULL;
		rc = mdb_cursor_open(f->txn, db->dbi, &f->cursor);
		if (rc == 0)
			rc = walk_db(w, db, f->cursor);
		if (rc == MDB_NOTFOUND) {
			w->db++;
			w->begun = false;
			rc = 0;
		}
	}
	return rc ? rc : take_deleted(w);
}

static int fill(struct lmdb_walk *w)
{
	struct filling f = { .w = w };
	struct lmdb_read r;
	int rc = lmdb_read_begin(w->store, &r);

	if (rc < 0)
		return rc;
	f.txn = r.txn;
	pthread_mutex_lock(&w->lock);
	rc = lmdb_guard(w->store, run_fill, &f);
	mdb_cursor_close(f.cursor);
	if (rc)
		w->n = w->next = 0;
	pthread_mutex_unlock(&w->lock);
	lmdb_read_end(&r);
	return lmdb_error(rc);
}

int lmdb_walk_next(struct lmdb_walk *w, struct lmdb_met *ret)
{
	const struct item *it;
	int rc;

	if (w->next == w->n) {
		rc = fill(w);
		if (rc < 0 || w->n == 0)
			return rc;
	}
	it = &w->item[w->next++];
	*ret = (struct lmdb_met){
		.key = w->bytes + it->at,
		.key_len = it->key_len,
		.value = w->values ? w->bytes + it->at + it->key_len : NULL,
		.value_len = it->value_len,
		.token = it->token,
	};
	return 1;
}
