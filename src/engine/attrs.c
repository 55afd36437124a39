#include "engine/attrs_inner.h"

#include "base/util.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

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

int attrs_lock(struct blt *store, struct attrs **ret)
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

void attrs_unlock(struct attrs *a)
{
	pthread_mutex_unlock(&a->lock);
}

void attrs_changed(struct attrs *a)
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
		else
			a->written = true;
	} else {
		pthread_mutex_unlock(&a->lock);
	}
	pthread_mutex_unlock(&a->writing);
	free(bytes);
	return rc;
}

int attrs_flush(struct blt *store)
{
	if (!atomic_exchange(&store->attrs->written, false))
		return 0;
	return store->backend->flush(store);
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
	rc = attrs_lock(store, &a);
	if (rc < 0)
		return rc;
	r = attrs_table_find(&a->table, key, len);
	*ret = r ? r->attrs : (struct blt_attrs){ 0 };
	attrs_unlock(a);
	return r != NULL;
}

int attrs_lock_to_change(struct blt *store, struct attrs **ret)
{
	if (!store->attrs)
		return -ENOTSUP;
	return store->writable ? attrs_lock(store, ret) : -EROFS;
}

/* What a change ends with.  Where the table cannot be written now it stays to
 * be written: blt_sync, blt_settle and blt_close say so. */
static int end_change(struct blt *store, struct attrs *a,
		      struct attrs_record *r, int rc)
{
	if (r && attrs_record_is_empty(r))
		attrs_table_remove(&a->table, r);
	if (rc == 0)
		attrs_changed(a);
	attrs_unlock(a);
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
	rc = attrs_lock_to_change(store, &a);
	if (rc < 0)
		return rc;
	if (!attrs->has && !attrs_table_find(&a->table, key, len)) {
		attrs_unlock(a);
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
	int rc = attrs_lock_to_change(store, &a);

	if (rc < 0)
		return rc;
	attrs_remove_key(a, key, len);
	attrs_unlock(a);
	return attrs_write(store, false);
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
	int rc = attrs_lock(store, &a);

	if (rc < 0)
		return rc;
	r = attrs_table_find(&a->table, key, len);
	if (r && attrs_record_xattr(r, name, &value, &value_len)) {
		if (n && value_len)
			memcpy(to, value, (size_t)min_u64(n, value_len));
		got = (int64_t)value_len;
	}
	attrs_unlock(a);
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
	rc = attrs_lock_to_change(store, &a);
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
	int rc = attrs_lock(store, &a);

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
	attrs_unlock(a);
	return (int64_t)done;
}
