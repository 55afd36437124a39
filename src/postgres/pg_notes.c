/* Notes: a table of their own. */
#include "postgres/pg_commit.h"

#include "base/util.h"

#include <errno.h>
#include <string.h>

int pg_notes(struct blt *blt, backend_note_fn *fn, void *arg)
{
	struct pg_store *store = pg_of(blt);
	PGresult *res;
	int rc = pg_ask(store, PG_NOTE_ALL, pg_fill_id, store, &res);

	for (int row = 0; rc == 0 && row < PQntuples(res); row++) {
		struct backend_note n;

		n.name = (const char *)pg_bytes(res, row, 0, &n.name_len);
		n.bytes = pg_bytes(res, row, 1, &n.len);
		rc = fn(arg, &n);
	}
	PQclear(res);
	return rc;
}

/* ---- in a batch ---- */

static bool has_notes(const struct pg_commit *c)
{
	for (const struct backend_op *op = c->first; op; op = op->next)
		if (op->kind == BACKEND_NOTE)
			return true;
	return false;
}

/* What the operation believes of the note, against the rows that there are. */
static bool is_as_said(const struct backend_op *op, const PGresult *res)
{
	for (int row = 0; row < PQntuples(res); row++) {
		size_t name_len, len;
		const uint8_t *name = pg_bytes(res, row, 0, &name_len);
		const uint8_t *v = pg_bytes(res, row, 1, &len);

		if (compare_bytes(name, name_len, op->key.bytes, op->key.len))
			continue;
		return op->to.bytes &&
		       compare_bytes(v, len, op->to.bytes, op->to.len) == 0;
	}
	return !op->to.bytes;
}

int pg_notes_check(struct pg_commit *c, struct pg_conn *conn, int64_t until)
{
	struct pg_array names;
	struct pg_args *args;
	struct pg_turn t;
	PGresult *res;
	int rc;

	if (!has_notes(c))
		return 0;
	pg_array_begin(&names, PG_BYTES);
	for (const struct backend_op *op = c->first; op; op = op->next)
		if (op->kind == BACKEND_NOTE)
			pg_array_bytes(&names, op->key.bytes, op->key.len);
	pg_turn_begin(&t, conn, until);
	args = pg_turn_args(&t);
	pg_args_int8(args, c->store->id);
	pg_args_array(args, &names);
	pg_turn_add(&t, PG_NOTE_LOCK);
	pg_array_free(&names);
	pg_turn_send(&t);
	(void)pg_turn_result(&t, &res);
	rc = pg_turn_end(&t);
	for (const struct backend_op *op = c->first; op && rc == 0;
	     op = op->next)
		if (op->kind == BACKEND_NOTE && !is_as_said(op, res))
			rc = -ESTALE;
	PQclear(res);
	return rc;
}

/* One that was not there is not put over one that somebody has made since:
 * that is -EEXIST, and -ESTALE for the caller. */
void pg_notes_write(struct pg_commit *c, struct pg_turn *t)
{
	struct pg_args *args;

	for (const struct backend_op *op = c->first; op; op = op->next) {
		if (op->kind != BACKEND_NOTE || (!op->value && !op->to.bytes))
			continue;
		args = pg_turn_args(t);
		pg_args_int8(args, c->store->id);
		pg_args_bytes(args, op->key.bytes, op->key.len);
		if (op->value)
			pg_args_bytes(args, op->value, op->value_len);
		pg_turn_add(t, !op->value   ? PG_NOTE_DROP :
			       op->to.bytes ? PG_NOTE_PUT :
					      PG_NOTE_INSERT);
	}
}
