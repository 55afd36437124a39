/* tool_stat.c - blt stat */
#include "booklet/format/keyhash.h"
#include "tool/mount_client.h"
#include "base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

struct key_facts {
	const struct tool_key *key;
	const char *path;
	struct blt_stat stat;
	struct blt_attrs attrs; /* where the store has a record */
	struct keyhash hash;
};

static bool is_text(const uint8_t *s, size_t len)
{
	while (len) {
		size_t n = *s < 0x20 || *s == 0x7f ? 0 : utf8_char(s, len);

		if (!n)
			return false;
		s += n;
		len -= n;
	}
	return true;
}

static void print_hex(const char *label, const uint8_t *b, size_t len)
{
	printf("%-10s", label);
	for (size_t i = 0; i < len; i++)
		printf("%02x", b[i]);
	putchar('\n');
}

static void print_text(const struct key_facts *f)
{
	char text[TIME_BUF], size[32];

	printf("%-10s", "path");
	tool_print_name(f->path, strlen(f->path));
	putchar('\n');
	if (is_text(f->key->bytes, f->key->len))
		printf("%-10s%.*s\n", "key", (int)f->key->len,
		       (const char *)f->key->bytes);
	print_hex("key hex", f->key->bytes, f->key->len);
	print_hex("hash", f->hash.byte, KEYHASH_LEN);
	printf("%-10s%" PRIu64, "size", f->stat.len);
	if (f->stat.len >= 1024)
		printf(" (%s)", tool_size(f->stat.len, size));
	printf("\n%-10s%s\n", "time", time_text(f->stat.timestamp, text));
	if (f->attrs.has & BLT_ATTRS_MODE)
		printf("%-10s%04o\n", "mode", (unsigned)f->attrs.mode);
	if (f->attrs.has & BLT_ATTRS_OWNER)
		printf("%-10s%u:%u\n", "owner", (unsigned)f->attrs.uid,
		       (unsigned)f->attrs.gid);
}

static void print_json(struct jout *j, const struct key_facts *f)
{
	char mode[16];

	jout_open(j, NULL, '{');
	jout_bytes(j, "path", f->path, strlen(f->path));
	jout_bytes(j, "key", f->key->bytes, f->key->len);
	jout_hex(j, "key_hex", f->key->bytes, f->key->len);
	jout_hex(j, "hash", f->hash.byte, KEYHASH_LEN);
	jout_u64(j, "size", f->stat.len);
	jout_time(j, f->stat.timestamp);
	if (f->attrs.has & BLT_ATTRS_MODE) {
		snprintf(mode, sizeof(mode), "%04o", (unsigned)f->attrs.mode);
		jout_text(j, "mode", mode);
	}
	if (f->attrs.has & BLT_ATTRS_OWNER) {
		jout_u64(j, "uid", f->attrs.uid);
		jout_u64(j, "gid", f->attrs.gid);
	}
	jout_close(j, '}');
}

/* What is printed of all keys. */
struct output {
	struct jout j;
	bool any;
};

static int stat_one(struct tool *t, const struct tool_key *key, void *arg)
{
	struct output *out = arg;
	struct key_facts f = { .key = key };
	char *path = NULL;
	int code = 0, r;

	r = blt_stat_key(t->store, key->bytes, key->len, &f.stat);
	if (r == -ENOENT)
		return tool_fail_missing(t, key->name);
	if (!r)
		code = tool_need_ns(t);
	if (!r && !code)
		r = blt_ns_path(t->ns, key->bytes, key->len, &path);
	if (r < 0)
		return tool_fail_store(t, key->name, r);
	if (code)
		return code;
	f.path = path;
	(void)blt_attrs_get(t->store, key->bytes, key->len, &f.attrs);
	f.hash = keyhash_of(key->bytes, key->len);
	if (tool_has(t, OPT_JSON)) {
		print_json(&out->j, &f);
	} else {
		if (out->any)
			putchar('\n');
		print_text(&f);
	}
	out->any = true;
	free(path);
	return 0;
}

/* One path of a mount: its daemon says which key that is. */
static int stat_mounted(struct tool *t)
{
	struct jout j = { .to = stdout };
	struct key_facts f = { .path = t->arg[0] };
	struct tool_key key;
	int code = mount_client_key(t, AT_FDCWD, t->arg[0], &key, &f.stat);

	if (!code) {
		f.key = &key;
		f.hash = keyhash_of(key.bytes, key.len);
		if (tool_has(t, OPT_JSON)) {
			jout_open(&j, NULL, '[');
			print_json(&j, &f);
			jout_close(&j, ']');
		} else {
			print_text(&f);
		}
	}
	tool_key_free(&key);
	return code;
}

static int run_stat(struct tool *t)
{
	struct output out = { .j = { .to = stdout } };
	bool json = tool_has(t, OPT_JSON);
	int code;

	if (t->n_args == 1)
		return stat_mounted(t);
	code = tool_open(t, t->arg[0], BLT_READ, NULL);
	if (code)
		return code;
	if (json)
		jout_open(&out.j, NULL, '[');
	code = tool_each_key(t, stat_one, &out);
	if (json)
		jout_close(&out.j, ']');
	return code;
}

static const struct tool_option options[] = {
	TOOL_OPT_JSON,
	{ OPT_HEX, 'x', "hex", NULL, "keys are given as hex digits" },
	TOOL_OPT_KEYS,
	{ OPT_QUIET, 'q', "quiet", NULL, "no message for a missing key" },
	TOOL_OPT_DB,
	TOOL_OPT_LOCK,
	TOOL_OPT_END,
};

const struct tool_command tool_stat = {
	.name = "stat",
	.args = "STORE|PATH [KEY]...",
	.summary = "print size, time and other facts of keys",
	.help = "Prints for each key its path on a mount, the key as text (if "
		"it is any) and as hex digits, its hash, the size of its "
		"value and its time. The path is known only after a walk over "
		"the store's block headers. PATH alone is a file of a mounted "
		"store. Exit code 1: a key was not there.",
	.min_args = 1,
	.max_args = -1,
	.options = options,
	.run = run_stat,
};
