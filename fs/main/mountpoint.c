#include "main/daemon.h"

#include "base/mountinfo.h"
#include "blt.h"
#include "main/log.h"

#include <dirent.h>
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

extern char **environ;

static char arg_program[] = "fusermount3", arg_unmount[] = "-u",
	    arg_lazy[] = "-z", arg_end[] = "--";

static int run_fusermount(const char *path)
{
	char *copy = strdup(path);
	char *argv[] = {
		arg_program, arg_unmount, arg_lazy, arg_end, copy, NULL
	};
	int status, rc;
	pid_t pid;

	if (!copy)
		return -ENOMEM;
	rc = -posix_spawnp(&pid, arg_program, NULL, NULL, argv, environ);
	free(copy);
	if (rc < 0)
		return rc;
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EPERM;
}

static int clear_dead_mount(const char *path)
{
	int rc = 0;

	if (umount2(path, MNT_DETACH) < 0)
		rc = run_fusermount(path);
	if (rc < 0) {
		log_error(
			"%s: the daemon of the mount here is gone, and it cannot be unmounted: %s; run: fusermount3 -u -z %s",
			path, strerror(-rc), path);
		return EX_UNAVAILABLE;
	}
	log_info("%s: the daemon of the mount here was gone; unmounted it",
		 path);
	return 0;
}

static int is_empty(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;
	int n = 0;

	if (!d)
		return -errno;
	while (n == 0 && (e = readdir(d))) {
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			n++;
	}
	closedir(d);
	return n == 0;
}

/* The kernel may still know the attributes of its root, but it cannot ask
 * anybody how full it is. */
static bool is_dead_mount(const char *path)
{
	struct statvfs st;

	return statvfs(path, &st) < 0 &&
	       (errno == ENOTCONN || errno == ECONNABORTED);
}

/* What is mounted there already, the store itself or another one, says more
 * than that the directory is in use. */
static int check_mounted(const struct options *opts)
{
	char *point = realpath(opts->mountpoint, NULL);
	char *store = realpath(opts->store, NULL), user[PATH_MAX + 200];
	struct mountinfo m = { 0 };
	bool is_bltfs = point && mountinfo_find(point, &m) == 0 &&
			strcmp(m.type, MOUNTINFO_BLTFS) == 0;

	if (is_bltfs && store && strcmp(store, m.source) == 0) {
		mountinfo_user(store, user, sizeof(user));
		log_error("%s: %s already; \"blt umount %s\" unmounts it",
			  opts->store, user, opts->mountpoint);
	} else if (is_bltfs) {
		log_error(
			"%s: another store, %s, is mounted there; give another directory, or unmount it first: blt umount %s",
			opts->mountpoint, m.source, opts->mountpoint);
	}
	mountinfo_free(&m);
	free(store);
	free(point);
	return is_bltfs ? EX_TEMPFAIL : 0;
}

static int make_mountpoint(const struct options *opts, bool *ret_made)
{
	*ret_made = mkdir(opts->mountpoint, 0755) == 0;
	if (*ret_made || errno == EEXIST)
		return 0;
	log_error("%s: cannot make the mount point: %s", opts->mountpoint,
		  strerror(errno));
	return EX_CANTCREAT;
}

static int check_mountpoint(const struct options *opts, bool *ret_made)
{
	const char *path = opts->mountpoint;
	struct stat st;
	int rc;

	if (is_dead_mount(path)) {
		rc = clear_dead_mount(path);
		if (rc)
			return rc;
	}
	if (opts->mkdir) {
		rc = make_mountpoint(opts, ret_made);
		if (rc)
			return rc;
	}
	if (stat(path, &st) < 0) {
		log_error(
			"%s: cannot mount there: %s%s", path, strerror(errno),
			errno == ENOENT ?
				"; make the directory first, or mount with -o mkdir" :
				"");
		return errno == EACCES ? EX_NOPERM : EX_NOINPUT;
	}
	if (!S_ISDIR(st.st_mode)) {
		log_error(
			"%s: cannot mount there: not a directory; give an empty one",
			path);
		return EX_USAGE;
	}
	if (opts->nonempty)
		return 0;
	rc = check_mounted(opts);
	if (rc)
		return rc;
	rc = is_empty(path);
	if (rc < 0) {
		log_error("%s: cannot mount there: %s", path, strerror(-rc));
		return EX_NOPERM;
	}
	if (rc == 0) {
		log_error(
			"%s: cannot mount there: the directory is not empty, and what is in it would be hidden; -o nonempty mounts all the same",
			path);
		return EX_USAGE;
	}
	return 0;
}

/* A store that is still to be made: the directory's real path, and the name. */
static char *real_new_path(const char *path)
{
	char *one = strdup(path), *two = strdup(path);
	char *dir = NULL, *result = NULL;

	if (one && two)
		dir = realpath(dirname(one), NULL);
	if (dir && asprintf(&result, "%s/%s", strcmp(dir, "/") ? dir : "",
			    basename(two)) < 0)
		result = NULL;
	free(dir);
	free(one);
	free(two);
	return result;
}

/* By identity, so that another path to the mount point does not hide it. */
static bool is_inside(const char *path, const char *mountpoint)
{
	struct stat mp, st;
	char *up = strdup(path);
	bool inside = false;

	if (!up || stat(mountpoint, &mp) < 0)
		goto out;
	while (!inside && strchr(up, '/')) {
		char *slash = strrchr(up, '/');

		slash[slash == up] = '\0';
		inside = stat(up, &st) == 0 && st.st_dev == mp.st_dev &&
			 st.st_ino == mp.st_ino;
		if (slash == up)
			break;
	}
out:
	free(up);
	return inside;
}

static int find_both(const struct options *opts, char **ret_store,
		     char **ret_mountpoint)
{
	char *store = NULL, *mountpoint = NULL;
	int rc = 0;

	mountpoint = realpath(opts->mountpoint, NULL);
	if (!mountpoint) {
		log_error("%s: cannot mount there: %s", opts->mountpoint,
			  strerror(errno));
		return EX_NOINPUT;
	}
	store = blt_is_url(opts->store) ? strdup(opts->store) :
					  realpath(opts->store, NULL);
	if (!store && errno == ENOENT)
		store = real_new_path(opts->store);
	if (!store) {
		rc = errno == EACCES ? EX_NOPERM :
		     opts->create    ? EX_CANTCREAT :
				       EX_NOINPUT;
		log_error("%s: cannot open the store: %s%s", opts->store,
			  strerror(errno),
			  errno != ENOENT ? "" :
			  opts->create    ? "; make the directory first" :
					    "; make a store with \"blt create\"");
	} else if (!blt_is_url(store) && is_inside(store, mountpoint)) {
		rc = EX_USAGE;
		log_error(
			"%s: the store is inside its own mount point %s; move it, or mount elsewhere",
			opts->store, opts->mountpoint);
	}
	if (rc) {
		free(store);
		free(mountpoint);
		return rc;
	}
	*ret_store = store;
	*ret_mountpoint = mountpoint;
	return 0;
}

int mountpoint_find(const struct options *opts, char **ret_store,
		    char **ret_mountpoint, bool *ret_made)
{
	int rc = check_mountpoint(opts, ret_made);

	if (rc == 0)
		rc = find_both(opts, ret_store, ret_mountpoint);
	if (rc && *ret_made) {
		rmdir(opts->mountpoint);
		*ret_made = false;
	}
	return rc;
}

void mountpoint_tell_wait(const struct options *opts, const char *store)
{
	char user[PATH_MAX + 200];

	mountinfo_user(store, user, sizeof(user));
	log_info(
		"%s: %s; waiting up to %llu s until it is free (-o lock_timeout)",
		opts->store, user, (unsigned long long)opts->lock_timeout);
}
