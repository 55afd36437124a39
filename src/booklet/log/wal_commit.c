/* Commits whose record is written before anybody sees them.
 *
 * Others are seen first and get a record with the next flush, together with
 * all that was committed meanwhile.  Here a record that cannot be written makes
 * the commit one that never was.
 *
 * Such a commit may change bytes that readers take from the mapping alone, a
 * block's key say, if it is alone in the log: the record is durable; then, in
 * a moment in which nobody reads, the changes go into their places. */
#include "booklet/log/wal.h"

#include "base/mutants.h"
#include "base/util.h"

#include <errno.h>

int wal_begin_logged(struct wal *wal)
{
	int rc = wal_flush(wal);

	if (rc == 0)
		wal_mark(wal);
	return rc;
}

/* Of the commit that is built, to the kernel. */
static int write_record(struct wal *wal, int64_t more_keys)
{
	int rc = wal_reserve_record(wal);

	if (rc == 0)
		rc = wal_mark_unclean(wal);
	if (rc < 0)
		return rc;
	wal_checksum_late(wal);
	rc = wal_append_record(wal, &wal->delta,
			       wal_keys_after(wal, more_keys));
	return rc < 0 ? rc : wal_flush_tail(wal);
}

int wal_publish_logged(struct wal *wal, int64_t more_keys,
		       int (*also)(void *arg), void *arg)
{
	int rc = wal_reserve_logged(wal, wal->delta.n);

	if (rc == 0)
		rc = write_record(wal, more_keys);
	if (rc == 0)
		rc = wal_publish(wal, more_keys, also, arg);
	if (rc == 0)
		wal_logged(wal);
	return rc;
}

/* The log had no commit without a record when this one began: its checksum
 * begins anew. */
void wal_rollback_logged(struct wal *wal)
{
	wal_rollback(wal);
	wal_log_reset(wal);
}

int wal_log_commit(struct wal *wal, int64_t more_keys)
{
	int rc = write_record(wal, more_keys);

	if (rc < 0 || MUTANT(REKEY_EARLY))
		return rc;
	/* The kernel has it: the commit is made, whoever is told of this. */
	rc = file_sync_range(&wal->file, wal->flushing_end, wal->append);
	if (rc < 0)
		wal_fail(wal, rc);
	return 0;
}

/* ---- into their places ---- */

/* What cannot be written any more is in the log, and is seen. */
static int show_delta(struct wal *wal)
{
	int rc = 0;

	for (size_t i = 0; i < wal->delta.n && rc == 0; i++) {
		const struct change *c = &wal->delta.item[i];
		uint8_t bytes[8];

		put_le(bytes, c->value, c->len);
		rc = file_show(&wal->file, c->pos, bytes, c->len);
	}
	return rc;
}

static int apply_delta(struct wal *wal)
{
	int rc = atomic_load(&wal->failed) ? -EIO :
					     wal_writeback(wal, &wal->delta);

	if (rc == 0)
		return 0;
	wal_fail(wal, rc);
	return show_delta(wal);
}

int wal_land(struct wal *wal, int64_t more_keys, int (*also)(void *arg),
	     void *arg)
{
	int rc;

	pthread_rwlock_wrlock(&wal->lock);
	rc = also(arg);
	if (rc == 0)
		rc = apply_delta(wal);
	if (rc == 0)
		wal_count_commit(wal, more_keys);
	pthread_rwlock_unlock(&wal->lock);
	if (rc < 0)
		return rc;
	dirty_clear(&wal->delta);
	wal_checksum_published(wal);
	wal_logged(wal);
	wal->synced = wal->flushes;
	wal->flushing_from = wal->flushing_end = wal->log.start;
	return 0;
}
