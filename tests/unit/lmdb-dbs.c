/* The named databases of an LMDB environment, and those that are not of plain
 * keys with a value each. */
#include "lib/lmdbenv.h"
#include "lib/texts.h"
#include "base/util.h"
#include "lib/checked.h"

#include <errno.h>
#include <stdio.h>

START_TEST(test_named_databases)
{
	struct raw r = raw_open("alpha", MDB_CREATE);
	struct blt_ns *ns;
	struct blt *s;

	raw_text(&r, "x/y", "1");
	raw_close(&r);
	r = raw_open("beta", MDB_CREATE);
	raw_close(&r);
	r = raw_open(NULL, 0);
	raw_text(&r, "plain", "p");
	raw_close(&r);
	s = open_with(BLT_WRITE, NULL);
	expect(s, "alpha/x/y", "1");
	expect(s, "plain", "p");
	expect(s, "alpha", NULL);
	ns = open_ns(s);
	expect_list(ns, "", "alpha/ beta/ plain ");
	expect_list(ns, "alpha/", "x/ ");
	expect_list(ns, "alpha/x/", "y ");
	expect_list(ns, "beta/", "");
	put(s, "beta/new", "n");
	put(s, "other/new", "o");
	ck_assert_int_eq(put_rc(s, "alpha"), -EINVAL);
	ck_assert_int_eq(put_rc(s, "alpha/"), -EINVAL);
	/* as a marker it changes nothing, and does not go */
	put(s, "alpha/", "");
	expect(s, "alpha/", NULL);
	ck_assert_int_eq(blt_delete(s, "alpha/", 6), -EBUSY);
	expect_list(ns, "", "alpha/ beta/ other/ plain ");
	ck_assert_uint_eq(count_items(s, ""), 4);
	ck_assert_uint_eq(count_items(s, "beta/"), 1);
	blt_ns_free(ns);
	ck_assert_int_eq(blt_close(s), 0);
	/* one alone */
	s = open_with(BLT_READ, "beta");
	expect(s, "new", "n");
	ck_assert_uint_eq(count_items(s, ""), 1);
	ck_assert_int_eq(blt_close(s), 0);
	s = open_with(BLT_CREATE, "made");
	put(s, "k", "v");
	ck_assert_int_eq(blt_close(s), 0);
	r = raw_open("made", 0);
	raw_expect(&r, "k", 1, "v");
	raw_close(&r);
}
END_TEST

START_TEST(test_integer_keys)
{
	const unsigned int small[] = { 0, 7, 300, 4294967295u };
	struct raw r = raw_open("small", MDB_CREATE | MDB_INTEGERKEY);
	size_t large = (size_t)1 << 40;
	struct blt_ns *ns;
	struct blt *s;

	for (size_t i = 0; i < ARRAY_SIZE(small); i++)
		raw_put(&r, &small[i], sizeof(small[i]), "v");
	raw_close(&r);
	r = raw_open("large", MDB_CREATE | MDB_INTEGERKEY);
	raw_put(&r, &large, sizeof(large), "v");
	raw_close(&r);
	s = open_with(BLT_WRITE, NULL);
	ns = open_ns(s);
	expect_list(ns, "small/", "0 7 300 4294967295 ");
	expect_list(ns, "large/", "1099511627776 ");
	expect(s, "small/300", "v");
	expect(s, "small/0300", NULL);
	expect(s, "small/8", NULL);
	ck_assert_int_eq(put_rc(s, "small/4294967296"), -EINVAL);
	ck_assert_int_eq(put_rc(s, "small/-1"), -EINVAL);
	ck_assert_int_eq(put_rc(s, "small/007"), -EINVAL);
	ck_assert_int_eq(put_rc(s, "large/18446744073709551616"), -EINVAL);
	put(s, "small/9", "nine");
	put(s, "large/9", "nine");
	expect_list(ns, "small/", "0 7 9 300 4294967295 ");
	ck_assert_uint_eq(count_items(s, ""), 7);
	blt_ns_free(ns);
	ck_assert_int_eq(blt_close(s), 0);
	r = raw_open("large", MDB_INTEGERKEY);
	large = 9;
	raw_expect(&r, &large, sizeof(large), "nine");
	raw_close(&r);
}
END_TEST

START_TEST(test_several_values)
{
	struct raw r = raw_open("dups", MDB_CREATE | MDB_DUPSORT);
	const unsigned int n = 7;
	struct blt_check_result result;
	struct blt_ns *ns;
	struct blt *s;

	raw_text(&r, "a", "one");
	raw_text(&r, "a", "two");
	raw_text(&r, "a!", "between");
	raw_text(&r, "a/0", "below");
	raw_text(&r, "a/x/y", "deep");
	raw_text(&r, "b", "");
	raw_close(&r);
	r = raw_open("numbers", MDB_CREATE | MDB_DUPSORT | MDB_INTEGERKEY);
	raw_put(&r, &n, sizeof(n), "u");
	raw_put(&r, &n, sizeof(n), "v");
	raw_close(&r);
	ck_assert_int_eq(try_open(BLT_WRITE, NULL, "dups"), -EROFS);
	s = open_with(BLT_WRITE, NULL);
	ns = open_ns(s);
	expect_list(ns, "", "dups/ numbers/ ");
	expect_list(ns, "dups/", "a/ a!/ b/ ");
	expect_list(ns, "dups/a/", "0% 1 0/ x/ ");
	expect_list(ns, "dups/a/0/", "0 ");
	expect_list(ns, "dups/a/x/", "y/ ");
	expect_list(ns, "dups/a!/", "0 ");
	expect_list(ns, "numbers/", "7/ ");
	expect_list(ns, "numbers/7/", "0 1 ");
	expect(s, "dups/a/0", "one");
	expect(s, "dups/a/1", "two");
	expect(s, "dups/a/2", NULL);
	expect(s, "dups/a/01", NULL);
	expect(s, "dups/a", NULL);
	expect(s, "dups/a/0/0", "below");
	expect(s, "dups/b/0", "");
	expect(s, "numbers/7/1", "v");
	expect(s, "numbers/8/0", NULL);
	ck_assert_int_eq(put_rc(s, "dups/a/0"), -EROFS);
	ck_assert_int_eq(put_rc(s, "dups/new"), -EROFS);
	ck_assert_int_eq(blt_delete(s, "dups/a/0", 8), -EROFS);
	ck_assert_uint_eq(count_items(s, ""), 8);
	ck_assert_uint_eq(count_items(s, "dups/a/"), 4);
	ck_assert_int_eq(blt_check(s, NULL, NULL, NULL, &result), 0);
	ck_assert_uint_eq(result.faults, 0);
	blt_ns_free(ns);
	ck_assert_int_eq(blt_close(s), 0);
}
END_TEST

/* A walk goes on within a key, too. */
START_TEST(test_many_values)
{
	struct raw r = raw_open("dups", MDB_CREATE | MDB_DUPSORT);
	char value[32];
	struct blt *s;

	for (int i = 0; i < 5000; i++) {
		sprintf(value, "%05d", i);
		raw_text(&r, i < 3000 ? "one" : "two", value);
	}
	raw_close(&r);
	s = open_with(BLT_READ, "dups");
	ck_assert_uint_eq(count_items(s, ""), 5000);
	expect(s, "one/2999", "02999");
	expect(s, "two/1999", "04999");
	ck_assert_int_eq(blt_close(s), 0);
}
END_TEST

START_TEST(test_what_is_not_supported)
{
	struct raw r = raw_open("back", MDB_CREATE | MDB_REVERSEKEY);

	raw_close(&r);
	ck_assert_int_eq(try_open(BLT_READ, NULL, "back"), -ENOTSUP);
	/* left out of the whole (unit/lmdb-dbs-others) */
	ck_assert_int_eq(try_open(BLT_READ, NULL, NULL), 0);
	r = raw_open("plain", MDB_CREATE);
	raw_close(&r);
	ck_assert_int_eq(try_open(BLT_WRITE, NULL, "plain"), 0);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, test_named_databases);
	tcase_add_test(tc, test_integer_keys);
	tcase_add_test(tc, test_several_values);
	tcase_add_test(tc, test_many_values);
	tcase_add_test(tc, test_what_is_not_supported);
}

int main(void)
{
	return lmdbenv_run("lmdb-dbs", add);
}
