#include "seq/seqname.h"

#include "lib/rnd.h"
#include "lib/suite.h"
#include "base/util.h"
#include "lib/checked.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* NULL: none. */
static struct seqname neighbour(const char *name)
{
	return (struct seqname){ (const uint8_t *)name,
				 name ? strlen(name) : 0 };
}

/* One name between two; its length, or an error. */
static int between(const char *a, const char *b, char ret[SEQNAME_BUF])
{
	struct seqname before = neighbour(a), after = neighbour(b);
	struct seqname_run run;
	int rc = seqname_begin(&run, &before, &after, 1);
	size_t longest;

	if (rc < 0)
		return rc;
	longest = seqname_longest(&run);
	rc = (int)seqname_next(&run, ret);
	ck_assert_uint_le((size_t)rc, longest);
	ck_assert_uint_eq((size_t)rc, strlen(ret));
	if (a)
		ck_assert_int_lt(strcmp(a, ret), 0);
	if (b)
		ck_assert_int_lt(strcmp(ret, b), 0);
	return rc;
}

/* Many at either end, up to a hundred thousand: six characters. */
START_TEST(test_ends)
{
	char name[SEQNAME_BUF] = "", last[SEQNAME_BUF] = "";
	const char *many = getenv("SEQ_MANY");
	int n = many ? atoi(many) : 10000, longest = 0;

	for (int i = 0; i < n; i++) {
		int len = between(_i && i ? NULL :
				  i       ? last :
					    NULL,
				  _i && i ? last : NULL, name);

		ck_assert_int_gt(len, 0);
		longest = len > longest ? len : longest;
		strcpy(last, name);
	}
	ck_assert_int_le(longest, 6);
}
END_TEST

START_TEST(test_counted)
{
	char name[SEQNAME_BUF];

	between(NULL, NULL, name);
	ck_assert_str_eq(name, "i0");
	between("iz", NULL, name);
	ck_assert_str_eq(name, "j00");
	between(NULL, "i0", name);
	ck_assert_str_eq(name, "hz");
	between(NULL, "h0", name);
	ck_assert_str_eq(name, "gzz");
	between("foo.txt", NULL, name);
	between("Foo", NULL, name);
	between(NULL, "README", name);
	ck_assert_int_eq(between("\xc3\xa9", NULL, name), -ERANGE);
	ck_assert_int_eq(between(NULL, "-", name), -ERANGE);
}
END_TEST

/* Into one gap, at its front, at its end, or at random: for how long 32
 * characters are enough. */
START_TEST(test_one_gap)
{
	char low[SEQNAME_BUF] = "i0", high[SEQNAME_BUF] = "i1";
	char name[SEQNAME_BUF];
	int n = 0, len;

	while ((len = between(low, high, name)) > 0 && len <= 32) {
		bool up = _i == 0 || (_i == 2 && rnd(2));

		strcpy(up ? low : high, name);
		n++;
	}
	ck_assert_int_gt(n, 100);
}
END_TEST

static void make_name(char *ret, size_t max)
{
	static const char alphabet[] = "09az5m.~AZ_\xc3\xa9%-";
	size_t len = 1 + rnd((uint32_t)max);

	for (size_t i = 0; i < len; i++)
		ret[i] = alphabet[rnd(sizeof(alphabet) - 1)];
	ret[len] = '\0';
}

static void check_run(const char *a, const char *b, uint64_t n)
{
	struct seqname before = neighbour(a), after = neighbour(b);
	char last[SEQNAME_BUF], name[SEQNAME_BUF];
	struct seqname_run run;
	size_t longest;

	if (seqname_begin(&run, &before, &after, n) < 0) {
		/* between two, only what begins with the lower one fails */
		if (a && b && n == 1)
			ck_assert_int_eq(strncmp(a, b, strlen(a)), 0);
		return;
	}
	longest = seqname_longest(&run);
	ck_assert_uint_le(longest, SEQNAME_MAX);
	for (uint64_t i = 0; i < n; i++) {
		ck_assert_uint_le(seqname_next(&run, name), longest);
		if (i > 0 || a)
			ck_assert_int_lt(strcmp(i > 0 ? last : a, name), 0);
		strcpy(last, name);
	}
	if (b)
		ck_assert_int_lt(strcmp(last, b), 0);
}

/* Names that somebody else has chosen. */
START_TEST(test_any_neighbours)
{
	for (int i = 0; i < 12000; i++) {
		char a[16], b[16];
		size_t shared;

		make_name(a, 6);
		make_name(b, 6);
		shared = rnd(2) ? rnd((uint32_t)strlen(a) + 1) : 0;
		memcpy(b, a, shared < strlen(b) ? shared : strlen(b));
		if (strcmp(a, b) < 0)
			check_run(rnd(8) ? a : NULL, rnd(8) ? b : NULL,
				  1 + rnd(rnd(10) ? 3 : 200));
	}
}
END_TEST

START_TEST(test_no_place)
{
	char name[SEQNAME_BUF];

	ck_assert_int_eq(between("x", "x0", name), -ERANGE);
	ck_assert_int_eq(between("b", "a", name), -EINVAL);
	ck_assert_int_eq(between("a", "a", name), -EINVAL);
}
END_TEST

START_TEST(test_spread)
{
	struct seqname none = { NULL, 0 }, a = neighbour("i0"),
		       b = neighbour("i1");
	struct seqname_run run;
	char name[SEQNAME_BUF];

	ck_assert_int_eq(seqname_begin(&run, &a, &b, 35), 0);
	ck_assert_uint_eq(seqname_longest(&run), 3);
	ck_assert_int_eq(seqname_begin(&run, &a, &b, 1000), 0);
	ck_assert_uint_eq(seqname_longest(&run), 4);
	ck_assert_int_eq(seqname_begin(&run, &none, &none, 1000000), 0);
	ck_assert_uint_eq(seqname_longest(&run), 5);
	seqname_next(&run, name);
	ck_assert_str_eq(name, "i0");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("seqname");
	TCase *tc = tcase_create("seqname");

	tcase_set_timeout(tc, 0);
	tcase_add_loop_test(tc, test_ends, 0, 2);
	tcase_add_test(tc, test_counted);
	tcase_add_loop_test(tc, test_one_gap, 0, 3);
	tcase_add_test(tc, test_any_neighbours);
	tcase_add_test(tc, test_no_place);
	tcase_add_test(tc, test_spread);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
