/* The checksum of the batch that waits for its record: over all bytes that have
 * been appended behind log.start, without those that log_mask_head leaves out
 * and all but the heads of dead blocks that never lived.
 *
 * A commit that comes to nothing must leave it as it was.  So a block that is
 * whole in the tail is added late, when the commit has succeeded or the next
 * block begins; the state is kept only where something has to be added before
 * that.  Most commits are of one block and need neither.
 */
#include "booklet/log/wal.h"

#include "base/util.h"

#include <errno.h>

static void keep(struct wal *wal)
{
	if (!wal->sum_kept)
		XXH3_copyState(wal->before.sum, wal->log.sum);
	wal->sum_kept = true;
}

static void add_late(struct wal *wal)
{
	const uint8_t *block = wal_ptr(wal, wal->late_pos);
	uint32_t head_len = format_head_len(&wal->fmt);
	uint8_t head[FORMAT_HEAD_MAX];
	struct keyhash hash;

	memcpy(head, block, head_len);
	memcpy(hash.byte, head, sizeof(hash.byte));
	log_mask_head(&wal->fmt, head);
	XXH3_64bits_update(wal->log.sum, head, head_len);
	if (!format_never_lived(&hash))
		XXH3_64bits_update(wal->log.sum, block + head_len,
				   (size_t)(wal->late_len - head_len));
	wal->late_len = 0;
}

void wal_checksum_late(struct wal *wal)
{
	if (!wal->late_len)
		return;
	keep(wal);
	add_late(wal);
}

void wal_checksum_published(struct wal *wal)
{
	if (wal->late_len)
		add_late(wal);
	wal->sum_kept = false;
}

void wal_checksum_back(struct wal *wal)
{
	if (wal->sum_kept)
		XXH3_copyState(wal->log.sum, wal->before.sum);
	wal->sum_kept = false;
	wal->late_len = 0;
}

void wal_filled(struct wal *wal, const uint8_t *bytes, size_t len)
{
	if (wal->late_len)
		return;
	keep(wal);
	XXH3_64bits_update(wal->log.sum, bytes, len);
}

/* What the checksum leaves out, for the record.  A new block begins. */
int wal_note_own(struct wal *wal, const struct block_head *head)
{
	size_t n = log_own_len(&wal->fmt);

	wal_checksum_late(wal);
	if (wal->log.own_len + n > wal->own_room) {
		size_t room = 2 * wal->own_room + 64 * n;
		uint8_t *own = scratch_resize(wal->own, wal->own_room, room);

		if (!own)
			return -ENOMEM;
		wal->own = own;
		wal->own_room = room;
	}
	put_le(wal->own + wal->log.own_len, head->next, FORMAT_POS_LEN);
	if (wal->fmt.timestamps)
		put_le(wal->own + wal->log.own_len + FORMAT_POS_LEN,
		       (uint64_t)head->timestamp, FORMAT_TIME_LEN);
	wal->log.own_len += n;
	return 0;
}
