#include "file/content.h"

#include "blt_seq.h"
#include "inode/cache_validity.h"
#include "file/codec.h"
#include "main/log.h"
#include "inode/notify_queue.h"
#include "inode/rights.h"
#include "inode/syncer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int fill(struct bltfs *fs, struct write_buffer *s,
		const struct blt_view *view)
{
	return fs->opts->decode ? codec_fill(s, view) :
				  write_buffer_fill(s, view);
}

int writeback_begin(struct bltfs *fs, struct inode *inode, bool empty)
{
	struct blt_view view = { 0 };
	struct write_buffer *s;
	int rc;

	if (inode->buffer)
		return 0;
	rc = write_buffer_new(&fs->pool, &s);
	if (rc == 0)
		s->key_len = inode->key_len;
	if (rc < 0 || empty)
		goto out;
	if (inode->has_view) {
		rc = fill(fs, s, &inode->view);
	} else if (inode->gone) {
		rc = -ESTALE;
	} else {
		rc = blt_get(fs->store, inode->key, inode->key_len, &view);
		if (rc == 0) {
			rc = fill(fs, s, &view);
			blt_view_release(&view);
		}
	}
	if (rc < 0) {
		write_buffer_free(s);
		return rc;
	}
out:
	if (rc == 0)
		inode->buffer = s;
	return rc;
}

int writeback_cut(struct bltfs *fs, struct inode *inode)
{
	int rc = writeback_begin(fs, inode, true);

	return rc < 0 ? rc : write_buffer_resize(inode->buffer, 0);
}

/* The empty value of such a key, or the mark of a sequence, is a directory's
 * marker (names are free to end in '/' only in a flat or integer store, where
 * the directory is the root). */
static bool is_marker_key(const struct inode *inode)
{
	return !(inode->key_len == 0) && inode->key_len == inode->dir_len;
}

/* Whether a file's content would make its key the marker of its directory. */
static bool would_mark(const struct inode *inode)
{
	uint8_t value[16];
	struct write_buffer *s = inode->buffer;

	if (!is_marker_key(inode) || s->len > sizeof(value))
		return false;
	return s->len == 0 || (write_buffer_read(s, value, sizeof(value), 0) ==
				       (int64_t)s->len &&
			       blt_seq_is_mark(value, (size_t)s->len));
}

static void say_refused(struct bltfs *fs, struct inode *inode)
{
	struct write_buffer *s = inode->buffer;
	char *path;

	if (blt_ns_path(fs->ns, inode->key, inode->key_len, &path) < 0)
		path = NULL;
	if (fs->info.value_len && s->len != fs->info.value_len)
		log_warn(
			"%s: not stored: %llu bytes long, and every value of this store has %u",
			path ? path : "a file", (unsigned long long)s->len,
			fs->info.value_len);
	else if (would_mark(inode))
		log_warn(
			"%s: not stored: this name is for a file that is not empty, nor the mark of a sequence",
			path ? path : "a file");
	else
		log_warn(
			"%s: not stored: its content does not load under the value serializer %s",
			path ? path : "a file",
			blt_serializer_name(fs->info.value_serializer));
	free(path);
}

/* A file that was created or cut, and then closed through a second descriptor
 * before a byte was written, as shells do: no event yet. */
static bool just_cut(struct bltfs *fs, const struct write_buffer *s)
{
	return s->len == 0 && !s->written && !fs->takes_empty;
}

static int put_coded(struct bltfs *fs, struct inode *inode)
{
	struct write_buffer *coded = NULL;
	int rc = codec_pack(inode->buffer, &fs->pool, &coded);

	if (rc < 0)
		return rc;
	rc = write_buffer_put(coded, fs->store, inode->key, inode->key_len,
			      inode->buffer->mtime);
	write_buffer_free(coded);
	return rc;
}

int writeback_put(struct bltfs *fs, struct inode *inode, bool last)
{
	struct write_buffer *s = inode->buffer;
	uint64_t bytes = s->len + inode->key_len;
	bool streamed = s->stream;
	int rc;

	if (would_mark(inode))
		rc = -EINVAL;
	else if (fs->opts->decode)
		rc = put_coded(fs, inode);
	else
		rc = write_buffer_put(s, fs->store, inode->key, inode->key_len,
				      s->mtime);
	if (rc < 0) {
		if (rc == -EINVAL && (last || !just_cut(fs, s)))
			say_refused(fs, inode);
		return rc;
	}
	inodes_clear_fresh(fs->inodes, inode);
	rc = syncer_commit(fs->syncer, bytes);
	/* each descriptor's close is to say that it may be lost */
	s->dirty = rc < 0;
	inode->lost = rc;
	if (streamed) {
		inode->buffer = NULL;
		write_buffer_free(s);
	}
	return rc;
}

static int put_changed(struct bltfs *fs, struct inode *inode, bool last)
{
	bool lost =
		invalidate_lost(fs, inode, !inodes_is_fresh(fs->inodes, inode));
	int rc = writeback_put(fs, inode, last);

	if (lost)
		invalidate_back(fs, inode);
	return rc;
}

int writeback_commit(struct bltfs *fs, struct inode *inode, bool last)
{
	int rc = 0;

	if (inode->gone)
		return inode->buffer && inode->buffer->dirty ? inode->lost : 0;
	if (inode->buffer && inode->buffer->dirty)
		rc = put_changed(fs, inode, last);
	else if (inode->lost)
		rc = inode->lost = syncer_commit(fs->syncer, 0);
	return rc;
}

void writeback_forget(struct bltfs *fs, struct inode *inode, int err)
{
	struct inode *dir;
	char *path;

	/* that has been logged with its reason; and what was written to a
	 * transaction that has ended is not missed */
	if (err != -EINVAL && err != -ESTALE) {
		if (blt_ns_path(fs->ns, inode->key, inode->key_len, &path) < 0)
			path = NULL;
		log_error("%s: what was written could not be stored: %s",
			  path ? path : "a file", strerror(-err));
		free(path);
	}
	notify_queue_inode(fs->notify_queue, inode);
	if (!inodes_is_fresh(fs->inodes, inode))
		return;
	dir = inodes_find_dir(fs->inodes, inode->key, inode->dir_len);
	if (dir)
		notify_queue_entry(fs->notify_queue, dir, inode->fresh_name);
	inodes_put(fs->inodes, dir, 1);
	inodes_clear_fresh(fs->inodes, inode);
	rights_remember(fs, inode);
	rights_drop(fs, inode);
	inodes_unindex(fs->inodes, inode);
	inode->gone = true;
}

void writeback_drop(struct inode *inode)
{
	pthread_mutex_lock(&inode->lock);
	if (inode->buffer && !inode->buffer->dirty && !inode->gone) {
		write_buffer_free(inode->buffer);
		inode->buffer = NULL;
	}
	pthread_mutex_unlock(&inode->lock);
}
