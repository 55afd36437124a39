/* The statements of a commit. */
#include "postgres/pg_commit.h"

#include "base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PUT_BYTES ((size_t)8 << 20) /* of one statement */
#define PUT_ROWS 1000u
#define TURN_MOST 32u /* statements of a turn, besides the frame's */

/* ---- long values ---- */

int pg_write_long(struct pg_commit *c)
{
	struct blt_source source;
	int64_t blob;
	int rc = 0;

	for (struct backend_op *op = c->first; op && rc == 0; op = op->next) {
		if (op->kind != BACKEND_PUT || op->staged_at ||
		    op->value_len <= PG_INLINE)
			continue;
		source = op->source;
		if (!source.read)
			source = backend_bytes_source(op->value, op->value_len);
		rc = pg_blob_put(c->store, &source, &blob);
		if (rc == 0)
			op->staged_at = (uint64_t)blob;
	}
	return rc;
}

/* ---- the frame ---- */

static struct pg_args *args_of(struct pg_commit *c, struct pg_turn *t)
{
	struct pg_args *args = pg_turn_args(t);

	pg_args_int8(args, c->store->id);
	return args;
}

void pg_write_frame(struct pg_commit *c, struct pg_turn *t,
		    enum pg_statement begin)
{
	struct pg_args *args;

	pg_turn_args(t);
	pg_turn_add(t, begin);
	args = args_of(c, t);
	pg_args_int8(args, c->id);
	pg_turn_add(t, PG_DONE);
}

static void add_ids(struct pg_commit *c, struct pg_turn *t, enum pg_statement s,
		    const int64_t *id, size_t n)
{
	struct pg_array ids;

	if (!n)
		return;
	pg_array_begin(&ids, PG_INT8);
	for (size_t i = 0; i < n; i++)
		pg_array_int8(&ids, id[i]);
	pg_args_array(args_of(c, t), &ids);
	pg_turn_add(t, s);
	pg_array_free(&ids);
}

void pg_write_drop_done(struct pg_commit *c, struct pg_turn *t)
{
	add_ids(c, t, PG_DONE_DROP, c->drop_done, c->n_drop_done);
}

void pg_write_fence(struct pg_commit *c, struct pg_turn *t)
{
	add_ids(c, t, PG_DONE_FENCE, c->fence, c->n_fence);
}

/* ---- puts ---- */

struct puts {
	struct pg_array keys, lens, times, vers, blobs, values;
	uint8_t *buf; /* for one value of a source */
};

static void puts_begin(struct puts *p)
{
	pg_array_begin(&p->keys, PG_BYTES);
	pg_array_begin(&p->lens, PG_INT8);
	pg_array_begin(&p->times, PG_INT8);
	pg_array_begin(&p->vers, PG_INT8);
	pg_array_begin(&p->blobs, PG_INT8);
	pg_array_begin(&p->values, PG_BYTES);
	p->buf = NULL;
}

static int add_value(struct pg_commit *c, struct puts *p,
		     const struct backend_op *op)
{
	const struct blt_source *source = &op->source;
	size_t n = op->value_len;
	int rc = 0;

	if (!source->read || c->bytes) {
		pg_array_bytes(&p->values, source->read ? c->bytes : op->value,
			       n);
		return 0;
	}
	if (!p->buf)
		p->buf = malloc(PG_INLINE);
	if (!p->buf)
		return -ENOMEM;
	if (n)
		rc = source->read(source->arg, p->buf, n, 0);
	if (rc == 0)
		pg_array_bytes(&p->values, p->buf, n);
	return rc;
}

static int puts_add(struct pg_commit *c, struct puts *p,
		    const struct pg_value *v)
{
	const struct backend_op *op = v->op;

	pg_array_bytes(&p->keys, v->key, v->key_len);
	pg_array_int8(&p->lens, (int64_t)op->value_len);
	pg_array_int8(&p->times, v->mtime);
	pg_array_int8(&p->vers, v->ver);
	if (!op->staged_at) {
		pg_array_null(&p->blobs);
		return add_value(c, p, op);
	}
	pg_array_int8(&p->blobs, (int64_t)op->staged_at);
	pg_array_null(&p->values);
	return 0;
}

static void puts_end(struct pg_commit *c, struct puts *p, struct pg_turn *t,
		     enum pg_statement s)
{
	struct pg_array *const all[] = { &p->keys, &p->lens,  &p->times,
					 &p->vers, &p->blobs, &p->values };
	struct pg_args *args = args_of(c, t);

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		pg_args_array(args, all[i]);
	pg_turn_add(t, s);
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		pg_array_free(all[i]);
	free(p->buf);
}

/* Values from i on that go with one statement; how many. */
static size_t add_puts(struct pg_commit *c, struct pg_turn *t, size_t i,
		       enum pg_statement s)
{
	size_t n = 0, bytes = 0;
	struct puts p;
	int rc = 0;

	puts_begin(&p);
	while (i + n < c->n_values && n < PUT_ROWS && bytes < PUT_BYTES &&
	       rc == 0) {
		const struct pg_value *v = &c->value[i + n++];

		rc = puts_add(c, &p, v);
		bytes += v->key_len + 64 +
			 (v->op->staged_at ? 0 : v->op->value_len);
	}
	if (rc < 0 && t->rc == 0)
		t->rc = rc;
	puts_end(c, &p, t, s);
	return n;
}

/* What was sent so far is answered. */
static void turn_over(struct pg_turn *t)
{
	struct pg_conn *conn = t->c;
	int64_t until = t->until;

	pg_turn_send(t);
	while (t->rc == 0 && t->got < t->sent)
		(void)pg_turn_done(t, NULL);
	if (pg_turn_end(t) == 0)
		pg_turn_begin(t, conn, until);
}

void pg_write_puts(struct pg_commit *c, struct pg_turn *t, enum pg_statement s)
{
	size_t i = 0;

	while (i < c->n_values && t->rc == 0) {
		if (t->sent >= TURN_MOST)
			turn_over(t);
		if (t->rc == 0)
			i += add_puts(c, t, i, s);
	}
}

/* ---- the rest ---- */

void pg_write_lock(struct pg_commit *c, struct pg_turn *t)
{
	struct pg_array keys;

	pg_array_begin(&keys, PG_BYTES);
	for (size_t i = 0; i < c->changes.n; i++)
		pg_array_bytes(&keys, c->changes.at[i].key,
			       c->changes.at[i].len);
	pg_args_array(args_of(c, t), &keys);
	pg_turn_add(t, PG_LOCK);
	pg_array_free(&keys);
}

void pg_write_drops(struct pg_commit *c, struct pg_turn *t)
{
	struct pg_array keys;
	bool any = false;

	pg_array_begin(&keys, PG_BYTES);
	for (size_t i = 0; i < c->changes.n; i++) {
		const struct pg_change *at = &c->changes.at[i];

		if (!c->simple && (!at->was || at->is))
			continue;
		pg_array_bytes(&keys, at->key, at->len);
		any = true;
	}
	if (any) {
		pg_args_array(args_of(c, t), &keys);
		pg_turn_add(t, PG_DROP);
	}
	pg_array_free(&keys);
}

static void add_time(struct pg_array *times, const struct pg_change *at)
{
	if (at->touched)
		pg_array_int8(times, at->mtime);
	else
		pg_array_null(times);
}

/* Rows that another key has now; with the time that it was given. */
void pg_write_moves(struct pg_commit *c, struct pg_turn *t)
{
	const struct pg_changes *all = &c->changes;
	struct pg_array from, to, times;
	struct pg_args *args;
	bool any = false;

	pg_array_begin(&from, PG_BYTES);
	pg_array_begin(&to, PG_BYTES);
	pg_array_begin(&times, PG_INT8);
	for (size_t i = 0; i < all->n; i++) {
		const struct pg_change *at = &all->at[i];
		const struct pg_change *was = &all->at[at->from];

		if (!at->is || at->put || was == at)
			continue;
		any = true;
		pg_array_bytes(&from, was->key, was->len);
		pg_array_bytes(&to, at->key, at->len);
		add_time(&times, at);
	}
	if (any) {
		args = args_of(c, t);
		pg_args_array(args, &from);
		pg_args_array(args, &to);
		pg_args_array(args, &times);
		pg_turn_add(t, PG_MOVE);
	}
	pg_array_free(&from);
	pg_array_free(&to);
	pg_array_free(&times);
}

void pg_write_touches(struct pg_commit *c, struct pg_turn *t)
{
	const struct pg_changes *all = &c->changes;
	struct pg_array keys, times;
	struct pg_args *args;
	bool any = false;

	pg_array_begin(&keys, PG_BYTES);
	pg_array_begin(&times, PG_INT8);
	for (size_t i = 0; i < all->n; i++) {
		const struct pg_change *at = &all->at[i];

		if (!at->is || at->put || at->from != i || !at->touched)
			continue;
		any = true;
		pg_array_bytes(&keys, at->key, at->len);
		add_time(&times, at);
	}
	if (any) {
		args = args_of(c, t);
		pg_args_array(args, &keys);
		pg_args_array(args, &times);
		pg_turn_add(t, PG_TOUCH);
	}
	pg_array_free(&keys);
	pg_array_free(&times);
}
