/* tool_import_dir.c - a directory as the source of an import. */
#include "tool/tool_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

struct open_file {
	struct import *im;
	int fd;
};

static int read_file(void *arg, void *buf, size_t n, uint64_t offset)
{
	struct open_file *f = arg;
	int r = tool_read_at(f->fd, buf, n, offset);

	f->im->source_failed = r < 0;
	f->im->done += n;
	return r;
}

static int fail_file(struct import *im, const char *path, const char *doing,
		     int err)
{
	int code = tool_fail_file(im->t, path, doing, err);

	if (!im->code)
		im->code = code;
	return 0;
}

static int take_file(struct import *im, int dir, const char *name,
		     const char *path)
{
	struct open_file f = { im, -1 };
	struct blt_source source = { 0, read_file, &f };
	struct stat st, own;
	int code;

	f.fd = openat(dir, name,
		      O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY |
			      O_CLOEXEC);
	if (f.fd < 0)
		return fail_file(im, path, "open", -errno);
	if (fstat(f.fd, &st) < 0)
		code = fail_file(im, path, "read", -errno);
	else if (!fstat(blt_fd(im->t->store), &own) &&
		 own.st_dev == st.st_dev && own.st_ino == st.st_ino)
		code = import_pass_over(im, path, "it is the store itself");
	else {
		source.len = (uint64_t)st.st_size;
		code = import_file(
			im, path,
			import_time(st.st_mtim.tv_sec, st.st_mtim.tv_nsec),
			st.st_mode, &source);
	}
	close(f.fd);
	return code;
}

static int take_link(struct import *im, int dir, const char *name,
		     const char *path, const struct stat *st)
{
	char target[BLT_LINK_MAX + 2];
	ssize_t n = readlinkat(dir, name, target, sizeof(target) - 1);

	if (n < 0)
		return fail_file(im, path, "read", -errno);
	target[n] = '\0';
	return import_link(im, path,
			   import_time(st->st_mtim.tv_sec, st->st_mtim.tv_nsec),
			   target);
}

static int take_entries(struct import *im, int dir, const char *path,
			const struct stat *self);

static int take_dir(struct import *im, int parent, const char *name,
		    const char *path, const struct stat *st)
{
	int fd = openat(parent, name,
			O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int code;

	if (fd < 0)
		return fail_file(im, path, "open", -errno);
	code = take_entries(im, fd, path, st);
	close(fd);
	return code;
}

static int take_entry(struct import *im, int dir, const char *name,
		      const char *path, bool dirs)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return dirs ? 0 : fail_file(im, path, "look", -errno);
	if (S_ISDIR(st.st_mode))
		return dirs ? take_dir(im, dir, name, path, &st) : 0;
	if (dirs)
		return 0;
	if (S_ISREG(st.st_mode))
		return take_file(im, dir, name, path);
	if (S_ISLNK(st.st_mode))
		return take_link(im, dir, name, path, &st);
	return import_pass_over(im, path, "neither a file nor a directory");
}

static int is_entry(const struct dirent *d)
{
	return strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0;
}

static bool is_control(const struct import *im, const char *path)
{
	return !tool_has(im->t, OPT_RAW) && !strcmp(path, TREE_CONTROL);
}

static int take_child(struct import *im, int dir, const char *path,
		      const char *name, bool dirs)
{
	char *child;
	int code;

	if (asprintf(&child, "%s%s%s", path, *path ? "/" : "", name) < 0)
		return tool_fail_store(im->t, path, -ENOMEM);
	code = is_control(im, child) ? 0 :
				       take_entry(im, dir, name, child, dirs);
	free(child);
	return code;
}

static int take_entries(struct import *im, int dir, const char *path,
			const struct stat *self)
{
	struct dirent **list;
	int n = scandirat(dir, ".", &list, is_entry, alphasort);
	int code = 0;

	if (n < 0)
		return fail_file(im, path, "list", -errno);
	for (int pass = 0; pass < 2; pass++)
		for (int i = 0; i < n && !code && !tool_signal(); i++)
			code = take_child(im, dir, path, list[i]->d_name,
					  pass == 0);
	for (int i = 0; i < n; i++)
		free(list[i]);
	free(list);
	if (n == 0 && *path)
		return import_empty_dir(im, path,
					import_time(self->st_mtim.tv_sec,
						    self->st_mtim.tv_nsec),
					self->st_mode);
	return code || !*path ? code : import_dir_mode(im, path, self->st_mode);
}

static int load_about(struct import *im, int dir, const char *path)
{
	int fd = openat(dir, path,
			O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	char *text = NULL;
	struct stat st;
	int code, r = 0;

	if (fd < 0)
		return 0;
	if (fstat(fd, &st) < 0)
		r = -errno;
	else if (!S_ISREG(st.st_mode) || st.st_size > TREE_ABOUT_MAX)
		r = -EINVAL;
	if (r == 0) {
		text = malloc((size_t)st.st_size + 1);
		r = text ? tool_read_at(fd, text, (size_t)st.st_size, 0) :
			   -ENOMEM;
	}
	code = r < 0 ? tool_fail_file(im->t, path, "read", r) :
		       import_about(im, path, text, (size_t)st.st_size);
	free(text);
	close(fd);
	return code;
}

int import_dir(struct import *im, const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;
	int code = 0;

	if (fd < 0 || fstat(fd, &st) < 0)
		return tool_fail_file(im->t, path, "open", -errno);
	if (!tool_has(im->t, OPT_RAW))
		code = load_about(im, fd, TREE_LONG_PATH);
	if (!code && !tool_has(im->t, OPT_RAW))
		code = load_about(im, fd, TREE_SEQ_PATH);
	if (!code)
		code = take_entries(im, fd, "", &st);
	close(fd);
	return code;
}
