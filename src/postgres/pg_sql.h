/* pg_sql.h - the statements of the engine, and the schema.
 *
 * They are those that servers of PostgreSQL's protocol have in common, and
 * distributed ones take (doc/postgres.md): each but those on chunks has the
 * store as its first parameter, by which tables are distributed; no key is
 * updated; nothing is checked and written by one statement.
 *
 * Pure.
 */
#ifndef BLT_PG_SQL_H
#define BLT_PG_SQL_H

#define PG_SCHEMA_VERSION 1

enum pg_statement {
	PG_BEGIN,
	PG_BEGIN_SERIAL,
	PG_BEGIN_SNAPSHOT,
	PG_COMMIT,
	PG_OPEN,
	PG_NAME,
	PG_NAME_OF,
	PG_RENAME_STORE,
	PG_UNNAME,
	PG_LEFT,
	PG_LEFT_UNNAME,
	PG_DONE_LATELY,
	PG_FACTS,
	PG_GET,
	PG_PART,
	PG_STAT,
	PG_GET_MANY,
	PG_PAGE,
	PG_PAGE_VALUES,
	PG_NAMES,
	PG_LOOK,
	PG_CHUNKS,
	PG_DONE,
	PG_DONE_AGAIN,
	PG_DONE_FENCE,
	PG_DONE_DROP,
	PG_DONE_SWEEP,
	PG_DONE_CLEAR,
	PG_PUT,
	PG_INSERT,
	PG_LOCK,
	PG_MOVE,
	PG_TOUCH,
	PG_DROP,
	PG_CHUNK_PUT,
	PG_CHUNK_CUT,
	PG_CHUNK_SUM,
	PG_CHUNK_ORPHANS,
	PG_CHUNK_DROP,
	PG_NOTE_ALL,
	PG_NOTE_LOCK,
	PG_NOTE_INSERT,
	PG_NOTE_PUT,
	PG_NOTE_DROP,
	PG_COUNT,
	PG_OLD,
	PG_CLEAR,
	PG_CLEAR_NOTES,
	PG_SNAPSHOT,
	PG_DURABLE,
	PG__STATEMENTS,
};

struct pg_sql {
	const char *name; /* of the prepared statement; NULL: not prepared */
	const char *text;
};

extern const struct pg_sql pg_sql[PG__STATEMENTS];

/* One after the other make the tables, where they are missing; NULL ends
 * them.  Those of pg_schema_citus are for a server that has Citus; of
 * pg_schema_extra an error is none. */
extern const char *const pg_schema[], *const pg_schema_citus[],
					      *const pg_schema_extra[];

#endif
