/* mount_client.c - whether something is a mounted store, and what its daemon
 * tells of it. */
#include "tool/mount_client.h"
#include "tool/mount_ask.h"

#include "bltfs_ioctl.h"
#include "base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

/* ---- is it a mount? ---- */

int mount_client_fail(const struct tool *t, const char *path, int err)
{
	if (err == -EACCES)
		return tool_fail(t, EX_NOPERM,
				 "%s: is mounted by another user, who alone "
				 "may ask its daemon",
				 path);
	if (err == -ENOTTY || err == -ENOSYS)
		return tool_fail(t, EX_NOINPUT,
				 "%s: is a directory, and no mount point of a "
				 "store (or mounted with control=none)",
				 path);
	if (err == -ENOTCONN || err == -ECONNABORTED || err == -ENODEV)
		return tool_fail(t, EX_UNAVAILABLE, "%s: its daemon has gone",
				 path);
	if (err == -EPROTO)
		return tool_fail(t, EX_DATAERR,
				 "%s: its daemon gave an answer that is not "
				 "one of bltfs",
				 path);
	return tool_fail(t, tool_exit_code(err), "%s: %s", path,
			 strerror(-err));
}

bool tool_is_environment(int fd)
{
	return faccessat(fd, "data.mdb", F_OK, 0) == 0;
}

int mount_client_open(const struct tool *t, const char *path, int *ret_fd)
{
	struct bltfs_name name;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err;

	*ret_fd = -1;
	if (fd < 0 && errno == ENOTCONN)
		return mount_client_fail(t, path, -ENOTCONN);
	if (fd < 0)
		return 0; /* opening it as a store says why not */
	err = mount_ask(fd, BLTFS_IOC_NAME, &name);
	if (err < 0) {
		if (err == -ENOTTY && tool_is_environment(fd))
			err = 0;
		close(fd);
		return err ? mount_client_fail(t, path, err) : 0;
	}
	if (tool_has(t, OPT_DB)) {
		close(fd);
		return tool_fail(t, EX_USAGE,
				 "--db: %s is a mount, which shows what it was "
				 "told to (bltfs -o db=NAME)",
				 path);
	}
	*ret_fd = fd;
	return 0;
}

int tool_mount_fd(const char *path)
{
	struct bltfs_name name;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0 && mount_ask(fd, BLTFS_IOC_NAME, &name) < 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

bool tool_is_mount(const char *path)
{
	int fd = tool_mount_fd(path);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

int mount_client_mount(const struct tool *t, const char *path, int *ret_fd)
{
	int code = mount_client_open(t, path, ret_fd);

	if (code || *ret_fd >= 0)
		return code;
	if (access(path, F_OK) < 0)
		return tool_fail_file(t, path, "open", -errno);
	return tool_fail(t, EX_NOINPUT, "%s: is not a mount point", path);
}

/* ---- requests ---- */

int mount_client_store(const struct tool *t, int fd, struct blt_info *ret,
		       char **ret_path)
{
	struct bltfs_store s;
	int err = mount_ask(fd, BLTFS_IOC_STORE, &s);

	if (err < 0)
		return mount_client_fail(t, t->arg[0], err);
	/* A booklet store has at least one bucket, another none. */
	*ret = (struct blt_info){
		.engine = s.buckets          ? "booklet" :
			  blt_is_url(s.path) ? blt_engine_of(s.path) :
					       "lmdb",
		.shared = !s.buckets,
		.version = s.version,
		.has_timestamps = s.timestamps,
		.key_serializer = s.key_serializer,
		.value_serializer = s.value_serializer,
		.value_len = s.value_len,
		.n_buckets = s.buckets,
		.n_keys = s.keys,
		.index_offset = s.index_offset,
		.data_offset = s.data_offset,
		.file_size = s.file_size,
		.created = s.created,
		.modified = s.modified,
	};
	memcpy(ret->uuid, s.uuid, sizeof(ret->uuid));
	if (ret_path && !(*ret_path = strdup(s.path)))
		return tool_fail(t, EX_OSERR, "out of memory");
	return 0;
}

const char *mount_client_transport(int fd)
{
	struct bltfs_store s;

	if (ioctl(fd, BLTFS_IOC_STORE, &s) < 0)
		return NULL;
	return s.transport == BLTFS_TRANSPORT_IO_URING ? "io_uring" : "device";
}

char *mount_client_path(const char *point)
{
	/* also one that answers nothing else (control=none) */
	int fd = open(point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct bltfs_store s;
	char *path = NULL;

	if (fd < 0)
		return NULL;
	if (mount_ask(fd, BLTFS_IOC_STORE, &s) == 0)
		path = strdup(s.path);
	close(fd);
	return path;
}

int mount_client_pieces(const struct tool *t, int fd, const void *bytes,
			size_t len, uint64_t *ret_args)
{
	const uint8_t *from = bytes;
	struct bltfs_piece piece = { 0 };
	int err;

	do { /* the answer may have changed piece.len */
		size_t n = (size_t)min_u64(len, sizeof(piece.bytes));

		piece.len = (uint32_t)n;
		memcpy(piece.bytes, from, n);
		err = mount_ask(fd, BLTFS_IOC_PIECE, &piece);
		if (err < 0)
			return mount_client_fail(t, t->arg[0], err);
		from += n;
		len -= n;
	} while (len);
	*ret_args = piece.args;
	return 0;
}
