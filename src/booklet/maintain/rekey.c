/* The order of things:
 *
 *   1. the log begins anew, and nothing has been committed since: no record
 *      names or covers a byte of the pad and of the block
 *   2. one commit: the pad's length, head and key of the block as they will be,
 *      the pointers to it, what stood under the new key dead
 *   3. its record is durable
 *   4. all of that goes into its place, in a moment in which nobody reads
 *
 * Commits wait for 3, readers for 4 alone.  A crash before 3 leaves the old
 * key; later, the record's redo writes head and key whatever is there.  No
 * other change of this log overlaps them: those that come later change fields
 * of the new head, which the record has as changes of their own. */
#include "booklet/maintain/rekey.h"

#include "booklet/maintain/mover.h"
#include "base/mutants.h"
#include "booklet/core/pins.h"
#include "base/util.h"

#include <errno.h>

/* A key is in the record, in pieces. */
#define KEY_MOST 4096u

struct rekeying {
	struct engine *engine;
	const struct batch_key *from, *to;
	struct index_place old, over; /* of the two keys */
	bool replaces;                /* over is a block */
	uint64_t pad;
	uint64_t pos; /* of the block, when it is done */
};

/* ---- whether it can be done; with write held ---- */

static bool quiet(struct engine *e)
{
	struct space *sp = &e->space;
	bool is;

	pthread_rwlock_rdlock(&sp->lock);
	is = !mover_watched(e) && !sp->zone.len && !sp->n_merge &&
	     !sp->next.offset && !atomic_load(&e->growing);
	pthread_rwlock_unlock(&sp->lock);
	return is;
}

/* The pad stands as it was remembered: 1 or 0. */
static int check_pad(const struct rekeying *r)
{
	const struct space *sp = &r->engine->space;
	struct block pad;
	int rc = block_at(sp, r->pad, SPACE_WRITER, &pad);

	if (rc < 0)
		return rc == -EUCLEAN ? 0 : rc;
	return pad.head.next == FORMAT_DEAD &&
	       format_never_lived(&pad.head.hash) &&
	       pad.pos + pad.len == r->old.block.pos &&
	       !pins_any(r->engine, pad.pos, pad.pos + pad.len);
}

static int look(void *arg)
{
	struct rekeying *r = arg;
	const struct space *sp = &r->engine->space;
	uint64_t front = format_head_len(&sp->fmt) + r->to->len;
	const struct block *b = &r->old.block;
	int rc = index_find(sp, &r->from->hash, SPACE_WRITER, &r->old);

	if (rc <= 0)
		return rc;
	if (!rekey_pays(r->engine, b->head.value_len) ||
	    b->head.key_len > KEY_MOST || r->to->len > KEY_MOST)
		return 0;
	r->pad = space_pad_before(sp, b->pos);
	if (!r->pad ||
	    block_value_pos(b) - r->pad < format_dead_min(&sp->fmt) + front)
		return 0;
	r->pos = block_value_pos(b) - front;
	return check_pad(r);
}

/* Before anything is written, so that most find out at little cost. */
static int looks_good(struct rekeying *r)
{
	struct space *sp = &r->engine->space;
	int rc = space_begin(sp);

	if (rc < 0)
		return rc;
	rc = quiet(r->engine) ? file_try(look, r) : 0;
	space_end(sp);
	return rc;
}

/* ---- the commit ---- */

static int set(struct space *sp, uint64_t pos, const uint8_t *bytes,
	       uint32_t len)
{
	return changes_set(&sp->delta, pos, get_le(bytes, len), len);
}

/* A change for each field that may change again. */
static int set_head(struct space *sp, uint64_t pos,
		    const struct block_head *head)
{
	uint8_t raw[FORMAT_HEAD_MAX];
	int rc;

	format_head_encode(&sp->fmt, head, raw);
	rc = set(sp, pos, raw, 8);
	if (rc == 0)
		rc = set(sp, pos + 8, raw + 8, KEYHASH_LEN - 8);
	if (rc == 0)
		rc = set(sp, pos + FORMAT_AT_NEXT, raw + FORMAT_AT_NEXT,
			 FORMAT_POS_LEN);
	if (rc == 0)
		rc = set(sp, pos + FORMAT_AT_LENS, raw + FORMAT_AT_LENS,
			 FORMAT_LENS_LEN);
	if (rc == 0 && sp->fmt.timestamps)
		rc = set(sp, pos + FORMAT_AT_TIME, raw + FORMAT_AT_TIME,
			 FORMAT_TIME_LEN);
	return rc;
}

static int set_block(struct space *sp, const struct rekeying *r, uint64_t next)
{
	struct block_head head = {
		.hash = r->to->hash,
		.next = next,
		.key_len = (uint32_t)r->to->len,
		.value_len = r->old.block.head.value_len,
		.timestamp = r->old.block.head.timestamp,
	};
	const uint8_t *key = r->to->bytes;
	uint64_t at = r->pos + format_head_len(&sp->fmt);
	size_t left = r->to->len;
	int rc = set_head(sp, r->pos, &head);

	while (rc == 0 && left) {
		uint32_t n = (uint32_t)min_u64(left, 8);

		rc = set(sp, at, key, n);
		at += n;
		key += n;
		left -= n;
	}
	return rc;
}

/* Of the old block's own head nothing is changed: its bytes go. */
static int build(void *arg)
{
	struct rekeying *r = arg;
	struct space *sp = &r->engine->space;
	uint64_t next;
	int rc = look(r);

	if (rc <= 0)
		return rc;
	rc = space_set_pointer(sp, r->old.slot,
			       index_chain(r->old.block.head.next));
	if (rc == 0)
		rc = index_find(sp, &r->to->hash, SPACE_WRITER, &r->over);
	if (rc < 0)
		return rc;
	r->replaces = rc > 0;
	next = r->replaces ? r->over.block.head.next :
			     space_field(sp, r->over.slot, FORMAT_POS_LEN,
					 SPACE_WRITER);
	rc = set_block(sp, r, index_chain(next));
	if (rc == 0)
		rc = space_set_pointer(sp, r->over.slot, r->pos);
	if (rc == 0 && r->replaces)
		rc = space_set_pointer(sp, r->over.block.pos + FORMAT_AT_NEXT,
				       FORMAT_DEAD);
	if (rc == 0)
		rc = block_resize_dead(sp, r->pad, r->pos - r->pad);
	return rc < 0 ? rc : 1;
}

/* ---- it is done ---- */

static int64_t more_keys(const struct rekeying *r)
{
	return r->replaces ? -1 : 0;
}

/* A walk that has begun since. */
static int unwatched(void *arg)
{
	const struct rekeying *r = arg;

	return mover_watched(r->engine) ? -EAGAIN : 0;
}

static int land(void *arg)
{
	struct rekeying *r = arg;

	return space_land(&r->engine->space, more_keys(r), unwatched, r);
}

static int land_with_tree(struct rekeying *r)
{
	struct tree *tree = atomic_load(&r->engine->tree);
	struct tree_rename names = {
		.key = r->from->bytes,
		.to = r->to->bytes,
		.key_len = r->from->len,
		.to_len = r->to->len,
		.from = r->old.block.pos,
		.over = r->replaces ? r->over.block.pos : 0,
		.pos = r->pos,
	};

	return tree ? tree_rename(tree, &names, land, r) : land(r);
}

/* A record that is written already must not come alive. */
static int take_back(struct space *sp, int rc)
{
	int err;

	space_rollback_logged(sp);
	if (atomic_load(&sp->failed))
		return rc;
	err = file_sync(&sp->file);
	if (err < 0)
		return space_fail(sp, err);
	return rc == -EAGAIN ? 0 : rc;
}

/* With both locks, and a log that is empty. */
static int commit(struct rekeying *r)
{
	struct space *sp = &r->engine->space;
	int rc;

	space_mark(sp);
	rc = quiet(r->engine) ? file_try(build, r) : 0;
	if (rc <= 0) {
		space_rollback_logged(sp);
		return rc;
	}
	rc = space_log_commit(sp, more_keys(r));
	if (rc < 0) {
		space_rollback_logged(sp);
		return rc;
	}
	rc = land_with_tree(r);
	if (rc < 0)
		return take_back(sp, rc);
	space_note_pad(sp, r->pad, r->pos - r->pad);
	if (watches_any(&r->engine->watches)) {
		watches_tell(&r->engine->watches, WATCH_WENT, r->from->bytes,
			     r->from->len);
		watches_tell(&r->engine->watches,
			     r->replaces ? WATCH_CHANGED : WATCH_CAME,
			     r->to->bytes, r->to->len);
	}
	return 1;
}

/* The bulk of what makes durable is done while others go on. */
int rekey_prepare(struct engine *e, const struct batch_key *from)
{
	struct rekeying r = { .engine = e, .from = from, .to = from };
	int rc = e->space.fmt.fixed ? 0 : looks_good(&r);

	return rc <= 0 || MUTANT(REKEY_IN_LOG) ? rc :
						 space_begin_log(&e->space);
}

static int with_locks(struct rekeying *r)
{
	struct space *sp = &r->engine->space;
	int rc = space_begin_whole(sp);

	if (rc < 0)
		return rc;
	rc = MUTANT(REKEY_IN_LOG) ? space_begin_logged(sp) :
				    space_empty_log(sp);
	if (rc == 0)
		rc = commit(r);
	space_end_whole(sp);
	return rc;
}

int rekey(struct engine *e, const struct batch_key *from,
	  const struct batch_key *to)
{
	struct rekeying r = { .engine = e, .from = from, .to = to };
	int rc;

	if (e->space.fmt.fixed || keyhash_equal(&from->hash, &to->hash))
		return 0;
	rc = looks_good(&r);
	if (rc <= 0)
		return rc;
	if (pthread_mutex_trylock(&e->whole) != 0)
		return 0;
	rc = MUTANT(REKEY_IN_LOG) ? 0 : space_begin_log(&e->space);
	if (rc == 0)
		rc = with_locks(&r);
	pthread_mutex_unlock(&e->whole);
	return rc;
}
