/* tool_doctor_system.c - the checks that need no store. */
#include "tool/cmd/tool_doctor.h"
#include "tool/tool_system.h"

#include "base/os.h"
#include "base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "config.h"

#define FUSE_DEVICE "/dev/fuse"
#define URING_PARAMETER "/sys/module/fuse/parameters/enable_uring"
#define CAP_SYS_ADMIN_BIT 21
#define LIBFUSE_MAJOR 3
#define LIBFUSE_MINOR 12
#define FILES_MIN 256
#define TEMPORARY_MIN (UINT64_C(64) << 20)

/* ---- the kernel ---- */

static bool kernel_has_fuse(void)
{
	FILE *f = fopen("/proc/filesystems", "re");
	char line[128];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f))
		found = !strcmp(line, "nodev\tfuse\n");
	if (f)
		fclose(f);
	return found;
}

static void look_at_kernel(struct doctor *d)
{
	struct utsname u;
	long fd;

	if (uname(&u) < 0)
		return;
	if (!kernel_has_fuse()) {
		doctor_find(d, DOCTOR_BAD,
			    "load its module as root: modprobe fuse",
			    "Linux %s knows no FUSE", u.release);
		return;
	}
	fd = syscall(SYS_pidfd_open, getpid(), 0);
	if (fd < 0) {
		doctor_find(d, DOCTOR_NOTE,
			    "Linux 5.3 or later has it; without it, \"blt "
			    "umount\" waits for the store's lock instead",
			    "Linux %s: no pidfd_open, to wait for daemons",
			    u.release);
		return;
	}
	close((int)fd);
	doctor_find(d, DOCTOR_OK, NULL, "Linux %s, with FUSE", u.release);
}

/* What "bltfs -o io_uring=auto" would find. */
static void look_at_transport(struct doctor *d)
{
	int fd = open(URING_PARAMETER, O_RDONLY | O_CLOEXEC);
	char value = '\0';

	if (fd >= 0) {
		if (read(fd, &value, 1) < 0)
			value = '\0';
		close(fd);
	}
	if (value == 'Y')
		doctor_find(d, DOCTOR_OK, NULL,
			    "the kernel offers requests through io_uring");
	else if (value == 'N')
		doctor_find(d, DOCTOR_NOTE,
			    "switch it on as root: echo 1 >" URING_PARAMETER
			    "; at every start: echo options fuse "
			    "enable_uring=1 >/etc/modprobe.d/fuse.conf",
			    "requests through io_uring, which are faster, are "
			    "switched off");
	else
		doctor_find(d, DOCTOR_OK, NULL,
			    "requests go through " FUSE_DEVICE "; io_uring, "
			    "which is faster, needs Linux 6.14");
}

static void look_at_device(struct doctor *d)
{
	int fd = open(FUSE_DEVICE, O_RDWR | O_CLOEXEC);
	const char *advice;

	if (fd >= 0) {
		close(fd);
		doctor_find(d, DOCTOR_OK, NULL, FUSE_DEVICE " can be opened");
		return;
	}
	switch (errno) {
	case EACCES:
		advice = "as root: chmod 666 " FUSE_DEVICE;
		break;
	case ENOENT:
		advice = "as root: modprobe fuse; in a container, start it "
			 "with --device " FUSE_DEVICE " --cap-add SYS_ADMIN";
		break;
	case EPERM:
		advice = "in a container, start it with --device " FUSE_DEVICE;
		break;
	default:
		advice = "as root: modprobe fuse";
	}
	doctor_find(d, DOCTOR_BAD, advice, FUSE_DEVICE " cannot be opened: %s",
		    strerror(errno));
}

/* ---- permission to mount ---- */

static bool may_mount(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	unsigned long long caps = 0;
	char line[256];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "CapEff: %llx", &caps) == 1)
			break;
	if (f)
		fclose(f);
	return caps >> CAP_SYS_ADMIN_BIT & 1;
}

static void look_at_permission(struct doctor *d)
{
	char path[PATH_MAX];
	struct stat st;
	bool direct = may_mount();

	if (!tool_find_program("fusermount3", path, &st)) {
		doctor_find(d, direct ? DOCTOR_NOTE : DOCTOR_BAD,
			    "install the package fuse3",
			    direct ? "fusermount3 is not in PATH; only -o "
				     "auto_unmount and other users need it" :
				     "fusermount3 is not in PATH, and this "
				     "user may not mount without it");
	} else if (!direct && (st.st_uid != 0 || !(st.st_mode & S_ISUID))) {
		doctor_find(d, DOCTOR_BAD,
			    "as root: chown root, then chmod u+s; in a "
			    "container, start it with --cap-add SYS_ADMIN",
			    "%s is not setuid root, and this user may not "
			    "mount without it",
			    path);
	} else {
		doctor_find(d, DOCTOR_OK, NULL, "%s",
			    direct ? "this user may mount" : path);
	}
}

static bool allows_other(void)
{
	FILE *f = fopen("/etc/fuse.conf", "re");
	char line[256];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f)) {
		char *at = line + strspn(line, " \t");

		at[strcspn(at, " \t\n")] = '\0';
		found = !strcmp(at, "user_allow_other");
	}
	if (f)
		fclose(f);
	return found;
}

static void look_at_others(struct doctor *d)
{
	if (geteuid() == 0 || allows_other())
		doctor_find(d, DOCTOR_OK, NULL, "-o allow_other is allowed");
	else
		doctor_find(d, DOCTOR_NOTE,
			    "for that, as root, put the line user_allow_other "
			    "in /etc/fuse.conf",
			    "mounts are for this user alone: -o allow_other "
			    "is refused");
}

/* ---- the daemon ---- */

static void look_at_daemon(struct doctor *d)
{
	char path[PATH_MAX], said[512], version[64];
	char *argv[] = { path, (char[]){ "--version" }, NULL };
	int major = 0, minor = 0, r;

	if (!tool_find_daemon(path)) {
		doctor_find(d, DOCTOR_BAD,
			    "install it, or put its directory into PATH",
			    "bltfs is not in PATH");
		return;
	}
	r = tool_run(argv, said, sizeof(said));
	if (r || sscanf(said, "bltfs %63s (libfuse %d.%d", version, &major,
			&minor) != 3) {
		doctor_find(d, DOCTOR_BAD,
			    "install the libraries that it names, or build it "
			    "here",
			    "%s does not run: %s", path,
			    r < 0 ? strerror(-r) : said);
		return;
	}
	if (major < LIBFUSE_MAJOR ||
	    (major == LIBFUSE_MAJOR && minor < LIBFUSE_MINOR))
		doctor_find(d, DOCTOR_BAD, "install libfuse 3.12 or later",
			    "libfuse %d.%d is too old", major, minor);
	else if (strcmp(version, PACKAGE_VERSION) != 0)
		doctor_find(d, DOCTOR_NOTE, "install both from one release",
			    "%s is version %s, this is blt %s", path, version,
			    PACKAGE_VERSION);
	else
		doctor_find(d, DOCTOR_OK, NULL, "%s %s, libfuse %d.%d", path,
			    version, major, minor);
}

/* ---- limits ---- */

/* A limit a row: below min it is too low. */
static const struct limit {
	int which;
	rlim_t min;
	const char *what, *advice;
} limits[] = {
	{ RLIMIT_NOFILE, FILES_MIN,
	  "open files: a daemon needs one for each large file that is written",
	  "ulimit -n 1024" },
	{ RLIMIT_FSIZE, RLIM_INFINITY,
	  "bytes in a file: no store can grow beyond that",
	  "ulimit -f unlimited" },
	{ RLIMIT_AS, RLIM_INFINITY,
	  "bytes of memory: a store that is larger cannot be mapped",
	  "ulimit -v unlimited" },
};

static void look_at_limits(struct doctor *d)
{
	unsigned found = 0;
	struct rlimit now;

	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		const struct limit *l = &limits[i];

		/* infinity is the largest number */
		if (getrlimit((__rlimit_resource_t)l->which, &now) < 0 ||
		    now.rlim_cur >= l->min)
			continue;
		doctor_find(d, DOCTOR_NOTE, l->advice, "at most %llu %s",
			    (unsigned long long)now.rlim_cur, l->what);
		found++;
	}
	if (!found)
		doctor_find(d, DOCTOR_OK, NULL,
			    "open files, size of files, memory");
}

static void look_at_temporary(struct doctor *d)
{
	const char *dir = unnamed_dir();
	int fd = unnamed_file(dir);
	struct statvfs fs;
	char size[32];

	if (fd < 0) {
		doctor_find(d, DOCTOR_BAD,
			    "set TMPDIR to a directory that can be written",
			    "no temporary file can be made in %s: %s", dir,
			    strerror(-fd));
		return;
	}
	if (fstatvfs(fd, &fs) == 0) {
		uint64_t room = (uint64_t)fs.f_bavail * fs.f_frsize;

		tool_size(room, size);
		if (room < TEMPORARY_MIN)
			doctor_find(d, DOCTOR_NOTE,
				    "make room, or set TMPDIR to another "
				    "directory",
				    "%s has room for %s: large values from "
				    "pipes may not fit",
				    dir, size);
		else
			doctor_find(d, DOCTOR_OK, NULL,
				    "%s has room for %s of temporary files",
				    dir, size);
	}
	close(fd);
}

/* ---- mounts ---- */

static int look_at_mount(void *arg, const struct mountinfo *m)
{
	struct doctor *d = arg;
	char advice[PATH_MAX + 32];

	if (strcmp(m->type, MOUNTINFO_BLTFS) != 0)
		return 0;
	if (!tool_mount_is_dead(m->point)) {
		doctor_find(d, DOCTOR_OK, NULL, "%s on %s", m->source,
			    m->point);
		return 0;
	}
	snprintf(advice, sizeof(advice), "blt umount %s", m->point);
	doctor_find(d, DOCTOR_BAD, advice, "%s on %s: its daemon is gone",
		    m->source, m->point);
	return 0;
}

static void look_at_mounts(struct doctor *d)
{
	(void)mountinfo_each(look_at_mount, d);
}

const struct doctor_check doctor_system[] = {
	{ "kernel", look_at_kernel },
	{ "device", look_at_device },
	{ "transport", look_at_transport },
	{ "permission", look_at_permission },
	{ "other users", look_at_others },
	{ "daemon", look_at_daemon },
	{ "limits", look_at_limits },
	{ "temporary files", look_at_temporary },
	{ "mounts", look_at_mounts },
	{ .name = NULL },
};
