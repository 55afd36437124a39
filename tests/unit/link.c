#include "blt.h"
#include "lib/suite.h"
#include "lib/checked.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As cifs.ko and Samba write it. */
static void known(uint8_t value[BLT_LINK_LEN])
{
	memset(value, ' ', BLT_LINK_LEN);
	memcpy(value, "XSym\n0006\n42aefbae01d2dfd981f7da7d823d689e\ntarget\n",
	       50);
}

START_TEST(test_both_ways)
{
	char long_target[BLT_LINK_MAX + 2], back[BLT_LINK_MAX + 1];
	uint8_t value[BLT_LINK_LEN];

	memset(long_target, 'x', sizeof(long_target));
	long_target[BLT_LINK_MAX + 1] = '\0';
	ck_assert_int_eq(blt_link_write(long_target, value), -ENAMETOOLONG);
	long_target[BLT_LINK_MAX] = '\0';
	ck_assert_int_eq(blt_link_write(long_target, value), 0);
	ck_assert_int_eq(blt_link_read(value, back), BLT_LINK_MAX);
	ck_assert_str_eq(back, long_target);
	ck_assert_int_eq(blt_link_write("", value), -EINVAL);
}
END_TEST

START_TEST(test_form)
{
	uint8_t value[BLT_LINK_LEN], want[BLT_LINK_LEN];

	known(want);
	ck_assert_int_eq(blt_link_write("target", value), 0);
	ck_assert_mem_eq(value, want, BLT_LINK_LEN);
}
END_TEST

/* Any byte that is not as it should be makes it a plain file. */
START_TEST(test_damaged)
{
	char back[BLT_LINK_MAX + 1] = "untouched";
	uint8_t value[BLT_LINK_LEN];

	for (size_t i = 0; i < BLT_LINK_LEN; i++) {
		blt_link_write("target", value);
		value[i] ^= 1;
		ck_assert_int_eq(blt_link_read(value, back), -EINVAL);
	}
	ck_assert_str_eq(back, "untouched");
}
END_TEST

/* Nothing is read that such a length would be of. */
START_TEST(test_wrong_length)
{
	static const char *const lengths[] = { "0000", "1025", "9999", "00x6",
					       "-006", "   6", "0:06" };
	char back[BLT_LINK_MAX + 1] = "untouched";
	uint8_t value[BLT_LINK_LEN];

	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		known(value);
		memcpy(value + 5, lengths[i], 4);
		ck_assert_int_eq(blt_link_read(value, back), -EINVAL);
	}
	ck_assert_str_eq(back, "untouched");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("link");
	TCase *tc = tcase_create("link");

	tcase_set_timeout(tc, 0);
	tcase_add_test(tc, test_both_ways);
	tcase_add_test(tc, test_form);
	tcase_add_test(tc, test_damaged);
	tcase_add_test(tc, test_wrong_length);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
