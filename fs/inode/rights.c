#include "inode/rights.h"

#include "inode/syncer.h"
#include "main/log.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define BITS 07777u
#define SET_ID (S_ISUID | S_ISGID)

bool rights_kept(const struct bltfs *fs, const struct inode *inode)
{
	return fs->keeps_attrs &&
	       (inode->kind == BLT_DIR || inode->key_len == 0 ||
		inode->key[inode->key_len - 1] != '/');
}

/* Where the store keeps none, chmod and chown are dropped, as of old.  That is
 * no news where its kind is such, unless somebody asked. */
bool rights_found(const struct bltfs *fs)
{
	const struct options *o = fs->opts;
	const bool can = strcmp(fs->info.engine, "booklet") == 0 &&
			 fs->info.value_len == 0;
	struct blt_attrs root;
	int rc;

	if (o->attrs == ATTRS_DROPPED)
		return false;
	rc = blt_attrs_get(fs->store, "", 0, &root);
	if (rc >= 0)
		return true;
	if (rc != -ENOTSUP)
		log_warn(
			"%s: its table of modes and owners cannot be read: %s; they are as the options say, and changes are dropped",
			o->store, strerror(-rc));
	else if (can)
		log_warn(
			"%s: the place of modes and owners, reserved slot 2, holds something else; chmod and chown are dropped",
			o->store);
	else if (o->attrs_asked)
		log_warn(
			"%s: -o attrs=stored: this store keeps no modes and owners; chmod and chown are dropped",
			o->store);
	return false;
}

/* ---- records ---- */

/* Where chmod cannot make a file executable, all files are. */
static struct rights by_default(const struct bltfs *fs, enum blt_kind kind)
{
	const struct options *o = fs->opts;
	uint64_t mask = kind == BLT_DIR ? o->dmask : o->fmask;

	if (kind == BLT_FILE && fs->keeps_attrs && !o->fmask_given)
		mask |= 0111;
	return (struct rights){
		.mode = 0777 & ~(mode_t)mask,
		.uid = (uid_t)o->uid,
		.gid = (gid_t)o->gid,
	};
}

/* With the lock held.  None where it cannot be known. */
static struct blt_attrs record_of(struct bltfs *fs, const struct inode *inode)
{
	struct blt_attrs record = { 0 };

	if (!rights_kept(fs, inode))
		return record;
	if (inode->gone)
		return inode->last;
	(void)blt_attrs_get(fs->store, inode->key, inode->key_len, &record);
	return record;
}

static struct rights shown(const struct bltfs *fs, enum blt_kind kind,
			   const struct blt_attrs *record)
{
	struct rights r = by_default(fs, kind);

	if (record->has & BLT_ATTRS_MODE)
		r.mode = record->mode & BITS;
	if (record->has & BLT_ATTRS_OWNER) {
		r.uid = record->uid;
		r.gid = record->gid;
	}
	return r;
}

/* The record becomes what is to be shown; what else its mode says stays. */
static void write_record(const struct bltfs *fs, enum blt_kind kind,
			 const struct rights *to, struct blt_attrs *record)
{
	const struct rights usual = by_default(fs, kind);
	const uint32_t type =
		record->has & BLT_ATTRS_MODE ? record->mode & ~BITS : 0;

	*record = (struct blt_attrs){ 0 };
	if (to->mode != usual.mode || type) {
		record->has |= BLT_ATTRS_MODE;
		record->mode = type | (to->mode & BITS);
	}
	if (to->uid != usual.uid || to->gid != usual.gid) {
		record->has |= BLT_ATTRS_OWNER;
		record->uid = to->uid;
		record->gid = to->gid;
	}
}

void rights_get(struct bltfs *fs, const struct inode *inode, struct rights *ret)
{
	const struct blt_attrs record = record_of(fs, inode);

	*ret = shown(fs, inode->kind, &record);
}

void rights_remember(struct bltfs *fs, struct inode *inode)
{
	if (!inode->gone)
		inode->last = record_of(fs, inode);
}

/* ---- come and go ---- */

/* A mask that was given takes its bits away from new ones, too: they are not
 * to show more than the mount's user asked for. */
static struct rights of_new(struct bltfs *fs, struct inode *dir,
			    enum blt_kind kind, const struct rights *wanted)
{
	const struct options *o = fs->opts;
	struct rights r = by_default(fs, kind), up;

	pthread_mutex_lock(&dir->lock);
	rights_get(fs, dir, &up);
	pthread_mutex_unlock(&dir->lock);
	if (wanted->mode != RIGHTS_NO_MODE)
		r.mode = wanted->mode & BITS &
			 ~(mode_t)(kind == BLT_DIR ? o->new_dmask :
						     o->new_fmask);
	if (wanted->uid != (uid_t)-1) /* unknown to our user namespace */
		r.uid = wanted->uid;
	if (wanted->gid != (gid_t)-1)
		r.gid = wanted->gid;
	if (up.mode & S_ISGID) {
		r.gid = up.gid;
		if (kind == BLT_DIR)
			r.mode |= S_ISGID;
	}
	return r;
}

int rights_make(struct bltfs *fs, struct inode *dir, struct inode *inode,
		const struct rights *wanted)
{
	struct blt_attrs record;
	struct rights r;
	int rc;

	if (!rights_kept(fs, inode))
		return 0;
	rc = blt_attrs_get(fs->store, inode->key, inode->key_len, &record);
	if (rc == 1)
		rc = blt_attrs_drop(fs->store, inode->key, inode->key_len);
	if (rc < 0)
		return rc;
	r = of_new(fs, dir, inode->kind, wanted);
	record = (struct blt_attrs){ 0 };
	write_record(fs, inode->kind, &r, &record);
	if (!record.has)
		return 0;
	syncer_note(fs->syncer, inode->key_len);
	rc = blt_attrs_set(fs->store, inode->key, inode->key_len, &record);
	/* A full table is no reason to refuse a file; chmod says it. */
	return rc == -ENOSPC ? 0 : rc;
}

/* Where that fails the next of this name drops it. */
void rights_drop_key(struct bltfs *fs, const void *key, size_t len)
{
	if (fs->keeps_attrs)
		(void)blt_attrs_drop(fs->store, key, len);
}

void rights_drop(struct bltfs *fs, const struct inode *inode)
{
	if (rights_kept(fs, inode))
		rights_drop_key(fs, inode->key, inode->key_len);
}

/* ---- changes ---- */

/* What a write does to a file with set-user-ID is no change by its writer. */
static bool only_clears_ids(mode_t old, mode_t mode)
{
	return (old & ~(mode_t)SET_ID) == (mode & ~(mode_t)SET_ID) &&
	       !(mode & ~old & SET_ID);
}

static int check(const struct rights_change *c, const struct rights *old)
{
	const bool owner = c->caller == old->uid;

	if (c->uid && (!owner || c->to.uid != old->uid))
		return -EPERM;
	if (c->gid && (!owner || (c->to.gid != old->gid &&
				  !c->in_group(c->arg, c->to.gid))))
		return -EPERM;
	if (c->mode && !owner && !only_clears_ids(old->mode, c->to.mode & BITS))
		return -EPERM;
	return 0;
}

static void apply(const struct rights_change *c, struct rights *r)
{
	if (c->uid)
		r->uid = c->to.uid;
	if (c->gid)
		r->gid = c->to.gid;
	if (c->mode)
		r->mode = c->to.mode & BITS;
	if (c->clear_ids)
		r->mode &= ~(mode_t)(r->mode & S_IXGRP ? SET_ID : S_ISUID);
	if (c->mode && c->check && r->mode & S_ISGID &&
	    !c->in_group(c->arg, r->gid))
		r->mode &= ~(mode_t)S_ISGID;
}

static int change(struct bltfs *fs, struct inode *inode,
		  const struct rights_change *c)
{
	struct blt_attrs record = record_of(fs, inode);
	struct rights r = shown(fs, inode->kind, &record);
	const mode_t old = r.mode;
	int rc = c->check ? check(c, &r) : 0;

	if (rc < 0)
		return rc;
	apply(c, &r);
	if (!c->mode && !c->uid && !c->gid && r.mode == old)
		return 0;
	write_record(fs, inode->kind, &r, &record);
	if (inode->gone) {
		inode->last = record;
		return 0;
	}
	rc = blt_attrs_set(fs->store, inode->key, inode->key_len, &record);
	return rc < 0 ? rc : syncer_commit(fs->syncer, inode->key_len);
}

int rights_change(struct bltfs *fs, struct inode *inode,
		  const struct rights_change *c)
{
	int rc;

	if (!rights_kept(fs, inode))
		return -ENOTSUP;
	pthread_mutex_lock(&inode->lock);
	rc = change(fs, inode, c);
	pthread_mutex_unlock(&inode->lock);
	return rc;
}
