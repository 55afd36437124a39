/* The header, the blocks and the numbers.  What touches the mapping runs in
 * file_try and only takes notes; faults are reported outside of it, with no
 * lock held. */
#include "booklet/maintain/verify.h"

#include "booklet/core/index.h"
#include "booklet/core/snapshot.h"
#include "booklet/format/serial.h"
#include "base/util.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define PROGRESS_STEP ((uint64_t)1 << 20)
#define PIECE ((size_t)64 << 10)

const char *blt_fault_name(enum blt_fault_kind kind)
{
	static const char *const names[] = {
		[BLT_FAULT_HEADER] = "header", [BLT_FAULT_BLOCK] = "block",
		[BLT_FAULT_HASH] = "hash",     [BLT_FAULT_LOST] = "lost",
		[BLT_FAULT_CHAIN] = "chain",   [BLT_FAULT_BUCKET] = "bucket",
		[BLT_FAULT_COUNT] = "count",   [BLT_FAULT_LOAD] = "load",
	};

	return (size_t)kind < ARRAY_SIZE(names) ? names[kind] : NULL;
}

int verify_fault(struct verify *c, enum blt_fault_kind kind, uint64_t pos,
		 const char *fmt, ...)
{
	struct blt_fault f = { .kind = kind, .position = pos };
	char text[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	f.text = text;
	if (kind == BLT_FAULT_LOAD)
		c->result.warnings++;
	else
		c->result.faults++;
	return c->fn ? c->fn(c->arg, &f) : 0;
}

int verify_progress(struct verify *c, uint64_t bytes)
{
	uint64_t before = c->done;

	c->done += bytes;
	if (!c->opts->progress ||
	    before / PROGRESS_STEP == c->done / PROGRESS_STEP)
		return 0;
	return c->opts->progress(c->arg, min_u64(c->done, c->total), c->total,
				 c->result.keys);
}

void verify_start(struct verify *c, struct engine *engine,
		  const struct blt_check_options *opts, blt_fault_fn *fn,
		  void *arg)
{
	static const struct blt_check_options plain = { .values = false };

	*c = (struct verify){ .engine = engine,
			      .opts = opts ? opts : &plain,
			      .fn = fn,
			      .arg = arg };
	if (!engine)
		return;
	pthread_rwlock_rdlock(&engine->wal.lock);
	c->commits = engine->wal.commits;
	c->total = engine->wal.end - FORMAT_HEADER_LEN;
	pthread_rwlock_unlock(&engine->wal.lock);
}

bool verify_undisturbed(const struct verify *c)
{
	struct wal *wal = &c->engine->wal;
	bool same;

	pthread_rwlock_rdlock(&wal->lock);
	same = wal->commits == c->commits;
	pthread_rwlock_unlock(&wal->lock);
	return same;
}

bool verify_in_gap(const struct verify *c, uint64_t pos)
{
	for (size_t i = 0; i < c->n_gaps; i++)
		if (pos >= c->gap[i].from && pos < c->gap[i].to)
			return true;
	return false;
}

/* ---- the blocks ---- */

enum verdict {
	SOUND,
	GONE, /* overwritten or deleted since the walk met it */
	WRONG_HASH,
	UNREACHED,
	SHADOWED,     /* a lookup finds another block */
	CHAIN_BROKEN, /* a lookup ends in a damaged chain */
};

struct judging {
	struct verify *verify;
	struct block block;
	struct keyhash of_key;
	bool wrong_hash;
	enum verdict verdict;
	uint64_t other;
	char key[3 * 40 + 8]; /* as text, for a message */
	uint8_t *buf;         /* PIECE bytes */
};

static void show_key(struct judging *j)
{
	const struct block *b = &j->block;
	size_t n = (size_t)min_u64(b->head.key_len, 40);
	char *to = j->key;

	*to++ = '\'';
	for (size_t i = 0; i < n; i++) {
		uint8_t c = b->key[i];

		if (c >= 0x20 && c < 0x7f && c != '\\' && c != '\'')
			*to++ = (char)c;
		else
			to += snprintf(to, 4, "%%%02X", c);
	}
	snprintf(to, 5, n < b->head.key_len ? "...'" : "'");
}

static enum verdict judge(struct judging *j)
{
	const struct wal *wal = &j->verify->engine->wal;
	struct index_place place;
	int rc;

	/* It may have died since, or moved away. */
	rc = block_at(wal, j->block.pos, WAL_READER, &j->block);
	if (rc < 0 || j->block.head.next == FORMAT_DEAD)
		return GONE;
	show_key(j);
	j->of_key = keyhash_of(j->block.key, j->block.head.key_len);
	j->wrong_hash = !keyhash_equal(&j->of_key, &j->block.head.hash);
	rc = index_find(wal, &j->block.head.hash, WAL_READER, &place);
	if (rc < 0)
		return CHAIN_BROKEN;
	if (rc == 0)
		return UNREACHED;
	j->other = place.block.pos;
	return j->other == j->block.pos ? SOUND : SHADOWED;
}

static int judge_guarded(void *arg)
{
	struct judging *j = arg;

	j->verdict = judge(j);
	return 0;
}

static int report(struct verify *c, const struct judging *j)
{
	uint64_t pos = j->block.pos;
	char have[2 * KEYHASH_LEN + 1], want[2 * KEYHASH_LEN + 1];
	int rc = 0;

	if (j->wrong_hash) {
		hex_encode(have, j->block.head.hash.byte, KEYHASH_LEN);
		hex_encode(want, j->of_key.byte, KEYHASH_LEN);
		rc = verify_fault(c, BLT_FAULT_HASH, pos,
				  "the hash is %s, that of its key %s is %s",
				  have, j->key, want);
	}
	if (rc < 0)
		return rc;
	switch (j->verdict) {
	case UNREACHED:
		return verify_fault(c, BLT_FAULT_LOST, pos,
				    "key %s is live, but not in its chain",
				    j->key);
	case SHADOWED:
		return verify_fault(c, BLT_FAULT_LOST, pos,
				    "key %s is live at %" PRIu64
				    " too, and a lookup finds that",
				    j->key, j->other);
	case CHAIN_BROKEN:
		return verify_fault(c, BLT_FAULT_LOST, pos,
				    "key %s is live, but its chain is damaged "
				    "in front of it",
				    j->key);
	default:
		return 0;
	}
}

static int count(struct verify *c, const struct block *b)
{
	const struct format *f = &c->engine->wal.fmt;
	struct blt_check_result *r = &c->result;

	if (b->head.next == FORMAT_DEAD) {
		r->dead_blocks++;
		r->dead_bytes += b->len;
		return 0;
	}
	r->live_blocks++;
	r->live_bytes += b->len;
	if (!format_hidden(f, &b->head.hash))
		r->keys++;
	return 0;
}

/* ---- what Python would load ---- */

/* Whether bytes of the block, from its key on, load: 0, -EINVAL, or an
 * error. */
static int loads(struct judging *j, unsigned code, size_t at, uint64_t len)
{
	struct serial_check *s;
	int rc = serial_check_new(code, &s);

	if (rc < 0)
		return rc;
	while (rc == 0 && len) {
		size_t n = (size_t)min_u64(len, PIECE);

		rc = file_copy(j->buf, j->block.key + at, n);
		if (rc == 0)
			rc = serial_check_feed(s, j->buf, n);
		at += n;
		len -= n;
	}
	if (rc == 0)
		rc = serial_check_end(s);
	serial_check_free(s);
	return rc;
}

static int verify_load(struct verify *c, struct judging *j, const char *what,
		       unsigned code, size_t at, uint64_t len)
{
	int rc;

	if (serial_takes_all(code))
		return 0;
	rc = loads(j, code, at, len);
	if (rc != -EINVAL)
		return rc;
	return verify_fault(c, BLT_FAULT_LOAD, j->block.pos,
			    "%skey %s does not load as %s", what, j->key,
			    serial_name(code) ? serial_name(code) :
						"its class");
}

static int verify_loads(struct verify *c, struct judging *j)
{
	const struct format *f = &c->engine->wal.fmt;
	const struct block_head *h = &j->block.head;
	int rc;

	if (format_hidden(f, &h->hash)) {
		/* The others hold any bytes. */
		struct keyhash meta =
			keyhash_of(format_slot_key[FORMAT_METADATA],
				   strlen(format_slot_key[FORMAT_METADATA]));

		if (!keyhash_equal(&h->hash, &meta))
			return 0;
		return verify_load(c, j, "the value of ",
				   (unsigned)serial_code("json"), h->key_len,
				   h->value_len);
	}
	rc = verify_load(c, j, "", f->key_serializer, 0, h->key_len);
	if (rc == 0 && !f->fixed)
		rc = verify_load(c, j, "the value of ", f->value_serializer,
				 h->key_len, h->value_len);
	return rc;
}

static int verify_block(struct verify *c, const struct block *b,
			struct judging *j)
{
	struct wal *wal = &c->engine->wal;
	struct block met = *b;
	int rc;

	if (b->head.next == FORMAT_DEAD)
		return count(c, b);
	j->block = *b;
	j->wrong_hash = false;
	pthread_rwlock_rdlock(&wal->lock);
	rc = file_try(judge_guarded, j);
	pthread_rwlock_unlock(&wal->lock);
	if (rc < 0)
		return rc;
	if (j->verdict == GONE) {
		met.head.next = FORMAT_DEAD;
		return count(c, &met);
	}
	count(c, b);
	rc = report(c, j);
	if (rc == 0 && c->opts->values) {
		/* The snapshot holds this one; that of the judging it does not.
		 */
		j->block = *b;
		rc = verify_loads(c, j);
	}
	return rc;
}

/* ---- what cannot be walked ---- */

struct bad {
	struct wal *wal;
	uint64_t pos, end;
	bool room; /* for a head */
	struct block_head head;
	uint64_t len;
};

static int look_at_bad(void *arg)
{
	struct bad *b = arg;
	uint32_t head_len = format_head_len(&b->wal->fmt);

	b->end = block_region_end(b->wal, b->pos, b->wal->end);
	b->room = b->end >= head_len && b->pos <= b->end - head_len;
	if (!b->room)
		return 0;
	format_head_decode(&b->wal->fmt, wal_ptr(b->wal, b->pos), &b->head);
	b->len = format_block_len(&b->wal->fmt, &b->head);
	return 0;
}

/* The walk stumbled: says where, and goes on in the next region. */
static int step_over_bad(struct verify *c, struct snapshot *s)
{
	struct wal *wal = &c->engine->wal;
	struct bad b = { .wal = wal, .pos = s->pos };
	int rc;

	pthread_rwlock_rdlock(&wal->lock);
	rc = file_try(look_at_bad, &b);
	pthread_rwlock_unlock(&wal->lock);
	if (rc < 0)
		return rc;
	snapshot_skip_region(s);
	if (b.end > b.pos && c->n_gaps < ARRAY_SIZE(c->gap))
		c->gap[c->n_gaps++] = (struct verify_gap){ b.pos, b.end };
	if (b.end > b.pos)
		c->result.skipped_bytes += b.end - b.pos;
	if (!b.room)
		return verify_fault(c, BLT_FAULT_BLOCK, b.pos,
				    "%" PRIu64
				    " bytes are left of the data: no "
				    "room for a block",
				    b.end > b.pos ? b.end - b.pos : 0);
	return verify_fault(
		c, BLT_FAULT_BLOCK, b.pos,
		"a block with key length %" PRIu32 " and value length %" PRIu32
		" would end at %" PRIu64 ", behind the data's end %" PRIu64
		"; not checked from here on",
		b.head.key_len, b.head.value_len, b.pos + b.len, b.end);
}

int verify_blocks(struct verify *c)
{
	uint8_t buf[PIECE];
	struct judging j = { .verify = c, .buf = buf };
	struct block b = { .len = 0 };
	struct snapshot s;
	int rc;

	snapshot_start(&s, c->engine, true);
	for (;;) {
		rc = snapshot_next(&s, &b);
		if (rc == 0)
			break;
		if (rc == -EUCLEAN)
			rc = step_over_bad(c, &s);
		else if (rc > 0)
			rc = verify_block(c, &b, &j);
		if (rc == 0)
			rc = verify_progress(c, b.len);
		if (rc < 0)
			break;
	}
	snapshot_end(&s);
	return rc;
}

/* ---- for those who write over it ---- */

int verify_walk(struct engine *e, blt_progress_fn *progress, void *arg)
{
	struct snapshot s;
	struct block b;
	uint64_t done = 0;
	int rc;

	snapshot_start(&s, e, true);
	while ((rc = snapshot_next(&s, &b)) > 0) {
		done += b.len;
		if (!progress || done < PROGRESS_STEP)
			continue;
		done = 0;
		rc = progress(arg, 0, s.end, 0);
		if (rc < 0)
			break;
	}
	snapshot_end(&s);
	return rc;
}

static int note_first(void *arg, const struct blt_fault *fault)
{
	struct blt_error *ret = arg;

	snprintf(ret->text, sizeof(ret->text), "at %" PRIu64 ": %s",
		 fault->position, fault->text);
	return -ECANCELED;
}

void verify_first(struct engine *e, struct blt_error *ret)
{
	struct verify c;

	snprintf(ret->text, sizeof(ret->text), "%s", strerror(EUCLEAN));
	verify_start(&c, e, NULL, note_first, ret);
	(void)verify_blocks(&c);
}

/* ---- the numbers ---- */

int verify_counts(struct verify *c)
{
	const struct wal *wal = &c->engine->wal;
	const struct blt_check_result *r = &c->result;
	int rc = 0;

	if (!verify_undisturbed(c))
		return 0;
	if (c->reached > r->live_blocks || c->n_gaps)
		rc = verify_strays(c);
	/* Of a store that Python left open, opening it made the count; that of
	 * a log is only what a writer has said. */
	if (rc < 0 || c->n_gaps || wal->n_keys == r->keys)
		return rc;
	return verify_fault(c, BLT_FAULT_COUNT, FORMAT_AT_N_KEYS,
			    "the header says %" PRIu64 " keys, %" PRIu64
			    " are live",
			    wal->n_keys, r->keys);
}
