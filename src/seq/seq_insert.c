/* seq_insert.c - names for new items, and items that come to be.
 *
 * Where no name of SEQ_NAME_LONG bytes is left in a gap, the items around it
 * are named anew: as few of them, in powers of two, as have names of
 * SEQ_NAME_SHORT bytes then between the two that stand outside.  So a gap into
 * which all items go has to be widened the less often the wider it has become,
 * and an insert costs the logarithm of their number on the average.
 *
 * Renaming keeps the order at each moment: of the items whose new name is below
 * their old one, the first goes first; of the others, the last.  What an item
 * passes over is then always its own gap, and a batch may end anywhere.
 */
#include "seq/seq.h"

#include "base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SEQ_NAME_SHORT 16
#define AROUND 16 /* items on each side that are renamed at least */

static struct seqname neighbour(const struct seq_name *name)
{
	static const uint8_t empty[1];

	return (struct seqname){ name->len > 0 ? name->bytes : empty,
				 name->len };
}

/* ---- renaming a run ---- */

/* Items [from, to) of names, which may have a neighbour on each side. */
struct respread {
	struct blt_seq *seq;
	struct seq_names *old;
	size_t from, to;
	char (*fresh)[SEQNAME_BUF]; /* for each from from on */
};

static int rename_one(const struct respread *r, struct seq_batch *b, size_t i)
{
	const char *fresh = r->fresh[i - r->from];
	int rc = seq_batch_rename(b, &r->old->name[i], fresh, strlen(fresh));

	return rc == 0 && seq_batch_full(b) ? seq_batch_end(b, 0) : rc;
}

/* Below 0 where an item's new name is below its old one, 0 where it is that. */
static int direction(const struct respread *r, size_t i)
{
	const struct seq_name *old = &r->old->name[i];
	const char *fresh = r->fresh[i - r->from];

	return compare_bytes(fresh, strlen(fresh), old->bytes, old->len);
}

static int rename_run(const struct respread *r)
{
	struct seq_batch b = { .seq = r->seq };
	int rc = 0;

	for (size_t i = r->from; i < r->to && rc == 0; i++)
		if (direction(r, i) < 0)
			rc = rename_one(r, &b, i);
	for (size_t i = r->to; i-- > r->from && rc == 0;)
		if (direction(r, i) > 0)
			rc = rename_one(r, &b, i);
	return seq_batch_end(&b, rc);
}

static int respread(struct blt_seq *seq, struct seq_names *names, size_t from,
		    size_t to, struct seqname_run *run)
{
	struct respread r = { seq, names, from, to, NULL };
	int rc;

	r.fresh = malloc((to - from) * sizeof(*r.fresh));
	if (!r.fresh)
		return -ENOMEM;
	for (size_t i = 0; i < to - from; i++)
		seqname_next(run, r.fresh[i]);
	rc = rename_run(&r);
	free(r.fresh);
	return rc;
}

/* Makes room in front of position at. */
static int make_room(struct blt_seq *seq, uint64_t at, uint64_t len)
{
	static const struct seqname none;
	struct seq_names names = { 0 };
	int rc = -ERANGE;

	for (uint64_t around = AROUND; rc == -ERANGE; around *= 2) {
		uint64_t low = at > around ? at - around : 0;
		uint64_t high = len - at > around ? at + around : len;
		size_t from = low > 0, to = (size_t)(high - low) + from;
		struct seqname before, after;
		struct seqname_run run;

		rc = seq_names_read(seq, low - from,
				    high - low + from + (high < len), &names);
		if (rc == 0 && names.n != to + (high < len))
			rc = -EAGAIN; /* somebody changes it otherwise */
		if (rc < 0)
			break;
		before = from ? neighbour(&names.name[0]) : none;
		after = high < len ? neighbour(&names.name[to]) : none;
		rc = seqname_begin(&run, &before, &after, to - from);
		if (rc == 0 && (seqname_longest(&run) <= SEQ_NAME_SHORT ||
				(!from && high == len)))
			rc = respread(seq, &names, from, to, &run);
		else if (from || high < len)
			rc = -ERANGE;
		else
			rc = -EOVERFLOW;
	}
	seq_names_free(&names);
	return rc;
}

/* ---- names ---- */

static int try_names(struct blt_seq *seq, uint64_t at, uint64_t len, uint64_t n,
		     struct seq_names *names, struct seqname *around,
		     struct seqname_run *ret)
{
	size_t from = at > 0, after = at < len;
	int rc = seq_names_read(seq, at - from, from + after, names);

	if (rc < 0)
		return rc;
	if (names->n != from + after)
		return -EAGAIN;
	around[0] = around[1] = (struct seqname){ 0 };
	if (from)
		around[0] = neighbour(&names->name[0]);
	if (after)
		around[1] = neighbour(&names->name[from]);
	rc = seqname_begin(ret, &around[0], &around[1], n);
	if (rc == 0 && seqname_longest(ret) > SEQ_NAME_LONG)
		rc = -ERANGE;
	return rc == -EINVAL ? -ERANGE : rc;
}

int seq_make_names(struct blt_seq *seq, uint64_t at, uint64_t len, uint64_t n,
		   struct seq_names *names, struct seqname around[2],
		   struct seqname_run *ret)
{
	int rc = try_names(seq, at, len, n, names, around, ret);

	if (rc != -ERANGE)
		return rc;
	rc = make_room(seq, at, len);
	if (rc == 0)
		rc = try_names(seq, at, len, n, names, around, ret);
	return rc == -ERANGE ? -EOVERFLOW : rc;
}

/* ---- inserting ---- */

/* *ret_done: how many of them a batch has put, also where another failed. */
static int put_items(struct blt_seq *seq, const struct blt_seq_item *items,
		     size_t n, struct seqname_run *run, size_t *ret_done)
{
	struct seq_batch b = { .seq = seq };
	int rc = 0;

	for (size_t i = 0; i < n && rc == 0; i++) {
		char name[SEQNAME_BUF];
		size_t len = seqname_next(run, name);

		rc = seq_batch_put(&b, name, len, &items[i], true);
		if (rc == 0 && (seq_batch_full(&b) || i + 1 == n)) {
			rc = seq_batch_end(&b, 0);
			if (rc == 0)
				*ret_done = i + 1;
		}
	}
	return seq_batch_end(&b, rc);
}

/* In front of position at, or of the end where that is nearer. */
static int insert_some(struct blt_seq *seq, uint64_t at,
		       const struct blt_seq_item *items, size_t n,
		       size_t *ret_done)
{
	struct seq_names names = { 0 };
	struct seqname around[2];
	struct seqname_run run;
	uint64_t len = 0;
	int rc = seq_len(seq, &len);

	if (rc == 0)
		rc = seq_make_names(seq, at < len ? at : len, len, n, &names,
				    around, &run);
	if (rc == 0)
		rc = put_items(seq, items, n, &run, ret_done);
	seq_names_free(&names);
	return rc;
}

static int insert(struct blt_seq *seq, int64_t at, bool append,
		  const struct blt_seq_item *items, size_t n)
{
	uint64_t len = 0, position = UINT64_MAX;
	unsigned tries = 0;
	int rc = 0;

	for (size_t i = 0; i < n && rc == 0; i++)
		rc = seq_item_check(&items[i]);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&seq->ns->seq_write);
	rc = seq_len(seq, &len);
	if (rc == 0 && !append)
		rc = seq_position(at, len, true, &position);
	for (size_t i = 0; i < n && rc == 0;) {
		size_t done = 0;

		rc = insert_some(seq, position, items + i, n - i, &done);
		i += done;
		position += append ? 0 : done;
		if (seq_again(rc, &tries))
			rc = 0;
	}
	pthread_mutex_unlock(&seq->ns->seq_write);
	return rc;
}

int blt_seq_insert(struct blt_seq *seq, int64_t at,
		   const struct blt_seq_item *items, size_t n)
{
	return insert(seq, at, false, items, n);
}

int blt_seq_append(struct blt_seq *seq, const struct blt_seq_item *items,
		   size_t n)
{
	return insert(seq, 0, true, items, n);
}
