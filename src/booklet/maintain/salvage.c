/* The snapshot goes in two gears.  As long as blocks stand back to back it
 * walks from one to the next ("on track"); where that ends it looks at every
 * position for a block whose hash is that of its key.
 *
 * What touches the mapping runs in file_try, which may cut it off anywhere: it
 * allocates nothing, and room for what it notes is made before. */
#include "booklet/maintain/salvage.h"

#include "booklet/log/block.h"
#include "booklet/log/recover.h"
#include "base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define STRIDE 4096 /* steps until room is made and progress told */
#define AHEAD 64    /* dead blocks believed on the word of one that follows */
#define LONG_KEY 4096
#define SAMPLE 256 /* entries that vouch for an index */

enum {
	INSIDE = 1, /* found in the value of another block */
	CUT = 2,    /* its length cannot be right */
};

struct snapshot {
	struct salvage *s;
	uint64_t pos;
	bool track;          /* a block should begin at pos */
	uint64_t index, end; /* the index, if it is believed; else 0, 0 */
	uint64_t data;       /* where data begins, if that is believed */

	/* A whole block that nothing sound follows; its value is looked at. */
	uint64_t outer_end; /* 0: none */
	size_t outer;       /* its number, or SIZE_MAX */
	size_t first_inside;
};

int salvage_start(struct salvage *s, const struct file *file,
		  const struct salvage_header *h,
		  const struct blt_rebuild_options *opts)
{
	struct file quiet = *file;
	bool growth;
	int rc;

	*s = (struct salvage){ .opts = opts };
	s->result.header = h->source;
	/* Whatever is replayed is so in memory. */
	quiet.writable = false;
	rc = file_size(&quiet, &s->size);
	if (rc == 0)
		rc = wal_init(&s->wal, &quiet, &h->fmt, s->size);
	if (rc < 0)
		return rc;
	if (h->unclean && recover(&s->wal, &h->checkpoint, h->checkpoint_at,
				  NULL, &growth) < 0)
		dirty_clear(&s->wal.flushing);
	/* A log that is damaged in its middle ends there, but not its blocks.
	 */
	s->wal.end = s->size;
	return 0;
}

void salvage_release(struct salvage *s)
{
	wal_release(&s->wal);
	free(s->kept);
}

/* ---- one position ---- */

static bool at_block(const struct salvage *s, uint64_t pos, struct block *ret)
{
	if (block_raw(&s->wal, pos, s->size, ret) < 0)
		return false;
	ret->head.next = wal_field(&s->wal, pos + FORMAT_AT_NEXT,
				   FORMAT_POS_LEN, WAL_READER);
	return true;
}

static bool hash_fits(const struct block *b)
{
	struct keyhash of_key = keyhash_of(b->key, b->head.key_len);

	return keyhash_equal(&of_key, &b->head.hash);
}

/* A block whose hash is that of its key. */
static bool whole_at(const struct salvage *s, uint64_t pos, struct block *ret)
{
	return at_block(s, pos, ret) && hash_fits(ret);
}

/* The same where nothing says that a block should begin: a long key is hashed
 * only if its next pointer may be one, or random bytes would take minutes a
 * megabyte. */
static bool likely_at(const struct salvage *s, uint64_t pos, struct block *ret)
{
	uint64_t next;

	if (!at_block(s, pos, ret))
		return false;
	next = ret->head.next;
	if (ret->head.key_len > LONG_KEY &&
	    (next >= s->size ||
	     (next > FORMAT_LAST && next < FORMAT_HEADER_LEN)))
		return false;
	return hash_fits(ret);
}

/* Whether a block may well end at pos: the file does, or the index begins, or
 * a whole block, perhaps behind some dead ones whose hashes say nothing. */
static bool sound_end(const struct snapshot *c, uint64_t pos)
{
	const struct salvage *s = c->s;
	struct block b;

	for (int i = 0; i < AHEAD; i++) {
		if (pos == s->size || pos == s->wal.fmt.index_offset)
			return true;
		if (whole_at(s, pos, &b))
			return true;
		if (!at_block(s, pos, &b) || b.head.next != FORMAT_DEAD)
			return false;
		pos += b.len;
	}
	return true;
}

/* Entries of empty buckets, and zeros: no block is in them, and they may be
 * many. */
static bool empty_stretch(const struct salvage *s, uint64_t pos)
{
	const uint8_t *p;

	if (s->size - pos < 64 + FORMAT_POS_LEN + FORMAT_HEAD_MAX)
		return false;
	p = file_ptr(&s->wal.file, pos);
	for (int i = 0; i < FORMAT_POS_LEN; i++)
		if (p[i] > 1)
			return false;
	return memcmp(p, p + FORMAT_POS_LEN, 64) == 0;
}

/* ---- what is found ---- */

/* The block around this one is shorter than it says. */
static void cut_outer(struct snapshot *c)
{
	struct salvage *s = c->s;

	if (c->outer != SIZE_MAX)
		s->kept[c->outer].flags |= CUT;
	for (size_t i = c->first_inside; i < s->n; i++)
		s->kept[i].flags &= (uint8_t)~INSIDE;
	c->outer_end = 0;
}

static void take(struct snapshot *c, const struct block *b)
{
	struct salvage *s = c->s;
	struct salvaged *k = &s->kept[s->n];

	if (b->head.next == FORMAT_DEAD) {
		s->result.dead_blocks++;
		s->result.dead_bytes += b->len;
		return;
	}
	k->pos = b->pos;
	k->hash = b->head.hash;
	k->flags = c->outer_end ? INSIDE : 0;
	s->n++;
}

static void meet_whole(struct snapshot *c, const struct block *b)
{
	uint64_t end = b->pos + b->len;
	size_t before = c->s->n;

	if (c->outer_end && end > c->outer_end)
		cut_outer(c);
	take(c, b);
	c->track = sound_end(c, end);
	if (c->track) {
		c->pos = end;
		return;
	}
	if (!c->outer_end) {
		c->outer_end = end;
		c->outer = c->s->n > before ? before : SIZE_MAX;
		c->first_inside = c->s->n;
	}
	c->pos = end - b->head.value_len;
}

static void off_track(struct snapshot *c)
{
	uint64_t n = empty_stretch(c->s, c->pos) ? 32 : 1;
	uint64_t stops[] = { c->data, c->index, c->end, c->outer_end };

	for (size_t i = 0; i < ARRAY_SIZE(stops); i++)
		if (stops[i] > c->pos)
			n = min_u64(n, stops[i] - c->pos);
	if (!c->outer_end)
		c->s->result.passed_bytes += n;
	c->pos += n;
}

/* On track, but what stands here is no whole block. */
static void meet_other(struct snapshot *c)
{
	struct salvage *s = c->s;
	struct block b;
	bool fits = at_block(s, c->pos, &b);
	bool dead = fits && b.head.next == FORMAT_DEAD;

	if (!dead)
		s->result.damaged_blocks++;
	if (!fits || !sound_end(c, c->pos + b.len)) {
		c->track = false;
		off_track(c);
		return;
	}
	if (dead) {
		s->result.dead_blocks++;
		s->result.dead_bytes += b.len;
	} else {
		s->result.passed_bytes += b.len;
	}
	c->pos += b.len;
}

/* Places that are known before they are seen. */
static void at_landmark(struct snapshot *c)
{
	if (c->outer_end && c->pos >= c->outer_end) {
		c->outer_end = 0;
		c->track = true;
	}
	if (c->index && c->pos == c->index) {
		c->pos = c->end;
		c->outer_end = 0;
		c->track = true;
	} else if (c->pos == c->s->wal.fmt.index_offset) {
		c->track = false;
	}
	if (c->pos == c->data)
		c->track = true;
}

static void step(struct snapshot *c)
{
	struct block b;

	at_landmark(c);
	if (c->pos >= c->s->size)
		return;
	if (c->track ? whole_at(c->s, c->pos, &b) : likely_at(c->s, c->pos, &b))
		meet_whole(c, &b);
	else if (c->track)
		meet_other(c);
	else
		off_track(c);
}

static int snapshot_stride(void *arg)
{
	struct snapshot *c = arg;

	for (int i = 0; i < STRIDE && c->pos < c->s->size; i++)
		step(c);
	return 0;
}

/* ---- the index, as far as it can be believed ---- */

struct index_claim {
	const struct salvage *s;
	uint64_t offset, n_buckets;
	unsigned right, wrong;
};

/* Whether entries lead to blocks that belong to them. */
static int try_index(void *arg)
{
	struct index_claim *k = arg;
	const struct salvage *s = k->s;

	for (uint64_t i = 0; i < k->n_buckets && k->right + k->wrong < SAMPLE;
	     i++) {
		uint64_t at = get_le(
			file_ptr(&s->wal.file, k->offset + i * FORMAT_POS_LEN),
			FORMAT_POS_LEN);
		struct block b;

		if (at <= FORMAT_LAST)
			continue;
		if (at >= FORMAT_HEADER_LEN && at_block(s, at, &b) &&
		    keyhash_bucket(&b.head.hash, (uint32_t)k->n_buckets) == i &&
		    hash_fits(&b))
			k->right++;
		else
			k->wrong++;
	}
	return 0;
}

static int believe(struct salvage *s, uint64_t offset, uint64_t n_buckets,
		   bool *ret)
{
	struct index_claim k = { s, offset, n_buckets, 0, 0 };
	int rc = 0;

	*ret = false;
	if (offset < FORMAT_HEADER_LEN || offset > s->size || !n_buckets ||
	    n_buckets > UINT32_MAX ||
	    n_buckets * FORMAT_POS_LEN > s->size - offset)
		return 0;
	rc = file_try(try_index, &k);
	*ret = rc == 0 && k.right > 0 && k.right >= k.wrong;
	return rc;
}

static int find_layout(struct snapshot *c)
{
	struct salvage *s = c->s;
	const struct format *f = &s->wal.fmt;
	bool is;
	int rc = believe(s, f->index_offset, f->n_buckets, &is);

	if (rc < 0)
		return rc;
	if (is) {
		c->index = f->index_offset;
		c->end = c->index + format_index_len(f->n_buckets);
	}
	/* In front of the data an index may stand that was left long ago. */
	if (f->data_offset < FORMAT_HEADER_LEN || f->data_offset >= s->size)
		return 0;
	c->data = f->data_offset;
	rc = believe(s, FORMAT_HEADER_LEN,
		     (f->data_offset - FORMAT_HEADER_LEN) / FORMAT_POS_LEN,
		     &is);
	if (rc == 0 && is)
		c->pos = c->data;
	return rc;
}

/* ---- which of them are kept ---- */

static int by_hash(const void *a, const void *b)
{
	const struct salvaged *x = a, *y = b;
	int order = memcmp(x->hash.byte, y->hash.byte, KEYHASH_LEN);

	if (order)
		return order;
	/* The best last. */
	if (x->flags != y->flags)
		return y->flags - x->flags;
	return (x->pos > y->pos) - (x->pos < y->pos);
}

static int by_place(const void *a, const void *b)
{
	const struct salvaged *x = a, *y = b;

	return (x->pos > y->pos) - (x->pos < y->pos);
}

static void choose(struct salvage *s)
{
	size_t n = 0;

	if (s->n)
		qsort(s->kept, s->n, sizeof(*s->kept), by_hash);
	for (size_t i = 0; i < s->n; i++) {
		const struct salvaged *k = &s->kept[i];

		if (k->flags & CUT)
			s->result.damaged_blocks++;
		else if (i + 1 < s->n && keyhash_equal(&k->hash, &k[1].hash) &&
			 !(k[1].flags & CUT))
			s->result.older_blocks++;
		else
			s->kept[n++] = *k;
	}
	s->n = n;
	if (n)
		qsort(s->kept, n, sizeof(*s->kept), by_place);
	for (size_t i = 0; i < n; i++)
		s->result.doubtful_keys += s->kept[i].flags & INSIDE;
}

static int make_room(struct salvage *s)
{
	size_t room = s->room ? 2 * s->room : 4 * STRIDE;
	struct salvaged *kept;

	if (s->room - s->n >= STRIDE)
		return 0;
	kept = realloc(s->kept, room * sizeof(*kept));
	if (!kept)
		return -ENOMEM;
	s->kept = kept;
	s->room = room;
	return 0;
}

int salvage_scan(struct salvage *s)
{
	const struct blt_rebuild_options *o = s->opts;
	struct snapshot c = { .s = s, .pos = FORMAT_HEADER_LEN };
	int rc = find_layout(&c);

	while (rc == 0 && c.pos < s->size) {
		rc = make_room(s);
		if (rc == 0)
			rc = file_try(snapshot_stride, &c);
		if (rc == 0 && o->progress)
			rc = o->progress(o->arg, c.pos, s->size, s->n);
	}
	if (rc == 0)
		choose(s);
	return rc;
}
