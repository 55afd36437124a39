#include "file/staged.h"

#include "blt_seq.h"
#include "inode/changed.h"
#include "file/coding.h"
#include "main/log.h"
#include "inode/notify.h"
#include "inode/syncer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int fill(struct bltfs *fs, struct stage *s, const struct blt_view *view)
{
	return fs->opts->decode ? coding_fill(s, view) : stage_fill(s, view);
}

int staged_begin(struct bltfs *fs, struct node *node, bool empty)
{
	struct blt_view view = { 0 };
	struct stage *s;
	int rc;

	if (node->stage)
		return 0;
	rc = stage_new(&fs->pool, &s);
	if (rc == 0)
		s->key_len = node->key_len;
	if (rc < 0 || empty)
		goto out;
	if (node->has_view) {
		rc = fill(fs, s, &node->view);
	} else if (node->gone) {
		rc = -ESTALE;
	} else {
		rc = blt_get(fs->store, node->key, node->key_len, &view);
		if (rc == 0) {
			rc = fill(fs, s, &view);
			blt_view_release(&view);
		}
	}
	if (rc < 0) {
		stage_free(s);
		return rc;
	}
out:
	if (rc == 0)
		node->stage = s;
	return rc;
}

int staged_cut(struct bltfs *fs, struct node *node)
{
	int rc = staged_begin(fs, node, true);

	return rc < 0 ? rc : stage_resize(node->stage, 0);
}

/* The empty value of such a key, or the mark of a sequence, is a directory's
 * marker (names are free to end in '/' only in a flat or integer store, where
 * the directory is the root). */
static bool is_marker_key(const struct node *node)
{
	return !(node->key_len == 0) && node->key_len == node->dir_len;
}

/* Whether a file's content would make its key the marker of its directory. */
static bool would_mark(const struct node *node)
{
	uint8_t value[16];
	struct stage *s = node->stage;

	if (!is_marker_key(node) || s->len > sizeof(value))
		return false;
	return s->len == 0 ||
	       (stage_read(s, value, sizeof(value), 0) == (int64_t)s->len &&
		blt_seq_is_mark(value, (size_t)s->len));
}

static void say_refused(struct bltfs *fs, struct node *node)
{
	struct stage *s = node->stage;
	char *path;

	if (blt_ns_path(fs->ns, node->key, node->key_len, &path) < 0)
		path = NULL;
	if (fs->info.value_len && s->len != fs->info.value_len)
		log_warn(
			"%s: not stored: %llu bytes long, and every value of this store has %u",
			path ? path : "a file", (unsigned long long)s->len,
			fs->info.value_len);
	else if (would_mark(node))
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
static bool just_cut(struct bltfs *fs, const struct stage *s)
{
	return s->len == 0 && !s->written && !fs->takes_empty;
}

static int put_coded(struct bltfs *fs, struct node *node)
{
	struct stage *coded = NULL;
	int rc = coding_pack(node->stage, &fs->pool, &coded);

	if (rc < 0)
		return rc;
	rc = stage_put(coded, fs->store, node->key, node->key_len,
		       node->stage->mtime);
	stage_free(coded);
	return rc;
}

int staged_put(struct bltfs *fs, struct node *node, bool last)
{
	struct stage *s = node->stage;
	uint64_t bytes = s->len + node->key_len;
	bool streamed = s->stream;
	int rc;

	if (would_mark(node))
		rc = -EINVAL;
	else if (fs->opts->decode)
		rc = put_coded(fs, node);
	else
		rc = stage_put(s, fs->store, node->key, node->key_len,
			       s->mtime);
	if (rc < 0) {
		if (rc == -EINVAL && (last || !just_cut(fs, s)))
			say_refused(fs, node);
		return rc;
	}
	nodes_clear_fresh(fs->nodes, node);
	rc = syncer_commit(fs->syncer, bytes);
	/* each descriptor's close is to say that it may be lost */
	s->dirty = rc < 0;
	node->lost = rc;
	if (streamed) {
		node->stage = NULL;
		stage_free(s);
	}
	return rc;
}

static int put_changed(struct bltfs *fs, struct node *node, bool last)
{
	bool lost = changed_lost(fs, node, !nodes_is_fresh(fs->nodes, node));
	int rc = staged_put(fs, node, last);

	if (lost)
		changed_back(fs, node);
	return rc;
}

int staged_commit(struct bltfs *fs, struct node *node, bool last)
{
	int rc = 0;

	if (node->gone)
		return node->stage && node->stage->dirty ? node->lost : 0;
	if (node->stage && node->stage->dirty)
		rc = put_changed(fs, node, last);
	else if (node->lost)
		rc = node->lost = syncer_commit(fs->syncer, 0);
	return rc;
}

void staged_forget(struct bltfs *fs, struct node *node, int err)
{
	struct node *dir;
	char *path;

	/* that has been logged with its reason; and what was written to a
	 * transaction that has ended is not missed */
	if (err != -EINVAL && err != -ESTALE) {
		if (blt_ns_path(fs->ns, node->key, node->key_len, &path) < 0)
			path = NULL;
		log_error("%s: what was written could not be stored: %s",
			  path ? path : "a file", strerror(-err));
		free(path);
	}
	notify_inode(fs->notify, node);
	if (!nodes_is_fresh(fs->nodes, node))
		return;
	dir = nodes_find_dir(fs->nodes, node->key, node->dir_len);
	if (dir)
		notify_entry(fs->notify, dir, node->fresh_name);
	nodes_put(fs->nodes, dir, 1);
	nodes_clear_fresh(fs->nodes, node);
	nodes_unindex(fs->nodes, node);
	node->gone = true;
}

void staged_drop(struct node *node)
{
	pthread_mutex_lock(&node->lock);
	if (node->stage && !node->stage->dirty && !node->gone) {
		stage_free(node->stage);
		node->stage = NULL;
	}
	pthread_mutex_unlock(&node->lock);
}
