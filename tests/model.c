#include "model.h"

#include "model_bytes.h"
#include "store.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

/* What a file may have for the independent checker, which reads it whole. */
#define CHECKER_MOST ((off_t)256 << 20)

#define BATCH_MOST 8

struct entry {
	uint8_t *key;
	size_t key_len;
	uint8_t *value; /* NULL: not in the store */
	size_t len;
	int64_t time;
	uint64_t hash; /* of the value */
};

/* An entry as it was when an iterator began. */
struct seen {
	bool live, met;
	uint64_t hash;
	size_t len;
	int64_t time;
};

/* An iterator that stays open while the store changes. */
struct walk {
	struct blt_iter *it; /* NULL: none */
	bool no_values;
	struct seen *seen;
	unsigned live, met;
};

/* A batch that does, and what it will do. */
struct held {
	struct blt_batch *batch; /* NULL: none */
	unsigned n;
	struct {
		struct entry *entry;
		uint8_t *value;
		size_t len;
		int64_t time;
	} put[BATCH_MOST];
};

struct model {
	struct model_options o;
	struct blt *store;
	struct entry *entry;
	struct entry slot[3];
	struct walk walk;
	struct held held;
	struct forms keys, values;
	uint64_t random;
	char *path;
	bool fixed, timed;
	unsigned long steps, checked; /* so far; as of the last check */
};

/* xorshift64*: the same on every machine. */
static uint64_t roll(struct model *m)
{
	m->random ^= m->random >> 12;
	m->random ^= m->random << 25;
	m->random ^= m->random >> 27;
	return m->random * UINT64_C(0x2545f4914f6cdd1d);
}

static unsigned below(struct model *m, unsigned n)
{
	return (unsigned)(roll(m) % n);
}

/* A key that loads; a number has none but its own bytes. */
static void shape_key(struct model *m, struct entry *e, unsigned i)
{
	uint8_t *key;

	if (m->keys.form == FORM_ANY || m->keys.form == FORM_TEXT)
		return;
	key = malloc(FORMS_ROOM(e->key_len + 8));
	if (m->keys.form == FORM_INT)
		e->key_len =
			forms_make(&m->keys, (uint8_t *)&i, sizeof(i), key);
	else
		e->key_len = forms_make(&m->keys, e->key, e->key_len, key);
	free(e->key);
	e->key = key;
}

static void make_key(struct model *m, struct entry *e, unsigned i)
{
	size_t pad = i % 7 == 0 ? below(m, 300) : 0;

	e->key = malloc(16 + pad);
	e->key_len = (size_t)sprintf((char *)e->key, "key%u", i);
	memset(e->key + e->key_len, 'x', pad);
	e->key_len += pad;
	if (i == 0)
		e->key_len = 0;
	shape_key(m, e, i);
}

/* Nothing here is about power cuts. */
static int no_sync(void *arg, int fd)
{
	(void)arg;
	(void)fd;
	return 0;
}

static void open_store(struct model *m, enum blt_mode mode)
{
	struct file_ops ops = file_system_ops;
	struct blt_open_options o = { .mode = mode, .create = m->o.create };
	struct blt_error err = { "" };
	int rc;

	ops.fdatasync = no_sync;
	rc = store_open(m->path, &o, &ops, &m->store, &err);

	ck_assert_msg(rc == 0, "open: %d %s", rc, err.text);
}

struct model *model_new(const struct model_options *o, unsigned seed,
			const char *path)
{
	struct model *m = calloc(1, sizeof(*m));

	m->o = *o;
	m->random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	m->path = strdup(path);
	m->entry = calloc(o->n_keys, sizeof(*m->entry));
	m->fixed = o->create.value_len != 0;
	m->timed = !m->fixed && !o->create.no_timestamps;
	forms_init(&m->keys, o->create.key_serializer ?
				     o->create.key_serializer :
				     (unsigned)blt_serializer_code("str"));
	forms_init(&m->values, o->create.value_serializer ?
				       o->create.value_serializer :
				       (unsigned)blt_serializer_code("bytes"));
	for (unsigned i = 0; i < o->n_keys; i++)
		make_key(m, &m->entry[i], i);
	open_store(m, BLT_TRUNCATE);
	return m;
}

static struct entry *pick(struct model *m)
{
	return &m->entry[below(m, m->o.n_keys)];
}

static uint8_t *make_value(struct model *m, size_t *ret_len)
{
	size_t len = below(m, 100) ? below(m, 60) :
				     below(m, (unsigned)m->o.max_value + 1);
	uint64_t word = roll(m);
	uint8_t *raw, *v;

	if (m->o.huge_value && below(m, 3000) == 0)
		len = below(m, (unsigned)m->o.huge_value + 1);
	if (m->fixed)
		len = m->o.create.value_len;
	raw = malloc(len + 8);
	for (size_t i = 0; i < len; i += 8, word = word * 5 + 1)
		memcpy(raw + i, &word, 8);
	*ret_len = len;
	if (m->fixed || m->values.form == FORM_ANY)
		return raw;
	v = malloc(FORMS_ROOM(len));
	*ret_len = forms_make(&m->values, raw, len, v);
	free(raw);
	return v;
}

static void set(struct entry *e, uint8_t *value, size_t len, int64_t time)
{
	free(e->value);
	e->value = value;
	e->len = len;
	e->time = time;
	e->hash = value ? XXH3_64bits(value, len) : 0;
}

static void copy_entry(struct entry *to, const struct entry *from)
{
	uint8_t *v = malloc(from->len + 8);

	memcpy(v, from->value, from->len);
	set(to, v, from->len, from->time);
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

static int64_t make_time(struct model *m)
{
	return (int64_t)(roll(m) >> 12);
}

static int read_source(void *arg, void *buf, size_t n, uint64_t offset)
{
	memcpy(buf, (const uint8_t *)arg + offset, n);
	return 0;
}

static void do_put(struct model *m)
{
	struct entry *e = pick(m);
	int64_t time = make_time(m);
	size_t len;
	uint8_t *v = make_value(m, &len);
	int rc;

	if (below(m, 2)) {
		rc = blt_put(m->store, e->key, e->key_len, v, len, time);
	} else {
		struct blt_source s = { len, read_source, v };

		rc = blt_put_from(m->store, e->key, e->key_len, &s, time);
	}
	ck_assert_int_eq(rc, 0);
	set(e, v, len, time);
}

static void do_delete(struct model *m)
{
	struct entry *e = pick(m);
	int rc = blt_delete(m->store, e->key, e->key_len);

	ck_assert_int_eq(rc, e->value ? 0 : -ENOENT);
	set(e, NULL, 0, 0);
}

static void do_touch(struct model *m)
{
	struct entry *e = pick(m);
	int64_t time = make_time(m);
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
	struct entry *e = pick(m);
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
	unsigned n = 1 + below(m, 12);
	bool keep = below(m, 4) != 0;
	struct blt_batch *b;

	ck_assert_int_eq(blt_batch_new(m->store, &b), 0);
	for (unsigned i = 0; i < n; i++) {
		struct entry *e = pick(m), *f = pick(m);
		unsigned what = below(m, 5);
		int64_t time = make_time(m);
		size_t len;
		uint8_t *v;
		int rc;

		if (what && (!e->value || (what == 4 && !f->value)))
			what = 0;
		switch (what) {
		case 0:
			v = make_value(m, &len);
			rc = blt_batch_put(b, e->key, e->key_len, v, len, time);
			if (keep)
				set(e, v, len, time);
			else
				free(v);
			break;
		case 1:
			rc = blt_batch_delete(b, e->key, e->key_len);
			if (keep)
				set(e, NULL, 0, 0);
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
				set(e, NULL, 0, 0);
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
		*ret = pick(m);
		if (!(*ret)->value)
			return true;
	}
	return false;
}

/* A batch that fails in its last operation does nothing. */
static void do_failing_batch(struct model *m)
{
	struct entry *e = pick(m), *absent;
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
	unsigned i = below(m, 3);
	struct entry *e = &m->slot[i];
	char text[64];
	int rc;

	if (m->fixed) {
		ck_assert_int_eq(blt_slot_put(m->store, BLT_METADATA, "{}", 2),
				 -ENOTSUP);
		return;
	}
	if (below(m, 3) == 0) {
		rc = blt_slot_delete(m->store, (enum blt_slot)i);
		ck_assert_int_eq(rc, e->value ? 0 : -ENOENT);
		set(e, NULL, 0, 0);
		return;
	}
	sprintf(text, "{\"n\": %u}", below(m, 1000));
	rc = blt_slot_put(m->store, (enum blt_slot)i, text, strlen(text));
	ck_assert_int_eq(rc, 0);
	set(e, (uint8_t *)strdup(text), strlen(text), 0);
}

static void do_reindex(struct model *m)
{
	struct blt_info info;
	unsigned n;
	int rc;

	if (below(m, 10 + m->o.n_keys / 1000))
		return;
	blt_get_info(m->store, &info);
	n = below(m, 20) ? 1 + below(m, 3000) : 1 + below(m, 2 * m->o.n_keys);
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
	struct entry *e = pick(m);
	struct blt_bytes keep = { e->key, e->key_len };
	unsigned left = below(m, 40);
	struct blt_prune_options o = { .keep = &keep, .n_keep = 1 };
	struct blt_prune_result r;
	struct blt_info info;
	int rc;

	if (below(m, 12 + m->o.n_keys / 20))
		return;
	/* A growth that is about to begin would lay dead blocks behind it. */
	store_grow_end(store_of(m->store));
	/* Steps that are small beside the store. */
	blt_get_info(m->store, &info);
	store_of(m->store)->engine.prune_chunk = info.file_size >> below(m, 4);
	if (m->timed && below(m, 4) == 0)
		o.older_than = 1 + make_time(m) / 8;
	else if (below(m, 2)) {
		o.progress = give_up;
		o.arg = &left;
	}
	rc = blt_prune(m->store, &o, &r);
	for (unsigned i = 0; i < m->o.n_keys; i++)
		if (too_old(m, &m->entry[i], o.older_than, &keep)) {
			set(&m->entry[i], NULL, 0, 0);
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
	unsigned left = below(m, 40);
	bool stops = below(m, 3) == 0;
	struct blt_trim_result r;
	int rc;

	if (below(m, 4 + m->o.n_keys / 100))
		return;
	store_of(m->store)->engine.trim_page =
		below(m, 2) ? 0 : 1u << below(m, 12);
	store_of(m->store)->engine.trim_runs =
		below(m, 2) ? 0 : 2 + below(m, 4 + m->o.n_keys / 10);
	rc = blt_trim(m->store, stops ? give_up : NULL, &left, &r);
	if (rc)
		check_stopped(m, rc);
}

static void do_sync(struct model *m)
{
	ck_assert_int_eq(below(m, 2) ? blt_sync(m->store) : blt_flush(m->store),
			 0);
}

/* ---- what stays open beside all that ---- */

static void begin_walk(struct model *m)
{
	struct walk *w = &m->walk;
	const struct blt_iter_options o = { .no_values = below(m, 2) };

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

static struct entry *entry_of(struct model *m, const struct blt_item *item);

static void meet(struct model *m, const struct blt_item *item)
{
	struct walk *w = &m->walk;
	struct seen *s = &w->seen[entry_of(m, item) - m->entry];

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

static void do_walk(struct model *m)
{
	if (m->walk.it)
		go_on(m, 1 + below(m, 1 + m->o.n_keys / 4));
	else if (below(m, 5 + m->o.n_keys / 500) == 0)
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
			set(h->put[i].entry, h->put[i].value, h->put[i].len,
			    h->put[i].time);
		else
			free(h->put[i].value);
	}
	h->n = 0;
}

static void do_held(struct model *m)
{
	struct held *h = &m->held;
	struct entry *e = pick(m);
	int64_t time = make_time(m);
	size_t len;
	uint8_t *v;

	if (!h->batch) {
		ck_assert_int_eq(blt_batch_new(m->store, &h->batch), 0);
	} else if (h->n == BATCH_MOST || below(m, 5) == 0) {
		end_held(m, below(m, 4));
	} else {
		v = make_value(m, &len);
		ck_assert_int_eq(blt_batch_put(h->batch, e->key, e->key_len, v,
					       len, time),
				 0);
		h->put[h->n].entry = e;
		h->put[h->n].value = v;
		h->put[h->n].len = len;
		h->put[h->n++].time = time;
	}
}

static void let_go(struct model *m)
{
	if (m->walk.it)
		go_on(m, 0);
	if (m->held.batch)
		end_held(m, true);
}

void model_step(struct model *m)
{
	static const struct {
		unsigned weight;
		void (*step)(struct model *m);
	} steps[] = {
		{ 50, do_put },   { 15, do_delete },       { 10, do_touch },
		{ 10, do_batch }, { 2, do_failing_batch }, { 1, do_broken_put },
		{ 3, do_slot },   { 1, do_reindex },       { 8, do_sync },
		{ 1, do_prune },  { 1, do_trim },          { 4, do_walk },
		{ 4, do_held },
	};
	unsigned total = 0, at;

	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++)
		total += steps[i].weight;
	at = below(m, total);
	for (size_t i = 0;; i++) {
		if (at < steps[i].weight) {
			steps[i].step(m);
			break;
		}
		at -= steps[i].weight;
	}
	m->steps++;
}

static void compare_view(const struct model *m, const struct entry *e,
			 struct blt_view *v)
{
	ck_assert_uint_eq(v->len, e->len);
	ck_assert(memcmp(v->data, e->value, e->len) == 0);
	if (m->timed && e->time)
		ck_assert_int_eq(v->timestamp, e->time);
	if (!m->timed)
		ck_assert_int_eq(v->timestamp, BLT_NO_TIME);
	if (v->fd >= 0 && v->len) {
		uint8_t byte;

		ck_assert_int_eq(pread(v->fd, &byte, 1, (off_t)v->offset), 1);
		ck_assert_uint_eq(byte, e->value[0]);
	}
	blt_view_release(v);
}

static unsigned number_of(const struct model *m, const struct blt_item *item)
{
	unsigned i = 0;

	if (m->keys.form == FORM_ANY || m->keys.form == FORM_TEXT) {
		for (size_t at = 3; at < item->key_len && item->key[at] != 'x';
		     at++)
			i = i * 10 + (item->key[at] - (unsigned)'0');
		return i;
	}
	while (i < m->o.n_keys &&
	       (m->entry[i].key_len != item->key_len ||
		memcmp(m->entry[i].key, item->key, item->key_len) != 0))
		i++;
	return i;
}

static struct entry *entry_of(struct model *m, const struct blt_item *item)
{
	unsigned i = number_of(m, item);

	ck_assert_uint_lt(i, m->o.n_keys);
	ck_assert_uint_eq(item->key_len, m->entry[i].key_len);
	ck_assert(memcmp(item->key, m->entry[i].key, item->key_len) == 0);
	return &m->entry[i];
}

void model_compare(struct model *m)
{
	unsigned live = 0, met = 0;
	struct blt_info info;
	struct blt_item item;
	struct blt_iter *it;
	struct blt_view v;

	for (unsigned i = 0; i < m->o.n_keys; i++) {
		struct entry *e = &m->entry[i];
		int rc = blt_get(m->store, e->key, e->key_len, &v);

		ck_assert_int_eq(rc, e->value ? 0 : -ENOENT);
		live += e->value != NULL;
		if (rc == 0)
			compare_view(m, e, &v);
	}
	ck_assert_int_eq(blt_iter_new(m->store, &it), 0);
	while (blt_iter_next(it, &item) > 0) {
		struct entry *e = entry_of(m, &item);

		ck_assert_ptr_nonnull(e->value);
		ck_assert_uint_eq(item.value_len, e->len);
		ck_assert(memcmp(item.value, e->value, e->len) == 0);
		met++;
	}
	blt_iter_free(it);
	ck_assert_uint_eq(met, live);
	for (int i = 0; i < 3 && !m->fixed; i++) {
		int rc = blt_slot_get(m->store, (enum blt_slot)i, &v);

		ck_assert_int_eq(rc, m->slot[i].value ? 0 : -ENOENT);
		if (rc == 0)
			compare_view(m, &m->slot[i], &v);
	}
	blt_get_info(m->store, &info);
	ck_assert_uint_eq(info.n_keys, live);
}

static void run_checker(const char *path)
{
	const char *python = getenv("PYTHON"), *srcdir = getenv("srcdir");
	char command[512];
	struct stat st;

	ck_assert_int_eq(stat(path, &st), 0);
	if (st.st_size > CHECKER_MOST)
		return;
	snprintf(command, sizeof(command), "%s %s/tests/checker.py %s",
		 python ? python : "python3", srcdir ? srcdir : ".", path);
	ck_assert_msg(system(command) == 0, "%s", command);
}

void model_reopen(struct model *m)
{
	let_go(m);
	ck_assert_int_eq(blt_close(m->store), 0);
	run_checker(m->path);
	m->checked = m->steps;
	open_store(m, BLT_WRITE);
}

void model_free(struct model *m)
{
	let_go(m);
	ck_assert_int_eq(blt_close(m->store), 0);
	if (m->steps != m->checked)
		run_checker(m->path);
	for (unsigned i = 0; i < m->o.n_keys; i++) {
		free(m->entry[i].key);
		free(m->entry[i].value);
	}
	for (int i = 0; i < 3; i++)
		free(m->slot[i].value);
	free(m->entry);
	free(m->walk.seen);
	unlink(m->path);
	free(m->path);
	free(m);
}
