/* The names of one directory (lmdb_dir_cursor.h). */
#include "lmdb/lmdb_dir_cursor.h"

#include "booklet/format/marker.h"

#include <stdio.h>
#include <string.h>

static bool has_values(const struct dir_cursor *l)
{
	return l->db->flags & MDB_DUPSORT;
}

static bool has_numbers(const struct dir_cursor *l)
{
	return l->db->flags & MDB_INTEGERKEY;
}

/* What reads the environment is guarded (lmdb_guard): fn's result is l->rc, and
 * the cursors are closed by dir_cursor_end in any case. */
static int guard(struct dir_cursor *l, int (*fn)(void *arg))
{
	int rc = lmdb_error(lmdb_guard(l->r.store, fn, l));

	return rc < 0 ? rc : l->rc;
}

void dir_cursor_end(struct dir_cursor *l)
{
	mdb_cursor_close(l->cursor);
	mdb_cursor_close(l->other);
	mdb_cursor_close(l->values);
	lmdb_read_end(&l->r);
}

static int open_cursors(struct dir_cursor *l)
{
	MDB_cursor **const at[] = { &l->cursor, &l->other, &l->values };
	int rc = 0;

	for (size_t i = 0; i < 3 && rc == 0; i++)
		rc = mdb_cursor_open(l->r.txn, l->db->dbi, at[i]);
	return lmdb_error(rc);
}

/* The key that the directory is, where keys are directories: 1, 0, negative. */
static int find_values(struct dir_cursor *l)
{
	struct lmdb_place at = { .db = l->db };
	MDB_val value;
	int rc;

	l->n_values = l->value_at = 0;
	if (!has_values(l) || l->prefix_len < 2 ||
	    lmdb_place_in(&at, l->prefix, l->prefix_len - 1) < 0)
		return 0;
	rc = mdb_cursor_get(l->values, &at.key, &value, MDB_SET_KEY);
	if (rc == 0)
		rc = mdb_cursor_count(l->values, &l->n_values);
	return rc == MDB_NOTFOUND ? 0 : rc ? lmdb_error(rc) : 1;
}

static int run_open(void *arg)
{
	struct dir_cursor *l = arg;

	l->rc = open_cursors(l);
	if (l->rc == 0)
		l->rc = find_values(l);
	return 0;
}

static bool is_possible(const struct lmdb_db *db, size_t len)
{
	if (len == 0)
		return true;
	if (db->flags & MDB_INTEGERKEY)
		return db->flags & MDB_DUPSORT && len < LMDB_KEY_MAX;
	return len <= LMDB_KEY_MAX + (db->flags & MDB_DUPSORT ? 1 : 0);
}

int dir_cursor_begin(struct dir_cursor *l, struct lmdb_store *store,
		     const void *prefix, size_t len)
{
	size_t own;
	int rc;

	rc = lmdb_read_begin(store, &l->r);
	if (rc < 0)
		return rc;
	l->db = lmdb_db_of(store, prefix, len, &own);
	l->db_at = store->many && len == 0 ? 1 : store->n_dbs;
	l->behind = false;
	l->cursor = l->other = l->values = NULL;
	len -= own;
	if (is_possible(l->db, len)) {
		l->prefix_len = l->at_len = len;
		if (len) {
			memcpy(l->prefix, (const uint8_t *)prefix + own, len);
			memcpy(l->at, l->prefix, len);
		}
		rc = guard(l, run_open);
		if (rc >= 0)
			return 1;
	}
	dir_cursor_end(l);
	return rc;
}

/* Whether a key begins with these bytes, and whether one is these, with no
 * value: 1, 0 or negative. */
static int any_below(struct dir_cursor *l, const void *prefix, size_t len,
		     bool *ret_marked)
{
	MDB_val key = { len, (void *)(uintptr_t)prefix }, value;
	int rc;

	*ret_marked = false;
	if (len > LMDB_KEY_MAX || (len && has_numbers(l)))
		return 0;
	rc = mdb_cursor_get(l->other, &key, &value,
			    len ? MDB_SET_RANGE : MDB_FIRST);
	while (rc == 0 && lmdb_is_db(l->r.store, l->db, &key))
		rc = mdb_cursor_get(l->other, &key, &value, MDB_NEXT);
	if (rc)
		return rc == MDB_NOTFOUND ? 0 : lmdb_error(rc);
	if (key.mv_size < len || memcmp(key.mv_data, prefix, len) != 0)
		return 0;
	*ret_marked = len && key.mv_size == len && !has_values(l) &&
		      marker_is(prefix, len, value.mv_data, value.mv_size);
	return 1;
}

static int run_there(void *arg)
{
	struct dir_cursor *l = arg;

	l->rc = any_below(l, l->prefix, l->prefix_len, &l->marked);
	return 0;
}

int dir_cursor_there(struct dir_cursor *l, bool *ret_marked)
{
	int rc;

	*ret_marked = false;
	/* The root and a database are there with nothing in them. */
	if (l->prefix_len == 0 || l->n_values)
		return 1;
	rc = guard(l, run_there);
	*ret_marked = rc > 0 && l->marked;
	return rc;
}

/* Whether there is a key of these bytes, where keys are directories. */
static int is_key(struct dir_cursor *l, const void *bytes, size_t len)
{
	MDB_val key = { len, (void *)(uintptr_t)bytes }, value;
	int rc;

	if (!has_values(l) || has_numbers(l) || len == 0 || len > LMDB_KEY_MAX)
		return 0;
	rc = mdb_cursor_get(l->other, &key, &value, MDB_SET);
	return rc == MDB_NOTFOUND ? 0 : rc ? lmdb_error(rc) : 1;
}

/* Whether a directory of that name stands below the prefix: 1, 0, negative. */
static int is_dir(struct dir_cursor *l, const uint8_t *name, size_t len)
{
	uint8_t whole[2 * DIR_CURSOR_ROOM];
	size_t n = l->prefix_len + len;
	bool marked;
	int rc;

	if (l->r.store->flat || n > LMDB_KEY_MAX)
		return 0;
	memcpy(whole, l->prefix, l->prefix_len);
	memcpy(whole + l->prefix_len, name, len);
	rc = is_key(l, whole, n);
	whole[n] = '/';
	return rc ? rc : any_below(l, whole, n + 1, &marked);
}

/* ---- its names ---- */

static int64_t seen(struct dir_cursor *l, const struct dir_cursor_entry *e,
		    const MDB_val *value)
{
	const size_t own = l->db->name ? strlen(l->db->name) : 0;
	uint8_t key[LMDB_KEY_MAX + 1 + 2 * DIR_CURSOR_ROOM];
	size_t len = 0;

	if (own) {
		memcpy(key, l->db->name, own);
		key[own] = '/';
		len = own + 1;
	}
	memcpy(key + len, l->prefix, l->prefix_len);
	memcpy(key + len + l->prefix_len, e->name, e->len);
	return lmdb_seen(&l->r, key, len + l->prefix_len + e->len, value);
}

/* The databases come first, in the root. */
static int next_db(struct dir_cursor *l, struct dir_cursor_entry *ret)
{
	const char *name;

	if (l->db_at >= l->r.store->n_dbs)
		return 0;
	name = l->r.store->db[l->db_at++].name;
	ret->is_dir = true;
	ret->conflict = false;
	ret->value_len = 0;
	ret->seen = 0;
	ret->len = (uint16_t)strlen(name);
	memcpy(ret->name, name, ret->len);
	return 1;
}

/* Then the values of the key that it is. */
static int next_value(struct dir_cursor *l, struct dir_cursor_entry *ret)
{
	MDB_val key, value;
	int rc;

	if (l->value_at >= l->n_values)
		return 0;
	rc = mdb_cursor_get(l->values, &key, &value,
			    l->value_at ? MDB_NEXT_DUP : MDB_GET_CURRENT);
	if (rc)
		return lmdb_error(rc);
	ret->is_dir = false;
	ret->value_len = value.mv_size;
	ret->len = (uint16_t)sprintf((char *)ret->name, "%zu", l->value_at++);
	ret->seen = seen(l, ret, &value);
	rc = is_dir(l, ret->name, ret->len);
	ret->conflict = rc > 0;
	return rc < 0 ? rc : 1;
}

static int step(struct dir_cursor *l, MDB_val *key, MDB_val *value)
{
	int rc;

	*key = (MDB_val){ l->at_len, l->at };
	rc = mdb_cursor_get(l->cursor, key, value,
			    l->at_len ? MDB_SET_RANGE : MDB_FIRST);
	if (rc == 0 && l->behind && key->mv_size == l->at_len &&
	    memcmp(key->mv_data, l->at, l->at_len) == 0)
		rc = mdb_cursor_get(l->cursor, key, value, MDB_NEXT_NODUP);
	return rc == 0 && key->mv_size > LMDB_KEY_MAX ? MDB_CORRUPTED : rc;
}

static void stand_behind(struct dir_cursor *l, const MDB_val *key)
{
	memcpy(l->at, key->mv_data, key->mv_size);
	l->at_len = key->mv_size;
	l->behind = true;
}

/* Behind the directory of that name: all in it begin with "NAME/". */
static void stand_behind_dir(struct dir_cursor *l, const uint8_t *name,
			     size_t len)
{
	memcpy(l->at, l->prefix, l->prefix_len);
	memcpy(l->at + l->prefix_len, name, len);
	l->at_len = l->prefix_len + len;
	l->at[l->at_len++] = '/' + 1;
	l->behind = false;
}

/* Where a directory's marker is all that is below the prefix under its name. */
static bool is_marker(const struct dir_cursor *l, const MDB_val *key,
		      const MDB_val *value)
{
	return l->prefix_len && key->mv_size == l->prefix_len &&
	       !has_values(l) &&
	       marker_is(l->prefix, l->prefix_len, value->mv_data,
			 value->mv_size);
}

/* A key in front of whose directory it is a directory by itself, and was met:
 * 1, and the look stands behind them. */
static int was_met(struct dir_cursor *l, const uint8_t *name, size_t len)
{
	uint8_t whole[LMDB_KEY_MAX];

	memcpy(whole, l->prefix, l->prefix_len);
	memcpy(whole + l->prefix_len, name, len);
	return is_key(l, whole, l->prefix_len + len);
}

/* A key below the prefix, as the name that it is, or is below of; 0: of a name
 * that was met before. */
static int make_entry(struct dir_cursor *l, const MDB_val *key,
		      const MDB_val *value, struct dir_cursor_entry *ret)
{
	uint8_t bytes[LMDB_KEY_MAX + 1];
	size_t len = lmdb_key_bytes(l->db, key, bytes);
	size_t n = len - l->prefix_len;
	const uint8_t *name = bytes + l->prefix_len;
	const uint8_t *slash =
		l->r.store->flat || !n ? NULL : memchr(name, '/', n);
	int rc = 0;

	n = slash ? (size_t)(slash - name) : n;
	ret->is_dir = slash || has_values(l);
	ret->conflict = false;
	ret->value_len = ret->is_dir ? 0 : value->mv_size;
	ret->seen = 0;
	ret->len = (uint16_t)n;
	memcpy(ret->name, name, n);
	if (slash) {
		rc = was_met(l, name, n);
		stand_behind_dir(l, ret->name, n);
		return rc < 0 ? rc : !rc;
	}
	stand_behind(l, key);
	if (!ret->is_dir)
		rc = is_dir(l, name, n);
	ret->conflict = rc > 0;
	return rc < 0 ? rc : 1;
}

static int next_key(struct dir_cursor *l, struct dir_cursor_entry *ret)
{
	MDB_val key, value;
	int rc;

	if (l->prefix_len && has_numbers(l))
		return 0;
	while ((rc = step(l, &key, &value)) == 0) {
		if (key.mv_size < l->prefix_len ||
		    memcmp(key.mv_data, l->prefix, l->prefix_len) != 0)
			return 0;
		if (is_marker(l, &key, &value) ||
		    lmdb_is_db(l->r.store, l->db, &key)) {
			stand_behind(l, &key);
			continue;
		}
		rc = make_entry(l, &key, &value, ret);
		if (rc > 0 && !ret->is_dir)
			ret->seen = seen(l, ret, &value);
		if (rc)
			return rc;
	}
	return rc == MDB_NOTFOUND ? 0 : lmdb_error(rc);
}

static int run_next(void *arg)
{
	struct dir_cursor *l = arg;

	l->rc = next_db(l, l->entry);
	if (l->rc == 0)
		l->rc = next_value(l, l->entry);
	if (l->rc == 0)
		l->rc = next_key(l, l->entry);
	return 0;
}

int dir_cursor_next(struct dir_cursor *l, struct dir_cursor_entry *ret)
{
	l->entry = ret;
	return guard(l, run_next);
}

/* ---- going on ---- */

/* Behind a value: the next one, which may stand among others now. */
static void go_behind_value(struct dir_cursor *l, const uint8_t *name,
			    size_t len)
{
	MDB_val key, value;
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
		n = n * 10 + (size_t)(name[i] - '0');
	for (; l->value_at <= n && l->value_at < l->n_values; l->value_at++)
		if (mdb_cursor_get(l->values, &key, &value,
				   l->value_at ? MDB_NEXT_DUP :
						 MDB_GET_CURRENT) != 0)
			break;
}

static bool go_behind_db(struct dir_cursor *l, const uint8_t *name, size_t len)
{
	const struct lmdb_store *store = l->r.store;

	for (size_t i = l->db_at; i < store->n_dbs; i++) {
		if (strlen(store->db[i].name) == len &&
		    memcmp(store->db[i].name, name, len) == 0) {
			l->db_at = i + 1;
			return true;
		}
	}
	l->db_at = store->n_dbs;
	return false;
}

static void go_behind(struct dir_cursor *l, const uint8_t *name, size_t len,
		      bool is_dir)
{
	struct lmdb_place at = { .db = l->db };
	uint8_t whole[2 * DIR_CURSOR_ROOM];

	if (is_dir && go_behind_db(l, name, len))
		return;
	l->db_at = l->r.store->n_dbs;
	if (!is_dir && has_values(l)) {
		go_behind_value(l, name, len);
		return;
	}
	l->value_at = l->n_values;
	memcpy(whole, l->prefix, l->prefix_len);
	memcpy(whole + l->prefix_len, name, len);
	/* Behind a key that is a directory itself, what is below it is yet to
	 * come, and passed over. */
	if (is_dir && is_key(l, whole, l->prefix_len + len) <= 0 &&
	    !has_numbers(l))
		stand_behind_dir(l, name, len);
	else if (lmdb_place_in(&at, whole, l->prefix_len + len) == 0)
		stand_behind(l, &at.key);
}

struct resuming {
	struct dir_cursor *l;
	const uint8_t *name;
	size_t len;
	bool is_dir;
};

static int run_from(void *arg)
{
	const struct resuming *r = arg;

	go_behind(r->l, r->name, r->len, r->is_dir);
	return 0;
}

int dir_cursor_from(struct dir_cursor *l, const uint8_t *name, size_t len,
		    bool is_dir)
{
	struct resuming r = { l, name, len, is_dir };

	return lmdb_error(lmdb_guard(l->r.store, run_from, &r));
}
