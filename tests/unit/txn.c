/* Transactions of the library: what is seen inside, that nothing is outside
 * before the commit, and conflicts. */
#include "lib/texts.h"
#include "lib/txnstore.h"
#include "lib/checked.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

START_TEST(test_apart)
{
	struct blt *store = open_new("txn-apart.blt"), *txn;
	struct blt_txn_info info;

	put(store, "a", "1");
	put(store, "b", "2");
	txn = begin(store);
	put(txn, "a", "one");
	put(txn, "c", "three");
	ck_assert_int_eq(blt_delete(txn, "b", 1), 0);
	ck_assert_int_eq(blt_delete(txn, "b", 1), -ENOENT);
	expect(txn, "a", "one");
	expect(txn, "b", NULL);
	expect(txn, "c", "three");
	expect(store, "a", "1");
	expect(store, "b", "2");
	expect(store, "c", NULL);
	blt_txn_get_info(txn, &info);
	ck_assert_uint_eq(info.changed, 3);
	ck_assert_int_eq(blt_txn_commit(txn, NULL), 0);
	expect(store, "a", "one");
	expect(store, "b", NULL);
	expect(store, "c", "three");
	ck_assert_int_eq(blt_put(txn, "d", 1, "", 0, BLT_NOW), -ESTALE);
	ck_assert_int_eq(blt_txn_commit(txn, NULL), -ESTALE);
	blt_close(txn);

	txn = begin(store);
	put(txn, "a", "dropped");
	blt_close(txn);
	expect(store, "a", "one");
	close_store(store);
}
END_TEST

START_TEST(test_ended)
{
	struct blt *store = open_new("txn-ended.blt"), *txn;
	struct blt_node node;
	struct blt_stat st;
	struct blt_ns *ns;

	put(store, "d/", "");
	put(store, "d/a", "1");
	txn = begin(store);
	ck_assert_int_eq(blt_ns_new(txn, NULL, &ns), 0);
	ck_assert_int_eq(blt_stat_key(txn, "d/", 2, &st), 0);
	ck_assert_int_eq(blt_ns_lookup(ns, "", 0, "d", 1, &node), 0);
	free(node.key);
	ck_assert_int_eq(blt_txn_commit(txn, NULL), 0);
	ck_assert_int_eq(blt_stat_key(txn, "d/", 2, &st), -ESTALE);
	ck_assert_int_eq(blt_ns_lookup(ns, "", 0, "d", 1, &node), -ESTALE);
	blt_ns_free(ns);
	blt_close(txn);
	close_store(store);
}
END_TEST

START_TEST(test_conflicts)
{
	const struct blt_txn_options force = { .force = true };
	struct blt *store = open_new("txn-conflict.blt"), *txn, *other;
	uint8_t *key;
	size_t len;

	put(store, "read", "1");
	put(store, "unread", "1");
	txn = begin(store);
	expect(txn, "read", "1");
	expect(txn, "missing", NULL);
	put(txn, "written", "x");
	put(store, "unread", "2");
	/* what the transaction has not read is no conflict */
	other = begin(store);
	ck_assert_int_eq(blt_txn_commit(other, NULL), 0);
	blt_close(other);
	put(store, "read", "2");
	put(store, "missing", "2");
	put(store, "missing", "3");
	ck_assert_int_eq(blt_txn_commit(txn, NULL), -EAGAIN);
	expect(store, "written", NULL);
	ck_assert_int_eq(blt_txn_conflict(txn, 0, &key, &len), 0);
	ck_assert_uint_eq(len, 4);
	ck_assert_mem_eq(key, "read", 4);
	free(key);
	ck_assert_int_eq(blt_txn_conflict(txn, 1, &key, &len), 0);
	ck_assert_mem_eq(key, "missing", 7);
	free(key);
	ck_assert_int_eq(blt_txn_conflict(txn, 2, &key, &len), -ENOENT);
	ck_assert_int_eq(blt_txn_commit(txn, &force), 0);
	expect(store, "written", "x");
	blt_close(txn);

	close_store(store);
}
END_TEST

/* It moves blocks, and changes nothing; an environment of LMDB's is another one
 * behind it. */
START_TEST(test_pruned)
{
	struct blt *store = open_new("txn-pruned.blt"), *txn;
	bool same = strcmp(engine, "lmdb") != 0;

	for (int i = 0; i < 200; i++) {
		put(store, "moved", "0123456789");
		put(store, "read", "0123456789");
	}
	txn = begin(store);
	expect(txn, "read", "0123456789");
	expect(txn, "moved", "0123456789");
	ck_assert_int_eq(
		blt_prune(store, &(struct blt_prune_options){ 0 }, NULL), 0);
	put(txn, "read", "x");
	ck_assert_int_eq(blt_txn_commit(txn, NULL), same ? 0 : -EAGAIN);
	blt_close(txn);
	close_store(store);
}
END_TEST

/* Whether this process has a transaction's file open in that directory. */
static bool has_open(const char *directory)
{
	DIR *fds = opendir("/proc/self/fd");
	char target[4096], begins[4096];
	const struct dirent *e;
	bool has = false;

	ck_assert_ptr_nonnull(fds);
	ck_assert_ptr_nonnull(realpath(directory, begins));
	strcat(begins, "/.bltfs-txn-");
	while ((e = readdir(fds))) {
		ssize_t n = readlinkat(dirfd(fds), e->d_name, target,
				       sizeof(target) - 1);

		if (n < 0)
			continue;
		target[n] = '\0';
		has = has || strncmp(target, begins, strlen(begins)) == 0;
	}
	closedir(fds);
	return has;
}

/* Where what is put goes; and what only a store itself can do. */
START_TEST(test_where)
{
	struct blt_prune_result pruned = { .moved = 1 };
	struct blt *store = open_new("txn-where.blt"), *txn;

	ck_assert_int_eq(setenv("TMPDIR", "", 1), 0);
	ck_assert_int_eq(blt_txn_begin(store, NULL, &txn), 0);
	ck_assert(has_open("/var/tmp"));
	ck_assert_int_eq(blt_prune(txn, NULL, &pruned), -ENOTSUP);
	ck_assert_uint_eq(pruned.moved, 0);
	blt_close(txn);
	ck_assert_int_eq(setenv("TMPDIR", ".", 1), 0);
	ck_assert_int_eq(blt_txn_begin(store, NULL, &txn), 0);
	ck_assert(!has_open("/var/tmp"));
	blt_close(txn);
	ck_assert_int_eq(unsetenv("TMPDIR"), 0);
	close_store(store);
}
END_TEST

static int nothing(void *arg, const struct blt_ns_entry *e)
{
	(void)arg;
	(void)e;
	return 0;
}

static void list(struct blt_ns *ns, const char *prefix)
{
	ck_assert_int_eq(
		blt_ns_list(ns, prefix, strlen(prefix), 0, nothing, NULL), 0);
}

/* What a transaction did, what others do, and whether that is a conflict. */
static const struct phantom {
	const char *list, *empty, *look_up;
	const char *put, *del;
	const char *key; /* that is in conflict, or NULL */
} phantoms[] = {
	{ .list = "d/", .put = "d/new", .key = "d/new" },
	{ .list = "d/", .put = "d/old" },
	{ .list = "d/", .put = "other" },
	{ .list = "d/", .put = "d/e/new" },
	{ .list = "d/", .put = "d/f/new", .key = "d/f/new" },
	{ .list = "d/", .put = "d/f/g/new", .key = "d/f/g/new" },
	{ .list = "d/", .put = "d/f/", .key = "d/f/" },
	{ .list = "d/", .put = "d/e/" },
	{ .list = "d/", .put = "d/" },
	{ .list = "d/", .del = "d/old", .key = "d/old" },
	{ .list = "d/", .del = "d/e/old" },
	{ .list = "d/", .del = "d/empty/", .key = "d/empty/" },
	{ .list = "d/empty/", .del = "d/empty/", .key = "d/empty/" },
	{ .list = "", .put = "new", .key = "new" },
	{ .list = "", .put = "d/new" },
	{ .list = "", .put = "n/new", .key = "n/new" },
	{ .empty = "d/empty/", .put = "d/empty/new", .key = "d/empty/new" },
	{ .empty = "d/e/", .put = "d/e/new" },
	{ .look_up = "n", .put = "n/m/new", .key = "n/m/new" },
	{ .look_up = "d", .put = "d/new" },
	{ .look_up = "d/old", .put = "d/old", .key = "d/old" },
};

START_TEST(test_phantoms)
{
	const struct phantom *p = &phantoms[_i];
	static const char *const keys[] = { "d/old", "d/e/old", "other" };
	const struct blt_ns_options plain = { 0 };
	struct blt *store = open_new("txn-phantom.blt"), *txn;
	struct blt_ns *ns, *outside;
	struct blt_dir_facts facts;
	struct blt_node node;
	uint8_t *key = NULL;
	size_t len;

	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		put(store, keys[i], "1");
	put(store, "d/empty/", "");
	ck_assert_int_eq(blt_ns_new(store, &plain, &outside), 0);
	txn = begin(store);
	ck_assert_int_eq(blt_ns_new(txn, &plain, &ns), 0);
	if (p->list)
		list(ns, p->list);
	if (p->empty)
		ck_assert_int_eq(
			blt_ns_dir(ns, p->empty, strlen(p->empty), &facts), 0);
	if (p->look_up && blt_ns_resolve(ns, p->look_up, &node) == 0)
		free(node.key);
	if (p->put)
		put(store, p->put,
		    p->put[strlen(p->put) - 1] == '/' ? "" : "2");
	if (p->del)
		ck_assert_int_eq(blt_delete(store, p->del, strlen(p->del)), 0);
	ck_assert_int_eq(blt_txn_commit(txn, NULL), p->key ? -EAGAIN : 0);
	if (p->key) {
		ck_assert_int_eq(blt_txn_conflict(txn, 0, &key, &len), 0);
		ck_assert_uint_eq(len, strlen(p->key));
		ck_assert_mem_eq(key, p->key, len);
	}
	free(key);
	blt_ns_free(ns);
	blt_close(txn);
	blt_ns_free(outside);
	close_store(store);
}
END_TEST

/* A long value that gets another key may stay where it is. */
START_TEST(test_renamed)
{
	struct blt *store = open_new("txn-renamed.blt"), *txn;
	size_t len = (size_t)4 << 20, key_len;
	char *value = calloc(1, len);
	struct blt_batch *b;
	uint8_t *key;

	ck_assert_int_eq(blt_put(store, "long", 4, value, len, BLT_NOW), 0);
	ck_assert_int_eq(blt_sync(store), 0);
	txn = begin(store);
	expect(txn, "longer", NULL);
	ck_assert_int_eq(blt_prepare_rename(store, "long", 4), 0);
	ck_assert_int_eq(blt_batch_new(store, &b), 0);
	ck_assert_int_eq(blt_batch_rename(b, "long", 4, "longer", 6), 0);
	ck_assert_int_eq(blt_batch_commit(b), 0);
	ck_assert_int_eq(blt_txn_commit(txn, NULL), -EAGAIN);
	ck_assert_int_eq(blt_txn_conflict(txn, 0, &key, &key_len), 0);
	ck_assert_uint_eq(key_len, 6);
	ck_assert_int_eq(memcmp(key, "longer", 6), 0);
	free(key);
	free(value);
	blt_close(txn);
	close_store(store);
}
END_TEST

/* More entries than a listing takes at once, from both, with resumptions. */
static int count_some(void *arg, const struct blt_ns_entry *e)
{
	uint64_t *left = arg;

	if (left[0] == 0)
		return 1;
	left[0]--;
	left[1] = e->cookie;
	left[2]++;
	return 0;
}

START_TEST(test_long_list)
{
	struct blt *store = open_new("txn-list.blt"), *txn;
	uint64_t state[3] = { 0 }, before;
	struct blt_ns *ns;
	char key[32];

	for (int i = 0; i < 3000; i++) {
		snprintf(key, sizeof(key), "d/%d", i);
		put(store, key, "x");
	}
	txn = begin(store);
	ns = open_ns(txn, false);
	for (int i = 0; i < 3000; i += 2) {
		snprintf(key, sizeof(key), "d/%d", i);
		ck_assert_int_eq(blt_delete(txn, key, strlen(key)), 0);
		snprintf(key, sizeof(key), "d/%d", i + 1);
		put(txn, key, "y");
		snprintf(key, sizeof(key), "d/new%d", i);
		put(txn, key, "z");
	}
	do {
		before = state[2];
		state[0] = 7;
		ck_assert_int_eq(
			blt_ns_list(ns, "d/", 2, state[1], count_some, state),
			0);
	} while (state[2] > before);
	ck_assert_uint_eq(state[2], 3000);
	blt_ns_free(ns);
	blt_close(txn);
	close_store(store);
}
END_TEST

/* ---- many at once ---- */

#define ACCOUNTS 6
#define START 100
#define TRANSFERS 60

static int read_account(struct blt *store, int i)
{
	char key[16];
	struct blt_view v;
	int n;

	snprintf(key, sizeof(key), "a/%d", i);
	ck_assert_int_eq(blt_get(store, key, strlen(key), &v), 0);
	ck_assert_uint_eq(v.len, sizeof(n));
	memcpy(&n, v.data, sizeof(n));
	blt_view_release(&v);
	return n;
}

static void write_account(struct blt *store, int i, int n)
{
	char key[16];

	snprintf(key, sizeof(key), "a/%d", i);
	ck_assert_int_eq(
		blt_put(store, key, strlen(key), &n, sizeof(n), BLT_NOW), 0);
}

/* Moves one from an account to the next, again until nobody was in between. */
static void *transfer(void *arg)
{
	struct blt *store = arg;

	for (int i = 0; i < TRANSFERS; i++) {
		int from = i % ACCOUNTS, to = (i + 1) % ACCOUNTS, rc;

		do {
			struct blt *txn = begin(store);

			write_account(txn, from, read_account(txn, from) - 1);
			write_account(txn, to, read_account(txn, to) + 1);
			rc = blt_txn_commit(txn, NULL);
			ck_assert(rc == 0 || rc == -EAGAIN);
			blt_close(txn);
		} while (rc < 0);
	}
	return NULL;
}

static void *add_up(void *arg)
{
	struct blt *store = arg;

	for (int i = 0; i < TRANSFERS; i++) {
		struct blt *txn = begin(store);
		int sum = 0;

		for (int k = 0; k < ACCOUNTS; k++)
			sum += read_account(txn, k);
		if (blt_txn_commit(txn, NULL) == 0)
			ck_assert_int_eq(sum, ACCOUNTS * START);
		blt_close(txn);
	}
	return NULL;
}

START_TEST(test_threads)
{
	struct blt *store = open_new("txn-threads.blt");
	pthread_t thread[3];
	int sum = 0;

	for (int i = 0; i < ACCOUNTS; i++)
		write_account(store, i, START);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(pthread_create(&thread[i], NULL,
						i < 2 ? transfer : add_up,
						store),
				 0);
	for (int i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	for (int i = 0; i < ACCOUNTS; i++)
		sum += read_account(store, i);
	ck_assert_int_eq(sum, ACCOUNTS * START);
	close_store(store);
}
END_TEST

static void note_key(void *arg, const void *key, size_t len)
{
	(void)key;
	*(size_t *)arg += len;
}

START_TEST(test_large)
{
	struct blt *store = open_new("txn-large.blt"), *txn = begin(store);
	size_t told = 0, len = (size_t)5 << 20;
	const struct blt_txn_options opts = { .changed = note_key,
					      .arg = &told };
	char *value = malloc(len), key[8];
	struct blt_view v;

	for (int i = 0; i < 6; i++) {
		memset(value, 'a' + i, len);
		snprintf(key, sizeof(key), "k%d", i);
		ck_assert_int_eq(blt_put(txn, key, 2, value, len, BLT_NOW), 0);
	}
	ck_assert_int_eq(blt_delete(txn, "k5", 2), 0);
	ck_assert_int_eq(blt_txn_commit(txn, &opts), 0);
	ck_assert_uint_eq(told, 5 * 2);
	blt_close(txn);
	for (int i = 0; i < 5; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		memset(value, 'a' + i, len);
		ck_assert_int_eq(blt_get(store, key, 2, &v), 0);
		ck_assert_uint_eq(v.len, len);
		ck_assert_mem_eq(v.data, value, len);
		blt_view_release(&v);
	}
	expect(store, "k5", NULL);
	free(value);
	close_store(store);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, test_apart);
	tcase_add_test(tc, test_ended);
	tcase_add_test(tc, test_conflicts);
	tcase_add_test(tc, test_pruned);
	tcase_add_test(tc, test_where);
	tcase_add_loop_test(tc, test_phantoms, 0,
			    sizeof(phantoms) / sizeof(*phantoms));
	tcase_add_test(tc, test_renamed);
	tcase_add_test(tc, test_long_list);
	tcase_add_test(tc, test_large);
	tcase_add_test(tc, test_threads);
}

int main(void)
{
	return txnstore_run("txn", add);
}
