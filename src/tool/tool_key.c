/* tool_key.c - arguments that name keys.
 *
 * Most paths are their key, byte for byte, and mean the same whatever else is
 * in the store; those are taken as they are.  The rest (a '%', a long
 * component, integer keys) goes through the namespace, which may walk the
 * store for the answer.
 */
#include "tool/tool.h"
#include "base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

/* The name that a mount keeps for itself unless told otherwise. */
#define CONTROL_NAME ".bltfs"
#define COMPONENT_MAX 255

int tool_need_ns(struct tool *t)
{
	struct blt_ns_options opts = {
		.flat = tool_has(t, OPT_FLAT),
		.control = CONTROL_NAME,
	};
	int r;

	if (t->ns)
		return 0;
	r = blt_ns_new(t->store, &opts, &t->ns);
	return r < 0 ? tool_fail_store(t, NULL, r) : 0;
}

bool tool_int_keys(const struct tool *t)
{
	struct blt_info info;
	const char *name;

	blt_get_info(t->store, &info);
	name = blt_serializer_name(info.key_serializer);
	return name && (!strncmp(name, "int", 3) || !strncmp(name, "uint", 4));
}

/* Whether a component is written as it is.  A name ending in '%' could be the
 * one beside a directory: all with '%' are left to the namespace. */
static bool component_is_plain(const char *c, size_t len)
{
	return len > 0 && len <= COMPONENT_MAX && !memchr(c, '%', len) &&
	       !(len == 3 && !memcmp(c, ".at", 3)) && /* of a sequence */
	       !(len == 1 && c[0] == '.') &&
	       !(len == 2 && c[0] == '.' && c[1] == '.');
}

/* Whether a path is its key. */
static bool path_is_plain(const struct tool *t, const char *path)
{
	const size_t control = strlen(CONTROL_NAME);
	const char *c = path;

	if (tool_int_keys(t))
		return false;
	if (!strncmp(path, CONTROL_NAME, control) &&
	    (path[control] == '\0' || path[control] == '/'))
		return false;
	if (tool_has(t, OPT_FLAT))
		return !strchr(path, '/') &&
		       component_is_plain(path, strlen(path));
	for (;;) {
		size_t len = strcspn(c, "/");

		if (!component_is_plain(c, len))
			return false;
		if (!c[len])
			return true;
		c += len + 1;
	}
}

static int take(const struct tool *t, const char *arg, struct tool_key *ret)
{
	size_t len = strlen(arg);
	uint8_t *copy = malloc(len + 1);

	if (!copy)
		return tool_fail(t, EX_OSERR, "out of memory");
	memcpy(copy, arg, len);
	ret->bytes = copy;
	ret->len = len;
	return 0;
}

static int take_hex(const struct tool *t, const char *arg, struct tool_key *ret)
{
	size_t len = strlen(arg);
	uint8_t *bytes;

	if (!strcmp(arg, "-"))
		len = 0;
	bytes = malloc(len / 2 + 1);
	if (!bytes)
		return tool_fail(t, EX_OSERR, "out of memory");
	if (hex_decode(bytes, arg, len) < 0) {
		free(bytes);
		return tool_fail(t, EX_USAGE,
				 "%s: a key in hex has an even "
				 "number of hex digits; the empty key is -",
				 arg);
	}
	ret->bytes = bytes;
	ret->len = len / 2;
	return 0;
}

static bool has_long_part(const char *path)
{
	size_t len;

	do {
		len = strcspn(path, "/");
		if (len > COMPONENT_MAX)
			return true;
		path += len + 1;
	} while (path[-1]);
	return false;
}

static int fail_path(struct tool *t, const char *path, int r)
{
	if (r == -EINVAL)
		return tool_fail(
			t, EX_DATAERR,
			"%s: no key of %s can have "
			"that path; give the key's bytes with --raw or "
			"--hex",
			path, blt_path(t->store));
	if (r == -EILSEQ)
		return tool_fail(
			t, EX_DATAERR,
			"%s: the keys of %s are text, and this is not UTF-8",
			path, blt_path(t->store));
	if (r == -ENAMETOOLONG && has_long_part(path))
		return tool_fail(
			t, EX_DATAERR,
			"%s: a part of a path has at most %d bytes; give the "
			"key's bytes with --raw or --hex",
			path, COMPONENT_MAX);
	if (r == -EISDIR)
		return tool_fail(t, EX_NOINPUT,
				 "%s: is a directory in %s; \"blt ls %s %s\" "
				 "lists it",
				 path, blt_path(t->store), blt_path(t->store),
				 path);
	if (r == -ENOENT)
		return tool_fail_missing(t, path);
	return tool_fail_store(t, path, r);
}

static int take_path(struct tool *t, const char *path, bool may_be_new,
		     struct tool_key *ret)
{
	struct blt_node node;
	int code = tool_need_ns(t);
	int r;

	if (code)
		return code;
	/* What is there first: a name may be one only beside its directory. */
	r = blt_ns_resolve(t->ns, path, &node);
	if (r == 0 && node.kind == BLT_FILE) {
		ret->bytes = node.key;
		ret->len = node.key_len;
		return 0;
	}
	if (r == 0) {
		free(node.key);
		r = -EISDIR;
	} else if (r == -ENOENT && may_be_new) {
		r = blt_ns_key_of_path(t->ns, path, &ret->bytes, &ret->len);
	}
	return r < 0 ? fail_path(t, path, r) : 0;
}

int tool_key_literal(const struct tool *t, const char *arg,
		     struct tool_key *ret)
{
	*ret = (struct tool_key){ .name = arg };
	if (tool_has(t, OPT_HEX) && !tool_has(t, OPT_RAW))
		return take_hex(t, arg, ret);
	return take(t, arg, ret);
}

int tool_key(struct tool *t, const char *arg, bool may_be_new,
	     struct tool_key *ret)
{
	*ret = (struct tool_key){ .name = arg };
	if (tool_has(t, OPT_HEX) || tool_has(t, OPT_RAW) ||
	    path_is_plain(t, arg))
		return tool_key_literal(t, arg, ret);
	return take_path(t, arg, may_be_new, ret);
}

int tool_each_key(struct tool *t, tool_key_fn *fn, void *arg)
{
	int code, result = 0;

	for (int i = 1; i < t->n_args && !tool_signal(); i++) {
		struct tool_key key;

		code = tool_key(t, t->arg[i], false, &key);
		if (!code)
			code = fn(t, &key, arg);
		tool_key_free(&key);
		if (code)
			result = code;
		if (code && code != TOOL_NOT_FOUND)
			break;
	}
	return result;
}

void tool_key_free(struct tool_key *key)
{
	free(key->bytes);
	key->bytes = NULL;
}
