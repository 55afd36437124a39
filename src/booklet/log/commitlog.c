/* The layouts; doc/durability.md has them as tables.
 *
 * checkpoint,        checksum 8 (XXH3-64 of the rest) | sequence 8 | salt 8 |
 *   60 bytes:        record sequence 8 | start 6 | n_keys 4 | version 2 |
 *                    fill 1 | state 15
 * state, 15 bytes:   0, or 1 (growth) | index offset 6 | n_buckets 4 | moved 4
 *                    or 2 (gap) | position 6 | length 8
 * record, 80 bytes:  mark 8 | checksum 8 | salt 8 | sequence 8 | start 6 |
 *                    batch length 6 | n_keys 4 | payload length 4 |
 *                    changes 4 | blocks 4 | header follows 1 | state 15 | 0 4
 *                    then the header (200, if so), the blocks' own fields
 *                    (next 6, timestamp 7), the changes (position 6,
 *                    length 2, bytes)
 */
#include "booklet/log/commitlog.h"

#include "base/mutants.h"
#include "base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static const uint8_t mark[8] = {
	LOG_MARK_FIRST, 'b', 'l', 't', 'l', 'o', 'g', '\n'
};

enum {
	STATE_NONE = 0,
	STATE_GROWTH = 1,
	STATE_ZONE = 2,
	AT_SUM = 8,
	HAS_HEADER = 1, /* a flag */
	CHANGE_HEAD = FORMAT_POS_LEN + 2,
};

/* A cursor, so that the order of the fields stands once on either side. */
static void put(uint8_t **to, uint64_t v, size_t n)
{
	put_le(*to, v, n);
	*to += n;
}

static uint64_t get(const uint8_t **from, size_t n)
{
	uint64_t v = get_le(*from, n);

	*from += n;
	return v;
}

static void put_bytes(uint8_t **to, const void *bytes, size_t n)
{
	memcpy(*to, bytes, n);
	*to += n;
}

static void get_bytes(const uint8_t **from, void *bytes, size_t n)
{
	memcpy(bytes, *from, n);
	*from += n;
}

static void put_state(uint8_t **to, const struct log_growth *g,
		      const struct log_gap *z)
{
	if (z->len) {
		put(to, STATE_ZONE, 1);
		put(to, z->pos, FORMAT_POS_LEN);
		put(to, z->len, 8);
		return;
	}
	put(to, g->offset ? STATE_GROWTH : STATE_NONE, 1);
	put(to, g->offset, FORMAT_POS_LEN);
	put(to, g->n_buckets, 4);
	put(to, g->moved, 4);
}

/* Whether the kind is one of ours. */
static bool get_state(const uint8_t **from, struct log_growth *g,
		      struct log_gap *z)
{
	uint64_t kind = get(from, 1);
	uint64_t pos = get(from, FORMAT_POS_LEN);
	const uint8_t *rest = *from;

	*from += 8;
	*g = (struct log_growth){ 0 };
	*z = (struct log_gap){ 0 };
	if (kind == STATE_GROWTH)
		*g = (struct log_growth){ pos, (uint32_t)get_le(rest, 4),
					  (uint32_t)get_le(rest + 4, 4) };
	else if (kind == STATE_ZONE)
		*z = (struct log_gap){ pos, get_le(rest, 8) };
	return kind <= STATE_ZONE;
}

void log_checkpoint_encode(const struct log_checkpoint *checkpoint,
			   uint8_t to[LOG_CHECKPOINT_LEN])
{
	uint8_t *p = to + 8;

	put(&p, checkpoint->seq, 8);
	put_bytes(&p, checkpoint->salt, LOG_SALT_LEN);
	put(&p, checkpoint->record_seq, 8);
	put(&p, checkpoint->start, FORMAT_POS_LEN);
	put(&p, checkpoint->n_keys, 4);
	put(&p, checkpoint->version, 2);
	put(&p, checkpoint->fill, 1);
	put_state(&p, &checkpoint->growth, &checkpoint->gap);
	put_le(to, XXH3_64bits(to + 8, LOG_CHECKPOINT_LEN - 8), 8);
}

bool log_checkpoint_decode(const uint8_t from[LOG_CHECKPOINT_LEN],
			   struct log_checkpoint *ret)
{
	const uint8_t *p = from + 8;

	if (get_le(from, 8) != XXH3_64bits(from + 8, LOG_CHECKPOINT_LEN - 8))
		return false;
	ret->seq = get(&p, 8);
	get_bytes(&p, ret->salt, LOG_SALT_LEN);
	ret->record_seq = get(&p, 8);
	ret->start = get(&p, FORMAT_POS_LEN);
	ret->n_keys = (uint32_t)get(&p, 4);
	ret->version = (uint16_t)get(&p, 2);
	ret->fill = (uint8_t)get(&p, 1);
	ret->unknown = !get_state(&p, &ret->growth, &ret->gap);
	return true;
}

int log_checkpoint_newest(const uint8_t *header, struct log_checkpoint *ret)
{
	const uint8_t *at = header + LOG_CHECKPOINT_AT;
	struct log_checkpoint a = { 0 }, b = { 0 };
	bool has_a = log_checkpoint_decode(at, &a);
	bool has_b = log_checkpoint_decode(at + LOG_CHECKPOINT_LEN, &b);

	if (!has_a && !has_b)
		return -1;
	if (has_a && (!has_b || a.seq > b.seq)) {
		*ret = a;
		return 0;
	}
	*ret = b;
	return 1;
}

void log_mask_head(const struct format *f, uint8_t *head)
{
	if (!MUTANT(NEXT_UNMASKED))
		memset(head + FORMAT_AT_NEXT, 0, FORMAT_POS_LEN);
	if (f->timestamps && !MUTANT(TIME_UNMASKED))
		memset(head + FORMAT_AT_TIME, 0, FORMAT_TIME_LEN);
}

uint64_t log_payload_bound(const struct format *f, uint64_t n_own,
			   uint64_t n_changes)
{
	return LOG_PAYLOAD_MIN + FORMAT_HEADER_LEN + n_own * log_own_len(f) +
	       n_changes * (CHANGE_HEAD + 8);
}

/* Payload bytes that one dead block carries. */
static uint64_t carry_max(const struct format *f)
{
	return format_dead_max(f) - format_head_len(f);
}

uint64_t log_record_len(const struct format *f, uint64_t payload_len)
{
	uint64_t blocks = 1;

	/* Asked at every commit, and nearly always one. */
	if (payload_len > carry_max(f))
		blocks = (payload_len + carry_max(f) - 1) / carry_max(f);
	return payload_len + blocks * format_dead_min(f);
}

/* Position and length are eight bytes, and log_payload_bound has room for as
 * many of each value: two stores a change, while no one else may commit. */
static uint8_t *put_changes(uint8_t *p, const struct dirty_table *changes)
{
	for (size_t i = 0; i < changes->n; i++) {
		const struct change *c = &changes->item[i];

		put_le(p, c->pos | (uint64_t)c->len << 48, CHANGE_HEAD);
		put_le(p + CHANGE_HEAD, c->value, 8);
		p += CHANGE_HEAD + c->len;
	}
	return p;
}

uint8_t *log_payload(const struct format *f, struct log_record *r,
		     const uint8_t *header, const uint8_t *own, size_t own_len,
		     const struct dirty_table *changes)
{
	uint8_t *payload = scratch_get(
		log_payload_bound(f, own_len / log_own_len(f), changes->n));
	uint8_t *p;

	if (!payload)
		return NULL;
	p = payload + LOG_PAYLOAD_MIN;
	if (header)
		put_bytes(&p, header, FORMAT_HEADER_LEN);
	if (own_len)
		put_bytes(&p, own, own_len);
	p = put_changes(p, changes);
	r->payload_len = (uint32_t)(p - payload);
	r->n_changes = (uint32_t)changes->n;
	r->n_own = (uint32_t)(own_len / log_own_len(f));
	r->has_header = header != NULL;

	p = payload;
	put_bytes(&p, mark, sizeof(mark));
	put(&p, 0, 8);
	put_bytes(&p, r->salt, LOG_SALT_LEN);
	put(&p, r->seq, 8);
	put(&p, r->start, FORMAT_POS_LEN);
	put(&p, r->batch_len, FORMAT_POS_LEN);
	put(&p, r->n_keys, 4);
	put(&p, r->payload_len, 4);
	put(&p, r->n_changes, 4);
	put(&p, r->n_own, 4);
	put(&p, r->has_header ? HAS_HEADER : 0, 1);
	put_state(&p, &r->growth, &r->gap);
	put(&p, 0, 4);
	return payload;
}

void log_payload_free(const struct format *f, const struct log_record *r,
		      uint8_t *payload)
{
	scratch_put(payload, log_payload_bound(f, r->n_own, r->n_changes));
}

void log_payload_set_sum(uint8_t *payload, uint64_t sum)
{
	put_le(payload + AT_SUM, sum, 8);
}

/* A dead block's key and value together are the payload's bytes; a piece too
 * short for the smallest dead block is filled up with zeros. */
int log_carry(const struct format *f, const uint8_t *payload, size_t len,
	      int (*put_piece)(void *arg, const void *bytes, size_t len),
	      void *arg)
{
	static const uint8_t zeros[256];
	uint8_t head[FORMAT_HEAD_MAX];

	while (len) {
		size_t n = (size_t)min_u64(len, carry_max(f));
		uint64_t least = format_dead_min(f) - format_head_len(f);
		size_t fill = n < least ? (size_t)(least - n) : 0;
		int rc;

		format_dead_head(f, format_head_len(f) + n + fill, head);
		rc = put_piece(arg, head, format_head_len(f));
		if (rc == 0)
			rc = put_piece(arg, payload, n);
		while (rc == 0 && fill) {
			size_t some = (size_t)min_u64(fill, sizeof(zeros));

			rc = put_piece(arg, zeros, some);
			fill -= some;
		}
		if (rc < 0)
			return rc;
		payload += n;
		len -= n;
	}
	return 0;
}

bool log_record_decode(const uint8_t *payload, size_t len,
		       struct log_record *ret)
{
	const uint8_t *p = payload + sizeof(mark);
	uint8_t flags;

	if (len < LOG_PAYLOAD_MIN || memcmp(payload, mark, sizeof(mark)))
		return false;
	get_bytes(&p, ret->sum, sizeof(ret->sum));
	get_bytes(&p, ret->salt, LOG_SALT_LEN);
	ret->seq = get(&p, 8);
	ret->start = get(&p, FORMAT_POS_LEN);
	ret->batch_len = get(&p, FORMAT_POS_LEN);
	ret->n_keys = (uint32_t)get(&p, 4);
	ret->payload_len = (uint32_t)get(&p, 4);
	ret->n_changes = (uint32_t)get(&p, 4);
	ret->n_own = (uint32_t)get(&p, 4);
	flags = (uint8_t)get(&p, 1);
	ret->has_header = flags & HAS_HEADER;
	ret->unknown = flags & ~HAS_HEADER;
	ret->unknown |= !get_state(&p, &ret->growth, &ret->gap);
	return ret->payload_len >= LOG_PAYLOAD_MIN;
}

int log_lists(const struct format *f, const struct log_record *r,
	      const uint8_t *payload, struct log_lists *ret)
{
	uint64_t at = LOG_PAYLOAD_MIN;
	struct log_lists l = { 0 };

	if (r->has_header) {
		l.header = payload + at;
		at += FORMAT_HEADER_LEN;
	}
	l.own = payload + at;
	at += (uint64_t)r->n_own * log_own_len(f);
	if (at > r->payload_len)
		return -EUCLEAN;
	l.change = payload + at;
	l.end = payload + r->payload_len;
	*ret = l;
	return 0;
}

int log_next_change(struct log_lists *l, struct change *ret)
{
	struct change c;

	if (l->change == l->end)
		return 0;
	if (l->end - l->change < CHANGE_HEAD)
		return -EUCLEAN;
	c.pos = get(&l->change, FORMAT_POS_LEN) & CHANGE_POS_MOST;
	c.len = (uint16_t)get(&l->change, 2);
	if (c.len == 0 || c.len > 8 || l->end - l->change < (long)c.len)
		return -EUCLEAN;
	c.value = get(&l->change, c.len);
	*ret = c;
	return 1;
}
