/* tool_dump.c - blt dump: keys and values as lines of text. */
#include "tool/tool.h"
#include "base/util.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define CHUNK (32u << 10)

struct dump {
	const struct tool *t;
	struct blt_iter *it;
	struct tool_window window;
	char *digits; /* room for a chunk, or a key */
};

static void put_hex(struct dump *d, const uint8_t *bytes, size_t len)
{
	hex_encode(d->digits, bytes, len);
	fwrite(d->digits, 1, 2 * len, stdout);
}

static void put_time(int64_t timestamp)
{
	if (timestamp < 0)
		fputs(" -\n", stdout);
	else
		printf(" %" PRId64 "\n", timestamp);
}

/* Up to a chunk of a value from at on. */
static int64_t value_at(struct dump *d, const struct blt_item *item,
			uint64_t at, const uint8_t **ret)
{
	uint64_t n = min_u64(item->value_len - at, CHUNK);

	if (item->in_file)
		return tool_window_at(&d->window, item->value_offset + at, n,
				      ret);
	*ret = item->value + at;
	return (int64_t)n;
}

static int dump_item(struct dump *d, const struct blt_item *item)
{
	uint64_t at = 0;

	if (item->key_len)
		put_hex(d, item->key, item->key_len);
	else
		putchar('-');
	putchar(' ');
	if (!item->value_len)
		putchar('-');
	while (at < item->value_len && !ferror(stdout)) {
		const uint8_t *bytes;
		int64_t n = value_at(d, item, at, &bytes);

		if (n < 0)
			return (int)n;
		put_hex(d, bytes, (size_t)n);
		at += (uint64_t)n;
	}
	put_time(item->timestamp);
	return 0;
}

static bool is_wanted(const struct dump *d, const struct blt_item *item)
{
	const char *prefix = d->t->opt[OPT_PREFIX];
	const char *from = d->t->opt[OPT_FROM], *to = d->t->opt[OPT_TO];

	if (prefix && (item->key_len < strlen(prefix) ||
		       memcmp(item->key, prefix, strlen(prefix)) != 0))
		return false;
	if (from &&
	    compare_bytes(item->key, item->key_len, from, strlen(from)) < 0)
		return false;
	return !to ||
	       compare_bytes(item->key, item->key_len, to, strlen(to)) < 0;
}

static int dump_items(struct dump *d)
{
	struct blt_item item;
	int r;

	/* A full disk, or a pipe that nobody reads: no point in going on. */
	while ((r = blt_iter_next(d->it, &item)) > 0 && !ferror(stdout)) {
		if (!is_wanted(d, &item))
			continue;
		r = dump_item(d, &item);
		if (r < 0)
			break;
	}
	return r < 0 ? r : 0;
}

/* "@metadata HEX -": no key looks like that. */
static int dump_hidden(struct tool *t, struct dump *d)
{
	static const char *const names[] = {
		[BLT_METADATA] = "@metadata",
		[BLT_RESERVED_1] = "@reserved1",
		[BLT_RESERVED_2] = "@reserved2",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct blt_view v;
		uint8_t chunk[4096];
		int64_t n;
		int r = blt_slot_get(t->store, (enum blt_slot)i, &v);

		if (r == -ENOENT || r == -ENOTSUP)
			continue;
		if (r < 0)
			return r;
		printf("%s %s", names[i], v.len ? "" : "-");
		for (uint64_t at = 0; r >= 0 && at < v.len; at += (uint64_t)n) {
			n = blt_view_copy(&v, chunk, sizeof(chunk), at);
			if (n <= 0)
				r = n < 0 ? (int)n : -EIO;
			else
				put_hex(d, chunk, (size_t)n);
		}
		put_time(BLT_NO_TIME);
		blt_view_release(&v);
		if (r < 0)
			return r;
	}
	return 0;
}

static int run_dump(struct tool *t)
{
	struct dump d = { .t = t };
	int code, r;

	code = tool_open(t, t->arg[0], BLT_READ, NULL);
	if (code)
		return code;
	setvbuf(stdout, NULL, _IOFBF, 256u << 10);
	d.digits = malloc(2 * BLT_KEY_MAX + 1);
	r = d.digits ? tool_window_init(&d.window, blt_fd(t->store)) : -ENOMEM;
	if (r >= 0)
		r = blt_iter_new(t->store, &d.it);
	if (r >= 0 && tool_has(t, OPT_HIDDEN))
		r = dump_hidden(t, &d);
	if (r >= 0)
		r = dump_items(&d);
	blt_iter_free(d.it);
	tool_window_free(&d.window);
	free(d.digits);
	return r < 0 ? tool_fail_store(t, NULL, r) : EX_OK;
}

static const struct tool_option options[] = {
	{ OPT_HIDDEN, 'a', "hidden", NULL,
	  "metadata and reserved slots too, as @metadata, @reserved1, ..." },
	{ OPT_PREFIX, 'p', "prefix", "PREFIX", "only keys that begin so" },
	{ OPT_FROM, 0, "from", "KEY", "only keys from this one on, by bytes" },
	{ OPT_TO, 0, "to", "KEY", "only keys before this one" },
	TOOL_OPT_DB,
	TOOL_OPT_LOCK,
	TOOL_OPT_END,
};

const struct tool_command tool_dump = {
	.name = "dump",
	.args = "STORE",
	.summary = "print all keys and values as text",
	.help = "Prints a line for each key, in the order of the file: key "
		"and value as hex digits (-: empty) and the time in "
		"microseconds since 1970 (-: none). \"blt load\" reads such "
		"lines.",
	.min_args = 1,
	.max_args = 1,
	.options = options,
	.run = run_dump,
};
