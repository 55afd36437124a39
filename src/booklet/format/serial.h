/* serial.h - serializer codes, and which bytes load under one in Python.
 *
 * A store names a serializer for its keys and one for its values
 * (doc/format.md, section 6).  What bltfs writes must load there, so every
 * key and value is checked before it is taken:
 *
 *   bytes        anything
 *   str          UTF-8 as Python decodes it (util.h)
 *   uintN, intN  exactly N bytes
 *   json, orjson one JSON text as that parser of Python's takes it (json.h)
 *   numpy_intN   whole elements of N bytes, or none
 *   zstd, *_zstd exactly one complete zstd frame around the inner form, with
 *                the length of the content in its header, as Python's zstandard
 *                wants it, no dictionary, and a window of at most 128 MiB;
 *                but pd_zstd and gpd_zstd are Feather files, compressed inside
 *   the rest     (pickle, pandas, msgpack, wkb, custom classes) is binary that
 *                only Python can judge: taken as it is, but for the empty
 *                value, which none of them loads
 *
 * Calling sequence for a value, which may be far larger than memory:
 *
 *   struct serial_check *c;
 *   serial_check_new(code, &c);
 *   while (bytes)  serial_check_feed(c, p, n);      -EINVAL as soon as known
 *   serial_check_end(c);                            -EINVAL: cut short
 *   serial_check_free(c);
 *
 * Memory does not grow with the value (a compressed one needs its window).  One
 * check belongs to one thread; the other functions are pure.
 */
#ifndef BLT_SERIAL_H
#define BLT_SERIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct serial_check;

/* The code's name as booklet spells it ("str", "orjson_zstd"), or NULL for a
 * custom class (0) and a code that is not known.  Codes 1 (None in Python) and
 * 32 are both "bytes". */
const char *serial_name(unsigned code);

/* The code of a name (of "bytes" 32), or -EINVAL. */
int serial_code(const char *name);

/* Bytes of the integer that a code stands for, 0 where it is no uintN/intN;
 * *ret_signed is set only where it is. */
unsigned serial_int_width(unsigned code, bool *ret_signed);

/* Whether the empty value loads. */
bool serial_takes_empty(unsigned code);

/* True where any bytes of any length load, so that no check is needed. */
bool serial_takes_all(unsigned code);

/* Whether these bytes load, in one call. 0, -EINVAL, -ENOMEM. */
int serial_valid(unsigned code, const void *bytes, size_t len);

int serial_check_new(unsigned code, struct serial_check **ret); /* -ENOMEM */
int serial_check_feed(struct serial_check *c, const void *bytes, size_t len);
int serial_check_end(struct serial_check *c);
void serial_check_free(struct serial_check *c); /* NULL is fine */

#endif
