/* The random operations, each on the store and on the model. */
#include "lib/model_inner.h"
#include "lib/checked.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void copy_entry(struct entry *to, const struct entry *from)
{
	uint8_t *v = malloc(from->len + 8);

	memcpy(v, from->value, from->len);
	model_set(to, v, from->len, from->time);
}

static void exchange(struct entry *one, struct entry *two)
{
	struct entry was = *one;

	one->value = two->value;
	one->len = two->len;
	one->time = two->time;
	one->hash = two->hash;
	two->value = was.value;
	two->len = was.len;
	two->time = was.time;
	two->hash = was.hash;
}

static int read_source(void *arg, void *buf, size_t n, uint64_t offset)
{
	memcpy(buf, (const uint8_t *)arg + offset, n);
	return 0;
}

static void do_put(struct model *m)
{
	struct entry *e = model_pick(m);
	int64_t time = model_time(m);
	size_t len;
	uint8_t *v = model_value(m, &len);
	int rc;

	if (model_below(m, 2)) {
		rc = blt_put(m->store, e->key, e->key_len, v, len, time);
	} else {
		struct blt_source s = { len, read_source, v };

		rc = blt_put_from(m->store, e->key, e->key_len, &s, time);
	}
	ck_assert_int_eq(rc, 0);
	model_set(e, v, len, time);
}

static void do_delete(struct model *m)
{
	struct entry *e = model_pick(m);
	int rc = blt_delete(m->store, e->key, e->key_len);

	ck_assert_int_eq(rc, e->value ? 0 : -ENOENT);
	model_set(e, NULL, 0, 0);
}

static void do_touch(struct model *m)
{
	struct entry *e = model_pick(m);
	int64_t time = model_time(m);
	int rc = blt_touch(m->store, e->key, e->key_len, time);

	ck_assert_int_eq(rc, e->value ? 0 : -ENOENT);
	e->time = time;
}

static int fail_source(void *arg, void *buf, size_t n, uint64_t offset)
{
	(void)arg;
	memset(buf, 'F', n);
	return offset > 100000 ? -EDOM : 0;
}

/* A value whose source breaks off leaves everything as it was. */
static void do_broken_put(struct model *m)
{
	struct entry *e = model_pick(m);
	struct blt_source s = { 3000000, fail_source, NULL };
	int rc;

	if (!m->fixed && m->values.form != FORM_ANY)
		return;
	rc = blt_put_from(m->store, e->key, e->key_len, &s, BLT_NOW);
	ck_assert_int_eq(rc, m->fixed ? -EINVAL : -EDOM);
}

/* A batch is tried out on the model first: its result is known before. */
static void do_batch(struct model *m)
{
	unsigned n = 1 + model_below(m, 12);
	bool keep = model_below(m, 4) != 0;
	struct blt_batch *b;

	ck_assert_int_eq(blt_batch_new(m->store, &b), 0);
	for (unsigned i = 0; i < n; i++) {
		struct entry *e = model_pick(m), *f = model_pick(m);
		unsigned what = model_below(m, 5);
		int64_t time = model_time(m);
		size_t len;
		uint8_t *v;
		int rc;

		if (what && (!e->value || (what == 4 && !f->value)))
			what = 0;
		switch (what) {
		case 0:
			v = model_value(m, &len);
			rc = blt_batch_put(b, e->key, e->key_len, v, len, time);
			if (keep)
				model_set(e, v, len, time);
			else
				free(v);
			break;
		case 1:
			rc = blt_batch_delete(b, e->key, e->key_len);
			if (keep)
				model_set(e, NULL, 0, 0);
			break;
		case 2:
			rc = blt_batch_touch(b, e->key, e->key_len, time);
			if (keep)
				e->time = time;
			break;
		case 3:
			rc = blt_batch_rename(b, e->key, e->key_len, f->key,
					      f->key_len);
			if (keep && e != f) {
				copy_entry(f, e);
				model_set(e, NULL, 0, 0);
			}
			break;
		default:
			rc = blt_batch_exchange(b, e->key, e->key_len, f->key,
						f->key_len);
			if (keep)
				exchange(e, f);
		}
		ck_assert_int_eq(rc, 0);
	}
	if (keep)
		ck_assert_int_eq(blt_batch_commit(b), 0);
	else
		blt_batch_abort(b);
}

static bool pick_absent(struct model *m, struct entry **ret)
{
	for (int i = 0; i < 50; i++) {
		*ret = model_pick(m);
		if (!(*ret)->value)
			return true;
	}
	return false;
}

/* A batch that fails in its last operation does nothing. */
static void do_failing_batch(struct model *m)
{
	struct entry *e = model_pick(m), *absent;
	struct blt_batch *b;

	ck_assert_int_eq(blt_batch_new(m->store, &b), 0);
	if (e->value)
		ck_assert_int_eq(blt_batch_delete(b, e->key, e->key_len), 0);
	if (pick_absent(m, &absent)) {
		ck_assert_int_eq(
			blt_batch_delete(b, absent->key, absent->key_len), 0);
		ck_assert_int_eq(blt_batch_commit(b), -ENOENT);
	} else {
		blt_batch_abort(b);
	}
}

static void do_slot(struct model *m)
{
	unsigned i = model_below(m, 3);
	struct entry *e = &m->slot[i];
	char text[64];
	int rc;

	if (m->fixed) {
		ck_assert_int_eq(blt_slot_put(m->store, BLT_METADATA, "{}", 2),
				 -ENOTSUP);
		return;
	}
	if (model_below(m, 3) == 0) {
		rc = blt_slot_delete(m->store, (enum blt_slot)i);
		ck_assert_int_eq(rc, e->value ? 0 : -ENOENT);
		model_set(e, NULL, 0, 0);
		return;
	}
	sprintf(text, "{\"n\": %u}", model_below(m, 1000));
	rc = blt_slot_put(m->store, (enum blt_slot)i, text, strlen(text));
	ck_assert_int_eq(rc, 0);
	model_set(e, (uint8_t *)strdup(text), strlen(text), 0);
}

static void do_reindex(struct model *m)
{
	struct blt_info info;
	unsigned n;
	int rc;

	if (model_below(m, 10 + m->o.n_keys / 1000))
		return;
	blt_get_info(m->store, &info);
	n = model_below(m, 20) ? 1 + model_below(m, 3000) :
				 1 + model_below(m, 2 * m->o.n_keys);
	rc = blt_reindex(m->store, n, NULL, NULL);
	/* Where blocks have to make way, an iterator stands in it. */
	ck_assert(rc == 0 || (rc == -EBUSY && m->walk.it && m->fixed));
}

static bool too_old(const struct model *m, const struct entry *e,
		    int64_t older_than, const struct blt_bytes *keep)
{
	bool marker =
		e->len == 0 && e->key_len && e->key[e->key_len - 1] == '/';

	return m->timed && e->value && !marker && e->time < older_than &&
	       keep->bytes != e->key;
}

/* Nobody writes beside it: so the size is just what is left. */
static void check_size(struct model *m)
{
	struct blt_census c;
	struct blt_info info;

	ck_assert_int_eq(blt_count(m->store, &c), 0);
	blt_get_info(m->store, &info);
	ck_assert_uint_eq(c.dead_bytes, 0);
	ck_assert_uint_eq(info.file_size,
			  200 + 6ull * info.n_buckets + c.live_bytes);
}

static int give_up(void *arg, uint64_t done, uint64_t total, uint64_t keys)
{
	unsigned *left = arg;

	(void)keys;
	ck_assert_uint_le(done, total);
	return (*left)-- ? 0 : -ECANCELED;
}

/* Why a prune or a trim did not come to its end. */
static void check_stopped(const struct model *m, int rc)
{
	ck_assert_msg(rc == -ECANCELED || (rc == -EBUSY && m->walk.it),
		      "stopped with %d", rc);
}

static void do_prune(struct model *m)
{
	struct entry *e = model_pick(m);
	struct blt_bytes keep = { e->key, e->key_len };
	unsigned left = model_below(m, 40);
	struct blt_prune_options o = { .keep = &keep, .n_keep = 1 };
	struct blt_prune_result r;
	struct blt_info info;
	int rc;

	if (model_below(m, 12 + m->o.n_keys / 20))
		return;
	/* A growth that is about to begin would lay dead blocks behind it. */
	store_grow_end(store_of(m->store));
	/* Steps that are small beside the store. */
	blt_get_info(m->store, &info);
	store_of(m->store)->engine.prune_chunk =
		info.file_size >> model_below(m, 4);
	if (m->timed && model_below(m, 4) == 0)
		o.older_than = 1 + model_time(m) / 8;
	else if (model_below(m, 2)) {
		o.progress = give_up;
		o.arg = &left;
	}
	rc = blt_prune(m->store, &o, &r);
	for (unsigned i = 0; i < m->o.n_keys; i++)
		if (too_old(m, &m->entry[i], o.older_than, &keep)) {
			model_set(&m->entry[i], NULL, 0, 0);
			r.dropped--;
		}
	ck_assert_uint_eq(r.dropped, 0);
	if (rc == 0)
		check_size(m);
	else
		check_stopped(m, rc);
}

static void do_trim(struct model *m)
{
	unsigned left = model_below(m, 40);
	bool stops = model_below(m, 3) == 0;
	struct blt_trim_result r;
	int rc;

	if (model_below(m, 4 + m->o.n_keys / 100))
		return;
	store_of(m->store)->engine.punch_page =
		model_below(m, 2) ? 0 : 1u << model_below(m, 12);
	store_of(m->store)->engine.punch_runs =
		model_below(m, 2) ? 0 :
				    2 + model_below(m, 4 + m->o.n_keys / 10);
	rc = blt_trim(m->store, stops ? give_up : NULL, &left, &r);
	if (rc)
		check_stopped(m, rc);
}

static void do_sync(struct model *m)
{
	ck_assert_int_eq(model_below(m, 2) ? blt_sync(m->store) :
					     blt_flush(m->store),
			 0);
}

void model_step(struct model *m)
{
	static const struct {
		unsigned weight;
		void (*step)(struct model *m);
	} steps[] = {
		{ 50, do_put },          { 15, do_delete },
		{ 10, do_touch },        { 10, do_batch },
		{ 2, do_failing_batch }, { 1, do_broken_put },
		{ 3, do_slot },          { 1, do_reindex },
		{ 8, do_sync },          { 1, do_prune },
		{ 1, do_trim },          { 4, model_do_walk },
		{ 4, model_do_held },
	};
	unsigned total = 0, at;

	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++)
		total += steps[i].weight;
	at = model_below(m, total);
	for (size_t i = 0;; i++) {
		if (at < steps[i].weight) {
			steps[i].step(m);
			break;
		}
		at -= steps[i].weight;
	}
	m->steps++;
}
