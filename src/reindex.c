#include "reindex.h"

#include "batch.h"
#include "block.h"
#include "util.h"

#include <errno.h>
#include <stdlib.h>

/* Buckets moved as one commit. */
#define STEP_BUCKETS 4096u

/* Changes on their way at which they are brought into the file. */
#define STEP_CHANGES ((size_t)1 << 16)

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
	size_t len = 1 + (size_t)head.value_len;
	uint8_t *zeros = calloc(1, len);
	uint64_t pos;
	int rc = zeros ? space_block(sp, &head, &pos) : -ENOMEM;

	if (rc == 0)
		rc = space_append(sp, zeros, len);
	if (rc == 0)
		rc = space_block_end(sp, &head);
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

/* Takes the dead blocks behind the hole in, until it is a sum of legal ones. */
static int widen(struct space *sp, struct vacated *v)
{
	struct block b;

	while (v->len && !format_dead_fits(&sp->fmt, v->len)) {
		int rc = block_at(sp, v->pos + v->len, SPACE_WRITER, &b);

		if (rc < 0)
			return rc;
		if (b.head.next != FORMAT_DEAD)
			return -EUCLEAN;
		v->len += b.len;
	}
	return 0;
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
	int rc = 0;

	if (v->len == 0 || format_dead_fits(&sp->fmt, v->len))
		return 0;
	batch_begin_locked(&b, e);
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

/* Under both locks.  Now and then what has been moved goes into its place, so
 * that the changes on their way stay few. */
static int move_all(struct space *sp)
{
	int rc = 0;

	while (rc == 0 && sp->next.moved < sp->fmt.n_buckets) {
		uint64_t to = (uint64_t)sp->next.moved + STEP_BUCKETS;
		struct step st = { sp,
				   (uint32_t)min_u64(sp->fmt.n_buckets, to) };

		space_mark(sp);
		rc = file_try(move_buckets, &st);
		if (rc == 0)
			rc = space_publish(sp, 0, count_moved, &st);
		if (rc < 0)
			space_rollback(sp);
		if (rc == 0 && sp->active.n > STEP_CHANGES)
			rc = space_checkpoint(sp);
	}
	return rc;
}

static int set_field(struct space *sp, uint64_t at, uint32_t len)
{
	return changes_set(&sp->delta, at, get_le(sp->fmt.raw + at, len), len);
}

/* The old index's place becomes dead blocks, and the header names the new one.
 * Readers learn of it when the file says so: until then the old place is no
 * data. */
static int land(struct space *sp, const struct vacated *v)
{
	struct format before = sp->fmt;
	int rc = space_checkpoint(sp);

	if (rc < 0)
		return rc;
	space_mark(sp);
	format_put_layout(&sp->fmt, sp->next.n_buckets, sp->next.offset,
			  sp->fmt.data_offset);
	rc = set_field(sp, FORMAT_AT_N_BUCKETS, 4);
	if (rc == 0)
		rc = set_field(sp, FORMAT_AT_INDEX, FORMAT_POS_LEN);
	if (rc == 0)
		rc = set_field(sp, FORMAT_AT_DATA, FORMAT_POS_LEN);
	if (rc == 0)
		rc = block_cover(sp, v->pos, v->len);
	if (rc == 0)
		rc = space_publish(sp, 0, NULL, NULL);
	if (rc < 0) {
		space_rollback(sp);
		sp->fmt = before;
		return rc;
	}
	sp->landing = true;
	rc = space_checkpoint(sp);
	sp->landing = false;
	if (rc < 0) {
		sp->fmt = before;
		return space_fail(sp, rc);
	}
	pthread_rwlock_wrlock(&sp->lock);
	format_set_layout(&sp->fmt, sp->next.n_buckets, sp->next.offset,
			  sp->fmt.data_offset);
	sp->next = (struct log_growth){ 0 };
	pthread_rwlock_unlock(&sp->lock);
	return 0;
}

/* Empty entries, laid out where nobody looks yet. */
static int fill_index(struct space *sp, uint64_t pos, uint64_t len)
{
	const size_t piece = 8192 * FORMAT_POS_LEN;
	uint8_t *entries = malloc(piece);
	int rc = entries ? 0 : -ENOMEM;

	for (size_t i = 0; entries && i < piece; i += FORMAT_POS_LEN)
		put_le(entries + i, FORMAT_LAST, FORMAT_POS_LEN);
	while (rc == 0 && len) {
		size_t n = (size_t)min_u64(len, piece);

		rc = file_write(&sp->file, entries, n, pos);
		pos += n;
		len -= n;
	}
	free(entries);
	return rc;
}

static struct vacated place_of_index(const struct space *sp)
{
	struct vacated v = { 0 };

	if (sp->fmt.index_offset != FORMAT_HEADER_LEN) {
		v.pos = sp->fmt.index_offset;
		v.len = format_index_len(sp->fmt.n_buckets);
	}
	return v;
}

/* From the first bucket moved on there is no way back, but forward.  A full
 * disk stops the work between two buckets: every key is found, and the next
 * call goes on. */
static int finish(struct space *sp, const struct vacated *v)
{
	int rc = move_all(sp);

	if (rc == 0)
		rc = land(sp, v);
	return rc < 0 && rc != -ENOSPC ? space_fail(sp, rc) : rc;
}

/* Blocks that had to make way have made way before the growth began; which
 * ones follows from their being dead. */
static int resume(struct space *sp)
{
	struct vacated v = place_of_index(sp);
	int rc;

	if (!sp->next.offset)
		return 0;
	rc = widen(sp, &v);
	return rc < 0 ? rc : finish(sp, &v);
}

/* Under both locks. */
static int replace_index(struct engine *engine, uint32_t n_buckets)
{
	struct log_growth growth = { .n_buckets = n_buckets };
	struct space *sp = &engine->space;
	struct vacated v;
	int rc = resume(sp);

	if (rc < 0)
		return rc;
	v = place_of_index(sp);
	rc = vacate(engine, &v);
	if (rc == 0)
		rc = space_checkpoint(sp);
	if (rc < 0)
		return rc;
	growth.offset = sp->append;
	rc = space_graft(sp, format_index_len(n_buckets), fill_index, &growth);
	return rc < 0 ? rc : finish(sp, &v);
}

int reindex(struct engine *engine, uint32_t n_buckets)
{
	int rc = space_begin_whole(&engine->space);

	if (rc < 0)
		return rc;
	rc = replace_index(engine, n_buckets);
	space_end_whole(&engine->space);
	return rc;
}

int reindex_resume(struct engine *engine)
{
	struct space *sp = &engine->space;
	int rc = space_begin_whole(sp);

	if (rc < 0)
		return rc;
	rc = resume(sp);
	space_end_whole(sp);
	return rc;
}
