/* user.* attributes are kept where the store keeps modes and owners (rights.h).
 * Three are answered by name: user.blt.key, the key's bytes; user.blt.hash, its
 * hash in hex digits; user.blt.timestamp, in microseconds.  They are not
 * listed, so that no copy tries to set or remove them.
 */
#include "request/ops.h"

#include "inode/syncer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static bool is_own(const char *name)
{
	return strncmp(name, "user.blt.", 9) == 0;
}

/* To whoever asks for others than user.* this is a filesystem that has none:
 * ls(1), which asks each file for three, then asks no more. */
static bool is_user(const char *name)
{
	return strncmp(name, "user.", 5) == 0;
}

static bool can_be_kept(const struct bltfs *fs, const struct inode *inode)
{
	return rights_kept(fs, inode) && !inode->gone;
}

/* Once more where it has grown meanwhile. */
static int get_kept(struct bltfs *fs, struct inode *inode, const char *name,
		    char **ret, size_t *ret_len)
{
	char *value = NULL, *more;
	size_t room = 0;
	int64_t len;

	while ((len = blt_xattr_get(fs->store, inode->key, inode->key_len, name,
				    value, room)) >= 0) {
		if (value && (size_t)len <= room) {
			*ret = value;
			*ret_len = (size_t)len;
			return 0;
		}
		room = (size_t)len;
		more = realloc(value, room + 1);
		if (!more) {
			len = -ENOMEM;
			break;
		}
		value = more;
	}
	free(value);
	return (int)len;
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
	} else if (!is_own(name) && can_be_kept(fs, inode)) {
		return get_kept(fs, inode, name, ret, ret_len);
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
	char *value = NULL;
	size_t len = 0;
	int rc;

	/* the kernel asks for security.capability before it writes */
	if (!is_user(name)) {
		ops_reply(req, -EOPNOTSUPP);
		return;
	}
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

/* Those that are kept: malloc'd. */
static int list_names(struct bltfs *fs, struct inode *inode, char **ret,
		      size_t *ret_len)
{
	char *list = NULL, *more;
	size_t room = 0;
	int64_t len = 0;

	if (!can_be_kept(fs, inode))
		return 0;
	do {
		room = (size_t)len;
		more = realloc(list, room + 1);
		if (!more) {
			free(list);
			return -ENOMEM;
		}
		list = more;
		len = blt_xattr_list(fs->store, inode->key, inode->key_len,
				     list, room);
	} while (len > 0 && (size_t)len > room);
	if (len < 0) {
		free(list);
		return (int)len;
	}
	*ret = list;
	*ret_len = (size_t)len;
	return 0;
}

void ops_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	struct bltfs *fs = ops_fs_of(req, ino);
	char *list = NULL;
	size_t len = 0;
	int rc;

	bltfs_share_names(fs);
	rc = list_names(fs, ops_inode(req, ino), &list, &len);
	bltfs_leave_names(fs);
	if (rc < 0) {
		ops_reply(req, rc);
		return;
	}
	reply_bytes(req, list, len, size);
	free(list);
}

/* value NULL: removes it. */
static int set_kept(fuse_req_t req, fuse_ino_t ino, const char *name,
		    const char *value, size_t size, int flags)
{
	struct bltfs *fs = ops_fs_of(req, ino);
	struct inode *inode = ops_inode(req, ino);
	int rc = -EOPNOTSUPP;

	if (is_own(name))
		return -EPERM;
	bltfs_share_names(fs);
	if (is_user(name) && can_be_kept(fs, inode))
		rc = blt_xattr_set(fs->store, inode->key, inode->key_len, name,
				   value, size, flags);
	if (rc == 0)
		rc = syncer_commit(fs->syncer, inode->key_len + size);
	bltfs_leave_names(fs);
	return rc;
}

void ops_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
		  const char *value, size_t size, int flags)
{
	ops_reply(req,
		  set_kept(req, ino, name, value ? value : "", size, flags));
}

void ops_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	ops_reply(req, set_kept(req, ino, name, NULL, 0, 0));
}
