/* Dead blocks that never lived: places for an index to be and for streamed
 * values, which are holes in the file, scratch space, and what stands in
 * front of long values (remembered for rekey.c).
 *
 * They are part of a commit like any other blocks, but the checksum covers
 * their heads alone: what stands in them is nobody's until a later commit says
 * so.  While the log is walked for recovery their lengths count: so a head
 * stays as it is until the log begins behind it.
 */
#include "booklet/log/space.h"

#include "base/util.h"

#include <errno.h>

static int write_head(struct space *sp, uint64_t pos, uint64_t len)
{
	static const struct block_head dead = { .next = FORMAT_DEAD };
	uint32_t head_len = format_head_len(&sp->fmt);
	uint8_t head[FORMAT_HEAD_MAX];
	int rc = space_note_own(sp, &dead);

	if (rc < 0)
		return rc;
	format_dead_head(&sp->fmt, len, head);
	rc = file_write(&sp->file, head, head_len, pos);
	log_mask_head(&sp->fmt, head);
	space_filled(sp, head, head_len);
	return rc;
}

static int lay_out(struct space *sp, uint64_t pos, uint64_t len)
{
	int rc = 0;

	/* Zeros that stand there are as good as a hole. */
	if (pos + len > space_file_end(sp))
		rc = file_resize(&sp->file, pos + len);
	while (rc == 0 && len) {
		uint64_t n = format_dead_piece(&sp->fmt, len);

		rc = write_head(sp, pos, n);
		pos += n;
		len -= n;
	}
	return rc;
}

int space_append_filler(struct space *sp, uint64_t len, uint64_t *ret_pos)
{
	static const uint8_t zeros[4096];
	uint8_t bytes[FORMAT_HEAD_MAX];
	struct block_head head;
	int rc;

	format_dead_head(&sp->fmt, len, bytes);
	format_head_decode(&sp->fmt, bytes, &head);
	rc = space_block(sp, &head, ret_pos);
	len -= format_head_len(&sp->fmt);
	while (rc == 0 && len) {
		size_t n = (size_t)min_u64(len, sizeof(zeros));

		rc = space_append_plain(sp, zeros, n);
		len -= n;
	}
	return rc < 0 ? rc : space_block_end(sp, &head);
}

int space_append_hole(struct space *sp, uint64_t len, bool sparse,
		      uint64_t *ret_pos)
{
	uint64_t pos = sp->append;
	int rc = space_reserve(sp, sparse ? 0 : len);

	if (rc == 0)
		rc = space_flush_tail(sp);
	if (rc == 0)
		rc = space_go_hot(sp);
	if (rc == 0)
		rc = space_check_file(sp);
	if (rc < 0)
		return rc;
	rc = lay_out(sp, pos, len);
	if (rc == 0)
		rc = space_move_tail(sp, pos + len);
	if (rc < 0) {
		/* Cutting the file gives back what was reserved behind, too. */
		sp->reserved = min_u64(sp->reserved, pos);
		sp->ahead = 0;
		if (file_resize(&sp->file, pos) < 0 ||
		    (rc != -ENOSPC && rc != -ENOMEM && rc != -EFBIG))
			space_fail(sp, rc);
		return rc;
	}
	sp->append = pos + len;
	*ret_pos = pos;
	return 0;
}

/* ---- dead blocks in front of long values ---- */

void space_note_pad(struct space *sp, uint64_t pos, uint64_t len)
{
	sp->pad[sp->next_pad] = (struct log_zone){ pos, len };
	sp->next_pad = (sp->next_pad + 1) % SPACE_PADS;
}

uint64_t space_pad_before(const struct space *sp, uint64_t pos)
{
	for (unsigned i = 0; i < SPACE_PADS; i++)
		if (sp->pad[i].len && sp->pad[i].pos + sp->pad[i].len == pos)
			return sp->pad[i].pos;
	return 0;
}

void space_forget_pads(struct space *sp, uint64_t pos)
{
	for (unsigned i = 0; i < SPACE_PADS; i++)
		if (sp->pad[i].pos >= pos)
			sp->pad[i].len = 0;
}
