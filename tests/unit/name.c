#include "booklet/format/name.h"
#include "lib/rnd.h"
#include "lib/suite.h"
#include "base/util.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const struct name_rules plain = { .control = ".bltfs" };
static const struct name_rules flat = { .flat = true, .control = ".bltfs" };
static const struct name_rules uint1 = { .int_width = 1, .control = "200" };
static const struct name_rules int1 = { .int_width = 1, .int_signed = true };
static const struct name_rules uint5 = { .int_width = 5 };
static const struct name_rules int8 = { .int_width = 8, .int_signed = true };
static const struct name_rules uint8 = { .int_width = 8 };

#define COMP(text) (text), sizeof(text) - 1

static const struct known {
	const struct name_rules *rules;
	const char *comp;
	size_t len;
	bool first, conflict;
	const char *name;
} known[] = {
	{ &plain, COMP("a"), true, false, "a" },
	{ &plain, COMP("a"), true, true, "a%" },
	{ &plain, COMP(""), false, false, "%" },
	{ &plain, COMP(""), false, true, "%%" },
	{ &plain, COMP("%"), true, false, "%25" },
	{ &plain, COMP("%"), true, true, "%25%" },
	{ &plain, COMP("%%"), true, false, "%25%25" },
	{ &plain, COMP("%41"), true, false, "%2541" },
	{ &plain, COMP("\0"), true, false, "%00" },
	{ &plain, COMP("a\0b"), true, false, "a%00b" },
	{ &plain, COMP("."), true, false, "%2E" },
	{ &plain, COMP("."), false, true, "%2E%" },
	{ &plain, COMP(".."), true, false, "%2E%2E" },
	{ &plain, COMP("..."), true, false, "..." },
	{ &plain, COMP(".a"), true, false, ".a" },
	{ &plain, COMP("\xff\n *"), true, false, "\xff\n *" },
	{ &plain, COMP("%x00"), true, false, "%25x00" },
	{ &plain, COMP("%~"), true, false, "%25~" },
	{ &plain, COMP(".bltfs"), true, false, "%2Ebltfs" },
	{ &plain, COMP(".bltfs"), true, true, "%2Ebltfs%" },
	{ &plain, COMP(".bltfs"), false, false, ".bltfs" },
	{ &plain, COMP("bltfs"), true, false, "bltfs" },
	{ &flat, COMP("a/b"), true, false, "a%2Fb" },
	{ &flat, COMP("/"), true, false, "%2F" },
	{ &flat, COMP("a/"), true, false, "a%2F" },
	{ &flat, COMP(""), true, false, "%" },
	{ &flat, COMP(".bltfs"), true, false, "%2Ebltfs" },
	{ &flat, COMP(".bltfs"), true, true, "%2Ebltfs%" },
	{ &flat, COMP("../.."), true, false, "..%2F.." },
	{ &uint1, COMP("\0"), true, false, "0" },
	{ &uint1, COMP("\xff"), true, false, "255" },
	{ &uint1, COMP("\xc8"), true, false, "%3200" },
	{ &uint1, COMP(""), true, false, "%x" },
	{ &uint1, COMP("\x0a\xb0"), true, false, "%x0ab0" },
	{ &int1, COMP("\x7f"), true, false, "127" },
	{ &int1, COMP("\x80"), true, false, "-128" },
	{ &int1, COMP("\xff"), true, false, "-1" },
	{ &uint5, COMP("\xff\xff\xff\xff\xff"), true, false, "1099511627775" },
	{ &uint8, COMP("\xff\xff\xff\xff\xff\xff\xff\xff"), true, false,
	  "18446744073709551615" },
	{ &int8, COMP("\0\0\0\0\0\0\0\x80"), true, false,
	  "-9223372036854775808" },
	{ &int8, COMP("\xff\xff\xff\xff\xff\xff\xff\x7f"), true, false,
	  "9223372036854775807" },
};

START_TEST(test_known)
{
	const struct known *k = &known[_i];
	struct name_parsed got;
	char name[NAME_BUF];

	ck_assert_int_eq(name_write(k->rules, k->comp, k->len, k->first,
				    k->conflict, NULL, name),
			 (int)strlen(k->name));
	ck_assert_str_eq(name, k->name);
	ck_assert_int_eq(
		name_read(k->rules, name, strlen(name), k->first, &got), 0);
	ck_assert_int_eq(got.form, k->conflict ? NAME_CONFLICT : NAME_PLAIN);
	ck_assert_uint_eq(got.comp_len, k->len);
	ck_assert_mem_eq(got.comp, k->comp, k->len);
}
END_TEST

static const struct {
	const struct name_rules *rules;
	const char *name;
	size_t len;
	bool first;
} no_name[] = {
	{ &plain, COMP(""), false },
	{ &plain, COMP("."), false },
	{ &plain, COMP(".."), false },
	{ &plain, COMP(".%"), false },
	{ &plain, COMP("..%"), false },
	{ &plain, COMP("%%%"), false },
	{ &plain, COMP("a%%"), false },
	{ &plain, COMP("a/b"), false },
	{ &plain, COMP("a\0b"), false },
	{ &plain, COMP("a\0"), false },
	{ &plain, COMP("%41"), false },
	{ &plain, COMP("%2e"), false },
	{ &plain, COMP("%2E."), false },
	{ &plain, COMP(".%2E"), false },
	{ &plain, COMP("%2E%2E%2E"), false },
	{ &plain, COMP("%2F"), false },
	{ &plain, COMP("a%2Fb"), false },
	{ &plain, COMP("%0"), false },
	{ &plain, COMP("%2"), false },
	{ &plain, COMP("%g0"), false },
	{ &plain, COMP("%x"), false },
	{ &plain, COMP("%x00"), false },
	{ &plain, COMP("%a"), false },
	{ &plain, COMP("a%b"), false },
	{ &plain, COMP(".bltfs"), true },
	{ &plain, COMP(".bltfs%"), true },
	{ &plain, COMP("%2Ebltfs"), false },
	{ &plain, COMP("%2ebltfs"), true },
	{ &flat, COMP(".bltfs"), true },
	{ &flat, COMP("%2f"), true },
	{ &flat, COMP("a/b"), true },
	{ &plain, COMP("%~"), false },
	{ &plain, COMP("%~%"), false },
	{ &plain, COMP("%~0123456789abcdef012345678"), false },
	{ &plain, COMP("%~0123456789abcdef0123456789a"), false },
	{ &plain, COMP("%~0123456789abcdef0123456789%%"), false },
	{ &plain, COMP("%~0123456789ABCDEF0123456789"), false },
	{ &plain, COMP("%~0123456789abcdeg0123456789"), false },
	{ &uint1, COMP("200"), true },
	{ &uint1, COMP("256"), true },
	{ &uint1, COMP("-1"), true },
	{ &uint1, COMP("+1"), true },
	{ &uint1, COMP("01"), true },
	{ &uint1, COMP("1 "), true },
	{ &uint1, COMP("1%31"), true },
	{ &uint1, COMP("%31"), true },
	{ &uint1, COMP("%3201"), true },
	{ &uint1, COMP("%"), true },
	{ &uint1, COMP("%%"), true },
	{ &uint1, COMP("a"), true },
	{ &uint1, COMP("%x1"), true },
	{ &uint1, COMP("%x01"), true },
	{ &uint1, COMP("%x0AB0"), true },
	{ &int1, COMP("128"), true },
	{ &int1, COMP("-129"), true },
	{ &int1, COMP("-0"), true },
	{ &int1, COMP("-"), true },
	{ &int1, COMP("--1"), true },
	{ &int1, COMP("-01"), true },
	{ &uint5, COMP("1099511627776"), true },
	{ &uint8, COMP("18446744073709551616"), true },
	{ &uint8, COMP("18446744073709551620"), true },
	{ &uint8, COMP("99999999999999999999999"), true },
	{ &int8, COMP("9223372036854775808"), true },
	{ &int8, COMP("-9223372036854775809"), true },
};

START_TEST(test_no_name)
{
	struct name_parsed got;

	ck_assert_int_eq(name_read(no_name[_i].rules, no_name[_i].name,
				   no_name[_i].len, no_name[_i].first, &got),
			 -EINVAL);
}
END_TEST

/* 255 bytes as written fit, one more makes a long name. */
START_TEST(test_long)
{
	struct keyhash h = keyhash_of("x", 1);
	struct name_parsed got;
	char name[NAME_BUF], hex[27];
	uint8_t comp[400];

	memset(comp, 'y', sizeof(comp));
	hex_encode(hex, h.byte, KEYHASH_LEN);
	ck_assert_int_eq(name_write(&plain, comp, 255, true, false, NULL, name),
			 255);
	ck_assert_int_eq(name_write(&plain, comp, 255, true, true, NULL, name),
			 -ENAMETOOLONG);
	ck_assert_int_eq(name_write(&plain, comp, 255, true, true, &h, name),
			 29);
	ck_assert_int_eq(strncmp(name, "%~", 2), 0);
	ck_assert_int_eq(strncmp(name + 2, hex, 26), 0);
	ck_assert_str_eq(name + 28, "%");
	ck_assert_int_eq(name_read(&plain, name, 29, true, &got), 0);
	ck_assert_int_eq(got.form, NAME_LONG_CONFLICT);
	ck_assert(keyhash_equal(&got.hash, &h));
	ck_assert_int_eq(name_write(&plain, comp, 256, true, false, &h, name),
			 28);
	ck_assert_int_eq(name_read(&plain, name, 28, true, &got), 0);
	ck_assert_int_eq(got.form, NAME_LONG);
	comp[3] = '%';
	ck_assert_int_eq(name_write(&plain, comp, 253, true, false, NULL, name),
			 255);
	ck_assert_int_eq(name_write(&plain, comp, 254, true, false, &h, name),
			 28);
	ck_assert_int_eq(name_write(&uint5, comp, 126, true, false, NULL, name),
			 254);
	ck_assert_int_eq(name_read(&uint5, name, 254, true, &got), 0);
	ck_assert_int_eq(name_write(&uint5, comp, 126, true, true, NULL, name),
			 255);
	ck_assert_int_eq(name_write(&uint5, comp, 127, true, false, &h, name),
			 28);
	memset(name, 'y', sizeof(name));
	ck_assert_int_eq(name_read(&plain, name, 256, true, &got), -EINVAL);
}
END_TEST

static size_t random_comp(const struct name_rules *rules, uint8_t *comp)
{
	static const char odd[] = "%.~x02EF5ab/bltfs";
	uint32_t kind = rnd(16);
	size_t len = rnd(6);

	if (kind == 0)
		len = 240 + rnd(40);
	else if (kind == 1)
		len = 80 + rnd(60);
	else if (rules->int_width > 0 && kind < 12)
		len = rules->int_width;
	for (size_t i = 0; i < len; i++) {
		comp[i] = kind % 2 || kind == 0 ?
				  (uint8_t)odd[rnd(sizeof(odd))] :
				  (uint8_t)rnd(256);
		if (kind == 0 && rnd(8))
			comp[i] = 'z';
		if (comp[i] == '/' && !rules->flat && rules->int_width == 0)
			comp[i] = '%';
	}
	if (kind == 2 && rules->control) {
		len = strlen(rules->control);
		memcpy(comp, rules->control, len);
	}
	return len;
}

/* One change to a name: the result is no name, or another thing's only one. */
static void change_one(const struct name_rules *rules, bool first,
		       const char *name, size_t len)
{
	struct name_parsed was, got;
	char changed[3 * NAME_BUF], again[NAME_BUF];
	size_t at = rnd((uint32_t)len);
	size_t n = len;

	memcpy(changed, name, len);
	switch (rnd(4)) {
	case 0: /* a byte spelled as an escape */
		n = len + 2;
		memmove(changed + at + 3, changed + at + 1, len - at - 1);
		snprintf(again, sizeof(again), rnd(2) ? "%%%02X" : "%%%02x",
			 (unsigned char)name[at]);
		memcpy(changed + at, again, 3);
		break;
	case 1: /* a letter in the other case */
		changed[at] = (char)(changed[at] ^ 0x20);
		break;
	case 2:
		n = len + 1;
		memmove(changed + at + 1, changed + at, len - at);
		changed[at] = "%0/.\0"[rnd(5)];
		break;
	default:
		n = len - 1;
		memmove(changed + at, changed + at + 1, len - at - 1);
	}
	if (name_read(rules, changed, n, first, &got) < 0)
		return;
	ck_assert(n != len || memcmp(changed, name, n) != 0);
	if (got.form == NAME_LONG || got.form == NAME_LONG_CONFLICT)
		return;
	ck_assert_int_eq(name_write(rules, got.comp, got.comp_len, first,
				    got.form == NAME_CONFLICT, NULL, again),
			 (int)n);
	ck_assert_mem_eq(again, changed, n);
	ck_assert_int_eq(name_read(rules, name, len, first, &was), 0);
	ck_assert(was.form != got.form || was.comp_len != got.comp_len ||
		  memcmp(was.comp, got.comp, got.comp_len) != 0);
}

/* What is written reads back as what it was; so no two have one name. */
START_TEST(test_round_trip)
{
	static const struct name_rules *const all[] = {
		&plain, &flat, &plain, &uint1, &int1, &uint5, &int8, &uint8,
	};

	for (int i = 0; i < 1000000; i++) {
		const struct name_rules *rules = all[rnd(ARRAY_SIZE(all))];
		bool first = rnd(2), conflict = rnd(2);
		uint8_t comp[300];
		size_t len = random_comp(rules, comp);
		struct keyhash h = { .byte = { (uint8_t)i } };
		struct name_parsed got;
		char name[NAME_BUF];
		int n = name_write(rules, comp, len, first, conflict, &h, name);

		if (n < 1 || n > NAME_MAX_LEN || strlen(name) != (size_t)n ||
		    strchr(name, '/') || strcmp(name, ".") == 0 ||
		    strcmp(name, "..") == 0)
			ck_abort_msg("no file name: %s", name);
		if (first && rules->control &&
		    strcmp(name, rules->control) == 0)
			ck_abort_msg("the control name: %s", name);
		if (name_read(rules, name, (size_t)n, first, &got) < 0)
			ck_abort_msg("does not read back: %s", name);
		if (conflict != (got.form == NAME_CONFLICT ||
				 got.form == NAME_LONG_CONFLICT))
			ck_abort_msg("wrong form: %s", name);
		if (got.form == NAME_PLAIN || got.form == NAME_CONFLICT) {
			if (got.comp_len != len ||
			    memcmp(got.comp, comp, len) != 0)
				ck_abort_msg("reads otherwise: %s", name);
		} else if (!keyhash_equal(&got.hash, &h)) {
			ck_abort_msg("wrong hash: %s", name);
		}
		change_one(rules, first, name, (size_t)n);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("name");
	TCase *tc = tcase_create("name");

	tcase_set_timeout(tc, 0);
	tcase_add_loop_test(tc, test_known, 0, ARRAY_SIZE(known));
	tcase_add_loop_test(tc, test_no_name, 0, ARRAY_SIZE(no_name));
	tcase_add_test(tc, test_long);
	tcase_add_test(tc, test_round_trip);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
