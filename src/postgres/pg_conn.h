/* pg_conn.h - connections, and what is asked over them.
 *
 *   rc = pg_pool_take(&pool, until, &c);       waits for one, or makes one
 *   pg_turn_begin(&t, c, until);
 *   pg_args_int8(pg_turn_args(&t), id);  ...    the statement's parameters
 *   rc = pg_turn_add(&t, PG_GET);               any number of statements
 *   rc = pg_turn_send(&t);                      one message, one round trip
 *   rc = pg_turn_result(&t, &res);              of each, in order
 *   rc = pg_turn_end(&t);                       what is left of the answer
 *   pg_pool_give(&pool, c);
 *
 * Statements of a turn travel together (libpq's pipeline mode) and are
 * prepared once for a connection.  Behind one that fails those of its turn do
 * nothing, and an open transaction can only be rolled back, which
 * pg_pool_give sees to.
 *
 * Errors: 0 or negative.  -ERESTART: a server that was not reached, has gone,
 * or could not do two things at once: the same may be tried again from the
 * beginning, on another connection; of a COMMIT that was sent the outcome is
 * then unknown.  -EEXIST: a unique key was there.  Why stands in c->why.
 *
 * until is by steady_us(); behind it a turn is -ERESTART, and its connection
 * is closed.
 *
 * Threads: a pool is for any; a connection and a turn belong to one at a time.
 */
#ifndef BLT_PG_CONN_H
#define BLT_PG_CONN_H

#include "postgres/pg_sql.h"
#include "postgres/pg_url.h"

#include <libpq-fe.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PG_WHY_MAX 256u
#define PG_ARGS_MAX 8u
/* The reason where the server says nothing. */
#define PG_SILENT "the server did not answer in time"

struct pg_conn {
	PGconn *pg;
	uint64_t prepared; /* which statements are */
	bool broken;
	bool plain; /* behind a pooler: nothing is prepared */
	struct pg_conn *next;
	char why[PG_WHY_MAX]; /* of the last error; one line */
};

struct pg_pool {
	const struct pg_url *url;
	pthread_mutex_t lock;
	pthread_cond_t freed;
	struct pg_conn *idle; /* lock, as these */
	unsigned n;
	unsigned first; /* the host that is tried first */
	bool plain;
	char why[PG_WHY_MAX]; /* why the last connection failed */
};

void pg_pool_init(struct pg_pool *p, const struct pg_url *url);
void pg_pool_release(struct pg_pool *p);
int pg_pool_take(struct pg_pool *p, int64_t until, struct pg_conn **ret);
void pg_pool_give(struct pg_pool *p, struct pg_conn *c);
/* Why it, or the last connection, failed. */
void pg_pool_why(struct pg_pool *p, char to[PG_WHY_MAX]);
/* Others that are idle will be as dead as the one that has failed. */
void pg_pool_drop_idle(struct pg_pool *p);

/* ---- parameters ---- */

/* An array: begin, add, and it is a parameter of the statement. */
struct pg_array {
	uint8_t *bytes;
	size_t len;
	uint32_t n;
	int rc; /* -ENOMEM, behind which nothing is added */
};

enum pg_element { PG_BYTES = 17, PG_INT8 = 20, PG_INT4 = 23 };

void pg_array_begin(struct pg_array *a, enum pg_element type);
void pg_array_bytes(struct pg_array *a, const void *bytes, size_t len);
void pg_array_int8(struct pg_array *a, int64_t value);
void pg_array_int4(struct pg_array *a, int32_t value);
void pg_array_null(struct pg_array *a);
void pg_array_free(struct pg_array *a);

struct pg_args {
	int n;
	int rc;
	const char *value[PG_ARGS_MAX];
	int len[PG_ARGS_MAX], binary[PG_ARGS_MAX];
	uint8_t number[PG_ARGS_MAX][8];
};

/* What is pointed at must last until pg_turn_add. */
void pg_args_int8(struct pg_args *a, int64_t value);
void pg_args_int4(struct pg_args *a, int32_t value);
void pg_args_bytes(struct pg_args *a, const void *bytes, size_t len);
void pg_args_array(struct pg_args *a, struct pg_array *array);

/* ---- a turn ---- */

struct pg_turn {
	struct pg_conn *c;
	int64_t until;
	struct pg_args args;
	unsigned sent, got; /* statements */
	uint64_t first;     /* bit i: the i-th is prepared in this turn */
	bool in_flight, synced;
	int rc;
};

void pg_turn_begin(struct pg_turn *t, struct pg_conn *c, int64_t until);
struct pg_args *pg_turn_args(struct pg_turn *t);
/* At most 64 statements in a turn. */
int pg_turn_add(struct pg_turn *t, enum pg_statement s);
int pg_turn_send(struct pg_turn *t);
/* The caller clears *ret (PQclear); NULL behind an error. */
int pg_turn_result(struct pg_turn *t, PGresult **ret);
/* The same where only the error counts; *ret_rows: rows affected; or NULL. */
int pg_turn_done(struct pg_turn *t, uint64_t *ret_rows);
int pg_turn_end(struct pg_turn *t);

/* One statement by itself, as text, outside of a turn. */
int pg_exec(struct pg_conn *c, const char *sql, int64_t until);

/* ---- results ---- */

int64_t pg_int8(const PGresult *res, int row, int column);
int32_t pg_int4(const PGresult *res, int row, int column);
const uint8_t *pg_bytes(const PGresult *res, int row, int column, size_t *ret);

#endif
