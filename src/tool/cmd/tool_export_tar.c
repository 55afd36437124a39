/* tool_export_tar.c - a tar archive as the target of an export: in pax format,
 * which has room for any path and for microseconds.
 */
#include "tool/tool_place.h"
#include "tool/tool_tree.h"
#include "base/util.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

static const struct format {
	const char *name;
	const char *suffix;
	int (*filter)(struct archive *a);
} formats[] = {
	{ "tar", ".tar", archive_write_add_filter_none },
	{ "tar.bz2", ".tar.bz2", archive_write_add_filter_bzip2 },
	{ "tar.bz2", ".tbz2", archive_write_add_filter_bzip2 },
	{ "tar.gz", ".tar.gz", archive_write_add_filter_gzip },
	{ "tar.gz", ".tgz", archive_write_add_filter_gzip },
	{ "tar.xz", ".tar.xz", archive_write_add_filter_xz },
	{ "tar.xz", ".txz", archive_write_add_filter_xz },
	{ "tar.zst", ".tar.zst", archive_write_add_filter_zstd },
	{ "tar.zst", ".tzst", archive_write_add_filter_zstd },
};

struct tar {
	struct export *ex;
	const char *path;
	const char *name; /* in its directory; NULL: standard output */
	int dir;
	struct place place;
	struct archive *a;
	struct archive_entry *entry;
};

static const struct format *by_suffix(const char *path)
{
	size_t len = strlen(path);

	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		size_t n = strlen(formats[i].suffix);

		if (len > n && !strcmp(path + len - n, formats[i].suffix))
			return &formats[i];
	}
	return NULL;
}

static const struct format *by_name(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
		if (!strcmp(formats[i].name, name))
			return &formats[i];
	return NULL;
}

bool export_is_tar(const struct tool *t, const char *path)
{
	struct stat st;

	if (tool_has(t, OPT_FORMAT) || !strcmp(path, "-"))
		return true;
	return by_suffix(path) && (stat(path, &st) < 0 || !S_ISDIR(st.st_mode));
}

/* ---- entries ---- */

static int fail_write(struct tar *tar)
{
	int err = archive_errno(tar->a);
	const char *why =
		err > 0 ? strerror(err) : archive_error_string(tar->a);

	if (tool_signal())
		return 0;
	if (err > 0 && tar->place.fd == STDOUT_FILENO)
		return tool_fail_stdout(tar->ex->t, -err);
	return tool_fail(tar->ex->t, err > 0 ? tool_exit_code(-err) : EX_IOERR,
			 "%s: cannot write: %s", tar->path,
			 why ? why : "unknown error");
}

static void put_head(struct tar *tar, const struct export_item *item,
		     unsigned type, unsigned usual)
{
	struct archive_entry *e = archive_entry_clear(tar->entry);

	archive_entry_set_pathname(e, item->path);
	archive_entry_set_filetype(e, type);
	archive_entry_set_perm(e, item->has_mode ? item->mode : usual);
	archive_entry_set_size(e, type == AE_IFREG ? (la_int64_t)item->len : 0);
	if (item->time != BLT_NO_TIME)
		archive_entry_set_mtime(e, item->time / 1000000,
					item->time % 1000000 * 1000);
}

static int write_head(struct tar *tar)
{
	int r = archive_write_header(tar->a, tar->entry);

	return r < ARCHIVE_WARN ? fail_write(tar) : 0;
}

static int put_dir(void *arg, const struct export_item *item)
{
	struct tar *tar = arg;

	put_head(tar, item, AE_IFDIR, 0755);
	return write_head(tar);
}

static int put_file(void *arg, const struct export_item *item)
{
	struct tar *tar = arg;
	int code;

	put_head(tar, item, AE_IFREG, 0644);
	code = write_head(tar);
	for (uint64_t at = 0; !code && at < item->len;) {
		const uint8_t *bytes;
		int64_t n = export_bytes(tar->ex, item, at, &bytes);

		if (n < 0)
			return export_fail_read(tar->ex, item->path, (int)n);
		if (tool_signal())
			return 0;
		if (archive_write_data(tar->a, bytes, (size_t)n) < n)
			return fail_write(tar);
		at += (uint64_t)n;
	}
	return code;
}

static int put_link(void *arg, const struct export_item *item,
		    const char *target)
{
	struct tar *tar = arg;

	put_head(tar, item, AE_IFLNK, 0777);
	archive_entry_set_symlink(tar->entry, target);
	return write_head(tar);
}

/* ---- beginning and end ---- */

static int choose(struct tar *tar, const struct format **ret)
{
	const char *name = tar->ex->t->opt[OPT_FORMAT];
	const struct format *f = by_suffix(tar->path);

	if (name)
		f = by_name(name);
	else if (!f)
		f = formats;
	if (!f)
		return tool_fail(tar->ex->t, EX_USAGE,
				 "%s: no such format; there are tar, tar.gz, "
				 "tar.bz2, tar.xz and tar.zst",
				 name);
	*ret = f;
	return 0;
}

static int open_output(struct tar *tar)
{
	const char *slash = strrchr(tar->path, '/');
	char *dir;
	struct stat st;
	int r;

	tar->dir = -1;
	tar->place.fd = STDOUT_FILENO;
	if (!strcmp(tar->path, "-"))
		return 0;
	if (!tool_has(tar->ex->t, OPT_FORCE) && lstat(tar->path, &st) == 0)
		return tool_fail(tar->ex->t, EX_CANTCREAT,
				 "%s: exists already; --force replaces it",
				 tar->path);
	dir = slash ? strndup(tar->path, (size_t)(slash - tar->path) + 1) :
		      strdup(".");
	tar->dir = dir ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	r = tar->dir < 0 ? -errno : place_begin(&tar->place, tar->dir);
	free(dir);
	if (r < 0)
		return tool_fail_create(tar->ex->t, tar->path, r);
	tar->name = slash ? slash + 1 : tar->path;
	return 0;
}

/* Names are bytes.  The locale stays "C", from which libarchive can translate
 * none that is no ASCII: it then writes the bytes, with hdrcharset=BINARY, and
 * warns.  Asked for that in all entries, it makes GNU tar warn of each. */
static int open_archive(struct tar *tar, const struct format *f)
{
	tar->a = archive_write_new();
	tar->entry = archive_entry_new();
	if (!tar->a || !tar->entry)
		return tool_fail(tar->ex->t, EX_OSERR, "out of memory");
	if (archive_write_set_format_pax(tar->a) != ARCHIVE_OK ||
	    f->filter(tar->a) < ARCHIVE_WARN ||
	    archive_write_open_fd(tar->a, tar->place.fd) != ARCHIVE_OK)
		return fail_write(tar);
	return 0;
}

/* An archive that is not whole gets no name; one on standard output gets no
 * end, so that its reader knows. */
static int close_tar(void *arg, int code)
{
	struct tar *tar = arg;
	bool whole = !code && !tool_signal();
	int r;

	if (tar->a && whole && archive_write_close(tar->a) != ARCHIVE_OK)
		code = fail_write(tar);
	else if (tar->a && !whole)
		archive_write_fail(tar->a);
	archive_write_free(tar->a);
	archive_entry_free(tar->entry);
	if (tar->name && whole && !code) {
		r = place_end(&tar->place, tar->name,
			      tool_has(tar->ex->t, OPT_FORCE));
		if (r < 0)
			code = tool_fail_create(tar->ex->t, tar->path, r);
	} else if (tar->name) {
		place_abort(&tar->place);
	}
	if (tar->dir >= 0)
		close(tar->dir);
	free(tar);
	return code;
}

static int open_tar(struct export *ex, const char *path, void **ret)
{
	struct tar *tar = malloc(sizeof(*tar));
	const struct format *f = NULL;
	int code;

	if (!tar)
		return tool_fail_store(ex->t, NULL, -ENOMEM);
	*tar = (struct tar){ .ex = ex, .path = path };
	code = choose(tar, &f);
	if (code) {
		free(tar);
		return code;
	}
	code = open_output(tar);
	if (!code)
		code = open_archive(tar, f);
	if (code)
		return close_tar(tar, code);
	*ret = tar;
	return 0;
}

const struct export_to export_to_tar = {
	.open = open_tar,
	.dir = put_dir,
	.file = put_file,
	.link = put_link,
	.close = close_tar,
};
