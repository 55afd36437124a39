#include "reindex.h"

#include "batch.h"
#include "block.h"
#include "util.h"

#include <errno.h>
#include <stdlib.h>

/* Buckets moved between two flushes. */
#define STEP_BUCKETS 4096u

/* What becomes of the place of the old index: len bytes from pos are to be
 * covered with dead blocks at the end. */
struct vacated {
	uint64_t pos;
	uint64_t len;
};

static int append_dead_pad(struct space *sp)
{
	struct block_head head = { .next = FORMAT_DEAD,
				   .key_len = 1,
				   .value_len = sp->fmt.value_len };
	uint64_t len = format_dead_min(&sp->fmt);
	uint8_t *zeros = calloc(1, len);
	int rc;

	if (!zeros)
		return -ENOMEM;
	format_head_encode(&sp->fmt, &head, zeros);
	rc = space_reserve(sp, len);
	if (rc == 0)
		rc = space_block(sp, len);
	if (rc == 0)
		rc = space_append(sp, zeros, len);
	free(zeros);
	return rc;
}

struct neighbour {
	struct space *sp;
	uint64_t pos;
	struct block block;
	uint8_t *key;
};

static int load_neighbour(void *arg)
{
	struct neighbour *n = arg;
	int rc = block_at(n->sp, n->pos, SPACE_WRITER, &n->block);

	if (rc == 0)
		memcpy(n->key, n->block.key, n->block.head.key_len);
	return rc;
}

/* Moves one live block to the end of the data. */
static int move_away(struct batch *b, const struct neighbour *n)
{
	struct batch_key key = { .bytes = n->key,
				 .len = n->block.head.key_len,
				 .hash = n->block.head.hash };

	return batch_copy(b, &key, &n->block);
}

/* Where the old index alone is no sum of legal dead blocks, the blocks behind
 * it make way until it is. */
static int vacate(struct engine *e, struct vacated *v)
{
	struct space *sp = &e->space;
	struct neighbour n = { .sp = sp, .key = e->key };
	struct batch b;
	int rc;

	if (v->len == 0 || format_dead_fits(&sp->fmt, v->len))
		return 0;
	rc = batch_begin(&b, e);
	if (rc < 0)
		return rc;
	if (e->scans || e->walking)
		rc = -EBUSY;
	while (rc == 0 && !format_dead_fits(&sp->fmt, v->len)) {
		n.pos = v->pos + v->len;
		if (n.pos >= sp->append)
			rc = append_dead_pad(sp);
		if (rc == 0)
			rc = file_try(load_neighbour, &n);
		if (rc == 0 && n.block.head.next != FORMAT_DEAD)
			rc = move_away(&b, &n);
		if (rc == 0)
			v->len += n.block.len;
	}
	return batch_end(&b, rc);
}

/* Appends n_buckets empty entries. */
static int lay_out(struct space *sp, uint32_t n_buckets, uint64_t *ret_offset)
{
	uint64_t left = n_buckets, offset = sp->append;
	const size_t piece = 8192;
	uint8_t *entries = malloc(piece * FORMAT_POS_LEN);
	int rc;

	if (!entries)
		return -ENOMEM;
	for (size_t i = 0; i < piece; i++)
		put_le(entries + i * FORMAT_POS_LEN, FORMAT_LAST,
		       FORMAT_POS_LEN);
	rc = space_reserve(sp, format_index_len(n_buckets));
	if (rc == 0)
		rc = space_flush(sp);
	if (rc == 0)
		rc = space_skip(sp, format_index_len(n_buckets));
	for (uint64_t pos = offset; rc == 0 && left;) {
		size_t n = (size_t)min_u64(left, piece);

		rc = space_write(sp, entries, n * FORMAT_POS_LEN, pos);
		pos += n * FORMAT_POS_LEN;
		left -= n;
	}
	free(entries);
	if (rc == 0)
		*ret_offset = offset;
	return rc;
}

/* Puts the blocks of one old bucket at the heads of their new chains. */
static int move_bucket(struct space *sp, uint32_t bucket)
{
	uint64_t at =
		space_field(sp, sp->fmt.index_offset + format_index_len(bucket),
			    FORMAT_POS_LEN, SPACE_WRITER);
	/* No chain is longer than the file has room for blocks: one that seems
	 * to be comes back to itself. */
	uint64_t most = sp->append / format_head_len(&sp->fmt);

	while (at > FORMAT_LAST) {
		struct block b;
		uint64_t slot;
		int rc = most-- ? block_at(sp, at, SPACE_WRITER, &b) : -EUCLEAN;

		if (rc < 0)
			return rc;
		slot = sp->next.offset +
		       format_index_len(keyhash_bucket(&b.head.hash,
						       sp->next.n_buckets));
		rc = changes_set(
			&sp->delta, at + FORMAT_AT_NEXT,
			index_chain(space_field(sp, slot, FORMAT_POS_LEN,
						SPACE_WRITER)),
			FORMAT_POS_LEN);
		if (rc == 0)
			rc = changes_set(&sp->delta, slot, at, FORMAT_POS_LEN);
		if (rc < 0)
			return rc;
		at = b.head.next;
	}
	return 0;
}

struct step {
	struct space *sp;
	uint32_t to;
};

static int move_buckets(void *arg)
{
	struct step *st = arg;
	int rc = 0;

	for (uint32_t i = st->sp->next.moved; i < st->to && rc == 0; i++)
		rc = move_bucket(st->sp, i);
	return rc;
}

static int count_moved(void *arg)
{
	struct step *st = arg;

	st->sp->next.moved = st->to;
	return 0;
}

static int move_all(struct space *sp)
{
	int rc = 0;

	while (rc == 0 && sp->next.moved < sp->fmt.n_buckets) {
		struct step st = { sp,
				   (uint32_t)min_u64(sp->fmt.n_buckets,
						     (uint64_t)sp->next.moved +
							     STEP_BUCKETS) };

		rc = file_try(move_buckets, &st);
		if (rc == 0)
			rc = space_publish(sp, 0, count_moved, &st);
		if (rc == 0)
			rc = space_flush(sp);
	}
	return rc;
}

static void set_next(struct space *sp, struct next_index next)
{
	pthread_rwlock_wrlock(&sp->lock);
	sp->next = next;
	pthread_rwlock_unlock(&sp->lock);
}

static int land(struct space *sp, const struct vacated *v)
{
	int rc = block_cover(sp, v->pos, v->len);

	if (rc < 0)
		return rc;
	pthread_rwlock_wrlock(&sp->lock);
	format_set_layout(&sp->fmt, sp->next.n_buckets, sp->next.offset,
			  sp->fmt.data_offset);
	sp->next = (struct next_index){ 0 };
	pthread_rwlock_unlock(&sp->lock);
	return space_write_header(sp);
}

static int build(struct space *sp, uint32_t n_buckets, const struct vacated *v)
{
	struct next_index next = { .n_buckets = n_buckets };
	int rc;

	rc = lay_out(sp, n_buckets, &next.offset);
	if (rc < 0) {
		space_rollback(sp);
		return rc;
	}
	/* The end of the data moves over the new index in the moment in which
	 * walks learn to pass over it. */
	set_next(sp, next);
	rc = space_publish(sp, 0, NULL, NULL);
	if (rc == 0)
		rc = move_all(sp);
	/* From the first bucket moved there is no way back but forward. */
	if (rc == 0)
		rc = land(sp, v);
	return rc < 0 ? space_fail(sp, rc) : 0;
}

int reindex(struct engine *engine, uint32_t n_buckets)
{
	struct space *sp = &engine->space;
	struct vacated v = { 0 };
	int rc;

	if (sp->fmt.index_offset != FORMAT_HEADER_LEN) {
		v.pos = sp->fmt.index_offset;
		v.len = format_index_len(sp->fmt.n_buckets);
	}
	rc = vacate(engine, &v);
	if (rc < 0)
		return rc;
	rc = space_begin(sp);
	if (rc < 0)
		return rc;
	rc = build(sp, n_buckets, &v);
	space_end(sp);
	return rc;
}
