#include "lib/lmdbenv.h"
#include "lib/suite.h"
#include "base/util.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[128];
char lmdbenv_path[256];

/* ---- with LMDB itself ---- */

struct raw raw_open(const char *db, unsigned flags)
{
	struct stat st;
	struct raw r;
	bool is_dir = stat(lmdbenv_path, &st) == 0 && S_ISDIR(st.st_mode);

	ck_assert_int_eq(mdb_env_create(&r.env), 0);
	ck_assert_int_eq(mdb_env_set_maxdbs(r.env, 50), 0);
	ck_assert_int_eq(mdb_env_open(r.env, lmdbenv_path,
				      is_dir ? 0 : MDB_NOSUBDIR, 0600),
			 0);
	ck_assert_int_eq(mdb_txn_begin(r.env, NULL, 0, &r.txn), 0);
	ck_assert_int_eq(mdb_dbi_open(r.txn, db, flags, &r.dbi), 0);
	return r;
}

void raw_close(struct raw *r)
{
	ck_assert_int_eq(mdb_txn_commit(r->txn), 0);
	mdb_env_close(r->env);
}

void raw_put(struct raw *r, const void *key, size_t len, const char *value)
{
	MDB_val k = { len, (void *)(uintptr_t)key };
	MDB_val v = { strlen(value), (void *)(uintptr_t)value };

	ck_assert_int_eq(mdb_put(r->txn, r->dbi, &k, &v, 0), 0);
}

void raw_text(struct raw *r, const char *key, const char *value)
{
	raw_put(r, key, strlen(key), value);
}

void raw_expect(struct raw *r, const void *key, size_t len, const char *value)
{
	MDB_val k = { len, (void *)(uintptr_t)key }, v;

	ck_assert_int_eq(mdb_get(r->txn, r->dbi, &k, &v), 0);
	ck_assert_uint_eq(v.mv_size, strlen(value));
	ck_assert_mem_eq(v.mv_data, value, v.mv_size);
}

/* ---- with blt.h ---- */

struct blt *open_with(enum blt_mode mode, const char *db)
{
	struct blt_open_options how = { .mode = mode,
					.engine = "lmdb",
					.db = db };
	struct blt_error err = { "" };
	struct blt *s;

	ck_assert_msg(blt_open(lmdbenv_path, &how, &s, &err) == 0, "%s",
		      err.text);
	return s;
}

int try_open(enum blt_mode mode, const char *engine, const char *db)
{
	struct blt_open_options how = { .mode = mode,
					.engine = engine,
					.db = db };
	struct blt_error err = { "" };
	struct blt *s;
	int rc = blt_open(lmdbenv_path, &how, &s, &err);

	if (rc == 0)
		blt_close(s);
	else
		ck_assert_ptr_nonnull(strstr(err.text, lmdbenv_path));
	return rc;
}

int put_rc(struct blt *s, const char *key)
{
	return blt_put(s, key, strlen(key), "v", 1, BLT_NOW);
}

uint64_t count_items(struct blt *s, const char *prefix)
{
	struct blt_iter_options o = { .prefix = prefix,
				      .prefix_len = strlen(prefix) };
	struct blt_iter *it;
	struct blt_item item;
	uint64_t n = 0;
	int rc;

	ck_assert_int_eq(blt_iter_open(s, &o, &it), 0);
	while ((rc = blt_iter_next(it, &item)) > 0) {
		ck_assert_mem_eq(item.key, prefix, o.prefix_len);
		n++;
	}
	ck_assert_int_eq(rc, 0);
	blt_iter_free(it);
	return n;
}

/* ---- other processes ---- */

/* Not by an exit: valgrind takes what was open at the fork for leaks. */
void end_well(void)
{
	execl("/bin/true", "true", NULL);
	_exit(1);
}

void expect_end(pid_t pid)
{
	int status;

	ck_assert_int_gt(pid, 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}

void other_process(const char *db, unsigned flags, void (*fn)(struct raw *r))
{
	pid_t pid = fork();

	if (pid == 0) {
		struct raw r = raw_open(db, flags);

		fn(&r);
		raw_close(&r);
		end_well();
	}
	expect_end(pid);
}

void put_key(struct raw *r)
{
	raw_text(r, "key", "value");
}

void drop(struct raw *r)
{
	ck_assert_int_eq(mdb_drop(r->txn, r->dbi, 1), 0);
}

void expect_get(struct blt *s, const char *key, int rc)
{
	struct blt_view view;

	ck_assert_int_eq(blt_get(s, key, strlen(key), &view), rc);
	if (rc == 0)
		blt_view_release(&view);
}

/* ---- listings ---- */

int add_name(void *arg, const struct blt_ns_entry *e)
{
	struct names *n = arg;

	if (n->left-- == 0)
		return 1;
	strcat(n->text, e->name);
	strcat(n->text, e->kind == BLT_DIR ? "/ " : " ");
	n->cookie = e->cookie;
	return 0;
}

struct blt_ns *open_ns(struct blt *s)
{
	struct blt_ns_options o = { .control = ".bltfs" };
	struct blt_ns *ns;

	ck_assert_int_eq(blt_ns_new(s, &o, &ns), 0);
	return ns;
}

/* In pieces of step names each. */
static const char *list(struct blt_ns *ns, const char *at, unsigned step)
{
	static struct names n;
	int rc;

	n = (struct names){ .left = 0 };
	do {
		n.left = step;
		rc = blt_ns_list(ns, at, strlen(at), n.cookie, add_name, &n);
		ck_assert_int_eq(rc, 0);
	} while (n.left > step);
	return n.text;
}

void expect_list(struct blt_ns *ns, const char *at, const char *names)
{
	for (unsigned step = 1; step < 5; step++)
		ck_assert_str_eq(list(ns, at, step), names);
	ck_assert_str_eq(list(ns, at, 1000), names);
}

/* ---- the suite ---- */

static void make_dir(void)
{
	strcpy(dir, "/tmp/test-lmdb-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(lmdbenv_path, sizeof(lmdbenv_path), "%s/env", dir);
}

static void remove_dir(void)
{
	static const char *const names[] = { "env/data.mdb", "env/lock.mdb",
					     "env",          "env-lock",
					     "env-copy",     "env-copy-lock" };
	char at[300];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(at, sizeof(at), "%s/%s", dir, names[i]);
		(void)!remove(at);
	}
	ck_assert_int_eq(rmdir(dir), 0);
}

int lmdbenv_run(const char *name, void (*add)(TCase *tc))
{
	Suite *suite = suite_create(name);
	TCase *tc = tcase_create("all");

	tcase_set_timeout(tc, 0);
	tcase_add_checked_fixture(tc, make_dir, remove_dir);
	add(tc);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}

int no_bytes(void *arg, void *to, size_t n, uint64_t offset)
{
	(void)arg;
	(void)to;
	(void)n;
	(void)offset;
	return -EIO;
}
