/* Dead blocks that never lived: places for an index to be and for streamed
 * values, which are holes in the file, scratch space, and what stands in
 * front of long values (remembered for rename_inplace.c).
 *
 * They are part of a commit like any other blocks, but the checksum covers
 * their heads alone: what stands in them is nobody's until a later commit says
 * so.  While the log is walked for recovery their lengths count: so a head
 * stays as it is until the log begins behind it.
 */
#include "booklet/log/wal.h"

#include "base/util.h"

#include <errno.h>

static int write_head(struct wal *wal, uint64_t pos, uint64_t len)
{
	static const struct block_head dead = { .next = FORMAT_DEAD };
	uint32_t head_len = format_head_len(&wal->fmt);
	uint8_t head[FORMAT_HEAD_MAX];
	int rc = wal_note_own(wal, &dead);

	if (rc < 0)
		return rc;
	format_dead_head(&wal->fmt, len, head);
	rc = file_write(&wal->file, head, head_len, pos);
	log_mask_head(&wal->fmt, head);
	wal_filled(wal, head, head_len);
	return rc;
}

static int lay_out(struct wal *wal, uint64_t pos, uint64_t len)
{
	int rc = 0;

	/* Zeros that stand there are as good as a hole. */
	if (pos + len > wal_file_end(wal))
		rc = file_resize(&wal->file, pos + len);
	while (rc == 0 && len) {
		uint64_t n = format_dead_piece(&wal->fmt, len);

		rc = write_head(wal, pos, n);
		pos += n;
		len -= n;
	}
	return rc;
}

int wal_append_filler(struct wal *wal, uint64_t len, uint64_t *ret_pos)
{
	static const uint8_t zeros[4096];
	uint8_t bytes[FORMAT_HEAD_MAX];
	struct block_head head;
	int rc;

	format_dead_head(&wal->fmt, len, bytes);
	format_head_decode(&wal->fmt, bytes, &head);
	rc = wal_block(wal, &head, ret_pos);
	len -= format_head_len(&wal->fmt);
	while (rc == 0 && len) {
		size_t n = (size_t)min_u64(len, sizeof(zeros));

		rc = wal_append_plain(wal, zeros, n);
		len -= n;
	}
	return rc < 0 ? rc : wal_block_end(wal, &head);
}

int wal_append_hole(struct wal *wal, uint64_t len, bool sparse,
		    uint64_t *ret_pos)
{
	uint64_t pos = wal->append;
	int rc = wal_reserve(wal, sparse ? 0 : len);

	if (rc == 0)
		rc = wal_flush_tail(wal);
	if (rc == 0)
		rc = wal_mark_unclean(wal);
	if (rc == 0)
		rc = wal_check_file(wal);
	if (rc < 0)
		return rc;
	rc = lay_out(wal, pos, len);
	if (rc == 0)
		rc = wal_move_tail(wal, pos + len);
	if (rc < 0) {
		/* Cutting the file gives back what was reserved behind, too. */
		wal->reserved = min_u64(wal->reserved, pos);
		wal->ahead = 0;
		if (file_resize(&wal->file, pos) < 0 ||
		    (rc != -ENOSPC && rc != -ENOMEM && rc != -EFBIG))
			wal_fail(wal, rc);
		return rc;
	}
	wal->append = pos + len;
	*ret_pos = pos;
	return 0;
}

/* ---- dead blocks in front of long values ---- */

void wal_note_filler(struct wal *wal, uint64_t pos, uint64_t len)
{
	wal->filler[wal->next_filler] = (struct log_gap){ pos, len };
	wal->next_filler = (wal->next_filler + 1) % WAL_FILLERS;
}

uint64_t wal_filler_before(const struct wal *wal, uint64_t pos)
{
	for (unsigned i = 0; i < WAL_FILLERS; i++)
		if (wal->filler[i].len &&
		    wal->filler[i].pos + wal->filler[i].len == pos)
			return wal->filler[i].pos;
	return 0;
}

void wal_forget_fillers(struct wal *wal, uint64_t pos)
{
	for (unsigned i = 0; i < WAL_FILLERS; i++)
		if (wal->filler[i].pos >= pos)
			wal->filler[i].len = 0;
}
