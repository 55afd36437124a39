#include "lib/model.h"

#include "lib/model_inner.h"
#include "lib/checked.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

/* What a file may have for the independent checker, which reads it whole. */
#define CHECKER_MOST ((off_t)256 << 20)

/* xorshift64*: the same on every machine. */
uint64_t model_roll(struct model *m)
{
	m->random ^= m->random >> 12;
	m->random ^= m->random << 25;
	m->random ^= m->random >> 27;
	return m->random * UINT64_C(0x2545f4914f6cdd1d);
}

unsigned model_below(struct model *m, unsigned n)
{
	return (unsigned)(model_roll(m) % n);
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
	size_t pad = i % 7 == 0 ? model_below(m, 300) : 0;

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

struct entry *model_pick(struct model *m)
{
	return &m->entry[model_below(m, m->o.n_keys)];
}

uint8_t *model_value(struct model *m, size_t *ret_len)
{
	size_t len = model_below(m, 100) ?
			     model_below(m, 60) :
			     model_below(m, (unsigned)m->o.max_value + 1);
	uint64_t word = model_roll(m);
	uint8_t *raw, *v;

	if (m->o.huge_value && model_below(m, 3000) == 0)
		len = model_below(m, (unsigned)m->o.huge_value + 1);
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

void model_set(struct entry *e, uint8_t *value, size_t len, int64_t time)
{
	free(e->value);
	e->value = value;
	e->len = len;
	e->time = time;
	e->hash = value ? XXH3_64bits(value, len) : 0;
}

int64_t model_time(struct model *m)
{
	return (int64_t)(model_roll(m) >> 12);
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

struct entry *model_entry_of(struct model *m, const struct blt_item *item)
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
		struct entry *e = model_entry_of(m, &item);

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
	snprintf(command, sizeof(command), "%s %s/tests/lib/checker.py %s",
		 python ? python : "python3", srcdir ? srcdir : ".", path);
	ck_assert_msg(system(command) == 0, "%s", command);
}

void model_reopen(struct model *m)
{
	model_let_go(m);
	ck_assert_int_eq(blt_close(m->store), 0);
	run_checker(m->path);
	m->checked = m->steps;
	open_store(m, BLT_WRITE);
}

void model_free(struct model *m)
{
	model_let_go(m);
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
