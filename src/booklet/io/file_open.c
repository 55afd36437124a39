/* Opening the store file and its lock.
 *
 * The lock is flock(2) on the whole file, shared for readers and exclusive for
 * writers, taken right after the open and held until the close, as booklet
 * takes it (doc/format.md, section 8).  Nothing is read, truncated or written
 * before it is held. */
#include "booklet/io/file.h"

#include "blt.h"
#include "base/os.h"
#include "base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

/* How a program is told to create a store, or to wait longer, it knows. */
static int fail_open(struct blt_error *err, const char *path, int code,
		     const struct file_how *how)
{
	const char *hint = "";

	if (code == -ENOENT && how->create)
		hint = "; make the directory first";
	else if (code == -EACCES && how->write)
		hint = "; it must be readable and writable to you";
	else if (code == -EACCES)
		hint = "; it must be readable to you";
	if (err)
		snprintf(err->text, sizeof(err->text), "%s: cannot %s: %s%s",
			 path,
			 code == -ENOENT && how->create ? "create" : "open",
			 strerror(-code), hint);
	return code;
}

static int fail_kind(struct blt_error *err, const char *path, mode_t mode)
{
	bool dir = S_ISDIR(mode);

	if (err)
		snprintf(err->text, sizeof(err->text),
			 "%s: is %s, not a file; give the path of a store file",
			 path,
			 dir            ? "a directory" :
			 S_ISFIFO(mode) ? "a fifo" :
			 S_ISSOCK(mode) ? "a socket" :
					  "a device");
	return dir ? -EISDIR : -EINVAL;
}

static int fail_locked(struct blt_error *err, const struct file *f,
		       const char *path, int timeout_ms)
{
	char holder[128];

	lockinfo_holder(f->dev, f->ino, holder, sizeof(holder));
	if (err)
		snprintf(err->text, sizeof(err->text),
			 "%s: is in use by %s (waited %d.%d s for its lock); "
			 "close or unmount it there, or wait longer",
			 path, holder, timeout_ms / 1000,
			 timeout_ms % 1000 / 100);
	return -EWOULDBLOCK;
}

/* flock has no time limit of its own, so a limited wait asks again and again,
 * at growing distances. */
static int lock_wait(int fd, int op, int timeout_ms)
{
	int64_t deadline = steady_us() + (int64_t)timeout_ms * 1000;
	long pause_us = 1000;

	if (timeout_ms < 0) {
		while (flock(fd, op) < 0)
			if (errno != EINTR)
				return -errno;
		return 0;
	}
	while (flock(fd, op | LOCK_NB) < 0) {
		struct timespec ts = { .tv_nsec = pause_us * 1000 };

		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		if (steady_us() >= deadline)
			return -EWOULDBLOCK;
		nanosleep(&ts, NULL);
		if (pause_us < 50000)
			pause_us *= 2;
	}
	return 0;
}

/* True where path still names the file that fd is. */
static bool still_named(const struct file *f, const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && st.st_dev == f->dev &&
	       st.st_ino == f->ino;
}

/* Not as descriptor 0, 1 or 2, even where those are closed: a message that the
 * program prints would be written over the store's header. */
static int open_above(const char *path, int flags)
{
	int low = open(path, flags, 0600), fd, why;

	if (low < 0 || low > STDERR_FILENO)
		return low;
	fd = fcntl(low, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	why = errno;
	close(low);
	errno = why;
	return fd;
}

static int open_once(struct file *f, const char *path,
		     const struct file_how *how, struct blt_error *err)
{
	int flags = (how->write ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOCTTY |
		    O_NONBLOCK;
	struct stat st;
	int rc;

	f->made = false;
	f->fd = open_above(path, flags);
	if (f->fd < 0 && errno == ENOENT && how->create) {
		f->fd = open_above(path, flags | O_CREAT | O_EXCL);
		f->made = f->fd >= 0;
		if (f->fd < 0 && errno == EEXIST)
			f->fd = open_above(path, flags);
	}
	if (f->fd < 0) {
		rc = -errno;
		if (rc == -EISDIR)
			return fail_kind(err, path, S_IFDIR);
		if (rc == -ENXIO)
			return fail_kind(err, path, S_IFIFO);
		return fail_open(err, path, rc, how);
	}
	if (fstat(f->fd, &st) < 0) {
		rc = fail_open(err, path, -errno, how);
		goto out_close;
	}
	if (!S_ISREG(st.st_mode)) {
		rc = fail_kind(err, path, st.st_mode);
		goto out_close;
	}
	f->dev = st.st_dev;
	f->ino = st.st_ino;
	rc = lock_wait(f->fd, how->write ? LOCK_EX : LOCK_SH,
		       how->lock_timeout_ms);
	if (rc == 0)
		return 0;
	if (rc == -EWOULDBLOCK)
		rc = fail_locked(err, f, path, how->lock_timeout_ms);
	else
		rc = fail_open(err, path, rc, how);
out_close:
	close(f->fd);
	return rc;
}

int file_open(struct file *f, const char *path, const struct file_how *how,
	      const struct file_ops *ops, struct blt_error *err)
{
	struct file nf = { .ops = *ops };
	bool made;
	int rc;

	/* Whoever held the lock may have put another file in this one's place
	 * meanwhile: then what is locked now is nobody's store any more. */
	for (;;) {
		rc = open_once(&nf, path, how, err);
		if (rc < 0)
			return rc;
		if (still_named(&nf, path))
			break;
		close(nf.fd);
	}
	made = nf.made;
	rc = file_adopt(&nf, nf.fd, how->write, ops);
	if (rc < 0) {
		close(nf.fd);
		return fail_open(err, path, rc, how);
	}
	nf.made = made;
	nf.path = strdup(path);
	if (!nf.path) {
		file_close(&nf);
		return fail_open(err, path, -ENOMEM, how);
	}
	*f = nf;
	return 0;
}
