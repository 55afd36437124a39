/* An LMDB environment whose disk fails, whose file others remove or cut short,
 * and whose databases they make and drop. */
#include "lib/lmdbenv.h"
#include "engine/backend.h"

#include <check.h>
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define HANGS 60 /* seconds; a test ends then */

/* ---- other processes ---- */

/* Ends the process with all that it has of this one, which is no leak of its.
 */
static void end_well(void)
{
	execl("/bin/true", "true", NULL);
	_exit(1);
}

static void expect_end(pid_t pid)
{
	int status;

	ck_assert_int_gt(pid, 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}

/* In another process, which must end well: fn of a database. */
static void other_process(const char *db, unsigned flags,
			  void (*fn)(struct raw *r))
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

/* An environment is lost, and stays open in the process that has it; or LMDB is
 * cut off, and loses what it had just allocated. */
static void losing_process(void (*fn)(void))
{
	pid_t pid = fork();

	if (pid == 0) {
		fn();
		end_well();
	}
	expect_end(pid);
}

/* ---- a disk that fails ---- */

#define HEADS_END (2 * 4096) /* the two first pages */

enum { FAIL_NOTHING, FAIL_HEADS, FAIL_PAGES, FAIL_SYNC };

static int failing;    /* FAIL_... */
static int fails;      /* so many more times */
static int both_heads; /* written as they are, so many times */

static bool refuse(int what)
{
	if (failing != what || fails == 0)
		return false;
	fails--;
	errno = EIO;
	return true;
}

#define SHOWN __attribute__((visibility("default")))

/* In place of the C library's: LMDB calls these. */
SHOWN ssize_t pwrite(int fd, const void *buf, size_t n, off_t at)
{
	both_heads += at == 0 && n == HEADS_END;
	if (refuse(at < HEADS_END && n < HEADS_END ? FAIL_HEADS : FAIL_PAGES))
		return -1;
	return syscall(SYS_pwrite64, fd, buf, n, at);
}

SHOWN ssize_t writev(int fd, const struct iovec *iov, int n)
{
	return refuse(FAIL_PAGES) ? -1 : syscall(SYS_writev, fd, iov, n);
}

SHOWN int fdatasync(int fd)
{
	return refuse(FAIL_SYNC) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

static void expect(struct blt *s, const char *key, int rc)
{
	struct blt_view view;

	ck_assert_int_eq(blt_get(s, key, strlen(key), &view), rc);
	if (rc == 0)
		blt_view_release(&view);
}

/* The change that meets it fails; the next one does not. */
static void heals(int what, int times)
{
	struct blt *s = open_with(BLT_CREATE, NULL);

	ck_assert_int_eq(put_rc(s, "before"), 0);
	failing = what;
	fails = times;
	ck_assert_int_eq(put_rc(s, "met"), -EIO);
	ck_assert_int_eq(fails, 0);
	expect(s, "before", 0);
	ck_assert_int_eq(put_rc(s, "after"), 0);
	ck_assert_int_eq(blt_sync(s), 0);
	expect(s, "before", 0);
	expect(s, "after", 0);
	ck_assert_int_eq(blt_close(s), 0);
	s = open_with(BLT_READ, NULL);
	ck_assert_uint_eq(count_items(s, ""), 2);
	ck_assert_int_eq(blt_close(s), 0);
}

START_TEST(test_head_fails)
{
	heals(FAIL_HEADS, 1);
}
END_TEST

START_TEST(test_page_fails)
{
	heals(FAIL_PAGES, 1);
}
END_TEST

START_TEST(test_commit_sync_fails)
{
	heals(FAIL_SYNC, 1);
}
END_TEST

/* What the failed sync may have lost is written again before the next one
 * says that all is well. */
START_TEST(test_sync_fails)
{
	struct blt *s = open_with(BLT_CREATE, NULL);

	ck_assert_int_eq(put_rc(s, "k"), 0);
	failing = FAIL_SYNC;
	fails = 1;
	ck_assert_int_eq(blt_sync(s), -EIO);
	both_heads = 0;
	ck_assert_int_eq(blt_sync(s), 0);
	ck_assert_int_eq(both_heads, 1);
	fails = 2;
	ck_assert_int_eq(blt_sync(s), -EIO);
	ck_assert_int_eq(blt_sync(s), -EIO);
	ck_assert_int_eq(blt_sync(s), 0);
	expect(s, "k", 0);
	ck_assert_int_eq(blt_close(s), 0);
}
END_TEST

static int no_bytes(void *arg, void *to, size_t n, uint64_t offset)
{
	(void)arg;
	(void)to;
	(void)n;
	(void)offset;
	return -EIO;
}

/* That is no fault of the environment, which stays open as it is. */
START_TEST(test_source_fails)
{
	struct blt *s = open_with(BLT_CREATE, NULL);
	struct blt_source source = { .read = no_bytes, .len = 10 };
	struct blt_batch *b;

	both_heads = 0;
	ck_assert_int_eq(blt_batch_new(s, &b), 0);
	ck_assert_int_eq(blt_batch_put_from(b, "n", 1, &source, BLT_NOW), 0);
	ck_assert_int_eq(blt_batch_commit(b), -EIO);
	ck_assert_int_eq(put_rc(s, "k"), 0);
	ck_assert_int_eq(both_heads, 0);
	ck_assert_int_eq(blt_close(s), 0);
}
END_TEST

/* ---- a file that others change ---- */

/* The first that is not: nothing is there to go on with. */
static void refuses(struct blt *s, int reads)
{
	struct blt_iter *it;
	struct blt_item item;
	int rc;

	ck_assert_int_eq(put_rc(s, "more"), -EIO);
	ck_assert_int_eq(blt_sync(s), -EIO);
	expect(s, "k", reads);
	ck_assert_int_eq(blt_iter_open(s, NULL, &it), 0);
	rc = blt_iter_next(it, &item);
	ck_assert_int_eq(rc, reads < 0 ? reads : 1);
	blt_iter_free(it);
	ck_assert_int_eq(put_rc(s, "more"), -EIO);
}

static struct blt *open_some(void)
{
	struct blt *s = open_with(BLT_CREATE, NULL);

	for (char key[] = "a"; key[0] <= 'z'; key[0]++)
		ck_assert_int_eq(put_rc(s, key), 0);
	return s;
}

START_TEST(test_removed)
{
	struct blt *s = open_some();

	ck_assert_int_eq(unlink(lmdbenv_path), 0);
	refuses(s, 0);
	ck_assert_int_eq(blt_close(s), -EIO);
}
END_TEST

START_TEST(test_replaced)
{
	struct blt *s = open_some();
	char other[300];
	FILE *f;

	snprintf(other, sizeof(other), "%s-copy", lmdbenv_path);
	f = fopen(other, "w");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(fclose(f), 0);
	ck_assert_int_eq(rename(other, lmdbenv_path), 0);
	refuses(s, 0);
	ck_assert_int_eq(blt_close(s), -EIO);
}
END_TEST

START_TEST(test_cut)
{
	static const off_t lengths[] = { 3 * 4096, 4096, 100, 0 };

	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		struct blt *s = open_some();

		ck_assert_int_eq(truncate(lmdbenv_path, lengths[i]), 0);
		refuses(s, -EIO);
		ck_assert_int_eq(blt_close(s), -EIO);
		ck_assert_int_eq(unlink(lmdbenv_path), 0);
	}
}
END_TEST

/* The file is cut short while a change is being made. */
static int cut_in_between(void *arg, void *to, size_t n, uint64_t offset)
{
	(void)arg;
	(void)offset;
	memset(to, 'x', n);
	ck_assert_int_eq(truncate(lmdbenv_path, 0), 0);
	return 0;
}

static void lose_at_delete(void)
{
	struct blt *s = open_some();
	struct blt_source source = { .read = cut_in_between, .len = 10000 };
	struct blt_batch *b;

	ck_assert_int_eq(blt_batch_new(s, &b), 0);
	ck_assert_int_eq(blt_batch_put_from(b, "n", 1, &source, BLT_NOW), 0);
	ck_assert_int_eq(blt_batch_put(b, "zz", 2, "v", 1, BLT_NOW), 0);
	ck_assert_int_eq(blt_batch_delete(b, "a", 1), 0);
	ck_assert_int_eq(blt_batch_commit(b), -EIO);
	refuses(s, -EIO);
	ck_assert_int_eq(blt_close(s), -EIO);
}

START_TEST(test_cut_in_between)
{
	losing_process(lose_at_delete);
}
END_TEST

static void cut_batch(struct blt *s, const char *first, const char *second)
{
	struct blt_source source = { .read = cut_in_between, .len = 10000 };
	struct blt_batch *b;

	ck_assert_int_eq(blt_batch_new(s, &b), 0);
	ck_assert_int_eq(
		blt_batch_put_from(b, first, strlen(first), &source, BLT_NOW),
		0);
	ck_assert_int_eq(
		blt_batch_put(b, second, strlen(second), "v", 1, BLT_NOW), 0);
	ck_assert_int_eq(blt_batch_commit(b), -EIO);
}

/* It is cut short between the pages of two keys: LMDB is within a put then. */
static void lose_within_put(void)
{
	struct blt *s = open_with(BLT_CREATE, NULL);
	struct blt_batch *b;
	char key[32];

	ck_assert_int_eq(blt_batch_new(s, &b), 0);
	for (int i = 0; i < 5000; i++) {
		sprintf(key, "%05d", i);
		ck_assert_int_eq(
			blt_batch_put(b, key, 5, "0123456789", 10, BLT_NOW), 0);
	}
	ck_assert_int_eq(blt_batch_commit(b), 0);
	cut_batch(s, "00000x", "04000x");
	expect(s, "00000", -EIO);
	ck_assert_int_eq(put_rc(s, "more"), -EIO);
	ck_assert_int_eq(blt_close(s), -EIO);
}

START_TEST(test_cut_within_put)
{
	losing_process(lose_within_put);
}
END_TEST

static void copy_file(const char *from, const char *to)
{
	char bytes[1 << 16];
	FILE *in = fopen(from, "r"), *out = fopen(to, "r+");
	size_t n;

	if (!out)
		out = fopen(to, "w");
	ck_assert(in && out);
	while ((n = fread(bytes, 1, sizeof(bytes), in)) > 0)
		ck_assert_uint_eq(fwrite(bytes, 1, n, out), n);
	ck_assert_int_eq(fclose(in) | fclose(out), 0);
}

/* A fault within the commit leaves LMDB's lock for writers with this thread.
 * Nothing waits for that, even if the file is whole again; and the thread may
 * have another environment. */
static void lose_within_commit(void)
{
	struct blt *s = open_some();
	struct blt_source source = { .read = cut_in_between, .len = 10000 };
	struct blt_batch *b;
	char copy[300];

	snprintf(copy, sizeof(copy), "%s-copy", lmdbenv_path);
	copy_file(lmdbenv_path, copy);
	ck_assert_int_eq(blt_batch_new(s, &b), 0);
	ck_assert_int_eq(blt_batch_put_from(b, "n", 1, &source, BLT_NOW), 0);
	ck_assert_int_eq(blt_batch_delete(b, "a", 1), 0);
	ck_assert_int_eq(blt_batch_commit(b), -EIO);
	copy_file(copy, lmdbenv_path);
	alarm(HANGS);
	ck_assert_int_eq(put_rc(s, "more"), -EIO);
	ck_assert_int_eq(blt_sync(s), -EIO);
	ck_assert_int_eq(blt_close(s), -EIO);
	ck_assert_int_eq(try_open(BLT_WRITE, NULL, NULL), -EBUSY);
	ck_assert_int_eq(rename(lmdbenv_path, copy), 0);
	s = open_with(BLT_CREATE, NULL);
	ck_assert_int_eq(put_rc(s, "k"), 0);
	ck_assert_int_eq(blt_close(s), 0);
	alarm(0);
}

START_TEST(test_cut_within_commit)
{
	losing_process(lose_within_commit);
}
END_TEST

/* ---- databases that others make and drop ---- */

static void put_key(struct raw *r)
{
	raw_text(r, "key", "value");
}

static void drop(struct raw *r)
{
	ck_assert_int_eq(mdb_drop(r->txn, r->dbi, 1), 0);
}

static int add_note(void *arg, const struct backend_note *note)
{
	strncat(arg, (const char *)note->name, note->name_len);
	return 0;
}

static void put_many_keys(struct raw *r)
{
	char key[32], value[201];

	memset(value, 'v', 200);
	value[200] = 0;
	for (int i = 0; i < 2500; i++) {
		sprintf(key, "x%06d", i);
		raw_text(r, key, value);
	}
}

static void fails_unharmed(struct blt *s)
{
	struct blt_info info;
	struct blt_census census;
	struct blt_iter *it;
	struct blt_item item;
	char names[100] = "";
	int rc;

	blt_get_info(s, &info);
	ck_assert_uint_eq(info.n_keys, 0);
	ck_assert_int_eq(s->backend->notes(s, add_note, names), -EIO);
	ck_assert_int_eq(blt_iter_open(s, NULL, &it), 0);
	while ((rc = blt_iter_next(it, &item)) > 0)
		;
	ck_assert_int_eq(rc, -EIO);
	blt_iter_free(it);
	ck_assert_int_eq(blt_count(s, &census), -EIO);
	ck_assert_int_eq(put_rc(s, "one/more"), -EIO);
	ck_assert_int_eq(blt_close(s), -EIO);
}

/* The file is as long as it was seen, but shorter than it was since then: LMDB
 * finds its root behind the end. */
static void lose_unseen(void)
{
	for (int i = 0; i < 2; i++) {
		struct blt *s;
		struct stat st;

		other_process("one", MDB_CREATE, put_key);
		s = open_with(BLT_WRITE, i ? "one" : NULL);
		expect(s, i ? "key" : "one/key", 0);
		ck_assert_int_eq(stat(lmdbenv_path, &st), 0);
		other_process(NULL, 0, put_many_keys);
		ck_assert_int_eq(truncate(lmdbenv_path, st.st_size), 0);
		fails_unharmed(s);
		ck_assert_int_eq(unlink(lmdbenv_path), 0);
	}
}

START_TEST(test_cut_unseen)
{
	losing_process(lose_unseen);
}
END_TEST

static int put_two(struct blt *s, const char *one, const char *two)
{
	struct blt_batch *b;

	ck_assert_int_eq(blt_batch_new(s, &b), 0);
	ck_assert_int_eq(blt_batch_put(b, one, strlen(one), "1", 1, BLT_NOW),
			 0);
	ck_assert_int_eq(blt_batch_put(b, two, strlen(two), "2", 1, BLT_NOW),
			 0);
	return blt_batch_commit(b);
}

START_TEST(test_dropped)
{
	struct blt *s;
	struct blt_ns *ns;
	struct blt_batch *b;
	struct blt_info info;

	other_process("one", MDB_CREATE, put_key);
	other_process("two", MDB_CREATE, put_key);
	s = open_with(BLT_WRITE, NULL);
	ns = open_ns(s);
	ck_assert_int_eq(put_rc(s, "one/x"), 0);
	other_process("one", 0, drop);
	ck_assert_int_eq(put_rc(s, "one/y"), -ENOENT);
	ck_assert_int_eq(put_two(s, "two/y", "one/y"), -ENOENT);
	expect(s, "one/key", -ENOENT);
	expect(s, "two/y", -ENOENT);
	expect_list(ns, "", "two/ ");
	blt_get_info(s, &info);
	ck_assert_uint_eq(info.n_keys, 1);
	/* the name is free for a directory, but only where that comes to be */
	ck_assert_int_eq(blt_batch_new(s, &b), 0);
	ck_assert_int_eq(blt_batch_put(b, "one/", 4, "", 0, BLT_NOW), 0);
	ck_assert_int_eq(blt_batch_delete(b, "none", 4), 0);
	ck_assert_int_eq(blt_batch_commit(b), -ENOENT);
	ck_assert_int_eq(put_rc(s, "one/y"), -ENOENT);
	ck_assert_int_eq(blt_put(s, "one/", 4, "", 0, BLT_NOW), 0);
	ck_assert_int_eq(put_rc(s, "one/y"), 0);
	expect_list(ns, "", "two/ one/ ");
	ck_assert_int_eq(blt_delete(s, "one/y", 5), 0);
	ck_assert_int_eq(blt_delete(s, "one/", 4), 0);
	/* and for a database again, of another kind */
	other_process("one", MDB_CREATE | MDB_DUPSORT, put_key);
	expect_list(ns, "one/key/", "0 ");
	ck_assert_int_eq(put_rc(s, "one/y"), -EROFS);
	blt_ns_free(ns);
	ck_assert_int_eq(blt_close(s), 0);
}
END_TEST

#define MANY 40

static void make_many(struct raw *r)
{
	char name[32];
	MDB_dbi dbi;

	for (int i = 0; i < MANY; i++) {
		sprintf(name, "db%02d", i);
		ck_assert_int_eq(mdb_dbi_open(r->txn, name, MDB_CREATE, &dbi),
				 0);
	}
}

static void drop_many(struct raw *r)
{
	char name[32];
	MDB_dbi dbi;

	for (int i = 0; i < MANY; i++) {
		sprintf(name, "db%02d", i);
		ck_assert_int_eq(mdb_dbi_open(r->txn, name, 0, &dbi), 0);
		ck_assert_int_eq(mdb_drop(r->txn, dbi, 1), 0);
	}
}

START_TEST(test_many_dropped)
{
	struct blt_info info;
	struct blt_ns *ns;
	struct blt *s;
	char name[32];

	other_process(NULL, 0, make_many);
	s = open_with(BLT_WRITE, NULL);
	ns = open_ns(s);
	expect(s, "db00/key", -ENOENT);
	other_process(NULL, 0, drop_many);
	expect_list(ns, "", "");
	blt_get_info(s, &info);
	ck_assert_uint_eq(info.n_keys, 0);
	for (int i = 0; i < MANY; i++) {
		sprintf(name, "db%02d", i);
		ck_assert_int_eq(put_rc(s, name), 0);
	}
	blt_ns_free(ns);
	ck_assert_int_eq(blt_close(s), 0);
}
END_TEST

START_TEST(test_only_one_dropped)
{
	struct blt *s;

	other_process("one", MDB_CREATE, put_key);
	s = open_with(BLT_WRITE, "one");
	expect(s, "key", 0);
	other_process("one", 0, drop);
	ck_assert_int_eq(put_rc(s, "y"), -ENOENT);
	expect(s, "key", -ENOENT);
	ck_assert_uint_eq(count_items(s, ""), 0);
	other_process("one", MDB_CREATE, put_key);
	ck_assert_int_eq(put_rc(s, "y"), 0);
	ck_assert_uint_eq(count_items(s, ""), 2);
	ck_assert_int_eq(blt_close(s), 0);
}
END_TEST

START_TEST(test_made)
{
	struct blt *s = open_with(BLT_CREATE, NULL);
	struct blt_ns *ns = open_ns(s);
	struct blt_info info;

	ck_assert_int_eq(put_rc(s, "plain"), 0);
	other_process("made", MDB_CREATE, put_key);
	expect(s, "made/key", 0);
	expect(s, "made", -ENOENT);
	expect_list(ns, "", "made/ plain ");
	ck_assert_int_eq(put_rc(s, "made/more"), 0);
	expect_list(ns, "made/", "key more ");
	/* one goes and another comes at once: as many as before */
	other_process("made", 0, drop);
	other_process("other", MDB_CREATE, put_key);
	expect_list(ns, "", "other/ plain ");
	blt_get_info(s, &info);
	ck_assert_uint_eq(info.n_keys, 2);
	blt_ns_free(ns);
	ck_assert_int_eq(blt_close(s), 0);
}
END_TEST

static int begins_left; /* write transactions, until there is a new database */

/* In place of LMDB's. */
SHOWN int mdb_txn_begin(MDB_env *env, MDB_txn *parent, unsigned flags,
			MDB_txn **txn)
{
	static int (*real)(MDB_env *, MDB_txn *, unsigned, MDB_txn **);

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "mdb_txn_begin");
	if (!(flags & MDB_RDONLY) && begins_left && --begins_left == 0)
		other_process("new", MDB_CREATE, put_key);
	return real(env, parent, flags, txn);
}

/* The list is renewed, and the next one comes before the transaction that
 * follows. */
START_TEST(test_made_again)
{
	struct blt *s;

	other_process("one", MDB_CREATE, put_key);
	s = open_with(BLT_WRITE, NULL);
	expect(s, "one/key", 0);
	other_process("two", MDB_CREATE, put_key);
	begins_left = 2;
	ck_assert_int_eq(put_rc(s, "new/x"), 0);
	ck_assert_int_eq(begins_left, 0);
	expect(s, "new/key", 0);
	expect(s, "two/key", 0);
	ck_assert_int_eq(blt_close(s), 0);
	s = open_with(BLT_READ, NULL);
	expect(s, "new/x", 0);
	ck_assert_int_eq(blt_close(s), 0);
}
END_TEST

/* ---- nobody who reads waits for others ---- */

struct waiter {
	struct blt *store;
	atomic_bool inside, answered;
	atomic_int tid;
};

/* The environment is checked until there was an answer. */
static int wait_for_answer(void *arg, uint64_t done, uint64_t total,
			   uint64_t keys)
{
	struct waiter *w = arg;

	(void)done;
	(void)total;
	(void)keys;
	atomic_store(&w->inside, true);
	while (!atomic_load(&w->answered))
		sched_yield();
	return 0;
}

static void *check(void *arg)
{
	struct waiter *w = arg;
	struct blt_check_options opts = { .progress = wait_for_answer };
	struct blt_check_result result;

	ck_assert_int_eq(blt_check(w->store, &opts, NULL, w, &result), 0);
	return NULL;
}

START_TEST(test_read_beside_check)
{
	struct waiter w = { .inside = false };
	pthread_t thread;

	other_process("one", MDB_CREATE, put_key);
	w.store = open_with(BLT_WRITE, NULL);
	expect(w.store, "one/key", 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, check, &w), 0);
	while (!atomic_load(&w.inside))
		sched_yield();
	alarm(HANGS);
	other_process("new", MDB_CREATE, put_key);
	expect(w.store, "one/key", 0);
	other_process("one", 0, drop);
	expect(w.store, "one/key", -ENOENT);
	atomic_store(&w.answered, true);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	alarm(0);
	expect(w.store, "new/key", 0);
	ck_assert_int_eq(blt_close(w.store), 0);
}
END_TEST

static void *put_x(void *arg)
{
	struct waiter *w = arg;

	atomic_store(&w->tid, gettid());
	ck_assert_int_eq(put_rc(w->store, "one/x"), 0);
	return NULL;
}

static bool sleeps(int tid)
{
	char path[64], state = '?';
	FILE *f;

	sprintf(path, "/proc/self/task/%d/stat", tid);
	f = fopen(path, "r");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(fscanf(f, "%*d (%*[^)]) %c", &state), 1);
	fclose(f);
	return state == 'S';
}

static int told, answer; /* ends of pipes */

/* Another process makes a database, then has a transaction until there was an
 * answer. */
static void make_and_stay(void)
{
	struct raw r;
	char c;

	if (read(answer, &c, 1) != 1)
		_exit(1);
	r = raw_open("new", MDB_CREATE);
	put_key(&r);
	raw_close(&r);
	r = raw_open("one", 0);
	if (write(told, "", 1) != 1 || read(answer, &c, 1) != 1)
		_exit(1);
	raw_close(&r);
	end_well();
}

START_TEST(test_read_beside_waiting_writer)
{
	struct waiter w = { .tid = 0 };
	int to[2], from[2];
	pthread_t thread;
	pid_t pid;
	char c;

	other_process("one", MDB_CREATE, put_key);
	ck_assert_int_eq(pipe(to) | pipe(from), 0);
	answer = to[0];
	told = from[1];
	pid = fork();
	if (pid == 0)
		make_and_stay();
	w.store = open_with(BLT_WRITE, NULL);
	expect(w.store, "one/key", 0);
	ck_assert_int_eq(write(to[1], "", 1), 1);
	ck_assert_int_eq(read(from[0], &c, 1), 1);
	ck_assert_int_eq(pthread_create(&thread, NULL, put_x, &w), 0);
	while (!atomic_load(&w.tid) || !sleeps(w.tid))
		sched_yield();
	alarm(HANGS);
	expect(w.store, "one/key", 0);
	ck_assert_int_eq(write(to[1], "", 1), 1);
	expect_end(pid);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	alarm(0);
	expect(w.store, "new/key", 0);
	ck_assert_int_eq(blt_close(w.store), 0);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(close(to[i]) | close(from[i]), 0);
}
END_TEST

static void put_number(struct raw *r)
{
	const unsigned n = 7;

	raw_put(r, &n, sizeof(n), "value");
}

/* While the environment is to be opened anew, a database becomes one of another
 * kind. */
START_TEST(test_other_kind)
{
	struct blt *s;

	other_process("one", MDB_CREATE, put_key);
	other_process("two", MDB_CREATE, put_key);
	s = open_with(BLT_WRITE, NULL);
	failing = FAIL_HEADS;
	fails = 1;
	ck_assert_int_eq(put_rc(s, "two/met"), -EIO);
	other_process("one", 0, drop);
	other_process("one", MDB_CREATE | MDB_INTEGERKEY, put_number);
	ck_assert_int_eq(put_rc(s, "two/after"), 0);
	expect(s, "one/7", 0);
	ck_assert_int_eq(put_rc(s, "one/abc"), -EINVAL);
	ck_assert_int_eq(put_rc(s, "one/8"), 0);
	ck_assert_int_eq(blt_close(s), 0);
	s = open_with(BLT_WRITE, "one");
	ck_assert_uint_eq(count_items(s, ""), 2);
	fails = 1;
	ck_assert_int_eq(put_rc(s, "9"), -EIO);
	other_process("one", 0, drop);
	other_process("one", MDB_CREATE, put_key);
	ck_assert_int_eq(put_rc(s, "9"), -EIO);
	expect(s, "key", -EIO);
	ck_assert_int_eq(blt_close(s), -EIO);
}
END_TEST

static int put_note(struct blt *s, const char *name)
{
	const struct blt_bytes value = { "value", 5 };
	struct blt_batch *b;

	ck_assert_int_eq(blt_batch_new(s, &b), 0);
	ck_assert_int_eq(backend_batch_note(b, name, NULL, &value), 0);
	return blt_batch_commit(b);
}

static void expect_notes(struct blt *s, const char *names)
{
	char text[100] = "";

	ck_assert_int_eq(s->backend->notes(s, add_note, text), 0);
	ck_assert_str_eq(text, names);
}

/* The database of the notes, from a store that is otherwise empty, and from one
 * that is not. */
START_TEST(test_notes_dropped)
{
	struct blt *s = open_with(BLT_CREATE, NULL);

	for (int i = 0; i < 2; i++) {
		expect_notes(s, "");
		ck_assert_int_eq(put_note(s, "a"), 0);
		expect_notes(s, "a");
		other_process(".blt-notes", 0, drop);
		expect_notes(s, "");
		ck_assert_int_eq(put_note(s, "b"), 0);
		expect_notes(s, "b");
		other_process(".blt-notes", 0, drop);
		ck_assert_int_eq(put_rc(s, "plain"), 0);
	}
	ck_assert_int_eq(blt_close(s), 0);
}
END_TEST

static void note_text(void *arg, const char *text)
{
	strcat(arg, text);
}

START_TEST(test_reversed)
{
	struct blt *s;
	struct blt_ns *ns;
	struct blt_info info;
	char said[1000] = "";

	other_process("back", MDB_CREATE | MDB_REVERSEKEY, put_key);
	other_process("one", MDB_CREATE, put_key);
	ck_assert_int_eq(try_open(BLT_READ, NULL, "back"), -ENOTSUP);
	s = open_with(BLT_WRITE, NULL);
	ns = open_ns(s);
	blt_cautions(s, note_text, said);
	ck_assert_ptr_nonnull(strstr(said, "database back is not shown"));
	expect_list(ns, "", "one/ ");
	ck_assert_int_eq(put_rc(s, "one/x"), 0);
	expect(s, "back", -ENOENT);
	expect(s, "back/key", -ENOENT);
	ck_assert_int_eq(put_rc(s, "back"), -EINVAL);
	ck_assert_int_eq(put_rc(s, "back/key"), -EINVAL);
	blt_get_info(s, &info);
	ck_assert_uint_eq(info.n_keys, 2);
	ck_assert_uint_eq(count_items(s, ""), 2);
	/* and one that comes later */
	other_process("new", MDB_CREATE | MDB_REVERSEKEY, put_key);
	expect_list(ns, "", "one/ ");
	blt_get_info(s, &info);
	ck_assert_uint_eq(info.n_keys, 2);
	/* the name is free when it goes, or becomes one of another kind */
	other_process("back", 0, drop);
	other_process("new", 0, drop);
	other_process("new", MDB_CREATE, put_key);
	expect_list(ns, "", "new/ one/ ");
	blt_get_info(s, &info);
	ck_assert_uint_eq(info.n_keys, 3);
	ck_assert_int_eq(put_rc(s, "back"), 0);
	blt_ns_free(ns);
	ck_assert_int_eq(blt_close(s), 0);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, test_head_fails);
	tcase_add_test(tc, test_page_fails);
	tcase_add_test(tc, test_commit_sync_fails);
	tcase_add_test(tc, test_sync_fails);
	tcase_add_test(tc, test_source_fails);
	tcase_add_test(tc, test_removed);
	tcase_add_test(tc, test_replaced);
	tcase_add_test(tc, test_cut);
	tcase_add_test(tc, test_cut_in_between);
	tcase_add_test(tc, test_cut_within_put);
	tcase_add_test(tc, test_cut_within_commit);
	tcase_add_test(tc, test_cut_unseen);
	tcase_add_test(tc, test_dropped);
	tcase_add_test(tc, test_many_dropped);
	tcase_add_test(tc, test_only_one_dropped);
	tcase_add_test(tc, test_made);
	tcase_add_test(tc, test_made_again);
	tcase_add_test(tc, test_other_kind);
	tcase_add_test(tc, test_notes_dropped);
	tcase_add_test(tc, test_read_beside_check);
	tcase_add_test(tc, test_read_beside_waiting_writer);
	tcase_add_test(tc, test_reversed);
}

int main(void)
{
	return lmdbenv_run("lmdb-heal", add);
}
