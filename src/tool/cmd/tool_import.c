/* tool_import.c - blt import: files become keys.
 *
 * What is wrong with single files is said, and the rest goes on; the exit code
 * tells of it in the end.  A failure of the store or of the source ends it.
 */
#include "blt_seq.h"
#include "booklet/format/name.h"
#include "tool/tool_tree.h"
#include "base/util.h"
#include "engine/backend.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

/* Modes that are not kept, since each mount shows them. */
#define USUAL_FILE 0644u
#define USUAL_DIR 0755u

#define TIME_MAX ((INT64_C(1) << 56) - 1)

int64_t import_time(int64_t seconds, long nanoseconds)
{
	if (seconds < 0)
		return 0;
	if (seconds >= TIME_MAX / 1000000)
		return TIME_MAX;
	return seconds * 1000000 + nanoseconds / 1000;
}

/* ---- from a path to a key ---- */

/* A key, or a directory's prefix, that grows by a name at a time. */
struct target {
	uint8_t *key;
	size_t len;
};

static int take_below(struct target *at, const struct target *dir,
		      const void *comp, size_t len, bool slash)
{
	size_t whole = dir->len + len;
	uint8_t *copy;

	if (whole + slash > BLT_KEY_MAX)
		return -ENAMETOOLONG;
	copy = malloc(whole + 1);
	if (!copy)
		return -ENOMEM;
	if (dir->len)
		memcpy(copy, dir->key, dir->len);
	memcpy(copy + dir->len, comp, len);
	if (slash)
		copy[whole++] = '/';
	free(at->key);
	at->key = copy;
	at->len = whole;
	return 0;
}

static int take(struct target *at, const void *key, size_t len, bool slash)
{
	const struct target root = { 0 };

	return take_below(at, &root, key, len, slash);
}

/* Whether what a name stands for may depend on another one: it ends in '%' and
 * any number of "25" (doc/names.md). */
static bool has_group(const char *name, size_t len)
{
	while (len >= 2 && memcmp(name + len - 2, "25", 2) == 0)
		len -= 2;
	return len > 1 && name[len - 1] == '%';
}

static bool path_has_group(const char *path)
{
	while (*path) {
		size_t len = strcspn(path, "/");

		if (has_group(path, len))
			return true;
		path += len + (path[len] == '/');
	}
	return false;
}

/* The keys beside directories that are known before they come. */
struct listed {
	struct import *im;
	const struct target *at;
	bool met;
};

static int is_listed(void *arg, const uint8_t *comp, size_t len)
{
	struct listed *l = arg;
	struct target key = { 0 };
	int r = take_below(&key, l->at, comp, len, false);

	if (r == 0 && long_names_has(&l->im->names, key.key, key.len)) {
		l->met = true;
		r = 1;
	}
	free(key.key);
	return r;
}

/* 1: the name is that of a key beside a directory, or changed by one, and at
 * has moved on; 0: it is not; or an error. */
static int step_listed(struct import *im, struct target *at, const char *name,
		       size_t len, enum blt_kind kind)
{
	struct name_rules rules = { .control = at->len ? NULL : TREE_CONTROL };
	struct listed l = { .im = im, .at = at };
	struct name_beside beside = { is_listed, &l };
	struct name_parsed parsed;
	int r;

	if (!im->names.n || !has_group(name, len) ||
	    tool_has(im->t, OPT_FLAT) || tool_int_keys(im->t))
		return 0;
	r = name_read(&rules, name, len, true, &beside, &parsed);
	if (r < 0 || !l.met)
		return r < 0 && r != -EINVAL ? r : 0;
	r = take_below(at, at, parsed.comp, parsed.comp_len, kind == BLT_DIR);
	return r < 0 ? r : 1;
}

static int step(struct import *im, struct target *at, const char *name,
		size_t len, enum blt_kind kind, bool filled)
{
	const struct long_name *known = long_names_find(&im->names, name, len);
	uint8_t *key;
	size_t key_len;
	int r;

	/* It would be the directory's marker. */
	if (kind == BLT_FILE && !filled && at->len && len == 1 && *name == '%')
		return -EINVAL;
	if (known)
		return take(at, known->key, known->len, kind == BLT_DIR);
	r = step_listed(im, at, name, len, kind);
	if (r != 0)
		return r < 0 ? r : 0;
	r = blt_ns_key(im->t->ns, at->key, at->len, name, len, kind, &key,
		       &key_len);
	if (r < 0)
		return r;
	free(at->key);
	at->key = key;
	at->len = key_len;
	return 0;
}

/* filled: a file with a value that is not empty. */
static int find_key(struct import *im, const char *path, enum blt_kind kind,
		    bool filled, struct target *ret)
{
	struct target at = { calloc(1, 1), 0 };
	int r = at.key ? 0 : -ENOMEM;

	if (r == 0 && tool_has(im->t, OPT_RAW)) {
		r = take(&at, path, strlen(path), kind == BLT_DIR);
		path = "";
	}
	while (r == 0 && *path) {
		size_t len = strcspn(path, "/");
		const char *next = path + len + strspn(path + len, "/");

		r = step(im, &at, path, len, *next ? BLT_DIR : kind, filled);
		path = next;
	}
	if (r < 0)
		free(at.key);
	else
		*ret = at;
	return r;
}

/* ---- single files that fail ---- */

static int note_code(struct import *im, int code)
{
	im->counts.failed++;
	if (!im->code)
		im->code = code;
	return 0;
}

int import_pass_over(struct import *im, const char *path, const char *why)
{
	return note_code(im, tool_fail(im->t, EX_DATAERR, "%s: passed over: %s",
				       path, why));
}

/* Whether nothing else is going to work either. */
static bool is_fatal(int err)
{
	return err != -EINVAL && err != -ENAMETOOLONG && err != -EFBIG &&
	       err != -EISDIR && err != -EPERM && err != -ENOENT &&
	       err != -EILSEQ;
}

static int fail_name(struct import *im, const char *path, int err)
{
	if (is_fatal(err))
		return tool_fail_store(im->t, path, err);
	if (err == -EISDIR)
		return import_pass_over(im, path,
					"a directory has that name in the "
					"store");
	if (err == -EILSEQ)
		return import_pass_over(im, path,
					"the store's keys are text, and this "
					"name is not UTF-8");
	if (err == -ENAMETOOLONG)
		return import_pass_over(im, path,
					"a key has at most 65535 bytes, in an "
					"LMDB environment 511, in PostgreSQL "
					"2048");
	if (strstr(path, "%~"))
		return import_pass_over(im, path,
					"it stands for a longer name, which "
					"is not in " TREE_LONG_PATH);
	return import_pass_over(im, path,
				"no key of the store can have that path "
				"(see Keys in blt(1)); with --raw, paths are "
				"keys as they are");
}

static int fail_put(struct import *im, const char *path,
		    const struct target *at, uint64_t len, int err)
{
	struct tool_key key = { path, at->key, at->len };

	if (im->source_failed && (err == -EINTR || tool_signal()))
		return 0;
	if (im->source_failed)
		return note_code(im, tool_fail_file(im->t, path, "read", err));
	if (is_fatal(err))
		return tool_fail_store(im->t, path, err);
	return note_code(im, tool_fail_put(im->t, &key, len, err));
}

/* ---- what a source hands over ---- */

static int put(struct import *im, const char *path, const struct target *at,
	       int64_t time, const struct blt_source *source)
{
	int r = tool_batch_put(&im->batch, at->key, at->len, source, time);

	im->counts.items -= im->batch.lost;
	if (r < 0)
		return fail_put(im, path, at, source->len, r);
	im->counts.items++;
	im->counts.bytes += source->len;
	return 0;
}

/* What follows looks at what is there. */
static int settle(struct import *im)
{
	int r = tool_batch_end(&im->batch);

	im->counts.items -= im->batch.lost;
	return r;
}

static bool is_wanted(struct import *im, const struct target *at, int64_t time)
{
	struct blt_stat st;

	if (!tool_has(im->t, OPT_SKIP_EXISTING) && !tool_has(im->t, OPT_NEWER))
		return true;
	if (blt_stat_key(im->t->store, at->key, at->len, &st) < 0)
		return true;
	return tool_has(im->t, OPT_NEWER) && st.timestamp < time;
}

/* Only a mode that is not the usual one takes room in the store. */
static int keep_mode(struct import *im, const char *path,
		     const struct target *at, unsigned mode, unsigned usual)
{
	struct blt *store = im->t->store;
	struct blt_attrs a;
	int r;

	if (!im->takes_modes)
		return 0;
	r = blt_attrs_get(store, at->key, at->len, &a);
	mode &= 01777;
	a.has &= ~(unsigned)BLT_ATTRS_MODE;
	if (mode != usual) {
		a.has |= BLT_ATTRS_MODE;
		a.mode = mode;
	}
	if (r >= 0)
		r = blt_attrs_set(store, at->key, at->len, &a);
	if (r >= 0 || r == -ENOTSUP)
		return 0;
	im->takes_modes = false;
	return note_code(im, tool_fail(im->t, tool_exit_code(r),
				       "%s: the modes of this file and those "
				       "after it are not kept: %s",
				       path,
				       r == -ENOSPC ? "the store's table of "
						      "attributes is full" :
						      strerror(-r)));
}

int import_file(struct import *im, const char *path, int64_t time,
		unsigned mode, const struct blt_source *source)
{
	/* what is in the store may change what a name stands for, and an
	 * archive have the same name twice */
	bool asks = path_has_group(path) ||
		    (im->in_any_order && (tool_has(im->t, OPT_SKIP_EXISTING) ||
					  tool_has(im->t, OPT_NEWER)));
	struct target at;
	int code = 0, r = asks ? settle(im) : 0;

	if (r == 0)
		r = find_key(im, path, BLT_FILE, source->len > 0, &at);
	if (r < 0)
		return fail_name(im, path, r);
	im->source_failed = false;
	if (is_wanted(im, &at, time)) {
		code = put(im, path, &at, time, source);
		if (!code)
			code = keep_mode(im, path, &at, mode, USUAL_FILE);
	} else {
		im->counts.kept++;
	}
	free(at.key);
	im->items++;
	progress_show(&im->progress, im->done, im->items);
	return code;
}

int import_link(struct import *im, const char *path, int64_t time,
		const char *target)
{
	uint8_t value[BLT_LINK_LEN];
	struct blt_source source;

	if (!im->takes_links)
		return import_pass_over(im, path,
					"a symbolic link, which the store's "
					"kind of values cannot stand for");
	if (!*target)
		return import_pass_over(im, path,
					"a symbolic link without a target");
	if (blt_link_write(target, value) < 0)
		return import_pass_over(im, path,
					"a symbolic link to a path longer "
					"than 1024 bytes");
	source = backend_bytes_source(value, sizeof(value));
	return import_file(im, path, time, USUAL_FILE, &source);
}

static int read_stored(void *arg, void *buf, size_t n, uint64_t offset)
{
	int64_t got = blt_view_copy(arg, buf, n, offset);

	return got == (int64_t)n ? 0 : got < 0 ? (int)got : -EIO;
}

int import_same(struct import *im, const char *path, int64_t time,
		const char *other)
{
	struct blt_view view;
	struct blt_source source = { 0, read_stored, &view };
	struct target at;
	struct blt_attrs a = { .has = 0 };
	int code, r;

	r = settle(im);
	if (r == 0)
		r = find_key(im, other, BLT_FILE, true, &at);
	if (r == 0) {
		r = blt_get(im->t->store, at.key, at.len, &view);
		if (im->takes_modes)
			(void)blt_attrs_get(im->t->store, at.key, at.len, &a);
		free(at.key);
	}
	if (r < 0 && is_fatal(r))
		return tool_fail_store(im->t, other, r);
	if (r < 0)
		return import_pass_over(im, path,
					"a hard link to what is not in the "
					"archive before it");
	source.len = view.len;
	code = import_file(im, path, time,
			   a.has & BLT_ATTRS_MODE ? a.mode : USUAL_FILE,
			   &source);
	blt_view_release(&view);
	return code;
}

int import_dir_mode(struct import *im, const char *path, unsigned mode)
{
	struct target at;
	int code, r;

	if (tool_int_keys(im->t) || tool_has(im->t, OPT_FLAT))
		return 0;
	r = path_has_group(path) ? settle(im) : 0;
	if (r == 0)
		r = find_key(im, path, BLT_DIR, false, &at);
	if (r < 0)
		return fail_name(im, path, r);
	code = keep_mode(im, path, &at, mode, USUAL_DIR);
	free(at.key);
	return code;
}

int import_empty_dir(struct import *im, const char *path, int64_t time,
		     unsigned mode)
{
	const struct blt_source nothing = backend_bytes_source("", 0);
	struct blt_dir_facts facts;
	struct target at;
	int r;

	if (!im->takes_empty || tool_int_keys(im->t) ||
	    tool_has(im->t, OPT_FLAT))
		return 0;
	r = settle(im);
	if (r == 0)
		r = find_key(im, path, BLT_DIR, false, &at);
	if (r < 0)
		return fail_name(im, path, r);
	r = blt_ns_dir(im->t->ns, at.key, at.len, &facts);
	im->source_failed = false;
	if (r == -ENOENT)
		r = put(im, path, &at, time, &nothing);
	else if (r < 0)
		r = fail_put(im, path, &at, 0, r);
	else
		r = 0;
	if (r == 0)
		r = keep_mode(im, path, &at, mode, USUAL_DIR);
	free(at.key);
	return r;
}

/* ---- files about the tree ---- */

/* One that is there may be a sequence already. */
static int mark_all(struct import *im, const struct long_names *prefixes)
{
	int r = settle(im);

	for (size_t i = 0; i < prefixes->n && r == 0; i++) {
		const struct long_name *p = &prefixes->item[i];

		r = blt_seq_create(im->t->ns, p->key, p->len);
		if (r == -EINVAL || r == -ENOTSUP)
			r = import_pass_over(im, TREE_SEQ_PATH,
					     "the store has no sequence of "
					     "that name");
		else if (r == -EEXIST)
			r = 0;
	}
	return r;
}

int import_about(struct import *im, const char *path, const char *text,
		 size_t len)
{
	struct long_names prefixes = { 0 };
	int r;

	if (!strcmp(path, TREE_LONG_PATH)) {
		r = long_names_parse(&im->names, text, len);
	} else {
		r = long_names_parse(&prefixes, text, len);
		if (r == 0)
			r = mark_all(im, &prefixes);
		long_names_free(&prefixes);
	}
	return r < 0 ? tool_fail_file(im->t, path, "read", r) : 0;
}

/* ---- what only the end tells ---- */

int import_later(struct import *im, struct import_late **list, const char *path,
		 int64_t time, unsigned mode)
{
	size_t len = strlen(path) + 1;
	struct import_late *late = malloc(sizeof(*late) + len);

	if (!late)
		return tool_fail_store(im->t, path, -ENOMEM);
	late->time = time;
	late->mode = mode;
	late->next = *list;
	memcpy(late->path, path, len);
	*list = late;
	return 0;
}

void import_free_late(struct import_late **list)
{
	while (*list) {
		struct import_late *late = *list;

		*list = late->next;
		free(late);
	}
}

/* ---- the command ---- */

static void look_at_store(struct import *im)
{
	im->takes_empty = blt_takes_empty(im->t->store);
	im->takes_links = tree_takes_links(im->t->store);
	im->takes_modes = true;
}

static int run_import(struct tool *t)
{
	struct import im = { .t = t };
	struct stat st;
	int code, json, r;

	if (tool_has(t, OPT_SKIP_EXISTING) && tool_has(t, OPT_NEWER))
		return tool_fail(t, EX_USAGE,
				 "--skip-existing and --newer: give one of "
				 "the two");
	code = tool_open(t, t->arg[0], BLT_WRITE, NULL);
	if (!code)
		code = tool_need_ns(t);
	if (code)
		return code;
	if (tool_batch_init(&im.batch, t->store) < 0)
		return tool_fail(t, EX_OSERR, "out of memory");
	look_at_store(&im);
	progress_start(&im.progress, "import", 0, tool_has(t, OPT_QUIET));
	if (strcmp(t->arg[1], "-") != 0 && !stat(t->arg[1], &st) &&
	    S_ISDIR(st.st_mode))
		code = import_dir(&im, t->arg[1]);
	else
		code = import_tar(&im, t->arg[1]);
	progress_end(&im.progress);
	r = settle(&im);
	if (r < 0 && !code)
		code = tool_fail_store(t, NULL, r);
	if (tool_signal())
		tool_say(t, "interrupted; run again with --skip-existing to "
			    "go on");
	json = tool_print_counts(t, &im.counts, !code && !tool_signal());
	tool_batch_free(&im.batch);
	long_names_free(&im.names);
	return code ? code : im.code ? im.code : json;
}

static const struct tool_option options[] = {
	{ OPT_SKIP_EXISTING, 's', "skip-existing", NULL,
	  "keep the values of keys that are there" },
	{ OPT_NEWER, 'u', "newer", NULL,
	  "replace only values that are older than the file" },
	{ OPT_QUIET, 'q', "quiet", NULL,
	  "no progress on a terminal, and no summary" },
	TOOL_OPT_JSON_COUNTS,
	TOOL_OPT_KEYS,
	TOOL_OPT_DB,
	TOOL_OPT_LOCK,
	TOOL_OPT_END,
};

const struct tool_command tool_import = {
	.name = "import",
	.args = "STORE DIR|ARCHIVE|-",
	.summary = "put a tree of files into a store",
	.help = "Puts the files below DIR, or those of a tar archive (-: from "
		"standard input; compressed or not), into STORE, which must "
		"exist, under the keys that their paths mean on a mount. Times "
		"and modes are kept, symbolic links too. Files that cannot be "
		"keys are named and passed over; the exit code is then 65.",
	.min_args = 2,
	.max_args = 2,
	.options = options,
	.run = run_import,
};
