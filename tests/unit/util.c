#include "base/util.h"
#include "lib/suite.h"
#include "lib/checked.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

START_TEST(test_min_max)
{
	ck_assert_uint_eq(min_u64(1, UINT64_MAX), 1);
	ck_assert_uint_eq(min_u64(7, 7), 7);
	ck_assert_uint_eq(max_u64(1, UINT64_MAX), UINT64_MAX);
	ck_assert_uint_eq(max_u64(0, 0), 0);
}
END_TEST

START_TEST(test_little_endian)
{
	static const uint8_t bytes[8] = { 1, 2, 3, 4, 5, 6, 7, 0xf8 };
	uint8_t out[9];

	ck_assert_uint_eq(get_le(bytes, 0), 0);
	ck_assert_uint_eq(get_le(bytes, 1), 1);
	ck_assert_uint_eq(get_le(bytes, 6), 0x060504030201);
	ck_assert_uint_eq(get_le(bytes, 8), 0xf807060504030201);

	memset(out, 0xee, sizeof(out));
	put_le(out, 0xf807060504030201, 8);
	ck_assert_mem_eq(out, bytes, 8);
	ck_assert_uint_eq(out[8], 0xee);

	memset(out, 0xee, sizeof(out));
	put_le(out, 0xf807060504030201, 6);
	ck_assert_mem_eq(out, bytes, 6);
	ck_assert_uint_eq(out[6], 0xee);
}
END_TEST

START_TEST(test_hex_round_trip)
{
	uint8_t bytes[256], back[256];
	char text[513];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	hex_encode(text, bytes, sizeof(bytes));
	ck_assert_uint_eq(strlen(text), 512);
	ck_assert_int_eq(strncmp(text, "000102030405060708090a0b", 24), 0);
	ck_assert_str_eq(text + 506, "fdfeff");
	ck_assert_int_eq(hex_decode(back, text, 512), 0);
	ck_assert_mem_eq(back, bytes, sizeof(bytes));

	hex_encode(text, bytes, 0);
	ck_assert_str_eq(text, "");
	ck_assert_int_eq(hex_decode(back, "AbCdEf", 6), 0);
	ck_assert_mem_eq(back, "\xab\xcd\xef", 3);
}
END_TEST

START_TEST(test_hex_refuses)
{
	static const char *const bad[] = { "0",  "0g", "g0", "/0", ":0",
					   "@0", "`0", " 0", "0x", "\xc3\xa4" };
	uint8_t out[4];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ck_assert_int_eq(hex_decode(out, bad[i], strlen(bad[i])),
				 -EINVAL);
	ck_assert_int_eq(hex_decode(out, "", 0), 0);
}
END_TEST

START_TEST(test_now)
{
	/* 2020-01-01: a clock that counts from another epoch is not ours */
	ck_assert_int_gt(now_us(), INT64_C(1577836800000000));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("util");
	TCase *tc = tcase_create("util");

	tcase_set_timeout(tc, 0);
	tcase_add_test(tc, test_min_max);
	tcase_add_test(tc, test_little_endian);
	tcase_add_test(tc, test_hex_round_trip);
	tcase_add_test(tc, test_hex_refuses);
	tcase_add_test(tc, test_now);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
