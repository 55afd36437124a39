#include "base/counted_btree.h"
#include "lib/rnd.h"
#include "lib/suite.h"
#include "base/util.h"
#include "lib/checked.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the model: names by number, of which some are in the order ---- */

#define MAX_NAMES 1000

static struct {
	uint8_t bytes[16];
	size_t len;
	uint64_t ref; /* what it is in the order under; 0: it is not */
} names[MAX_NAMES];
static uint32_t number_of[2 * MAX_NAMES + 2];
static size_t n_names;
static int read_error;

static int read_name(void *arg, uint64_t ref, const uint8_t **ret_name,
		     size_t *ret_len)
{
	(void)arg;
	ck_assert_uint_lt(ref, ARRAY_SIZE(number_of));
	*ret_name = names[number_of[ref]].bytes;
	*ret_len = names[number_of[ref]].len;
	return read_error;
}

static const struct btree_source source = { read_name, NULL };

/* Long ones, that share their beginnings, among them; some twice. */
static void make_names(size_t n, size_t max_len, const char *alphabet)
{
	n_names = n;
	for (size_t i = 0; i < n; i++) {
		names[i].ref = 0;
		names[i].len = rnd((uint32_t)max_len + 1);
		for (size_t k = 0; k < names[i].len; k++)
			names[i].bytes[k] = (uint8_t)
				alphabet[rnd((uint32_t)strlen(alphabet))];
		number_of[2 * i + 1] = number_of[2 * i + 2] = (uint32_t)i;
	}
}

static int by_name(const void *a, const void *b)
{
	size_t x = *(const size_t *)a, y = *(const size_t *)b;
	size_t n = names[x].len < names[y].len ? names[x].len : names[y].len;
	int order = memcmp(names[x].bytes, names[y].bytes, n);

	if (order == 0)
		order = (names[x].len > names[y].len) -
			(names[x].len < names[y].len);
	return order ? order : (x > y) - (x < y);
}

static void check_all(const struct counted_btree *o)
{
	static size_t sorted[MAX_NAMES];
	static struct btree_entry e[MAX_NAMES + 1];
	uint64_t rank;
	size_t n = 0, some;

	for (size_t i = 0; i < n_names; i++)
		if (names[i].ref)
			sorted[n++] = i;
	qsort(sorted, n, sizeof(*sorted), by_name);
	ck_assert_uint_eq(btree_count(o), n);
	ck_assert_uint_eq(btree_at(o, 0, e, MAX_NAMES + 1), n);
	for (size_t i = 0; i < n; i++) {
		size_t k = sorted[i];
		struct btree_entry one;

		ck_assert_uint_eq(e[i].ref, names[k].ref);
		ck_assert_int_eq(btree_find(o, names[k].bytes, names[k].len,
					    names[k].ref, &rank),
				 1);
		ck_assert_uint_eq(rank, i);
		ck_assert_uint_eq(btree_at(o, i, &one, 1), 1);
		ck_assert_uint_eq(one.ref, names[k].ref);
		ck_assert_int_eq(
			btree_find(o, names[k].bytes, names[k].len, 0, &rank),
			0);
		ck_assert_uint_le(rank, i);
	}
	some = n / 2;
	ck_assert_uint_eq(btree_at(o, some, e, 3), n - some < 3 ? n - some : 3);
	ck_assert_uint_eq(btree_at(o, n, e, 3), 0);
}

/* The references of one name: 2i + 1 and 2i + 2. */
static void change_one(struct counted_btree *o, bool grow)
{
	size_t i = rnd((uint32_t)n_names);
	const uint8_t *name = names[i].bytes;
	size_t len = names[i].len;
	uint64_t ref = names[i].ref, other;

	if (grow && rnd(4) > 0) {
		other = ref ? ref : 2 * i + 1 + rnd(2);
		ck_assert_int_eq(btree_insert(o, name, len, other), !ref);
		names[i].ref = other;
	} else if (grow) {
		other = 2 * i + 1 + rnd(2);
		ck_assert_int_eq(btree_replace(o, name, len,
					       ref ? ref : 2 * i + 1, other),
				 ref != 0);
		if (ref)
			names[i].ref = other;
	} else {
		ck_assert_int_eq(
			btree_remove(o, name, len, ref ? ref : 2 * i + 1),
			ref != 0);
		names[i].ref = 0;
	}
}

static void run_model(size_t n, size_t max_len, const char *alphabet)
{
	struct counted_btree o;

	make_names(n, max_len, alphabet);
	btree_init(&o, &source);
	for (unsigned round = 0; round < 4; round++) {
		for (size_t i = 0; i < 2 * n; i++) {
			change_one(&o, (rnd(4) > 0) == (round % 2 == 0));
			if (i % (n / 2 + 1) == 0)
				check_all(&o);
		}
	}
	while (btree_count(&o) > 0)
		change_one(&o, false);
	ck_assert_uint_eq(btree_bytes(&o), 0);
	btree_release(&o);
}

START_TEST(test_model)
{
	run_model(12, 2, "ab");
	run_model(300, 12, "ab");
	run_model(MAX_NAMES, 16, "ab0z\x80\x01");
}
END_TEST

/* ---- shapes ---- */

static int read_number(void *arg, uint64_t ref, const uint8_t **ret_name,
		       size_t *ret_len)
{
	static _Thread_local char name[24];

	(void)arg;
	*ret_len = (size_t)sprintf(name, "%012llu", (unsigned long long)ref);
	*ret_name = (const uint8_t *)name;
	return 0;
}

static uint64_t nth(uint64_t i, uint64_t n, int way)
{
	return way == 0 ? i : way == 1 ? n - 1 - i : i * 7919 % n;
}

/* Ascending, descending and mixed up: memory for each, and all gone. */
START_TEST(test_size)
{
	static const struct btree_source numbers = { read_number, NULL };
	const uint64_t n = 17011; /* more than one node of full leaves */
	struct btree_entry e;
	struct counted_btree o;
	const uint8_t *name;
	size_t len;

	btree_init(&o, &numbers);
	for (uint64_t i = 0; i < n; i++) {
		read_number(NULL, nth(i, n, _i) + 1, &name, &len);
		ck_assert_int_eq(btree_insert(&o, name, len, nth(i, n, _i) + 1),
				 1);
	}
	ck_assert_uint_lt(btree_bytes(&o), 24 * n);
	for (uint64_t i = 0; i < n; i++) {
		ck_assert_uint_eq(btree_at(&o, i, &e, 1), 1);
		ck_assert_uint_eq(e.ref, i + 1);
	}
	for (uint64_t i = 0; i < n; i++) {
		read_number(NULL, nth(i, n, 2 - _i) + 1, &name, &len);
		ck_assert_int_eq(
			btree_remove(&o, name, len, nth(i, n, 2 - _i) + 1), 1);
		if (i > n / 2 && i % 1000 == 0)
			ck_assert_uint_lt(btree_bytes(&o),
					  64 * btree_count(&o) + 8192);
	}
	ck_assert_uint_eq(btree_bytes(&o), 0);
	btree_release(&o);
}
END_TEST

START_TEST(test_short_names)
{
	struct btree_entry e;
	struct counted_btree o;
	uint8_t name[BTREE_HEAD];
	size_t len;

	make_names(3, 0, "a");
	btree_init(&o, &source);
	ck_assert_int_eq(btree_insert(&o, "seven77", 7, 1), 1);
	ck_assert_int_eq(btree_insert(&o, "seven778", 8, 2), 1);
	ck_assert_int_eq(btree_insert(&o, "", 0, 3), 1);
	ck_assert_uint_eq(btree_at(&o, 0, &e, 1), 1);
	ck_assert(btree_short_name(&e, name, &len));
	ck_assert_uint_eq(len, 0);
	ck_assert_uint_eq(btree_at(&o, 1, &e, 1), 1);
	ck_assert(btree_short_name(&e, name, &len));
	ck_assert_uint_eq(len, 7);
	ck_assert_mem_eq(name, "seven77", 7);
	ck_assert_uint_eq(btree_at(&o, 2, &e, 1), 1);
	ck_assert(!btree_short_name(&e, name, &len));
	btree_release(&o);
}
END_TEST

/* ---- errors ---- */

static unsigned allocations_left;

static void *scarce(void *p, size_t size)
{
	if (allocations_left == 0)
		return NULL;
	allocations_left--;
	return realloc(p, size);
}

/* What cannot be put in leaves the order as it was; taking out always works. */
START_TEST(test_no_memory)
{
	struct counted_btree o;
	unsigned failed = 0;

	make_names(MAX_NAMES, 9, "abc");
	btree_init(&o, &source);
	for (unsigned round = 0; round < 10; round++) {
		btree_realloc = scarce;
		for (size_t i = 0; i < MAX_NAMES; i++) {
			size_t k = rnd(MAX_NAMES);
			int rc;

			allocations_left = rnd(2);
			if (names[k].ref && rnd(10) < round) {
				ck_assert_int_eq(btree_remove(&o,
							      names[k].bytes,
							      names[k].len,
							      names[k].ref),
						 1);
				names[k].ref = 0;
			} else if (!names[k].ref) {
				rc = btree_insert(&o, names[k].bytes,
						  names[k].len, 2 * k + 1);
				ck_assert(rc == 1 || rc == -ENOMEM);
				failed += rc < 0;
				if (rc == 1)
					names[k].ref = 2 * k + 1;
			}
		}
		btree_realloc = realloc;
		check_all(&o);
	}
	ck_assert_uint_gt(failed, 0);
	btree_release(&o);
	ck_assert_uint_eq(btree_bytes(&o), 0);
}
END_TEST

START_TEST(test_source_fails)
{
	struct counted_btree o;
	uint64_t rank = 77;

	make_names(100, 16, "a");
	btree_init(&o, &source);
	for (size_t i = 0; i < n_names; i++) {
		names[i].len = 9 + i % 7;
		names[i].ref = 2 * i + 1;
		memset(names[i].bytes, 'a', sizeof(names[i].bytes));
		ck_assert_int_eq(btree_insert(&o, names[i].bytes, names[i].len,
					      2 * i + 1),
				 1);
	}
	read_error = -EIO;
	ck_assert_int_eq(btree_insert(&o, "aaaaaaaaaab", 11, 1), -EIO);
	ck_assert_int_eq(btree_remove(&o, "aaaaaaaaaab", 11, 999), -EIO);
	ck_assert_int_eq(btree_find(&o, "aaaaaaaaaab", 11, 0, &rank), -EIO);
	ck_assert_uint_eq(rank, 77);
	read_error = 0;
	check_all(&o);
	btree_release(&o);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("order");
	TCase *tc = tcase_create("order");

	tcase_set_timeout(tc, 0);
	tcase_add_test(tc, test_model);
	tcase_add_loop_test(tc, test_size, 0, 3);
	tcase_add_test(tc, test_short_names);
	tcase_add_test(tc, test_no_memory);
	tcase_add_test(tc, test_source_fails);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
