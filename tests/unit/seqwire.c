/* Items of sequences as bytes. */
#include "seq/seqwire.h"
#include "lib/suite.h"
#include "lib/checked.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ITEMS 3

static size_t item_end[ITEMS]; /* in the bytes of wire_items */

static struct seqwire_out wire_items(size_t max, int want)
{
	const struct blt_seq_field fields[] = { { "f", 1, "x", 1 },
						{ "gh", 2, "", 0 } };
	const struct blt_seq_field value = { NULL, 0, "x", 1 };
	const struct blt_seq_item items[ITEMS] = { { fields, 2 },
						   { NULL, 0 },
						   { &value, 1 } };
	struct seqwire_out out = { .max = max };
	int rc = 0;

	for (size_t i = 0; i < ITEMS && rc == 0; i++) {
		rc = seqwire_put(&out, &items[i]);
		item_end[i] = out.len;
	}
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
	out = wire_items(out.len, 0);
	free(out.bytes);
	out = wire_items(out.len - 1, -E2BIG);
	free(out.bytes);
}
END_TEST

/* What has n bytes: in memory of just as many, so that a tool sees a read
 * behind its end. */
static int read_all(const uint8_t *bytes, size_t n, unsigned *ret_items)
{
	uint8_t *copy = malloc(n > 0 ? n : 1);
	struct seqwire_in in = { .at = copy, .len = n };
	struct blt_seq_item item;
	int rc;

	ck_assert_ptr_nonnull(copy);
	memcpy(copy, bytes, n);
	*ret_items = 0;
	while ((rc = seqwire_item(&in, &item)) > 0)
		++*ret_items;
	seqwire_in_free(&in);
	free(copy);
	return rc;
}

/* Between two items that is all there is, within one it is an error. */
START_TEST(test_cut_wire)
{
	struct seqwire_out out = wire_items(1000, 0);
	unsigned whole = 0, n;

	for (size_t cut = 0; cut <= out.len; cut++) {
		bool between = cut == 0;

		if (whole < ITEMS && cut == item_end[whole]) {
			whole++;
			between = true;
		}
		ck_assert_int_eq(read_all(out.bytes, cut, &n),
				 between ? 0 : -EPROTO);
		ck_assert_uint_eq(n, whole);
	}
	ck_assert_uint_eq(whole, ITEMS);
	free(out.bytes);
}
END_TEST

/* What has another byte anywhere is read to no more than its end. */
START_TEST(test_hostile_wire)
{
	struct seqwire_out out = wire_items(1000, 0);

	for (size_t i = 0; i < out.len * 256; i++) {
		uint8_t was = out.bytes[i / 256];
		unsigned n;
		int rc;

		out.bytes[i / 256] = (uint8_t)i;
		rc = read_all(out.bytes, out.len, &n);
		ck_assert(rc == 0 || rc == -EPROTO);
		ck_assert_uint_le(n, out.len / 4);
		out.bytes[i / 256] = was;
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
	tcase_add_test(tc, test_cut_wire);
	tcase_add_test(tc, test_hostile_wire);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
