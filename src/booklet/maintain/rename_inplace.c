/* The order of things:
 *
 *   1. the log begins anew, and nothing has been committed since: no record
 *      names or covers a byte of the filler and of the block
 *   2. one commit: the filler's length, head and key of the block as they will
 * be, the pointers to it, what stood under the new key dead
 *   3. its record is durable
 *   4. all of that goes into its place, in a moment in which nobody reads
 *
 * Commits wait for 3, readers for 4 alone.  A crash before 3 leaves the old
 * key; later, the record's redo writes head and key whatever is there.  No
 * other change of this log overlaps them: those that come later change fields
 * of the new head, which the record has as changes of their own. */
#include "booklet/maintain/maintain.h"

#include "booklet/maintain/compact.h"
#include "base/mutants.h"
#include "booklet/core/reservations.h"
#include "base/util.h"

#include <errno.h>

/* A key is in the record, in pieces. */
#define KEY_MOST 4096u

struct renaming {
	struct engine *engine;
	const struct batch_key *from, *to;
	struct index_place old, over; /* of the two keys */
	bool replaces;                /* over is a block */
	uint64_t filler;
	uint64_t pos; /* of the block, when it is done */
};

/* ---- whether it can be done; with write held ---- */

static bool quiet(struct engine *e)
{
	struct wal *wal = &e->wal;
	bool is;

	pthread_rwlock_rdlock(&wal->lock);
	is = !compact_watched(e) && !wal->gap.len && !wal->n_merge &&
	     !wal->next.offset && !atomic_load(&e->growing);
	pthread_rwlock_unlock(&wal->lock);
	return is;
}

/* The filler stands as it was remembered: 1 or 0. */
static int check_filler(const struct renaming *r)
{
	const struct wal *wal = &r->engine->wal;
	struct block filler;
	int rc = block_at(wal, r->filler, WAL_WRITER, &filler);

	if (rc < 0)
		return rc == -EUCLEAN ? 0 : rc;
	return filler.head.next == FORMAT_DEAD &&
	       format_never_lived(&filler.head.hash) &&
	       filler.pos + filler.len == r->old.block.pos &&
	       !reservations_any(r->engine, filler.pos,
				 filler.pos + filler.len);
}

static int look(void *arg)
{
	struct renaming *r = arg;
	const struct wal *wal = &r->engine->wal;
	uint64_t front = format_head_len(&wal->fmt) + r->to->len;
	const struct block *b = &r->old.block;
	int rc = index_find(wal, &r->from->hash, WAL_WRITER, &r->old);

	if (rc <= 0)
		return rc;
	if (!rename_pays(r->engine, b->head.value_len) ||
	    b->head.key_len > KEY_MOST || r->to->len > KEY_MOST)
		return 0;
	r->filler = wal_filler_before(wal, b->pos);
	if (!r->filler ||
	    block_value_pos(b) - r->filler < format_dead_min(&wal->fmt) + front)
		return 0;
	r->pos = block_value_pos(b) - front;
	return check_filler(r);
}

/* Before anything is written, so that most find out at little cost. */
static int looks_good(struct renaming *r)
{
	struct wal *wal = &r->engine->wal;
	int rc = wal_begin(wal);

	if (rc < 0)
		return rc;
	rc = quiet(r->engine) ? file_try(look, r) : 0;
	wal_end(wal);
	return rc;
}

/* ---- the commit ---- */

static int set(struct wal *wal, uint64_t pos, const uint8_t *bytes,
	       uint32_t len)
{
	return dirty_set(&wal->delta, pos, get_le(bytes, len), len);
}

/* A change for each field that may change again. */
static int set_head(struct wal *wal, uint64_t pos,
		    const struct block_head *head)
{
	uint8_t raw[FORMAT_HEAD_MAX];
	int rc;

	format_head_encode(&wal->fmt, head, raw);
	rc = set(wal, pos, raw, 8);
	if (rc == 0)
		rc = set(wal, pos + 8, raw + 8, KEYHASH_LEN - 8);
	if (rc == 0)
		rc = set(wal, pos + FORMAT_AT_NEXT, raw + FORMAT_AT_NEXT,
			 FORMAT_POS_LEN);
	if (rc == 0)
		rc = set(wal, pos + FORMAT_AT_LENS, raw + FORMAT_AT_LENS,
			 FORMAT_LENS_LEN);
	if (rc == 0 && wal->fmt.timestamps)
		rc = set(wal, pos + FORMAT_AT_TIME, raw + FORMAT_AT_TIME,
			 FORMAT_TIME_LEN);
	return rc;
}

static int set_block(struct wal *wal, const struct renaming *r, uint64_t next)
{
	struct block_head head = {
		.hash = r->to->hash,
		.next = next,
		.key_len = (uint32_t)r->to->len,
		.value_len = r->old.block.head.value_len,
		.timestamp = r->old.block.head.timestamp,
	};
	const uint8_t *key = r->to->bytes;
	uint64_t at = r->pos + format_head_len(&wal->fmt);
	size_t left = r->to->len;
	int rc = set_head(wal, r->pos, &head);

	while (rc == 0 && left) {
		uint32_t n = (uint32_t)min_u64(left, 8);

		rc = set(wal, at, key, n);
		at += n;
		key += n;
		left -= n;
	}
	return rc;
}

/* Of the old block's own head nothing is changed: its bytes go. */
static int build(void *arg)
{
	struct renaming *r = arg;
	struct wal *wal = &r->engine->wal;
	uint64_t next;
	int rc = look(r);

	if (rc <= 0)
		return rc;
	rc = wal_set_pointer(wal, r->old.slot,
			     index_chain(r->old.block.head.next));
	if (rc == 0)
		rc = index_find(wal, &r->to->hash, WAL_WRITER, &r->over);
	if (rc < 0)
		return rc;
	r->replaces = rc > 0;
	next = r->replaces ?
		       r->over.block.head.next :
		       wal_field(wal, r->over.slot, FORMAT_POS_LEN, WAL_WRITER);
	rc = set_block(wal, r, index_chain(next));
	if (rc == 0)
		rc = wal_set_pointer(wal, r->over.slot, r->pos);
	if (rc == 0 && r->replaces)
		rc = wal_set_pointer(wal, r->over.block.pos + FORMAT_AT_NEXT,
				     FORMAT_DEAD);
	if (rc == 0)
		rc = block_resize_dead(wal, r->filler, r->pos - r->filler);
	return rc < 0 ? rc : 1;
}

/* ---- it is done ---- */

static int64_t more_keys(const struct renaming *r)
{
	return r->replaces ? -1 : 0;
}

/* A walk that has begun since. */
static int unwatched(void *arg)
{
	const struct renaming *r = arg;

	return compact_watched(r->engine) ? -EAGAIN : 0;
}

static int land(void *arg)
{
	struct renaming *r = arg;

	return wal_land(&r->engine->wal, more_keys(r), unwatched, r);
}

static int land_with_dirindex(struct renaming *r)
{
	struct dirindex *dirindex = atomic_load(&r->engine->dirindex);
	struct dirindex_rename names = {
		.key = r->from->bytes,
		.to = r->to->bytes,
		.key_len = r->from->len,
		.to_len = r->to->len,
		.from = r->old.block.pos,
		.over = r->replaces ? r->over.block.pos : 0,
		.pos = r->pos,
	};

	return dirindex ? dirindex_rename(dirindex, &names, land, r) : land(r);
}

/* A record that is written already must not come alive. */
static int take_back(struct wal *wal, int rc)
{
	int err;

	wal_rollback_logged(wal);
	if (atomic_load(&wal->failed))
		return rc;
	err = file_sync(&wal->file);
	if (err < 0)
		return wal_fail(wal, err);
	return rc == -EAGAIN ? 0 : rc;
}

/* With both locks, and a log that is empty. */
static int commit(struct renaming *r)
{
	struct wal *wal = &r->engine->wal;
	int rc;

	wal_mark(wal);
	rc = quiet(r->engine) ? file_try(build, r) : 0;
	if (rc <= 0) {
		wal_rollback_logged(wal);
		return rc;
	}
	rc = wal_log_commit(wal, more_keys(r));
	if (rc < 0) {
		wal_rollback_logged(wal);
		return rc;
	}
	rc = land_with_dirindex(r);
	if (rc < 0)
		return take_back(wal, rc);
	wal_note_filler(wal, r->filler, r->pos - r->filler);
	if (listeners_any(&r->engine->listeners)) {
		listeners_tell(&r->engine->listeners, LISTENER_WENT,
			       r->from->bytes, r->from->len);
		listeners_tell(&r->engine->listeners,
			       r->replaces ? LISTENER_CHANGED : LISTENER_CAME,
			       r->to->bytes, r->to->len);
	}
	return 1;
}

/* The bulk of what makes durable is done while others go on. */
int rename_inplace_prepare(struct engine *e, const struct batch_key *from)
{
	struct renaming r = { .engine = e, .from = from, .to = from };
	int rc = e->wal.fmt.fixed ? 0 : looks_good(&r);

	return rc <= 0 || MUTANT(REKEY_IN_LOG) ? rc : wal_begin_log(&e->wal);
}

static int with_locks(struct renaming *r)
{
	struct wal *wal = &r->engine->wal;
	int rc = wal_begin_whole(wal);

	if (rc < 0)
		return rc;
	rc = MUTANT(REKEY_IN_LOG) ? wal_begin_logged(wal) : wal_empty_log(wal);
	if (rc == 0)
		rc = commit(r);
	wal_end_whole(wal);
	return rc;
}

int rename_inplace(struct engine *e, const struct batch_key *from,
		   const struct batch_key *to)
{
	struct renaming r = { .engine = e, .from = from, .to = to };
	int rc;

	if (e->wal.fmt.fixed || keyhash_equal(&from->hash, &to->hash))
		return 0;
	rc = looks_good(&r);
	if (rc <= 0)
		return rc;
	if (pthread_mutex_trylock(&e->whole) != 0)
		return 0;
	rc = MUTANT(REKEY_IN_LOG) ? 0 : wal_begin_log(&e->wal);
	if (rc == 0)
		rc = with_locks(&r);
	pthread_mutex_unlock(&e->whole);
	return rc;
}
