/* mount_client_key.c - arguments that name keys of a mounted store: paths in
 * it. */
#include "tool/mount_client.h"
#include "tool/mount_ask.h"

#include "bltfs_ioctl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

/* The key's bytes and facts, asked of an open file in a mount.  Between two
 * requests the file may have got another key: -EAGAIN. */
static int read_key(int fd, struct tool_key *ret, struct blt_stat *stat)
{
	struct bltfs_key k = { 0 };
	uint64_t offset = 0;
	int r;

	do {
		k.offset = offset;
		r = mount_ask(fd, BLTFS_IOC_KEY, &k);
		if (r < 0)
			return r;
		if (!ret->bytes) {
			ret->bytes = malloc(k.key_len + 1);
			ret->len = k.key_len;
		}
		if (!ret->bytes)
			return -ENOMEM;
		if (k.key_len != ret->len)
			return -EAGAIN;
		if (k.len == 0)
			return k.key_len ? -EAGAIN : 0;
		memcpy(ret->bytes + offset, k.bytes, k.len);
		offset += k.len;
	} while (offset < k.key_len);
	if (stat)
		*stat = (struct blt_stat){ .len = k.size,
					   .timestamp = k.timestamp };
	return 0;
}

static int fail_key(const struct tool *t, bool anywhere, const char *arg, int r)
{
	switch (r) {
	case -EISDIR:
		return tool_fail(t, EX_NOINPUT,
				 "%s: is the mount point itself, and no key",
				 arg);
	case -ENOENT:
		return tool_fail(
			t, TOOL_NOT_FOUND, "%s: no such key%s", arg,
			anywhere ? ", and no store to look for one in: "
				   "give the path of a file on a mount, "
				   "or a store file and a key" :
				   "; it is given as the path that it has "
				   "below the mount point");
	case -EAGAIN:
		return tool_fail(t, EX_TEMPFAIL,
				 "%s: was renamed meanwhile; try again", arg);
	case -ENOTTY:
	case -ENOSYS:
	case -EACCES:
		return tool_fail(
			t, EX_NOINPUT,
			"%s: is no file of a mounted store; of a store "
			"file, give a key too",
			arg);
	default:
		return tool_fail_file(t, arg, "look", r);
	}
}

int mount_client_key(const struct tool *t, int fd, const char *arg,
		     struct tool_key *ret, struct blt_stat *stat)
{
	const bool anywhere = fd == AT_FDCWD;
	struct stat st;
	int file, r;

	*ret = (struct tool_key){ .name = arg };
	if (!stat && (tool_has(t, OPT_HEX) || tool_has(t, OPT_RAW)))
		return tool_key_literal(t, arg, ret);
	while (!anywhere && *arg == '/')
		arg++;
	file = openat(fd, arg, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	r = file < 0 ? -errno : read_key(file, ret, stat);
	if (r == 0 && !ret->len && fstat(file, &st) == 0 && S_ISDIR(st.st_mode))
		r = -EISDIR;
	if (file >= 0)
		close(file);
	if (r < 0)
		tool_key_free(ret);
	return r < 0 ? fail_key(t, anywhere, arg, r) : 0;
}
