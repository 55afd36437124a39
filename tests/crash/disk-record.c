/* A disk that remembers: an nbdkit plugin over a file, which writes down every
 * write and every flush that reaches it, in their order.
 *
 *   nbdkit ./disk-record.so file=IMAGE log=LOG
 *
 * The log is a row of entries, each written with one call before the request is
 * answered: offset (8 bytes), length (8), then so many bytes.  A flush is an
 * entry with all ones as its offset and no bytes.  Numbers are as the machine
 * has them.  Built by the test that uses it; no part of bltfs.
 */
#define NBDKIT_API_VERSION 2

#include <errno.h>
#include <fcntl.h>
#include <nbdkit-plugin.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define THREAD_MODEL NBDKIT_THREAD_MODEL_SERIALIZE_ALL_REQUESTS
#define FLUSH UINT64_MAX

static int image = -1, log_fd = -1;

static int open_one(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);

	if (fd < 0)
		nbdkit_error("%s: %s", path, strerror(errno));
	return fd;
}

static int record_config(const char *key, const char *value)
{
	int *fd = strcmp(key, "file") == 0 ? &image :
		  strcmp(key, "log") == 0  ? &log_fd :
					     NULL;

	if (!fd) {
		nbdkit_error("%s: no such parameter", key);
		return -1;
	}
	*fd = open_one(value,
		       fd == &image ? O_RDWR : O_WRONLY | O_CREAT | O_APPEND);
	return *fd < 0 ? -1 : 0;
}

static int record_config_complete(void)
{
	if (image >= 0 && log_fd >= 0)
		return 0;
	nbdkit_error("file=IMAGE and log=LOG are wanted");
	return -1;
}

static void *record_open(int readonly)
{
	(void)readonly;
	return NBDKIT_HANDLE_NOT_NEEDED;
}

static int64_t record_get_size(void *handle)
{
	struct stat st;

	(void)handle;
	return fstat(image, &st) < 0 ? -1 : st.st_size;
}

static int note(uint64_t offset, uint64_t len, const void *bytes)
{
	uint64_t head[2] = { offset, len };
	struct iovec part[2] = {
		{ .iov_base = head, .iov_len = sizeof(head) },
		{ .iov_base = (void *)(uintptr_t)bytes, .iov_len = len },
	};

	if (writev(log_fd, part, 2) == (ssize_t)(sizeof(head) + len))
		return 0;
	nbdkit_error("the log cannot be written: %s", strerror(errno));
	return -1;
}

static int record_pread(void *handle, void *buf, uint32_t count,
			uint64_t offset, uint32_t flags)
{
	(void)handle;
	(void)flags;
	return pread(image, buf, count, (off_t)offset) == (ssize_t)count ? 0 :
									   -1;
}

static int record_pwrite(void *handle, const void *buf, uint32_t count,
			 uint64_t offset, uint32_t flags)
{
	(void)handle;
	(void)flags;
	if (note(offset, count, buf) < 0)
		return -1;
	return pwrite(image, buf, count, (off_t)offset) == (ssize_t)count ? 0 :
									    -1;
}

static int record_flush(void *handle, uint32_t flags)
{
	(void)handle;
	(void)flags;
	return note(FLUSH, 0, NULL);
}

/* what the macro below defines */
struct nbdkit_plugin *plugin_init(void);

static struct nbdkit_plugin plugin = {
	.name = "record",
	.longname = "records writes and flushes",
	.config = record_config,
	.config_complete = record_config_complete,
	.open = record_open,
	.get_size = record_get_size,
	.pread = record_pread,
	.pwrite = record_pwrite,
	.flush = record_flush,
	.errno_is_preserved = 1,
};

NBDKIT_REGISTER_PLUGIN(plugin)
