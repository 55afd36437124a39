/* json.h - whether bytes are one JSON text that Python's parsers take:
 * json.loads(bytes.decode()), orjson.loads(bytes), or both.
 *
 * That is RFC 8259 without a byte order mark, and
 *   - orjson wants no half of a surrogate pair, written as \ud800, and
 *     numbers within the range of a double;
 *   - json takes both, and NaN, Infinity and -Infinity; it refuses integers of
 *     more than 4300 digits;
 *   - arrays and objects are nested so deep at most: orjson stops at 1024, json
 *     at Python's recursion limit, 1000 less what the caller has used up.
 *
 *   struct json j = { .parser = JSON_BOTH };
 *   while (bytes)  json_feed(&j, p, n);     -EINVAL as soon as known
 *   json_end(&j);                           -EINVAL: cut short
 *
 * No memory is held; a struct json belongs to one thread.
 */
#ifndef BLT_JSON_H
#define BLT_JSON_H

#include "base/util.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define JSON_DEPTH_PYTHON 980
#define JSON_DEPTH 1024
#define JSON_INT_DIGITS 4300
#define JSON_DIGITS 40

enum json_parser { JSON_BOTH, JSON_PYTHON, JSON_ORJSON };

struct json {
	enum json_parser parser;
	uint8_t state;       /* enum state in json.c; 0: before the text */
	bool in_key;         /* the string is an object's key */
	const char *literal; /* what is left of true, false or null */
	uint16_t unit;       /* of a \u escape, as far as it is read */
	uint8_t hex_left;
	bool low_due; /* it must be a low surrogate */
	struct utf8 utf8;

	/* A number is 0.DIGITS * 10^(point + exp), rounded away from zero. */
	char digits[JSON_DIGITS + 1];
	uint8_t n_digits;
	bool cut; /* digits other than 0 were left out */
	bool exp_minus;
	int64_t point, exp;

	unsigned depth;
	uint64_t object[JSON_DEPTH / 64]; /* a bit a level: object, not array */
};

int json_feed(struct json *j, const void *bytes, size_t len);
int json_end(struct json *j);

/* Writes bytes as a string with its quotes; what is no UTF-8 comes out as
 * U+FFFD. */
void json_put_string(FILE *to, const void *bytes, size_t len);

#endif
