/* What a key of blt.h is in an environment (lmdb_store.h). */
#include "lmdb/lmdb_store.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

/* ---- numbers ---- */

/* Decimal as it is written, and no other way. */
static int read_number(const uint8_t *text, size_t len, uint64_t *ret)
{
	uint64_t n = 0;

	if (len == 0 || (len > 1 && text[0] == '0'))
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		unsigned digit = (unsigned)text[i] - '0';

		if (digit > 9 || n > (UINT64_MAX - digit) / 10)
			return -EINVAL;
		n = n * 10 + digit;
	}
	*ret = n;
	return 0;
}

/* LMDB's integers are those of the machine. */
static int write_int(const struct lmdb_db *db, uint64_t n,
		     struct lmdb_place *ret)
{
	const unsigned int small = (unsigned int)n;
	const size_t large = (size_t)n;

	if (db->int_width == sizeof(small) && n <= UINT32_MAX)
		memcpy(ret->buf, &small, sizeof(small));
	else if (db->int_width == sizeof(large))
		memcpy(ret->buf, &large, sizeof(large));
	else
		return -EINVAL;
	ret->key = (MDB_val){ db->int_width, ret->buf };
	return 0;
}

size_t lmdb_key_bytes(const struct lmdb_db *db, const MDB_val *key,
		      uint8_t to[LMDB_KEY_MAX])
{
	unsigned int small;
	size_t large = 0;

	if (db->flags & MDB_INTEGERKEY) {
		if (key->mv_size == sizeof(small)) {
			memcpy(&small, key->mv_data, sizeof(small));
			large = small;
		} else if (key->mv_size == sizeof(large)) {
			memcpy(&large, key->mv_data, sizeof(large));
		}
		return (size_t)sprintf((char *)to, "%zu", large);
	}
	memcpy(to, key->mv_data, key->mv_size);
	return key->mv_size;
}

/* ---- places ---- */

/* Whether a key is that name, or below it. */
static bool is_of(const MDB_val *key, const char *name)
{
	size_t len = strlen(name);

	return key->mv_size >= len && memcmp(key->mv_data, name, len) == 0 &&
	       (key->mv_size == len ||
		((const char *)key->mv_data)[len] == '/');
}

bool lmdb_is_db(const struct lmdb_store *store, const struct lmdb_db *in,
		const MDB_val *key)
{
	if (in->name || store->only)
		return false;
	if (key->mv_size == strlen(LMDB_NOTES_DB) &&
	    memcmp(key->mv_data, LMDB_NOTES_DB, key->mv_size) == 0)
		return true;
	for (size_t i = 0; i < atomic_load(&store->left_out.n); i++)
		if (is_of(key, store->left_out.at[i]))
			return true;
	for (size_t i = 0; store->many && i < store->n_dbs; i++)
		if (store->db[i].name && is_of(key, store->db[i].name))
			return true;
	return false;
}

const struct lmdb_db *lmdb_db_of(const struct lmdb_store *store,
				 const void *prefix, size_t len,
				 size_t *ret_own)
{
	const char *slash =
		store->many && len ? memchr(prefix, '/', len) : NULL;
	size_t n = slash ? (size_t)(slash - (const char *)prefix) : 0;

	*ret_own = 0;
	for (size_t i = 0; slash && i < store->n_dbs; i++) {
		const char *name = store->db[i].name;

		if (name && strlen(name) == n && memcmp(name, prefix, n) == 0) {
			*ret_own = n + 1;
			return &store->db[i];
		}
	}
	return &store->db[0];
}

static int take_key(const uint8_t *key, size_t len, struct lmdb_place *ret)
{
	uint64_t n;

	if (ret->db->flags & MDB_INTEGERKEY)
		return read_number(key, len, &n) == 0 ?
			       write_int(ret->db, n, ret) :
			       -EINVAL;
	if (len == 0)
		return -EINVAL;
	if (len > LMDB_KEY_MAX)
		return -ENAMETOOLONG;
	ret->key = (MDB_val){ len, (void *)(uintptr_t)key };
	return 0;
}

int lmdb_place_in(struct lmdb_place *at, const void *key, size_t len)
{
	at->dup = false;
	return take_key(key, len, at);
}

static int take_dup(const uint8_t *key, size_t len, struct lmdb_place *ret)
{
	const uint8_t *slash = len ? memrchr(key, '/', len) : NULL;
	uint64_t n;

	if (!slash ||
	    read_number(slash + 1, len - (size_t)(slash + 1 - key), &n) < 0 ||
	    take_key(key, (size_t)(slash - key), ret) < 0)
		return -EINVAL;
	ret->dup = true;
	ret->number = n;
	return 0;
}

int lmdb_find_place(const struct lmdb_store *store, const void *key, size_t len,
		    struct lmdb_place *ret, int *ret_why)
{
	const uint8_t *bytes = key;
	int rc, why = 0;
	size_t own;

	ret->db = lmdb_db_of(store, key, len, &own);
	ret->dup = false;
	ret->self = own && own == len;
	bytes = own ? bytes + own : bytes;
	if (ret->self) {
		rc = -EINVAL;
	} else if (ret->db->flags & MDB_DUPSORT) {
		rc = take_dup(bytes, len - own, ret);
		why = -EROFS;
	} else {
		rc = why = take_key(bytes, len - own, ret);
	}
	if (rc == 0 && lmdb_is_db(store, ret->db, &ret->key))
		rc = why = -EINVAL;
	if (ret_why)
		*ret_why = why;
	return rc < 0 ? -ENOENT : 0;
}

/* ---- values ---- */

uint64_t lmdb_token(const MDB_val *value)
{
	return XXH3_64bits(value->mv_data, value->mv_size);
}

static int dup_value(MDB_txn *txn, const struct lmdb_place *at, MDB_val *ret)
{
	MDB_val key = at->key;
	MDB_cursor *cursor;
	size_t n = 0;
	int rc = mdb_cursor_open(txn, at->db->dbi, &cursor);

	if (rc)
		return rc;
	rc = mdb_cursor_get(cursor, &key, ret, MDB_SET_KEY);
	if (rc == 0)
		rc = mdb_cursor_count(cursor, &n);
	if (rc == 0 && at->number >= n)
		rc = MDB_NOTFOUND;
	for (size_t i = 0; rc == 0 && i < at->number; i++)
		rc = mdb_cursor_get(cursor, &key, ret, MDB_NEXT_DUP);
	mdb_cursor_close(cursor);
	return rc;
}

int lmdb_value(MDB_txn *txn, const struct lmdb_place *at, MDB_val *ret)
{
	MDB_val key = at->key;

	if (at->self)
		return MDB_NOTFOUND;
	return at->dup ? dup_value(txn, at, ret) :
			 mdb_get(txn, at->db->dbi, &key, ret);
}
