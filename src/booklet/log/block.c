#include "booklet/log/block.h"

#include "base/util.h"

#include <errno.h>

/* One of the stretches of the file that hold no data: the index, and while the
 * store grows the index to be, each with the dead bytes behind it that the
 * growth needs. */
struct hole {
	uint64_t from, to;
};

static struct hole index_hole(const struct wal *wal)
{
	return (struct hole){ wal->fmt.index_offset,
			      wal->fmt.index_offset +
				      format_index_len(wal->fmt.n_buckets) +
				      wal->index_gap };
}

static struct hole next_hole(const struct wal *wal)
{
	return (struct hole){ wal->next.offset,
			      wal->next.offset +
				      format_index_len(wal->next.n_buckets) +
				      wal->next_gap };
}

/* No walk comes to a stand in the middle of a run of dead blocks that are to be
 * merged: it meets the first of them, or none. */
static uint64_t skip_merge(const struct wal *wal, uint64_t pos)
{
	size_t from = 0, to = wal->n_merge;

	while (from < to) {
		size_t mid = from + (to - from) / 2;

		if (wal->merge[mid].pos < pos)
			from = mid + 1;
		else
			to = mid;
	}
	if (from < wal->n_merge && wal->merge[from].pos == pos)
		pos += wal->merge[from].len;
	return pos;
}

static uint64_t skip_gap(const struct wal *wal, uint64_t pos)
{
	return wal->gap.len && pos == wal->gap.pos ? pos + wal->gap.len : pos;
}

static uint64_t skip_dead(const struct wal *wal, uint64_t pos)
{
	uint64_t at;

	pos = skip_gap(wal, pos);
	if (!wal->n_merge)
		return pos;
	do {
		at = pos;
		pos = skip_gap(wal, skip_merge(wal, pos));
	} while (pos != at);
	return pos;
}

uint64_t block_skip_index(const struct wal *wal, uint64_t pos)
{
	struct hole index = index_hole(wal), next = next_hole(wal);

	/* The next index stands behind the one in use; or in front of it, and
	 * then there is nothing between the two. */
	if (wal->next.offset && next.from < index.from)
		index.from = next.from;
	pos = skip_dead(wal, pos);
	if (pos >= index.from && pos < index.to)
		pos = skip_dead(wal, index.to);
	if (wal->next.offset && pos >= next.from && pos < next.to)
		pos = skip_dead(wal, next.to);
	return pos;
}

static bool in_index(const struct wal *wal, uint64_t pos)
{
	struct hole index = index_hole(wal), next = next_hole(wal);

	return (pos >= index.from && pos < index.to) ||
	       (wal->next.offset && pos >= next.from && pos < next.to);
}

uint64_t block_region_end(const struct wal *wal, uint64_t pos, uint64_t limit)
{
	uint64_t end = limit;

	if (pos < wal->fmt.data_offset || in_index(wal, pos))
		return 0;
	if (pos < wal->fmt.index_offset)
		end = min_u64(end, wal->fmt.index_offset);
	if (wal->next.offset && pos < wal->next.offset)
		end = min_u64(end, wal->next.offset);
	return end;
}

/* The head of a dead block that a reader's replay laid out: the file has other
 * bytes there still.  Nothing but block_cover and a rename (rename_inplace.c)
 * changes the first byte of a block; what a rename did, the mapping shows. */
static bool head_laid_out(const struct wal *wal, uint64_t pos, uint8_t *head)
{
	uint32_t len = format_head_len(&wal->fmt);
	uint64_t v;

	if (!dirty_get(&wal->flushing, pos, &v) ||
	    !dirty_get(&wal->flushing, pos + 16, &v))
		return false;
	memset(head, 0, FORMAT_HEAD_MAX);
	for (uint32_t i = 0; i < len; i += 8)
		if (dirty_get(&wal->flushing, pos + i, &v))
			put_le(head + i, v, min_u64(8, len - i));
	return true;
}

/* Whether a head can stand at pos. */
static bool has_room(const struct wal *wal, uint64_t pos, uint64_t end)
{
	uint32_t head_len = format_head_len(&wal->fmt);

	return end >= head_len && pos <= end - head_len;
}

/* What follows from the head, which is there, at start. */
static int place(const struct wal *wal, uint64_t pos, const uint8_t *start,
		 uint64_t end, struct block *ret)
{
	uint64_t len = format_block_len(&wal->fmt, &ret->head);

	if (len > end - pos)
		return -EUCLEAN;
	ret->pos = pos;
	ret->len = len;
	ret->start = start;
	ret->key = ret->start + format_head_len(&wal->fmt);
	ret->value = ret->key + ret->head.key_len;
	return 0;
}

int block_raw(const struct wal *wal, uint64_t pos, uint64_t limit,
	      struct block *ret)
{
	const uint8_t *start;

	if (!has_room(wal, pos, limit))
		return -EUCLEAN;
	start = wal_ptr(wal, pos);
	format_head_decode(&wal->fmt, start, &ret->head);
	return place(wal, pos, start, limit, ret);
}

/* What changes in place.  Of a live block the lengths never do; of a dead one
 * they do where a stream had reserved it (stream.c). */
static void look_up(const struct wal *wal, uint64_t pos, enum wal_who who,
		    struct block_head *head)
{
	head->next = wal_field(wal, pos + FORMAT_AT_NEXT, FORMAT_POS_LEN, who);
	if (wal->fmt.timestamps)
		head->timestamp =
			(int64_t)wal_time(wal, pos + FORMAT_AT_TIME, who);
	if (head->next == FORMAT_DEAD && !wal->fmt.fixed) {
		uint64_t lens = wal_field(wal, pos + FORMAT_AT_LENS,
					  FORMAT_LENS_LEN, who);

		head->key_len = (uint32_t)(lens & 0xffff);
		head->value_len = (uint32_t)(lens >> 16);
	}
}

int block_at(const struct wal *wal, uint64_t pos, enum wal_who who,
	     struct block *ret)
{
	uint64_t end = block_region_end(wal, pos, wal_limit(wal, who));
	uint8_t head[FORMAT_HEAD_MAX];
	const uint8_t *start;

	if (!has_room(wal, pos, end))
		return -EUCLEAN;
	start = wal_ptr(wal, pos);
	if (!wal->file.writable && head_laid_out(wal, pos, head)) {
		format_head_decode(&wal->fmt, head, &ret->head);
	} else {
		format_head_decode(&wal->fmt, start, &ret->head);
		look_up(wal, pos, who, &ret->head);
	}
	return place(wal, pos, start, end, ret);
}

static int change_bytes(struct wal *wal, uint64_t pos, const uint8_t *bytes,
			size_t len)
{
	while (len) {
		uint32_t n = (uint32_t)min_u64(len, 8);
		int rc = dirty_set(&wal->delta, pos, get_le(bytes, n), n);

		if (rc < 0)
			return rc;
		pos += n;
		bytes += n;
		len -= n;
	}
	return 0;
}

int block_cover(struct wal *wal, uint64_t pos, uint64_t len)
{
	const struct format *f = &wal->fmt;
	uint8_t head[FORMAT_HEAD_MAX];

	/* Never a head over what lives behind, nor one behind the data's end.
	 */
	if (pos > wal->end || len > wal->end - pos || !format_dead_fits(f, len))
		return -EUCLEAN;
	wal_forget_fillers(wal, 0);
	while (len) {
		uint64_t n = format_dead_piece(f, len);
		int rc;

		format_dead_head(f, n, head);
		rc = change_bytes(wal, pos, head, format_head_len(f));
		if (rc < 0)
			return rc;
		pos += n;
		len -= n;
	}
	return 0;
}

int block_resize_dead(struct wal *wal, uint64_t pos, uint64_t len)
{
	uint8_t head[FORMAT_HEAD_MAX];

	format_dead_head(&wal->fmt, len, head);
	return dirty_set(&wal->delta, pos + FORMAT_AT_LENS,
			 get_le(head + FORMAT_AT_LENS, FORMAT_LENS_LEN),
			 FORMAT_LENS_LEN);
}

/* Records and what is left of reservations: more than that is not looked at. */
#define UNUSED_MOST 256

struct unused {
	const struct wal *wal;
	uint64_t pos, to;
};

static int look_for_use(void *arg)
{
	struct unused *u = arg;

	for (int i = 0; i < UNUSED_MOST && u->pos < u->to; i++) {
		struct block b;
		int rc = block_at(u->wal, u->pos, WAL_WRITER, &b);

		if (rc < 0)
			return rc;
		if (b.head.next != FORMAT_DEAD ||
		    !format_never_lived(&b.head.hash))
			return 0;
		u->pos += b.len;
	}
	return u->pos == u->to;
}

int block_unused(const struct wal *wal, uint64_t pos, uint64_t to)
{
	struct unused u = { wal, pos, to };

	if (block_region_end(wal, pos, to) != to || wal->n_merge ||
	    (wal->gap.len && wal->gap.pos + wal->gap.len > pos))
		return 0;
	return file_try(look_for_use, &u);
}
