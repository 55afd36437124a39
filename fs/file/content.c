#include "file/content.h"

#include "file/coding.h"
#include "file/staged.h"
#include "inode/syncer.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>

/* ---- open and close ---- */

int content_open(struct bltfs *fs, struct node *node, int flags,
		 struct handle **ret)
{
	struct handle *h = malloc(sizeof(*h));
	int rc = 0;

	if (!h)
		return -ENOMEM;
	*h = (struct handle){
		.node = node,
		.writes = (flags & O_ACCMODE) != O_RDONLY,
		.appends = flags & O_APPEND,
	};
	pthread_mutex_lock(&node->lock);
	if (flags & O_TRUNC)
		rc = staged_cut(fs, node);
	if (rc == 0)
		node->nopen++;
	pthread_mutex_unlock(&node->lock);
	if (rc < 0) {
		free(h);
		return rc;
	}
	nodes_ref(fs->nodes, node);
	node_add_open(node, &h->open);
	h->keeps = beside_opened(fs, node, &h->beside);
	*ret = h;
	return 0;
}

int content_create(struct bltfs *fs, struct node *node, const char *name)
{
	int rc;

	pthread_mutex_lock(&node->lock);
	rc = staged_cut(fs, node);
	if (rc == 0)
		rc = nodes_set_fresh(fs->nodes, node, name);
	pthread_mutex_unlock(&node->lock);
	return rc;
}

int content_make(struct bltfs *fs, struct node *node)
{
	int rc;

	pthread_mutex_lock(&node->lock);
	rc = staged_cut(fs, node);
	if (rc == 0)
		rc = staged_put(fs, node, true);
	stage_free(node->stage);
	node->stage = NULL;
	pthread_mutex_unlock(&node->lock);
	return rc;
}

int content_release(struct bltfs *fs, struct handle *h)
{
	struct node *node = h->node;
	bool gone;
	int rc = 0;

	beside_closed(fs, &h->beside);
	node_remove_open(node, &h->open);
	pthread_mutex_lock(&node->lock);
	gone = node->gone;
	node->nopen--;
	if (node->nopen == 0 || (h->writes && !atomic_load(&h->flushed))) {
		rc = staged_commit(fs, node, node->nopen == 0);
		if (rc < 0 && node->nopen == 0)
			staged_forget(fs, node, rc);
	}
	/* an open that the kernel has resolved may be on its way still */
	if (node->nopen == 0 && !gone) {
		stage_free(node->stage);
		node->stage = NULL;
	}
	pthread_mutex_unlock(&node->lock);
	nodes_put(fs->nodes, node, 1);
	free(h);
	return rc;
}

/* ---- reading ---- */

/* Of what is shown: of a coded value its head says that. */
static int stored_stat(struct bltfs *fs, struct node *node,
		       const struct blt_stat *known, struct blt_stat *ret)
{
	struct blt_view view;
	int rc;

	if (!fs->opts->decode && known) {
		*ret = *known;
		return 0;
	}
	if (!fs->opts->decode)
		return blt_stat_key(fs->store, node->key, node->key_len, ret);
	rc = blt_get(fs->store, node->key, node->key_len, &view);
	if (rc < 0)
		return rc;
	ret->len = view.len;
	ret->timestamp = view.timestamp;
	coding_length(&view, &ret->len);
	blt_view_release(&view);
	return 0;
}

int content_stat(struct bltfs *fs, struct node *node,
		 const struct blt_stat *known, struct blt_stat *ret)
{
	struct blt_stat st = { .timestamp = BLT_NO_TIME };
	int rc = 0;

	pthread_mutex_lock(&node->lock);
	if (node->has_view) {
		st.len = node->view.len;
		st.timestamp = node->view.timestamp;
		if (fs->opts->decode)
			coding_length(&node->view, &st.len);
	} else if (!node->gone && !(node->stage && node->stage->dirty)) {
		rc = stored_stat(fs, node, known, &st);
	} else if (!node->stage) {
		rc = -ESTALE;
	}
	if (node->stage) {
		st.len = node->stage->len;
		if (node->stage->dirty || (node->gone && node->stage->mtime))
			st.timestamp = node->stage->mtime;
	}
	pthread_mutex_unlock(&node->lock);
	if (rc == 0)
		*ret = st;
	return rc;
}

int content_view(struct bltfs *fs, struct node *node, struct blt_view *ret)
{
	int rc = -EAGAIN;

	pthread_mutex_lock(&node->lock);
	if (!node->stage && !node->has_view && !node->gone && !fs->opts->decode)
		rc = blt_get(fs->store, node->key, node->key_len, ret);
	pthread_mutex_unlock(&node->lock);
	return rc;
}

int64_t content_read(struct bltfs *fs, struct node *node, void *buf, size_t n,
		     uint64_t offset)
{
	struct blt_view view;
	int64_t got = 0;

	pthread_mutex_lock(&node->lock);
	if (fs->opts->decode)
		got = staged_begin(fs, node, false);
	if (got < 0) {
		/* what could not be decoded */
	} else if (node->stage) {
		got = stage_read(node->stage, buf, n, offset);
	} else if (node->has_view) {
		got = blt_view_copy(&node->view, buf, n, offset);
	} else if (node->gone) {
		got = -ESTALE;
	} else if (fs->info.shared) {
		/* a view is a copy of the whole value */
		got = blt_get_part(fs->store, node->key, node->key_len, buf, n,
				   offset);
	} else {
		got = blt_get(fs->store, node->key, node->key_len, &view);
		pthread_mutex_unlock(&node->lock);
		if (got < 0)
			return got;
		got = blt_view_copy(&view, buf, n, offset);
		blt_view_release(&view);
		return got;
	}
	pthread_mutex_unlock(&node->lock);
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

int content_write(struct bltfs *fs, struct node *node, const void *buf,
		  size_t n, uint64_t offset, bool append)
{
	int rc;

	pthread_mutex_lock(&node->lock);
	rc = staged_begin(fs, node, false);
	if (rc == 0)
		rc = stage_write(node->stage, buf, n,
				 append ? node->stage->len : offset);
	pthread_mutex_unlock(&node->lock);
	return rc;
}

int content_resize(struct bltfs *fs, struct node *node, uint64_t len, bool now)
{
	int rc;

	pthread_mutex_lock(&node->lock);
	rc = staged_begin(fs, node, len == 0);
	if (rc == 0)
		rc = stage_resize(node->stage, len);
	if (rc == 0 && now)
		rc = staged_commit(fs, node, true);
	if (now && node->nopen == 0 && !node->gone) {
		stage_free(node->stage);
		node->stage = NULL;
	}
	pthread_mutex_unlock(&node->lock);
	return rc;
}

int content_allocate(struct bltfs *fs, struct node *node, int mode,
		     uint64_t offset, uint64_t len)
{
	bool zero = mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE);
	bool keep = mode & FALLOC_FL_KEEP_SIZE;
	int rc = 0;

	if (mode & ~(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE |
		     FALLOC_FL_KEEP_SIZE))
		return -EOPNOTSUPP;
	if (offset > BLT_VALUE_MAX || len > BLT_VALUE_MAX - offset)
		return -EFBIG;
	pthread_mutex_lock(&node->lock);
	if (zero || !keep)
		rc = staged_begin(fs, node, false);
	if (rc == 0 && zero)
		rc = stage_zero(node->stage, offset, len);
	if (rc == 0 && !keep && offset + len > node->stage->len)
		rc = stage_resize(node->stage, offset + len);
	pthread_mutex_unlock(&node->lock);
	return rc;
}

int content_touch(struct bltfs *fs, struct node *node, int64_t mtime)
{
	int rc = 0;

	pthread_mutex_lock(&node->lock);
	if (node->stage && node->stage->dirty) {
		node->stage->mtime = mtime;
	} else if (node->has_view) {
		node->view.timestamp = mtime;
	} else if (!node->gone) {
		rc = blt_touch(fs->store, node->key, node->key_len, mtime);
		if (rc == 0)
			rc = syncer_commit(fs->syncer, node->key_len);
	}
	pthread_mutex_unlock(&node->lock);
	return rc;
}

void content_prepare(struct node *node)
{
	pthread_mutex_lock(&node->lock);
	if (node->stage && node->stage->stream && node->stage->dirty &&
	    !node->gone)
		/* where it fails, so does the commit */
		(void)blt_stream_sync(node->stage->stream);
	pthread_mutex_unlock(&node->lock);
}

int content_commit(struct bltfs *fs, struct node *node)
{
	int rc;

	pthread_mutex_lock(&node->lock);
	rc = staged_commit(fs, node, false);
	pthread_mutex_unlock(&node->lock);
	return rc;
}

/* ---- going ---- */

/* A view of a shared store is a copy: no large one is made for an open that
 * may never come. */
#define KEEP_COPY_MAX ((uint64_t)16 << 20)

static bool worth_keeping(struct bltfs *fs, struct node *node)
{
	struct blt_stat st;

	if (node->nopen > 0 || !fs->info.shared)
		return true;
	return blt_stat_key(fs->store, node->key, node->key_len, &st) == 0 &&
	       st.len <= KEEP_COPY_MAX;
}

int content_keep(struct bltfs *fs, struct node *node)
{
	int rc = 0;

	pthread_mutex_lock(&node->lock);
	if (!node->stage && !node->has_view && !node->gone &&
	    worth_keeping(fs, node)) {
		rc = blt_get(fs->store, node->key, node->key_len, &node->view);
		node->has_view = rc == 0;
		if (node->nopen == 0)
			rc = 0; /* that it cannot be read is no reason to stay
				 */
	}
	if (rc == 0)
		node->gone = true;
	pthread_mutex_unlock(&node->lock);
	return rc;
}

void content_stays(struct node *node)
{
	pthread_mutex_lock(&node->lock);
	node->gone = false;
	if (node->has_view)
		blt_view_release(&node->view);
	node->has_view = false;
	pthread_mutex_unlock(&node->lock);
}

void content_gone(struct bltfs *fs, struct node *node)
{
	nodes_unindex(fs->nodes, node);
	nodes_clear_fresh(fs->nodes, node);
	pthread_mutex_lock(&node->lock);
	node->gone = true;
	pthread_mutex_unlock(&node->lock);
}

void content_lose(struct bltfs *fs, struct node *node, int err)
{
	content_gone(fs, node);
	pthread_mutex_lock(&node->lock);
	node->lost = err;
	pthread_mutex_unlock(&node->lock);
}
