#include "postgres/pg_change.h"

#include "base/util.h"
#include "postgres/pg_store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- the keys ---- */

static bool has_key(const struct backend_op *op)
{
	switch (op->kind) {
	case BACKEND_CHECK:
	case BACKEND_NOTE:
		return false;
	case BACKEND_ONLY_IF:
		return !op->always;
	case BACKEND_UNCHANGED:
		return !op->always; /* names stand in no row */
	default:
		return true;
	}
}

static bool has_to(const struct backend_op *op)
{
	return op->kind == BACKEND_RENAME || op->kind == BACKEND_EXCHANGE;
}

static int compare(const void *a, const void *b)
{
	const struct pg_change *x = a, *y = b;

	return compare_bytes(x->key, x->len, y->key, y->len);
}

static struct pg_change *find(struct pg_changes *c, const void *key, size_t len)
{
	const struct pg_change want = { .key = key, .len = len };

	return bsearch(&want, c->at, c->n, sizeof(*c->at), compare);
}

static void drop_doubles(struct pg_changes *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n; i++)
		if (n == 0 || compare(&c->at[n - 1], &c->at[i]) != 0)
			c->at[n++] = c->at[i];
	c->n = n;
}

int pg_changes_new(struct pg_changes *c, struct backend_op *first)
{
	size_t room = 0;

	*c = (struct pg_changes){ .n = 0 };
	for (const struct backend_op *op = first; op; op = op->next) {
		room += 2;
		c->serial = c->serial || op->kind == BACKEND_ABSENT ||
			    op->kind == BACKEND_UNCHANGED;
	}
	c->at = calloc(room + 1, sizeof(*c->at));
	if (!c->at)
		return -ENOMEM;
	for (const struct backend_op *op = first; op; op = op->next) {
		if (has_key(op))
			c->at[c->n++] =
				(struct pg_change){ .key = op->key.bytes,
						    .len = op->key.len };
		if (has_to(op))
			c->at[c->n++] = (struct pg_change){ .key = op->to.bytes,
							    .len = op->to.len };
	}
	qsort(c->at, c->n, sizeof(*c->at), compare);
	drop_doubles(c);
	pg_changes_reset(c);
	return 0;
}

void pg_changes_free(struct pg_changes *c)
{
	free(c->at);
	*c = (struct pg_changes){ .n = 0 };
}

void pg_changes_reset(struct pg_changes *c)
{
	for (size_t i = 0; i < c->n; i++)
		c->at[i] = (struct pg_change){ .key = c->at[i].key,
					       .len = c->at[i].len,
					       .from = i };
}

void pg_changes_found(struct pg_changes *c, const void *key, size_t len,
		      int64_t mtime, uint64_t ver)
{
	struct pg_change *is = find(c, key, len);

	if (!is)
		return;
	is->was = is->is = true;
	is->mtime = is->old_mtime = mtime;
	is->ver = is->old_ver = ver;
}

bool pg_changes_was(struct pg_changes *c, const struct backend_op *op)
{
	const struct pg_change *is = find(c, op->key.bytes, op->key.len);

	return is && is->was;
}

/* ---- the operations ---- */

static void put(struct pg_change *at, const struct backend_op *op)
{
	at->is = true;
	at->put = op;
	at->mtime = op->timestamp;
	at->touched = false;
	at->ver = 0; /* one that nobody knows yet */
}

static void drop(struct pg_change *at)
{
	at->is = false;
	at->put = NULL;
	at->ver = 0;
}

/* What is there now, without what the key had before. */
static void take(struct pg_change *to, const struct pg_change *from)
{
	to->is = from->is;
	to->put = from->put;
	to->from = from->from;
	to->mtime = from->mtime;
	to->touched = from->touched;
	to->ver = from->ver;
}

static int rename_key(struct pg_change *one, struct pg_change *two)
{
	if (!one->is)
		return -ENOENT;
	if (one == two)
		return 0;
	take(two, one);
	drop(one);
	return 0;
}

static int exchange(struct pg_change *one, struct pg_change *two)
{
	struct pg_change kept = *one;

	if (!one->is || !two->is)
		return -ENOENT;
	take(one, two);
	take(two, &kept);
	return 0;
}

static int run(struct pg_changes *c, const struct backend_op *op)
{
	struct pg_change *at, *to = NULL;

	if (op->kind == BACKEND_CHECK)
		return op->check(op->check_arg);
	if (op->kind == BACKEND_NOTE ||
	    (op->kind == BACKEND_UNCHANGED && op->always))
		return 0; /* pg_commit.c */
	at = find(c, op->key.bytes, op->key.len);
	if (has_to(op))
		to = find(c, op->to.bytes, op->to.len);
	switch (op->kind) {
	case BACKEND_PUT:
		put(at, op);
		return 0;
	case BACKEND_DELETE:
		if (!at->is)
			return -ENOENT;
		drop(at);
		return 0;
	case BACKEND_DROP:
		drop(at);
		return 0;
	case BACKEND_TOUCH:
		if (!at->is)
			return -ENOENT;
		at->touched = true;
		at->mtime = op->timestamp;
		return 0;
	case BACKEND_RENAME:
		return rename_key(at, to);
	case BACKEND_EXCHANGE:
		return exchange(at, to);
	case BACKEND_ABSENT:
		return at->is ? -EEXIST : 0;
	case BACKEND_UNCHANGED:
		/* what is not there pg_commit.c has compared */
		return !at->was || pg_token_of(at->old_ver, at->old_mtime) ==
					       op->value_offset ?
			       0 :
			       -EAGAIN;
	default:
		return -EINVAL;
	}
}

int pg_changes_run(struct pg_changes *c, struct backend_op *first)
{
	bool held = true;
	int rc = 0;

	for (struct backend_op *op = first; op && rc == 0; op = op->next) {
		if (op->kind == BACKEND_ONLY_IF) {
			const struct pg_change *at =
				op->always ?
					NULL :
					find(c, op->key.bytes, op->key.len);

			held = !at || (at->is && at->ver &&
				       at->ver == op->value_offset);
			op->held = held;
		} else if (held) {
			rc = run(c, op);
		}
	}
	return rc;
}
