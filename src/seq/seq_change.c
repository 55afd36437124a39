/* seq_change.c - items that go, move or change. */
#include "seq/seq.h"

#include <errno.h>
#include <string.h>

/* ---- deleting ---- */

#define SLICE 1024

/* As many whole items as one batch takes, from a position on. */
static int delete_some(struct blt_seq *seq, uint64_t at, uint64_t n,
		       struct seq_names *names, uint64_t *ret_done)
{
	struct seq_batch b = { .seq = seq };
	size_t i = 0;
	int rc = seq_names_read(seq, at, n < SLICE ? n : SLICE, names);

	while (rc == 0 && i < names->n && !seq_batch_full(&b))
		rc = seq_batch_delete(&b, &names->name[i++]);
	rc = seq_batch_end(&b, rc);
	if (rc == 0)
		*ret_done = i;
	return rc;
}

int blt_seq_delete(struct blt_seq *seq, int64_t from, int64_t to)
{
	struct seq_names names = { 0 };
	uint64_t len = 0, at = 0, end = 0, done = 0;
	unsigned tries = 0;
	int rc;

	pthread_mutex_lock(&seq->ns->seq_write);
	rc = seq_len(seq, &len);
	if (rc == 0)
		rc = seq_position(from, len, true, &at);
	if (rc == 0)
		rc = seq_position(to, len, true, &end);
	if (rc == 0 && end < at)
		rc = -ERANGE;
	for (uint64_t left = rc == 0 ? end - at : 0; left > 0 && rc == 0;
	     left -= done) {
		done = 0;
		rc = delete_some(seq, at, left, &names, &done);
		if (rc == 0 && done == 0)
			break; /* others have */
		if (seq_again(rc, &tries))
			rc = 0;
	}
	pthread_mutex_unlock(&seq->ns->seq_write);
	seq_names_free(&names);
	return rc;
}

/* ---- one item ---- */

/* A position and the item there, for a change. */
static int find_item(struct blt_seq *seq, int64_t at, uint64_t *ret_len,
		     uint64_t *ret_at, struct seq_names *names)
{
	int rc = seq_len(seq, ret_len);

	if (rc == 0)
		rc = seq_position(at, *ret_len, false, ret_at);
	if (rc == 0)
		rc = seq_names_read(seq, *ret_at, 1, names);
	return rc == 0 && names->n == 0 ? -EAGAIN : rc;
}

static int move(struct blt_seq *seq, uint64_t from, uint64_t to, uint64_t len,
		struct seq_names *item)
{
	struct seq_batch b = { .seq = seq };
	struct seq_names names = { 0 };
	struct seqname around[2];
	struct seqname_run run;
	char name[SEQNAME_BUF];
	int rc;

	/* the gap in front of what stands at to, or behind it */
	rc = seq_make_names(seq, to + (to > from), len, 1, &names, around,
			    &run);
	if (rc == 0)
		/* the item itself may have been renamed */
		rc = seq_names_read(seq, from, 1, item);
	if (rc == 0 && item->n == 0)
		rc = -EAGAIN;
	if (rc == 0)
		rc = seq_batch_rename(&b, item->name, name,
				      seqname_next(&run, name));
	seq_names_free(&names);
	return seq_batch_end(&b, rc);
}

static int try_move(struct blt_seq *seq, int64_t from, int64_t to)
{
	struct seq_names item = { 0 };
	uint64_t len = 0, at = 0, target = 0;
	int rc = find_item(seq, from, &len, &at, &item);

	if (rc == 0)
		rc = seq_position(to, len, false, &target);
	if (rc == 0 && at != target)
		rc = move(seq, at, target, len, &item);
	seq_names_free(&item);
	return rc;
}

int blt_seq_move(struct blt_seq *seq, int64_t from, int64_t to)
{
	unsigned tries = 0;
	int rc;

	pthread_mutex_lock(&seq->ns->seq_write);
	do
		rc = try_move(seq, from, to);
	while (seq_again(rc, &tries));
	pthread_mutex_unlock(&seq->ns->seq_write);
	return rc;
}

/* Whether what the item would become is there already, beside it. */
static int check_twin(struct blt_seq *seq, const struct seq_name *name,
		      bool record)
{
	struct seq_names next = { 0 };
	uint64_t at;
	int rc;

	if (name->record == record)
		return 0;
	rc = seq_find(seq, name->bytes, name->len, &at);
	if (rc > 0)
		rc = seq_names_read(seq, at, 2, &next);
	for (size_t i = 0; i < next.n && rc == 0; i++) {
		const struct seq_name *n = &next.name[i];

		if (n->record == record && n->len == name->len &&
		    memcmp(n->bytes, name->bytes, n->len) == 0)
			rc = -EEXIST;
	}
	seq_names_free(&next);
	return rc;
}

static int set(struct blt_seq *seq, const struct seq_name *name,
	       const struct blt_seq_item *item)
{
	struct seq_batch b = { .seq = seq };
	int rc = check_twin(seq, name, seq_item_is_record(item));

	if (rc == 0)
		rc = seq_batch_put(&b, name->bytes, name->len, item, false);
	if (rc == 0)
		rc = seq_batch_stale(&b, name, item);
	return seq_batch_end(&b, rc);
}

static int update(struct blt_seq *seq, const struct seq_name *name,
		  const struct blt_seq_item *item)
{
	struct seq_batch b = { .seq = seq };
	int rc = 0;

	if (name->record != seq_item_is_record(item))
		return -ENOTDIR;
	if (item->n > 0)
		rc = seq_batch_put(&b, name->bytes, name->len, item, false);
	return seq_batch_end(&b, rc);
}

typedef int put_fn(struct blt_seq *seq, const struct seq_name *name,
		   const struct blt_seq_item *item);

/* Finds the item at a position and changes it. */
static int put_at(struct blt_seq *seq, int64_t at,
		  const struct blt_seq_item *item, put_fn *put)
{
	struct seq_names names = { 0 };
	uint64_t len = 0, position = 0;
	unsigned tries = 0;
	int rc = seq_item_check(item);

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&seq->ns->seq_write);
	do {
		rc = find_item(seq, at, &len, &position, &names);
		if (rc == 0)
			rc = put(seq, names.name, item);
	} while (seq_again(rc, &tries));
	pthread_mutex_unlock(&seq->ns->seq_write);
	seq_names_free(&names);
	return rc;
}

int blt_seq_set(struct blt_seq *seq, int64_t at,
		const struct blt_seq_item *item)
{
	return put_at(seq, at, item, set);
}

int blt_seq_update(struct blt_seq *seq, int64_t at,
		   const struct blt_seq_field *fields, size_t n)
{
	struct blt_seq_item item = { fields, n };

	return put_at(seq, at, &item, update);
}
