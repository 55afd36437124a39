#include "block.h"

#include "util.h"

#include <errno.h>

/* One of the stretches of the file that hold no data: the index, and while the
 * store grows the index to be. */
struct hole {
	uint64_t from, to;
};

static struct hole index_hole(const struct space *sp)
{
	return (struct hole){ sp->fmt.index_offset,
			      sp->fmt.index_offset +
				      format_index_len(sp->fmt.n_buckets) };
}

static struct hole next_hole(const struct space *sp)
{
	return (struct hole){ sp->next.offset,
			      sp->next.offset +
				      format_index_len(sp->next.n_buckets) };
}

uint64_t block_skip_index(const struct space *sp, uint64_t pos)
{
	struct hole index = index_hole(sp), next = next_hole(sp);

	/* The next index stands behind the one in use. */
	if (pos >= index.from && pos < index.to)
		pos = index.to;
	if (sp->next.offset && pos >= next.from && pos < next.to)
		pos = next.to;
	return pos;
}

/* The end of the data region that pos stands in, or 0. */
static uint64_t region_end(const struct space *sp, uint64_t pos, uint64_t limit)
{
	uint64_t end = limit;

	if (pos < sp->fmt.data_offset || block_skip_index(sp, pos) != pos)
		return 0;
	if (pos < sp->fmt.index_offset)
		end = min_u64(end, sp->fmt.index_offset);
	if (sp->next.offset && pos < sp->next.offset)
		end = min_u64(end, sp->next.offset);
	return end;
}

int block_at(const struct space *sp, uint64_t pos, enum space_who who,
	     struct block *ret)
{
	uint32_t head_len = format_head_len(&sp->fmt);
	uint64_t end = region_end(sp, pos, space_limit(sp, who));
	struct block b = { .pos = pos };
	const uint8_t *at;

	if (end < head_len || pos > end - head_len)
		return -EUCLEAN;
	at = space_ptr(sp, pos);
	format_head_decode(&sp->fmt, at, &b.head);
	b.len = format_block_len(&sp->fmt, &b.head);
	if (b.len > end - pos)
		return -EUCLEAN;
	b.head.next =
		space_field(sp, pos + FORMAT_AT_NEXT, FORMAT_POS_LEN, who);
	if (sp->fmt.timestamps)
		b.head.timestamp = (int64_t)space_field(
			sp, pos + FORMAT_AT_TIME, FORMAT_TIME_LEN, who);
	b.key = at + head_len;
	b.value = b.key + b.head.key_len;
	*ret = b;
	return 0;
}

/* The lengths of key and value of a dead block of just len bytes. */
static void dead_shape(const struct format *f, uint64_t len,
		       struct block_head *head)
{
	uint64_t rest = len - format_head_len(f);

	head->value_len = f->value_len;
	if (f->fixed) {
		head->key_len = (uint32_t)(rest - f->value_len);
		return;
	}
	head->key_len = 1;
	head->value_len = (uint32_t)(rest - 1);
	if (rest - 1 > UINT32_MAX) {
		head->value_len = UINT32_MAX;
		head->key_len = (uint32_t)(rest - UINT32_MAX);
	}
}

int block_cover(struct space *sp, uint64_t pos, uint64_t len)
{
	const struct format *f = &sp->fmt;
	uint64_t min = format_dead_min(f), max = format_dead_max(f);
	uint8_t head_bytes[FORMAT_HEAD_MAX];

	while (len) {
		uint64_t blocks = (len + max - 1) / max;
		/* The last one must not be left with too little. */
		uint64_t n = blocks == 1 ?
				     len :
				     min_u64(max, len - (blocks - 1) * min);
		struct block_head head = { .next = FORMAT_DEAD };
		int rc;

		dead_shape(f, n, &head);
		format_head_encode(f, &head, head_bytes);
		rc = space_write(sp, head_bytes, format_head_len(f), pos);
		if (rc < 0)
			return rc;
		pos += n;
		len -= n;
	}
	return 0;
}
