/* Databases of an LMDB environment that other processes make and drop while it
 * is open. */
#include "lib/lmdbenv.h"
#include "engine/backend.h"
#include "lib/checked.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define HANGS 60 /* seconds; a test ends then */

#define SHOWN __attribute__((visibility("default")))

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
	expect_get(s, "one/key", -ENOENT);
	expect_get(s, "two/y", -ENOENT);
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
	expect_get(s, "db00/key", -ENOENT);
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
	expect_get(s, "key", 0);
	other_process("one", 0, drop);
	ck_assert_int_eq(put_rc(s, "y"), -ENOENT);
	expect_get(s, "key", -ENOENT);
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
	expect_get(s, "made/key", 0);
	expect_get(s, "made", -ENOENT);
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
	expect_get(s, "one/key", 0);
	other_process("two", MDB_CREATE, put_key);
	begins_left = 2;
	ck_assert_int_eq(put_rc(s, "new/x"), 0);
	ck_assert_int_eq(begins_left, 0);
	expect_get(s, "new/key", 0);
	expect_get(s, "two/key", 0);
	ck_assert_int_eq(blt_close(s), 0);
	s = open_with(BLT_READ, NULL);
	expect_get(s, "new/x", 0);
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
	expect_get(w.store, "one/key", 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, check, &w), 0);
	while (!atomic_load(&w.inside))
		sched_yield();
	alarm(HANGS);
	other_process("new", MDB_CREATE, put_key);
	expect_get(w.store, "one/key", 0);
	other_process("one", 0, drop);
	expect_get(w.store, "one/key", -ENOENT);
	atomic_store(&w.answered, true);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	alarm(0);
	expect_get(w.store, "new/key", 0);
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
	expect_get(w.store, "one/key", 0);
	ck_assert_int_eq(write(to[1], "", 1), 1);
	ck_assert_int_eq(read(from[0], &c, 1), 1);
	ck_assert_int_eq(pthread_create(&thread, NULL, put_x, &w), 0);
	while (!atomic_load(&w.tid) || !sleeps(w.tid))
		sched_yield();
	alarm(HANGS);
	expect_get(w.store, "one/key", 0);
	ck_assert_int_eq(write(to[1], "", 1), 1);
	expect_end(pid);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	alarm(0);
	expect_get(w.store, "new/key", 0);
	ck_assert_int_eq(blt_close(w.store), 0);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(close(to[i]) | close(from[i]), 0);
}
END_TEST

/* ---- the database of the notes ---- */

static int add_note(void *arg, const struct backend_note *note)
{
	strncat(arg, (const char *)note->name, note->name_len);
	return 0;
}

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

/* ---- what is not shown ---- */

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
	expect_get(s, "back", -ENOENT);
	expect_get(s, "back/key", -ENOENT);
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
	tcase_add_test(tc, test_dropped);
	tcase_add_test(tc, test_many_dropped);
	tcase_add_test(tc, test_only_one_dropped);
	tcase_add_test(tc, test_made);
	tcase_add_test(tc, test_made_again);
	tcase_add_test(tc, test_read_beside_check);
	tcase_add_test(tc, test_read_beside_waiting_writer);
	tcase_add_test(tc, test_notes_dropped);
	tcase_add_test(tc, test_reversed);
}

int main(void)
{
	return lmdbenv_run("lmdb-dbs-others", add);
}
