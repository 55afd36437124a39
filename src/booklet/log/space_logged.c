/* Commits whose record is written before anybody sees them.
 *
 * Others are seen first and get a record with the next flush, together with
 * all that was committed meanwhile.  Here a record that cannot be written makes
 * the commit one that never was.
 *
 * Such a commit may change bytes that readers take from the mapping alone, a
 * block's key say, if it is alone in the log: the record is durable; then, in
 * a moment in which nobody reads, the changes go into their places. */
#include "booklet/log/space.h"

#include "base/mutants.h"
#include "base/util.h"

#include <errno.h>

int space_begin_logged(struct space *sp)
{
	int rc = space_flush(sp);

	if (rc == 0)
		space_mark(sp);
	return rc;
}

/* Of the commit that is built, to the kernel. */
static int write_record(struct space *sp, int64_t more_keys)
{
	int rc = space_reserve_record(sp);

	if (rc == 0)
		rc = space_go_hot(sp);
	if (rc < 0)
		return rc;
	space_sum_late(sp);
	rc = space_append_record(sp, &sp->delta,
				 space_keys_after(sp, more_keys));
	return rc < 0 ? rc : space_flush_tail(sp);
}

int space_publish_logged(struct space *sp, int64_t more_keys,
			 int (*also)(void *arg), void *arg)
{
	int rc = space_reserve_recorded(sp, sp->delta.n);

	if (rc == 0)
		rc = write_record(sp, more_keys);
	if (rc == 0)
		rc = space_publish(sp, more_keys, also, arg);
	if (rc == 0)
		space_recorded(sp);
	return rc;
}

/* The log had no commit without a record when this one began: its checksum
 * begins anew. */
void space_rollback_logged(struct space *sp)
{
	space_rollback(sp);
	space_log_reset(sp);
}

int space_log_commit(struct space *sp, int64_t more_keys)
{
	int rc = write_record(sp, more_keys);

	if (rc < 0 || MUTANT(REKEY_EARLY))
		return rc;
	/* The kernel has it: the commit is made, whoever is told of this. */
	rc = file_sync_range(&sp->file, sp->frozen_end, sp->append);
	if (rc < 0)
		space_fail(sp, rc);
	return 0;
}

/* ---- into their places ---- */

/* What cannot be written any more is in the log, and is seen. */
static int show_delta(struct space *sp)
{
	int rc = 0;

	for (size_t i = 0; i < sp->delta.n && rc == 0; i++) {
		const struct change *c = &sp->delta.item[i];
		uint8_t bytes[8];

		put_le(bytes, c->value, c->len);
		rc = file_show(&sp->file, c->pos, bytes, c->len);
	}
	return rc;
}

static int apply_delta(struct space *sp)
{
	int rc = atomic_load(&sp->failed) ? -EIO : space_apply(sp, &sp->delta);

	if (rc == 0)
		return 0;
	space_fail(sp, rc);
	return show_delta(sp);
}

int space_land(struct space *sp, int64_t more_keys, int (*also)(void *arg),
	       void *arg)
{
	int rc;

	pthread_rwlock_wrlock(&sp->lock);
	rc = also(arg);
	if (rc == 0)
		rc = apply_delta(sp);
	if (rc == 0)
		space_count_commit(sp, more_keys);
	pthread_rwlock_unlock(&sp->lock);
	if (rc < 0)
		return rc;
	changes_clear(&sp->delta);
	space_sum_published(sp);
	space_recorded(sp);
	sp->synced = sp->flushes;
	sp->frozen_from = sp->frozen_end = sp->log.start;
	return 0;
}
