/* What a name stands for, in one question. */
#include "postgres/pg_store.h"

#include "base/util.h"

#include <errno.h>
#include <string.h>

/* The columns of PG_LOOK. */
enum { AT, FILE_LEN, FILE_TIME, FILE_VER, DIR_KEY, DIR_LEN, DIR_TIME };

struct looking {
	struct pg_store *store;
	struct pg_array at, keys, from, end;
};

static void fill_look(void *arg, struct pg_args *args)
{
	struct looking *l = arg;

	pg_args_int8(args, l->store->id);
	pg_args_array(args, &l->at);
	pg_args_array(args, &l->keys);
	pg_args_array(args, &l->from);
	pg_args_array(args, &l->end);
}

static int take(struct pg_store *store, const PGresult *res,
		const uint8_t *prefix, size_t len, struct backend_look *ret)
{
	uint64_t dir_len = (uint64_t)pg_int8(res, 0, DIR_LEN);
	size_t n;
	const uint8_t *first = pg_bytes(res, 0, DIR_KEY, &n);
	int marked = 0;

	*ret = (struct backend_look){
		.file = !PQgetisnull(res, 0, FILE_VER),
		.dir = !PQgetisnull(res, 0, DIR_KEY),
		.file_stat = { .len = (uint64_t)pg_int8(res, 0, FILE_LEN),
			       .timestamp = pg_int8(res, 0, FILE_TIME),
			       .token = (uint64_t)pg_int8(res, 0, FILE_VER) },
	};
	if (ret->dir && compare_bytes(first, n, prefix, len) == 0)
		marked = pg_is_marker(store, prefix, len, dir_len);
	if (marked > 0)
		ret->dir_stat.timestamp = pg_int8(res, 0, DIR_TIME);
	return marked < 0 ? marked : 0;
}

int pg_look(struct blt *blt, const void *prefix, size_t len,
	    struct backend_look *ret)
{
	struct looking l = { .store = pg_of(blt) };
	uint8_t end[PG_KEY_MAX + 1];
	PGresult *res;
	int rc;

	*ret = (struct backend_look){ .file = false };
	if (len - 1 > PG_KEY_MAX)
		return 0;
	/* what begins with the prefix stands before the '0' behind its '/' */
	memcpy(end, prefix, len);
	end[len - 1] = '/' + 1;
	pg_array_begin(&l.at, PG_INT4);
	pg_array_int4(&l.at, 0);
	pg_array_begin(&l.keys, PG_BYTES);
	pg_array_bytes(&l.keys, prefix, len - 1);
	pg_array_begin(&l.from, PG_BYTES);
	pg_array_bytes(&l.from, prefix, len);
	pg_array_begin(&l.end, PG_BYTES);
	pg_array_bytes(&l.end, end, len);
	rc = pg_ask(l.store, PG_LOOK, fill_look, &l, &res);
	pg_array_free(&l.at);
	pg_array_free(&l.keys);
	pg_array_free(&l.from);
	pg_array_free(&l.end);
	if (rc < 0)
		return rc;
	rc = PQntuples(res) == 1 ? take(l.store, res, prefix, len, ret) : -EIO;
	PQclear(res);
	return rc;
}
