/* Items of sequences as bytes. */
#include "seqwire.h"
#include "suite.h"
#include "util.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct seqwire_out wire_items(size_t max, int want)
{
	const struct blt_seq_field fields[] = { { "f", 1, "x", 1 },
						{ "gh", 2, "", 0 } };
	const struct blt_seq_field value = { NULL, 0, "x", 1 };
	const struct blt_seq_item items[] = { { fields, 2 },
					      { NULL, 0 },
					      { &value, 1 } };
	struct seqwire_out out = { .max = max };
	int rc = 0;

	for (size_t i = 0; i < ARRAY_SIZE(items) && rc == 0; i++)
		rc = seqwire_put(&out, &items[i]);
	ck_assert_int_eq(rc, want);
	return out;
}

START_TEST(test_wire)
{
	struct seqwire_out out = wire_items(1000, 0);
	struct seqwire_in in = { .at = out.bytes, .len = out.len };
	struct blt_seq_item item;

	ck_assert_int_eq(seqwire_item(&in, &item), 1);
	ck_assert_uint_eq(item.n, 2);
	ck_assert_uint_eq(item.fields[1].name_len, 2);
	ck_assert_mem_eq(item.fields[1].name, "gh", 2);
	ck_assert_uint_eq(item.fields[1].value_len, 0);
	ck_assert_mem_eq(item.fields[0].value, "x", 1);
	ck_assert_int_eq(seqwire_item(&in, &item), 1);
	ck_assert_uint_eq(item.n, 0);
	ck_assert_int_eq(seqwire_item(&in, &item), 1);
	ck_assert_uint_eq(item.n, 1);
	ck_assert_ptr_null(item.fields[0].name);
	ck_assert_int_eq(seqwire_item(&in, &item), 0);
	seqwire_in_free(&in);
	free(out.bytes);
	out = wire_items(out.len - 1, -E2BIG);
	free(out.bytes);
}
END_TEST

/* What is cut off anywhere, or has another byte anywhere, is read to no more
 * than its end. */
START_TEST(test_hostile_wire)
{
	struct seqwire_out out = wire_items(1000, 0);
	struct blt_seq_item item;

	for (size_t i = 0; i < out.len * 257; i++) {
		size_t at = i / 257, cut = i % 257 == 256 ? at : out.len;
		uint8_t *copy = malloc(cut + 1);
		struct seqwire_in in = { .at = copy, .len = cut };
		unsigned n = 0;
		int rc;

		ck_assert_ptr_nonnull(copy);
		memcpy(copy, out.bytes, cut);
		if (cut == out.len)
			copy[at] = (uint8_t)i;
		while ((rc = seqwire_item(&in, &item)) > 0)
			n++;
		ck_assert(rc == 0 || rc == -EPROTO);
		ck_assert_uint_le(n, out.len / 4);
		seqwire_in_free(&in);
		free(copy);
	}
	free(out.bytes);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("seqwire");
	TCase *tc = tcase_create("seqwire");

	tcase_set_timeout(tc, 0);
	tcase_add_test(tc, test_wire);
	tcase_add_test(tc, test_hostile_wire);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
