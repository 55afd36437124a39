/* The system calls on the store file, and its mapping.  It is opened, and
 * locked, in file_open.c. */
#include "booklet/io/file.h"

#include "base/os.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Each lets the server answer; a page is dropped now and then. */
#define WRITE_TRIES 1000

/* Address space taken for the mapping at first; halved until it is had. */
#define MAP_WANT ((size_t)1 << 42)
#define MAP_SLACK ((size_t)1 << 26)

struct file_map {
	struct file_map *next;
	void *at;
	size_t len;
};

/* A used-up quota and the largest file that there may be (of the filesystem, of
 * ulimit -f) are to a store what a full disk is: a state that may pass. */
static ssize_t as_full(ssize_t rc)
{
	if (rc < 0 && (errno == EDQUOT || errno == EFBIG))
		errno = ENOSPC;
	return rc;
}

static ssize_t sys_pwrite(void *arg, int fd, const void *buf, size_t len,
			  off_t pos)
{
	(void)arg;
	return as_full(pwrite(fd, buf, len, pos));
}

static int sys_ftruncate(void *arg, int fd, off_t len)
{
	(void)arg;
	return (int)as_full(ftruncate(fd, len));
}

/* Linux reserves beyond ulimit -f, too, where nothing can be written then. */
static int sys_fallocate(void *arg, int fd, int mode, off_t pos, off_t len)
{
	struct rlimit most;

	(void)arg;
	if (!(mode & FALLOC_FL_PUNCH_HOLE) &&
	    getrlimit(RLIMIT_FSIZE, &most) == 0 &&
	    (rlim_t)pos + (rlim_t)len > most.rlim_cur) {
		errno = ENOSPC;
		return -1;
	}
	return (int)as_full(fallocate(fd, mode, pos, len));
}

static int sys_fdatasync(void *arg, int fd)
{
	(void)arg;
	return fdatasync(fd);
}

/* Its bytes are no business of the mapping's: msync is the one call that makes
 * a part of a file durable, and nothing else. */
static int sys_sync_range(void *arg, void *at, size_t len, off_t pos)
{
	(void)arg;
	(void)pos;
	return msync(at, len, MS_SYNC);
}

/* A file whose times somebody has asked for gets new ones with its next write,
 * to the nanosecond, and its inode is to be written: so not with the size that
 * every flush asks for. */
static int sys_fstat(void *arg, int fd, struct stat *st)
{
	const unsigned times = STATX_ATIME | STATX_MTIME | STATX_CTIME;
	struct statx x;

	(void)arg;
	if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS & ~times, &x) < 0)
		return errno == ENOSYS ? fstat(fd, st) : -1;
	*st = (struct stat){
		.st_dev = makedev(x.stx_dev_major, x.stx_dev_minor),
		.st_ino = x.stx_ino,
		.st_mode = x.stx_mode,
		.st_nlink = x.stx_nlink,
		.st_uid = x.stx_uid,
		.st_gid = x.stx_gid,
		.st_size = (off_t)x.stx_size,
		.st_blksize = (blksize_t)x.stx_blksize,
		.st_blocks = (blkcnt_t)x.stx_blocks,
	};
	return 0;
}

static void *sys_mmap(void *arg, size_t len, int fd)
{
	(void)arg;
	return mmap(NULL, len, PROT_READ, MAP_SHARED | MAP_NORESERVE, fd, 0);
}

const struct file_ops file_system_ops = {
	.pwrite = sys_pwrite,
	.ftruncate = sys_ftruncate,
	.fallocate = sys_fallocate,
	.fdatasync = sys_fdatasync,
	.sync_range = sys_sync_range,
	.fstat = sys_fstat,
	.mmap = sys_mmap,
};

/* Filesystems that copy on write do it elsewhere; of these it is known that
 * they do not. */
static bool is_in_place(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 &&
	       (fs.f_type == EXT4_SUPER_MAGIC || fs.f_type == XFS_SUPER_MAGIC ||
		fs.f_type == TMPFS_MAGIC);
}

int file_adopt(struct file *f, int fd, bool writable,
	       const struct file_ops *ops)
{
	struct file nf = { .ops = *ops, .fd = fd, .writable = writable };
	struct stat st;
	int rc;

	rc = file_stat(&nf, &st);
	if (rc < 0)
		return rc;
	nf.dev = st.st_dev;
	nf.ino = st.st_ino;
	nf.in_place = is_in_place(fd);
	nf.remote = os_remote(fd);
	rc = file_map_to(&nf, (uint64_t)st.st_size);
	if (rc < 0)
		return rc;
	*f = nf;
	return 0;
}

void file_close(struct file *f)
{
	struct file_map *m;

	while ((m = f->old_maps)) {
		f->old_maps = m->next;
		munmap(m->at, m->len);
		free(m);
	}
	if (f->map)
		munmap((void *)(uintptr_t)f->map, f->map_len);
	f->map = NULL;
	close(f->fd);
	free(f->path);
	f->path = NULL;
}

int file_stat(struct file *f, struct stat *ret)
{
	return f->ops.fstat(f->ops.arg, f->fd, ret) < 0 ? -errno : 0;
}

int file_mtime(const struct file *f, int64_t *ret)
{
	struct stat st;

	if (fstat(f->fd, &st) < 0)
		return -errno;
	*ret = (int64_t)st.st_mtim.tv_sec * 1000000 + st.st_mtim.tv_nsec / 1000;
	return 0;
}

int file_size(struct file *f, uint64_t *ret)
{
	struct stat st;
	int rc = file_stat(f, &st);

	if (rc == 0)
		*ret = (uint64_t)st.st_size;
	return rc;
}

static int write_once(struct file *f, const void *buf, size_t len, uint64_t pos)
{
	const char *p = buf;

	while (len) {
		ssize_t n =
			f->ops.pwrite(f->ops.arg, f->fd, p, len, (off_t)pos);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		p += n;
		pos += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

struct shown {
	const uint8_t *at;
	const void *bytes;
	size_t len;
};

static int compare_shown(void *arg)
{
	const struct shown *s = arg;

	return memcmp(s->at, s->bytes, s->len) != 0;
}

int file_write(struct file *f, const void *buf, size_t len, uint64_t pos)
{
	struct shown s = { .bytes = buf, .len = len };
	int rc = write_once(f, buf, len, pos);

	if (rc < 0 || !f->remote || pos + len > f->map_len)
		return rc;
	s.at = file_ptr(f, pos);
	for (int i = 0; i < WRITE_TRIES; i++) {
		rc = file_try(compare_shown, &s);
		if (rc <= 0)
			return rc;
		rc = write_once(f, buf, len, pos);
		if (rc < 0)
			return rc;
	}
	return -EIO;
}

int file_resize(struct file *f, uint64_t size)
{
	while (f->ops.ftruncate(f->ops.arg, f->fd, (off_t)size) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

/* A signal says nothing about the pages. */
int file_sync(struct file *f)
{
	while (f->ops.fdatasync(f->ops.arg, f->fd) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

int file_sync_range(struct file *f, uint64_t from, uint64_t to)
{
	void *at;

	from -= from % (uint64_t)sysconf(_SC_PAGESIZE);
	if (from >= to)
		return 0;
	at = (void *)(uintptr_t)file_ptr(f, from);
	while (f->ops.sync_range(f->ops.arg, at, (size_t)(to - from),
				 (off_t)from) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

void file_give_mode(struct file *from, int to)
{
	struct stat st;

	if (file_stat(from, &st) < 0)
		return;
	if (fchown(to, st.st_uid, st.st_gid) < 0)
		st.st_mode &= 0777;
	(void)!fchmod(to, st.st_mode & 07777);
}

int file_sync_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *dir =
		slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
	int fd, rc;

	if (!dir)
		return -ENOMEM;
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(dir);
	/* A directory that may be entered but not read cannot be synced; the
	 * name will be durable when the system gets to it. */
	if (fd < 0)
		return errno == EACCES ? 0 : -errno;
	rc = fsync(fd) < 0 && errno != EINVAL ? -errno : 0;
	close(fd);
	return rc;
}

static int allocate(struct file *f, int mode, uint64_t pos, uint64_t len)
{
	while (f->ops.fallocate(f->ops.arg, f->fd, mode, (off_t)pos,
				(off_t)len) < 0)
		if (errno != EINTR)
			return errno == ENOSYS ? -EOPNOTSUPP : -errno;
	return 0;
}

int file_reserve(struct file *f, uint64_t pos, uint64_t len)
{
	return allocate(f, FALLOC_FL_KEEP_SIZE, pos, len);
}

int file_punch(struct file *f, uint64_t pos, uint64_t len)
{
	return allocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, pos,
			len);
}

int file_map_to(struct file *f, uint64_t size)
{
	size_t least = (size_t)size + MAP_SLACK, want = MAP_WANT;
	struct file_map *old = NULL;
	void *at;

	if (size <= f->map_len && f->map)
		return 0;
	if (f->map) {
		old = malloc(sizeof(*old));
		if (!old)
			return -ENOMEM;
		*old = (struct file_map){ f->old_maps,
					  (void *)(uintptr_t)f->map,
					  f->map_len };
	}
	if (want < least)
		want = least > SIZE_MAX / 2 ? least : 2 * least;
	while ((at = f->ops.mmap(f->ops.arg, want, f->fd)) == MAP_FAILED) {
		if (want / 2 < least) {
			int rc = -errno;

			free(old);
			return rc;
		}
		want /= 2;
	}
	if (old)
		f->old_maps = old;
	f->map = at; /* before its length: see struct file */
	f->map_len = want;
	return 0;
}

int file_show(struct file *f, uint64_t pos, const void *bytes, size_t len)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), offset = pos % page;
	size_t n = (offset + len + page - 1) / page * page;
	void *at = (void *)(uintptr_t)file_ptr(f, pos - offset);
	uint8_t *copy = mmap(NULL, n, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int rc;

	if (copy == MAP_FAILED)
		return -errno;
	rc = file_read(f, copy, n, pos - offset);
	if (rc == 0) {
		memcpy(copy + offset, bytes, len);
		if (mremap(copy, n, n, MREMAP_MAYMOVE | MREMAP_FIXED, at) !=
		    MAP_FAILED)
			return 0;
		rc = -errno;
	}
	munmap(copy, n);
	return rc;
}
