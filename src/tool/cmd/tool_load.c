/* tool_load.c - blt load: the lines of blt dump, read back.
 *
 * Lines may be gigabytes long, so they are taken word by word as they come: a
 * key in a fixed buffer, a value in a spool.  A line counts only with its line
 * feed, and is put when all of it is known to be good.
 */
#include "tool/tool.h"
#include "base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#define READ_SIZE (256u << 10)
#define KEY_DIGITS (2 * BLT_KEY_MAX)
#define TIME_DIGITS 20

/* The input; line is the one being read, from 1. */
struct reader {
	int fd;
	uint8_t *buf;
	size_t at, len;
	uint64_t bytes, line;
};

struct load {
	struct tool *t;
	const char *name; /* of the input */
	struct reader in;
	struct tool_spool value;
	char *key_text; /* KEY_DIGITS + 2 */
	uint8_t *key;
	size_t key_len;
	int64_t when;
	struct tool_batch batch;
	struct tool_counts counts;
	struct progress progress;
};

/* 1: there are bytes; 0: the end. */
static int fill(struct reader *in)
{
	ssize_t n;

	if (in->at < in->len)
		return 1;
	do
		n = read(in->fd, in->buf, READ_SIZE);
	while (n < 0 && errno == EINTR && !tool_signal());
	if (n < 0)
		return -errno;
	in->bytes += (uint64_t)n;
	in->at = 0;
	in->len = (size_t)n;
	return n > 0;
}

/* Takes the bytes of a word as they come; -EINVAL and so on end it. */
typedef int take_fn(struct load *l, const char *bytes, size_t len,
		    uint64_t offset);

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\n';
}

/* Reads up to the blank behind a word and over it: *ret_end is that blank, 0
 * at the input's end. */
static int read_word(struct load *l, take_fn *take, uint64_t *ret_len,
		     char *ret_end)
{
	struct reader *in = &l->in;
	uint64_t total = 0;
	int r;

	while ((r = fill(in)) > 0) {
		size_t end = in->at;

		while (end < in->len && !is_blank(in->buf[end]))
			end++;
		if (end > in->at) {
			r = take(l, (char *)in->buf + in->at, end - in->at,
				 total);
			if (r < 0)
				return r;
		}
		total += end - in->at;
		in->at = end;
		if (end == in->len)
			continue;
		*ret_end = (char)in->buf[in->at++];
		*ret_len = total;
		return 0;
	}
	if (r < 0)
		return r;
	*ret_end = 0;
	*ret_len = total;
	return 0;
}

static int take_text(struct load *l, const char *bytes, size_t len,
		     uint64_t offset)
{
	if (offset + len > KEY_DIGITS)
		return -ENAMETOOLONG;
	memcpy(l->key_text + offset, bytes, len);
	l->key_text[offset + len] = '\0';
	return 0;
}

/* A lone '-' is the empty value. */
static int take_value(struct load *l, const char *bytes, size_t len,
		      uint64_t offset)
{
	if (offset == 0 && bytes[0] == '-')
		return len == 1 ? 0 : -EINVAL;
	if (offset == 1 && l->value.len == 0 && l->value.half < 0)
		return -EINVAL;
	return tool_spool_add_hex(&l->value, bytes, len);
}

static int skip_text(struct load *l, const char *bytes, size_t len,
		     uint64_t offset)
{
	(void)l;
	(void)bytes;
	(void)len;
	(void)offset;
	return 0;
}

static int skip_line(struct load *l)
{
	uint64_t len;
	char end;
	int r;

	do
		r = read_word(l, skip_text, &len, &end);
	while (r == 0 && end && end != '\n');
	return r;
}

static int fail_line(struct load *l, const char *why)
{
	return tool_fail(l->t, EX_DATAERR,
			 "%s, line %" PRIu64 ": %s; expected "
			 "is: key and value as hex digits (-: empty), "
			 "microseconds (-: now)",
			 l->name, l->in.line, why);
}

static int fail_read(struct load *l, int err)
{
	if (err == -EINTR)
		return EX_TEMPFAIL; /* main says it by its exit code */
	return tool_fail_file(l->t, l->name,
			      "read it, or keep a value in "
			      "TMPDIR",
			      err);
}

/* The first word: *ret_hidden names a slot where it begins with '@'. */
static int parse_key(struct load *l, size_t len, const char **ret_hidden)
{
	*ret_hidden = l->key_text[0] == '@' ? l->key_text + 1 : NULL;
	l->key_len = 0;
	if (*ret_hidden || (len == 1 && l->key_text[0] == '-'))
		return 0;
	l->key_len = len / 2;
	if (hex_decode(l->key, l->key_text, len) < 0)
		return fail_line(l, "the key is not hex");
	return 0;
}

/* The second and third word. */
static int parse_rest(struct load *l)
{
	uint64_t len;
	char end;
	int r;

	tool_spool_reset(&l->value);
	r = read_word(l, take_value, &len, &end);
	if (!r && len)
		r = tool_spool_end(&l->value);
	if (r == -EINVAL)
		return fail_line(l, "the value is not hex");
	if (r == -EFBIG)
		return fail_line(l, "the value is longer than 4294967295 "
				    "bytes");
	if (r < 0)
		return fail_read(l, r);
	if (!len)
		return fail_line(l, "there is no value");
	if (end == '\n' || !end)
		return fail_line(l, "there is no timestamp");
	r = read_word(l, take_text, &len, &end);
	if (r < 0 && r != -ENAMETOOLONG)
		return fail_read(l, r);
	if (!r && !end)
		return fail_line(l, "the input ends within the line");
	if (r || end != '\n' || !len)
		return fail_line(l, "one timestamp must end it");
	l->when = BLT_NOW;
	if (len == 1 && l->key_text[0] == '-')
		return 0;
	if (len > TIME_DIGITS || strspn(l->key_text, "0123456789") != len ||
	    time_parse(l->key_text, &l->when) < 0)
		return fail_line(l, "the timestamp is not a number of "
				    "microseconds");
	return 0;
}

static int put_hidden(struct load *l, enum blt_slot slot)
{
	struct blt_source from = tool_spool_source(&l->value);
	uint8_t *bytes = malloc(from.len + 1);
	int r = bytes ? from.read(from.arg, bytes, from.len, 0) : -ENOMEM;

	if (!r)
		r = blt_slot_put(l->t->store, slot, bytes, from.len);
	free(bytes);
	if (!r)
		return 0;
	if (r == -EINVAL)
		return fail_line(l, "metadata must be a JSON document");
	if (r == -ENOTSUP)
		return fail_line(l, "a store whose values all have one length "
				    "has no hidden entries, nor has one of "
				    "LMDB");
	return tool_fail_store(l->t, l->name, r);
}

static int put_line(struct load *l)
{
	struct blt_source from = tool_spool_source(&l->value);
	char where[512];
	int r;

	r = tool_batch_put(&l->batch, l->key, l->key_len, &from, l->when);
	l->counts.items -= l->batch.lost;
	if (!r) {
		l->counts.items++;
		l->counts.bytes += from.len;
		return 0;
	}
	if (r == -EINTR)
		return EX_TEMPFAIL;
	snprintf(where, sizeof(where), "%s, line %" PRIu64, l->name,
		 l->in.line);
	return tool_fail_put(l->t,
			     &(struct tool_key){ .name = where,
						 .bytes = l->key,
						 .len = l->key_len },
			     from.len, r);
}

/* The words behind the first, and what they ask for. */
static int load_item(struct load *l, size_t len, char end)
{
	static const char *const slots[] = {
		[BLT_METADATA] = "metadata",
		[BLT_RESERVED_1] = "reserved1",
		[BLT_RESERVED_2] = "reserved2",
	};
	char name[16] = "";
	const char *hidden;
	int code;

	code = parse_key(l, len, &hidden);
	if (code)
		return code;
	if (hidden)
		snprintf(name, sizeof(name), "%s", hidden);
	if (end == '\n' || !end)
		return fail_line(l, "there is no value");
	code = parse_rest(l);
	if (code)
		return code;
	if (!hidden)
		return put_line(l);
	for (size_t i = 0; i < ARRAY_SIZE(slots); i++)
		if (!strcmp(name, slots[i]))
			return put_hidden(l, (enum blt_slot)i);
	return fail_line(l, "no hidden entry has that name");
}

/* One line; *ret_more is false at the input's end. */
static int load_line(struct load *l, bool *ret_more)
{
	uint64_t len;
	char end;
	int r;

	l->in.line++;
	r = fill(&l->in);
	*ret_more = r > 0;
	if (r <= 0)
		return r < 0 ? fail_read(l, r) : 0;
	if (l->in.buf[l->in.at] == '#') {
		r = skip_line(l);
		return r < 0 ? fail_read(l, r) : 0;
	}
	r = read_word(l, take_text, &len, &end);
	if (r == -ENAMETOOLONG)
		return fail_line(l, "the key is longer than 65535 bytes");
	if (r < 0)
		return fail_read(l, r);
	if (len)
		return load_item(l, (size_t)len, end);
	return end == '\n' ? 0 : fail_line(l, "it begins with a blank");
}

static int load_all(struct load *l)
{
	bool more = true;
	int code = 0, r;

	while (!code && more && !tool_signal()) {
		code = load_line(l, &more);
		progress_show(&l->progress, l->in.bytes, l->counts.items);
	}
	r = tool_batch_end(&l->batch);
	l->counts.items -= l->batch.lost;
	if (r < 0 && !code)
		code = tool_fail_store(l->t, NULL, r);
	progress_end(&l->progress);
	if (tool_signal())
		tool_say(l->t,
			 "interrupted; %" PRIu64 " keys were loaded "
			 "before that",
			 l->counts.items);
	else if (code)
		tool_say(l->t,
			 "stopped there; %" PRIu64 " keys were loaded "
			 "before that",
			 l->counts.items);
	return code;
}

static int open_input(struct load *l)
{
	struct tool *t = l->t;
	struct stat st;

	l->in.fd = STDIN_FILENO;
	l->name = "standard input";
	if (t->n_args > 1 && strcmp(t->arg[1], "-") != 0) {
		l->name = t->arg[1];
		l->in.fd = open(l->name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
		if (l->in.fd < 0)
			return tool_fail_file(t, l->name, "open", -errno);
	}
	if (fstat(l->in.fd, &st) < 0)
		return tool_fail_file(t, l->name, "read", -errno);
	progress_start(&l->progress, "load",
		       S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0,
		       tool_has(t, OPT_QUIET));
	return 0;
}

static int run_load(struct tool *t)
{
	struct load l = { .t = t, .in.fd = -1 };
	int code, json;

	l.key_text = malloc(KEY_DIGITS + 2);
	l.key = malloc(BLT_KEY_MAX);
	l.in.buf = malloc(READ_SIZE);
	if (tool_spool_init(&l.value) < 0 || !l.key_text || !l.key || !l.in.buf)
		code = tool_fail(t, EX_OSERR, "out of memory");
	else
		code = tool_open(t, t->arg[0], BLT_WRITE, NULL);
	if (!code && tool_batch_init(&l.batch, t->store) < 0)
		code = tool_fail(t, EX_OSERR, "out of memory");
	if (!code)
		code = open_input(&l);
	if (!code) {
		code = load_all(&l);
		json = tool_print_counts(t, &l.counts, !code && !tool_signal());
		code = code ? code : json;
	}
	if (l.in.fd > STDIN_FILENO)
		close(l.in.fd);
	tool_batch_free(&l.batch);
	tool_spool_free(&l.value);
	free(l.in.buf);
	free(l.key);
	free(l.key_text);
	return code;
}

static const struct tool_option options[] = {
	{ OPT_QUIET, 'q', "quiet", NULL,
	  "no progress on a terminal, and no summary" },
	TOOL_OPT_JSON_COUNTS,
	TOOL_OPT_DB,
	TOOL_OPT_LOCK,
	TOOL_OPT_END,
};

const struct tool_command tool_load = {
	.name = "load",
	.args = "STORE [FILE]",
	.summary = "read keys and values as blt dump prints them",
	.help = "Puts the keys of FILE, or of standard input, into STORE, "
		"which must exist. A timestamp - means now; lines that begin "
		"with # are passed over. At a bad line it stops with the "
		"line's number and exit code 65; what stood before that line "
		"is loaded. Running it again does no harm.",
	.min_args = 1,
	.max_args = 2,
	.options = options,
	.run = run_load,
};
