/* tool_export_dir.c - a directory as the target of an export.
 *
 * Each directory on a path is opened without following links, from the one
 * above it: what stands in the tree already cannot lead out of it.
 */
#include "tool/tool_place.h"
#include "tool/tool_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#define AS_DIR (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* A directory's time and mode, set when nothing comes into it any more. */
struct late {
	struct late *next;
	int64_t time;
	unsigned mode;
	bool has_mode;
	char path[];
};

struct target {
	struct export *ex;
	int root;
	int parent;   /* of the last path, */
	char *prefix; /* which is this one of */
	struct late *late;
};

static void times_of(int64_t time, struct timespec ret[2])
{
	ret[0] = (struct timespec){ .tv_nsec = UTIME_OMIT };
	ret[1] = (struct timespec){ .tv_nsec = UTIME_OMIT };
	if (time != BLT_NO_TIME)
		ret[1] = (struct timespec){ time / 1000000,
					    time % 1000000 * 1000 };
}

/* ---- directories ---- */

static int step_down(int dir, const char *name)
{
	int fd = openat(dir, name, AS_DIR);

	if (fd < 0 && errno == ENOENT) {
		if (mkdirat(dir, name, 0777) < 0 && errno != EEXIST)
			return -errno;
		fd = openat(dir, name, AS_DIR);
	}
	return fd < 0 ? -errno : fd;
}

/* The directory that the first len bytes of path name. */
static int walk_down(int root, const char *path, size_t len)
{
	int fd = dup(root);
	char name[256];

	if (fd < 0)
		return -errno;
	for (size_t at = 0; at < len && fd >= 0;) {
		size_t n = strcspn(path + at, "/");
		int below;

		if (n >= sizeof(name)) {
			close(fd);
			return -ENAMETOOLONG;
		}
		memcpy(name, path + at, n);
		name[n] = '\0';
		below = step_down(fd, name);
		close(fd);
		fd = below;
		at += n + 1;
	}
	return fd;
}

/* The directory of a path, and the name in it. */
static int parent_of(struct target *to, const char *path, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash ? (size_t)(slash - path) : 0;

	*ret_name = slash ? slash + 1 : path;
	if (to->parent >= 0 && strlen(to->prefix) == len &&
	    !strncmp(to->prefix, path, len))
		return to->parent;
	if (to->parent >= 0)
		close(to->parent);
	free(to->prefix);
	to->prefix = strndup(path, len);
	to->parent = to->prefix ? walk_down(to->root, path, len) : -ENOMEM;
	return to->parent;
}

/* Single files that fail do not end it, but a full disk does. */
static int fail(struct target *to, const char *path, int err)
{
	int code;

	if (err == -EEXIST && tool_has(to->ex->t, OPT_SKIP_EXISTING)) {
		to->ex->counts.kept++;
		return 0;
	}
	to->ex->counts.failed++;
	if (err == -EEXIST)
		code = tool_fail(to->ex->t, EX_CANTCREAT,
				 "%s: exists already; --force replaces it, "
				 "--skip-existing leaves it",
				 path);
	else if (err == -ELOOP || err == -ENOTDIR)
		code = tool_fail(to->ex->t, EX_CANTCREAT,
				 "%s: there is something else in place of one "
				 "of its directories",
				 path);
	else
		code = tool_fail_file(to->ex->t, path, "write", err);
	if (!to->ex->code)
		to->ex->code = code;
	return err == -ENOSPC || err == -EDQUOT || err == -EROFS ||
			       err == -EIO ?
		       code :
		       0;
}

static int put_dir(void *arg, const struct export_item *item)
{
	struct target *to = arg;
	size_t len = strlen(item->path);
	int fd = walk_down(to->root, item->path, len);
	struct late *late;

	if (fd < 0)
		return fail(to, item->path, fd);
	close(fd);
	late = malloc(sizeof(*late) + len + 1);
	if (!late)
		return tool_fail_store(to->ex->t, item->path, -ENOMEM);
	memcpy(late->path, item->path, len + 1);
	late->time = item->time;
	late->mode = item->mode;
	late->has_mode = item->has_mode;
	late->next = to->late;
	to->late = late;
	return 0;
}

/* ---- files ---- */

static int write_value(struct target *to, int fd,
		       const struct export_item *item, int *ret_code)
{
	for (uint64_t at = 0; at < item->len;) {
		const uint8_t *bytes;
		int64_t n = export_bytes(to->ex, item, at, &bytes);
		int r;

		if (n < 0) {
			*ret_code =
				export_fail_read(to->ex, item->path, (int)n);
			return 0;
		}
		if (tool_signal())
			return -EINTR;
		r = tool_write_all(fd, bytes, (size_t)n);
		if (r < 0)
			return r;
		at += (uint64_t)n;
	}
	return 0;
}

static bool leave_alone(struct target *to, int dir, const char *name)
{
	return tool_has(to->ex->t, OPT_SKIP_EXISTING) &&
	       faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int put_file(void *arg, const struct export_item *item)
{
	struct target *to = arg;
	struct timespec times[2];
	struct place place;
	const char *name;
	int code = 0, r;
	int dir = parent_of(to, item->path, &name);

	if (dir < 0)
		return fail(to, item->path, dir);
	if (leave_alone(to, dir, name))
		return fail(to, item->path, -EEXIST);
	r = place_begin(&place, dir);
	if (r < 0)
		return fail(to, item->path, r);
	times_of(item->time, times);
	r = write_value(to, place.fd, item, &code);
	if (r == 0 && item->has_mode && fchmod(place.fd, item->mode) < 0)
		r = -errno;
	if (r == 0 && futimens(place.fd, times) < 0)
		r = -errno;
	if (r == 0 && !code)
		r = place_end(&place, name,
			      tool_has(to->ex->t, OPT_FORCE) ||
				      tree_is_about(item->path));
	else
		place_abort(&place);
	if (r == -EINTR && tool_signal())
		return 0;
	return r < 0 ? fail(to, item->path, r) : code;
}

static int put_link(void *arg, const struct export_item *item,
		    const char *target)
{
	struct target *to = arg;
	struct timespec times[2];
	const char *name;
	int dir = parent_of(to, item->path, &name);
	int r;

	if (dir < 0)
		return fail(to, item->path, dir);
	r = symlinkat(target, dir, name);
	if (r < 0 && errno == EEXIST && tool_has(to->ex->t, OPT_FORCE) &&
	    unlinkat(dir, name, 0) == 0)
		r = symlinkat(target, dir, name);
	times_of(item->time, times);
	if (r == 0)
		r = utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW);
	return r < 0 ? fail(to, item->path, -errno) : 0;
}

/* ---- beginning and end ---- */

static int open_target(struct export *ex, const char *path, void **ret)
{
	struct target *to = malloc(sizeof(*to));
	int code;

	if (!to)
		return tool_fail_store(ex->t, NULL, -ENOMEM);
	*to = (struct target){ .ex = ex, .parent = -1 };
	if (mkdir(path, 0777) < 0 && errno != EEXIST) {
		code = tool_fail_create(ex->t, path, -errno);
		free(to);
		return code;
	}
	to->root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (to->root < 0) {
		free(to);
		return tool_fail(ex->t, EX_CANTCREAT,
				 "%s: cannot open it as a directory: %s; the "
				 "name of an archive ends in .tar, .tar.gz and "
				 "so on, or give --format",
				 path, strerror(errno));
	}
	*ret = to;
	return 0;
}

static int close_target(void *arg, int code)
{
	struct target *to = arg;

	while (to->late) {
		struct late *late = to->late;
		struct timespec times[2];
		int fd = walk_down(to->root, late->path, strlen(late->path));

		times_of(late->time, times);
		if (fd < 0 || futimens(fd, times) < 0 ||
		    (late->has_mode && fchmod(fd, late->mode) < 0))
			fail(to, late->path, fd < 0 ? fd : -errno);
		if (fd >= 0)
			close(fd);
		to->late = late->next;
		free(late);
	}
	if (to->parent >= 0)
		close(to->parent);
	close(to->root);
	free(to->prefix);
	free(to);
	return code;
}

const struct export_to export_to_dir = {
	.open = open_target,
	.dir = put_dir,
	.file = put_file,
	.link = put_link,
	.close = close_target,
};
