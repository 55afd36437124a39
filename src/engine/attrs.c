#include "engine/attrs.h"

#include "engine/attrs_table.h"
#include "base/util.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

enum state { UNREAD, READ, UNUSABLE };

struct attrs {
	pthread_mutex_t writing;
	int64_t credit;  /* bytes that may be written, by writing */
	int64_t counted; /* when it was last added to */
	pthread_mutex_t lock;
	/* lock */
	enum state state;
	int why; /* unusable */
	struct attrs_table table;
	_Atomic bool dirty; /* changed by who holds lock */
	/* Read, and empty: what a commit asks first. */
	_Atomic bool idle;
};

int attrs_new(struct attrs **ret)
{
	struct attrs *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	pthread_mutex_init(&a->writing, NULL);
	pthread_mutex_init(&a->lock, NULL);
	a->credit = ATTRS_BYTES_A_SECOND;
	*ret = a;
	return 0;
}

void attrs_free(struct attrs *a)
{
	if (!a)
		return;
	attrs_table_release(&a->table);
	pthread_mutex_destroy(&a->writing);
	pthread_mutex_destroy(&a->lock);
	free(a);
}

/* ---- from the store and to it ---- */

static int unpack(struct attrs *a, const struct blt_view *v)
{
	uint8_t *bytes;
	int rc;

	/* Another library's: the magic need not be read. */
	if (v->len > BLT_ATTRS_MAX)
		return -EEXIST;
	bytes = malloc(v->len + 1);
	if (!bytes)
		return -ENOMEM;
	rc = blt_view_copy(v, bytes, v->len, 0) == (int64_t)v->len ? 0 : -EIO;
	if (rc == 0)
		rc = attrs_table_unpack(&a->table, bytes, v->len);
	free(bytes);
	return rc;
}

/* With the lock held. */
static int read_table(struct blt *store)
{
	struct attrs *a = store->attrs;
	struct blt_view v;
	int rc = -ENOTSUP;

	if (a->state != UNREAD)
		return a->state == READ ? 0 : a->why;
	if (store->backend->slot_get)
		rc = store->backend->slot_get(store, BLT_RESERVED_2, &v);
	if (rc == 0) {
		rc = unpack(a, &v);
		blt_view_release(&v);
	}
	if (rc == 0 || rc == -ENOENT) {
		a->state = READ;
		a->idle = !a->table.n;
		return 0;
	}
	if (rc == -EEXIST)
		rc = -ENOTSUP;
	if (rc == -ENOTSUP || rc == -EUCLEAN) {
		a->state = UNUSABLE;
		a->why = rc;
	}
	return rc;
}

/* The table with its lock held, or an error without. */
static int lock_table(struct blt *store, struct attrs **ret)
{
	struct attrs *a = store->attrs;
	int rc;

	if (!a)
		return -ENOTSUP;
	pthread_mutex_lock(&a->lock);
	rc = read_table(store);
	if (rc < 0)
		pthread_mutex_unlock(&a->lock);
	else
		*ret = a;
	return rc;
}

static void unlock_table(struct attrs *a)
{
	pthread_mutex_unlock(&a->lock);
}

static void changed(struct attrs *a)
{
	a->dirty = true;
	a->idle = !a->table.n;
}

/* Whether so many bytes may be written now; then they count as written.  Who
 * is in debt waits, so that a table of any length gets its turn. */
static bool afford(struct attrs *a, size_t len, bool always)
{
	int64_t now = steady_us(), passed = now - a->counted;

	if (passed > 1000000)
		passed = 1000000;
	a->counted = now;
	a->credit += passed * ATTRS_BYTES_A_SECOND / 1000000;
	if (a->credit > ATTRS_BYTES_A_SECOND)
		a->credit = ATTRS_BYTES_A_SECOND;
	if (!always && a->credit <= 0)
		return false;
	a->credit -= (int64_t)len + 512;
	return true;
}

static int put_table(struct blt *store, const uint8_t *bytes, size_t len)
{
	int rc;

	if (bytes)
		return store->backend->slot_put(store, BLT_RESERVED_2, bytes,
						len, BLT_NOW);
	rc = store->backend->slot_delete(store, BLT_RESERVED_2);
	return rc == -ENOENT ? 0 : rc;
}

int attrs_write(struct blt *store, bool always)
{
	struct attrs *a = store->attrs;
	uint8_t *bytes = NULL;
	size_t len = 0;
	int rc = 0;

	if (!a || !a->dirty)
		return 0;
	pthread_mutex_lock(&a->writing);
	pthread_mutex_lock(&a->lock);
	if (a->dirty && afford(a, a->table.bytes, always)) {
		rc = attrs_table_pack(&a->table, &bytes, &len);
		a->dirty = rc < 0;
		pthread_mutex_unlock(&a->lock);
		if (rc == 0)
			rc = put_table(store, bytes, len);
		if (rc < 0)
			a->dirty = true;
	} else {
		pthread_mutex_unlock(&a->lock);
	}
	pthread_mutex_unlock(&a->writing);
	free(bytes);
	return rc;
}

void attrs_forget(struct blt *store)
{
	struct attrs *a = store->attrs;

	if (!a)
		return;
	pthread_mutex_lock(&a->lock);
	attrs_table_release(&a->table);
	a->state = UNREAD;
	a->dirty = false;
	a->idle = false;
	pthread_mutex_unlock(&a->lock);
}

/* ---- with the keys ---- */

static void remove_key(struct attrs *a, const void *key, size_t len)
{
	struct attrs_record *r = attrs_table_find(&a->table, key, len);

	if (!r)
		return;
	attrs_table_remove(&a->table, r);
	changed(a);
}

/* Where there is no memory for the new name, the record is lost rather than
 * that it stays for the next key of the old one. */
static void rekey(struct attrs *a, struct attrs_record *r, const void *to,
		  size_t len)
{
	if (!r && !attrs_table_find(&a->table, to, len))
		return;
	if (attrs_table_rekey(&a->table, r, to, len) < 0)
		attrs_table_remove(&a->table, r);
	changed(a);
}

static void exchange(struct attrs *a, const struct backend_key *one,
		     const struct backend_key *two)
{
	if (!attrs_table_find(&a->table, one->bytes, one->len) &&
	    !attrs_table_find(&a->table, two->bytes, two->len))
		return;
	if (attrs_table_exchange(&a->table, one->bytes, one->len, two->bytes,
				 two->len) < 0) {
		remove_key(a, one->bytes, one->len);
		remove_key(a, two->bytes, two->len);
	}
	changed(a);
}

/* A key that ends in '/' may stand for a directory, which does not go with its
 * marker: that is for blt_attrs_drop and blt_attrs_move. */
static bool is_dir(const void *key, size_t len)
{
	return len == 0 || ((const char *)key)[len - 1] == '/';
}

static void follow(struct attrs *a, const struct backend_op *op)
{
	const struct backend_key *k = &op->key, *to = &op->to;

	switch (op->kind) {
	case BACKEND_DELETE:
	case BACKEND_DROP:
		if (!is_dir(k->bytes, k->len))
			remove_key(a, k->bytes, k->len);
		break;
	case BACKEND_RENAME:
		if (!is_dir(k->bytes, k->len))
			rekey(a, attrs_table_find(&a->table, k->bytes, k->len),
			      to->bytes, to->len);
		break;
	case BACKEND_EXCHANGE:
		if (!is_dir(k->bytes, k->len))
			exchange(a, k, to);
		break;
	default:
		break;
	}
}

static bool moves_keys(const struct backend_op *first)
{
	for (; first; first = first->next)
		if (first->kind == BACKEND_DELETE ||
		    first->kind == BACKEND_DROP ||
		    first->kind == BACKEND_RENAME ||
		    first->kind == BACKEND_EXCHANGE)
			return true;
	return false;
}

void attrs_committed(struct blt *store, const struct backend_op *first)
{
	struct attrs *a;
	bool held = true;

	if (!store->attrs || store->attrs->idle || !moves_keys(first) ||
	    lock_table(store, &a) < 0)
		return;
	for (const struct backend_op *op = first; op; op = op->next) {
		if (op->kind == BACKEND_ONLY_IF)
			held = op->held;
		else if (held)
			follow(a, op);
	}
	unlock_table(a);
	(void)attrs_write(store, false);
}

void attrs_deleted(struct blt *store, const void *key, size_t len)
{
	const struct backend_op op = { .kind = BACKEND_DELETE,
				       .key = { .bytes = key, .len = len } };

	attrs_committed(store, &op);
}

static bool may_be_gone(void *arg, const struct attrs_record *r)
{
	(void)arg;
	return !r->set_here && !is_dir(r->key, r->key_len);
}

int attrs_sweep(struct blt *store)
{
	struct attrs_record **list;
	struct blt_stat st;
	struct attrs *a;
	size_t n;
	int rc;

	if (!store->attrs || store->attrs->idle || !store->writable ||
	    lock_table(store, &a) < 0)
		return 0;
	rc = attrs_table_select(&a->table, may_be_gone, NULL, &list, &n);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		struct attrs_record *r = list[i];

		if (blt_stat_key(store, r->key, r->key_len, &st) == -ENOENT) {
			attrs_table_remove(&a->table, r);
			changed(a);
		}
	}
	unlock_table(a);
	if (rc == 0)
		free(list);
	return rc < 0 ? rc : attrs_write(store, true);
}

/* ---- what blt.h promises ---- */

int blt_attrs_get(struct blt *store, const void *key, size_t len,
		  struct blt_attrs *ret)
{
	const struct attrs_record *r = NULL;
	struct attrs *a = store->attrs;
	int rc;

	if (a && a->idle) {
		*ret = (struct blt_attrs){ 0 };
		return 0;
	}
	rc = lock_table(store, &a);
	if (rc < 0)
		return rc;
	r = attrs_table_find(&a->table, key, len);
	*ret = r ? r->attrs : (struct blt_attrs){ 0 };
	unlock_table(a);
	return r != NULL;
}

static int lock_to_change(struct blt *store, struct attrs **ret)
{
	if (!store->attrs)
		return -ENOTSUP;
	return store->writable ? lock_table(store, ret) : -EROFS;
}

/* What a change ends with.  Where the table cannot be written now it stays to
 * be written: blt_sync, blt_settle and blt_close say so. */
static int end_change(struct blt *store, struct attrs *a,
		      struct attrs_record *r, int rc)
{
	if (r && attrs_record_is_empty(r))
		attrs_table_remove(&a->table, r);
	if (rc == 0)
		changed(a);
	unlock_table(a);
	if (rc == 0)
		(void)attrs_write(store, false);
	return rc;
}

static int need(struct attrs *a, const void *key, size_t len, size_t more,
		struct attrs_record **ret)
{
	int rc;

	if (len > BLT_KEY_MAX)
		return -ENAMETOOLONG;
	if (a->table.bytes + len + more + 64 > BLT_ATTRS_MAX)
		return -ENOSPC;
	rc = attrs_table_need(&a->table, key, len, ret);
	if (rc == 0)
		(*ret)->set_here = true;
	return rc;
}

int blt_attrs_set(struct blt *store, const void *key, size_t len,
		  const struct blt_attrs *attrs)
{
	struct attrs_record *r = NULL;
	struct attrs *a;
	int rc;

	if (attrs->has & ~(unsigned)(BLT_ATTRS_MODE | BLT_ATTRS_OWNER))
		return -EINVAL;
	rc = lock_to_change(store, &a);
	if (rc < 0)
		return rc;
	if (!attrs->has && !attrs_table_find(&a->table, key, len)) {
		unlock_table(a);
		return 0;
	}
	rc = need(a, key, len, 0, &r);
	if (rc == 0)
		r->attrs = *attrs;
	return end_change(store, a, r, rc);
}

int blt_attrs_drop(struct blt *store, const void *key, size_t len)
{
	struct attrs *a;
	int rc = lock_to_change(store, &a);

	if (rc < 0)
		return rc;
	remove_key(a, key, len);
	unlock_table(a);
	return attrs_write(store, false);
}

static bool is_below(void *arg, const struct attrs_record *r)
{
	const struct blt_bytes *prefix = arg;

	return r->key_len > prefix->len &&
	       memcmp(r->key, prefix->bytes, prefix->len) == 0;
}

/* r, whose key begins with what is from long, gets a key that begins with to.
 */
static void move_below(struct attrs *a, struct attrs_record *r, size_t from,
		       const void *to, size_t to_len)
{
	size_t rest = r->key_len - from;
	uint8_t *key = malloc(to_len + rest);

	if (!key || to_len + rest > BLT_KEY_MAX) {
		attrs_table_remove(&a->table, r);
		changed(a);
	} else {
		memcpy(key, to, to_len);
		memcpy(key + to_len, r->key + from, rest);
		rekey(a, r, key, to_len + rest);
	}
	free(key);
}

int blt_attrs_move(struct blt *store, const void *key, size_t len,
		   const void *to, size_t to_len)
{
	struct blt_bytes prefix = { key, len };
	struct attrs_record **list;
	struct attrs *a;
	size_t n;
	int rc;

	if (memcmp(key, to, len < to_len ? len : to_len) == 0 &&
	    (is_dir(key, len) || is_dir(to, to_len)))
		return -EINVAL;
	rc = lock_to_change(store, &a);
	if (rc < 0)
		return rc;
	rekey(a, attrs_table_find(&a->table, key, len), to, to_len);
	if (is_dir(key, len) && is_dir(to, to_len)) {
		rc = attrs_table_select(&a->table, is_below, &prefix, &list,
					&n);
		for (size_t i = 0; rc == 0 && i < n; i++)
			move_below(a, list[i], len, to, to_len);
		if (rc == 0)
			free(list);
	}
	unlock_table(a);
	(void)attrs_write(store, false);
	return rc;
}

/* ---- extended attributes ---- */

int64_t blt_xattr_get(struct blt *store, const void *key, size_t len,
		      const char *name, void *to, size_t n)
{
	const struct attrs_record *r;
	const uint8_t *value;
	int64_t got = -ENODATA;
	size_t value_len;
	struct attrs *a;
	int rc = lock_table(store, &a);

	if (rc < 0)
		return rc;
	r = attrs_table_find(&a->table, key, len);
	if (r && attrs_record_xattr(r, name, &value, &value_len)) {
		if (n && value_len)
			memcpy(to, value, (size_t)min_u64(n, value_len));
		got = (int64_t)value_len;
	}
	unlock_table(a);
	return got;
}

static int set_xattr(struct attrs *a, struct attrs_record *r, const char *name,
		     const void *value, size_t n, int flags)
{
	const uint8_t *old;
	size_t old_len;
	bool there = attrs_record_xattr(r, name, &old, &old_len);

	if (there && flags & XATTR_CREATE)
		return -EEXIST;
	if (!there && (flags & XATTR_REPLACE || !value))
		return -ENODATA;
	return attrs_table_set_xattr(&a->table, r, name, value, n);
}

int blt_xattr_set(struct blt *store, const void *key, size_t len,
		  const char *name, const void *value, size_t n, int flags)
{
	struct attrs_record *r = NULL;
	struct attrs *a;
	int rc;

	if (!*name || strlen(name) > BLT_XATTR_NAME_MAX)
		return -ERANGE;
	if (value && n > BLT_XATTR_MAX)
		return -E2BIG;
	rc = lock_to_change(store, &a);
	if (rc < 0)
		return rc;
	rc = need(a, key, len, value ? n + strlen(name) : 0, &r);
	if (rc == 0)
		rc = set_xattr(a, r, name, value, n, flags);
	return end_change(store, a, r, rc);
}

int64_t blt_xattr_list(struct blt *store, const void *key, size_t len, char *to,
		       size_t n)
{
	const struct attrs_record *r;
	size_t at = 0, done = 0, name_len;
	struct attrs *a;
	const char *name;
	int rc = lock_table(store, &a);

	if (rc < 0)
		return rc;
	r = attrs_table_find(&a->table, key, len);
	while (r && attrs_record_next(r, &at, &name, &name_len)) {
		if (done + name_len < n) {
			memcpy(to + done, name, name_len);
			to[done + name_len] = '\0';
		}
		done += name_len + 1;
	}
	unlock_table(a);
	return (int64_t)done;
}
