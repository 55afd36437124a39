#include "main/bltfs.h"

#include "file/content.h"
#include "dir/dir.h"
#include "main/log.h"

#include <errno.h>
#include <stdlib.h>

/* Writers first: a rename must not starve behind readers who never pause. */
void bltfs_init_names(struct bltfs *fs)
{
	pthread_rwlockattr_t attr;

	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(
		&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&fs->names, &attr);
	pthread_rwlockattr_destroy(&attr);
}

static int close_all(struct bltfs *fs, struct inode *inode)
{
	int failed = 0;

	while (inode->opens) {
		int rc = 0;

		if (inode->kind == BLT_DIR)
			dir_close(fs, (struct dir_handle *)inode->opens);
		else
			rc = content_release(fs, (struct handle *)inode->opens);
		if (rc < 0)
			failed = rc;
	}
	return failed;
}

int bltfs_close_open(struct bltfs *fs)
{
	struct inode **list;
	int failed = 0;
	size_t n;

	if (inodes_all(fs->inodes, &list, &n) < 0) {
		log_error("out of memory; what was open is lost");
		return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++) {
		int rc = close_all(fs, list[i]);

		failed = rc < 0 ? rc : failed;
		inodes_put(fs->inodes, list[i], 1);
	}
	free(list);
	return failed;
}
