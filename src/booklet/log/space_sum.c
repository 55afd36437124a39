/* The checksum of the batch that waits for its record: over all bytes that have
 * been appended behind log.start, without those that log_mask_head leaves out
 * and all but the heads of dead blocks that never lived.
 *
 * A commit that comes to nothing must leave it as it was.  So a block that is
 * whole in the tail is added late, when the commit has succeeded or the next
 * block begins; the state is kept only where something has to be added before
 * that.  Most commits are of one block and need neither.
 */
#include "booklet/log/space.h"

#include "base/util.h"

#include <errno.h>

static void keep(struct space *sp)
{
	if (!sp->sum_kept)
		XXH3_copyState(sp->before.sum, sp->log.sum);
	sp->sum_kept = true;
}

static void add_late(struct space *sp)
{
	const uint8_t *block = space_ptr(sp, sp->late_pos);
	uint32_t head_len = format_head_len(&sp->fmt);
	uint8_t head[FORMAT_HEAD_MAX];
	struct keyhash hash;

	memcpy(head, block, head_len);
	memcpy(hash.byte, head, sizeof(hash.byte));
	log_mask_head(&sp->fmt, head);
	XXH3_64bits_update(sp->log.sum, head, head_len);
	if (!format_never_lived(&hash))
		XXH3_64bits_update(sp->log.sum, block + head_len,
				   (size_t)(sp->late_len - head_len));
	sp->late_len = 0;
}

void space_sum_late(struct space *sp)
{
	if (!sp->late_len)
		return;
	keep(sp);
	add_late(sp);
}

void space_sum_published(struct space *sp)
{
	if (sp->late_len)
		add_late(sp);
	sp->sum_kept = false;
}

void space_sum_back(struct space *sp)
{
	if (sp->sum_kept)
		XXH3_copyState(sp->log.sum, sp->before.sum);
	sp->sum_kept = false;
	sp->late_len = 0;
}

void space_filled(struct space *sp, const uint8_t *bytes, size_t len)
{
	if (sp->late_len)
		return;
	keep(sp);
	XXH3_64bits_update(sp->log.sum, bytes, len);
}

/* What the checksum leaves out, for the record.  A new block begins. */
int space_note_own(struct space *sp, const struct block_head *head)
{
	size_t n = log_own_len(&sp->fmt);

	space_sum_late(sp);
	if (sp->log.own_len + n > sp->own_room) {
		size_t room = 2 * sp->own_room + 64 * n;
		uint8_t *own = scratch_resize(sp->own, sp->own_room, room);

		if (!own)
			return -ENOMEM;
		sp->own = own;
		sp->own_room = room;
	}
	put_le(sp->own + sp->log.own_len, head->next, FORMAT_POS_LEN);
	if (sp->fmt.timestamps)
		put_le(sp->own + sp->log.own_len + FORMAT_POS_LEN,
		       (uint64_t)head->timestamp, FORMAT_TIME_LEN);
	sp->log.own_len += n;
	return 0;
}
