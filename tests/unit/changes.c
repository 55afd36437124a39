#include "booklet/log/dirty_table.h"
#include "lib/suite.h"
#include "lib/checked.h"

#include <stdlib.h>

START_TEST(test_set_and_get)
{
	struct dirty_table c = DIRTY_TABLE_INIT;
	uint64_t v = 7;

	ck_assert(!dirty_get(&c, 1, &v));
	ck_assert_uint_eq(v, 7);
	ck_assert_int_eq(dirty_set(&c, 1, 10, 6), 0);
	ck_assert_int_eq(dirty_set(&c, 2, 20, 7), 0);
	ck_assert_int_eq(dirty_set(&c, 1, 11, 6), 0);
	ck_assert_uint_eq(c.n, 2);
	ck_assert(dirty_get(&c, 1, &v));
	ck_assert_uint_eq(v, 11);
	ck_assert(dirty_get(&c, 2, &v));
	ck_assert_uint_eq(v, 20);
	ck_assert(!dirty_get(&c, 3, &v));
	dirty_release(&c);
}
END_TEST

/* Sets of all sizes, cleared in between: nothing of an earlier one is left. */
START_TEST(test_clear)
{
	struct dirty_table c = DIRTY_TABLE_INIT;
	uint64_t v;

	for (uint64_t round = 0; round < 60; round++) {
		uint64_t n = (round * 37) % 3000;

		for (uint64_t i = 0; i < n; i++)
			dirty_set(&c, round * 100000 + i * 6, i, 6);
		ck_assert_uint_eq(c.n, n);
		for (uint64_t i = 0; i < n; i++) {
			ck_assert(dirty_get(&c, round * 100000 + i * 6, &v));
			ck_assert_uint_eq(v, i);
		}
		dirty_clear(&c);
		ck_assert_uint_eq(c.n, 0);
		dirty_set(&c, 5, 5, 6);
		ck_assert(!dirty_get(&c, round * 100000, &v));
		dirty_clear(&c);
	}
	dirty_release(&c);
}
END_TEST

/* Few and many, near each other and all over the file. */
START_TEST(test_sorted)
{
	static const size_t sizes[] = { 1, 2, 255, 256, 1000, 20000 };
	const uint64_t spread[] = { 1, 7919, (uint64_t)1 << 30 };
	size_t n = sizes[(size_t)_i / 3];
	struct dirty_table c = DIRTY_TABLE_INIT;
	struct change *item;
	uint64_t v;

	for (uint64_t i = 0; i < n; i++)
		dirty_set(&c, i * 7919 % 20011 * spread[_i % 3], i, 6);
	ck_assert_uint_eq(c.n, n);
	item = dirty_sorted(&c);
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			ck_assert_uint_lt(item[i - 1].pos, item[i].pos);
		ck_assert(dirty_get(&c, item[i].pos, &v));
		ck_assert_uint_eq(v, item[i].value);
	}
	dirty_put_sorted(&c, item);
	dirty_release(&c);
}
END_TEST

/* What was reserved does not fail, and does not move the items. */
START_TEST(test_reserve)
{
	struct dirty_table c = DIRTY_TABLE_INIT;
	const struct change *at;

	ck_assert_int_eq(dirty_reserve(&c, 500), 0);
	at = c.item;
	for (uint64_t i = 0; i < 500; i++)
		ck_assert_int_eq(dirty_set(&c, i, i, 6), 0);
	ck_assert_ptr_eq(c.item, at);
	dirty_release(&c);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("changes");
	TCase *c = tcase_create("core");

	tcase_set_timeout(c, 0);
	tcase_add_test(c, test_set_and_get);
	tcase_add_test(c, test_clear);
	tcase_add_loop_test(c, test_sorted, 0, 18);
	tcase_add_test(c, test_reserve);
	suite_add_tcase(s, c);
	return run_suite(s);
}
