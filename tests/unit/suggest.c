/* The name that was probably meant. */
#include "base/suggest.h"
#include "base/util.h"
#include "lib/suite.h"

#include <string.h>

static const char *const names[] = {
	"cancel", "check", "clear", "copy", "create", "get",
	"import", "info",  "ls",    "map",  "umount", "value_serializer",
};

static const char *meant(const char *word)
{
	struct suggest s = suggest_for(word);

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		suggest_offer(&s, names[i]);
	return s.best ? s.best : "nothing";
}

START_TEST(near_names)
{
	ck_assert_str_eq(meant("gett"), "get");
	ck_assert_str_eq(meant("gte"), "get");
	ck_assert_str_eq(meant("craete"), "create");
	ck_assert_str_eq(meant("unmount"), "umount");
	ck_assert_str_eq(meant("imoprt"), "import");
	ck_assert_str_eq(meant("infos"), "info");
	ck_assert_str_eq(meant("cop"), "copy");
	ck_assert_str_eq(meant("valueserialiser"), "value_serializer");
}
END_TEST

START_TEST(far_names)
{
	static const char *const words[] = { "", "x", "xy", "nothing",
					     "klingon" };
	char longer[200];

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		ck_assert_str_eq(meant(words[i]), "nothing");
	memset(longer, 'g', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	ck_assert_str_eq(meant(longer), "nothing");
}
END_TEST

START_TEST(part_of_a_word)
{
	struct suggest s = suggest_for_part("inof=5", 4);

	suggest_offer(&s, "info");
	ck_assert_str_eq(s.best, "info");
	ck_assert_uint_eq(s.distance, 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("suggest");
	TCase *tc = tcase_create("suggest");

	tcase_set_timeout(tc, 0);
	tcase_add_test(tc, near_names);
	tcase_add_test(tc, far_names);
	tcase_add_test(tc, part_of_a_word);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
