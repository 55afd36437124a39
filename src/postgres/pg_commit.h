/* pg_commit.h - what the files of a commit share: pg_commit.c, which tries it,
 * and pg_write.c, which makes its statements.
 */
#ifndef BLT_PG_COMMIT_H
#define BLT_PG_COMMIT_H

#include "postgres/pg_change.h"
#include "postgres/pg_store.h"

/* A value that is put. */
struct pg_value {
	const struct backend_op *op;
	const void *key;
	size_t key_len;
	int64_t mtime, ver;
};

struct pg_commit {
	struct pg_store *store;
	struct backend_op *first;
	int64_t id;    /* in done */
	bool unknown;  /* a COMMIT was sent and not answered, in any try */
	bool was_done; /* it counted */
	bool simple;   /* nothing depends on what is there */
	struct pg_changes changes;
	struct pg_value *value; /* sorted by key */
	size_t n_values;
	int64_t *drop_done; /* ids that this one takes out of done */
	size_t n_drop_done;
	int64_t *fence; /* and those that it puts there */
	size_t n_fence;
	uint8_t *bytes; /* of the one value of a source that is read but once */
};

/* Chunks of what is long, before all else: op->staged_at is the blob. */
int pg_write_long(struct pg_commit *c);

/* Each adds statements to a turn, whose error is in t->rc. */
void pg_write_frame(struct pg_commit *c, struct pg_turn *t,
		    enum pg_statement begin);
void pg_write_lock(struct pg_commit *c, struct pg_turn *t);
void pg_write_moves(struct pg_commit *c, struct pg_turn *t);
void pg_write_drops(struct pg_commit *c, struct pg_turn *t);
void pg_write_touches(struct pg_commit *c, struct pg_turn *t);
/* Where these are many, the turn ends and another begins. */
void pg_write_puts(struct pg_commit *c, struct pg_turn *t, enum pg_statement s);
void pg_write_drop_done(struct pg_commit *c, struct pg_turn *t);
void pg_write_fence(struct pg_commit *c, struct pg_turn *t);

/* ---- pg_notes.c ---- */

/* The rows of the notes that the operations name, locked and compared:
 * -ESTALE. */
int pg_notes_check(struct pg_commit *c, struct pg_conn *conn, int64_t until);
void pg_notes_write(struct pg_commit *c, struct pg_turn *t);

#endif
