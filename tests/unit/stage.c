#include "file/write_buffer.h"

#include "lib/rnd.h"
#include "lib/suite.h"
#include "lib/checked.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct write_buffer_pool pool;

static struct write_buffer *new_stage(uint64_t max)
{
	struct write_buffer *s;

	pool.max = max;
	pool.value_max = BLT_VALUE_MAX;
	pool.dir = "/tmp";
	ck_assert_int_eq(write_buffer_new(&pool, &s), 0);
	return s;
}

static void check_bytes(struct write_buffer *s, const void *want, size_t len)
{
	uint8_t *got = malloc(len + 1);

	ck_assert_uint_eq(s->len, len);
	ck_assert_int_eq(write_buffer_read(s, got, len + 1, 0), (int64_t)len);
	ck_assert_mem_eq(got, want, len);
	free(got);
}

/* The same writes in memory and spilled, against an array. */
START_TEST(test_any_pattern)
{
	enum { MAX = 100000 };
	struct write_buffer *s = new_stage(_i ? 5000 : UINT64_MAX);
	uint8_t *model = calloc(1, MAX), buf[3000];
	size_t len = 0;

	for (int i = 0; i < 3000; i++) {
		size_t at = rnd(MAX - sizeof(buf));
		size_t n = rnd(sizeof(buf));

		switch (rnd(8)) {
		case 0:
			ck_assert_int_eq(write_buffer_resize(s, at), 0);
			if (at < len)
				memset(model + at, 0, len - at);
			len = at;
			break;
		case 1:
			ck_assert_int_eq(write_buffer_zero(s, at, n), 0);
			if (at < len)
				memset(model + at, 0,
				       n < len - at ? n : len - at);
			break;
		default:
			memset(buf, i, n);
			ck_assert_int_eq(write_buffer_write(s, buf, n, at), 0);
			memcpy(model + at, buf, n);
			len = n && at + n > len ? at + n : len;
		}
		if (i % 100 == 0)
			check_bytes(s, model, len);
	}
	check_bytes(s, model, len);
	ck_assert_int_eq(s->fd >= 0, _i);
	write_buffer_free(s);
	ck_assert_uint_eq(pool.used, 0);
	free(model);
}
END_TEST

START_TEST(test_limits)
{
	struct write_buffer *s = new_stage(UINT64_MAX);

	ck_assert_int_eq(write_buffer_write(s, "x", 1, BLT_VALUE_MAX), -EFBIG);
	ck_assert_int_eq(write_buffer_resize(s, UINT64_C(1) << 32), -EFBIG);
	ck_assert(!s->dirty);
	/* more than one file may have in memory goes to a file, holes and all
	 */
	ck_assert_int_eq(write_buffer_write(s, "end", 3, WRITE_BUFFER_MEMORY),
			 0);
	ck_assert(s->dirty && s->fd >= 0);
	ck_assert_uint_eq(pool.used, 0);
	write_buffer_free(s);
}
END_TEST

START_TEST(test_source)
{
	struct write_buffer *s = new_stage(UINT64_MAX);
	struct blt_source source;
	char buf[8] = "";

	ck_assert_int_eq(write_buffer_write(s, "content", 7, 0), 0);
	source = write_buffer_source(s);
	ck_assert_uint_eq(source.len, 7);
	ck_assert_int_eq(source.read(source.arg, buf, 4, 3), 0);
	ck_assert_str_eq(buf, "tent");
	ck_assert_int_eq(source.read(source.arg, buf, 4, 4), -EIO);
	write_buffer_free(s);
	write_buffer_free(NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("stage");
	TCase *tc = tcase_create("stage");

	tcase_set_timeout(tc, 0);
	tcase_add_loop_test(tc, test_any_pattern, 0, 2);
	tcase_add_test(tc, test_limits);
	tcase_add_test(tc, test_source);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
