/* A copy is a state that the store was in, whatever is written meanwhile. */
#include "blt.h"
#include "lib/suite.h"
#include "lib/checked.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[32], path[64], to[64];

static void make_dir(void)
{
	strcpy(dir, "/tmp/test-copy-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s.blt", dir);
	snprintf(to, sizeof(to), "%s/copy.blt", dir);
}

static void remove_dir(void)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	ck_assert_int_eq(system(command), 0);
}

static struct blt *open_at(const char *at, enum blt_mode mode)
{
	struct blt_open_options o = { .mode = mode };
	struct blt_error err = { "" };
	struct blt *s = NULL;

	ck_assert_msg(blt_open(at, &o, &s, &err) == 0, "%s", err.text);
	return s;
}

static void put(struct blt *s, const char *key, const char *value, int64_t time)
{
	ck_assert_int_eq(
		blt_put(s, key, strlen(key), value, strlen(value), time), 0);
}

static void expect(struct blt *s, const char *key, const char *value,
		   int64_t time)
{
	struct blt_view v;

	if (!value) {
		ck_assert_int_eq(blt_get(s, key, strlen(key), &v), -ENOENT);
		return;
	}
	ck_assert_int_eq(blt_get(s, key, strlen(key), &v), 0);
	ck_assert_uint_eq(v.len, strlen(value));
	ck_assert(memcmp(v.data, value, v.len) == 0);
	ck_assert_int_eq(v.timestamp, time);
	blt_view_release(&v);
}

static void expect_slot(struct blt *s, enum blt_slot slot, const char *value)
{
	struct blt_view v;

	ck_assert_int_eq(blt_slot_get(s, slot, &v), 0);
	ck_assert_uint_eq(v.len, strlen(value));
	ck_assert(memcmp(v.data, value, v.len) == 0);
	blt_view_release(&v);
}

/* Enough that the copy's progress is told while much is ahead. */
static void put_filler(struct blt *s)
{
	static char big[1 << 20];
	char key[16];

	for (int i = 0; i < 4; i++) {
		memset(big, 'a' + i, sizeof(big));
		snprintf(key, sizeof(key), "filler%d", i);
		ck_assert_int_eq(
			blt_put(s, key, strlen(key), big, sizeof(big), 5), 0);
	}
}

struct change {
	struct blt *store;
	int calls;
};

static int change_all(void *arg, uint64_t done, uint64_t total, uint64_t keys)
{
	struct change *c = arg;
	struct blt *s = c->store;

	ck_assert_uint_le(done, total);
	ck_assert_uint_le(keys, 9);
	if (c->calls++)
		return 0;
	put(s, "first", "changed", 90);
	put(s, "last", "changed", 91);
	put(s, "last", "changed again", 92);
	put(s, "new", "new", 93);
	put(s, "filler3", "small now", 94);
	ck_assert_int_eq(blt_delete(s, "gone", 4), 0);
	put(s, "gone", "is back", 95);
	ck_assert_int_eq(blt_touch(s, "touched", 7, 96), 0);
	ck_assert_int_eq(blt_touch(s, "touched", 7, 97), 0);
	ck_assert_int_eq(blt_touch(s, "both", 4, 98), 0);
	put(s, "both", "x", 99);
	ck_assert_int_eq(blt_slot_put(s, BLT_METADATA, "2", 1), 0);
	ck_assert_int_eq(blt_slot_delete(s, BLT_RESERVED_1), 0);
	ck_assert_int_eq(blt_sync(s), 0);
	ck_assert_int_eq(blt_reindex(s, 0, NULL, NULL), 0);
	return 0;
}

START_TEST(test_changes_meanwhile)
{
	struct blt *s = open_at(path, BLT_CREATE), *copy;
	struct change c = { .store = s };
	struct blt_error err = { "" };
	struct blt_info info;
	struct stat st;

	put(s, "first", "1", 1);
	put_filler(s);
	put(s, "last", "2", 2);
	put(s, "gone", "3", 3);
	put(s, "touched", "4", 4);
	put(s, "both", "5", 5);
	ck_assert_int_eq(blt_slot_put(s, BLT_METADATA, "[1]", 3), 0);
	ck_assert_int_eq(blt_slot_put(s, BLT_RESERVED_1, "one", 3), 0);
	ck_assert_msg(blt_copy(s, to, NULL, false, change_all, &c, &err) == 0,
		      "%s", err.text);
	ck_assert_int_ge(c.calls, 4);
	copy = open_at(to, BLT_READ);
	expect(copy, "first", "1", 1);
	expect(copy, "last", "2", 2);
	expect(copy, "gone", "3", 3);
	expect(copy, "touched", "4", 4);
	expect(copy, "both", "5", 5);
	expect(copy, "new", NULL, 0);
	expect_slot(copy, BLT_METADATA, "[1]");
	expect_slot(copy, BLT_RESERVED_1, "one");
	blt_get_info(copy, &info);
	ck_assert_uint_eq(info.n_keys, 9);
	ck_assert_uint_eq(info.n_buckets, 12007);
	ck_assert_int_eq(stat(to, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	blt_close(copy);
	expect(s, "last", "changed again", 92);
	expect(s, "touched", "4", 97);
	expect_slot(s, BLT_METADATA, "2");
	ck_assert_int_eq(blt_close(s), 0);
}
END_TEST

/* ---- beside a writer ---- */

#define PAIRS 40
#define COPIES 12

struct writer {
	struct blt *store;
	atomic_bool stop;
	atomic_uint commits;
};

static size_t half(unsigned i, char which, char key[16])
{
	return (size_t)snprintf(key, 16, "%u%c", i, which);
}

/* In each batch: both halves of a pair get one number, another pair comes or
 * goes, and the number is the time of both halves of a third. */
static void write_batch(struct blt *s, unsigned n, bool *there)
{
	unsigned i = n * 7 % PAIRS, touched = (i + 1) % PAIRS;
	unsigned goes = PAIRS + n * 5 % PAIRS;
	struct blt_batch *b;
	char key[16], value[3000];

	memset(value, ' ', sizeof(value));
	snprintf(value, sizeof(value), "%u", n);
	ck_assert_int_eq(blt_batch_new(s, &b), 0);
	for (char h = 'a'; h <= 'b'; h++) {
		ck_assert_int_eq(blt_batch_put(b, key, half(i, h, key), value,
					       sizeof(value), 0),
				 0);
		if (there[goes])
			ck_assert_int_eq(
				blt_batch_delete(b, key, half(goes, h, key)),
				0);
		else
			ck_assert_int_eq(blt_batch_put(b, key,
						       half(goes, h, key),
						       value, sizeof(value), 0),
					 0);
		if (n > PAIRS)
			ck_assert_int_eq(blt_batch_touch(b, key,
							 half(touched, h, key),
							 n),
					 0);
	}
	there[goes] = !there[goes];
	ck_assert_int_eq(blt_batch_commit(b), 0);
}

static void *keep_writing(void *arg)
{
	struct writer *w = arg;
	bool there[2 * PAIRS] = { false };

	for (unsigned n = 0; !atomic_load(&w->stop); n++) {
		write_batch(w->store, n, there);
		atomic_store(&w->commits, n);
	}
	return NULL;
}

static unsigned check_pairs(struct blt *s)
{
	unsigned whole = 0;

	for (unsigned i = 0; i < 2 * PAIRS; i++) {
		struct blt_view a, b;
		char key[16];
		int rc = blt_get(s, key, half(i, 'a', key), &a);

		ck_assert_int_eq(blt_get(s, key, half(i, 'b', key), &b), rc);
		if (rc < 0)
			continue;
		ck_assert_uint_eq(a.len, b.len);
		ck_assert_msg(memcmp(a.data, b.data, a.len) == 0,
			      "%u: %s and %s", i, a.data, b.data);
		ck_assert_int_eq(a.timestamp, b.timestamp);
		blt_view_release(&a);
		blt_view_release(&b);
		whole++;
	}
	return whole;
}

START_TEST(test_beside_writer)
{
	struct writer w = { .store = open_at(path, BLT_CREATE) };
	struct blt_error err = { "" };
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, keep_writing, &w), 0);
	while (atomic_load(&w.commits) < 2 * PAIRS)
		sched_yield();
	for (int i = 0; i < COPIES; i++) {
		unsigned from = atomic_load(&w.commits);
		struct blt *copy;

		ck_assert_msg(blt_copy(w.store, to, NULL, i > 0, NULL, NULL,
				       &err) == 0,
			      "%s", err.text);
		copy = open_at(to, BLT_READ);
		ck_assert_uint_ge(check_pairs(copy), PAIRS);
		blt_close(copy);
		while (atomic_load(&w.commits) < from + 10)
			sched_yield();
	}
	atomic_store(&w.stop, true);
	pthread_join(thread, NULL);
	ck_assert_int_eq(blt_close(w.store), 0);
}
END_TEST

/* ---- what is refused ---- */

static void refuses(struct blt *s, const char *at,
		    const struct blt_create_options *o, bool replace, int rc,
		    const char *says)
{
	struct blt_error err = { "" };

	ck_assert_int_eq(blt_copy(s, at, o, replace, NULL, NULL, &err), rc);
	ck_assert_msg(strstr(err.text, says), "%s: %s", says, err.text);
}

static int stop(void *arg, uint64_t done, uint64_t total, uint64_t keys)
{
	(void)arg;
	(void)done;
	(void)total;
	(void)keys;
	return -EINTR;
}

static unsigned files_there(void)
{
	char command[64];
	unsigned n = 0;
	FILE *f;

	snprintf(command, sizeof(command), "ls -A %s | wc -l", dir);
	f = popen(command, "r");
	ck_assert_int_eq(fscanf(f, "%u", &n), 1);
	pclose(f);
	return n;
}

START_TEST(test_refused)
{
	struct blt_create_options fixed = { .value_len = 3 };
	struct blt_create_options json = { .value_serializer = 4 };
	struct blt *s = open_at(path, BLT_CREATE), *other;
	struct blt_error err;

	put(s, "abc", "123", 1);
	put(s, "odd\nkey", "12", 1);
	refuses(s, path, NULL, false, -EEXIST, "the store itself");
	refuses(s, path, NULL, true, -EEXIST, "the store itself");
	refuses(s, to, &fixed, false, -EINVAL, "odd\\x0akey");
	refuses(s, to, &json, false, -EINVAL, "serializers");
	ck_assert_int_eq(blt_copy(s, to, NULL, false, stop, NULL, &err),
			 -EINTR);
	refuses(s, "/nowhere/at all", NULL, false, -ENOENT, "/nowhere/at all");
	ck_assert_int_eq(blt_delete(s, "odd\nkey", 7), 0);
	ck_assert_int_eq(blt_slot_put(s, BLT_METADATA, "1", 1), 0);
	refuses(s, to, &fixed, false, -EINVAL, "metadata");
	ck_assert_int_eq(blt_slot_delete(s, BLT_METADATA), 0);
	ck_assert_uint_eq(files_there(), 1);
	ck_assert_int_eq(blt_copy(s, to, &fixed, false, NULL, NULL, &err), 0);
	refuses(s, to, NULL, false, -EEXIST, "exists");
	other = open_at(to, BLT_READ);
	expect(other, "abc", "123", BLT_NO_TIME);
	refuses(s, to, NULL, true, -EWOULDBLOCK, "in use");
	blt_close(other);
	ck_assert_int_eq(blt_copy(s, to, NULL, true, NULL, NULL, NULL), 0);
	other = open_at(to, BLT_WRITE);
	expect(other, "abc", "123", 1);
	ck_assert_int_eq(blt_close(other), 0);
	ck_assert_uint_eq(files_there(), 2);
	blt_close(s);
}
END_TEST

/* Copies into a directory that may be written and not read, whose names the
 * system makes durable when it gets to it.  root is somebody else meanwhile. */
START_TEST(test_unread_directory)
{
	static const char *const engines[] = {
		"booklet",
#ifdef HAVE_LMDB
		"lmdb",
#endif
	};
	const uid_t was = geteuid(), user = was ? was : 65534;
	struct blt_error err = { "" };
	struct blt *s = open_at(path, BLT_CREATE);
	int rc = 0;

	put(s, "key", "value", 1);
	ck_assert_int_eq(chown(dir, user, (gid_t)-1), 0);
	ck_assert_int_eq(chmod(dir, 0300), 0);
	ck_assert_int_eq(seteuid(user), 0);
	for (size_t i = 0; i < sizeof(engines) / sizeof(*engines); i++) {
		struct blt_create_options o = { .engine = engines[i] };

		snprintf(to, sizeof(to), "%s/%s", dir, engines[i]);
		if (rc == 0)
			rc = blt_copy(s, to, &o, false, NULL, NULL, &err);
	}
	ck_assert_int_eq(seteuid(was), 0);
	ck_assert_int_eq(chmod(dir, 0700), 0);
	ck_assert_msg(rc == 0, "%s", err.text);
	blt_close(s);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("copy");
	TCase *tc = tcase_create("copy");

	tcase_add_checked_fixture(tc, make_dir, remove_dir);
	tcase_set_timeout(tc, 0);
	tcase_add_test(tc, test_changes_meanwhile);
	tcase_add_test(tc, test_beside_writer);
	tcase_add_test(tc, test_refused);
	tcase_add_test(tc, test_unread_directory);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
