/* lmdb_dir_cursor.h - the names of one directory, from the order of the keys.
 *
 *   rc = dir_cursor_begin(&l, store, prefix, len);   1; 0: there can be none
 *   if (rc > 0) {
 *           rc = dir_cursor_from(&l, name, len, is_dir);  or from the
 *                                                         beginning
 *           while ((rc = dir_cursor_next(&l, &entry)) > 0)
 *                   ...
 *           dir_cursor_end(&l);
 *   }
 *
 * What stands below a prefix stands side by side.  The cursor goes from key to
 * key and, where it meets a directory, to the first key behind that; so it
 * costs as much as there are names.  "a" and "a/b" do not stand side by side
 * ("a!" is between them): whether a key stands beside a directory of its name
 * is looked for.
 *
 * In a database of several values a key (MDB_DUPSORT) a key is a directory, in
 * which its values come first, as numbered files; keys below it come behind
 * them.
 *
 * Holds a transaction from its beginning to its end.  One thread; errors as in
 * lmdb_store.h.
 */
#ifndef BLT_LMDB_DIR_CURSOR_H
#define BLT_LMDB_DIR_CURSOR_H

#include "lmdb/lmdb_store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIR_CURSOR_ROOM (LMDB_KEY_MAX + 32u)

/* A name. */
struct dir_cursor_entry {
	bool is_dir;
	bool conflict; /* a file beside a directory of its name */
	uint16_t len;
	uint64_t value_len;
	int64_t seen; /* struct blt_stat's */
	uint8_t name[DIR_CURSOR_ROOM];
};

struct dir_cursor {
	struct lmdb_read r;
	const struct lmdb_db *db;
	MDB_cursor *cursor;
	MDB_cursor *other;  /* for what stands elsewhere */
	MDB_cursor *values; /* of the key that the directory is */
	size_t db_at;       /* the next database to be named; n_dbs: none */
	size_t n_values;    /* 0 unless the directory is a key */
	size_t value_at;    /* the next of these */
	size_t prefix_len;  /* within the database */
	uint8_t prefix[DIR_CURSOR_ROOM];
	/* where it goes on: behind this key, or from it on */
	bool behind;
	size_t at_len;
	uint8_t at[2 * DIR_CURSOR_ROOM];
	/* of the call that goes on */
	int rc;
	bool marked;
	struct dir_cursor_entry *entry;
};

int dir_cursor_begin(struct dir_cursor *l, struct lmdb_store *store,
		     const void *prefix, size_t len);
void dir_cursor_end(struct dir_cursor *l);

/* Whether the directory is there, and whether its marker is: 1, 0, negative. */
int dir_cursor_there(struct dir_cursor *l, bool *ret_marked);

/* Goes on behind a name, which need not be there any more. */
int dir_cursor_from(struct dir_cursor *l, const uint8_t *name, size_t len,
		    bool is_dir);

int dir_cursor_next(struct dir_cursor *l,
		    struct dir_cursor_entry *ret); /* 1; 0: the end */

#endif
