/* A batch's end: published or undone, and told to those who follow; and a block
 * that is copied elsewhere by its position. */
#include "booklet/core/batch.h"

#include "booklet/core/snapshot.h"

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
	int rc = block_at(&a->engine->wal, a->pos, WAL_WRITER, a->ret);

	if (rc < 0)
		return rc;
	memcpy(a->engine->key, a->ret->key, a->ret->head.key_len);
	a->marker = engine_is_marker(a->engine, a->engine->key,
				     a->ret->head.key_len, a->ret->value,
				     a->ret->head.value_len);
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
	if (rc == 0 && wal_field(&e->wal, pos + FORMAT_AT_NEXT, FORMAT_POS_LEN,
				 WAL_WRITER) != FORMAT_DEAD)
		rc = -EUCLEAN;
	return rc;
}

static int tell_dirindex(struct engine *e, struct dirindex *dirindex,
			 const struct batch_event *event)
{
	uint64_t from = event->old_pos, to = event->new_pos;
	struct block b;
	struct load_args a = { e, to ? to : from, &b, false };
	int rc = file_try(load_key, &a);

	if (rc < 0)
		return rc;
	if (!to)
		return dirindex_remove(dirindex, e->key, b.head.key_len, from);
	if (!from)
		return dirindex_add(dirindex, e->key, b.head.key_len, to,
				    a.marker);
	return dirindex_move(dirindex, e->key, b.head.key_len, from, to,
			     a.marker);
}

/* A key that cannot be read any more may be any. */
static void tell_listeners(struct engine *e, const struct batch_event *event)
{
	struct block b;
	struct load_args a = { e, event->new_pos, &b };
	enum listener_event what = LISTENER_CHANGED;

	if (!event->new_pos) {
		a.pos = event->old_pos;
		what = LISTENER_WENT;
	} else if (!event->old_pos) {
		what = LISTENER_CAME;
	}
	if (file_try(load_key, &a) < 0)
		listeners_tell(&e->listeners, what, NULL, 0);
	else
		listeners_tell(&e->listeners, what, e->key, b.head.key_len);
}

static void tell_followers(struct batch *b)
{
	struct dirindex *dirindex = atomic_load(&b->engine->dirindex);

	if (listeners_any(&b->engine->listeners))
		for (size_t i = 0; i < b->n_events; i++)
			if (batch_events(b)[i].kind != BATCH_HIDDEN &&
			    !batch_events(b)[i].moved)
				tell_listeners(b->engine, &batch_events(b)[i]);
	if (!dirindex)
		return;
	/* The change is made.  What the tree could not take, it keeps as its
	 * own failure. */
	for (size_t i = 0; i < b->n_events; i++)
		if (batch_events(b)[i].kind == BATCH_KEY)
			(void)tell_dirindex(b->engine, dirindex,
					    &batch_events(b)[i]);
}

static int keep_for_snapshots(void *arg)
{
	struct batch *b = arg;
	int rc = b->no_snapshots && b->engine->snapshots ? -EBUSY : 0;

	if (rc == 0 && b->also)
		rc = b->also(b->also_arg);

	for (size_t i = 0; i < b->n_events && rc == 0; i++) {
		const struct batch_event *event = &batch_events(b)[i];

		if (event->kind == BATCH_TIME)
			rc = snapshot_keep_time(b->engine, event->old_pos,
						event->old_time);
		else if (event->old_pos)
			rc = snapshot_keep(b->engine, event->old_pos);
		if (rc == 0 && event->kind != BATCH_TIME && event->new_pos)
			rc = snapshot_hide(b->engine, event->new_pos);
	}
	return rc;
}

int batch_end(struct batch *b, int rc)
{
	struct wal *wal = &b->engine->wal;

	if (rc == 0)
		rc = (b->logged ? wal_publish_logged : wal_publish)(
			wal, b->more_keys, keep_for_snapshots, b);
	if (rc == 0) {
		atomic_fetch_add(&b->engine->live_bytes, b->more_bytes);
		tell_followers(b);
	} else {
		(b->logged ? wal_rollback_logged : wal_rollback)(wal);
	}
	if (!b->keep_lock)
		wal_end(wal);
	free(b->event);
	return rc;
}
