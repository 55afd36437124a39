/* tool_export.c - blt export: keys become files. */
#include "blt_seq.h"
#include "tool/tool_tree.h"
#include "base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>

/* A component this long may be one that has no name of its own: escaped, each
 * byte takes three. */
#define LONG_COMPONENT 84

struct walk {
	struct export ex;
	const struct export_to *kind;
	void *to;
	bool takes_links, has_dirs;
	struct progress progress;
	uint64_t items;
};

int export_fail_read(struct export *ex, const char *path, int err)
{
	return tool_fail_store(ex->t, path, err);
}

int64_t export_bytes(struct export *ex, const struct export_item *item,
		     uint64_t at, const uint8_t **ret)
{
	if (!item->bytes)
		return tool_window_at(&ex->window, item->offset + at,
				      item->len - at, ret);
	*ret = item->bytes + at;
	return (int64_t)(item->len - at);
}

/* ---- names of their own for those that have none ---- */

static int note_long(struct walk *w, struct long_names *names,
		     const uint8_t *key, size_t len, const char *path)
{
	size_t end = 0;

	while (*path) {
		size_t name_len = strcspn(path, "/");
		const uint8_t *slash =
			w->has_dirs ? memchr(key + end, '/', len - end) : NULL;

		end = slash ? (size_t)(slash - key) : len;
		if (long_names_is(path, name_len) &&
		    long_names_add(names, key, end) < 0)
			return -ENOMEM;
		path += name_len + (path[name_len] == '/');
		end += end < len;
	}
	return 0;
}

static bool has_long(const uint8_t *key, size_t len)
{
	size_t run = 0;

	for (size_t i = 0; i < len; i++) {
		run = key[i] == '/' ? 0 : run + 1;
		if (run > LONG_COMPONENT)
			return true;
	}
	/* Without directories the bytes '/' are written, too. */
	return false;
}

static bool is_sequence(const struct walk *w, const struct blt_item *item)
{
	return w->has_dirs && item->key_len > 1 &&
	       ((const uint8_t *)item->key)[item->key_len - 1] == '/' &&
	       blt_seq_is_mark(item->value, item->value_len);
}

static bool is_marker(const struct walk *w, const struct blt_item *item)
{
	return w->has_dirs && item->key_len &&
	       item->key[item->key_len - 1] == '/' &&
	       (!item->value_len ||
		blt_seq_is_mark(item->value, item->value_len));
}

/* Notes a key that is shown beside a directory of its name. */
static int find_beside(struct walk *w, const struct blt_item *item,
		       struct long_names *names)
{
	struct blt_dir_facts facts;
	uint8_t *prefix;
	int r;

	if (!w->has_dirs || is_marker(w, item))
		return 0;
	prefix = malloc(item->key_len + 1);
	if (!prefix)
		return -ENOMEM;
	memcpy(prefix, item->key, item->key_len);
	prefix[item->key_len] = '/';
	r = blt_ns_dir(w->ex.t->ns, prefix, item->key_len + 1, &facts);
	free(prefix);
	if (r == 0)
		return long_names_add(names, item->key, item->key_len);
	return r == -ENOENT ? 0 : r;
}

static int find_long(struct walk *w, const struct blt_item *item,
		     struct long_names *names)
{
	char *path;
	int r = find_beside(w, item, names);

	if (r < 0)
		return r;
	if (!has_long(item->key, item->key_len) &&
	    (w->has_dirs || item->key_len <= LONG_COMPONENT))
		return 0;
	r = blt_ns_path(w->ex.t->ns, item->key, item->key_len, &path);
	if (r < 0)
		return r;
	r = note_long(w, names, item->key, item->key_len, path);
	free(path);
	return r;
}

static int find_all(struct walk *w, struct long_names *names,
		    struct long_names *sequences)
{
	struct blt_iter *it;
	struct blt_item item;
	int r = blt_iter_new(w->ex.t->store, &it);

	if (r < 0)
		return r;
	while ((r = blt_iter_next(it, &item)) > 0 && !tool_signal()) {
		r = find_long(w, &item, names);
		if (r == 0 && is_sequence(w, &item))
			r = long_names_add(sequences, item.key, item.key_len);
		if (r < 0)
			break;
	}
	blt_iter_free(it);
	return r < 0 ? r : 0;
}

static int put_about(struct walk *w, const char *path, struct long_names *names)
{
	struct export_item item = { .path = path, .time = BLT_NO_TIME };
	char *text;
	size_t len;
	int code, r;

	if (!names->n)
		return 0;
	r = long_names_print(names, &text, &len);
	if (r < 0)
		return tool_fail_store(w->ex.t, NULL, r);
	item.len = len;
	item.bytes = (uint8_t *)text;
	code = w->kind->file(w->to, &item);
	free(text);
	return code;
}

/* First of all, so that whoever reads a stream knows them. */
static int export_about(struct walk *w)
{
	struct long_names names = { 0 }, sequences = { 0 };
	int r = find_all(w, &names, &sequences);
	int code = r < 0 ? tool_fail_store(w->ex.t, NULL, r) : 0;

	if (!code)
		code = put_about(w, TREE_LONG_PATH, &names);
	if (!code)
		code = put_about(w, TREE_SEQ_PATH, &sequences);
	long_names_free(&names);
	long_names_free(&sequences);
	return code;
}

/* ---- keys ---- */

static bool is_link(struct walk *w, const struct export_item *item,
		    char target[BLT_LINK_MAX + 1])
{
	uint8_t value[BLT_LINK_LEN];

	if (!w->takes_links || item->len != sizeof(value))
		return false;
	for (uint64_t at = 0; at < item->len;) {
		const uint8_t *bytes;
		int64_t n = export_bytes(&w->ex, item, at, &bytes);

		if (n < 0)
			return false;
		memcpy(value + at, bytes, (size_t)n);
		at += (uint64_t)n;
	}
	return blt_link_read(value, target) > 0;
}

/* A mode that is not the usual one. */
static void find_mode(struct walk *w, const struct blt_item *key,
		      struct export_item *item)
{
	struct blt_attrs a;

	if (blt_attrs_get(w->ex.t->store, key->key, key->key_len, &a) > 0 &&
	    a.has & BLT_ATTRS_MODE) {
		item->has_mode = true;
		item->mode = a.mode & 0777;
	}
}

static int export_key(struct walk *w, const struct blt_item *key)
{
	struct export_item item = { .time = key->timestamp,
				    .len = key->value_len,
				    .offset = key->value_offset,
				    .bytes = key->in_file ? NULL : key->value };
	const struct tool_counts before = w->ex.counts;
	struct tool_counts *c = &w->ex.counts;
	char target[BLT_LINK_MAX + 1];
	char *path;
	int code;
	int r = blt_ns_path(w->ex.t->ns, key->key, key->key_len, &path);

	if (r < 0)
		return tool_fail_store(w->ex.t, NULL, r);
	item.path = path;
	find_mode(w, key, &item);
	if (is_marker(w, key))
		code = w->kind->dir(w->to, &item);
	else if (is_link(w, &item, target))
		code = w->kind->link(w->to, &item, target);
	else
		code = w->kind->file(w->to, &item);
	free(path);
	if (!code && !tool_signal() && c->kept == before.kept &&
	    c->failed == before.failed) {
		c->items++;
		c->bytes += item.len;
	}
	return code;
}

static int export_keys(struct walk *w)
{
	struct blt_item item;
	struct blt_iter *it;
	int code = 0, r;

	r = blt_iter_new(w->ex.t->store, &it);
	if (r < 0)
		return tool_fail_store(w->ex.t, NULL, r);
	while (!code && !tool_signal() && (r = blt_iter_next(it, &item)) > 0) {
		code = export_key(w, &item);
		progress_show(&w->progress,
			      item.in_file ? item.value_offset : 0, ++w->items);
	}
	blt_iter_free(it);
	if (!code && r < 0)
		code = tool_fail_store(w->ex.t, NULL, r);
	return code;
}

/* ---- the command ---- */

static void look_at_store(struct walk *w)
{
	struct tool *t = w->ex.t;
	struct blt_info info;

	blt_get_info(t->store, &info);
	w->takes_links = tree_takes_links(t->store);
	w->has_dirs = !tool_has(t, OPT_FLAT) && !tool_int_keys(t);
	progress_start(&w->progress, "export", info.file_size,
		       tool_has(t, OPT_QUIET));
}

static int export_all(struct walk *w)
{
	struct tool *t = w->ex.t;
	int code, json = 0, r;

	r = tool_window_init(&w->ex.window, blt_fd(t->store));
	if (r < 0)
		return tool_fail_store(t, NULL, r);
	code = w->kind->open(&w->ex, t->arg[1], &w->to);
	if (!code) {
		code = export_about(w);
		if (!code)
			code = export_keys(w);
		progress_end(&w->progress);
		if (tool_signal())
			tool_say(t, "interrupted");
		code = w->kind->close(w->to, code);
		/* standard output may have the archive */
		if (strcmp(t->arg[1], "-") != 0)
			json = tool_print_counts(t, &w->ex.counts,
						 !code && !tool_signal());
	}
	tool_window_free(&w->ex.window);
	return code ? code : w->ex.code ? w->ex.code : json;
}

static int run_export(struct tool *t)
{
	struct walk w = { .ex.t = t };
	int code;

	if (tool_has(t, OPT_FORCE) && tool_has(t, OPT_SKIP_EXISTING))
		return tool_fail(t, EX_USAGE,
				 "--force and --skip-existing: give one of "
				 "the two");
	if (tool_has(t, OPT_JSON) && !strcmp(t->arg[1], "-"))
		return tool_fail(t, EX_USAGE,
				 "--json: standard output has the archive; "
				 "give that a name");
	w.kind = export_is_tar(t, t->arg[1]) ? &export_to_tar : &export_to_dir;
	code = tool_open(t, t->arg[0], BLT_READ, NULL);
	if (!code)
		code = tool_need_ns(t);
	if (code)
		return code;
	tool_catch_signals();
	look_at_store(&w);
	return export_all(&w);
}

static const struct tool_option options[] = {
	{ OPT_FORMAT, 'o', "format", "NAME",
	  "tar, tar.gz, tar.bz2, tar.xz or tar.zst (by the suffix)" },
	{ OPT_FORCE, 'f', "force", NULL, "replace files that exist" },
	{ OPT_SKIP_EXISTING, 's', "skip-existing", NULL,
	  "leave files that exist as they are" },
	{ OPT_QUIET, 'q', "quiet", NULL,
	  "no progress on a terminal, and no summary" },
	TOOL_OPT_JSON_COUNTS,
	{ OPT_FLAT, 'F', "flat", NULL,
	  "paths as with the mount option flat: / in a key is %2F" },
	TOOL_OPT_DB,
	TOOL_OPT_LOCK,
	TOOL_OPT_END,
};

const struct tool_command tool_export = {
	.name = "export",
	.args = "STORE DIR|ARCHIVE|-",
	.summary = "write a store as a tree of files",
	.help = "Writes the keys of STORE as files below DIR, which is made if "
		"missing, or as a tar archive (a name that ends in .tar, "
		".tar.gz, .tar.zst and so on; -: to standard output), with the "
		"paths and times that a mount shows. Nothing outside DIR is "
		"written, wherever symbolic links lead. Metadata and reserved "
		"slots stay behind.",
	.min_args = 2,
	.max_args = 2,
	.options = options,
	.run = run_export,
};
