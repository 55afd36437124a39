/* texts.h - for unit tests: keys and values that are text. */
#ifndef TESTS_TEXTS_H
#define TESTS_TEXTS_H

#include "blt.h"
#include "lib/checked.h"

#include <errno.h>
#include <string.h>

static inline void put(struct blt *s, const char *key, const char *value)
{
	ck_assert_int_eq(
		blt_put(s, key, strlen(key), value, strlen(value), BLT_NOW), 0);
}

/* value NULL: the key is not there. */
static inline void expect(struct blt *s, const char *key, const char *value)
{
	struct blt_view v;
	int rc = blt_get(s, key, strlen(key), &v);

	ck_assert_int_eq(rc, value ? 0 : -ENOENT);
	if (rc < 0)
		return;
	ck_assert_uint_eq(v.len, strlen(value));
	ck_assert_mem_eq(v.data, value, v.len);
	blt_view_release(&v);
}

#endif
