/* tool_import_tar.c - a tar stream as the source of an import.
 *
 * Names are bytes: the locale stays "C", or libarchive would normalise them.
 * It then warns of names in UTF-8 and hands them over as they are.
 */
#include "tool/tool_tree.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#define READ_SIZE (256u << 10)

struct tar {
	struct import *im;
	const char *name; /* of the archive */
	struct archive *a;
	int fd;
	uint8_t *buf;
	/* An empty directory is one into which nothing has come by the end. */
	struct import_late *dirs;
};

static la_ssize_t read_input(struct archive *a, void *arg, const void **ret)
{
	struct tar *tar = arg;
	ssize_t n;

	do
		n = read(tar->fd, tar->buf, READ_SIZE);
	while (n < 0 && errno == EINTR && !tool_signal());
	if (n < 0) {
		archive_set_error(a, errno, "%s", strerror(errno));
		return -1;
	}
	tar->im->done += (uint64_t)n;
	*ret = tar->buf;
	return n;
}

static int fail_archive(struct tar *tar)
{
	const char *why = archive_error_string(tar->a);

	if (tool_signal())
		return 0;
	return tool_fail(tar->im->t, EX_DATAERR,
			 "%s: cannot be read as a tar archive%s%s", tar->name,
			 why ? ": " : "", why ? why : "");
}

static int read_data(void *arg, void *buf, size_t n, uint64_t offset)
{
	struct tar *tar = arg;
	uint8_t *to = buf;

	(void)offset;
	while (n) {
		la_ssize_t got = archive_read_data(tar->a, to, n);

		if (got <= 0) {
			tar->im->source_failed = true;
			return got < 0 ? -EIO : -ENODATA;
		}
		to += got;
		n -= (size_t)got;
	}
	return 0;
}

static int load_about(struct tar *tar, const char *path, int64_t len)
{
	char *text = NULL;
	int code, r = -EINVAL;

	if (len >= 0 && len <= TREE_ABOUT_MAX) {
		text = malloc((size_t)len + 1);
		r = text ? read_data(tar, text, (size_t)len, 0) : -ENOMEM;
	}
	code = r < 0 ? tool_fail_file(tar->im->t, path, "read", r) :
		       import_about(tar->im, path, text, (size_t)len);
	free(text);
	return code;
}

static int take_hard_link(struct tar *tar, const char *path, int64_t time,
			  const char *target)
{
	char *copy = strdup(target), *clean;
	int code;

	if (!copy)
		return tool_fail_store(tar->im->t, path, -ENOMEM);
	clean = tree_clean_path(copy);
	code = clean ? import_same(tar->im, path, time, clean) :
		       import_pass_over(tar->im, path,
					"a hard link to a path that leads "
					"out of the archive");
	free(copy);
	return code;
}

static int take_file(struct tar *tar, struct archive_entry *e, const char *path,
		     int64_t time)
{
	struct blt_source source = { (uint64_t)archive_entry_size(e), read_data,
				     tar };
	int code = import_file(tar->im, path, time, archive_entry_perm(e),
			       &source);

	/* Behind a failure of the archive nothing is where it should be. */
	return !code && tar->im->source_failed ? fail_archive(tar) : code;
}

static int take_path(struct tar *tar, struct archive_entry *e, char *path)
{
	const char *hard = archive_entry_hardlink(e);
	const char *target = archive_entry_symlink(e);
	int64_t time = archive_entry_mtime_is_set(e) ?
			       import_time(archive_entry_mtime(e),
					   archive_entry_mtime_nsec(e)) :
			       BLT_NOW;
	size_t control = strlen(TREE_CONTROL);

	if (!*path)
		return 0;
	if (!tool_has(tar->im->t, OPT_RAW) &&
	    !strncmp(path, TREE_CONTROL, control) &&
	    (!path[control] || path[control] == '/'))
		return tree_is_about(path) ?
			       load_about(tar, path, archive_entry_size(e)) :
			       0;
	if (hard)
		return take_hard_link(tar, path, time, hard);
	switch (archive_entry_filetype(e)) {
	case AE_IFREG:
		return take_file(tar, e, path, time);
	case AE_IFLNK:
		return import_link(tar->im, path, time, target ? target : "");
	case AE_IFDIR:
		return import_later(tar->im, &tar->dirs, path, time,
				    archive_entry_perm(e));
	default:
		return import_pass_over(tar->im, path,
					"neither a file nor a directory");
	}
}

static int take_entry(struct tar *tar, struct archive_entry *e)
{
	const char *name = archive_entry_pathname(e);
	char *copy = name ? strdup(name) : NULL, *path;
	int code;

	if (!copy)
		return import_pass_over(tar->im, tar->name,
					"an entry whose name cannot be read");
	path = tree_clean_path(copy);
	code = path ? take_path(tar, e, path) :
		      import_pass_over(tar->im, copy,
				       "the path leads out of the archive");
	free(copy);
	return code;
}

static int longer_first(const void *a, const void *b)
{
	size_t x = strlen((*(struct import_late *const *)a)->path);
	size_t y = strlen((*(struct import_late *const *)b)->path);

	return (x < y) - (x > y);
}

/* What is in a directory comes before it: it is not empty then. */
static int take_dirs(struct tar *tar)
{
	struct import_late **sorted;
	size_t n = 0, i = 0;
	int code = 0;

	for (struct import_late *d = tar->dirs; d; d = d->next)
		n++;
	sorted = malloc((n + 1) * sizeof(struct import_late *));
	if (!sorted)
		return tool_fail(tar->im->t, EX_OSERR, "out of memory");
	for (struct import_late *d = tar->dirs; d; d = d->next)
		sorted[i++] = d;
	qsort(sorted, n, sizeof(struct import_late *), longer_first);
	for (i = 0; i < n && !code && !tool_signal(); i++)
		code = import_empty_dir(tar->im, sorted[i]->path,
					sorted[i]->time, sorted[i]->mode);
	free(sorted);
	return code;
}

static int take_entries(struct tar *tar)
{
	struct archive_entry *e;
	int code = 0, r = ARCHIVE_OK;

	while (!code && !tool_signal()) {
		r = archive_read_next_header(tar->a, &e);
		if (r == ARCHIVE_EOF)
			break;
		code = r < ARCHIVE_WARN ? fail_archive(tar) :
					  take_entry(tar, e);
	}
	return code || tool_signal() ? code : take_dirs(tar);
}

static int open_archive(struct tar *tar)
{
	tar->a = tree_tar_reader();
	tar->buf = malloc(READ_SIZE);
	if (!tar->a || !tar->buf)
		return tool_fail(tar->im->t, EX_OSERR, "out of memory");
	if (archive_read_open(tar->a, tar, NULL, read_input, NULL) !=
	    ARCHIVE_OK)
		return fail_archive(tar);
	return 0;
}

int import_tar(struct import *im, const char *path)
{
	struct tar tar = { .im = im, .name = path, .fd = STDIN_FILENO };
	struct stat st;
	int code;

	if (!strcmp(path, "-")) {
		tar.name = "standard input";
	} else {
		tar.fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
		if (tar.fd < 0)
			return tool_fail_file(im->t, path, "open", -errno);
	}
	if (!fstat(tar.fd, &st) && S_ISREG(st.st_mode))
		im->progress.total = (uint64_t)st.st_size;
	im->in_any_order = true;
	code = open_archive(&tar);
	if (!code && !tool_signal())
		code = take_entries(&tar);
	import_free_late(&tar.dirs);
	archive_read_free(tar.a);
	free(tar.buf);
	if (tar.fd > STDIN_FILENO)
		close(tar.fd);
	return code;
}
