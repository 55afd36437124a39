/* A region, when it has been split:
 *
 *   | pad | head key value | [pad] head key value | ... | rest |
 *
 * Only the first pad's length changes with the batch, and what makes the blocks
 * live.  A pad stands in front of a value that is so long that its key is to
 * become another one in its place.
 */
#include "booklet/store/store.h"

#include "base/mutants.h"
#include "booklet/maintain/maintain.h"
#include "booklet/store/stream.h"
#include "base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Bytes that are worth it, and those of a region that has several values. */
#define LEAST ((uint64_t)1 << 20)
#define REGION ((uint64_t)1 << 30)

/* One that is shorter is copied sooner than made live. */
#define SHORT 1024u

/* With a key and all else, it still fits a region. */
#define LONGEST ((uint64_t)BLT_VALUE_MAX - ((uint64_t)1 << 20))

struct staged {
	struct stream s; /* its region; the rest of it is not used */
	uint64_t at;     /* where the next block goes */
	uint8_t *buf;    /* what stands in front of it and is not written */
	size_t n;
	struct staged *next;
};

static bool is_staged(const struct store *store, const struct backend_op *op)
{
	return op->kind == BACKEND_PUT && op->source.read &&
	       op->source.len <= LONGEST &&
	       (op->source.len >= SHORT || store->engine.lay_least);
}

static const struct format *format_of(const struct store *store)
{
	return &store->engine.wal.fmt;
}

static uint64_t filler_len(const struct engine *e)
{
	return format_dead_min(&e->wal.fmt) + BATCH_KEY_SLACK;
}

/* Of all that a put needs. */
static uint64_t len_of(const struct store *store, const struct backend_op *op)
{
	uint64_t len = format_head_len(format_of(store)) + op->key.len +
		       op->source.len;

	return rename_pays(&store->engine, op->source.len) ?
		       len + filler_len(&store->engine) :
		       len;
}

static bool is_worth_it(const struct store *store,
			const struct backend_op *first)
{
	uint64_t least = store->engine.lay_least, sum = 0;

	if (format_of(store)->fixed)
		return false;
	for (; first; first = first->next)
		if (is_staged(store, first))
			sum += len_of(store, first);
	return sum >= (least ? least : LEAST);
}

/* ---- one region ---- */

static int write_out(struct staged *l)
{
	int rc = stream_write_raw(stream_space(&l->s), l->buf, l->n,
				  l->at - l->n);

	l->n = 0;
	return rc;
}

/* Room in buf; *ret_n: how many of the n. */
static int room(struct staged *l, uint64_t n, size_t *ret_n)
{
	int rc = l->n == STREAM_PIECE ? write_out(l) : 0;

	*ret_n = (size_t)min_u64(n, STREAM_PIECE - l->n);
	return rc;
}

static int add(struct staged *l, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;
	size_t n;
	int rc = 0;

	while (len && (rc = room(l, len, &n)) == 0) {
		memcpy(l->buf + l->n, p, n);
		l->n += n;
		l->at += n;
		p += n;
		len -= n;
	}
	return rc;
}

static int add_zeros(struct staged *l, uint64_t len)
{
	static const uint8_t zeros[512];
	int rc = 0;

	while (len && rc == 0) {
		size_t n = (size_t)min_u64(len, sizeof(zeros));

		rc = add(l, zeros, n);
		len -= n;
	}
	return rc;
}

static int add_value(struct staged *l, const struct store *store,
		     const struct blt_source *source)
{
	struct checked_source c;
	int rc = source_begin(&c, store, source);
	size_t n;

	for (uint64_t at = 0; rc == 0 && at < source->len; at += n) {
		rc = room(l, source->len - at, &n);
		if (rc == 0)
			rc = c.value.read(c.value.arg, l->buf + l->n, n, at);
		if (rc < 0)
			break;
		l->n += n;
		l->at += n;
	}
	source_end(&c);
	return rc;
}

static int add_filler(struct staged *l, uint64_t len)
{
	const struct format *f = &stream_space(&l->s)->fmt;
	uint8_t head[FORMAT_HEAD_MAX];
	size_t n = format_head_len(f);
	int rc;

	format_dead_head(f, len, head);
	rc = add(l, head, n);
	return rc < 0 ? rc : add_zeros(l, len - n);
}

static int add_block(struct staged *l, const struct store *store,
		     struct backend_op *op)
{
	const struct format *f = format_of(store);
	struct block_head head = { .hash = op->key.hash,
				   .next = FORMAT_DEAD,
				   .key_len = (uint32_t)op->key.len,
				   .value_len = (uint32_t)op->source.len,
				   .timestamp = op->timestamp };
	uint8_t bytes[FORMAT_HEAD_MAX];
	int rc = 0;

	if (rename_pays(&store->engine, op->source.len))
		rc = add_filler(l, filler_len(&store->engine));
	op->staged_at = l->at;
	format_head_encode(f, &head, bytes);
	if (rc == 0)
		rc = add(l, bytes, format_head_len(f));
	if (rc == 0)
		rc = add(l, op->key.bytes, op->key.len);
	return rc < 0 ? rc : add_value(l, store, &op->source);
}

/* The head of what is left of the region. */
static int finish(struct staged *l)
{
	uint64_t end = l->s.pin.pos + l->s.pin.len;
	const struct format *f = &stream_space(&l->s)->fmt;
	uint8_t head[FORMAT_HEAD_MAX];
	int rc;

	format_dead_head(f, end - l->at, head);
	rc = add(l, head, format_head_len(f));
	return rc < 0 ? rc : write_out(l);
}

static void free_one(struct staged *l)
{
	free(l->buf);
	free(l);
}

/* For so many bytes of blocks. */
static int new_region(struct store *store, uint64_t len, struct staged **list)
{
	struct staged *l = calloc(1, sizeof(*l));
	int rc = -ENOMEM;

	if (!l)
		return -ENOMEM;
	l->s.store = store;
	l->buf = malloc(STREAM_PIECE);
	if (l->buf)
		rc = stream_make_room(&l->s, 0, len);
	if (rc < 0) {
		free_one(l);
		return rc;
	}
	l->at = l->s.pin.pos + filler_len(&store->engine);
	l->next = *list;
	*list = l;
	return 0;
}

/* ---- all of them ---- */

/* The puts from op on that go into one region, and what stands between them:
 * those behind it.  *ret_len: their bytes. */
static struct backend_op *share(const struct store *store,
				struct backend_op *op, uint64_t *ret_len)
{
	uint64_t sum = 0;

	for (; op; op = op->next) {
		uint64_t len = is_staged(store, op) ? len_of(store, op) : 0;

		if (sum && sum + len > REGION)
			break;
		sum += len;
	}
	*ret_len = sum;
	return op;
}

static int lay(struct store *store, struct backend_op *first,
	       struct staged **list)
{
	struct backend_op *op = first, *end;
	uint64_t len;
	int rc = 0;

	while (op && rc == 0) {
		end = share(store, op, &len);
		if (len)
			rc = new_region(store, len, list);
		for (; op != end && rc == 0; op = op->next)
			if (is_staged(store, op))
				rc = add_block(*list, store, op);
		if (rc == 0 && len)
			rc = finish(*list);
		op = end;
	}
	return rc;
}

int batch_stage_ahead(struct store *store, struct backend_op *first,
		      struct staged **ret)
{
	struct staged *list = NULL;
	int rc;

	*ret = NULL;
	if (!store->engine.wal.file.writable || !is_worth_it(store, first))
		return 0;
	rc = lay(store, first, &list);
	/* as a stream's commit: the pads' heads are about to change */
	if (rc == 0 && !MUTANT(LAID_UNSYNCED))
		rc = wal_begin_log(&store->engine.wal);
	if (rc < 0) {
		batch_stage_end(list, false);
		return rc;
	}
	*ret = list;
	return 0;
}

int batch_stage_adopt(struct batch *b, const struct backend_op *op)
{
	const struct batch_key key = { op->key.bytes, op->key.len,
				       op->key.hash };
	struct engine *e = b->engine;
	uint64_t len = filler_len(e);
	int rc = batch_adopt(b, &key, op->staged_at, op->timestamp);

	if (rc == 0 && rename_pays(e, op->source.len))
		wal_note_filler(&e->wal, op->staged_at - len, len);
	return rc;
}

int batch_stage_split(struct staged *staged, struct batch *b)
{
	int rc = 0;

	for (; staged && rc == 0; staged = staged->next)
		rc = block_resize_dead(&b->engine->wal, staged->s.pin.pos,
				       filler_len(b->engine));
	return rc;
}

void batch_stage_end(struct staged *staged, bool committed)
{
	while (staged) {
		struct staged *next = staged->next;

		if (committed)
			stream_leave(&staged->s);
		else
			stream_give_back(&staged->s);
		free_one(staged);
		staged = next;
	}
}
