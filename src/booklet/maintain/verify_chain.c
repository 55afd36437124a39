/* The buckets.  A chain is measured before it is judged: a ring (Brent's
 * algorithm) is then walked just once around, and the pointer that closes it is
 * known.
 *
 * A stride of buckets is looked at under one hold of the lock; it ends at the
 * first thing to report, and goes on behind it. */
#include "booklet/maintain/verify.h"

#include "booklet/core/index.h"
#include "booklet/core/snapshot.h"
#include "base/util.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#define STRIDE 512 /* buckets and blocks */

enum finding {
	NOTHING,
	NOWHERE, /* where no block can stand */
	DEAD,
	RING,
	OTHER_BUCKET,
};

/* One index: the one in use, or the one that is being built. */
struct walk {
	struct verify *verify;
	uint64_t offset; /* of the index */
	uint32_t n_buckets;
	uint32_t bucket; /* the next one to open */
	bool inside;     /* a chain is being judged */
	uint64_t slot;   /* its bucket's entry */
	uint64_t from, at;
	uint64_t left;   /* blocks until its end, or until it closes */
	uint64_t closes; /* the pointer that makes it a ring, or 0 */
	enum finding finding;
	uint64_t found_from, found_at, found_bucket;

	/* For verify_strays: links are noted instead of counted. */
	struct link *noted;
	size_t n_noted;
};

/* A pointer, by where it leads and where it stands. */
struct link {
	uint64_t at, from;
};

/* Links that are noted before a walk over the data looks for their blocks. */
#define ROOM ((size_t)1 << 20)

static uint64_t follow(const struct wal *wal, uint64_t at)
{
	return wal_field(wal, at + FORMAT_AT_NEXT, FORMAT_POS_LEN, WAL_READER);
}

/* A ring of that length is in the chain that begins at head: its distinct
 * blocks, and the pointer that leads back. */
static uint64_t unroll(const struct wal *wal, uint64_t head, uint64_t length,
		       uint64_t *ret_closes)
{
	uint64_t hare = head, tortoise = head, from = 0, n = length;

	for (uint64_t i = 0; i < length; i++) {
		from = hare + FORMAT_AT_NEXT;
		hare = follow(wal, hare);
	}
	for (; hare != tortoise; n++) {
		from = hare + FORMAT_AT_NEXT;
		hare = follow(wal, hare);
		tortoise = follow(wal, tortoise);
	}
	*ret_closes = from;
	return n;
}

/* Blocks of a chain, up to the first that cannot be one. */
static uint64_t measure(const struct wal *wal, uint64_t head,
			uint64_t *ret_closes)
{
	uint64_t n = 0, power = 1, at = head, landmark = 0, since = 0;
	struct block b;

	*ret_closes = 0;
	while (at > FORMAT_LAST && block_at(wal, at, WAL_READER, &b) == 0 &&
	       b.head.next != FORMAT_DEAD) {
		if (at == landmark)
			return unroll(wal, head, since, ret_closes);
		if (++n == power) {
			landmark = at;
			power *= 2;
			since = 0;
		}
		since++;
		at = b.head.next;
	}
	return n;
}

static void open_chain(struct walk *w, const struct wal *wal)
{
	struct blt_check_result *r = &w->verify->result;

	w->slot = w->offset + format_index_len(w->bucket);
	w->from = w->slot;
	w->at = wal_field(wal, w->slot, FORMAT_POS_LEN, WAL_READER);
	w->inside = w->at > FORMAT_LAST;
	if (!w->inside)
		return;
	w->left = measure(wal, w->at, &w->closes);
	r->longest_chain = max_u64(r->longest_chain, w->left);
}

static void found(struct walk *w, enum finding what)
{
	w->finding = what;
	w->found_from = w->from;
	w->found_at = w->at;
}

/* The chain's next block, or what stands in its place. */
static void judge_link(struct walk *w, const struct wal *wal)
{
	struct block b;
	uint64_t slot;

	if (w->left == 0) {
		w->inside = false;
		if (w->closes)
			found(w, RING);
		else if (w->at > FORMAT_LAST)
			found(w, block_at(wal, w->at, WAL_READER, &b) < 0 ?
					 NOWHERE :
					 DEAD);
		return;
	}
	w->left--;
	/* measure() has seen it, and if a writer has freed it since, the
	 * rest of the chain is his. */
	if (block_at(wal, w->at, WAL_READER, &b) < 0 ||
	    b.head.next == FORMAT_DEAD) {
		w->inside = false;
		return;
	}
	slot = index_bucket(wal, &b.head.hash);
	if (slot != w->slot) {
		found(w, OTHER_BUCKET);
		w->found_bucket = slot > w->offset ?
					  (slot - w->offset) / FORMAT_POS_LEN :
					  0;
	} else if (!w->noted) {
		w->verify->reached++;
	} else {
		w->noted[w->n_noted++] = (struct link){ w->at, w->from };
	}
	w->from = w->at + FORMAT_AT_NEXT;
	w->at = b.head.next;
}

/* 1: there is more; 0: the end. */
static int walk_stride(void *arg)
{
	struct walk *w = arg;
	const struct wal *wal = &w->verify->engine->wal;

	w->finding = NOTHING;
	for (unsigned n = 0; n < STRIDE && w->finding == NOTHING; n++) {
		if (w->n_noted == ROOM)
			return 1;
		if (w->inside) {
			judge_link(w, wal);
		} else if (w->bucket < w->n_buckets) {
			open_chain(w, wal);
			w->bucket++;
		} else {
			return 0;
		}
	}
	return 1;
}

static int report(struct walk *w)
{
	struct verify *c = w->verify;
	uint64_t bucket = (w->slot - w->offset) / FORMAT_POS_LEN;

	switch (w->finding) {
	case NOWHERE:
		return verify_fault(c, BLT_FAULT_CHAIN, w->found_from,
				    "bucket %" PRIu64 " leads to %" PRIu64
				    ": no block can stand there",
				    bucket, w->found_at);
	case DEAD:
		return verify_fault(c, BLT_FAULT_CHAIN, w->found_from,
				    "bucket %" PRIu64 " leads to %" PRIu64
				    ": a dead block",
				    bucket, w->found_at);
	case RING:
		return verify_fault(c, BLT_FAULT_CHAIN, w->closes,
				    "bucket %" PRIu64 " leads back to %" PRIu64
				    ": its chain is a ring",
				    bucket, w->found_at);
	case OTHER_BUCKET:
		return verify_fault(c, BLT_FAULT_BUCKET, w->found_at,
				    "reached from bucket %" PRIu64
				    " (should be bucket %" PRIu64 ")",
				    bucket, w->found_bucket);
	case NOTHING:
		break;
	}
	return 0;
}

static int stride(struct walk *w)
{
	struct wal *wal = &w->verify->engine->wal;
	int rc;

	pthread_rwlock_rdlock(&wal->lock);
	rc = file_try(walk_stride, w);
	pthread_rwlock_unlock(&wal->lock);
	return rc;
}

static int walk_index(struct walk *w)
{
	int more, rc = 0;

	do {
		uint32_t before = w->bucket;

		more = stride(w);
		if (more > 0)
			rc = report(w);
		if (rc == 0)
			rc = verify_progress(
				w->verify,
				format_index_len(w->bucket - before));
	} while (more > 0 && rc == 0);
	return more < 0 ? more : rc;
}

/* The indexes there are: of one that is being left, what has not been moved. */
static size_t walks_of(struct verify *c, struct walk walks[2])
{
	struct wal *wal = &c->engine->wal;

	pthread_rwlock_rdlock(&wal->lock);
	walks[0] = (struct walk){ .verify = c,
				  .offset = wal->fmt.index_offset,
				  .n_buckets = wal->fmt.n_buckets,
				  .bucket = wal->next.offset ? wal->next.moved :
							       0 };
	walks[1] = (struct walk){ .verify = c,
				  .offset = wal->next.offset,
				  .n_buckets = wal->next.n_buckets };
	pthread_rwlock_unlock(&wal->lock);
	return walks[1].offset ? 2 : 1;
}

int verify_chains(struct verify *c)
{
	struct walk walks[2];
	size_t n = walks_of(c, walks);
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = walk_index(&walks[i]);
	return rc;
}

/* ---- what no block begins at ---- */

static int by_place(const void *a, const void *b)
{
	const struct link *x = a, *y = b;

	return (x->at > y->at) - (x->at < y->at);
}

static int report_stray(struct verify *c, const struct link *l)
{
	if (verify_in_gap(c, l->at))
		return 0;
	return verify_fault(c, BLT_FAULT_CHAIN, l->from,
			    "leads to %" PRIu64 ": no block begins there",
			    l->at);
}

/* Holds sorted links against a walk over the data. */
static int match(struct verify *c, const struct link *link, size_t n)
{
	struct block b;
	struct snapshot s;
	size_t i = 0;
	int rc;

	snapshot_start(&s, c->engine, true);
	for (;;) {
		rc = snapshot_next(&s, &b);
		if (rc == -EUCLEAN) /* a gap: verify_blocks has said so */
			rc = snapshot_skip_region(&s);
		else if (rc == 0)
			break;
		else if (rc > 0)
			for (rc = 0; rc == 0 && i < n && link[i].at <= b.pos;
			     i++)
				if (link[i].at < b.pos)
					rc = report_stray(c, &link[i]);
		if (rc < 0)
			break;
	}
	snapshot_end(&s);
	for (; rc == 0 && i < n; i++)
		rc = report_stray(c, &link[i]);
	return rc;
}

static int strays_of(struct walk *w)
{
	int more, rc;

	do {
		w->n_noted = 0;
		do
			more = stride(w);
		while (more > 0 && w->n_noted < ROOM);
		if (more < 0)
			return more;
		qsort(w->noted, w->n_noted, sizeof(*w->noted), by_place);
		rc = match(w->verify, w->noted, w->n_noted);
	} while (more > 0 && rc == 0);
	return rc;
}

int verify_strays(struct verify *c)
{
	struct walk walks[2];
	size_t n = walks_of(c, walks);
	struct link *noted = malloc(ROOM * sizeof(*noted));
	int rc = noted ? 0 : -ENOMEM;

	for (size_t i = 0; rc == 0 && i < n; i++) {
		walks[i].noted = noted;
		rc = strays_of(&walks[i]);
	}
	free(noted);
	return rc;
}
