/* rights.h - mode and owner of an inode, where the store keeps them.
 *
 * A mount shows what its options say, but for files and directories with a
 * record in the store (blt_attrs_*): there is one for each that differs from
 * these options, and for no other.  An inode that is gone has no key and no
 * record; its last one is in the inode.
 *
 * Where the store keeps no records, or with -o attrs=dropped, rights_change is
 * -ENOTSUP and the other calls change nothing.
 *
 * The caller holds names shared or exclusively (inode.h).  Results are 0 or
 * -errno.
 */
#ifndef FS_RIGHTS_H
#define FS_RIGHTS_H

#include "main/bltfs.h"

#include <stdbool.h>
#include <sys/types.h>

struct rights {
	mode_t mode; /* the bits of chmod(2) */
	uid_t uid;
	gid_t gid;
};

/* As the mode of a new inode: as the mount shows it. */
#define RIGHTS_NO_MODE ((mode_t)-1)

/* At the mount, for fs->keeps_attrs; says so where nobody expects a no. */
bool rights_found(const struct bltfs *fs);

/* Whether they can be kept, of this inode.  A file in the place of a
 * directory's marker has the directory's name, and none of its own. */
bool rights_kept(const struct bltfs *fs, const struct inode *inode);

/* What is shown, of a symbolic link but for the mode; inode->lock is held. */
void rights_get(struct bltfs *fs, const struct inode *inode,
		struct rights *ret);
/* Remembers that for an inode that is about to go; inode->lock is held. */
void rights_remember(struct bltfs *fs, struct inode *inode);

/* Of a new inode, before the change that makes it: nothing is left of an
 * earlier one of that name.  Group and set-group-ID come from the directory if
 * that has the latter. */
int rights_make(struct bltfs *fs, struct inode *dir, struct inode *inode,
		const struct rights *wanted);

/* The name has gone, with no key that took the record along. */
void rights_drop(struct bltfs *fs, const struct inode *inode);
void rights_drop_key(struct bltfs *fs, const void *key, size_t len);

struct rights_change {
	bool mode, uid, gid; /* which of these change */
	bool clear_ids;      /* as a write does, and chown(2) of a file */
	struct rights to;
	/* Where the kernel does not check: that the caller, who is not root,
	 * may do that. */
	bool check;
	uid_t caller;
	bool (*in_group)(void *arg, gid_t gid);
	void *arg;
};

int rights_change(struct bltfs *fs, struct inode *inode,
		  const struct rights_change *change);

#endif
