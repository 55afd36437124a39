/* tool_umount.c - blt umount: returns when the data is safe.
 *
 * The kernel lets a mount go before its daemon has written everything and
 * closed the store.  So the daemon is found first, by the lock that it holds
 * on the store, and waited for.
 */
#include "tool/mount_client.h"
#include "tool/tool_system.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sysexits.h>
#include <unistd.h>

#define DAEMON "bltfs"
#define MAX_HOLDERS 16
#define SILENT_MS 2000 /* so long it waits without a word */

/* The path without links, "." and "..".  Only the directory above is looked
 * into: a mount whose daemon died answers nothing itself. */
static int canonical(const char *path, char ret[PATH_MAX])
{
	char above[PATH_MAX], *slash;
	size_t len = strlen(path);

	if (realpath(path, ret))
		return 0;
	if (errno != ENOTCONN && errno != EACCES && errno != EIO)
		return -errno;
	if (len >= sizeof(above))
		return -ENAMETOOLONG;
	memcpy(above, path, len + 1);
	while (len > 1 && above[len - 1] == '/')
		above[--len] = '\0';
	slash = strrchr(above, '/');
	if (slash)
		*slash = '\0';
	if (!realpath(!slash ? "." : *above ? above : "/", ret))
		return -errno;
	path = slash ? slash + 1 : above;
	len = strlen(ret);
	if (len + strlen(path) + 2 > PATH_MAX)
		return -ENAMETOOLONG;
	snprintf(ret + len, PATH_MAX - len, "%s%s", len > 1 ? "/" : "", path);
	return 0;
}

/* Pages that were written through a mapping are the kernel's still. */
static int write_back(const struct tool *t, const char *point)
{
	int fd = open(point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int err = 0;

	if (fd < 0)
		return 0; /* nobody there to write to */
	if (syncfs(fd) < 0 && errno != ENOTCONN)
		err = -errno;
	close(fd);
	if (!err)
		return 0;
	return tool_fail(t, tool_exit_code(err),
			 "%s: changes cannot be "
			 "written back: %s; it stays mounted, fusermount3 -u "
			 "would drop them",
			 point, strerror(-err));
}

/* Runs fusermount3 and keeps what it says. */
static int run_fusermount(const char *point, char *said, size_t len)
{
	char *argv[] = { (char[]){ "fusermount3" }, (char[]){ "-u" },
			 (char[]){ "--" }, strdup(point), NULL };
	int r = argv[3] ? tool_run(argv, said, len) : -ENOMEM;

	free(argv[3]);
	if (r <= 0)
		return r;
	return strstr(said, "busy") ? -EBUSY : -EPERM;
}

static int fail_busy(const struct tool *t, const char *point)
{
	char users[256];

	tool_users_of(point, users, sizeof(users));
	if (*users)
		return tool_fail(t, EX_TEMPFAIL,
				 "%s: is in use by %s; end "
				 "these or have them leave it, and try again",
				 point, users);
	return tool_fail(t, EX_TEMPFAIL,
			 "%s: is in use by processes that are "
			 "not this user's to see; \"fuser -vm %s\" as root "
			 "names them",
			 point, point);
}

static int unmount(const struct tool *t, const char *point)
{
	char said[512] = "";
	int r = -EPERM;

	if (geteuid() == 0)
		r = umount2(point, UMOUNT_NOFOLLOW) < 0 ? -errno : 0;
	if (r == -EPERM)
		r = run_fusermount(point, said, sizeof(said));
	if (!r)
		return 0;
	if (r == -EBUSY)
		return fail_busy(t, point);
	if (r == -ENOENT)
		return tool_fail(t, EX_UNAVAILABLE,
				 "fusermount3: is not "
				 "installed (package fuse3), and only root can "
				 "unmount %s without it",
				 point);
	if (*said)
		return tool_fail(t, EX_NOPERM, "%s: cannot unmount: %s", point,
				 said);
	return tool_fail_file(t, point, "unmount", r);
}

/* Until one of the processes is gone.  There are several only if a store is
 * mounted more than once for reading, when nothing is at stake. */
static int wait_for_exit(const int *fds, int n, int timeout_ms)
{
	struct pollfd p[MAX_HOLDERS];
	int r;

	for (int i = 0; i < n; i++)
		p[i] = (struct pollfd){ .fd = fds[i], .events = POLLIN };
	do
		r = poll(p, (nfds_t)n, timeout_ms);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r == 0 ? -ETIMEDOUT : 0;
}

static void on_alarm(int sig)
{
	(void)sig;
}

/* Where the daemon cannot be seen (another pid namespace): until the store's
 * lock is free. */
static int wait_for_lock(const char *store, int timeout_ms)
{
	struct sigaction act = { .sa_handler = on_alarm };
	struct itimerval timer = {
		/* Again and again, lest the first one comes too early. */
		.it_interval = { .tv_usec = 100000 },
		.it_value = { timeout_ms / 1000, timeout_ms % 1000 * 1000 + 1 },
	};
	int fd = open(store, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int r;

	if (fd < 0)
		return -errno;
	if (timeout_ms >= 0) {
		sigemptyset(&act.sa_mask);
		sigaction(SIGALRM, &act, NULL);
		setitimer(ITIMER_REAL, &timer, NULL);
	}
	r = flock(fd, LOCK_SH) < 0 ? -errno : 0;
	setitimer(ITIMER_REAL, &(struct itimerval){ 0 }, NULL);
	close(fd);
	return r == -EINTR ? -ETIMEDOUT : r;
}

/* What the daemon could not tell anybody when it went. */
static int judge_store(const struct tool *t, const char *store)
{
	struct blt_open_options how = { .mode = BLT_READ };
	struct blt_error err;
	struct blt_info info;
	struct blt *blt;
	int r = blt_open(store, &how, &blt, &err);

	if (r == -EUCLEAN || r == -EIO)
		return tool_fail_open(t, store, r, &err);
	if (r < 0)
		return 0; /* in other hands already, or not ours to read */
	blt_get_info(blt, &info);
	blt_close(blt);
	if (!info.was_open)
		return 0;
	return tool_fail(t, EX_IOERR,
			 "%s: unmounted, but its daemon did not "
			 "close it properly; what it had synced is there, and "
			 "the next mount makes the file whole",
			 store);
}

static int wait_for_daemon(const struct mountinfo *m, const int *fds, int n,
			   int timeout_ms)
{
	return n > 0 ? wait_for_exit(fds, n, timeout_ms) :
		       wait_for_lock(m->source, timeout_ms);
}

#define CONNECTIONS "/sys/fs/fuse/connections"

static int write_abort(const char *path)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), err;

	if (fd < 0)
		return -errno;
	err = write(fd, "1", 1) < 0 ? -errno : 0;
	close(fd);
	return err;
}

/* The kernel ends the connection: the daemon is told that the mount is gone,
 * whoever has a copy of it, and closes the store as ever. */
static int end_connection(const struct tool *t, const struct mountinfo *m)
{
	char path[64];
	int err;

	snprintf(path, sizeof(path), CONNECTIONS "/%u/abort", m->minor);
	err = write_abort(path);
	/* most systems have it mounted from the start */
	if (err == -ENOENT && !mount("fusectl", CONNECTIONS, "fusectl",
				     MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL))
		err = write_abort(path);
	if (err == -ENOENT)
		return tool_fail(t, EX_UNAVAILABLE,
				 "%s: is not there; as root, \"mount -t "
				 "fusectl none /sys/fs/fuse/connections\" "
				 "makes it",
				 path);
	return err < 0 ? tool_fail_file(t, path, "write to", err) : 0;
}

/* It takes long: why.  An exit code where that cannot be helped. */
static int tell_why(const struct tool *t, const struct mountinfo *m)
{
	char who[256];

	tool_mount_copies(m, who, sizeof(who));
	if (!*who) {
		tool_say(t, "%s: unmounted; its daemon is still writing %s",
			 m->point, m->source);
		return 0;
	}
	if (tool_has(t, OPT_FORCE))
		return end_connection(t, m);
	tool_say(t,
		 "%s: unmounted here, but %s has it in another mount "
		 "namespace; waiting until that has gone: --force does not",
		 m->point, who);
	return 0;
}

static int wait_until_safe(const struct tool *t, const struct mountinfo *m,
			   const int *fds, int n, int timeout_ms)
{
	const bool longer = timeout_ms < 0 || timeout_ms > SILENT_MS;
	int r = wait_for_daemon(m, fds, n, longer ? SILENT_MS : timeout_ms);

	if (r == -ETIMEDOUT && longer) {
		int code = tell_why(t, m);

		if (code)
			return code;
		r = wait_for_daemon(m, fds, n,
				    timeout_ms < 0 ? -1 :
						     timeout_ms - SILENT_MS);
	}
	if (r == -ETIMEDOUT)
		return tool_fail(t, EX_TEMPFAIL,
				 "%s: unmounted, but its "
				 "daemon is still writing %s",
				 m->point, m->source);
	if (r < 0)
		return tool_fail(t, tool_exit_code(r),
				 "%s: unmounted, but "
				 "whether all of it is in %s cannot be seen: "
				 "%s",
				 m->point, m->source, strerror(-r));
	return 0;
}

/* The name that a mount was given need not be the store's path. */
static void find_store(struct mountinfo *m)
{
	char *path = mount_client_path(m->point);

	if (!path)
		return;
	free(m->source);
	m->source = path;
}

static int run_umount(struct tool *t)
{
	struct mountinfo m = { 0 };
	int fds[MAX_HOLDERS], n = 0, timeout_ms, code, r;
	char point[PATH_MAX];
	bool gone;

	code = tool_opt_timeout(t, OPT_TIMEOUT, -1, &timeout_ms);
	if (code)
		return code;
	r = canonical(t->arg[0], point);
	if (r < 0)
		return tool_fail_file(t, t->arg[0], "unmount", r);
	r = mountinfo_find(point, &m);
	if (r == -ENOENT)
		return tool_fail(t, EX_NOINPUT, "%s: is not a mount point",
				 t->arg[0]);
	if (r < 0)
		return tool_fail_file(t, "/proc/self/mountinfo", "read", r);
	if (strcmp(m.type, MOUNTINFO_BLTFS) != 0) {
		code = tool_fail(t, EX_DATAERR,
				 "%s: is a mount of type %s, "
				 "not of bltfs; umount(8) is for these",
				 t->arg[0], m.type);
		goto out;
	}
	/* Who has the store's lock then is another. */
	gone = tool_mount_is_dead(point);
	if (!gone)
		find_store(&m);
	if (!gone)
		n = tool_lock_holders(m.source, DAEMON, fds, MAX_HOLDERS);
	code = write_back(t, point);
	if (!code)
		code = unmount(t, point);
	if (!code && !gone)
		code = wait_until_safe(t, &m, fds, n, timeout_ms);
	if (!code && !m.read_only)
		code = judge_store(t, m.source);
out:
	while (n > 0)
		close(fds[--n]);
	mountinfo_free(&m);
	return code;
}

static const struct tool_option options[] = {
	{ OPT_FORCE, 'f', "force", NULL,
	  "also where another mount namespace has a copy: end that, too" },
	{ OPT_TIMEOUT, 't', "timeout", "SECONDS",
	  "wait no longer for the daemon to finish (forever)" },
	TOOL_OPT_END,
};

const struct tool_command tool_umount = {
	.name = "umount",
	.args = "MOUNTPOINT",
	.summary = "unmount a store and wait until it is safe",
	.help = "Unmounts a store and returns when its daemon has written "
		"everything, closed the file and gone; from then on the file "
		"can be copied or opened by Python. If the mount is in use, "
		"it names the processes and changes nothing. Root needs "
		"nothing else; others need fusermount3.",
	.min_args = 1,
	.max_args = 1,
	.options = options,
	.run = run_umount,
};
