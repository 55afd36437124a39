/* Tokens, which say whether a key, or a listing, is still what it was. */
#include "postgres/pg_store.h"

#include <errno.h>
#include <string.h>

uint64_t pg_token_of(uint64_t ver, int64_t mtime)
{
	uint64_t token = ver ^ (uint64_t)mtime * UINT64_C(0x9e3779b97f4a7c15);

	return token > 1 ? token : 2;
}

static int sum_name(void *arg, const struct backend_entry *e)
{
	uint64_t *sum = arg;

	*sum += blt_key_hash(e->comp, e->comp_len) * (e->is_dir ? 3 : 5);
	return 0;
}

static int token_of_names(struct blt *blt, const void *prefix, size_t len,
			  uint64_t *ret)
{
	uint64_t sum = 1;
	int rc = pg_dirs.list(blt, prefix, len, 0, sum_name, &sum);

	*ret = rc == -ENOENT ? 0 : sum;
	return rc == -ENOENT ? 0 : rc;
}

/* 1: there is a directory of the key's name instead. */
static int token_of_none(struct blt *blt, const void *key, size_t len,
			 uint64_t *ret)
{
	uint8_t prefix[PG_KEY_MAX + 1];
	bool marked;
	int rc = 0;

	if (len && len < PG_KEY_MAX && !pg_of(blt)->flat) {
		memcpy(prefix, key, len);
		prefix[len] = '/';
		rc = pg_dirs.find(blt, prefix, len + 1, &marked);
	}
	*ret = rc > 0;
	return rc < 0 ? rc : 0;
}

int pg_token(struct blt *blt, const void *key, size_t len, bool names,
	     uint64_t *ret)
{
	struct pg_row row = { pg_of(blt), key, len };
	PGresult *res;
	int rc;

	if (names)
		return token_of_names(blt, key, len, ret);
	if (len > PG_KEY_MAX) {
		*ret = 0;
		return 0;
	}
	rc = pg_ask(row.store, PG_STAT, pg_fill_row, &row, &res);
	if (rc < 0)
		return rc;
	if (PQntuples(res) == 0)
		rc = token_of_none(blt, key, len, ret);
	else
		*ret = pg_token_of((uint64_t)pg_int8(res, 0, PG_COL_VER),
				   pg_int8(res, 0, PG_COL_TIME));
	PQclear(res);
	return rc;
}
