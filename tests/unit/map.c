/* The parallel map without its processes: frames, key templates, options as
 * bytes, and writes that depend on a value. */
#include "blt.h"
#include "map/map.h"
#include "map/map_inner.h"
#include "lib/suite.h"
#include "base/util.h"
#include "map/wire.h"
#include "lib/checked.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- frames ---- */

static const struct wire_frame frames[] = {
	{ .type = WIRE_HELLO, .id = 1, .time = WIRE_NO_TIME },
	{ .type = WIRE_ITEM,
	  .id = UINT64_MAX,
	  .time = 5,
	  .key = "key",
	  .key_len = 3,
	  .value = "value",
	  .value_len = 5 },
	{ .type = WIRE_RESULT, .id = 7, .key = "k", .key_len = 1 },
	{ .type = WIRE_SAME, .id = 8, .value = "v", .value_len = 1 },
};

static void same_frame(const struct wire_frame *a, const struct wire_frame *b)
{
	ck_assert_int_eq(a->type, b->type);
	ck_assert_uint_eq(a->id, b->id);
	ck_assert_int_eq(a->time, b->time);
	ck_assert_uint_eq(a->key_len, b->key_len);
	ck_assert_uint_eq(a->value_len, b->value_len);
	if (a->key_len)
		ck_assert_mem_eq(a->key, b->key, a->key_len);
	if (a->value_len)
		ck_assert_mem_eq(a->value, b->value, a->value_len);
}

/* However the bytes come, the frames are the same. */
START_TEST(test_frames)
{
	struct wire_frame f;
	struct wire_out out;
	struct wire_in in;
	size_t met = 0;
	int fd[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	wire_in_init(&in);
	wire_out_init(&out);
	for (size_t i = 0; i < ARRAY_SIZE(frames); i++)
		ck_assert_int_eq(wire_put(&out, &frames[i]), 0);
	while (wire_pending(&out)) {
		size_t n = _i ? min_u64((size_t)_i, wire_pending(&out)) :
				wire_pending(&out);

		ck_assert_int_eq(send(fd[0], out.buf + out.at, n, 0),
				 (ssize_t)n);
		out.at += n;
		ck_assert_int_gt(wire_read(&in, fd[1]), 0);
		while (wire_next(&in, &f) > 0)
			same_frame(&f, &frames[met++]);
	}
	ck_assert_uint_eq(met, ARRAY_SIZE(frames));
	ck_assert_uint_eq(wire_rest(&in), 0);
	close(fd[0]);
	ck_assert_int_eq(wire_read(&in, fd[1]), 0);
	close(fd[1]);
	wire_in_free(&in);
	wire_out_free(&out);
}
END_TEST

static int take_bytes(const void *bytes, size_t len, struct wire_frame *ret)
{
	struct wire_in in;
	int fd[2], rc;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	ck_assert_int_eq(send(fd[0], bytes, len, 0), (ssize_t)len);
	wire_in_init(&in);
	ck_assert_int_gt(wire_read(&in, fd[1]), 0);
	rc = wire_next(&in, ret);
	wire_in_free(&in);
	close(fd[0]);
	close(fd[1]);
	return rc;
}

START_TEST(test_bad_frames)
{
	uint8_t head[WIRE_HEAD] = { 'B', 'M', '1', 'D' };
	struct wire_frame f;

	ck_assert_int_eq(take_bytes(head, sizeof(head), &f), 1);
	ck_assert_int_eq(take_bytes(head, 5, &f), 0);
	ck_assert_int_eq(take_bytes("B", 1, &f), 0);
	ck_assert_int_eq(take_bytes("Bm", 2, &f), -EPROTO);
	ck_assert_int_eq(take_bytes("nonsense", 8, &f), -EPROTO);
	head[3] = 'Z';
	ck_assert_int_eq(take_bytes(head, sizeof(head), &f), -EPROTO);
	head[3] = 0;
	ck_assert_int_eq(take_bytes(head, sizeof(head), &f), -EPROTO);
	head[3] = 'D';
	put_le(head + 4, 65536, 4);
	ck_assert_int_eq(take_bytes(head, sizeof(head), &f), -EPROTO);
	put_le(head + 4, 65535, 4);
	ck_assert_int_eq(take_bytes(head, sizeof(head), &f), 0);
	put_le(head + 8, 1ull << 32, 8);
	ck_assert_int_eq(take_bytes(head, sizeof(head), &f), -EPROTO);
	/* Four gigabytes that are only promised take no memory. */
	put_le(head + 8, UINT32_MAX, 8);
	ck_assert_int_eq(take_bytes(head, sizeof(head), &f), 0);
}
END_TEST

/* ---- keys ---- */

static const struct {
	const char *template, *key, *made;
} templates[] = {
	{ "{key}", "a/b.c", "a/b.c" },
	{ "{dir}/{name}.gz", "a/b/c.tar", "a/b/c.tar.gz" },
	{ "{dir}/{name}.gz", "c.tar", "c.tar.gz" },
	{ "{dir}/{name}.gz", "/c", "/c.gz" },
	{ "out/{dir}/{stem}{ext}", "c.tar.gz", "out/c.tar.gz" },
	{ "{stem}|{ext}", "a/c.tar.gz", "c.tar|.gz" },
	{ "{stem}|{ext}", "a/.profile", ".profile|" },
	{ "{stem}|{ext}", "a.d/file", "file|" },
	{ "{stem}|{ext}", "a/", "|" },
	{ "{{{name}}}", "x", "{x}" },
	{ "same", "x", "same" },
	{ "", "x", "" },
};

START_TEST(test_templates)
{
	char made[64];
	int n;

	ck_assert_int_eq(map_template_check(templates[_i].template), 0);
	n = map_template(templates[_i].template, templates[_i].key, made,
			 sizeof(made));
	ck_assert_int_eq(n, (int)strlen(templates[_i].made));
	ck_assert_mem_eq(made, templates[_i].made, (size_t)n);
	/* not a byte beyond the room */
	if (n > 0)
		ck_assert_int_eq(map_template(templates[_i].template,
					      templates[_i].key, made,
					      (size_t)n - 1),
				 -ENAMETOOLONG);
}
END_TEST

START_TEST(test_bad_templates)
{
	static const char *const bad[] = { "{",      "}",     "{}",    "{dir",
					   "{keys}", "a}b",   "{{{",   "{dir}}",
					   "{ext",   "{foo}", "{path}" };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ck_assert_msg(map_template_check(bad[i]) == -EINVAL, "%s",
			      bad[i]);
}
END_TEST

START_TEST(test_key_text)
{
	unsigned str = (unsigned)blt_serializer_code("str");
	unsigned num = (unsigned)blt_serializer_code("int2");
	char *text = malloc(MAP_TEXT_ROOM);

	ck_assert_ptr_nonnull(text);
	ck_assert_int_eq(map_text(str, "a\0b%", 4, text), 6);
	ck_assert_str_eq(text, "a%00b%");
	ck_assert_int_eq(map_text(str, "", 0, text), 0);
	ck_assert_int_eq(map_text(num, "\xfe\xff", 2, text), 2);
	ck_assert_str_eq(text, "-2");
	ck_assert_int_eq(map_text(num, "\xfe", 1, text), 4);
	ck_assert_str_eq(text, "%xfe");
	free(text);
}
END_TEST

/* ---- options as bytes ---- */

static void same_options(const struct map_options *a,
			 const struct map_options *b)
{
	ck_assert_pstr_eq(a->glob, b->glob);
	ck_assert_pstr_eq(a->prefix, b->prefix);
	ck_assert_pstr_eq(a->key_template, b->key_template);
	ck_assert_pstr_eq(a->to, b->to);
	ck_assert_uint_eq(a->n_keys, b->n_keys);
	for (size_t i = 0; i < a->n_keys; i++) {
		ck_assert_uint_eq(a->keys[i].len, b->keys[i].len);
		if (a->keys[i].len)
			ck_assert_mem_eq(a->keys[i].bytes, b->keys[i].bytes,
					 a->keys[i].len);
	}
	for (size_t i = 0; a->argv[i] || b->argv[i]; i++)
		ck_assert_pstr_eq(a->argv[i], b->argv[i]);
	ck_assert(a->keys_only == b->keys_only && a->kind == b->kind &&
		  a->newer_than == b->newer_than &&
		  a->older_than == b->older_than &&
		  a->to_create == b->to_create &&
		  a->create.n_buckets == b->create.n_buckets &&
		  a->create.value_len == b->create.value_len &&
		  a->create.key_serializer == b->create.key_serializer &&
		  a->create.value_serializer == b->create.value_serializer &&
		  a->create.no_timestamps == b->create.no_timestamps &&
		  a->lock_timeout_ms == b->lock_timeout_ms &&
		  a->if_unchanged == b->if_unchanged &&
		  a->workers == b->workers && a->timeout_ms == b->timeout_ms &&
		  a->max_errors == b->max_errors);
}

START_TEST(test_packed)
{
	static const struct map_key keys[] = { { "one", 3 }, { "", 0 } };
	char cmd[] = "cmd", nothing[] = "", two[] = "x y";
	char *argv[] = { cmd, nothing, two, NULL };
	struct map_options o = { .glob = "*.txt",
				 .keys = keys,
				 .n_keys = 2,
				 .keys_only = true,
				 .older_than = 77,
				 .kind = MAP_SHARED,
				 .argv = argv,
				 .key_template = "",
				 .to = "other",
				 .to_create = true,
				 .create = { 1, 2, 3, 4, true },
				 .lock_timeout_ms = -1,
				 .if_unchanged = true,
				 .workers = 3,
				 .timeout_ms = 1500,
				 .max_errors = MAP_ERRORS_ANY };
	struct map_options back;
	uint8_t *bytes;
	size_t len;

	ck_assert_int_eq(map_pack(&o, &bytes, &len), 0);
	ck_assert_int_eq(map_unpack(bytes, len, &back), 0);
	same_options(&o, &back);
	map_options_free(&back);
	/* Nothing else is taken for options, nor read beyond. */
	for (size_t n = 0; n < len; n++) {
		uint8_t *cut = malloc(n + 1);

		ck_assert_ptr_nonnull(cut);
		memcpy(cut, bytes, n);
		ck_assert_int_eq(map_unpack(cut, n, &back), -EINVAL);
		free(cut);
	}
	for (size_t i = 0; i < len; i++) {
		bytes[i] ^= 0xff;
		if (map_unpack(bytes, len, &back) == 0)
			map_options_free(&back);
		bytes[i] ^= 0xff;
	}
	free(bytes);
}
END_TEST

/* ---- writes that depend on a value ---- */

static char dir[64];
static struct blt *store;

static void setup(void)
{
	struct blt_open_options how = { .mode = BLT_CREATE };
	char path[80];

	strcpy(dir, "/tmp/test-map-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s.blt", dir);
	ck_assert_int_eq(blt_open(path, &how, &store, NULL), 0);
}

static void teardown(void)
{
	char path[80];

	ck_assert_int_eq(blt_close(store), 0);
	snprintf(path, sizeof(path), "%s/s.blt", dir);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(rmdir(dir), 0);
}

static void put(const char *key, const char *value)
{
	ck_assert_int_eq(
		blt_put(store, key, strlen(key), value, strlen(value), BLT_NOW),
		0);
}

static void expect(const char *key, const char *value)
{
	struct blt_view v;

	ck_assert_int_eq(blt_get(store, key, strlen(key), &v), 0);
	ck_assert_uint_eq(v.len, strlen(value));
	ck_assert_mem_eq(v.data, value, v.len);
	blt_view_release(&v);
}

static uint64_t place(const char *key)
{
	struct blt_view v;
	uint64_t offset;

	ck_assert_int_eq(blt_get(store, key, strlen(key), &v), 0);
	offset = v.offset;
	blt_view_release(&v);
	return offset;
}

START_TEST(test_only_if)
{
	struct blt_batch *b;
	bool a_held = false, b_held = true, gone_held = true;
	uint64_t a, z, gone;

	put("a", "1");
	put("b", "2");
	put("gone", "3");
	a = place("a");
	z = place("b");
	gone = place("gone");
	put("b", "4");
	ck_assert_int_eq(blt_touch(store, "a", 1, 5), 0);
	ck_assert_int_eq(blt_delete(store, "gone", 4), 0);

	ck_assert_int_eq(blt_batch_new(store, &b), 0);
	ck_assert_int_eq(blt_batch_only_if(b, "a", 1, a, &a_held), 0);
	ck_assert_int_eq(blt_batch_put(b, "a", 1, "A", 1, BLT_NOW), 0);
	ck_assert_int_eq(blt_batch_put(b, "c", 1, "A", 1, BLT_NOW), 0);
	ck_assert_int_eq(blt_batch_only_if(b, "b", 1, z, &b_held), 0);
	ck_assert_int_eq(blt_batch_put(b, "b", 1, "B", 1, BLT_NOW), 0);
	ck_assert_int_eq(blt_batch_only_if(b, "gone", 4, gone, &gone_held), 0);
	ck_assert_int_eq(blt_batch_put(b, "gone", 4, "G", 1, BLT_NOW), 0);
	ck_assert_int_eq(blt_batch_only_if(b, NULL, 0, 0, NULL), 0);
	ck_assert_int_eq(blt_batch_put(b, "d", 1, "D", 1, BLT_NOW), 0);
	ck_assert_int_eq(blt_batch_commit(b), 0);

	ck_assert(a_held && !b_held && !gone_held);
	expect("a", "A");
	expect("b", "4");
	expect("c", "A");
	expect("d", "D");
	ck_assert_int_eq(
		blt_stat_key(store, "gone", 4, &(struct blt_stat){ 0 }),
		-ENOENT);
}
END_TEST

/* A key that must not be there: all or nothing. */
START_TEST(test_absent)
{
	struct blt_batch *b;
	struct blt_view v;

	ck_assert_int_eq(blt_put(store, "a", 1, "1", 1, BLT_NOW), 0);
	ck_assert_int_eq(blt_batch_new(store, &b), 0);
	ck_assert_int_eq(blt_batch_put(b, "b", 1, "2", 1, BLT_NOW), 0);
	ck_assert_int_eq(blt_batch_absent(b, "a", 1), 0);
	ck_assert_int_eq(blt_batch_commit(b), -EEXIST);
	ck_assert_int_eq(blt_get(store, "b", 1, &v), -ENOENT);
	ck_assert_int_eq(blt_batch_new(store, &b), 0);
	ck_assert_int_eq(blt_batch_delete(b, "a", 1), 0);
	ck_assert_int_eq(blt_batch_absent(b, "a", 1), 0);
	ck_assert_int_eq(blt_batch_put(b, "b", 1, "2", 1, BLT_NOW), 0);
	ck_assert_int_eq(blt_batch_commit(b), 0);
	ck_assert_int_eq(blt_batch_new(store, &b), 0);
	ck_assert_int_eq(blt_batch_put(b, "c", 1, "3", 1, BLT_NOW), 0);
	ck_assert_int_eq(blt_batch_absent(b, "c", 1), 0);
	ck_assert_int_eq(blt_batch_commit(b), -EEXIST);
	ck_assert_int_eq(blt_get(store, "c", 1, &v), -ENOENT);
}
END_TEST

/* A block that was written anew with the same bytes is the same value. */
START_TEST(test_only_if_same_bytes)
{
	struct blt_batch *b;
	bool held = false, other = true;
	uint64_t a;

	put("a", "same");
	a = place("a");
	put("a", "same");
	ck_assert_uint_ne(place("a"), a);
	ck_assert_int_eq(blt_batch_new(store, &b), 0);
	ck_assert_int_eq(blt_batch_only_if(b, "a", 1, a, &held), 0);
	ck_assert_int_eq(blt_batch_put(b, "a", 1, "new", 3, BLT_NOW), 0);
	ck_assert_int_eq(blt_batch_only_if(b, "a", 1, 3, &other), 0);
	ck_assert_int_eq(blt_batch_put(b, "a", 1, "never", 5, BLT_NOW), 0);
	ck_assert_int_eq(blt_batch_commit(b), 0);
	ck_assert(held && !other);
	expect("a", "new");
}
END_TEST

START_TEST(test_check_value)
{
	ck_assert_int_eq(blt_check_value(store, "\xff", 1), 0);
	ck_assert_int_eq(blt_check_value(store, "", 0), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("map");
	TCase *tc = tcase_create("bytes");
	TCase *on_store = tcase_create("store");

	tcase_set_timeout(tc, 0);
	tcase_add_loop_test(tc, test_frames, 0, 40);
	tcase_add_test(tc, test_bad_frames);
	tcase_add_loop_test(tc, test_templates, 0, (int)ARRAY_SIZE(templates));
	tcase_add_test(tc, test_bad_templates);
	tcase_add_test(tc, test_key_text);
	tcase_add_test(tc, test_packed);
	suite_add_tcase(s, tc);
	tcase_set_timeout(on_store, 0);
	tcase_add_checked_fixture(on_store, setup, teardown);
	tcase_add_test(on_store, test_only_if);
	tcase_add_test(on_store, test_absent);
	tcase_add_test(on_store, test_only_if_same_bytes);
	tcase_add_test(on_store, test_check_value);
	suite_add_tcase(s, on_store);
	return run_suite(s);
}
