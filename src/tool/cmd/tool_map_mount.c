/* tool_map_mount.c - a map that a mount's daemon does: it stands in another
 * directory, and has another PATH.
 */
#include "tool/mount_client.h"
#include "tool/cmd/tool_map.h"

#include "bltfs_ioctl.h"
#include "base/os.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

/* The file need not be there yet.  NULL with errno. */
static char *absolute(const char *path)
{
	char dir[PATH_MAX], *ret;

	if (*path == '/')
		return strdup(path);
	if (!getcwd(dir, sizeof(dir)) || asprintf(&ret, "%s/%s", dir, path) < 0)
		return NULL;
	return ret;
}

/* As execvp finds it. */
static char *find_program(const char *name)
{
	const char *path = getenv("PATH"), *end;
	char *found;

	if (strchr(name, '/') || !path)
		return absolute(name);
	for (; *path; path = *end ? end + 1 : end) {
		end = strchrnul(path, ':');
		if (asprintf(&found, "%.*s/%s", (int)(end - path), path, name) <
		    0)
			return NULL;
		if (*found == '/' && access(found, X_OK) == 0)
			return found;
		free(found);
	}
	errno = ENOENT;
	return NULL;
}

int map_mount_paths(const struct tool *t, struct map_options *o,
		    struct map_paths *ret)
{
	size_t n = 0;

	if (o->to) {
		ret->to = blt_is_url(o->to) ? strdup(o->to) : absolute(o->to);
		if (!ret->to)
			return tool_fail_file(t, o->to, "find", -errno);
		o->to = ret->to;
	}
	if (o->kind == MAP_BUILTIN)
		return 0;
	ret->dir = getcwd(NULL, 0);
	if (!ret->dir)
		return tool_fail_file(t, ".", "find", -errno);
	o->dir = ret->dir;
	while (o->argv[n])
		n++;
	ret->function = o->kind == MAP_SHARED ? absolute(o->argv[0]) :
						find_program(o->argv[0]);
	if (!ret->function)
		return tool_fail(t, EX_USAGE, "%s: cannot be run: %s%s",
				 o->argv[0], strerror(errno),
				 child_advice(-errno));
	ret->argv = calloc(n + 1, sizeof(*ret->argv));
	if (!ret->argv)
		return tool_fail(t, EX_OSERR, "out of memory");
	memcpy(ret->argv, o->argv, n * sizeof(*ret->argv));
	ret->argv[0] = ret->function;
	o->argv = ret->argv;
	return 0;
}

void map_mount_paths_free(struct map_paths *paths)
{
	free(paths->to);
	free(paths->dir);
	free(paths->function);
	free(paths->argv);
}
