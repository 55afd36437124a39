/* A batch's end: published or undone, and told to those who follow; and a block
 * that is copied elsewhere by its position. */
#include "booklet/core/batch.h"

#include "booklet/format/marker.h"
#include "booklet/core/scan.h"

#include <errno.h>
#include <stdlib.h>

struct load_args {
	struct engine *engine;
	uint64_t pos;
	struct block *ret;
	bool marker;
};

/* The key goes to memory that no fault can take away while the tree holds its
 * lock. */
static int load_key(void *arg)
{
	struct load_args *a = arg;
	int rc = block_at(&a->engine->space, a->pos, SPACE_WRITER, a->ret);

	if (rc < 0)
		return rc;
	memcpy(a->engine->key, a->ret->key, a->ret->head.key_len);
	a->marker = marker_is(a->engine->key, a->ret->head.key_len,
			      a->ret->value, a->ret->head.value_len);
	return 0;
}

int batch_away(struct batch *b, uint64_t pos, uint64_t *ret_len)
{
	struct engine *e = b->engine;
	struct block block;
	struct load_args a = { e, pos, &block, false };
	struct batch_key key = { .bytes = e->key };
	int rc = file_try(load_key, &a);

	if (rc < 0)
		return rc;
	*ret_len = block.len;
	if (block.head.next == FORMAT_DEAD)
		return 0;
	key.len = block.head.key_len;
	key.hash = block.head.hash;
	rc = batch_copy(b, &key, &block);
	if (rc == 0)
		batch_events(b)[b->n_events - 1].moved = true;
	if (rc == 0 && space_field(&e->space, pos + FORMAT_AT_NEXT,
				   FORMAT_POS_LEN, SPACE_WRITER) != FORMAT_DEAD)
		rc = -EUCLEAN;
	return rc;
}

static int tell_tree(struct engine *e, struct tree *tree,
		     const struct batch_event *event)
{
	uint64_t from = event->old_pos, to = event->new_pos;
	struct block b;
	struct load_args a = { e, to ? to : from, &b, false };
	int rc = file_try(load_key, &a);

	if (rc < 0)
		return rc;
	if (!to)
		return tree_remove(tree, e->key, b.head.key_len, from);
	if (!from)
		return tree_add(tree, e->key, b.head.key_len, to, a.marker);
	return tree_move(tree, e->key, b.head.key_len, from, to, a.marker);
}

/* A key that cannot be read any more may be any. */
static void tell_watches(struct engine *e, const struct batch_event *event)
{
	struct block b;
	struct load_args a = { e, event->new_pos, &b };
	enum watch_what what = WATCH_CHANGED;

	if (!event->new_pos) {
		a.pos = event->old_pos;
		what = WATCH_WENT;
	} else if (!event->old_pos) {
		what = WATCH_CAME;
	}
	if (file_try(load_key, &a) < 0)
		watches_tell(&e->watches, what, NULL, 0);
	else
		watches_tell(&e->watches, what, e->key, b.head.key_len);
}

static void tell_followers(struct batch *b)
{
	struct tree *tree = atomic_load(&b->engine->tree);

	if (watches_any(&b->engine->watches))
		for (size_t i = 0; i < b->n_events; i++)
			if (batch_events(b)[i].kind != BATCH_HIDDEN &&
			    !batch_events(b)[i].moved)
				tell_watches(b->engine, &batch_events(b)[i]);
	if (!tree)
		return;
	/* The change is made.  What the tree could not take, it keeps as its
	 * own failure. */
	for (size_t i = 0; i < b->n_events; i++)
		if (batch_events(b)[i].kind == BATCH_KEY)
			(void)tell_tree(b->engine, tree, &batch_events(b)[i]);
}

static int keep_for_scans(void *arg)
{
	struct batch *b = arg;
	int rc = b->no_scans && b->engine->scans ? -EBUSY : 0;

	if (rc == 0 && b->also)
		rc = b->also(b->also_arg);

	for (size_t i = 0; i < b->n_events && rc == 0; i++) {
		const struct batch_event *event = &batch_events(b)[i];

		if (event->kind == BATCH_TIME)
			rc = scan_keep_time(b->engine, event->old_pos,
					    event->old_time);
		else if (event->old_pos)
			rc = scan_keep(b->engine, event->old_pos);
		if (rc == 0 && event->kind != BATCH_TIME && event->new_pos)
			rc = scan_hide(b->engine, event->new_pos);
	}
	return rc;
}

int batch_end(struct batch *b, int rc)
{
	struct space *sp = &b->engine->space;

	if (rc == 0)
		rc = (b->logged ? space_publish_logged : space_publish)(
			sp, b->more_keys, keep_for_scans, b);
	if (rc == 0)
		tell_followers(b);
	else
		(b->logged ? space_rollback_logged : space_rollback)(sp);
	if (!b->keep_lock)
		space_end(sp);
	free(b->event);
	return rc;
}
