#include "control/control_inner.h"

#include "bltfs_ioctl.h"
#include "control/txns.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(((struct bltfs_txn *)0)->name) == TXNS_NAME_MAX + 1,
	       "a name has the same room everywhere");

/* known: the flags that it takes. */
static int check(const struct bltfs *fs, const struct bltfs_txn *x,
		 uint32_t known)
{
	if (!fs->txns)
		return -EROFS;
	if (!memchr(x->name, '\0', sizeof(x->name)) || x->flags & ~known ||
	    x->reserved)
		return -EINVAL;
	return 0;
}

int control_txn_begin(struct bltfs *fs, void *arg)
{
	struct bltfs_txn *x = arg;
	char name[TXNS_NAME_MAX + 1];
	int rc = check(fs, x, 0);

	if (rc == 0)
		rc = txns_begin(fs->txns, x->name, name);
	if (rc == 0)
		memcpy(x->name, name, sizeof(name));
	return rc;
}

int control_txn_commit(struct bltfs *fs, void *arg)
{
	struct bltfs_txn *x = arg;
	int rc = check(fs, x, BLTFS_TXN_FORCE);

	if (rc == 0)
		rc = txns_commit(fs->txns, x->name, x->flags & BLTFS_TXN_FORCE);
	return rc;
}

int control_txn_abort(struct bltfs *fs, void *arg)
{
	struct bltfs_txn *x = arg;
	int rc = check(fs, x, 0);

	return rc < 0 ? rc : txns_abort(fs->txns, x->name);
}

int control_txn_next(struct bltfs *fs, void *arg)
{
	struct bltfs_txn *x = arg;
	struct txns_info info;
	int rc = check(fs, x, 0);

	if (rc == 0)
		rc = txns_next(fs->txns, x->name, &info);
	if (rc < 0)
		return rc;
	memcpy(x->name, info.name, sizeof(x->name));
	x->began = info.txn.began;
	x->changed = info.txn.changed;
	x->seen = info.txn.seen;
	x->conflicts = info.txn.conflicts;
	return 0;
}

int control_txn_conflict(struct bltfs *fs, void *arg)
{
	struct bltfs_txn_key *c = arg;
	char *path;
	int rc;

	if (!fs->txns)
		return -EROFS;
	if (!memchr(c->name, '\0', sizeof(c->name)))
		return -EINVAL;
	rc = txns_conflict(fs->txns, c->name, c->index, &path);
	if (rc < 0)
		return rc;
	snprintf(c->path, sizeof(c->path), "%s", path);
	free(path);
	return 0;
}
