/* lmdbenv.h - for unit tests: an environment of LMDB, by LMDB itself and behind
 * blt.h.
 *
 *   int main(void)
 *   {
 *           return lmdbenv_run("name", add);
 *   }
 *
 * A test finds an empty directory, in which the environment is to be; it goes
 * with what is in it.  What fails fails the test.
 */
#ifndef TESTS_LMDBENV_H
#define TESTS_LMDBENV_H

#include "blt.h"
#include "lib/checked.h"

#include <lmdb.h>
#include <sys/types.h>

extern char lmdbenv_path[256];

/* Runs the tests that add adds; what main returns. */
int lmdbenv_run(const char *name, void (*add)(TCase *tc));

/* ---- with LMDB itself: not while a store is open ---- */

struct raw {
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;
};

/* A database, NULL: the main one, in a transaction; flags: of mdb_dbi_open. */
struct raw raw_open(const char *db, unsigned flags);

/* Commits. */
void raw_close(struct raw *r);

void raw_put(struct raw *r, const void *key, size_t len, const char *value);
void raw_text(struct raw *r, const char *key, const char *value);
void raw_expect(struct raw *r, const void *key, size_t len, const char *value);

/* ---- with blt.h ---- */

struct blt *open_with(enum blt_mode mode, const char *db);

/* What opening it gives; a store that could be opened is closed. */
int try_open(enum blt_mode mode, const char *engine, const char *db);

int put_rc(struct blt *s, const char *key);

/* As an iterator meets them. */
uint64_t count_items(struct blt *s, const char *prefix);

/* What a get of it returns. */
void expect_get(struct blt *s, const char *key, int rc);

/* The read of a source that cannot be read: -EIO. */
int no_bytes(void *arg, void *to, size_t n, uint64_t offset);

/* ---- other processes ---- */

/* fn of a database, which is committed. */
void other_process(const char *db, unsigned flags, void (*fn)(struct raw *r));
/* For that: one key is put; the database is dropped. */
void put_key(struct raw *r);
void drop(struct raw *r);

/* Ends a forked process, with all that it has of the other. */
void end_well(void);
void expect_end(pid_t pid);

/* ---- listings ---- */

struct names {
	char text[4096]; /* each with a blank behind it; directories with '/' */
	unsigned left;
	uint64_t cookie;
};

/* Adds up to left names, arg: struct names. */
int add_name(void *arg, const struct blt_ns_entry *e);

struct blt_ns *open_ns(struct blt *s);

/* Whether a directory's names are these, however few are taken at a time. */
void expect_list(struct blt_ns *ns, const char *at, const char *names);

#endif
