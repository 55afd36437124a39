/* options_value.h - an option of the command line: its row, and what its
 * argument becomes.
 *
 * Internal to options*.c.  Results are 0, -EINVAL with the reason in *err, or
 * -ENOMEM.
 */
#ifndef FS_OPTIONS_VALUE_H
#define FS_OPTIONS_VALUE_H

#include "main/options.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum option_type {
	FLAG,   /* no argument; a bool */
	NUMBER, /* decimal; a uint64_t */
	SHARE,  /* the same, or "no" for 0 */
	MODE,   /* octal */
	SIZE,   /* decimal with K, M, G */
	TEXT,   /* a char *, owned */
	CHOICE, /* one of the words of arg, "a|b|c"; its index, a uint64_t */
	NAMED,  /* NAME=TEXT, any number of them; to map */
	PASS,   /* no argument; for libfuse */
	PASS_VALUE, /* an argument; for libfuse */
	IGNORE,     /* for mount(8) alone, with or without an argument */
};

struct option_row {
	const char *name;
	enum option_type type;
	size_t field;
	uint64_t min, max;
	const char *arg;
	const char *help;
	bool creating; /* makes sense with -o create only */
};

/* The rows of the table, from 0 on; NULL: no more. */
const struct option_row *option_row_at(size_t i);

/* Says why; -EINVAL. */
int option_complain(struct options_error *err, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Whether it stands with "=VALUE". */
static inline bool option_takes(const struct option_row *row)
{
	return row->type != FLAG && row->type != PASS && row->type != IGNORE;
}

/* Sets the row's field.  item is the option as it was given; value what stands
 * behind "=", or NULL. */
int option_set(struct options *opts, const struct option_row *row,
	       const char *item, const char *value, struct options_error *err);
/* A copy takes the place of what was there. */
int option_set_text(char **field, const char *value);

#endif
