#include "booklet/log/commitlog.h"
#include "lib/suite.h"

#include "base/util.h"
#include "lib/checked.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct format made(int kind)
{
	struct format f = { .fixed = kind == 2,
			    .value_len = kind == 2 ? 300 : 0,
			    .timestamps = kind == 0,
			    .n_buckets = 7 };

	format_make(&f);
	return f;
}

static struct log_checkpoint slot_of(uint64_t seq)
{
	struct log_checkpoint s = { .seq = seq,
				    .record_seq = 77,
				    .start = 0x0102030405,
				    .n_keys = 12,
				    .version = 4,
				    .fill = 0x30,
				    .growth = { 0x1234, 144013, 99 } };

	memcpy(s.salt, "saltsalt", LOG_SALT_LEN);
	return s;
}

START_TEST(test_slot_round_trip)
{
	struct log_checkpoint s = slot_of(5), t;
	uint8_t bytes[LOG_CHECKPOINT_LEN];

	log_checkpoint_encode(&s, bytes);
	ck_assert(log_checkpoint_decode(bytes, &t));
	ck_assert_uint_eq(t.seq, s.seq);
	ck_assert_mem_eq(t.salt, s.salt, LOG_SALT_LEN);
	ck_assert_uint_eq(t.record_seq, s.record_seq);
	ck_assert_uint_eq(t.start, s.start);
	ck_assert_uint_eq(t.n_keys, s.n_keys);
	ck_assert_uint_eq(t.version, s.version);
	ck_assert_uint_eq(t.fill, s.fill);
	ck_assert_uint_eq(t.growth.offset, s.growth.offset);
	ck_assert_uint_eq(t.growth.n_buckets, s.growth.n_buckets);
	ck_assert_uint_eq(t.growth.moved, s.growth.moved);
	ck_assert(!t.unknown);
	ck_assert_uint_eq(t.gap.len, 0);
	s.growth = (struct log_growth){ 0 };
	s.gap = (struct log_gap){ 0x123456789a, 0x55123456789 };
	log_checkpoint_encode(&s, bytes);
	ck_assert(log_checkpoint_decode(bytes, &t));
	ck_assert_uint_eq(t.gap.pos, s.gap.pos);
	ck_assert_uint_eq(t.gap.len, s.gap.len);
	ck_assert_uint_eq(t.growth.offset, 0);
	/* Any bit that is wrong makes it no checkpoint. */
	for (size_t i = 0; i < 8 * LOG_CHECKPOINT_LEN; i++) {
		bytes[i / 8] ^= (uint8_t)(1 << i % 8);
		ck_assert(!log_checkpoint_decode(bytes, &t));
		bytes[i / 8] ^= (uint8_t)(1 << i % 8);
	}
}
END_TEST

START_TEST(test_newest_slot)
{
	uint8_t header[FORMAT_HEADER_LEN] = { 0 };
	struct log_checkpoint old = slot_of(8), new = slot_of(9), got;
	uint8_t *first = header + LOG_CHECKPOINT_AT,
		*second = first + LOG_CHECKPOINT_LEN;

	ck_assert_int_eq(log_checkpoint_newest(header, &got), -1);
	log_checkpoint_encode(&old, first);
	ck_assert_int_eq(log_checkpoint_newest(header, &got), 0);
	log_checkpoint_encode(&new, second);
	ck_assert_int_eq(log_checkpoint_newest(header, &got), 1);
	ck_assert_uint_eq(got.seq, 9);
	second[20] ^= 1;
	ck_assert_int_eq(log_checkpoint_newest(header, &got), 0);
	ck_assert_uint_eq(got.seq, 8);
}
END_TEST

/* A file in which a bytes buffer plays the end of the data. */
struct sink {
	uint8_t *bytes;
	size_t len;
};

static int put_piece(void *arg, const void *bytes, size_t len)
{
	struct sink *s = arg;

	memcpy(s->bytes + s->len, bytes, len);
	s->len += len;
	return 0;
}

/* The payload as a reader gathers it: of dead blocks, one after another. */
static uint8_t *gather(const struct format *f, const struct sink *s,
		       size_t *ret_len)
{
	uint8_t *payload = malloc(s->len);
	size_t at = 0, n = 0;

	while (at < s->len) {
		struct block_head head;
		size_t len;

		format_head_decode(f, s->bytes + at, &head);
		ck_assert_uint_eq(head.next, FORMAT_DEAD);
		ck_assert_uint_ge(head.key_len, 1);
		len = (size_t)head.key_len + head.value_len;
		at += format_head_len(f);
		memcpy(payload + n, s->bytes + at, len);
		at += len;
		n += len;
	}
	ck_assert_uint_eq(at, s->len);
	*ret_len = n;
	return payload;
}

START_TEST(test_record_round_trip)
{
	struct format f = made(_i / 3);
	size_t n = _i % 3 == 0 ? 0 : _i % 3 == 1 ? 3 : 20000;
	size_t own_len = n * log_own_len(&f), len;
	struct dirty_table changes = DIRTY_TABLE_INIT;
	struct log_record r = { .seq = 4,
				.start = 900,
				.batch_len = 70,
				.n_keys = 3,
				.growth = { 500, 9, 2 } },
			  q;
	uint8_t *own = malloc(own_len + 1), *payload, *back;
	struct log_lists lists;
	struct change c;

	memcpy(r.salt, "saltsalt", LOG_SALT_LEN);
	memset(own, 0x5a, own_len);
	for (size_t i = 0; i < n; i++)
		dirty_set(&changes, 1000 + 10 * i, i, i % 2 ? 6 : 7);
	payload = log_payload(&f, &r, f.raw, own, own_len, &changes);
	ck_assert_ptr_nonnull(payload);
	log_payload_set_sum(payload, 0x1122334455667788);

	struct sink s = { malloc(log_record_len(&f, r.payload_len)), 0 };

	ck_assert_int_eq(log_carry(&f, payload, r.payload_len, put_piece, &s),
			 0);
	ck_assert_uint_le(s.len, log_record_len(&f, r.payload_len));
	back = gather(&f, &s, &len);
	ck_assert_uint_ge(len, r.payload_len);
	ck_assert(log_record_decode(back, len, &q));
	ck_assert_uint_eq(get_le(q.sum, 8), 0x1122334455667788);
	ck_assert_mem_eq(q.salt, r.salt, LOG_SALT_LEN);
	ck_assert_uint_eq(q.seq, 4);
	ck_assert_uint_eq(q.start, 900);
	ck_assert_uint_eq(q.batch_len, 70);
	ck_assert_uint_eq(q.n_keys, 3);
	ck_assert_uint_eq(q.payload_len, r.payload_len);
	ck_assert_uint_eq(q.n_own, n);
	ck_assert_uint_eq(q.growth.moved, 2);
	ck_assert(!q.unknown);
	ck_assert_int_eq(log_lists(&f, &q, back, &lists), 0);
	ck_assert_mem_eq(lists.header, f.raw, FORMAT_HEADER_LEN);
	ck_assert(memcmp(lists.own, own, own_len) == 0);
	for (size_t i = 0; i < n; i++) {
		ck_assert_int_eq(log_next_change(&lists, &c), 1);
		ck_assert_uint_eq(c.pos, 1000 + 10 * i);
		ck_assert_uint_eq(c.value, i);
		ck_assert_uint_eq(c.len, i % 2 ? 6 : 7);
	}
	ck_assert_int_eq(log_next_change(&lists, &c), 0);
	free(s.bytes);
	free(own);
	log_payload_free(&f, &r, payload);
	free(back);
	dirty_release(&changes);
}
END_TEST

/* Lists that do not fill their payload are refused, whatever they say. */
START_TEST(test_hostile_lists)
{
	struct format f = made(0);
	struct dirty_table changes = DIRTY_TABLE_INIT;
	struct log_record r = { .seq = 1 };
	uint8_t *payload;
	struct log_lists lists;
	struct change c;
	int rc;

	dirty_set(&changes, 300, 1, 6);
	dirty_set(&changes, 400, 2, 8);
	payload = log_payload(&f, &r, NULL, NULL, 0, &changes);
	r.n_own = 1000000;
	ck_assert_int_eq(log_lists(&f, &r, payload, &lists), -EUCLEAN);
	r.n_own = 0;
	/* another length of the first of two: none fits but its own */
	for (unsigned len = 0; len < 300; len++) {
		unsigned n = 0;

		put_le(payload + LOG_PAYLOAD_MIN + 6, len, 2);
		ck_assert_int_eq(log_lists(&f, &r, payload, &lists), 0);
		while ((rc = log_next_change(&lists, &c)) > 0) {
			ck_assert_uint_le(c.len, 8);
			n++;
		}
		ck_assert(rc == 0 || rc == -EUCLEAN);
		if (len == 6)
			ck_assert(rc == 0 && n == 2);
		if (len == 0 || len > 8)
			ck_assert(rc == -EUCLEAN && n == 0);
	}
	log_payload_free(&f, &r, payload);
	dirty_release(&changes);
}
END_TEST

/* What a later version may leave is told apart from damage. */
START_TEST(test_unknown)
{
	struct format f = made(0);
	struct dirty_table none = DIRTY_TABLE_INIT;
	struct log_record r = { .seq = 1 }, q;
	uint8_t *payload = log_payload(&f, &r, NULL, NULL, 0, &none);

	ck_assert(log_record_decode(payload, r.payload_len, &q));
	ck_assert(!q.unknown);
	payload[60] = 2;
	ck_assert(log_record_decode(payload, r.payload_len, &q));
	ck_assert(q.unknown);
	payload[60] = 0;
	payload[61] = 3;
	ck_assert(log_record_decode(payload, r.payload_len, &q));
	ck_assert(q.unknown);
	log_payload_free(&f, &r, payload);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("commitlog");
	TCase *c = tcase_create("core");

	tcase_set_timeout(c, 0);
	tcase_add_test(c, test_slot_round_trip);
	tcase_add_test(c, test_newest_slot);
	tcase_add_loop_test(c, test_record_round_trip, 0, 9);
	tcase_add_test(c, test_hostile_lists);
	tcase_add_test(c, test_unknown);
	suite_add_tcase(s, c);
	return run_suite(s);
}
