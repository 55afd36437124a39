/* file.h - the store file: the only system calls on it.
 *
 *   file_open(&f, path, how, ops, err)     open, lock, map
 *   file_ptr(&f, pos)                      read through the mapping
 *   file_write / file_resize / ...         write through system calls
 *   file_close(&f)
 *
 * Reads go through a mapping that covers more than the file, so that growth
 * does not move it; a byte below the file's end is at file_ptr for as long as
 * the file is open.  Reading a file that another process cut short raises
 * SIGBUS: file_try runs a function and turns that into -EIO.  Writes go through
 * pwrite, because a store through a mapping cannot report a full disk.
 *
 * The two agree, but not where the kernel caches the file for a server (FUSE,
 * NFS, SMB): it may drop a page while the server is told of a write, read it
 * again before the server knows, and keep that.  A commit that built on such a
 * page would lose others.  So there each write is held against the mapping, and
 * made once more where that shows something else: the page that is found then
 * was read behind the write, or holds it.
 *
 * Every system call on the file but open and flock goes through a table of
 * functions, so that tests can make calls fail, record them, and crash between
 * them.
 *
 * Threads: file_ptr and file_try from any thread.  Calls that change the same
 * bytes, the size or the mapping are serialised by the caller; a write or sync
 * of other bytes may run beside them: a mapping that is replaced stays.
 */
#ifndef BLT_FILE_H
#define BLT_FILE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

struct blt_error;

/* As the system calls of the same names: -1 and errno.  arg is the table
 * user's. */
struct file_ops {
	ssize_t (*pwrite)(void *arg, int fd, const void *buf, size_t len,
			  off_t pos);
	int (*ftruncate)(void *arg, int fd, off_t len);
	int (*fallocate)(void *arg, int fd, int mode, off_t pos, off_t len);
	int (*fdatasync)(void *arg, int fd);
	/* The same for bytes of the file alone, which stand at that place of
	 * the mapping; pos and at are those of a page. */
	int (*sync_range)(void *arg, void *at, size_t len, off_t pos);
	int (*fstat)(void *arg, int fd, struct stat *st); /* but the times */
	void *(*mmap)(void *arg, size_t len, int fd);
	void *arg;
};

extern const struct file_ops file_system_ops;

struct file_how {
	bool write;          /* exclusive lock, else shared and read-only */
	bool create;         /* made, mode 0600, where it is missing */
	int lock_timeout_ms; /* 0: do not wait; -1: for ever */
};

struct file {
	struct file_ops ops;
	char *path;
	int fd;
	bool writable;
	bool made;     /* by this open; it was not there before */
	bool in_place; /* what is written again needs no disk space */
	bool remote;   /* os_remote: the mapping may show what was before */
	/* Who reads both reads map_len first: a mapping is as long as that of
	 * before, at least. */
	const uint8_t *_Atomic map;
	_Atomic size_t map_len;
	struct file_map *old_maps; /* outgrown; readers may stand in them */
	dev_t dev;
	ino_t ino;
};

/* Opens and locks.  *f is set on success only.  err gets a sentence that names
 * the file; -EWOULDBLOCK: locked by another process. */
int file_open(struct file *f, const char *path, const struct file_how *how,
	      const struct file_ops *ops, struct blt_error *err);

/* Takes an open descriptor (a memory file, in tests and fuzzers); no lock. */
int file_adopt(struct file *f, int fd, bool writable,
	       const struct file_ops *ops);

void file_close(struct file *f);

int file_size(struct file *f, uint64_t *ret);
int file_stat(struct file *f, struct stat *ret); /* its times aside */

/* Microseconds since the Unix epoch.  Makes the next write dearer. */
int file_mtime(const struct file *f, int64_t *ret);

/* Writes all of it, or fails; the mapping then shows it. */
int file_write(struct file *f, const void *buf, size_t len, uint64_t pos);
int file_resize(struct file *f, uint64_t size);
int file_sync(struct file *f);

/* Makes the bytes from one position to another durable, and that the file
 * reaches to them: what else was written need not be.  The mapping reaches
 * there. */
int file_sync_range(struct file *f, uint64_t from, uint64_t to);

/* Gives another file, which is to take its place, its modes and its owner, as
 * far as the system lets us. */
void file_give_mode(struct file *from, int to);

/* Makes a file's name durable. */
int file_sync_name(const char *path);

/* Gets disk space for these bytes without changing the size.  -EOPNOTSUPP
 * where the filesystem cannot. */
int file_reserve(struct file *f, uint64_t pos, uint64_t len);

/* Gives the disk space under these bytes back, which then are zeros; the size
 * stays.  -EOPNOTSUPP where the filesystem cannot. */
int file_punch(struct file *f, uint64_t pos, uint64_t len);

/* Makes the mapping reach to size at least.  Pointers from before stay
 * valid. */
int file_map_to(struct file *f, uint64_t size);

static inline const uint8_t *file_ptr(const struct file *f, uint64_t pos)
{
	return atomic_load_explicit(&f->map, memory_order_relaxed) + pos;
}

/* Of a file that is not written to any more: the mapping shows these bytes at
 * pos from now on, and the file keeps what it has.  What else stands in their
 * pages may be read meanwhile. */
int file_show(struct file *f, uint64_t pos, const void *bytes, size_t len);

/* Copies bytes that the mapping reaches, by their position or by a pointer that
 * may be one of elsewhere, too; -EIO where the file has them no more. */
int file_read(const struct file *f, void *to, size_t len, uint64_t pos);
int file_copy(void *to, const void *from, size_t len);

/* Runs fn(arg) and returns what it returns, or -EIO where it touched a part of
 * a mapping that the file no longer backs.  fn is then cut off where it
 * stands: it must hold no lock and own nothing.  Does not nest. */
int file_try(int (*fn)(void *arg), void *arg);

#endif
