/* The least that a program of libpq has to do for what bench/postgres measures,
 * over tables as the engine's: prepared statements, everything binary, arrays
 * for many keys, and a pipeline where there is more than one question.  The
 * engine is compared with this. */
#include "pg_peer.h"

#include <endian.h>
#include <err.h>
#include <libpq-fe.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define STORE 1
#define BLOB 1
#define WINDOW 16u /* parts that are on their way */
#define INT8OID 20u
#define BYTEAOID 17u

struct raw {
	PGconn *conn;
	uint64_t ver;
};

static const char *const schema[] = {
	"drop schema if exists raw cascade",
	"create schema raw",
	"set search_path = raw",
	"create table b_kv(store bigint not null, k bytea not null, "
	"t smallint not null default 0, mode int, uid int, gid int, "
	"len bigint not null default 0, ver bigint not null, blob bigint, "
	"v bytea, primary key (store, k))",
	"create unique index b_kv_list on b_kv(store, k) include (t, len, ver)",
	"create table b_chunk(blob bigint not null, n int not null, "
	"v bytea not null, primary key (blob, n))",
	"alter table b_chunk alter column v set storage external",
};

static const char *const statements[][2] = {
	{ "get", "select t, len, ver, blob, v from b_kv "
		 "where store = $1::bigint and k = $2::bytea" },
	{ "getn", "select k, t, len, ver, blob, v from b_kv "
		  "where store = $1::bigint and k = any($2::bytea[])" },
	{ "list", "select k, t, len, ver from b_kv where store = $1::bigint "
		  "and k > $2::bytea and k < $3::bytea order by k limit 1000" },
	{ "putn", "insert into b_kv(store, k, len, ver, v) select $1::bigint, "
		  "k, len, ver, v from unnest($2::bytea[], $3::bigint[], "
		  "$4::bigint[], $5::bytea[]) u(k, len, ver, v) "
		  "on conflict (store, k) do update set len = excluded.len, "
		  "ver = excluded.ver, v = excluded.v, blob = excluded.blob" },
	{ "put_part", "insert into b_chunk values($1::bigint, $2::int, "
		      "$3::bytea)" },
	{ "get_part", "select v from b_chunk where blob = $1::bigint "
		      "and n = $2::int" },
};

static void need(struct raw *r, bool what)
{
	if (!what)
		errx(1, "libpq: %s", PQerrorMessage(r->conn));
}

/* The result, which must be of that kind. */
static PGresult *good(struct raw *r, PGresult *res, ExecStatusType kind)
{
	need(r, PQresultStatus(res) == kind);
	return res;
}

/* ---- parameters ---- */

/* Of a statement: their bytes are the caller's. */
struct params {
	const char *value[5];
	int len[5], binary[5];
	int n;
};

static void add(struct params *p, const void *value, size_t len)
{
	p->value[p->n] = value;
	p->len[p->n] = (int)len;
	p->binary[p->n++] = 1;
}

static PGresult *ask(struct raw *r, const char *name, const struct params *p)
{
	return PQexecPrepared(r->conn, name, p->n, p->value, p->len, p->binary,
			      1);
}

/* An array as the server's array_recv takes it. */
struct array {
	char *at;
	size_t len;
};

static void put4(struct array *a, uint32_t n)
{
	n = htobe32(n);
	memcpy(a->at + a->len, &n, 4);
	a->len += 4;
}

static void element(struct array *a, const void *value, size_t len)
{
	put4(a, (uint32_t)len);
	memcpy(a->at + a->len, value, len);
	a->len += len;
}

/* For n elements of so many bytes together. */
static struct array array(size_t n, size_t bytes, uint32_t type)
{
	struct array a = { malloc(20 + 4 * n + bytes), 0 };

	if (!a.at)
		err(1, "array");
	put4(&a, 1); /* dimensions */
	put4(&a, 0); /* none is null */
	put4(&a, type);
	put4(&a, (uint32_t)n);
	put4(&a, 1); /* the lower bound */
	return a;
}

static struct array keys_of(const struct pg_item *items, size_t n)
{
	size_t bytes = 0;
	struct array a;

	for (size_t i = 0; i < n; i++)
		bytes += items[i].key_len;
	a = array(n, bytes, BYTEAOID);
	for (size_t i = 0; i < n; i++)
		element(&a, items[i].key, items[i].key_len);
	return a;
}

static struct array values_of(const struct pg_item *items, size_t n)
{
	size_t bytes = 0;
	struct array a;

	for (size_t i = 0; i < n; i++)
		bytes += items[i].value_len;
	a = array(n, bytes, BYTEAOID);
	for (size_t i = 0; i < n; i++)
		element(&a, items[i].value, items[i].value_len);
	return a;
}

static const uint64_t *store(void)
{
	static uint64_t id;

	id = htobe64(STORE);
	return &id;
}

/* ---- the peer ---- */

static void *raw_open(const char *url)
{
	struct raw *r = calloc(1, sizeof(*r));

	if (!r)
		err(1, "raw");
	r->conn = PQconnectdb(url);
	need(r, PQstatus(r->conn) == CONNECTION_OK);
	PQclear(good(r, PQexec(r->conn, "set client_min_messages = warning"),
		     PGRES_COMMAND_OK));
	for (size_t i = 0; i < sizeof(schema) / sizeof(*schema); i++)
		PQclear(good(r, PQexec(r->conn, schema[i]), PGRES_COMMAND_OK));
	for (size_t i = 0; i < sizeof(statements) / sizeof(*statements); i++)
		PQclear(good(r,
			     PQprepare(r->conn, statements[i][0],
				       statements[i][1], 0, NULL),
			     PGRES_COMMAND_OK));
	return r;
}

static void raw_close(void *db)
{
	struct raw *r = db;

	PQclear(good(r, PQexec(r->conn, "drop schema raw cascade"),
		     PGRES_COMMAND_OK));
	PQfinish(r->conn);
	free(r);
}

static size_t raw_get(void *db, const struct pg_item *key, void *value)
{
	struct raw *r = db;
	struct params p = { 0 };
	PGresult *res;
	size_t len;

	add(&p, store(), 8);
	add(&p, key->key, key->key_len);
	res = good(r, ask(r, "get", &p), PGRES_TUPLES_OK);
	need(r, PQntuples(res) == 1);
	len = (size_t)PQgetlength(res, 0, 4);
	memcpy(value, PQgetvalue(res, 0, 4), len);
	PQclear(res);
	return len;
}

static size_t raw_get_many(void *db, const struct pg_item *keys, size_t n)
{
	struct raw *r = db;
	struct array a = keys_of(keys, n);
	struct params p = { 0 };
	PGresult *res;
	size_t bytes = 0;

	add(&p, store(), 8);
	add(&p, a.at, a.len);
	res = good(r, ask(r, "getn", &p), PGRES_TUPLES_OK);
	need(r, PQntuples(res) == (int)n);
	for (int i = 0; i < PQntuples(res); i++)
		bytes += (size_t)PQgetlength(res, i, 5);
	PQclear(res);
	free(a.at);
	return bytes;
}

/* Pages: each begins behind the last name of the one before. */
static size_t raw_list(void *db, const char *prefix)
{
	struct raw *r = db;
	size_t len = strlen(prefix), n = 0;
	char *end = strdup(prefix);
	PGresult *last = NULL, *res;
	int rows;

	if (!end)
		err(1, "list");
	end[len - 1]++;
	do {
		struct params p = { 0 };

		rows = last ? PQntuples(last) : 0;
		add(&p, store(), 8);
		if (last)
			add(&p, PQgetvalue(last, rows - 1, 0),
			    (size_t)PQgetlength(last, rows - 1, 0));
		else
			add(&p, prefix, len);
		add(&p, end, len);
		res = good(r, ask(r, "list", &p), PGRES_TUPLES_OK);
		PQclear(last);
		last = res;
		n += (size_t)PQntuples(res);
	} while (PQntuples(res) == PG_PAGE);
	PQclear(last);
	free(end);
	return n;
}

static void raw_put_many(void *db, const struct pg_item *items, size_t n)
{
	struct raw *r = db;
	struct array keys = keys_of(items, n), values = values_of(items, n);
	struct array lens = array(n, 8 * n, INT8OID);
	struct array vers = array(n, 8 * n, INT8OID);
	struct params p = { 0 };

	for (size_t i = 0; i < n; i++) {
		uint64_t len = htobe64(items[i].value_len);
		uint64_t ver = htobe64(++r->ver);

		element(&lens, &len, 8);
		element(&vers, &ver, 8);
	}
	add(&p, store(), 8);
	add(&p, keys.at, keys.len);
	add(&p, lens.at, lens.len);
	add(&p, vers.at, vers.len);
	add(&p, values.at, values.len);
	PQclear(good(r, ask(r, "putn", &p), PGRES_COMMAND_OK));
	free(keys.at);
	free(values.at);
	free(lens.at);
	free(vers.at);
}

static void raw_put_long(void *db, const void *part, size_t n)
{
	struct raw *r = db;
	uint64_t blob = htobe64(BLOB);

	for (uint32_t i = 0; i < n / PG_PART; i++) {
		struct params p = { 0 };
		uint32_t at = htobe32(i);

		add(&p, &blob, 8);
		add(&p, &at, 4);
		add(&p, part, PG_PART);
		PQclear(good(r, ask(r, "put_part", &p), PGRES_COMMAND_OK));
	}
}

/* Sends the question for a part, of which there are some on their way. */
static void ask_part(struct raw *r, uint32_t i)
{
	uint64_t blob = htobe64(BLOB);
	struct params p = { 0 };

	i = htobe32(i);
	add(&p, &blob, 8);
	add(&p, &i, 4);
	need(r, PQsendQueryPrepared(r->conn, "get_part", p.n, p.value, p.len,
				    p.binary, 1) &&
			PQpipelineSync(r->conn) && PQflush(r->conn) == 0);
}

static void take_part(struct raw *r, char *to)
{
	PGresult *res = good(r, PQgetResult(r->conn), PGRES_TUPLES_OK);

	need(r, PQntuples(res) == 1 && PQgetlength(res, 0, 0) == PG_PART);
	memcpy(to, PQgetvalue(res, 0, 0), PG_PART);
	PQclear(res);
	need(r, !PQgetResult(r->conn));
	PQclear(good(r, PQgetResult(r->conn), PGRES_PIPELINE_SYNC));
}

static void raw_get_long(void *db, void *value, size_t n)
{
	struct raw *r = db;
	uint32_t parts = (uint32_t)(n / PG_PART), asked = 0;

	need(r, PQenterPipelineMode(r->conn));
	for (uint32_t i = 0; i < parts; i++) {
		while (asked < parts && asked < i + WINDOW)
			ask_part(r, asked++);
		take_part(r, (char *)value + (size_t)i * PG_PART);
	}
	need(r, PQexitPipelineMode(r->conn));
}

const struct pg_peer pg_raw = {
	.name = "raw",
	.open = raw_open,
	.close = raw_close,
	.get = raw_get,
	.get_many = raw_get_many,
	.list = raw_list,
	.put_many = raw_put_many,
	.put_long = raw_put_long,
	.get_long = raw_get_long,
};
