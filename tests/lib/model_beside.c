/* What stays open while the store changes: an iterator, which shows what there
 * was when it began, and a batch. */
#include "lib/model_inner.h"
#include "lib/checked.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static void begin_walk(struct model *m)
{
	struct walk *w = &m->walk;
	const struct blt_iter_options o = { .no_values = model_below(m, 2) };

	w->no_values = o.no_values;
	w->live = w->met = 0;
	if (!w->seen)
		w->seen = malloc(m->o.n_keys * sizeof(*w->seen));
	for (unsigned i = 0; i < m->o.n_keys; i++) {
		const struct entry *e = &m->entry[i];

		w->seen[i] = (struct seen){ .live = e->value != NULL,
					    .hash = e->hash,
					    .len = e->len,
					    .time = e->time };
		w->live += e->value != NULL;
	}
	ck_assert_int_eq(blt_iter_open(m->store, &o, &w->it), 0);
}

static void meet(struct model *m, const struct blt_item *item)
{
	struct walk *w = &m->walk;
	struct seen *s = &w->seen[model_entry_of(m, item) - m->entry];

	ck_assert(s->live);
	ck_assert(!s->met);
	s->met = true;
	w->met++;
	ck_assert_uint_eq(item->value_len, s->len);
	if (m->timed && s->time)
		ck_assert_int_eq(item->timestamp, s->time);
	if (!w->no_values)
		ck_assert_uint_eq(XXH3_64bits(item->value, item->value_len),
				  s->hash);
}

/* Goes on for at most n items; 0: to the end. */
static void go_on(struct model *m, unsigned n)
{
	struct walk *w = &m->walk;
	struct blt_item item;
	int rc = 1;

	for (unsigned i = 0; (!n || i < n) && rc > 0; i++) {
		rc = blt_iter_next(w->it, &item);
		if (rc > 0)
			meet(m, &item);
	}
	ck_assert_int_ge(rc, 0);
	if (rc > 0)
		return;
	ck_assert_uint_eq(w->met, w->live);
	blt_iter_free(w->it);
	w->it = NULL;
}

void model_do_walk(struct model *m)
{
	if (m->walk.it)
		go_on(m, 1 + model_below(m, 1 + m->o.n_keys / 4));
	else if (model_below(m, 5 + m->o.n_keys / 500) == 0)
		begin_walk(m);
}

static void end_held(struct model *m, bool commits)
{
	struct held *h = &m->held;

	if (commits)
		ck_assert_int_eq(blt_batch_commit(h->batch), 0);
	else
		blt_batch_abort(h->batch);
	h->batch = NULL;
	for (unsigned i = 0; i < h->n; i++) {
		if (commits)
			model_set(h->put[i].entry, h->put[i].value,
				  h->put[i].len, h->put[i].time);
		else
			free(h->put[i].value);
	}
	h->n = 0;
}

void model_do_held(struct model *m)
{
	struct held *h = &m->held;
	struct entry *e = model_pick(m);
	int64_t time = model_time(m);
	size_t len;
	uint8_t *v;

	if (!h->batch) {
		ck_assert_int_eq(blt_batch_new(m->store, &h->batch), 0);
	} else if (h->n == BATCH_MOST || model_below(m, 5) == 0) {
		end_held(m, model_below(m, 4));
	} else {
		v = model_value(m, &len);
		ck_assert_int_eq(blt_batch_put(h->batch, e->key, e->key_len, v,
					       len, time),
				 0);
		h->put[h->n].entry = e;
		h->put[h->n].value = v;
		h->put[h->n].len = len;
		h->put[h->n++].time = time;
	}
}

void model_let_go(struct model *m)
{
	if (m->walk.it)
		go_on(m, 0);
	if (m->held.batch)
		end_held(m, true);
}
