/* A turn: statements in a pipeline, and what came of them. */
#include "postgres/pg_conn.h"

#include "base/util.h"

#include <poll.h>

/* Which are prepared is kept in the bits of a number. */
_Static_assert(PG__STATEMENTS <= 64, "statements");

/* ---- errors ---- */

static const struct {
	char state[6]; /* the first bytes of an SQLSTATE */
	int rc;
} errors[] = {
	/* another transaction was in the way */
	{ "40", -ERESTART },
	/* the server, or one behind it, goes or cannot be reached */
	{ "08", -ERESTART },
	{ "57P", -ERESTART },
	{ "53300", -ERESTART },
	{ "XX", -ERESTART },
	{ "25006", -ERESTART }, /* no primary any more */
	{ "55P03", -ERESTART },
	/* a pooler gave us another server connection */
	{ "26000", -ERESTART },
	{ "42P05", -ERESTART },

	{ "23505", -EEXIST },
	/* somebody else makes the tables, too */
	{ "42P06", -EEXIST },
	{ "42P07", -EEXIST },
	{ "42710", -EEXIST },
	{ "53100", -ENOSPC },
	{ "53200", -ENOMEM },
	{ "54", -EFBIG },
	{ "42501", -EACCES },
	{ "28", -EACCES },
	{ "3D000", -ENXIO },
	{ "3F000", -ENOENT },
	{ "42P01", -ENOENT },
	{ "57014", -EINTR },
	{ "25", -EIO }, /* what follows an error */
};

static int error_of(const char *state)
{
	for (size_t i = 0; state && i < ARRAY_SIZE(errors); i++)
		if (strncmp(state, errors[i].state, strlen(errors[i].state)) ==
		    0)
			return errors[i].rc;
	return state ? -EIO : -ERESTART;
}

static void take_why(struct pg_conn *c, const char *text)
{
	size_t n;

	text += strncmp(text, "ERROR:  ", 8) == 0 ? 8 : 0;
	n = strcspn(text, "\n");
	n = n < PG_WHY_MAX ? n : PG_WHY_MAX - 1;
	memcpy(c->why, text, n);
	c->why[n] = '\0';
}

static int fail_conn(struct pg_turn *t)
{
	take_why(t->c, PQerrorMessage(t->c->pg));
	if (!t->c->why[0])
		strcpy(t->c->why, "the server closed the connection");
	t->c->broken = true;
	return t->rc = -ERESTART;
}

/* Prepared statements are not where the pooler has put us. */
static bool is_pooler(const char *state)
{
	return state && (!strcmp(state, "26000") || !strcmp(state, "42P05"));
}

static int fail_result(struct pg_turn *t, const PGresult *res)
{
	const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
	int rc = error_of(state);

	take_why(t->c, PQresultErrorMessage(res));
	if (is_pooler(state))
		t->c->plain = true;
	if (!state || rc == -ERESTART)
		t->c->broken = !state || strncmp(state, "40", 2) != 0 ||
			       strcmp(state, "40003") == 0;
	return rc;
}

/* ---- waiting ---- */

/* Until the socket can be read, or (write) written. */
static int wait_for(struct pg_turn *t, bool write)
{
	int64_t left = t->until - steady_us();
	struct pollfd p = {
		.fd = PQsocket(t->c->pg),
		.events = (short)(POLLIN | (write ? POLLOUT : 0)),
	};
	int n = left > 0 ? poll(&p, 1,
				(int)min_u64((uint64_t)left / 1000 + 1, 1000)) :
			   0;

	if (n > 0 || (left > 0 && (n == 0 || errno == EINTR)))
		return 0;
	strcpy(t->c->why, PG_SILENT);
	t->c->broken = true;
	return t->rc = -ERESTART;
}

/* What the server says meanwhile is read, or both sides would wait for ever. */
static int flush(struct pg_turn *t)
{
	int rc, left;

	while ((left = PQflush(t->c->pg)) > 0) {
		rc = wait_for(t, true);
		if (rc < 0)
			return rc;
		if (!PQconsumeInput(t->c->pg))
			return fail_conn(t);
	}
	return left < 0 ? fail_conn(t) : 0;
}

static int next_result(struct pg_turn *t, PGresult **ret)
{
	int rc;

	while (PQisBusy(t->c->pg)) {
		rc = wait_for(t, false);
		if (rc < 0)
			return rc;
		if (!PQconsumeInput(t->c->pg))
			return fail_conn(t);
	}
	*ret = PQgetResult(t->c->pg);
	return 0;
}

/* ---- a turn ---- */

void pg_turn_begin(struct pg_turn *t, struct pg_conn *c, int64_t until)
{
	*t = (struct pg_turn){ .c = c, .until = until };
}

struct pg_args *pg_turn_args(struct pg_turn *t)
{
	t->args.n = 0;
	t->args.rc = 0;
	return &t->args;
}

int pg_turn_add(struct pg_turn *t, enum pg_statement s)
{
	const struct pg_sql *sql = &pg_sql[s];
	struct pg_args *a = &t->args;
	struct pg_conn *c = t->c;
	int ok = 1;

	if (t->rc == 0)
		t->rc = a->rc;
	if (t->rc < 0)
		return t->rc;
	t->in_flight = true;
	if (!sql->name || c->plain) {
		ok = PQsendQueryParams(c->pg, sql->text, a->n, NULL, a->value,
				       a->len, a->binary, 1);
	} else {
		if (!(c->prepared & UINT64_C(1) << s)) {
			ok = PQsendPrepare(c->pg, sql->name, sql->text, 0,
					   NULL);
			c->prepared |= UINT64_C(1) << s;
			t->first |= UINT64_C(1) << t->sent;
		}
		if (ok)
			ok = PQsendQueryPrepared(c->pg, sql->name, a->n,
						 a->value, a->len, a->binary,
						 1);
	}
	if (!ok)
		return fail_conn(t);
	t->sent++;
	return 0;
}

int pg_turn_send(struct pg_turn *t)
{
	if (t->rc < 0)
		return t->rc;
	if (!PQpipelineSync(t->c->pg))
		return fail_conn(t);
	t->synced = true;
	return flush(t);
}

/* The one result of a message, and the NULL behind it. */
static int read_one(struct pg_turn *t, PGresult **ret)
{
	PGresult *end = NULL;
	int rc = next_result(t, ret);

	if (rc == 0 && !*ret)
		return fail_conn(t);
	if (rc == 0)
		rc = next_result(t, &end);
	if (rc == 0 && end) {
		PQclear(end);
		rc = fail_conn(t);
	}
	if (rc < 0) {
		PQclear(*ret);
		*ret = NULL;
	}
	return rc;
}

static int check_result(struct pg_turn *t, const PGresult *res)
{
	switch (PQresultStatus(res)) {
	case PGRES_COMMAND_OK:
	case PGRES_TUPLES_OK:
		return 0;
	case PGRES_PIPELINE_ABORTED:
		return t->rc ? t->rc : -EIO;
	default:
		return fail_result(t, res);
	}
}

int pg_turn_result(struct pg_turn *t, PGresult **ret)
{
	bool is_first = t->first & UINT64_C(1) << t->got;
	PGresult *res = NULL;
	int rc = t->rc;

	*ret = NULL;
	if (rc < 0)
		return rc;
	t->got++;
	if (is_first) {
		rc = read_one(t, &res);
		if (rc == 0)
			rc = check_result(t, res);
		PQclear(res);
		res = NULL;
		if (rc < 0)
			t->c->broken = true; /* what is prepared, is unknown */
	}
	if (rc == 0)
		rc = read_one(t, &res);
	if (rc == 0)
		rc = check_result(t, res);
	if (rc == 0) {
		*ret = res;
		return 0;
	}
	PQclear(res);
	return t->rc = rc;
}

int pg_turn_done(struct pg_turn *t, uint64_t *ret_rows)
{
	PGresult *res;
	int rc = pg_turn_result(t, &res);

	if (rc == 0 && ret_rows)
		*ret_rows = strtoull(PQcmdTuples(res), NULL, 10);
	PQclear(res);
	return rc;
}

int pg_turn_end(struct pg_turn *t)
{
	PGresult *res;
	bool ended = false;

	/* What is prepared, or was sent and is not asked for, is unknown. */
	if (t->in_flight && t->rc < 0 && (t->first || !t->synced))
		t->c->broken = true;
	while (t->in_flight && !ended && !t->c->broken) {
		if (next_result(t, &res) < 0)
			break;
		ended = res && PQresultStatus(res) == PGRES_PIPELINE_SYNC;
		PQclear(res);
		if (!ended && PQstatus(t->c->pg) != CONNECTION_OK)
			t->c->broken = true;
	}
	t->in_flight = false;
	return t->rc;
}

/* ---- by itself ---- */

int pg_exec(struct pg_conn *c, const char *sql, int64_t until)
{
	struct pg_turn t;
	PGresult *res = NULL;

	pg_turn_begin(&t, c, until);
	t.in_flight = true;
	if (!PQsendQueryParams(c->pg, sql, 0, NULL, NULL, NULL, NULL, 0))
		fail_conn(&t);
	else
		t.sent++;
	pg_turn_send(&t);
	(void)pg_turn_result(&t, &res);
	PQclear(res);
	return pg_turn_end(&t);
}
