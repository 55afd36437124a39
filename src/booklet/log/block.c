#include "booklet/log/block.h"

#include "base/util.h"

#include <errno.h>

/* One of the stretches of the file that hold no data: the index, and while the
 * store grows the index to be, each with the dead bytes behind it that the
 * growth needs. */
struct hole {
	uint64_t from, to;
};

static struct hole index_hole(const struct space *sp)
{
	return (struct hole){ sp->fmt.index_offset,
			      sp->fmt.index_offset +
				      format_index_len(sp->fmt.n_buckets) +
				      sp->index_gap };
}

static struct hole next_hole(const struct space *sp)
{
	return (struct hole){ sp->next.offset,
			      sp->next.offset +
				      format_index_len(sp->next.n_buckets) +
				      sp->next_gap };
}

/* No walk comes to a stand in the middle of a run of dead blocks that are to be
 * merged: it meets the first of them, or none. */
static uint64_t skip_merge(const struct space *sp, uint64_t pos)
{
	size_t from = 0, to = sp->n_merge;

	while (from < to) {
		size_t mid = from + (to - from) / 2;

		if (sp->merge[mid].pos < pos)
			from = mid + 1;
		else
			to = mid;
	}
	if (from < sp->n_merge && sp->merge[from].pos == pos)
		pos += sp->merge[from].len;
	return pos;
}

static uint64_t skip_zone(const struct space *sp, uint64_t pos)
{
	return sp->zone.len && pos == sp->zone.pos ? pos + sp->zone.len : pos;
}

static uint64_t skip_dead(const struct space *sp, uint64_t pos)
{
	uint64_t at;

	pos = skip_zone(sp, pos);
	if (!sp->n_merge)
		return pos;
	do {
		at = pos;
		pos = skip_zone(sp, skip_merge(sp, pos));
	} while (pos != at);
	return pos;
}

uint64_t block_skip_index(const struct space *sp, uint64_t pos)
{
	struct hole index = index_hole(sp), next = next_hole(sp);

	/* The next index stands behind the one in use; or in front of it, and
	 * then there is nothing between the two. */
	if (sp->next.offset && next.from < index.from)
		index.from = next.from;
	pos = skip_dead(sp, pos);
	if (pos >= index.from && pos < index.to)
		pos = skip_dead(sp, index.to);
	if (sp->next.offset && pos >= next.from && pos < next.to)
		pos = skip_dead(sp, next.to);
	return pos;
}

static bool in_index(const struct space *sp, uint64_t pos)
{
	struct hole index = index_hole(sp), next = next_hole(sp);

	return (pos >= index.from && pos < index.to) ||
	       (sp->next.offset && pos >= next.from && pos < next.to);
}

uint64_t block_region_end(const struct space *sp, uint64_t pos, uint64_t limit)
{
	uint64_t end = limit;

	if (pos < sp->fmt.data_offset || in_index(sp, pos))
		return 0;
	if (pos < sp->fmt.index_offset)
		end = min_u64(end, sp->fmt.index_offset);
	if (sp->next.offset && pos < sp->next.offset)
		end = min_u64(end, sp->next.offset);
	return end;
}

/* The head of a dead block that a reader's replay laid out: the file has other
 * bytes there still.  Nothing but block_cover and a rename (rekey.c) changes
 * the first byte of a block; what a rename did, the mapping shows. */
static bool head_laid_out(const struct space *sp, uint64_t pos, uint8_t *head)
{
	uint32_t len = format_head_len(&sp->fmt);
	uint64_t v;

	if (!changes_get(&sp->frozen, pos, &v) ||
	    !changes_get(&sp->frozen, pos + 16, &v))
		return false;
	memset(head, 0, FORMAT_HEAD_MAX);
	for (uint32_t i = 0; i < len; i += 8)
		if (changes_get(&sp->frozen, pos + i, &v))
			put_le(head + i, v, min_u64(8, len - i));
	return true;
}

/* Whether a head can stand at pos. */
static bool has_room(const struct space *sp, uint64_t pos, uint64_t end)
{
	uint32_t head_len = format_head_len(&sp->fmt);

	return end >= head_len && pos <= end - head_len;
}

/* What follows from the head, which is there. */
static int place(const struct space *sp, uint64_t pos, uint64_t end,
		 struct block *ret)
{
	uint64_t len = format_block_len(&sp->fmt, &ret->head);

	if (len > end - pos)
		return -EUCLEAN;
	ret->pos = pos;
	ret->len = len;
	ret->start = space_ptr(sp, pos);
	ret->key = ret->start + format_head_len(&sp->fmt);
	ret->value = ret->key + ret->head.key_len;
	return 0;
}

int block_raw(const struct space *sp, uint64_t pos, uint64_t limit,
	      struct block *ret)
{
	if (!has_room(sp, pos, limit))
		return -EUCLEAN;
	format_head_decode(&sp->fmt, space_ptr(sp, pos), &ret->head);
	return place(sp, pos, limit, ret);
}

/* What changes in place.  Of a live block the lengths never do; of a dead one
 * they do where a stream had reserved it (stream.c). */
static void look_up(const struct space *sp, uint64_t pos, enum space_who who,
		    struct block_head *head)
{
	head->next = space_field(sp, pos + FORMAT_AT_NEXT, FORMAT_POS_LEN, who);
	if (sp->fmt.timestamps)
		head->timestamp =
			(int64_t)space_time(sp, pos + FORMAT_AT_TIME, who);
	if (head->next == FORMAT_DEAD && !sp->fmt.fixed) {
		uint64_t lens = space_field(sp, pos + FORMAT_AT_LENS,
					    FORMAT_LENS_LEN, who);

		head->key_len = (uint32_t)(lens & 0xffff);
		head->value_len = (uint32_t)(lens >> 16);
	}
}

int block_at(const struct space *sp, uint64_t pos, enum space_who who,
	     struct block *ret)
{
	uint64_t end = block_region_end(sp, pos, space_limit(sp, who));
	uint8_t head[FORMAT_HEAD_MAX];

	if (!has_room(sp, pos, end))
		return -EUCLEAN;
	if (!sp->file.writable && head_laid_out(sp, pos, head)) {
		format_head_decode(&sp->fmt, head, &ret->head);
	} else {
		format_head_decode(&sp->fmt, space_ptr(sp, pos), &ret->head);
		look_up(sp, pos, who, &ret->head);
	}
	return place(sp, pos, end, ret);
}

static int change_bytes(struct space *sp, uint64_t pos, const uint8_t *bytes,
			size_t len)
{
	while (len) {
		uint32_t n = (uint32_t)min_u64(len, 8);
		int rc = changes_set(&sp->delta, pos, get_le(bytes, n), n);

		if (rc < 0)
			return rc;
		pos += n;
		bytes += n;
		len -= n;
	}
	return 0;
}

int block_cover(struct space *sp, uint64_t pos, uint64_t len)
{
	const struct format *f = &sp->fmt;
	uint8_t head[FORMAT_HEAD_MAX];

	/* Never a head over what lives behind. */
	if (!format_dead_fits(f, len))
		return -EUCLEAN;
	space_forget_pads(sp, 0);
	while (len) {
		uint64_t n = format_dead_piece(f, len);
		int rc;

		format_dead_head(f, n, head);
		rc = change_bytes(sp, pos, head, format_head_len(f));
		if (rc < 0)
			return rc;
		pos += n;
		len -= n;
	}
	return 0;
}

int block_resize_dead(struct space *sp, uint64_t pos, uint64_t len)
{
	uint8_t head[FORMAT_HEAD_MAX];

	format_dead_head(&sp->fmt, len, head);
	return changes_set(&sp->delta, pos + FORMAT_AT_LENS,
			   get_le(head + FORMAT_AT_LENS, FORMAT_LENS_LEN),
			   FORMAT_LENS_LEN);
}

/* Records and what is left of reservations: more than that is not looked at. */
#define UNUSED_MOST 256

struct unused {
	const struct space *sp;
	uint64_t pos, to;
};

static int look_for_use(void *arg)
{
	struct unused *u = arg;

	for (int i = 0; i < UNUSED_MOST && u->pos < u->to; i++) {
		struct block b;
		int rc = block_at(u->sp, u->pos, SPACE_WRITER, &b);

		if (rc < 0)
			return rc;
		if (b.head.next != FORMAT_DEAD ||
		    !format_never_lived(&b.head.hash))
			return 0;
		u->pos += b.len;
	}
	return u->pos == u->to;
}

int block_unused(const struct space *sp, uint64_t pos, uint64_t to)
{
	struct unused u = { sp, pos, to };

	if (block_region_end(sp, pos, to) != to || sp->n_merge ||
	    (sp->zone.len && sp->zone.pos + sp->zone.len > pos))
		return 0;
	return file_try(look_for_use, &u);
}
