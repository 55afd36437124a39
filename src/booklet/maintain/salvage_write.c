/* The new file: header, index, and the blocks in the order they had.  The
 * header is written last, so that half a file is none. */
#include "booklet/maintain/salvage.h"

#include "booklet/log/block.h"
#include "base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PIECE ((size_t)1 << 20)

struct out {
	struct salvage *s;
	struct file *to;
	struct format fmt;
	uint64_t pos; /* of buf[0] in the file */
	size_t len;
	uint8_t *buf;   /* PIECE bytes */
	uint8_t *index; /* as it will stand in the file */
	uint64_t from;  /* of the block in the old file */
	struct block block;
};

/* As many buckets as before, or more where there are more keys. */
static uint32_t buckets_for(const struct salvage *s)
{
	uint32_t n = s->wal.fmt.n_buckets;

	/* A damaged field must not make a file of gigabytes. */
	if (n == 0 || (format_index_len(n) > s->size))
		n = FORMAT_DEFAULT_BUCKETS;
	while (s->n > n && format_next_buckets(n))
		n = format_next_buckets(n);
	return n;
}

static void make_header(struct out *o)
{
	const struct format *old = &o->s->wal.fmt;

	o->fmt = *old;
	o->fmt.n_buckets = buckets_for(o->s);
	format_make(&o->fmt);
	/* The version says whether blocks have timestamps. */
	o->fmt.version = old->version;
	put_le(o->fmt.raw + FORMAT_AT_VERSION, old->version, 2);
	format_set_n_keys(&o->fmt, (uint32_t)o->s->result.keys);
	o->s->result.n_buckets = o->fmt.n_buckets;
}

static int flush(struct out *o)
{
	int rc = file_write(o->to, o->buf, o->len, o->pos);

	o->pos += o->len;
	o->len = 0;
	return rc;
}

/* Bytes of the old file. */
static int carry(struct out *o, uint64_t from, uint64_t len)
{
	int rc = 0;

	while (rc == 0 && len) {
		size_t n;

		if (o->len == PIECE)
			rc = flush(o);
		n = (size_t)min_u64(len, PIECE - o->len);
		if (rc == 0)
			rc = file_read(&o->s->wal.file, o->buf + o->len, n,
				       from);
		o->len += n;
		from += n;
		len -= n;
	}
	return rc;
}

static int look(void *arg)
{
	struct out *o = arg;
	const struct wal *wal = &o->s->wal;
	int rc = block_raw(wal, o->from, o->s->size, &o->block);

	if (rc == 0 && wal->fmt.timestamps)
		o->block.head.timestamp =
			(int64_t)wal_field(wal, o->from + FORMAT_AT_TIME,
					   FORMAT_TIME_LEN, WAL_READER);
	return rc;
}

/* A block goes in front of its chain. */
static int write_block(struct out *o, const struct salvaged *k)
{
	uint8_t *entry =
		o->index +
		format_index_len(keyhash_bucket(&k->hash, o->fmt.n_buckets));
	uint32_t head_len = format_head_len(&o->fmt);
	int rc;

	o->from = k->pos;
	rc = file_try(look, o);
	if (rc == 0 && PIECE - o->len < head_len)
		rc = flush(o);
	if (rc < 0)
		return rc == -EUCLEAN ? -EIO : rc;
	o->block.head.next = get_le(entry, FORMAT_POS_LEN);
	put_le(entry, o->pos + o->len, FORMAT_POS_LEN);
	format_head_encode(&o->fmt, &o->block.head, o->buf + o->len);
	o->len += head_len;
	o->s->result.kept_bytes += o->block.len;
	return carry(o, k->pos + head_len, o->block.len - head_len);
}

static int write_blocks(struct out *o)
{
	const struct salvage *s = o->s;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < s->n; i++)
		rc = write_block(o, &s->kept[i]);
	return rc == 0 ? flush(o) : rc;
}

static void count(struct salvage *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (format_hidden(&s->wal.fmt, &s->kept[i].hash))
			s->result.hidden++;
		else
			s->result.keys++;
}

int salvage_write(struct salvage *s, struct file *to)
{
	struct out o = { .s = s, .to = to, .buf = malloc(PIECE) };
	uint64_t index_len;
	int rc;

	count(s);
	make_header(&o);
	index_len = format_index_len(o.fmt.n_buckets);
	o.pos = FORMAT_HEADER_LEN + index_len;
	o.index = malloc(index_len);
	rc = o.buf && o.index ? file_resize(to, 0) : -ENOMEM;
	if (rc < 0)
		goto out;
	for (uint64_t i = 0; i < index_len; i += FORMAT_POS_LEN)
		put_le(o.index + i, FORMAT_LAST, FORMAT_POS_LEN);
	rc = write_blocks(&o);
	if (rc == 0)
		rc = file_write(to, o.index, index_len, FORMAT_HEADER_LEN);
	if (rc == 0)
		rc = file_sync(to);
	if (rc == 0)
		rc = file_write(to, o.fmt.raw, FORMAT_HEADER_LEN, 0);
	if (rc == 0)
		rc = file_sync(to);
out:
	free(o.buf);
	free(o.index);
	return rc;
}
