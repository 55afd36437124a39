/* Records that go and move with their keys. */
#include "engine/attrs_inner.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void attrs_remove_key(struct attrs *a, const void *key, size_t len)
{
	struct attrs_record *r = attrs_table_find(&a->table, key, len);

	if (!r)
		return;
	attrs_table_remove(&a->table, r);
	attrs_changed(a);
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
	attrs_changed(a);
}

static void exchange(struct attrs *a, const struct backend_key *one,
		     const struct backend_key *two)
{
	if (!attrs_table_find(&a->table, one->bytes, one->len) &&
	    !attrs_table_find(&a->table, two->bytes, two->len))
		return;
	if (attrs_table_exchange(&a->table, one->bytes, one->len, two->bytes,
				 two->len) < 0) {
		attrs_remove_key(a, one->bytes, one->len);
		attrs_remove_key(a, two->bytes, two->len);
	}
	attrs_changed(a);
}

/* A key that ends in '/' may stand for a directory, which does not go with its
 * marker: that is for blt_attrs_drop and blt_attrs_move. */
static bool is_dir(const void *key, size_t len)
{
	return len == 0 || ((const char *)key)[len - 1] == '/';
}

static bool is_dir_key(const struct backend_key *k)
{
	return is_dir(k->bytes, k->len);
}

/* A file whose key is a directory's marker has no record of its own: that key's
 * is the directory's.  So what gets there or leaves has none afterwards. */
static void follow_rename(struct attrs *a, const struct backend_key *from,
			  const struct backend_key *to)
{
	if (!is_dir_key(from) && !is_dir_key(to))
		rekey(a, attrs_table_find(&a->table, from->bytes, from->len),
		      to->bytes, to->len);
	else if (!is_dir_key(from))
		attrs_remove_key(a, from->bytes, from->len);
	else if (!is_dir_key(to))
		attrs_remove_key(a, to->bytes, to->len);
}

static void follow_exchange(struct attrs *a, const struct backend_key *one,
			    const struct backend_key *two)
{
	if (!is_dir_key(one) && !is_dir_key(two))
		exchange(a, one, two);
	else
		follow_rename(a, one, two);
}

static void follow(struct attrs *a, const struct backend_op *op)
{
	const struct backend_key *k = &op->key;

	switch (op->kind) {
	case BACKEND_DELETE:
	case BACKEND_DROP:
		if (!is_dir_key(k))
			attrs_remove_key(a, k->bytes, k->len);
		break;
	case BACKEND_RENAME:
		follow_rename(a, k, &op->to);
		break;
	case BACKEND_EXCHANGE:
		follow_exchange(a, k, &op->to);
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
	    attrs_lock(store, &a) < 0)
		return;
	for (const struct backend_op *op = first; op; op = op->next) {
		if (op->kind == BACKEND_ONLY_IF)
			held = op->held;
		else if (held)
			follow(a, op);
	}
	attrs_unlock(a);
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
	    attrs_lock(store, &a) < 0)
		return 0;
	rc = attrs_table_select(&a->table, may_be_gone, NULL, &list, &n);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		struct attrs_record *r = list[i];

		if (blt_stat_key(store, r->key, r->key_len, &st) == -ENOENT) {
			attrs_table_remove(&a->table, r);
			attrs_changed(a);
		}
	}
	attrs_unlock(a);
	if (rc == 0)
		free(list);
	return rc < 0 ? rc : attrs_write(store, true);
}

/* ---- directories ---- */

static bool is_below(void *arg, const struct attrs_record *r)
{
	const struct blt_bytes *prefix = arg;

	return r->key_len > prefix->len &&
	       memcmp(r->key, prefix->bytes, prefix->len) == 0;
}

/* What a record's key, which begins with what is from long, is with to in place
 * of that: malloc'd, or NULL where it cannot be. */
static uint8_t *key_below(const struct attrs_record *r, size_t from,
			  const void *to, size_t to_len, size_t *ret_len)
{
	size_t rest = r->key_len - from;
	uint8_t *key;

	if (to_len + rest > BLT_KEY_MAX)
		return NULL;
	key = malloc(to_len + rest + 1);
	if (!key)
		return NULL;
	if (to_len)
		memcpy(key, to, to_len);
	memcpy(key + to_len, r->key + from, rest);
	*ret_len = to_len + rest;
	return key;
}

static void move_below(struct attrs *a, struct attrs_record *r, size_t from,
		       const void *to, size_t to_len)
{
	size_t len;
	uint8_t *key = key_below(r, from, to, to_len, &len);

	if (key) {
		rekey(a, r, key, len);
	} else {
		attrs_table_remove(&a->table, r);
		attrs_changed(a);
	}
	free(key);
}

struct exchanged {
	struct attrs *a;
	const struct blt_bytes *one, *two;
};

static bool is_in(const struct attrs_record *r, const struct blt_bytes *dir)
{
	return r->key_len >= dir->len &&
	       memcmp(r->key, dir->bytes, dir->len) == 0;
}

static bool is_in_one(void *arg, const struct attrs_record *r)
{
	const struct exchanged *x = arg;

	return is_in(r, x->one);
}

/* Whether it is in two, and one has none of that name. */
static bool is_in_two_alone(void *arg, const struct attrs_record *r)
{
	const struct exchanged *x = arg;
	bool alone = false;
	uint8_t *key;
	size_t len;

	if (!is_in(r, x->two))
		return false;
	key = key_below(r, x->two->len, x->one->bytes, x->one->len, &len);
	alone = !key || !attrs_table_find(&x->a->table, key, len);
	free(key);
	return alone;
}

static void exchange_below(struct attrs *a, struct attrs_record *r,
			   const struct exchanged *x)
{
	struct backend_key from = { .len = r->key_len }, to = { .len = 0 };
	uint8_t *key =
		key_below(r, x->one->len, x->two->bytes, x->two->len, &to.len);
	uint8_t *own = key_below(r, 0, "", 0, &from.len);

	from.bytes = own;
	to.bytes = key;
	if (own && key) {
		exchange(a, &from, &to);
	} else {
		attrs_table_remove(&a->table, r);
		attrs_changed(a);
	}
	free(own);
	free(key);
}

/* Both lists are made before anything moves; what is in the second one stays
 * in its place while the first one's are exchanged. */
static int exchange_dirs(struct attrs *a, struct exchanged *x)
{
	struct attrs_record **in_one, **alone;
	size_t n_one, n_alone;
	int rc = attrs_table_select(&a->table, is_in_one, x, &in_one, &n_one);

	if (rc < 0)
		return rc;
	rc = attrs_table_select(&a->table, is_in_two_alone, x, &alone,
				&n_alone);
	if (rc < 0) {
		free(in_one);
		return rc;
	}
	for (size_t i = 0; i < n_one; i++)
		exchange_below(a, in_one[i], x);
	for (size_t i = 0; i < n_alone; i++)
		move_below(a, alone[i], x->two->len, x->one->bytes,
			   x->one->len);
	free(in_one);
	free(alone);
	return 0;
}

void attrs_exchanged(struct blt *store, const struct blt_bytes *one,
		     const struct blt_bytes *two)
{
	struct exchanged x = { .one = one, .two = two };

	if (!store->attrs || store->attrs->idle || attrs_lock(store, &x.a) < 0)
		return;
	(void)exchange_dirs(x.a, &x);
	attrs_unlock(x.a);
	(void)attrs_write(store, false);
}

int blt_attrs_move(struct blt *store, const void *key, size_t len,
		   const void *to, size_t to_len)
{
	struct blt_bytes prefix = { key, len };
	struct attrs_record **list;
	struct attrs *a;
	size_t n;
	int rc;

	if (is_dir(key, len) &&
	    memcmp(key, to, len < to_len ? len : to_len) == 0)
		return -EINVAL;
	rc = attrs_lock_to_change(store, &a);
	if (rc < 0)
		return rc;
	if (!is_dir(key, len) && is_dir(to, to_len))
		attrs_remove_key(a, key, len);
	else
		rekey(a, attrs_table_find(&a->table, key, len), to, to_len);
	if (is_dir(key, len) && is_dir(to, to_len)) {
		rc = attrs_table_select(&a->table, is_below, &prefix, &list,
					&n);
		for (size_t i = 0; rc == 0 && i < n; i++)
			move_below(a, list[i], len, to, to_len);
		if (rc == 0)
			free(list);
	}
	attrs_unlock(a);
	(void)attrs_write(store, false);
	return rc;
}
