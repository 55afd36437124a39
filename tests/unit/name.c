#include "booklet/format/name.h"
#include "lib/rnd.h"
#include "lib/suite.h"
#include "base/util.h"
#include "lib/checked.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct name_rules plain = { .control = ".bltfs" };
static const struct name_rules flat = { .flat = true, .control = ".bltfs" };
static const struct name_rules uint1 = { .int_width = 1, .control = "200" };
static const struct name_rules int1 = { .int_width = 1, .int_signed = true };
static const struct name_rules uint5 = { .int_width = 5 };
static const struct name_rules int8 = { .int_width = 8, .int_signed = true };
static const struct name_rules uint8 = { .int_width = 8 };

#define COMP(text) (text), sizeof(text) - 1

/* The component that is a key and a directory at once. */
struct both {
	const void *comp;
	size_t len;
};

static int is_both(void *arg, const uint8_t *comp, size_t len)
{
	const struct both *b = arg;

	return b->comp && b->len == len && memcmp(b->comp, comp, len) == 0;
}

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
	{ &plain, COMP("%%"), true, false, "%%" },
	{ &plain, COMP("%41"), true, false, "%41" },
	{ &plain, COMP("100%"), true, false, "100%" },
	{ &plain, COMP("%00"), true, false, "%2500" },
	{ &plain, COMP("a%2500b"), true, false, "a%252500b" },
	{ &plain, COMP("%25"), true, false, "%2525" },
	{ &plain, COMP("%2E"), true, false, "%252E" },
	{ &plain, COMP("%2E%2E"), true, false, "%252E%2E" },
	{ &plain, COMP("%2E%2E%2E"), true, false, "%2E%2E%2E" },
	{ &plain, COMP(".%"), true, false, ".%" },
	{ &plain, COMP("%2F"), true, false, "%2F" },
	{ &flat, COMP("%2F"), true, false, "%252F" },
	{ &flat, COMP("%2f"), true, false, "%2f" },
	{ &plain, COMP("%2Ebltfs"), true, false, "%252Ebltfs" },
	{ &plain, COMP("%2Ebltfs"), false, false, "%2Ebltfs" },
	{ &plain, COMP("%~0123456789abcdef0123456789"), true, false,
	  "%25~0123456789abcdef0123456789" },
	{ &plain, COMP("%~0123456789abcdef0123456789%25"), true, false,
	  "%25~0123456789abcdef0123456789%25" },
	{ &plain, COMP("%~0123456789ABCDEF0123456789"), true, false,
	  "%~0123456789ABCDEF0123456789" },
	{ &plain, COMP("%~0123456789abcdef0123456789a"), true, false,
	  "%~0123456789abcdef0123456789a" },
	{ &plain, COMP("\0"), true, false, "%00" },
	{ &plain, COMP("a\0b"), true, false, "a%00b" },
	{ &plain, COMP("."), true, false, "%2E" },
	{ &plain, COMP("."), false, true, "%2E%" },
	{ &plain, COMP(".."), true, false, "%2E%2E" },
	{ &plain, COMP("..."), true, false, "..." },
	{ &plain, COMP(".a"), true, false, ".a" },
	{ &plain, COMP("\xff\n *"), true, false, "\xff\n *" },
	{ &plain, COMP("%x00"), true, false, "%x00" },
	{ &plain, COMP("%~"), true, false, "%~" },
	{ &plain, COMP(".bltfs"), true, false, "%2Ebltfs" },
	{ &plain, COMP(".bltfs"), true, true, "%2Ebltfs%" },
	{ &plain, COMP(".bltfs"), false, false, ".bltfs" },
	{ &plain, COMP("bltfs"), true, false, "bltfs" },
	{ &flat, COMP("a/b"), true, false, "a%2Fb" },
	{ &flat, COMP("/"), true, false, "%2F" },
	{ &flat, COMP("a/"), true, false, "a%2F" },
	{ &flat, COMP(""), true, false, "%" },
	{ &flat, COMP(".bltfs"), true, false, "%2Ebltfs" },
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
	struct both both = { k->conflict ? k->comp : NULL, k->len };
	struct name_beside beside = { is_both, &both };
	struct name_beside *in = k->rules->flat ? NULL : &beside;
	struct name_parsed got;
	char name[NAME_BUF];

	ck_assert_int_eq(name_write(k->rules, k->comp, k->len, k->first,
				    k->conflict, NULL, in, name),
			 (int)strlen(k->name));
	ck_assert_str_eq(name, k->name);
	ck_assert_int_eq(
		name_read(k->rules, name, strlen(name), k->first, in, &got), 0);
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
	{ &plain, COMP("a/b"), false },
	{ &plain, COMP("a\0b"), false },
	{ &plain, COMP("a\0"), false },
	{ &plain, COMP(".bltfs"), true },
	{ &flat, COMP(".bltfs"), true },
	{ &flat, COMP("a/b"), true },
	{ &plain, COMP("both%%"), false },
	{ &plain, COMP("both%%25"), false },
	{ &plain, COMP("%~0123456789abcdef0123456789%%"), false },
	{ &plain, COMP("%~0123456789abcdef0123456789%25"), false },
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
	struct both both = { "both", 4 };
	struct name_beside beside = { is_both, &both };
	struct name_parsed got;

	ck_assert_int_eq(name_read(no_name[_i].rules, no_name[_i].name,
				   no_name[_i].len, no_name[_i].first,
				   no_name[_i].rules->flat ? NULL : &beside,
				   &got),
			 -EINVAL);
}
END_TEST

/* 255 bytes as written fit, one more makes a long name. */
START_TEST(test_long)
{
	uint8_t comp[400];
	struct keyhash h = keyhash_of("x", 1);
	struct both both = { comp, 254 };
	struct name_beside beside = { is_both, &both };
	struct name_parsed got;
	char name[NAME_BUF], hex[27];

	memset(comp, 'y', sizeof(comp));
	hex_encode(hex, h.byte, KEYHASH_LEN);
	ck_assert_int_eq(
		name_write(&plain, comp, 255, true, false, NULL, NULL, name),
		255);
	ck_assert_int_eq(
		name_write(&plain, comp, 255, true, true, NULL, NULL, name),
		-ENAMETOOLONG);
	ck_assert_int_eq(
		name_write(&plain, comp, 255, true, true, &h, NULL, name), 29);
	ck_assert_int_eq(strncmp(name, "%~", 2), 0);
	ck_assert_int_eq(strncmp(name + 2, hex, 26), 0);
	ck_assert_str_eq(name + 28, "%");
	ck_assert_int_eq(name_read(&plain, name, 29, true, &beside, &got), 0);
	ck_assert_int_eq(got.form, NAME_LONG_CONFLICT);
	ck_assert(keyhash_equal(&got.hash, &h));
	ck_assert_int_eq(
		name_write(&plain, comp, 256, true, false, &h, NULL, name), 28);
	ck_assert_int_eq(name_read(&plain, name, 28, true, NULL, &got), 0);
	ck_assert_int_eq(got.form, NAME_LONG);
	/* "25" more, since the component without it is both */
	comp[254] = '%';
	ck_assert_int_eq(
		name_write(&plain, comp, 255, true, false, &h, &beside, name),
		28);
	ck_assert_int_eq(
		name_write(&plain, comp, 255, true, false, &h, NULL, name),
		255);
	comp[3] = '\0';
	ck_assert_int_eq(
		name_write(&plain, comp, 253, true, false, NULL, NULL, name),
		255);
	ck_assert_int_eq(
		name_write(&plain, comp, 254, true, false, &h, NULL, name), 28);
	ck_assert_int_eq(
		name_write(&uint5, comp, 126, true, false, NULL, NULL, name),
		254);
	ck_assert_int_eq(name_read(&uint5, name, 254, true, NULL, &got), 0);
	ck_assert_int_eq(
		name_write(&uint5, comp, 127, true, false, &h, NULL, name), 28);
	memset(name, 'y', sizeof(name));
	ck_assert_int_eq(name_read(&plain, name, 256, true, NULL, &got),
			 -EINVAL);
}
END_TEST

/* ---- vectors of names_v2.py ---- */

#define MAX_BOTH 16

struct vectors {
	struct name_rules rules;
	uint8_t comp[MAX_BOTH][NAME_BUF];
	size_t len[MAX_BOTH], n;
};

static int in_vectors(void *arg, const uint8_t *comp, size_t len)
{
	const struct vectors *v = arg;

	for (size_t i = 0; i < v->n; i++)
		if (v->len[i] == len && memcmp(v->comp[i], comp, len) == 0)
			return 1;
	return 0;
}

/* A word of hex digits, "-" for none. */
static size_t read_hex(char **at, uint8_t *to)
{
	const char *word = strsep(at, " \n");
	size_t len = strcmp(word, "-") == 0 ? 0 : strlen(word);

	ck_assert_uint_le(len, 2 * NAME_MAX_LEN);
	ck_assert_int_eq(hex_decode(to, word, len), 0);
	return len / 2;
}

static void check_vector(struct vectors *v, char *line)
{
	struct name_beside beside = { in_vectors, v };
	const char kind = *line;
	uint8_t comp[NAME_BUF], shown[NAME_BUF];
	struct name_parsed got;
	char name[NAME_BUF];
	size_t len, name_len;

	line += 2;
	if (kind == 'B') {
		for (v->n = 0; line && *line; v->n++) {
			ck_assert_uint_lt(v->n, MAX_BOTH);
			v->len[v->n] = read_hex(&line, v->comp[v->n]);
		}
		return;
	}
	name_len = read_hex(&line, shown);
	if (kind == 'X') {
		ck_assert_int_eq(name_read(&v->rules, (char *)shown, name_len,
					   true, &beside, &got),
				 -EINVAL);
		return;
	}
	len = read_hex(&line, comp);
	ck_assert_int_eq(name_write(&v->rules, comp, len, true, kind == 'F',
				    NULL, &beside, name),
			 (int)name_len);
	ck_assert_mem_eq(name, shown, name_len);
	ck_assert_int_eq(
		name_read(&v->rules, name, name_len, true, &beside, &got), 0);
	ck_assert_int_eq(got.form, kind == 'F' ? NAME_CONFLICT : NAME_PLAIN);
	ck_assert_uint_eq(got.comp_len, len);
	ck_assert_mem_eq(got.comp, comp, len);
}

/* Lines "B COMPONENT...", from there on both; "N NAME COMPONENT"; "F NAME
 * COMPONENT", a key beside a directory; "X NAME", which is none. */
START_TEST(test_vectors)
{
	struct vectors *v = calloc(1, sizeof(*v));
	char command[4096], line[2 * 2 * NAME_BUF + 8];
	unsigned n = 0;
	FILE *from;

	snprintf(command, sizeof(command), "exec '%s' '%s/names_v2.py'",
		 getenv("PYTHON"), getenv("PYTHONPATH"));
	from = popen(command, "r");
	ck_assert_ptr_nonnull(from);
	for (; fgets(line, sizeof(line), from); n++)
		check_vector(v, line);
	ck_assert_int_eq(pclose(from), 0);
	ck_assert_uint_ge(n, 50000);
	free(v);
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
		       const struct name_beside *beside, const char *name,
		       size_t len)
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
	if (name_read(rules, changed, n, first, beside, &got) < 0)
		return;
	ck_assert(n != len || memcmp(changed, name, n) != 0);
	if (got.form == NAME_LONG || got.form == NAME_LONG_CONFLICT)
		return;
	ck_assert_int_eq(name_write(rules, got.comp, got.comp_len, first,
				    got.form == NAME_CONFLICT, NULL, beside,
				    again),
			 (int)n);
	ck_assert_mem_eq(again, changed, n);
	ck_assert_int_eq(name_read(rules, name, len, first, beside, &was), 0);
	ck_assert(was.form != got.form || was.comp_len != got.comp_len ||
		  memcmp(was.comp, got.comp, got.comp_len) != 0);
}

/* What is written reads back as what it was; so no two have one name. */
START_TEST(test_round_trip)
{
	static const struct name_rules *const all[] = {
		&plain, &flat, &plain, &uint1, &int1, &uint5, &int8, &uint8,
	};

	const int rounds = getenv("TEST_FEW") ? 20000 : 1000000;

	for (int i = 0; i < rounds; i++) {
		const struct name_rules *rules = all[rnd(ARRAY_SIZE(all))];
		bool tree = !rules->flat && !rules->int_width;
		bool first = rnd(2), conflict = tree && rnd(2);
		uint8_t comp[300];
		size_t len = random_comp(rules, comp);
		struct keyhash h = { .byte = { (uint8_t)i } };
		struct both both = { conflict ? comp : NULL, len };
		struct name_beside beside = { is_both, &both };
		struct name_beside *in = tree ? &beside : NULL;
		struct name_parsed got;
		char name[NAME_BUF];
		int n = name_write(rules, comp, len, first, conflict, &h, in,
				   name);

		if (n < 1 || n > NAME_MAX_LEN || strlen(name) != (size_t)n ||
		    strchr(name, '/') || strcmp(name, ".") == 0 ||
		    strcmp(name, "..") == 0)
			ck_abort_msg("no file name: %s", name);
		if (first && rules->control &&
		    strcmp(name, rules->control) == 0)
			ck_abort_msg("the control name: %s", name);
		if (name_read(rules, name, (size_t)n, first, in, &got) < 0)
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
		change_one(rules, first, in, name, (size_t)n);
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
	tcase_add_test(tc, test_vectors);
	tcase_add_test(tc, test_round_trip);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
