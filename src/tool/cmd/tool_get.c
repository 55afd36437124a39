/* tool_get.c - blt get */
#include "tool/tool.h"
#include "base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

/* Where the values go. */
struct output {
	const char *name;
	int fd;
	FILE *json; /* NULL: values as they are */
	struct jout out;
};

/* Opened when there is something to write, so that a key that is not there
 * leaves the file alone. */
static int open_output(struct tool *t, struct output *out)
{
	struct stat st, own;

	if (out->fd >= 0)
		return 0;
	if (!stat(out->name, &st) && !fstat(blt_fd(t->store), &own) &&
	    st.st_dev == own.st_dev && st.st_ino == own.st_ino)
		return tool_fail(t, EX_USAGE,
				 "--output %s: is the store "
				 "itself",
				 out->name);
	out->fd =
		open(out->name,
		     O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666);
	if (out->fd >= 0)
		return 0;
	return tool_fail_create(t, out->name, -errno);
}

static bool is_utf8(const uint8_t *bytes, size_t len)
{
	struct utf8 u = { 0 };

	return utf8_feed(&u, bytes, len) == 0 && utf8_end(&u) == 0;
}

/* The value as a member of an object: text, or hex digits where it is none. */
static int put_json(struct tool *t, struct output *out,
		    const struct tool_key *key, const struct blt_view *v)
{
	uint8_t *bytes = malloc((size_t)v->len + 1);
	int64_t r = bytes ? blt_view_copy(v, bytes, v->len, 0) : -ENOMEM;
	struct blt_stat st = { .timestamp = BLT_NO_TIME };

	if (r < 0) {
		free(bytes);
		return tool_fail_store(t, key->name, (int)r);
	}
	(void)blt_stat_key(t->store, key->bytes, key->len, &st);
	jout_open(&out->out, NULL, '{');
	jout_bytes(&out->out, "key", key->name, strlen(key->name));
	jout_u64(&out->out, "size", v->len);
	jout_time(&out->out, st.timestamp);
	if (!tool_has(t, OPT_HEX) && is_utf8(bytes, v->len))
		jout_bytes(&out->out, "value", bytes, v->len);
	else
		jout_hex(&out->out, "value_hex", bytes, v->len);
	jout_close(&out->out, '}');
	free(bytes);
	return ferror(out->json) ? tool_fail_file(t, out->name, "write", -EIO) :
				   0;
}

static int start_json(struct tool *t, struct output *out)
{
	if (out->json)
		return 0;
	out->json = out->fd == STDOUT_FILENO ? stdout : fdopen(out->fd, "w");
	if (!out->json)
		return tool_fail(t, EX_OSERR, "out of memory");
	out->out = (struct jout){ .to = out->json, .flat = true };
	jout_open(&out->out, NULL, '[');
	return 0;
}

static int put_plain(struct tool *t, struct output *out,
		     const struct tool_key *key, const struct blt_view *v)
{
	bool writing;
	int r = tool_view_write(v, out->fd, tool_has(t, OPT_HEX), &writing);

	if (r == 0 && tool_has(t, OPT_NUL)) {
		writing = true;
		r = tool_write_all(out->fd, "", 1);
	}
	if (r < 0 && writing && out->fd == STDOUT_FILENO)
		return tool_fail_stdout(t, r);
	if (r < 0 && writing)
		return tool_fail_file(t, out->name, "write", r);
	return r < 0 ? tool_fail_store(t, key->name, r) : 0;
}

static int get_one(struct tool *t, const struct tool_key *key, void *arg)
{
	struct output *out = arg;
	struct blt_view v;
	int code, r;

	r = blt_get(t->store, key->bytes, key->len, &v);
	if (r == -ENOENT)
		return tool_fail_missing(t, key->name);
	if (r < 0)
		return tool_fail_store(t, key->name, r);
	code = open_output(t, out);
	if (!code && tool_has(t, OPT_JSON)) {
		code = start_json(t, out);
		if (!code)
			code = put_json(t, out, key, &v);
	} else if (!code) {
		code = put_plain(t, out, key, &v);
	}
	blt_view_release(&v);
	return code;
}

static int run_get(struct tool *t)
{
	struct output out = { .name = "standard output", .fd = STDOUT_FILENO };
	int code;

	if (tool_has(t, OPT_JSON) && tool_has(t, OPT_NUL))
		return tool_fail(t, EX_USAGE,
				 "--json and --null: give one of the two");
	code = tool_open(t, t->arg[0], BLT_READ, NULL);
	if (code)
		return code;
	if (tool_has(t, OPT_OUTPUT))
		out = (struct output){ .name = t->opt[OPT_OUTPUT], .fd = -1 };
	code = tool_each_key(t, get_one, &out);
	if (out.json)
		jout_close(&out.out, ']');
	if (out.json && out.json != stdout) {
		if (fclose(out.json) != 0)
			code = tool_fail_file(t, out.name, "write", -errno);
	} else if (out.fd > STDOUT_FILENO && close(out.fd) < 0) {
		code = tool_fail_file(t, out.name, "write", -errno);
	}
	return code;
}

static const struct tool_option options[] = {
	{ OPT_OUTPUT, 'o', "output", "FILE",
	  "write to FILE instead of standard output" },
	{ OPT_HEX, 'x', "hex", NULL,
	  "keys are given, and values printed, as hex digits" },
	{ OPT_NUL, '0', "null", NULL, "a NUL behind each value" },
	{ OPT_JSON, 'j', "json", NULL,
	  "print a JSON array: key, size, time and value of each" },
	TOOL_OPT_KEYS,
	{ OPT_QUIET, 'q', "quiet", NULL, "no message for a missing key" },
	TOOL_OPT_DB,
	TOOL_OPT_LOCK,
	TOOL_OPT_END,
};

const struct tool_command tool_get = {
	.name = "get",
	.args = "STORE KEY...",
	.summary = "print the values of keys",
	.help = "Writes the values of the keys, one behind the other, with "
		"nothing in between. A KEY is the path that it has on a "
		"mount, unless --raw or --hex says otherwise. Exit code 1: a "
		"key was not there; the others are written all the same.",
	.min_args = 2,
	.max_args = -1,
	.options = options,
	.run = run_get,
};
