/* json.h - whether bytes are one JSON text that both of Python's parsers take,
 * json.loads(bytes.decode()) and orjson.loads(bytes).
 *
 * That is RFC 8259 without a byte order mark, NaN or Infinity, and
 *   - strings hold no half of a surrogate pair, written as \ud800 or otherwise
 *     (orjson refuses it);
 *   - numbers lie within the range of a double (orjson refuses others; Python
 *     refuses integers of more than 4300 digits);
 *   - arrays and objects are nested JSON_DEPTH deep at most (orjson stops at
 *     1024, json at Python's recursion limit, 1000 less what the caller has
 *     used up).
 *
 *   struct json j = { 0 };
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

#define JSON_DEPTH 512
#define JSON_DIGITS 40

struct json {
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

#endif
