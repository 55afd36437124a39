/* Transactions of the library, against a map in memory: what is seen inside,
 * that nothing is outside before the commit, conflicts, and namespaces that
 * show the same as one over a plain store of the same keys. */
#include "blt.h"
#include "rnd.h"
#include "rounds.h"

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *engine;

static void with_booklet(void)
{
	engine = "booklet";
}

#ifdef HAVE_LMDB
static void with_lmdb(void)
{
	engine = "lmdb";
}
#endif

static struct blt *open_new(const char *path)
{
	struct blt_open_options how = { .mode = BLT_TRUNCATE,
					.engine = engine };
	struct blt_error err;
	struct blt *store;

	how.create.n_buckets = 101;
	if (blt_open(path, &how, &store, &err) < 0)
		ck_abort_msg("%s", err.text);
	return store;
}

static void close_store(struct blt *store)
{
	char *path = strdup(blt_path(store)), command[256];

	ck_assert_int_eq(blt_close(store), 0);
	snprintf(command, sizeof(command), "rm -rf %s %s-lock", path, path);
	ck_assert_int_eq(system(command), 0);
	free(path);
}

static struct blt *begin(struct blt *store)
{
	struct blt *txn;

	ck_assert_int_eq(blt_txn_begin(store, ".", &txn), 0);
	return txn;
}

static void put(struct blt *store, const char *key, const char *value)
{
	ck_assert_int_eq(
		blt_put(store, key, strlen(key), value, strlen(value), BLT_NOW),
		0);
}

/* value NULL: not there. */
static void expect(struct blt *store, const char *key, const char *value)
{
	struct blt_view v;
	int rc = blt_get(store, key, strlen(key), &v);

	ck_assert_int_eq(rc, value ? 0 : -ENOENT);
	if (rc < 0)
		return;
	ck_assert_uint_eq(v.len, strlen(value));
	ck_assert_mem_eq(v.data, value, v.len);
	blt_view_release(&v);
}

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

/* ---- the same as a plain store shows ---- */

#define NAMES 10

static size_t some_key(char *to)
{
	unsigned depth = rnd(4);
	size_t len = 0;

	for (unsigned i = 0; i <= depth; i++) {
		uint32_t name = rnd(NAMES);

		if (i > 0)
			to[len++] = '/';
		if (name == 0 && i == depth && i > 0)
			break; /* a marker, or a file of an empty name */
		if (name == 1) {
			memset(to + len, 'l', 300);
			len += 300;
		} else {
			to[len++] = (char)('a' + name);
		}
	}
	return len;
}

static size_t some_value(const char *key, size_t len, char *to)
{
	size_t n = rnd(20);

	if (key[len - 1] == '/' && rnd(3))
		n = 0;
	memset(to, 'a' + (int)rnd(26), n);
	return n;
}

struct listed {
	char *text;
	size_t len;
};

static int add_line(void *arg, const struct blt_ns_entry *e)
{
	struct listed *l = arg;
	char *line;
	int n = asprintf(
		&line, "%s %d %llu\n", e->name, e->kind,
		(unsigned long long)(e->kind == BLT_FILE ? e->stat.len : 0));

	ck_assert_int_gt(n, 0);
	l->text = realloc(l->text, l->len + (size_t)n + 1);
	memcpy(l->text + l->len, line, (size_t)n + 1);
	l->len += (size_t)n;
	free(line);
	return 0;
}

struct subdirs {
	uint8_t *prefix[64];
	size_t len[64];
	size_t n;
};

static int add_subdir(void *arg, const struct blt_ns_entry *e)
{
	struct subdirs *s = arg;

	if (e->kind == BLT_DIR) {
		ck_assert_uint_lt(s->n, 64);
		s->prefix[s->n] = malloc(e->key_len);
		memcpy(s->prefix[s->n], e->key, e->key_len);
		s->len[s->n++] = e->key_len;
	}
	return 0;
}

static uint64_t count_lines(const char *text)
{
	uint64_t n = 0;

	for (; text && *text; text++)
		n += *text == '\n';
	return n;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The lines in order: LMDB lists in another one. */
static char *sorted(struct listed *l)
{
	char **line = calloc(l->len + 1, sizeof(*line)), *rest = l->text, *one;
	char *to = calloc(1, l->len + 1);
	size_t n = 0;

	while ((one = rest ? strtok_r(rest, "\n", &rest) : NULL))
		line[n++] = one;
	qsort(line, n, sizeof(*line), by_text);
	for (size_t i = 0; i < n; i++)
		strcat(strcat(to, line[i]), "\n");
	free(line);
	free(l->text);
	return to;
}

static void compare_dir(struct blt_ns *one, struct blt_ns *two,
			const uint8_t *prefix, size_t len)
{
	struct listed a = { 0 }, b = { 0 };
	struct blt_dir_facts f = { 0 }, g = { 0 };
	struct subdirs sub = { .n = 0 };
	int rc = blt_ns_list(one, prefix, len, 0, add_line, &a);

	ck_assert_int_eq(blt_ns_list(two, prefix, len, 0, add_line, &b), rc);
	a.text = sorted(&a);
	b.text = sorted(&b);
	ck_assert_str_eq(a.text, b.text);
	ck_assert_int_eq(blt_ns_dir(one, prefix, len, &f),
			 blt_ns_dir(two, prefix, len, &g));
	ck_assert_int_eq(f.marked, g.marked);
	ck_assert_uint_le(f.entries, count_lines(a.text));
	ck_assert_int_eq(f.entries > 1, g.entries > 1);
	ck_assert_int_eq(f.entries > 0, g.entries > 0);
	free(a.text);
	free(b.text);
	blt_ns_list(one, prefix, len, 0, add_subdir, &sub);
	for (size_t i = 0; i < sub.n; i++) {
		compare_dir(one, two, sub.prefix[i], sub.len[i]);
		free(sub.prefix[i]);
	}
}

static void compare_key(struct blt *one, struct blt *two, const char *key,
			size_t len)
{
	struct blt_view a, b;
	int rc = blt_get(one, key, len, &a);

	ck_assert_int_eq(blt_get(two, key, len, &b), rc);
	if (rc < 0)
		return;
	ck_assert_uint_eq(a.len, b.len);
	ck_assert_mem_eq(a.data, b.data, a.len);
	ck_assert_int_eq(a.timestamp, b.timestamp);
	blt_view_release(&a);
	blt_view_release(&b);
}

static void compare_names(struct blt_ns *one, struct blt_ns *two,
			  const char *key, size_t len)
{
	struct blt_node a, b;
	char *p, *q;
	int rc;

	ck_assert_int_eq(blt_ns_path(one, key, len, &p), 0);
	ck_assert_int_eq(blt_ns_path(two, key, len, &q), 0);
	ck_assert_str_eq(p, q);
	rc = blt_ns_resolve(one, p, &a);
	ck_assert_int_eq(blt_ns_resolve(two, p, &b), rc);
	if (rc == 0) {
		ck_assert_int_eq(a.kind, b.kind);
		ck_assert_uint_eq(a.hash, b.hash);
		free(a.key);
		free(b.key);
	}
	free(p);
	free(q);
}

/* The same change to both: a transaction and a plain store. */
static void change(struct blt *one, struct blt *two, bool single)
{
	char key[2000], to[2000], value[32];
	size_t len = some_key(key), to_len = some_key(to);
	size_t n = some_value(key, len, value);
	int64_t time = 1 + (int64_t)rnd(1000000);
	struct blt *store[] = { one, two };
	struct blt_batch *b[2];
	uint32_t what = rnd(single ? 5 : 8);
	int rc[2];

	for (int i = 0; i < 2; i++) {
		struct blt *s = store[i];

		if (what < 2) {
			rc[i] = blt_put(s, key, len, value, n, time);
		} else if (what < 4) {
			rc[i] = blt_delete(s, key, len);
		} else if (what == 4) {
			rc[i] = blt_touch(s, key, len, time);
		} else {
			ck_assert_int_eq(blt_batch_new(s, &b[i]), 0);
			if (what == 5)
				blt_batch_exchange(b[i], key, len, to, to_len);
			else
				blt_batch_rename(b[i], key, len, to, to_len);
			if (what == 7)
				blt_batch_put(b[i], key, len, value, n, time);
			rc[i] = blt_batch_commit(b[i]);
		}
	}
	ck_assert_int_eq(rc[0], rc[1]);
}

static void compare_all(struct blt *one, struct blt *two, struct blt_ns *a,
			struct blt_ns *b)
{
	char key[2000];

	for (int i = 0; i < 200; i++) {
		size_t len = some_key(key);

		compare_key(one, two, key, len);
		compare_names(a, b, key, len);
	}
	compare_dir(a, b, NULL, 0);
}

static struct blt_ns *open_ns(struct blt *store, bool flat)
{
	const struct blt_ns_options how = { .flat = flat };
	struct blt_ns *ns;

	ck_assert_int_eq(blt_ns_new(store, &how, &ns), 0);
	return ns;
}

/* A model of the same keys takes the same changes; now and then everything is
 * removed, as rm -r would. */
static void run_model(bool flat)
{
	struct blt *store = open_new("txn-model.blt");
	struct blt *model = open_new("txn-model2.blt"), *txn;
	struct blt_ns *store_ns = open_ns(store, flat);
	struct blt_ns *model_ns = open_ns(model, flat), *ns;

	for (unsigned round = 0; round < rounds_of(6); round++) {
		uint32_t n = rnd(300);

		txn = begin(store);
		ns = open_ns(txn, flat);
		for (uint32_t i = 0; i < n; i++)
			change(txn, model, round % 3 == 0);
		for (uint32_t i = 0; i < 5000 && round % 4 == 3; i++) {
			char key[2000];
			size_t len = some_key(key);

			ck_assert_int_eq(blt_delete(txn, key, len),
					 blt_delete(model, key, len));
		}
		compare_all(txn, model, ns, model_ns);
		ck_assert_int_eq(blt_txn_commit(txn, NULL), 0);
		blt_ns_free(ns);
		blt_close(txn);
		compare_all(store, model, store_ns, model_ns);
	}
	blt_ns_free(store_ns);
	blt_ns_free(model_ns);
	close_store(store);
	close_store(model);
}

START_TEST(test_model)
{
	run_model(false);
}
END_TEST

START_TEST(test_flat)
{
	run_model(true);
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

static TCase *all(const char *name, SFun setup)
{
	TCase *tc = tcase_create(name);

	tcase_set_timeout(tc, 0);
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, test_apart);
	tcase_add_test(tc, test_conflicts);
	tcase_add_test(tc, test_pruned);
	tcase_add_loop_test(tc, test_phantoms, 0,
			    sizeof(phantoms) / sizeof(*phantoms));
	tcase_add_test(tc, test_renamed);
	tcase_add_test(tc, test_model);
	tcase_add_test(tc, test_flat);
	tcase_add_test(tc, test_long_list);
	tcase_add_test(tc, test_large);
	tcase_add_test(tc, test_threads);
	return tc;
}

int main(void)
{
	Suite *s = suite_create("txn");
	SRunner *r;
	int failed;

	suite_add_tcase(s, all("booklet", with_booklet));
#ifdef HAVE_LMDB
	suite_add_tcase(s, all("lmdb", with_lmdb));
#endif
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
