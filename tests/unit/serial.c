#include "base/json.h"
#include "booklet/format/serial.h"
#include "lib/suite.h"
#include "base/util.h"
#include "lib/checked.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

enum {
	STR = 2,
	PICKLE = 3,
	JSON = 4,
	ORJSON = 5,
	ORJSON_ZSTD = 17,
	NUMPY_INT4 = 20,
	NUMPY_INT4_ZSTD = 23,
	PD_ZSTD = 25,
	ZSTD = 27
};

#define TEXT(text) (text), sizeof(text) - 1

/* Whatever the pieces that a value comes in, the answer is one. */
static int valid(unsigned code, const void *bytes, size_t len)
{
	int whole = serial_valid(code, bytes, len);

	for (size_t piece = 1; piece < 40; piece += piece < 3 ? 1 : 7) {
		struct serial_check *c;
		int err = 0;

		ck_assert_int_eq(serial_check_new(code, &c), 0);
		for (size_t i = 0; i < len && !err; i += piece)
			err = serial_check_feed(c, (const char *)bytes + i,
						min_u64(piece, len - i));
		if (!err)
			err = serial_check_end(c);
		serial_check_free(c);
		ck_assert_int_eq(err, whole);
	}
	return whole;
}

START_TEST(test_names)
{
	bool is_signed = false;

	ck_assert_str_eq(serial_name(1), "bytes");
	ck_assert_str_eq(serial_name(32), "bytes");
	ck_assert_int_eq(serial_code("bytes"), 32);
	for (unsigned code = 2; code <= 32; code++) {
		ck_assert_ptr_nonnull(serial_name(code));
		ck_assert_int_eq(serial_code(serial_name(code)), (int)code);
	}
	ck_assert_ptr_null(serial_name(0));
	ck_assert_ptr_null(serial_name(33));
	ck_assert_ptr_null(serial_name(65535));
	ck_assert_int_eq(serial_code("Str"), -EINVAL);
	ck_assert_int_eq(serial_code(""), -EINVAL);
	ck_assert_str_eq(serial_name(2), "str");
	ck_assert_str_eq(serial_name(12), "uint5");
	ck_assert_str_eq(serial_name(31), "msgpack_zstd");

	ck_assert_uint_eq(serial_int_width(13, &is_signed), 5);
	ck_assert(is_signed);
	ck_assert_uint_eq(serial_int_width(2, &is_signed), 0);
	ck_assert_uint_eq(serial_int_width(14, &is_signed), 8);
	ck_assert(!is_signed);
}
END_TEST

START_TEST(test_empty)
{
	for (unsigned code = 0; code < 40; code++) {
		bool any = code == 1 || code == 32;
		bool takes = any || code == 2 || (code >= 18 && code <= 21);

		ck_assert_int_eq(serial_takes_empty(code), takes);
		ck_assert_int_eq(valid(code, NULL, 0), takes ? 0 : -EINVAL);
		ck_assert_int_eq(serial_takes_all(code), any);
	}
}
END_TEST

START_TEST(test_widths)
{
	char zeros[9] = { 0 };

	for (unsigned code = 6; code <= 15; code++) {
		bool is_signed;
		unsigned width = serial_int_width(code, &is_signed);

		for (size_t n = 0; n <= 9; n++)
			ck_assert_int_eq(valid(code, zeros, n),
					 n == width ? 0 : -EINVAL);
	}
	ck_assert_int_eq(valid(NUMPY_INT4, zeros, 4), 0);
	ck_assert_int_eq(valid(NUMPY_INT4, zeros, 8), 0);
	ck_assert_int_eq(valid(NUMPY_INT4, zeros, 6), -EINVAL);
	ck_assert_int_eq(valid(NUMPY_INT4, zeros, 0), 0);
	ck_assert_int_eq(valid(PICKLE, zeros, 1), 0);
	ck_assert_int_eq(valid(PD_ZSTD, "ARROW1", 6), 0);
	ck_assert_int_eq(valid(0, zeros, 1), 0);
	ck_assert_int_eq(valid(999, zeros, 1), 0);
}
END_TEST

/* Every code point, encoded by hand, and its neighbours that are none. */
START_TEST(test_utf8)
{
	static const struct {
		const char *text;
		size_t len;
	} bad[] = {
		{ TEXT("\x80") },
		{ TEXT("\xbf") },
		{ TEXT("\xc0\x80") },
		{ TEXT("\xc1\xbf") },
		{ TEXT("\xc2") },
		{ TEXT("\xc2\x20") },
		{ TEXT("\xe0\x9f\xbf") },
		{ TEXT("\xe2\x82") },
		{ TEXT("\xed\xa0\x80") },
		{ TEXT("\xed\xbf\xbf") },
		{ TEXT("\xf0\x8f\xbf\xbf") },
		{ TEXT("\xf0\x9f\x98") },
		{ TEXT("\xf4\x90\x80\x80") },
		{ TEXT("\xf5\x80\x80\x80") },
		{ TEXT("\xff") },
		{ TEXT("abcdefgh\xff") },
		{ TEXT("abcdefgh\xe2\x82") },
		{ TEXT("\xe2\x82"
		       "abcdefgh") },
	};

	for (uint32_t u = 0; u <= 0x10ffff; u += u < 0x3000 ? 1 : 0x3f) {
		uint8_t b[4];
		size_t n;

		if (u < 0x80) {
			b[0] = (uint8_t)u;
			n = 1;
		} else if (u < 0x800) {
			b[0] = (uint8_t)(0xc0 | u >> 6);
			n = 2;
		} else if (u < 0x10000) {
			b[0] = (uint8_t)(0xe0 | u >> 12);
			n = 3;
		} else {
			b[0] = (uint8_t)(0xf0 | u >> 18);
			n = 4;
		}
		for (size_t i = 1; i < n; i++)
			b[i] = (uint8_t)(0x80 | (u >> (6 * (n - 1 - i)) & 63));
		ck_assert_int_eq(valid(STR, b, n),
				 u >= 0xd800 && u < 0xe000 ? -EINVAL : 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ck_assert_int_eq(valid(STR, bad[i].text, bad[i].len), -EINVAL);
	ck_assert_int_eq(valid(STR, TEXT("a\0b")), 0);
	ck_assert_int_eq(
		valid(STR,
		      TEXT("gr\xc3\xbc\xc3\x9f dich, \xf0\x9f\x98\x80 ok")),
		0);
}
END_TEST

START_TEST(test_json_good)
{
	static const char *const good[] = {
		"0",
		"-0",
		"1",
		"-1",
		"10",
		"1.5",
		"0.0",
		"1e5",
		"1E+5",
		"1e-5",
		"0e0",
		"0.000001e-400",
		"1e308",
		"1.7976931348623157e308",
		"-1.7976931348623157e+308",
		"1e-999999999999999999999",
		"0e999999999999999999999",
		"0.00e400",
		"18446744073709551616",
		"123456789012345678901234567890123456789012345678901234567890",
		"0.0000000000000000000000000000000000000000000000000001e350",
		" 1 ",
		"\t\r\n1\n",
		"true",
		"false",
		"null",
		" null\n",
		"\"\"",
		"\"a\"",
		"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\"",
		"\"\\u0000\"",
		"\"\\ud83d\\ude00\"",
		"\"\\uD83D\\uDE00x\"",
		"\"\xf0\x9f\x98\x80\"",
		"\"\x7f\"",
		"[]",
		"{}",
		"[ ]",
		"{ }",
		"[1]",
		"[1,2]",
		"[ 1 , 2 ]",
		"[[],[]]",
		"[{},{}]",
		"[-0]",
		"{\"a\":1}",
		"{ \"a\" : 1 , \"b\" : [ ] }",
		"{\"\":{}}",
		"{\"a\":1,\"a\":2}",
		"[true,false,null]",
		"[1.0,\"x\",null]",
		"{\"a\":[{\"b\":[{}]}]}",
		"[0]",
		"[1e5]",
		"{\"a\":0}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		ck_assert_msg(valid(JSON, good[i], strlen(good[i])) == 0,
			      "refused: %s", good[i]);
		ck_assert_msg(valid(ORJSON, good[i], strlen(good[i])) == 0,
			      "refused: %s", good[i]);
	}
}
END_TEST

START_TEST(test_json_bad)
{
	static const char *const bad[] = {
		"",
		" ",
		"01",
		"-",
		"-01",
		"+1",
		".5",
		"1.",
		"1.e5",
		"1e",
		"1e+",
		"1e400",
		"-1e309",
		"1.8e308",
		"0x1",
		"1 2",
		"1,",
		"--1",
		"1a",
		"NaN",
		"Infinity",
		"-Infinity",
		"nan",
		"tru",
		"truex",
		"True",
		"nulll",
		"n",
		"'a'",
		"\"",
		"\"a",
		"\"\\",
		"\"\\\"",
		"\"\\x\"",
		"\"\\u12\"",
		"\"\\u123g\"",
		"\"\\ud800\"",
		"\"\\udc00\"",
		"\"\\ud800x\"",
		"\"\\ud800\\n\"",
		"\"\\ud800\\u0041\"",
		"\"\\ud800\\ud800\"",
		"\"\t\"",
		"\"\n\"",
		"\"\x1f\"",
		"\"\x80\"",
		"\"\xed\xa0\x80\"",
		"\"\xc3\"",
		"\"\xc3\"x\"",
		"\xef\xbb\xbf"
		"1",
		"[",
		"]",
		"[1",
		"[1,",
		"[1,]",
		"[,1]",
		"[1 2]",
		"[1}",
		"{",
		"}",
		"{1:2}",
		"{\"a\"}",
		"{\"a\":}",
		"{\"a\":1,}",
		"{,}",
		"{\"a\" 1}",
		"{\"a\":1 \"b\":2}",
		"{\"a\":1]",
		"{a:1}",
		"{\"a\",1}",
		"[]]",
		"[][]",
		"{}{}",
		"\"a\" \"b\"",
		"/**/1",
		"1 //",
		"\v1",
		"\f1",
		"[1,,2]",
		"[\"a",
		"[\"a\":1]",
		"\xa0"
		"1",
		"{\"a\":1:2}",
		"1e5.5",
		"1.5.5",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ck_assert_msg(valid(ORJSON, bad[i], strlen(bad[i])) == -EINVAL,
			      "taken: %s", bad[i]);
	ck_assert_int_eq(valid(ORJSON, TEXT("1\0")), -EINVAL);
	ck_assert_int_eq(valid(ORJSON, TEXT("\"\0\"")), -EINVAL);
	ck_assert_int_eq(valid(ORJSON, TEXT("\"\\\0\"")), -EINVAL);
}
END_TEST

/* What json.loads takes and orjson.loads does not. */
START_TEST(test_json_python)
{
	static const char *const python[] = {
		"NaN",
		"Infinity",
		"-Infinity",
		"[NaN, -Infinity]",
		"{\"a\": Infinity}",
		"1e999",
		"-1e309",
		"\"\\ud800\"",
		"\"\\udc00x\"",
		"\"\\ud800\\u0041\"",
		"\"\\ud800\\n\"",
		"{\"\\ud800\": 1}",
	};
	static const char *const neither[] = {
		"-NaN",
		"+Infinity",
		"-I",
		"Infinit",
		"NaNs",
		"nan",
		"-Inf",
		"\"\\ud80\"",
		"\"\xed\xa0\x80\"",
		"\"\\ud800\\u00\"",
	};

	for (size_t i = 0; i < ARRAY_SIZE(python); i++) {
		ck_assert_msg(!valid(JSON, python[i], strlen(python[i])),
			      "json refused: %s", python[i]);
		ck_assert_msg(valid(ORJSON, python[i], strlen(python[i])),
			      "orjson took: %s", python[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(neither); i++)
		ck_assert_msg(valid(JSON, neither[i], strlen(neither[i])),
			      "json took: %s", neither[i]);
}
END_TEST

static void depth(unsigned code, size_t most)
{
	static char text[2 * JSON_DEPTH + 2];

	for (size_t n = most - 1; n <= most + 1; n++) {
		memset(text, '[', n);
		memset(text + n, ']', n);
		ck_assert_int_eq(valid(code, text, 2 * n),
				 n > most ? -EINVAL : 0);
		ck_assert_int_eq(valid(code, text, 2 * n - 1), -EINVAL);
	}
}

START_TEST(test_json_depth)
{
	depth(JSON, JSON_DEPTH_PYTHON);
	depth(ORJSON, JSON_DEPTH);
}
END_TEST

/* An integer of 4301 digits, and zeros in front of a small exponent. */
START_TEST(test_json_long_numbers)
{
	static char text[6000];

	memset(text, '1', 4301);
	ck_assert_int_eq(serial_valid(ORJSON, text, 309), 0);
	ck_assert_int_eq(serial_valid(ORJSON, text, 310), -EINVAL);
	ck_assert_int_eq(serial_valid(JSON, text, 4300), 0);
	ck_assert_int_eq(serial_valid(JSON, text, 4301), -EINVAL);
	text[4301] = 'e';
	text[4302] = '1';
	ck_assert_int_eq(serial_valid(JSON, text, 4303), 0);
	memset(text, '0', sizeof(text));
	memcpy(text + 1, ".", 1);
	memcpy(text + 5000, "1e5000", 6);
	ck_assert_int_eq(serial_valid(ORJSON, text, 5006), 0);
	memcpy(text + 5000, "1e5400", 6);
	ck_assert_int_eq(serial_valid(ORJSON, text, 5006), -EINVAL);
	ck_assert_int_eq(serial_valid(JSON, text, 5006), 0);
}
END_TEST

static size_t compress(char *to, size_t room, const char *text, size_t len,
		       bool checksum, bool with_size)
{
	ZSTD_CCtx *c = ZSTD_createCCtx();
	size_t n;

	ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, checksum);
	ZSTD_CCtx_setParameter(c, ZSTD_c_contentSizeFlag, with_size);
	n = ZSTD_compress2(c, to, room, text, len);
	ck_assert(!ZSTD_isError(n));
	ZSTD_freeCCtx(c);
	return n;
}

START_TEST(test_zstd)
{
	static char frame[4096], big[300000], packed[310000];
	size_t n =
		compress(frame, sizeof(frame), TEXT("{\"a\": 1}"), true, true);
	size_t m;

	ck_assert_int_eq(valid(ZSTD, frame, n), 0);
	ck_assert_int_eq(valid(ORJSON_ZSTD, frame, n), 0);
	for (size_t i = 0; i < n; i++)
		ck_assert_int_eq(valid(ZSTD, frame, i), -EINVAL);
	frame[n] = 0;
	ck_assert_int_eq(valid(ZSTD, frame, n + 1), -EINVAL);
	memcpy(frame + n, frame, n);
	ck_assert_int_eq(valid(ZSTD, frame, 2 * n), -EINVAL);
	frame[n - 1] ^= 1; /* of the checksum */
	ck_assert_int_eq(valid(ZSTD, frame, n), -EINVAL);

	n = compress(frame, sizeof(frame), TEXT(""), false, true);
	ck_assert_int_eq(valid(NUMPY_INT4_ZSTD, frame, n), 0);
	ck_assert_int_eq(valid(NUMPY_INT4_ZSTD, frame, 0), -EINVAL);

	n = compress(frame, sizeof(frame), TEXT("{\"a\": 1"), false, true);
	ck_assert_int_eq(valid(ZSTD, frame, n), 0);
	ck_assert_int_eq(valid(ORJSON_ZSTD, frame, n), -EINVAL);
	n = compress(frame, sizeof(frame), TEXT("1"), false, false);
	ck_assert_int_eq(valid(ZSTD, frame, n), -EINVAL);
	n = compress(frame, sizeof(frame), "", 0, false, true);
	ck_assert_int_eq(valid(ZSTD, frame, n), 0);
	ck_assert_int_eq(valid(16, frame, n), -EINVAL);
	ck_assert_int_eq(valid(ZSTD, "hello, world, hello", 19), -EINVAL);
	ck_assert_int_eq(valid(ZSTD, "\x50\x2a\x4d\x18\0\0\0\0", 8), -EINVAL);

	memset(big, '9', sizeof(big));
	big[0] = '"';
	big[sizeof(big) - 1] = '"';
	m = compress(packed, sizeof(packed), big, sizeof(big), true, true);
	ck_assert_int_eq(valid(ORJSON_ZSTD, packed, m), 0);
	big[sizeof(big) - 1] = '9';
	m = compress(packed, sizeof(packed), big, sizeof(big), true, true);
	ck_assert_int_eq(valid(ORJSON_ZSTD, packed, m), -EINVAL);
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * i >> 7);
	m = compress(packed, sizeof(packed), big, sizeof(big), false, true);
	ck_assert_int_eq(valid(ZSTD, packed, m), 0);
	ck_assert_int_eq(valid(ZSTD, packed, m - 1), -EINVAL);
}
END_TEST

/* A value out of a file that Python wrote. */
START_TEST(test_python_frame)
{
	static const char hex[] = "28b52ffd6031019500005868656c6c6f207a73746420"
				  "0100235c152f";
	uint8_t frame[sizeof(hex) / 2];

	ck_assert_int_eq(hex_decode(frame, hex, sizeof(hex) - 1), 0);
	ck_assert_int_eq(valid(ZSTD, frame, sizeof(frame)), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("serial");
	TCase *tc = tcase_create("serial");

	tcase_set_timeout(tc, 0);
	tcase_add_test(tc, test_names);
	tcase_add_test(tc, test_empty);
	tcase_add_test(tc, test_widths);
	tcase_add_test(tc, test_utf8);
	tcase_add_test(tc, test_json_good);
	tcase_add_test(tc, test_json_bad);
	tcase_add_test(tc, test_json_python);
	tcase_add_test(tc, test_json_depth);
	tcase_add_test(tc, test_json_long_numbers);
	tcase_add_test(tc, test_zstd);
	tcase_add_test(tc, test_python_frame);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
