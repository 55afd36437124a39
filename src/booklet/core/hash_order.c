/* A slice is a range of the hashes' first 64 bits.  Its blocks are gathered by
 * a snapshot, which then stays at its end and holds them in their places. */
#include "booklet/core/hash_order.h"

#include "base/util.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>

/* Blocks that are fetched into the processor's cache together, and how much of
 * each. */
#define AHEAD 16u
#define FETCHED 256
/* Places in a part of the list that is sorted by insertion. */
#define SHORT 32

/* 80 bits of the hash, then where the block is. */
struct place {
	uint64_t high;
	uint64_t low; /* 16 bits of the hash, 48 of the position */
};

#define POS_BITS 48
#define POS_MASK (((uint64_t)1 << POS_BITS) - 1)

struct hash_order {
	struct snapshot snapshot;
	struct engine *engine;
	bool gathered; /* there is a snapshot, and a list */
	uint64_t n_slices, slice;
	bool has_after;
	struct place after;
	struct chunk *pin; /* of the block met last */
	struct place *list;
	size_t n, room, at;
};

static struct place place_of(const struct keyhash *hash, uint64_t pos)
{
	uint64_t high;
	uint16_t low;

	memcpy(&high, hash->byte, sizeof(high));
	memcpy(&low, hash->byte + sizeof(high), sizeof(low));
	return (struct place){ be64toh(high),
			       (uint64_t)be16toh(low) << POS_BITS | pos };
}

static int compare(const void *one, const void *two)
{
	const struct place *a = one, *b = two;

	if (a->high != b->high)
		return a->high < b->high ? -1 : 1;
	return a->low < b->low ? -1 : a->low > b->low;
}

/* In which of n equal parts of the hashes it is. */
static uint64_t part(uint64_t high, uint64_t n)
{
	return (uint64_t)(((unsigned __int128)high * n) >> 64);
}

int hash_order_new(struct engine *engine, uint64_t n_keys,
		   const struct keyhash *after, uint32_t slice_keys,
		   struct hash_order **ret)
{
	struct hash_order *o = calloc(1, sizeof(*o));

	if (!o)
		return -ENOMEM;
	o->engine = engine;
	o->n_slices = 1 + n_keys / (slice_keys ? slice_keys : HASH_ORDER_KEYS);
	if (after) {
		o->has_after = true;
		o->after = place_of(after, POS_MASK);
		o->slice = part(o->after.high, o->n_slices);
	}
	*ret = o;
	return 0;
}

static void drop_pin(struct hash_order *o)
{
	chunk_put(o->pin);
	o->pin = NULL;
}

static void end_slice(struct hash_order *o)
{
	drop_pin(o);
	if (o->gathered)
		snapshot_end(&o->snapshot);
	o->gathered = false;
	o->n = o->at = 0;
}

void hash_order_free(struct hash_order *o)
{
	if (!o)
		return;
	end_slice(o);
	free(o->list);
	free(o);
}

bool hash_order_pinned(const struct hash_order *o)
{
	return o->pin != NULL;
}

/* ---- sorting ---- */

static void sort_part(struct place *list, size_t n)
{
	if (n > SHORT) {
		qsort(list, n, sizeof(*list), compare);
		return;
	}
	for (size_t i = 1; i < n; i++) {
		struct place p = list[i];
		size_t k = i;

		for (; k && compare(&list[k - 1], &p) > 0; k--)
			list[k] = list[k - 1];
		list[k] = p;
	}
}

/* Each goes to its part, by turns, in place. */
static void distribute(struct place *list, size_t *next, const size_t *end,
		       uint64_t parts, uint64_t all)
{
	for (uint64_t i = 0; i < parts; i++) {
		while (next[i] < end[i]) {
			struct place p = list[next[i]], other;
			uint64_t to = part(p.high, all) % parts;

			while (to != i) {
				other = list[next[to]];
				list[next[to]++] = p;
				p = other;
				to = part(p.high, all) % parts;
			}
			list[next[i]++] = p;
		}
	}
}

/* Hashes are spread evenly: parts of a few places each, then within those. */
static int sort(struct hash_order *o)
{
	uint64_t parts = 1 + o->n / 8, all = parts * o->n_slices;
	size_t *next = calloc(2 * parts, sizeof(*next));
	size_t *end = next ? next + parts : NULL, sum = 0;

	if (!next)
		return -ENOMEM;
	for (size_t i = 0; i < o->n; i++)
		end[part(o->list[i].high, all) % parts]++;
	for (uint64_t i = 0; i < parts; i++) {
		next[i] = sum;
		sum += end[i];
		end[i] = sum;
	}
	distribute(o->list, next, end, parts, all);
	for (uint64_t i = 0; i < parts; i++)
		sort_part(o->list + (i ? end[i - 1] : 0),
			  end[i] - (i ? end[i - 1] : 0));
	free(next);
	return 0;
}

/* ---- a slice ---- */

static int add(struct hash_order *o, const struct block *b)
{
	struct place p = place_of(&b->head.hash, b->pos);

	if (format_hidden(&o->engine->wal.fmt, &b->head.hash) ||
	    (o->n_slices > 1 && part(p.high, o->n_slices) != o->slice) ||
	    (o->has_after && compare(&p, &o->after) <= 0))
		return 0;
	if (ARRAY_ROOM(o->list, o->room, o->n + 1) < 0)
		return -ENOMEM;
	o->list[o->n++] = p;
	return 0;
}

static int gather(struct hash_order *o)
{
	struct block b;
	int rc;

	snapshot_start(&o->snapshot, o->engine, false);
	o->gathered = true;
	while ((rc = snapshot_next(&o->snapshot, &b)) > 0) {
		rc = add(o, &b);
		if (rc < 0)
			return rc;
	}
	return rc < 0 ? rc : sort(o);
}

/* Some of those to come are asked for; touching what is not there does no
 * harm. */
static void fetch_ahead(const struct hash_order *o)
{
	const struct wal *wal = &o->engine->wal;

	for (size_t i = o->at + AHEAD; i < o->n && i < o->at + 2 * AHEAD; i++) {
		const uint8_t *at = wal_ptr(wal, o->list[i].low & POS_MASK);

		for (int k = 0; k < FETCHED; k += 64)
			__builtin_prefetch(at + k);
	}
}

struct look {
	struct hash_order *o;
	struct block *ret;
};

static int look_at(void *arg)
{
	struct look *l = arg;
	struct hash_order *o = l->o;
	uint64_t pos = o->list[o->at].low & POS_MASK;
	int rc = block_at(&o->engine->wal, pos, WAL_READER, l->ret);

	if (rc == 0 && l->ret->head.next == FORMAT_DEAD)
		l->ret->head.next = FORMAT_LAST;
	return rc;
}

int hash_order_next(struct hash_order *o, struct block *ret)
{
	struct wal *wal = &o->engine->wal;
	struct look l = { o, ret };
	int rc = 0;

	while (o->at == o->n) {
		bool last = o->slice == o->n_slices;

		end_slice(o);
		rc = last ? 0 : gather(o);
		if (rc < 0 || last)
			return rc;
		o->slice++;
	}
	pthread_rwlock_rdlock(&wal->lock);
	drop_pin(o);
	if (o->at % AHEAD == 0)
		fetch_ahead(o);
	rc = file_try(look_at, &l);
	if (rc == 0)
		o->pin = wal_pin(wal, ret->pos);
	pthread_rwlock_unlock(&wal->lock);
	o->at++;
	return rc < 0 ? rc : 1;
}
