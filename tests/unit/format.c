#include "booklet/format/format.h"
#include "lib/suite.h"
#include "lib/checked.h"

#include <stdlib.h>
#include <string.h>

static struct format made(bool fixed, uint32_t value_len, bool timestamps)
{
	struct format f = { .fixed = fixed,
			    .value_len = value_len,
			    .timestamps = timestamps,
			    .n_buckets = 11,
			    .key_serializer = 2,
			    .value_serializer = fixed ? 0 : 32,
			    .created = 1700000000000000 };

	format_make(&f);
	return f;
}

START_TEST(test_header_round_trip)
{
	struct format f = made(_i == 0, _i == 0 ? 9 : 0, _i == 1), g;

	ck_assert_int_eq(format_decode(f.raw, 1000, &g), FORMAT_OK);
	ck_assert_uint_eq(g.version, 5);
	ck_assert_uint_eq(g.fixed, f.fixed);
	ck_assert_uint_eq(g.timestamps, f.timestamps);
	ck_assert_uint_eq(g.value_len, f.value_len);
	ck_assert_uint_eq(g.n_buckets, 11);
	ck_assert_uint_eq(g.key_serializer, 2);
	ck_assert_int_eq(g.created, f.created);
	ck_assert_uint_eq(g.index_offset, 200);
	ck_assert_uint_eq(g.data_offset, 266);
	format_set_layout(&f, 5, 300, 200);
	ck_assert_int_eq(format_decode(f.raw, 1000, &g), FORMAT_OK);
	ck_assert_uint_eq(g.index_offset, 300);
	ck_assert_uint_eq(g.data_offset, 200);
	ck_assert_uint_eq(g.n_buckets, 5);
}
END_TEST

START_TEST(test_header_faults)
{
	static const struct {
		size_t at;
		uint8_t byte;
		enum format_fault fault;
	} faults[] = {
		{ 0, 0, FORMAT_NOT_BOOKLET }, { 15, 1, FORMAT_NOT_BOOKLET },
		{ 16, 2, FORMAT_TOO_OLD },    { 18, 5, FORMAT_WIDTHS },
		{ 19, 4, FORMAT_WIDTHS },     { 20, 0, FORMAT_WIDTHS },
		{ 21, 0, FORMAT_BUCKETS },    { 23, 1, FORMAT_LAYOUT },
		{ 65, 199, FORMAT_LAYOUT },   { 70, 1, FORMAT_LAYOUT },
		{ 71, 100, FORMAT_LAYOUT },   { 76, 1, FORMAT_LAYOUT },
	};
	struct format f = made(false, 0, true), g;

	f.raw[faults[_i].at] = faults[_i].byte;
	ck_assert_int_eq(format_decode(f.raw, 1000, &g), faults[_i].fault);
}
END_TEST

START_TEST(test_head_round_trip)
{
	struct format f = made(_i == 0, _i == 0 ? 77 : 0, _i == 1);
	struct block_head h = { .next = 0x0102030405,
				.key_len = 65535,
				.value_len = _i == 0 ? 77 : UINT32_MAX,
				.timestamp = _i == 1 ? FORMAT_TIME_MAX : -1 };
	struct block_head g;
	uint8_t bytes[FORMAT_HEAD_MAX + 1];

	memset(bytes, 0xee, sizeof(bytes));
	memset(h.hash.byte, 0xab, KEYHASH_LEN);
	format_head_encode(&f, &h, bytes);
	ck_assert_uint_eq(bytes[format_head_len(&f)], 0xee);
	format_head_decode(&f, bytes, &g);
	ck_assert(keyhash_equal(&h.hash, &g.hash));
	ck_assert_uint_eq(g.next, h.next);
	ck_assert_uint_eq(g.key_len, h.key_len);
	ck_assert_uint_eq(g.value_len, h.value_len);
	ck_assert_int_eq(g.timestamp, h.timestamp);
}
END_TEST

/* doc/format.md, section 5: the smallest dead blocks, and what fits. */
START_TEST(test_dead_blocks)
{
	struct format timed = made(false, 0, true);
	struct format plain = made(false, 0, false);
	struct format fixed = made(true, 8, false);

	ck_assert_uint_eq(format_dead_min(&timed), 33);
	ck_assert_uint_eq(format_dead_min(&plain), 26);
	ck_assert_uint_eq(format_dead_min(&fixed), 30);
	ck_assert_uint_eq(format_dead_max(&fixed), 21 + 65535 + 8);
	ck_assert(!format_dead_fits(&timed, 32));
	ck_assert(format_dead_fits(&timed, 33));
	ck_assert(format_dead_fits(&fixed, 30));
	ck_assert(format_dead_fits(&fixed, 65564));
	/* One more than one block covers, and less than two need? No: two
	 * small ones do. */
	ck_assert(format_dead_fits(&fixed, 65565));
	ck_assert(!format_dead_fits(&fixed, 29));
	/* Lengths near 2^64 do not wrap to few blocks. */
	ck_assert_uint_eq(format_dead_piece(&fixed, UINT64_MAX),
			  format_dead_max(&fixed));
	ck_assert_uint_eq(format_dead_piece(&timed, UINT64_MAX),
			  format_dead_max(&timed));
}
END_TEST

START_TEST(test_hidden_keys)
{
	struct format f = made(false, 0, true), fixed = made(true, 8, false);

	for (int i = 0; i < FORMAT_SLOTS; i++) {
		struct keyhash h = keyhash_of(format_slot_key[i],
					      strlen(format_slot_key[i]));

		ck_assert(format_hidden(&f, &h));
		ck_assert(!format_hidden(&fixed, &h));
	}
	struct keyhash other = keyhash_of("a", 1);

	ck_assert(!format_hidden(&f, &other));
}
END_TEST

START_TEST(test_sizes)
{
	ck_assert_uint_eq(format_next_buckets(1), 12007);
	ck_assert_uint_eq(format_next_buckets(12007), 144013);
	ck_assert_uint_eq(format_next_buckets(144013), 1728017);
	ck_assert_uint_eq(format_next_buckets(1728017), 20736017);
	ck_assert_uint_eq(format_next_buckets(20736017), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("format");
	TCase *c = tcase_create("core");

	tcase_set_timeout(c, 0);
	tcase_add_loop_test(c, test_header_round_trip, 0, 3);
	tcase_add_loop_test(c, test_header_faults, 0, 12);
	tcase_add_loop_test(c, test_head_round_trip, 0, 3);
	tcase_add_test(c, test_dead_blocks);
	tcase_add_test(c, test_hidden_keys);
	tcase_add_test(c, test_sizes);
	suite_add_tcase(s, c);
	return run_suite(s);
}
