/* With -o xattr: user.blt.key, the key's bytes; user.blt.hash, its hash in hex
 * digits; user.blt.timestamp, in microseconds.  None can be changed.
 */
#include "request/ops.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A directory has no time of its own: the last is for files. */
static const char names[] = "user.blt.key\0user.blt.hash\0user.blt.timestamp";
static const size_t names_without_time = sizeof("user.blt.key\0user.blt.hash");

static int get_hash(const struct inode *inode, char **ret, size_t *ret_len)
{
	static const char digits[] = "0123456789abcdef";
	uint8_t hash[BLT_HASH_LEN];
	char *value = malloc(2 * sizeof(hash));

	if (!value)
		return -ENOMEM;
	blt_key_digest(inode->key, inode->key_len, hash);
	for (size_t i = 0; i < sizeof(hash); i++) {
		value[2 * i] = digits[hash[i] >> 4];
		value[2 * i + 1] = digits[hash[i] & 15];
	}
	*ret = value;
	*ret_len = 2 * sizeof(hash);
	return 0;
}

/* The value, malloc'd, or -errno. */
static int get_value(struct bltfs *fs, struct inode *inode, const char *name,
		     char **ret, size_t *ret_len)
{
	struct blt_stat st;
	char *value;
	int rc;

	if (strcmp(name, "user.blt.key") == 0) {
		value = malloc(inode->key_len + 1);
		if (!value)
			return -ENOMEM;
		memcpy(value, inode->key, inode->key_len);
		*ret_len = inode->key_len;
	} else if (strcmp(name, "user.blt.hash") == 0) {
		return get_hash(inode, ret, ret_len);
	} else if (strcmp(name, "user.blt.timestamp") == 0) {
		if (inode->kind == BLT_DIR)
			return -ENODATA;
		rc = content_stat(fs, inode, NULL, &st);
		if (rc < 0)
			return rc;
		if (st.timestamp == BLT_NO_TIME)
			return -ENODATA;
		rc = asprintf(&value, "%" PRId64, st.timestamp);
		if (rc < 0)
			return -ENOMEM;
		*ret_len = (size_t)rc;
	} else {
		return -ENODATA;
	}
	*ret = value;
	return 0;
}

static void reply_bytes(fuse_req_t req, const char *bytes, size_t len,
			size_t size)
{
	if (size == 0)
		fuse_reply_xattr(req, len);
	else if (size < len)
		ops_reply(req, -ERANGE);
	else
		fuse_reply_buf(req, bytes, len);
}

void ops_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	struct bltfs *fs = ops_fs_of(req, ino);
	char *value;
	size_t len;
	int rc;

	bltfs_share_names(fs);
	rc = get_value(fs, ops_inode(req, ino), name, &value, &len);
	bltfs_leave_names(fs);
	if (rc < 0) {
		ops_reply(req, rc);
		return;
	}
	reply_bytes(req, value, len, size);
	free(value);
}

void ops_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	struct inode *inode = ops_inode(req, ino);
	size_t len = sizeof(names);

	if (inode->kind == BLT_DIR || !ops_fs_of(req, ino)->info.has_timestamps)
		len = names_without_time;
	reply_bytes(req, names, len, size);
}

/* To a copy that asks for others this is a filesystem that has none. */
static int refusal(const char *name)
{
	return strncmp(name, "user.blt.", 9) == 0 ? -EPERM : -EOPNOTSUPP;
}

void ops_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
		  const char *value, size_t size, int flags)
{
	(void)ino;
	(void)value;
	(void)size;
	(void)flags;
	ops_reply(req, refusal(name));
}

void ops_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	(void)ino;
	ops_reply(req, refusal(name));
}
