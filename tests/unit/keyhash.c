#include "booklet/format/keyhash.h"
#include "lib/suite.h"
#include "base/util.h"

#include <blake2.h>
#include "lib/checked.h"

#include <stdio.h>
#include <stdlib.h>

/* Digests and remainders as Python's hashlib computes them. */
static const struct {
	const char *key;
	const char *hex;
	uint32_t mod_5, mod_12007, mod_max;
} known[] = {
	{ "adb01ebc1ba3433eb043527", "427ef509e6ef2cbf166e6e8201", 3, 1352,
	  1267784768 },
	{ "", "758fe2c70fa22afd145e08c8c1", 2, 10508, 2367000667 },
	{ "key000", "833ba75e7633bff4576a45074e", 2, 8518, 1521211807 },
};

START_TEST(test_known)
{
	struct keyhash h = keyhash_of(known[_i].key, strlen(known[_i].key));
	char hex[2 * KEYHASH_LEN + 1];

	hex_encode(hex, h.byte, KEYHASH_LEN);
	ck_assert_str_eq(hex, known[_i].hex);
	ck_assert_uint_eq(keyhash_bucket(&h, 1), 0);
	ck_assert_uint_eq(keyhash_bucket(&h, 5), known[_i].mod_5);
	ck_assert_uint_eq(keyhash_bucket(&h, 12007), known[_i].mod_12007);
	ck_assert_uint_eq(keyhash_bucket(&h, UINT32_MAX), known[_i].mod_max);
}
END_TEST

/* Each length at each of some places in memory, and between bytes that must
 * not count. */
START_TEST(test_ways)
{
	const struct keyhash_way *way = &keyhash_ways[_i];
	uint8_t bytes[KEYHASH_BLOCK + 16], expected[KEYHASH_LEN];
	struct keyhash_digest digest;

	if (!way->works())
		return;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(37 * i + 200);
	for (size_t at = 0; at < 16; at++)
		for (size_t len = 0; len <= KEYHASH_BLOCK; len++) {
			struct keyhash_key key = { bytes + at, len };

			blake2s(expected, bytes + at, NULL, KEYHASH_LEN, len,
				0);
			way->one(&key, &digest);
			ck_assert_mem_eq(digest.byte, expected, KEYHASH_LEN);
		}
}
END_TEST

START_TEST(test_ways_side_by_side)
{
	const struct keyhash_way *way = &keyhash_ways[_i];
	struct keyhash_digest digest[KEYHASH_MANY];
	struct keyhash_key key[KEYHASH_MANY];
	uint8_t bytes[KEYHASH_BLOCK + KEYHASH_MANY], expected[KEYHASH_LEN];

	if (!way->works())
		return;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(91 * i + 7);
	for (size_t len = 0; len <= KEYHASH_BLOCK; len++) {
		for (size_t i = 0; i < KEYHASH_MANY; i++)
			key[i] = (struct keyhash_key){
				bytes + i, (len + 5 * i) % (KEYHASH_BLOCK + 1)
			};
		way->many(key, digest);
		for (size_t i = 0; i < KEYHASH_MANY; i++) {
			blake2s(expected, key[i].bytes, NULL, KEYHASH_LEN,
				key[i].len, 0);
			ck_assert_mem_eq(digest[i].byte, expected, KEYHASH_LEN);
		}
	}
}
END_TEST

/* The remainder of a long division by hand. */
START_TEST(test_bucket)
{
	struct keyhash h;

	for (unsigned i = 0; i < 1000; i++) {
		uint32_t n = i % 3 ? 1 + i * 2654435761u % UINT32_MAX : i + 1;
		uint64_t rest = 0;

		h = keyhash_of(&i, sizeof(i));
		if (i % 7 == 0)
			memset(h.byte, 255, KEYHASH_LEN);
		for (int k = KEYHASH_LEN; k-- > 0;)
			rest = (rest << 8 | h.byte[k]) % n;
		ck_assert_uint_eq(keyhash_bucket(&h, n), rest);
	}
}
END_TEST

START_TEST(test_more_than_one_block)
{
	struct keyhash h;
	uint8_t key[768];
	char hex[2 * KEYHASH_LEN + 1];

	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)i;
	h = keyhash_of(key, sizeof(key));
	hex_encode(hex, h.byte, KEYHASH_LEN);
	ck_assert_str_eq(hex, "76568e8154ded7403227eda69d");
	ck_assert_uint_eq(keyhash_bucket(&h, 20736017), 3023077);
}
END_TEST

START_TEST(test_longer_and_longer)
{
	uint8_t key[400];
	struct keyhash_prefixes p = { .key = key };

	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)(i * 7);
	for (size_t len = 0; len <= sizeof(key); len += 1 + len % 5) {
		struct keyhash h = keyhash_of_prefix(&p, len);
		struct keyhash whole = keyhash_of(key, len);

		ck_assert(keyhash_equal(&h, &whole));
	}
}
END_TEST

START_TEST(test_empty_without_bytes)
{
	struct keyhash none = keyhash_of(NULL, 0);
	struct keyhash empty = keyhash_of("", 0);

	ck_assert(keyhash_equal(&none, &empty));
}
END_TEST

/* A block that Python wrote: its hash, and the key behind the block header. */
START_TEST(test_vector)
{
	const long first_block = 200 + 6 * 12007;
	uint8_t block[13 + 6 + 2 + 4 + 7 + 6];
	struct keyhash h;
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/small.blt", getenv("VECTORS"));
	f = fopen(path, "rb");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(fseek(f, first_block, SEEK_SET), 0);
	ck_assert_uint_eq(fread(block, sizeof(block), 1, f), 1);
	fclose(f);
	h = keyhash_of(block + 32, 6);
	ck_assert_mem_eq(block, h.byte, KEYHASH_LEN);
}
END_TEST

START_TEST(test_equal_and_word)
{
	struct keyhash a = keyhash_of("a", 1), b = a;

	ck_assert(keyhash_equal(&a, &b));
	ck_assert_uint_eq(keyhash_word(&a), keyhash_word(&b));
	b.byte[12] ^= 1;
	ck_assert(!keyhash_equal(&a, &b));
	b = a;
	b.byte[0] ^= 1;
	ck_assert(!keyhash_equal(&a, &b));
	ck_assert_uint_ne(keyhash_word(&a), keyhash_word(&b));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("keyhash");
	TCase *tc = tcase_create("keyhash");

	tcase_set_timeout(tc, 0);
	tcase_add_loop_test(tc, test_known, 0, ARRAY_SIZE(known));
	tcase_add_loop_test(tc, test_ways, 0, (int)keyhash_n_ways);
	tcase_add_loop_test(tc, test_ways_side_by_side, 0, (int)keyhash_n_ways);
	tcase_add_test(tc, test_bucket);
	tcase_add_test(tc, test_more_than_one_block);
	tcase_add_test(tc, test_longer_and_longer);
	tcase_add_test(tc, test_empty_without_bytes);
	tcase_add_test(tc, test_vector);
	tcase_add_test(tc, test_equal_and_word);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
