/* Transactions of the library against a plain store that takes the same
 * changes: keys, and namespaces. */
#include "lib/txnstore.h"
#include "lib/rnd.h"
#include "lib/rounds.h"
#include "lib/checked.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static void add(TCase *tc)
{
	tcase_add_test(tc, test_model);
	tcase_add_test(tc, test_flat);
}

int main(void)
{
	return txnstore_run("txn-model", add);
}
