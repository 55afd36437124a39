/* tool_copy.c - blt copy */
#include "tool/mount_client.h"

#include "bltfs_ioctl.h"
#include "base/util.h"
#include "engine/backend.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

struct wish {
	uint64_t buckets, value_len;
	bool has_len, times, no_times;
};

static int parse_options(const struct tool *t, struct wish *w)
{
	int code;

	*w = (struct wish){
		.has_len = tool_has(t, OPT_VALUE_LEN),
		.times = tool_has(t, OPT_TIMESTAMPS),
		.no_times = tool_has(t, OPT_NO_TIMESTAMPS),
	};
	code = tool_opt_u64(t, OPT_BUCKETS, 1, UINT32_MAX, 0, &w->buckets);
	if (!code)
		code = tool_opt_u64(t, OPT_VALUE_LEN, 0, UINT32_MAX, 0,
				    &w->value_len);
	if (!code && w->times && w->no_times)
		code = tool_fail(t, EX_USAGE,
				 "--timestamps and --no-timestamps: give one "
				 "of the two");
	return code;
}

static bool is_other_engine(const struct tool *t, const struct blt_info *info)
{
	const char *engine = t->opt[OPT_ENGINE];

	return engine && strcmp(engine, info->engine) != 0;
}

/* value_len: of the copy. */
static int check_times(const struct tool *t, const struct wish *w,
		       uint32_t value_len)
{
	if (!w->times || !value_len)
		return 0;
	return tool_fail(t, EX_USAGE,
			 "--timestamps: a store whose values all have one "
			 "length keeps none; with --value-len 0 they may have "
			 "any");
}

/* In another engine, what is not asked for is as in a new store. */
static int complete_other(struct tool *t, const struct wish *w,
			  struct blt_create_options *create)
{
	*create = (struct blt_create_options){ .engine = t->opt[OPT_ENGINE] };
	if (!w->value_len) /* as in a new store, whose option has no 0 */
		t->opt[OPT_VALUE_LEN] = NULL;
	return tool_create_options(t, create);
}

/* What is not asked for stays as it is in the store. */
static int complete_same(const struct tool *t, const struct wish *w,
			 const struct blt_info *info,
			 struct blt_create_options *create)
{
	static const enum tool_opt of_other[] = { OPT_KEY_SERIALIZER,
						  OPT_VALUE_SERIALIZER };

	for (size_t i = 0; i < ARRAY_SIZE(of_other); i++)
		if (tool_has(t, of_other[i]))
			return tool_fail(
				t, EX_USAGE,
				"--%s: is for a booklet store that is "
				"made of an LMDB environment (--engine "
				"booklet); others keep theirs",
				tool_opt_name(t, of_other[i]));
	*create = (struct blt_create_options){
		.n_buckets = (uint32_t)w->buckets,
		.value_len =
			w->has_len ? (uint32_t)w->value_len : info->value_len,
		.no_timestamps =
			!w->times && (w->no_times || !info->has_timestamps),
		.engine = t->opt[OPT_ENGINE],
	};
	if (blt_is_url(t->arg[1]))
		*create = (struct blt_create_options){
			.engine = t->opt[OPT_ENGINE]
		};
	return 0;
}

static int complete(struct tool *t, const struct wish *w,
		    struct blt_create_options *create)
{
	struct blt_info info;
	int code;

	blt_get_info(t->store, &info);
	code = is_other_engine(t, &info) ? complete_other(t, w, create) :
					   complete_same(t, w, &info, create);
	return code ? code : check_times(t, w, create->value_len);
}

/* ---- of a mounted store, by its daemon ---- */

/* The path without a directory that the daemon does not stand in.  Not in the
 * mount itself: a copy of the copy would follow, and so on. */
static int absolute(const struct tool *t, int mount, const char *path,
		    char ret[BLTFS_PATH_MAX])
{
	const char *slash = strrchr(path, '/');
	char above[PATH_MAX], dir[PATH_MAX];
	struct stat in, out;
	int n;

	if (blt_is_url(path)) {
		n = snprintf(ret, BLTFS_PATH_MAX, "%s", path);
		return n < BLTFS_PATH_MAX ?
			       0 :
			       tool_fail_create(t, path, -ENAMETOOLONG);
	}
	n = snprintf(above, sizeof(above), "%.*s",
		     slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
	if (n < 0 || (size_t)n >= sizeof(above))
		return tool_fail_create(t, path, -ENAMETOOLONG);
	if (!realpath(above, dir) || stat(dir, &out) < 0 ||
	    fstat(mount, &in) < 0)
		return tool_fail_create(t, path, -errno);
	if (in.st_dev == out.st_dev)
		return tool_fail(t, EX_CANTCREAT,
				 "%s: is in the mount itself; a copy goes "
				 "elsewhere",
				 path);
	n = snprintf(ret, BLTFS_PATH_MAX, "%s/%s", strcmp(dir, "/") ? dir : "",
		     slash ? slash + 1 : path);
	if (n < 0 || n >= BLTFS_PATH_MAX)
		return tool_fail_create(t, path, -ENAMETOOLONG);
	return 0;
}

static int copy_mounted(struct tool *t, int fd, const struct wish *w)
{
	const char *engine = t->opt[OPT_ENGINE];
	struct bltfs_copy ask = {
		.flags = (tool_has(t, OPT_FORCE) ? BLTFS_COPY_REPLACE : 0) |
			 (w->has_len ? BLTFS_COPY_VALUE_LEN : 0) |
			 (w->times ? BLTFS_COPY_TIMESTAMPS : 0) |
			 (w->no_times ? BLTFS_COPY_NO_TIMESTAMPS : 0) |
			 (!engine || blt_is_url(t->arg[1]) ? 0 :
			  strcmp(engine, "lmdb") == 0      ? BLTFS_COPY_LMDB :
							     BLTFS_COPY_BOOKLET),
		.buckets = (uint32_t)w->buckets,
		.value_len = (uint32_t)w->value_len,
	};
	struct blt_info info;
	int code = absolute(t, fd, t->arg[1], ask.path);

	if (!code && (tool_has(t, OPT_KEY_SERIALIZER) ||
		      tool_has(t, OPT_VALUE_SERIALIZER)))
		code = tool_fail(t, EX_USAGE,
				 "%s: a copy of a mount has no serializers of "
				 "its own; copy the store file",
				 t->arg[0]);
	if (!code)
		code = mount_client_store(t, fd, &info, NULL);
	if (!code)
		code = check_times(t, w,
				   w->has_len                ? ask.value_len :
				   is_other_engine(t, &info) ? 0 :
							       info.value_len);
	t->given_path = t->arg[1];
	t->told_path = ask.path;
	if (!code)
		return mount_client_start(t, fd, BLTFS_IOC_COPY, &ask);
	close(fd);
	return code;
}

/* ---- of a store file ---- */

static int report(const struct tool *t, uint64_t keys)
{
	char was[32], is[32], less[32];
	struct blt_info info;
	struct stat st = { .st_size = 0 };
	struct jout j = { .to = stdout };

	if (tool_has(t, OPT_QUIET) && !tool_has(t, OPT_JSON))
		return 0;
	if (!blt_is_url(t->arg[1]) && stat(t->arg[1], &st) < 0)
		return tool_fail_file(t, t->arg[1], "look", -errno);
	blt_get_info(t->store, &info);
	if (tool_has(t, OPT_JSON)) {
		jout_open(&j, NULL, '{');
		jout_text(&j, "kind", "copy");
		jout_text(&j, "state", "done");
		jout_u64(&j, "items", keys);
		jout_u64(&j, "bytes", (uint64_t)st.st_size);
		jout_close(&j, '}');
		return tool_flush(t);
	}
	if (blt_is_url(t->arg[1])) {
		printf("%" PRIu64 " keys\n", keys);
		return tool_flush(t);
	}
	tool_size(info.file_size, was);
	tool_size((uint64_t)st.st_size, is);
	printf("%" PRIu64 " keys, %s instead of %s", keys, is, was);
	if ((uint64_t)st.st_size < info.file_size)
		printf(": %s saved",
		       tool_size(info.file_size - (uint64_t)st.st_size, less));
	putchar('\n');
	return tool_flush(t);
}

static int fail_copy(const struct tool *t, int err, const char *text)
{
	if (tool_signal())
		return tool_fail(t, TOOL_SIGNALLED,
				 "interrupted; %s is as it was",
				 t->arg[t->n_args - 1]);
	return tool_fail(t, err == -ENOENT ? EX_CANTCREAT : tool_exit_code(err),
			 "%s%s", text, tool_copy_advice(t, err, text));
}

/* ---- of several store files ---- */

/* t->store is the first; the others are closed by the caller. */
static int open_others(struct tool *t, struct blt **all, int n)
{
	struct blt_open_options how = { .mode = BLT_READ,
					.db = t->opt[OPT_DB] };
	struct blt_error err;
	int code = tool_opt_lock(t, &how.lock_timeout_ms), rc;

	all[0] = t->store;
	for (int i = 1; i < n && !code; i++) {
		if (tool_is_mount(t->arg[i]))
			return tool_fail(t, EX_USAGE,
					 "--merge: %s is a mount; name store "
					 "files",
					 t->arg[i]);
		rc = blt_open(t->arg[i], &how, &all[i], &err);
		if (rc < 0)
			code = tool_fail_open(t, t->arg[i], rc, &err);
	}
	return code;
}

static int merge(struct tool *t, struct blt *const *all, size_t n,
		 const struct blt_create_options *create)
{
	const char *to = t->arg[n];
	struct progress progress;
	struct blt_error err;
	int r;

	tool_catch_signals();
	progress_start(&progress, "copy", 0, tool_has(t, OPT_QUIET));
	r = backend_merge(all, n, to, create, tool_has(t, OPT_FORCE),
			  progress_follow, &progress, &err);
	progress_end(&progress);
	if (r < 0)
		return fail_copy(t, r, err.text);
	if (!tool_has(t, OPT_QUIET))
		printf("%" PRIu64 " keys of %zu stores\n", progress.items, n);
	return tool_flush(t);
}

static int run_merge(struct tool *t, const struct wish *w)
{
	struct blt_create_options create;
	int n = t->n_args - 1, code;
	struct blt_info info;
	struct blt **all;

	if (tool_is_mount(t->arg[0]))
		return tool_fail(t, EX_USAGE,
				 "--merge: %s is a mount; name store files",
				 t->arg[0]);
	code = tool_open(t, t->arg[0], BLT_READ, NULL);
	if (!code)
		code = complete(t, w, &create);
	all = code ? NULL : calloc((size_t)n, sizeof(struct blt *));
	if (!code && !all)
		code = tool_fail(t, EX_OSERR, "out of memory");
	if (code)
		return code;
	blt_get_info(t->store, &info);
	if (!create.engine)
		create.engine = info.engine;
	code = open_others(t, all, n);
	if (!code)
		code = merge(t, all, (size_t)n, &create);
	for (int i = 1; i < n; i++)
		blt_close(all[i]);
	free(all);
	return code;
}

static int run_copy(struct tool *t)
{
	struct blt_create_options create;
	struct progress progress;
	struct blt_error err;
	struct wish wish;
	int code, fd, r;

	code = parse_options(t, &wish);
	if (!code && tool_has(t, OPT_ENGINE))
		code = tool_check_engine(t, t->opt[OPT_ENGINE]);
	if (!code && !tool_has(t, OPT_MERGE) && t->n_args != 2)
		code = tool_fail(t, EX_USAGE,
				 "%s: one store is copied; --merge makes one "
				 "of several",
				 t->arg[2]);
	if (!code && tool_has(t, OPT_MERGE))
		return run_merge(t, &wish);
	if (!code)
		code = mount_client_open(t, t->arg[0], &fd);
	if (!code && fd >= 0)
		return copy_mounted(t, fd, &wish);
	if (!code)
		code = tool_open(t, t->arg[0], BLT_READ, NULL);
	if (!code)
		code = complete(t, &wish, &create);
	if (code)
		return code;
	tool_catch_signals();
	progress_start(&progress, "copy", 0, tool_has(t, OPT_QUIET));
	r = blt_copy(t->store, t->arg[1], &create, tool_has(t, OPT_FORCE),
		     progress_follow, &progress, &err);
	progress_end(&progress);
	return r < 0 ? fail_copy(t, r, err.text) : report(t, progress.items);
}

static const struct tool_option options[] = {
	{ OPT_ENGINE, 'e', "engine", "NAME",
	  "NEW is a booklet store, or an LMDB environment (lmdb) in one file" },
	{ OPT_BUCKETS, 'b', "buckets", "N",
	  "size of the index (the next of 12007, 144013, ... above the keys)" },
	{ OPT_VALUE_LEN, 'l', "value-len", "N",
	  "all values have N bytes; 0: any length" },
	{ OPT_NO_TIMESTAMPS, 'T', "no-timestamps", NULL,
	  "leave the times out; saves 7 bytes a key" },
	{ OPT_TIMESTAMPS, 't', "timestamps", NULL,
	  "keep times from now on; keys without one get the present" },
	{ OPT_KEY_SERIALIZER, 'k', "key-serializer", "NAME",
	  "made of an LMDB environment: what keys are to Python (bytes)" },
	{ OPT_VALUE_SERIALIZER, 'v', "value-serializer", "NAME",
	  "the same: what values are to Python (bytes)" },
	{ OPT_MERGE, 'm', "merge", NULL,
	  "NEW gets the keys of several STOREs" },
	{ OPT_FORCE, 'f', "force", NULL,
	  "replace NEW if it exists and nobody uses it" },
	TOOL_OPT_JOB,
	TOOL_OPT_DB,
	TOOL_OPT_LOCK,
	TOOL_OPT_END,
};

const struct tool_command tool_copy = {
	.name = "copy",
	.args = "STORE|MOUNTPOINT... NEW",
	.summary = "make a compact copy of a store",
	.help = "Copies what STORE holds to the new file NEW, without the "
		"space of what was overwritten and deleted, and says how much "
		"that saves. NEW is of the same kind unless the options ask "
		"for another (--engine converts between booklet and LMDB); its "
		"name appears when all of it is on the disk. "
		"To compact a store, copy it and rename the copy to its name "
		"while nobody uses it. A mounted store is copied while it is "
		"written: the copy shows it as it was when the copying "
		"began. --merge makes one store of several store files.",
	.min_args = 2,
	.max_args = -1,
	.options = options,
	.run = run_copy,
};
