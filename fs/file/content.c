#include "file/content.h"

#include "file/codec.h"
#include "inode/rights.h"
#include "inode/syncer.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>

/* ---- open and close ---- */

int content_open(struct bltfs *fs, struct inode *inode, int flags,
		 struct handle **ret)
{
	struct handle *h = malloc(sizeof(*h));
	int rc = 0;

	if (!h)
		return -ENOMEM;
	*h = (struct handle){
		.inode = inode,
		.writes = (flags & O_ACCMODE) != O_RDONLY,
		.appends = flags & O_APPEND,
	};
	pthread_mutex_lock(&inode->lock);
	if (flags & O_TRUNC)
		rc = writeback_cut(fs, inode);
	else if (inode->gone && !inode->has_view && !inode->buffer)
		rc = -ESTALE; /* the kernel looks the name up once more */
	if (rc == 0)
		inode->nopen++;
	pthread_mutex_unlock(&inode->lock);
	if (rc < 0) {
		free(h);
		return rc;
	}
	rc = cache_validity_opened(fs, inode, &h->validity);
	if (rc < 0) {
		pthread_mutex_lock(&inode->lock);
		inode->nopen--;
		pthread_mutex_unlock(&inode->lock);
		free(h);
		return rc;
	}
	h->keeps = rc;
	inodes_ref(fs->inodes, inode);
	inode_add_open(inode, &h->open);
	*ret = h;
	return 0;
}

int content_create(struct bltfs *fs, struct inode *inode, const char *name)
{
	int rc;

	pthread_mutex_lock(&inode->lock);
	rc = writeback_cut(fs, inode);
	if (rc == 0 && name)
		rc = inodes_set_fresh(fs->inodes, inode, name);
	pthread_mutex_unlock(&inode->lock);
	return rc;
}

int content_make(struct bltfs *fs, struct inode *inode)
{
	int rc;

	pthread_mutex_lock(&inode->lock);
	rc = writeback_cut(fs, inode);
	if (rc == 0)
		rc = writeback_put(fs, inode, true);
	write_buffer_free(inode->buffer);
	inode->buffer = NULL;
	pthread_mutex_unlock(&inode->lock);
	return rc;
}

int content_release(struct bltfs *fs, struct handle *h)
{
	struct inode *inode = h->inode;
	bool gone;
	int rc = 0;

	cache_validity_closed(fs, &h->validity);
	inode_remove_open(inode, &h->open);
	pthread_mutex_lock(&inode->lock);
	gone = inode->gone;
	inode->nopen--;
	if (inode->nopen == 0 || atomic_load(&h->writer) != WRITER_NONE) {
		rc = writeback_commit(fs, inode, inode->nopen == 0);
		if (rc < 0 && inode->nopen == 0)
			writeback_forget(fs, inode, rc);
	}
	/* an open that the kernel has resolved may be on its way still */
	if (inode->nopen == 0 && !gone) {
		write_buffer_free(inode->buffer);
		inode->buffer = NULL;
	}
	pthread_mutex_unlock(&inode->lock);
	inodes_put(fs->inodes, inode, 1);
	free(h);
	return rc;
}

/* ---- reading ---- */

/* Of what is shown: of a coded value its head says that. */
static int stored_stat(struct bltfs *fs, struct inode *inode,
		       const struct blt_stat *known, struct blt_stat *ret)
{
	struct blt_view view;
	int rc;

	if (!fs->opts->decode && known) {
		*ret = *known;
		return 0;
	}
	if (!fs->opts->decode)
		return blt_stat_key(fs->store, inode->key, inode->key_len, ret);
	rc = blt_get(fs->store, inode->key, inode->key_len, &view);
	if (rc < 0)
		return rc;
	ret->len = view.len;
	ret->timestamp = view.timestamp;
	codec_length(&view, &ret->len);
	blt_view_release(&view);
	return 0;
}

int content_stat(struct bltfs *fs, struct inode *inode,
		 const struct blt_stat *known, struct blt_stat *ret)
{
	struct blt_stat st = { .timestamp = BLT_NO_TIME };
	int rc = 0;

	pthread_mutex_lock(&inode->lock);
	if (inode->has_view) {
		st.len = inode->view.len;
		st.timestamp = inode->view.timestamp;
		if (fs->opts->decode)
			codec_length(&inode->view, &st.len);
	} else if (!inode->gone && !(inode->buffer && inode->buffer->dirty)) {
		rc = stored_stat(fs, inode, known, &st);
	} else if (!inode->buffer) {
		rc = -ESTALE;
	}
	if (inode->buffer) {
		st.len = inode->buffer->len;
		if (inode->buffer->dirty ||
		    (inode->gone && inode->buffer->mtime))
			st.timestamp = inode->buffer->mtime;
	}
	pthread_mutex_unlock(&inode->lock);
	if (rc == 0)
		*ret = st;
	return rc;
}

int content_view(struct bltfs *fs, struct inode *inode, struct blt_view *ret)
{
	int rc = -EAGAIN;

	pthread_mutex_lock(&inode->lock);
	if (!inode->buffer && !inode->has_view && !inode->gone &&
	    !fs->opts->decode)
		rc = blt_get(fs->store, inode->key, inode->key_len, ret);
	pthread_mutex_unlock(&inode->lock);
	return rc;
}

int64_t content_read(struct bltfs *fs, struct inode *inode, void *buf, size_t n,
		     uint64_t offset)
{
	struct blt_view view;
	int64_t got = 0;

	pthread_mutex_lock(&inode->lock);
	if (fs->opts->decode)
		got = writeback_begin(fs, inode, false);
	if (got < 0) {
		/* what could not be decoded */
	} else if (inode->buffer) {
		got = write_buffer_read(inode->buffer, buf, n, offset);
	} else if (inode->has_view) {
		got = blt_view_copy(&inode->view, buf, n, offset);
	} else if (inode->gone) {
		got = -ESTALE;
	} else if (fs->info.shared) {
		/* a view is a copy of the whole value */
		got = blt_get_part(fs->store, inode->key, inode->key_len, buf,
				   n, offset);
	} else {
		got = blt_get(fs->store, inode->key, inode->key_len, &view);
		pthread_mutex_unlock(&inode->lock);
		if (got < 0)
			return got;
		got = blt_view_copy(&view, buf, n, offset);
		blt_view_release(&view);
		return got;
	}
	pthread_mutex_unlock(&inode->lock);
	return got;
}

int content_link_target(struct bltfs *fs, const void *key, size_t len,
			char *target)
{
	uint8_t value[BLT_LINK_LEN];
	struct blt_view view;
	int rc;

	if (!fs->takes_links)
		return -EINVAL;
	rc = blt_get(fs->store, key, len, &view);
	if (rc < 0)
		return rc;
	rc = -EINVAL;
	if (view.len == BLT_LINK_LEN) {
		int64_t n = blt_view_copy(&view, value, BLT_LINK_LEN, 0);

		rc = n == BLT_LINK_LEN ? blt_link_read(value, target) : -EIO;
	}
	blt_view_release(&view);
	return rc;
}

/* ---- writing ---- */

int content_write(struct bltfs *fs, struct inode *inode, const void *buf,
		  size_t n, uint64_t offset, bool append)
{
	int rc;

	pthread_mutex_lock(&inode->lock);
	rc = writeback_begin(fs, inode, false);
	if (rc == 0)
		rc = write_buffer_write(inode->buffer, buf, n,
					append ? inode->buffer->len : offset);
	pthread_mutex_unlock(&inode->lock);
	return rc;
}

int content_resize(struct bltfs *fs, struct inode *inode, uint64_t len,
		   bool now)
{
	int rc;

	pthread_mutex_lock(&inode->lock);
	rc = writeback_begin(fs, inode, len == 0);
	if (rc == 0)
		rc = write_buffer_resize(inode->buffer, len);
	if (rc == 0 && now)
		rc = writeback_commit(fs, inode, true);
	if (now && inode->nopen == 0 && !inode->gone) {
		write_buffer_free(inode->buffer);
		inode->buffer = NULL;
	}
	pthread_mutex_unlock(&inode->lock);
	return rc;
}

int content_allocate(struct bltfs *fs, struct inode *inode, int mode,
		     uint64_t offset, uint64_t len)
{
	bool zero = mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE);
	bool keep = mode & FALLOC_FL_KEEP_SIZE;
	int rc = 0;

	if (mode & ~(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE |
		     FALLOC_FL_KEEP_SIZE))
		return -EOPNOTSUPP;
	if (offset > fs->pool.value_max || len > fs->pool.value_max - offset)
		return -EFBIG;
	pthread_mutex_lock(&inode->lock);
	if (zero || !keep)
		rc = writeback_begin(fs, inode, false);
	if (rc == 0 && zero)
		rc = write_buffer_zero(inode->buffer, offset, len);
	if (rc == 0 && !keep && offset + len > inode->buffer->len)
		rc = write_buffer_resize(inode->buffer, offset + len);
	pthread_mutex_unlock(&inode->lock);
	return rc;
}

int content_touch(struct bltfs *fs, struct inode *inode, int64_t mtime)
{
	int rc = 0;

	pthread_mutex_lock(&inode->lock);
	if (inode->buffer && inode->buffer->dirty) {
		inode->buffer->mtime = mtime;
	} else if (inode->has_view) {
		inode->view.timestamp = mtime;
	} else if (!inode->gone) {
		rc = blt_touch(fs->store, inode->key, inode->key_len, mtime);
		if (rc == 0)
			rc = syncer_commit(fs->syncer, inode->key_len);
	}
	pthread_mutex_unlock(&inode->lock);
	return rc;
}

void content_prepare(struct inode *inode)
{
	pthread_mutex_lock(&inode->lock);
	if (inode->buffer && inode->buffer->stream && inode->buffer->dirty &&
	    !inode->gone)
		/* where it fails, so does the commit */
		(void)blt_stream_sync(inode->buffer->stream);
	pthread_mutex_unlock(&inode->lock);
}

int content_commit(struct bltfs *fs, struct inode *inode)
{
	int rc;

	pthread_mutex_lock(&inode->lock);
	rc = writeback_commit(fs, inode, false);
	pthread_mutex_unlock(&inode->lock);
	return rc;
}

/* ---- going ---- */

/* A view of a shared store is a copy: no large one is made for an open that
 * may never come. */
#define KEEP_COPY_MAX ((uint64_t)16 << 20)

static bool worth_keeping(struct bltfs *fs, struct inode *inode)
{
	struct blt_stat st;

	if (inode->nopen > 0 || !fs->info.shared)
		return true;
	return blt_stat_key(fs->store, inode->key, inode->key_len, &st) == 0 &&
	       st.len <= KEEP_COPY_MAX;
}

int content_keep(struct bltfs *fs, struct inode *inode)
{
	int rc = 0;

	pthread_mutex_lock(&inode->lock);
	if (!inode->buffer && !inode->has_view && !inode->gone &&
	    worth_keeping(fs, inode)) {
		rc = blt_get(fs->store, inode->key, inode->key_len,
			     &inode->view);
		inode->has_view = rc == 0;
		if (inode->nopen == 0)
			rc = 0; /* that it cannot be read is no reason to stay
				 */
	}
	if (rc == 0) {
		rights_remember(fs, inode);
		inode->gone = true;
	}
	pthread_mutex_unlock(&inode->lock);
	return rc;
}

void content_stays(struct inode *inode)
{
	pthread_mutex_lock(&inode->lock);
	inode->gone = false;
	if (inode->has_view)
		blt_view_release(&inode->view);
	inode->has_view = false;
	pthread_mutex_unlock(&inode->lock);
}

void content_gone(struct bltfs *fs, struct inode *inode)
{
	inodes_unindex(fs->inodes, inode);
	inodes_clear_fresh(fs->inodes, inode);
	pthread_mutex_lock(&inode->lock);
	rights_remember(fs, inode);
	inode->gone = true;
	pthread_mutex_unlock(&inode->lock);
}

void content_lose(struct bltfs *fs, struct inode *inode, int err)
{
	content_gone(fs, inode);
	pthread_mutex_lock(&inode->lock);
	inode->lost = err;
	pthread_mutex_unlock(&inode->lock);
}
