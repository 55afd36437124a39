/* Zeros behind the end of the file, for syncs that come one after another.
 *
 * A sync of bytes that made the file longer writes its inode, too, and where
 * the filesystem has a journal, commits that; one of bytes that stand in the
 * place of others writes these and no more.  So where small syncs are frequent,
 * one of them writes zeros ahead of the log, within the disk space that is had
 * already, and makes them durable together with its own bytes.
 *
 * They are nobody's.  A walk of the log ends at the first bytes that are not
 * the next record with its salt, sequence number and checksum, whatever they
 * are; recovery cuts the file there.  While the file is unclean nobody else
 * reads it, and going clean cuts it, too.
 */
#include "booklet/log/wal.h"

#include "base/util.h"

#include <errno.h>

/* What counts as frequent, and as small. */
#define QUICK_SYNCS 4u
#define QUICK_US 100000
#define SMALL_SYNC ((uint64_t)64 << 10)

/* Written ahead at first, doubled each time, at most. */
#define STEP_LEAST ((uint64_t)64 << 10)
#define STEP_MOST ((uint64_t)1 << 20)

/* Left of it, the next sync writes more. */
#define AHEAD_LEAST ((uint64_t)8 << 10)

static bool is_quick(struct wal_pace *p, uint64_t len)
{
	int64_t now = steady_us();
	bool soon = now - p->last_us < QUICK_US && len < SMALL_SYNC;

	p->last_us = now;
	p->quick = soon ? p->quick + 1 : 0;
	return p->quick >= QUICK_SYNCS;
}

static int write_zeros(struct wal *wal, uint64_t from, uint64_t to)
{
	static const uint8_t zeros[64 << 10];
	int rc = 0;

	while (rc == 0 && from < to) {
		size_t n = (size_t)min_u64(to - from, sizeof(zeros));

		rc = file_write(&wal->file, zeros, n, from);
		from += n;
	}
	/* A full disk does no harm: the rest is not ahead, for now. */
	if (rc == -ENOSPC) {
		wal->pace.quick = 0;
		return file_size(&wal->file, &wal->ahead);
	}
	if (rc == 0)
		wal->ahead = to;
	return rc;
}

int wal_preallocate(struct wal *wal)
{
	struct wal_pace *p = &wal->pace;
	uint64_t from = wal_file_end(wal), to;
	int rc;

	if (!is_quick(p, wal->flushing_end - wal->flushing_from) ||
	    !wal->file.in_place || wal->reserve_fails || wal->tail->len ||
	    from - wal->tail->base >= AHEAD_LEAST)
		return 0;
	p->step = p->step ? min_u64(2 * p->step, STEP_MOST) : STEP_LEAST;
	to = min_u64(min_u64(from + p->step, wal->reserved), wal->file.map_len);
	if (to <= from)
		return 0;
	rc = wal_check_file(wal);
	if (rc == 0)
		rc = write_zeros(wal, from, to);
	if (rc < 0)
		return wal_fail(wal, rc);
	wal->sync_to = max_u64(wal->sync_to, wal->ahead);
	return 0;
}
