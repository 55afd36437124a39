/* Reading keys. */
#include "postgres/pg_store.h"

#include "base/os.h"
#include "base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* A longer value is read into a file without a name, whose pages the kernel
 * may write out: not into memory that stays. */
#define IN_MEMORY ((uint64_t)4 << 20)
#define TRIES 16 /* of a long value that is replaced each time it is read */

struct one {
	struct pg_row row;
	int32_t from, n; /* of a part, from 1 on */
};

static void fill_part(void *arg, struct pg_args *args)
{
	const struct one *o = arg;

	pg_fill_row(arg, args);
	pg_args_int4(args, o->from);
	pg_args_int4(args, o->n);
}

/* The row of a key; -ENOENT. */
static int ask_row(struct one *o, enum pg_statement s, pg_fill_fn *fill,
		   PGresult **ret)
{
	int rc;

	/* what no key can be is not there */
	if (o->row.len > PG_KEY_MAX)
		return -ENOENT;
	rc = pg_ask(o->row.store, s, fill, o, ret);
	if (rc == 0 && PQntuples(*ret) == 0) {
		PQclear(*ret);
		rc = -ENOENT;
	}
	return rc;
}

/* ---- views ---- */

static bool is_mapped(size_t len)
{
	return len > IN_MEMORY;
}

static void *room_new(size_t len)
{
	return is_mapped(len) ? unnamed_map(unnamed_dir(), len) :
				malloc(len + 1);
}

static void room_free(void *p, size_t len)
{
	if (p && is_mapped(len))
		munmap(p, len);
	else
		free(p);
}

void pg_view_release(struct blt_view *view)
{
	room_free(view->hold, view->len);
	view->hold = NULL;
}

int pg_view_of_row(struct pg_store *store, const PGresult *res, int row,
		   struct blt_view *ret)
{
	uint64_t len = (uint64_t)pg_int8(res, row, PG_COL_LEN);
	int64_t got = 0;
	size_t n = 0;
	const uint8_t *v = pg_bytes(res, row, PG_COL_V, &n);
	void *room;

	if (len > PG_VALUE_MAX ||
	    (PQgetisnull(res, row, PG_COL_BLOB) && n != len))
		return -EUCLEAN;
	room = room_new(len);
	if (!room)
		return -ENOMEM;
	if (!PQgetisnull(res, row, PG_COL_BLOB))
		got = pg_blob_read(store, pg_int8(res, row, PG_COL_BLOB), len,
				   room, len, 0);
	else if (len)
		memcpy(room, v, len);
	if (got < 0) {
		room_free(room, len);
		return (int)got;
	}
	*ret = (struct blt_view){
		.data = room,
		.len = len,
		.fd = -1,
		.offset = (uint64_t)pg_int8(res, row, PG_COL_VER),
		.timestamp = pg_int8(res, row, PG_COL_TIME),
		.hold = room,
		.engine = store->face.backend,
	};
	return 0;
}

int pg_get(struct blt *blt, const void *key, size_t len, struct blt_view *ret)
{
	struct one o = { .row = { pg_of(blt), key, len } };
	PGresult *res;
	int rc = -ESTALE;

	for (int i = 0; rc == -ESTALE && i < TRIES; i++) {
		rc = ask_row(&o, PG_GET, pg_fill_row, &res);
		if (rc < 0)
			return rc;
		rc = pg_view_of_row(o.row.store, res, 0, ret);
		PQclear(res);
	}
	return rc == -ESTALE ? -EUCLEAN : rc;
}

/* A chunk, or the part of a value in its row, at a time. */
static int64_t read_part(struct one *o, void *to, size_t n, uint64_t offset)
{
	const uint8_t *v;
	PGresult *res;
	size_t have;
	int64_t got;
	int rc;

	o->from = (int32_t)min_u64(offset, PG_INLINE) + 1;
	o->n = (int32_t)min_u64(n, PG_INLINE);
	rc = ask_row(o, PG_PART, fill_part, &res);
	if (rc < 0)
		return rc;
	v = pg_bytes(res, 0, PG_COL_V, &have);
	if (!PQgetisnull(res, 0, PG_COL_BLOB)) {
		got = pg_blob_read(o->row.store, pg_int8(res, 0, PG_COL_BLOB),
				   (uint64_t)pg_int8(res, 0, PG_COL_LEN), to, n,
				   offset);
	} else {
		got = (int64_t)min_u64(have, n);
		if (got)
			memcpy(to, v, (size_t)got);
	}
	PQclear(res);
	return got;
}

int64_t pg_get_part(struct blt *blt, const void *key, size_t len, void *to,
		    size_t n, uint64_t offset)
{
	struct one o = { .row = { pg_of(blt), key, len } };
	int64_t got = -ESTALE;

	for (int i = 0; got == -ESTALE && i < TRIES; i++)
		got = read_part(&o, to, n, offset);
	return got == -ESTALE ? -EUCLEAN : got;
}

int pg_stat_key(struct blt *blt, const void *key, size_t len,
		struct blt_stat *ret)
{
	struct one o = { .row = { pg_of(blt), key, len } };
	PGresult *res;
	int rc = ask_row(&o, PG_STAT, pg_fill_row, &res);

	if (rc < 0)
		return rc;
	*ret = (struct blt_stat){
		.len = (uint64_t)pg_int8(res, 0, PG_COL_LEN),
		.timestamp = pg_int8(res, 0, PG_COL_TIME),
		.token = (uint64_t)pg_int8(res, 0, PG_COL_VER),
	};
	PQclear(res);
	return 0;
}

/* ---- many ---- */

struct many {
	struct pg_store *store;
	struct pg_array keys;
};

static void fill_many(void *arg, struct pg_args *args)
{
	struct many *m = arg;

	pg_args_int8(args, m->store->id);
	pg_args_array(args, &m->keys);
}

static int compare_at(const void *a, const void *b, void *arg)
{
	const struct blt_bytes *keys = arg;
	const struct blt_bytes *x = &keys[*(const size_t *)a];
	const struct blt_bytes *y = &keys[*(const size_t *)b];

	return compare_bytes(x->bytes, x->len, y->bytes, y->len);
}

/* Rows come in any order, keys may be there twice: order[] is sorted by key. */
static size_t give_row(struct many *m, const PGresult *res, int row,
		       const struct blt_bytes *keys, const size_t *order,
		       size_t n, struct blt_view *ret, int *ret_result)
{
	size_t low = 0, high = n, len, given = 0;
	const uint8_t *k = pg_bytes(res, row, PG_COL_KEY, &len);

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const struct blt_bytes *at = &keys[order[mid]];

		if (compare_bytes(at->bytes, at->len, k, len) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	for (; low < n && compare_bytes(keys[order[low]].bytes,
					keys[order[low]].len, k, len) == 0;
	     low++) {
		size_t i = order[low];

		ret_result[i] = pg_view_of_row(m->store, res, row, &ret[i]);
		if (ret_result[i] == -ESTALE)
			ret_result[i] = pg_get(&m->store->face, keys[i].bytes,
					       keys[i].len, &ret[i]);
		given += ret_result[i] == 0;
	}
	return given;
}

size_t pg_get_many(struct blt *blt, const struct blt_bytes *keys, size_t n,
		   struct blt_view *ret, int *ret_result)
{
	struct many m = { .store = pg_of(blt) };
	size_t *order = malloc(n * sizeof(*order)), found = 0;
	PGresult *res = NULL;
	int rc = order || !n ? 0 : -ENOMEM;

	pg_array_begin(&m.keys, PG_BYTES);
	for (size_t i = 0; i < n; i++) {
		pg_array_bytes(&m.keys, keys[i].bytes,
			       keys[i].len > PG_KEY_MAX ? 0 : keys[i].len);
		if (order)
			order[i] = i;
	}
	if (rc == 0 && n)
		rc = pg_ask(m.store, PG_GET_MANY, fill_many, &m, &res);
	for (size_t i = 0; i < n; i++)
		ret_result[i] = rc < 0 ? rc : -ENOENT;
	if (rc == 0 && n) {
		qsort_r(order, n, sizeof(*order), compare_at,
			(void *)(uintptr_t)keys);
		for (int row = 0; row < PQntuples(res); row++)
			found += give_row(&m, res, row, keys, order, n, ret,
					  ret_result);
	}
	PQclear(res);
	pg_array_free(&m.keys);
	free(order);
	return found;
}
