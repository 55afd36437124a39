/* The PostgreSQL engine against models: random batches with conditions, renames
 * and exchanges; notes; streams; walks beside changes; and threads that count
 * together.
 *
 * BLT_TEST_POSTGRES is the URL of a server; where it is not set, pglib.py
 * starts one and this program once more, or says why there is none.  PG_STEPS
 * sets how many batches there are, and PG_SEED which. */
#include "blt.h"
#include "engine/backend.h"
#include "lib/rnd.h"
#include "lib/suite.h"
#include "base/util.h"
#include "lib/checked.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct blt *store;

static unsigned asked(const char *name, unsigned otherwise)
{
	const char *s = getenv(name);

	return s ? (unsigned)strtoul(s, NULL, 10) : otherwise;
}

static void setup(void)
{
	struct blt_open_options how = { .mode = BLT_TRUNCATE,
					.engine = "postgresql" };
	const char *server = getenv("BLT_TEST_POSTGRES");
	struct blt_error err = { "" };
	char url[500];

	snprintf(url, sizeof(url), "%s%cstore=unit-%d", server,
		 strchr(server, '?') ? '&' : '?', (int)getpid());
	ck_assert_msg(blt_open(url, &how, &store, &err) == 0, "%s", err.text);
	rnd_state += asked("PG_SEED", 0);
}

static void teardown(void)
{
	struct blt_check_result result;

	ck_assert_int_eq(blt_check(store, NULL, NULL, NULL, &result), 0);
	ck_assert_uint_eq(result.faults, 0);
	ck_assert_int_eq(blt_close(store), 0);
}

/* ---- batches ---- */

#define KEYS 9u
#define OPERATIONS 7u
#define LONG 300000u /* stands in chunks */

/* What a key has: id 0 is nothing. */
struct cell {
	unsigned id; /* of the put that made the value, which follows from it */
	int64_t time;
};

struct world {
	struct cell key[KEYS];
};

static unsigned last_id;
static char names[KEYS][2049];
static size_t name_len[KEYS];

/* Beside each other, below each other, empty, and as long as may be. */
static void make_names(void)
{
	static const char *const some[KEYS] = { "",    "a",  "a!",  "a/",
						"a/b", "a0", "\xff" };

	for (unsigned i = 0; i < KEYS; i++)
		name_len[i] =
			some[i] ? (size_t)sprintf(names[i], "%s", some[i]) : 0;
	for (unsigned i = 7; i < KEYS; i++) {
		memset(names[i], i == 7 ? 'k' : 0, 2048);
		name_len[i] = 2048;
	}
}

static size_t value_len_of(unsigned id)
{
	return id % 13 == 0 ? LONG + id : id % 5 == 0 ? 0 : id % 50;
}

static uint8_t *value_of(unsigned id)
{
	size_t n = value_len_of(id);
	uint8_t *v = malloc(n + 1);

	ck_assert_ptr_nonnull(v);
	for (size_t i = 0; i < n; i++)
		v[i] = (uint8_t)(id * 31 + i * 7);
	return v;
}

static void expect_cell(const struct cell *c, const struct blt_view *v)
{
	uint8_t *want = value_of(c->id);

	ck_assert_uint_eq(v->len, value_len_of(c->id));
	ck_assert(v->len == 0 || memcmp(v->data, want, v->len) == 0);
	ck_assert_int_eq(v->timestamp, c->time);
	free(want);
}

/* One by one, all at once, and in a walk. */
static void compare(const struct world *w)
{
	struct blt_bytes keys[KEYS];
	struct blt_view v, many[KEYS];
	struct blt_item item;
	struct blt_iter *it;
	int result[KEYS];
	unsigned n = 0, seen = 0;

	for (unsigned i = 0; i < KEYS; i++) {
		int rc = blt_get(store, names[i], name_len[i], &v);

		ck_assert_int_eq(rc, w->key[i].id ? 0 : -ENOENT);
		if (rc == 0) {
			expect_cell(&w->key[i], &v);
			blt_view_release(&v);
			n++;
		}
		keys[i] = (struct blt_bytes){ names[i], name_len[i] };
	}
	ck_assert_uint_eq(blt_get_many(store, keys, KEYS, many, result), n);
	for (unsigned i = 0; i < KEYS; i++) {
		ck_assert_int_eq(result[i], w->key[i].id ? 0 : -ENOENT);
		if (result[i] == 0) {
			expect_cell(&w->key[i], &many[i]);
			blt_view_release(&many[i]);
		}
	}
	ck_assert_int_eq(blt_iter_open(store, NULL, &it), 0);
	while (blt_iter_next(it, &item) > 0)
		seen++;
	blt_iter_free(it);
	ck_assert_uint_eq(seen, n);
}

static uint64_t token_of(unsigned key)
{
	struct blt_view v;
	uint64_t token = 0;

	if (blt_get(store, names[key], name_len[key], &v) == 0) {
		token = v.offset;
		blt_view_release(&v);
	}
	return token;
}

struct condition {
	bool asked, want, held;
};

static int put(struct blt_batch *b, struct cell *at, unsigned key)
{
	unsigned id = ++last_id;
	uint8_t *v = value_of(id);
	int rc = blt_batch_put(b, names[key], name_len[key], v,
			       value_len_of(id), id);

	free(v);
	ck_assert_int_eq(rc, 0);
	*at = (struct cell){ id, id };
	return 0;
}

/* An operation of the batch, and what it does to the world where it counts:
 * the batch's result, if it fails. */
static int operate(struct blt_batch *b, struct world *w, bool counts)
{
	unsigned x = rnd(KEYS), y = rnd(KEYS);
	struct cell lost = w->key[x], other, *one = counts ? &w->key[x] : &lost,
		    *two = counts ? &w->key[y] : &other;
	const char *key = names[x], *to = names[y];
	size_t n = name_len[x], to_len = name_len[y];
	bool is = one->id;

	other = w->key[y];
	switch (rnd(9)) {
	case 0:
	case 1:
	case 2:
		return put(b, one, x);
	case 3:
		ck_assert_int_eq(blt_batch_delete(b, key, n), 0);
		*one = (struct cell){ 0 };
		return is || !counts ? 0 : -ENOENT;
	case 4:
		ck_assert_int_eq(backend_batch_drop(b, key, n), 0);
		*one = (struct cell){ 0 };
		return 0;
	case 5:
		ck_assert_int_eq(blt_batch_touch(b, key, n, 77), 0);
		if (is)
			one->time = 77;
		return is || !counts ? 0 : -ENOENT;
	case 6:
		ck_assert_int_eq(blt_batch_absent(b, key, n), 0);
		return is && counts ? -EEXIST : 0;
	case 7:
		ck_assert_int_eq(blt_batch_rename(b, key, n, to, to_len), 0);
		if (!is)
			return counts ? -ENOENT : 0;
		if (x != y) {
			*two = *one;
			*one = (struct cell){ 0 };
		}
		return 0;
	default:
		ck_assert_int_eq(blt_batch_exchange(b, key, n, to, to_len), 0);
		if (!is || !two->id)
			return counts ? -ENOENT : 0;
		other = *one;
		*one = *two;
		*two = other;
		return 0;
	}
}

static void step(struct world *w)
{
	struct world now = *w;
	struct condition c[OPERATIONS] = { { false, false, false } };
	unsigned n = 1 + rnd(OPERATIONS);
	bool counts = true;
	struct blt_batch *b;
	int rc = 0;

	ck_assert_int_eq(blt_batch_new(store, &b), 0);
	for (unsigned i = 0; i < n && rc == 0; i++) {
		if (rnd(4) == 0) {
			unsigned x = rnd(KEYS);
			bool right = rnd(3) > 0;
			uint64_t token = token_of(x);

			/* of what was there when the batch was made */
			ck_assert_int_eq(blt_batch_only_if(
						 b, names[x], name_len[x],
						 right && token ? token : 12345,
						 &c[i].held),
					 0);
			counts = right && w->key[x].id &&
				 now.key[x].id == w->key[x].id;
			c[i].asked = true;
			c[i].want = counts;
		} else {
			rc = operate(b, &now, counts);
		}
	}
	ck_assert_int_eq(blt_batch_commit(b), rc);
	if (rc < 0)
		return;
	for (unsigned i = 0; i < n; i++)
		ck_assert(!c[i].asked || c[i].held == c[i].want);
	*w = now;
}

START_TEST(batches)
{
	unsigned steps = asked("PG_STEPS", 400);
	struct world w = { { { 0 } } };

	make_names();
	for (unsigned i = 0; i < steps; i++) {
		step(&w);
		compare(&w);
	}
}
END_TEST

/* ---- tokens ---- */

static int put_if(const char *key, bool listing, uint64_t token)
{
	struct blt_batch *b;

	ck_assert_int_eq(blt_batch_new(store, &b), 0);
	ck_assert_int_eq(
		backend_batch_unchanged(b, key, strlen(key), listing, token),
		0);
	ck_assert_int_eq(blt_batch_put(b, "made", 4, "x", 1, BLT_NOW), 0);
	return blt_batch_commit(b);
}

static uint64_t token(const char *key, bool listing)
{
	uint64_t ret;

	ck_assert_int_eq(
		store->backend->token(store, key, strlen(key), listing, &ret),
		0);
	return ret;
}

static void put_text(const char *key, const char *value)
{
	ck_assert_int_eq(
		blt_put(store, key, strlen(key), value, strlen(value), BLT_NOW),
		0);
}

START_TEST(tokens)
{
	uint64_t none, dir, is;

	ck_assert_int_eq(store->backend->dirs->start(store, false), 0);
	none = token("k", false);
	dir = token("d/", true);

	ck_assert_int_eq(put_if("k", false, none), 0);
	put_text("k", "v");
	ck_assert_int_eq(put_if("k", false, none), -EAGAIN);
	is = token("k", false);
	ck_assert_int_eq(put_if("k", false, is), 0);
	ck_assert_int_eq(blt_touch(store, "k", 1, 5), 0);
	ck_assert_int_eq(put_if("k", false, is), -EAGAIN);
	ck_assert_int_eq(blt_delete(store, "k", 1), 0);
	ck_assert_int_eq(put_if("k", false, is), -EAGAIN);
	ck_assert_int_eq(put_if("k", false, none), 0);
	put_text("d/x", "v");
	ck_assert_int_eq(put_if("d/", true, dir), -EAGAIN);
	dir = token("d/", true);
	put_text("d/x", "another");
	ck_assert_int_eq(put_if("d/", true, dir), 0);
}
END_TEST

/* ---- notes ---- */

static int put_note(const char *name, const char *was, const char *is)
{
	const struct blt_bytes old = { was, was ? strlen(was) : 0 };
	const struct blt_bytes new = { is, is ? strlen(is) : 0 };
	struct blt_batch *b;

	ck_assert_int_eq(blt_batch_new(store, &b), 0);
	ck_assert_int_eq(backend_batch_note(b, name, was ? &old : NULL,
					    is ? &new : NULL),
			 0);
	ck_assert_int_eq(
		blt_batch_put(b, "with", 4, is, is ? strlen(is) : 0, BLT_NOW),
		0);
	return blt_batch_commit(b);
}

static int count_note(void *arg, const struct backend_note *note)
{
	(void)note;
	++*(int *)arg;
	return 0;
}

static int n_notes(void)
{
	int n = 0;

	ck_assert_int_eq(store->backend->notes(store, count_note, &n), 0);
	return n;
}

START_TEST(notes)
{
	struct blt_view v;

	ck_assert_int_eq(put_note("n", "not there", "one"), -ESTALE);
	ck_assert_int_eq(blt_get(store, "with", 4, &v), -ENOENT);
	ck_assert_int_eq(put_note("n", NULL, "one"), 0);
	ck_assert_int_eq(put_note("n", NULL, "two"), -ESTALE);
	ck_assert_int_eq(put_note("n", "on", "two"), -ESTALE);
	ck_assert_int_eq(put_note("n", "one", "two"), 0);
	ck_assert_int_eq(put_note("m", NULL, "other"), 0);
	ck_assert_int_eq(n_notes(), 2);
	ck_assert_int_eq(put_note("n", "one", NULL), -ESTALE);
	ck_assert_int_eq(put_note("n", "two", NULL), 0);
	ck_assert_int_eq(n_notes(), 1);
}
END_TEST

/* ---- streams ---- */

#define STREAM_MOST ((size_t)10 << 20)

static size_t stream_place(void)
{
	/* near the borders of chunks and windows as often as not */
	size_t at = rnd(2) ? rnd(STREAM_MOST - 600000) :
			     (size_t)rnd(36) * (256u << 10) + rnd(5);

	return at > 2 && rnd(2) ? at - 2 : at;
}

static void stream_step(struct blt_stream *s, uint8_t *is, size_t *len,
			uint8_t *buf)
{
	size_t at = stream_place(), n = rnd(3) ? rnd(5000) : rnd(600000);

	switch (rnd(8)) {
	case 0:
		ck_assert_int_eq(blt_stream_resize(s, at), 0);
		if (at > *len)
			memset(is + *len, 0, at - *len);
		*len = at;
		break;
	case 1:
		ck_assert_int_eq(blt_stream_sync(s), 0);
		break;
	case 2:
	case 3: {
		int64_t got = blt_stream_read(s, buf, n, at);
		size_t want = at >= *len ? 0 : (size_t)min_u64(n, *len - at);

		ck_assert_int_eq(got, (int64_t)want);
		ck_assert(memcmp(buf, is + at, want) == 0);
		break;
	}
	default:
		if (n == 0)
			break;
		memset(buf, (int)rnd(256), n);
		buf[0] = (uint8_t)rnd(256);
		ck_assert_int_eq(blt_stream_write(s, buf, n, at), 0);
		if (at > *len)
			memset(is + *len, 0, at - *len);
		memcpy(is + at, buf, n);
		*len = max_u64(*len, at + n);
	}
	ck_assert_uint_eq(blt_stream_len(s), *len);
}

START_TEST(streams)
{
	uint8_t *is = malloc(STREAM_MOST), *buf = malloc(STREAM_MOST);

	ck_assert(is && buf);
	rnd_state += (uint64_t)_i;
	for (int round = 0; round < 3; round++) {
		struct blt_stream *s;
		struct blt_view v;
		size_t len = 0, at = stream_place();
		int64_t got;

		ck_assert_int_eq(blt_stream_open(store, 1, 0, &s), 0);
		for (int i = 0; i < 20; i++)
			stream_step(s, is, &len, buf);
		ck_assert_int_eq(blt_stream_commit(s, "s", 1, 5), 0);
		ck_assert_int_eq(blt_get(store, "s", 1, &v), 0);
		ck_assert_uint_eq(v.len, len);
		ck_assert(len == 0 || memcmp(v.data, is, len) == 0);
		blt_view_release(&v);
		got = store->backend->get_part(store, "s", 1, buf, 300000, at);
		ck_assert_int_eq(
			got,
			at >= len ? 0 : (int64_t)min_u64(300000, len - at));
		ck_assert(got == 0 || memcmp(buf, is + at, (size_t)got) == 0);
	}
	free(is);
	free(buf);
}
END_TEST

/* ---- together ---- */

#define THREADS 4u
#define ADDED 30u /* by each */

/* Adds one to a counter where it is as it was read; 1: it was. */
static unsigned add_one(void)
{
	struct blt_batch *b;
	struct blt_view v;
	unsigned n;
	bool held = false;

	ck_assert_int_eq(blt_get(store, "n", 1, &v), 0);
	memcpy(&n, v.data, sizeof(n));
	n++;
	ck_assert_int_eq(blt_batch_new(store, &b), 0);
	ck_assert_int_eq(blt_batch_only_if(b, "n", 1, v.offset, &held), 0);
	/* seen together or not at all */
	ck_assert_int_eq(blt_batch_put(b, "n", 1, &n, sizeof(n), n), 0);
	ck_assert_int_eq(blt_batch_put(b, "m", 1, &n, sizeof(n), n), 0);
	ck_assert_int_eq(blt_batch_commit(b), 0);
	blt_view_release(&v);
	return held;
}

static void *add_many(void *arg)
{
	unsigned done = 0;
	char key[20];

	for (unsigned i = 0; done < ADDED; i++) {
		done += add_one();
		sprintf(key, "t%u-%u", *(unsigned *)arg, i % 5);
		ck_assert_int_eq(
			blt_put(store, key, strlen(key), "x", 1, BLT_NOW), 0);
		if (i % 5 == 4)
			ck_assert_int_eq(blt_delete(store, key, strlen(key)),
					 0);
	}
	return NULL;
}

/* A walk shows one moment; how far the counter was. */
static unsigned look(void)
{
	unsigned n = 0, m = 0;
	struct blt_item item;
	struct blt_iter *it;
	int rc;

	ck_assert_int_eq(blt_iter_open(store, NULL, &it), 0);
	while ((rc = blt_iter_next(it, &item)) > 0) {
		if (item.key_len != 1)
			continue;
		memcpy(*(const char *)item.key == 'n' ? &n : &m, item.value,
		       sizeof(n));
	}
	ck_assert_int_eq(rc, 0);
	blt_iter_free(it);
	ck_assert_uint_eq(n, m);
	return n;
}

START_TEST(together)
{
	unsigned who[THREADS], zero = 0, n = 0;
	pthread_t thread[THREADS];

	ck_assert_int_eq(blt_put(store, "n", 1, &zero, sizeof(zero), 1), 0);
	ck_assert_int_eq(blt_put(store, "m", 1, &zero, sizeof(zero), 1), 0);
	for (unsigned i = 0; i < THREADS; i++) {
		who[i] = i;
		ck_assert_int_eq(
			pthread_create(&thread[i], NULL, add_many, &who[i]), 0);
	}
	while (n < THREADS * ADDED) {
		unsigned now = look();

		ck_assert_uint_ge(now, n);
		n = now;
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	ck_assert_uint_eq(look(), THREADS * ADDED);
}
END_TEST

/* Renames in a ring, from several sides at once: none is lost, none doubled. */
static void *turn_ring(void *arg)
{
	unsigned moved = *(unsigned *)arg;

	for (unsigned i = 0; i < 40; i++) {
		struct blt_batch *b;
		char from[3], to[3];
		int rc;

		sprintf(from, "r%u", (i + moved) % 5);
		sprintf(to, "r%u", (i * 3 + moved + 1) % 5);
		ck_assert_int_eq(blt_batch_new(store, &b), 0);
		ck_assert_int_eq(blt_batch_absent(b, to, 2), 0);
		ck_assert_int_eq(blt_batch_rename(b, from, 2, to, 2), 0);
		rc = blt_batch_commit(b);
		ck_assert(rc == 0 || rc == -ENOENT || rc == -EEXIST);
	}
	return NULL;
}

START_TEST(ring)
{
	unsigned who[THREADS], found[3] = { 0 };
	pthread_t thread[THREADS];
	struct blt_item item;
	struct blt_iter *it;

	put_text("r0", "0");
	put_text("r1", "1");
	put_text("r2", "2");
	for (unsigned i = 0; i < THREADS; i++) {
		who[i] = i;
		ck_assert_int_eq(
			pthread_create(&thread[i], NULL, turn_ring, &who[i]),
			0);
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	ck_assert_int_eq(blt_iter_open(store, NULL, &it), 0);
	while (blt_iter_next(it, &item) > 0)
		found[*(const char *)item.value - '0']++;
	blt_iter_free(it);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_uint_eq(found[i], 1);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *s = suite_create("postgres");
	TCase *tc = tcase_create("postgres");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 300);
	tcase_add_test(tc, batches);
	tcase_add_test(tc, tokens);
	tcase_add_test(tc, notes);
	tcase_add_loop_test(tc, streams, 0, 3);
	tcase_add_test(tc, together);
	tcase_add_test(tc, ring);
	suite_add_tcase(s, tc);
	return s;
}

int main(int argc, char **argv)
{
	const char *python = getenv("PYTHON");

	(void)argc;
	if (getenv("BLT_TEST_POSTGRES"))
		return run_suite(make_suite());
	python = python ? python : "python3";
	execlp(python, python, "-m", "pglib", "run", argv[0], NULL);
	perror(python);
	return EXIT_FAILURE;
}
