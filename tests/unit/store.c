#include "blt.h"
#include "booklet/io/file.h"
#include "lib/suite.h"
#include "lib/texts.h"
#include "lib/checked.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/test-store-XXXXXX";
static char path[64];

static void make_dir(void)
{
	strcpy(dir, "/tmp/test-store-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s.blt", dir);
}

static void remove_dir(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	ck_assert_int_eq(system(command), 0);
}

static struct blt *open_as(enum blt_mode mode,
			   const struct blt_create_options *c)
{
	struct blt_open_options o = { .mode = mode };
	struct blt_error err = { "" };
	struct blt *s = NULL;

	if (c)
		o.create = *c;
	ck_assert_msg(blt_open(path, &o, &s, &err) == 0, "%s", err.text);
	return s;
}

/* Keys of all sorts of lengths, of which the odd ones are put. */
static struct blt_bytes many_key(size_t i, uint8_t room[128])
{
	static const char metadata[] = "adb01ebc1ba3433eb043527";
	size_t len = i % 10 == 9 ? 65 + i % 60 : i % 64 + 4;

	memset(room, 'm', 128);
	memcpy(room, &i, 4);
	if (i == 50)
		return (struct blt_bytes){ metadata, strlen(metadata) };
	return (struct blt_bytes){ room, len };
}

static void same_as_get(struct blt *s, size_t n)
{
	static uint8_t room[128][128];
	struct blt_bytes key[128] = { { 0 } };
	struct blt_view many[128], one;
	int result[128];
	size_t found = 0, got;

	for (size_t i = 0; i < n; i++)
		key[i] = many_key(i, room[i]);
	got = blt_get_many(s, key, n, many, result);
	for (size_t i = 0; i < n; i++) {
		int rc = blt_get(s, key[i].bytes, key[i].len, &one);

		ck_assert_int_eq(result[i], rc);
		ck_assert_int_eq(rc, i % 2 ? 0 : -ENOENT);
		if (rc < 0)
			continue;
		found++;
		ck_assert_uint_eq(many[i].len, one.len);
		ck_assert_int_eq(many[i].timestamp, one.timestamp);
		ck_assert(memcmp(many[i].data, one.data, one.len) == 0);
		blt_view_release(&many[i]);
		blt_view_release(&one);
	}
	ck_assert_uint_eq(got, found);
}

static void fails_to_open(enum blt_mode mode, int rc, const char *says)
{
	struct blt_open_options o = { .mode = mode };
	struct blt_error err = { "" };
	struct blt *s = NULL;

	ck_assert_int_eq(blt_open(path, &o, &s, &err), rc);
	ck_assert_ptr_null(s);
	ck_assert_msg(strstr(err.text, path), "names the file: %s", err.text);
	ck_assert_msg(strstr(err.text, says), "%s: %s", says, err.text);
}

static void write_file(const void *bytes, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, bytes, len), (ssize_t)len);
	close(fd);
}

START_TEST(test_get_many)
{
	struct blt_create_options bytes = {
		.key_serializer = (unsigned)blt_serializer_code("bytes")
	};
	struct blt *s = open_as(BLT_CREATE, &bytes);
	uint8_t room[128];

	for (size_t i = 1; i < 128; i += 2) {
		struct blt_bytes k = many_key(i, room);

		ck_assert_int_eq(blt_put(s, k.bytes, k.len, room, i, 1000), 0);
		if (i == 63)
			ck_assert_int_eq(blt_sync(s), 0);
	}
	ck_assert_int_eq(blt_slot_put(s, BLT_METADATA, "{}", 2), 0);
	for (size_t n = 0; n <= 128; n += n < 12 ? 1 : 29)
		same_as_get(s, n);
	same_as_get(s, 128);
	ck_assert_int_eq(blt_close(s), 0);
	s = open_as(BLT_READ, NULL);
	same_as_get(s, 128);
	ck_assert_int_eq(blt_close(s), 0);
}
END_TEST

START_TEST(test_modes)
{
	struct blt_prune_result pruned = { .size_after = 1 };
	struct blt_trim_result trimmed = { .freed = 1 };
	struct blt *s;

	fails_to_open(BLT_READ, -ENOENT, "No such file");
	fails_to_open(BLT_WRITE, -ENOENT, "No such file");
	s = open_as(BLT_CREATE, NULL);
	put(s, "a", "1");
	ck_assert_int_eq(blt_close(s), 0);
	s = open_as(BLT_CREATE, NULL);
	expect(s, "a", "1");
	ck_assert_int_eq(blt_close(s), 0);
	s = open_as(BLT_READ, NULL);
	expect(s, "a", "1");
	ck_assert_int_eq(blt_put(s, "b", 1, "", 0, BLT_NOW), -EROFS);
	ck_assert_int_eq(blt_delete(s, "a", 1), -EROFS);
	ck_assert_int_eq(blt_reindex(s, 0, NULL, NULL), -EROFS);
	ck_assert_int_eq(blt_prune(s, NULL, &pruned), -EROFS);
	ck_assert_uint_eq(pruned.size_after, 0);
	ck_assert_int_eq(blt_trim(s, NULL, NULL, &trimmed), -EROFS);
	ck_assert_uint_eq(trimmed.freed, 0);
	ck_assert_int_eq(blt_sync(s), 0);
	ck_assert_int_eq(blt_close(s), 0);
	s = open_as(BLT_TRUNCATE, NULL);
	expect(s, "a", NULL);
	ck_assert_int_eq(blt_close(s), 0);
}
END_TEST

START_TEST(test_no_booklet)
{
	char junk[300] = "junk";
	struct blt *s;

	write_file("", 0);
	fails_to_open(BLT_READ, -EUCLEAN, "0 bytes");
	fails_to_open(BLT_WRITE, -EUCLEAN, "0 bytes");
	write_file(junk, 199);
	fails_to_open(BLT_READ, -EUCLEAN, "199 bytes");
	fails_to_open(BLT_CREATE, -EUCLEAN, "199 bytes");
	write_file(junk, sizeof(junk));
	fails_to_open(BLT_CREATE, -EUCLEAN, "no");
	unlink(path);
	mkdir(path, 0700);
	fails_to_open(BLT_READ, -EISDIR, "directory");
	fails_to_open(BLT_TRUNCATE, -EISDIR, "directory");
	rmdir(path);
	mkfifo(path, 0600);
	fails_to_open(BLT_READ, -EINVAL, "fifo");
	fails_to_open(BLT_CREATE, -EINVAL, "fifo");
	unlink(path);
	s = open_as(BLT_CREATE, NULL);
	blt_close(s);
	ck_assert_int_eq(truncate(path, 300), 0);
	fails_to_open(BLT_READ, -EUCLEAN, "cut short");
}
END_TEST

/* A new store's name is made durable, for which its directory is opened.  What
 * keeps that from being is told, and leaves nothing behind. */
START_TEST(test_no_descriptors)
{
	int lowest = open("/dev/null", O_RDONLY);
	struct rlimit before, one_more;

	ck_assert_int_gt(lowest, STDERR_FILENO);
	close(lowest);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	one_more = before;
	one_more.rlim_cur = (rlim_t)lowest + 1;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &one_more), 0);
	fails_to_open(BLT_CREATE, -EMFILE, strerror(EMFILE));
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	ck_assert_int_lt(access(path, F_OK), 0);
}
END_TEST

/* As long as a file can be: no mapping reaches so far. */
START_TEST(test_longest_file)
{
	int fd = memfd_create("longest", MFD_CLOEXEC);
	struct file f;

	ck_assert_int_ge(fd, 0);
	if (ftruncate(fd, INT64_MAX) == 0)
		ck_assert_int_lt(file_adopt(&f, fd, false, &file_system_ops),
				 0);
	close(fd);
}
END_TEST

START_TEST(test_versions)
{
	struct blt *s = open_as(BLT_CREATE, NULL);
	int fd;

	blt_close(s);
	fd = open(path, O_RDWR);
	ck_assert_int_eq(pwrite(fd, "\x06", 1, 16), 1);
	fails_to_open(BLT_WRITE, -EPROTONOSUPPORT, "version 6");
	s = open_as(BLT_READ, NULL);
	blt_close(s);
	ck_assert_int_eq(pwrite(fd, "\x02", 1, 16), 1);
	fails_to_open(BLT_READ, -EPROTONOSUPPORT, "version");
	close(fd);
}
END_TEST

static void *wait_and_open(void *arg)
{
	struct blt_open_options o = { .mode = BLT_READ, .lock_timeout_ms = -1 };
	struct blt *store;

	(void)arg;
	if (blt_open(path, &o, &store, NULL) < 0)
		return path;
	return blt_close(store) < 0 ? path : NULL;
}

START_TEST(test_locks)
{
	struct blt *s = open_as(BLT_CREATE, NULL), *t;
	pthread_t waiter;
	void *result;
	char pid[32];

	snprintf(pid, sizeof(pid), "pid %d", (int)getpid());
	fails_to_open(BLT_READ, -EWOULDBLOCK, "in use");
	fails_to_open(BLT_TRUNCATE, -EWOULDBLOCK, pid);
	blt_close(s);
	s = open_as(BLT_READ, NULL);
	t = open_as(BLT_READ, NULL);
	fails_to_open(BLT_WRITE, -EWOULDBLOCK, "in use");
	blt_close(s);
	blt_close(t);

	/* A wait ends when the other lets go. */
	s = open_as(BLT_WRITE, NULL);
	ck_assert_int_eq(pthread_create(&waiter, NULL, wait_and_open, NULL), 0);
	ck_assert_int_eq(blt_close(s), 0);
	ck_assert_int_eq(pthread_join(waiter, &result), 0);
	ck_assert_ptr_null(result);
}
END_TEST

/* What a view shows does not change under it. */
START_TEST(test_view_lifetime)
{
	struct blt *s = open_as(BLT_CREATE, NULL);
	struct blt_view tail, file;
	char big[4096];

	memset(big, 'b', sizeof(big));
	put(s, "k", "first");
	ck_assert_int_eq(blt_get(s, "k", 1, &tail), 0);
	ck_assert_int_eq(tail.fd, -1);
	ck_assert_int_eq(blt_sync(s), 0);
	ck_assert_int_eq(blt_get(s, "k", 1, &file), 0);
	ck_assert_int_ge(file.fd, 0);
	put(s, "k", "second");
	for (int i = 0; i < 1000; i++) {
		char key[16];

		sprintf(key, "x%d", i);
		ck_assert_int_eq(
			blt_put(s, key, strlen(key), big, sizeof(big), BLT_NOW),
			0);
	}
	ck_assert_int_eq(blt_delete(s, "k", 1), 0);
	ck_assert_int_eq(blt_sync(s), 0);
	ck_assert(memcmp(tail.data, "first", 5) == 0);
	ck_assert(memcmp(file.data, "first", 5) == 0);
	blt_view_release(&tail);
	blt_view_release(&file);
	blt_close(s);
}
END_TEST

START_TEST(test_limits)
{
	struct blt *s = open_as(BLT_CREATE, NULL);
	char *key = malloc(65536);
	struct blt_source huge = { UINT64_C(1) << 32, NULL, NULL };

	memset(key, 'k', 65536);
	ck_assert_int_eq(blt_put(s, key, 65536, "", 0, BLT_NOW), -ENAMETOOLONG);
	ck_assert_int_eq(blt_put(s, key, 65535, "v", 1, BLT_NOW), 0);
	ck_assert_int_eq(blt_put_from(s, "k", 1, &huge, BLT_NOW), -EFBIG);
	ck_assert_int_eq(blt_put(s, "k", 1, "v", 1, -5), -EINVAL);
	ck_assert_int_eq(blt_put(s, "\xff", 1, "v", 1, BLT_NOW), -EILSEQ);
	ck_assert_int_eq(
		blt_put(s, "adb01ebc1ba3433eb043527", 23, "v", 1, BLT_NOW),
		-EINVAL);
	ck_assert_int_eq(blt_slot_put(s, BLT_METADATA, "no json", 7), -EINVAL);
	ck_assert_int_eq(blt_close(s), 0);
	s = open_as(BLT_READ, NULL);
	struct blt_view v;

	ck_assert_int_eq(blt_get(s, key, 65535, &v), 0);
	blt_view_release(&v);
	blt_close(s);
	free(key);
}
END_TEST

/* Bytes that would not load in Python are refused, and nothing changes. */
START_TEST(test_serializers)
{
	static const struct {
		const char *key_name, *value_name;
		const char *key, *good, *bad;
	} kinds[] = {
		{ "str", "str", "k", "gr\xc3\xbc\xc3\x9f", "\xff" },
		{ "str", "json", "k", "{\"a\": [1, null]}", "{\"a\": " },
		{ "str", "uint4", "k", "1234", "123" },
		{ "uint2", "bytes", "ab", "\xff", NULL },
	};
	struct blt_create_options c = {
		.key_serializer =
			(unsigned)blt_serializer_code(kinds[_i].key_name),
		.value_serializer =
			(unsigned)blt_serializer_code(kinds[_i].value_name),
	};
	struct blt *s = open_as(BLT_CREATE, &c);

	put(s, kinds[_i].key, kinds[_i].good);
	if (kinds[_i].bad)
		ck_assert_int_eq(blt_put(s, kinds[_i].key,
					 strlen(kinds[_i].key), kinds[_i].bad,
					 strlen(kinds[_i].bad), BLT_NOW),
				 -EINVAL);
	else
		ck_assert_int_eq(blt_put(s, "abc", 3, "", 0, BLT_NOW), -EINVAL);
	expect(s, kinds[_i].key, kinds[_i].good);
	ck_assert_int_eq(blt_close(s), 0);
}
END_TEST

/* A file that somebody cuts short under an open store is an error, not the end
 * of the process. */
START_TEST(test_cut_short)
{
	struct blt *s = open_as(BLT_CREATE, NULL);
	struct blt_view v;
	uint8_t buf[8];

	put(s, "k", "value");
	ck_assert_int_eq(blt_close(s), 0);
	s = open_as(BLT_READ, NULL);
	ck_assert_int_eq(blt_get(s, "k", 1, &v), 0);
	ck_assert_int_eq(truncate(path, 4096), 0);
	ck_assert_int_eq(blt_view_copy(&v, buf, 5, 0), -EIO);
	blt_view_release(&v);
	ck_assert_int_eq(blt_get(s, "k", 1, &v), -EIO);
	blt_close(s);
}
END_TEST

/* Writes into a file that has no name any more would be lost without a word. */
START_TEST(test_removed)
{
	struct blt *s = open_as(BLT_CREATE, NULL);

	put(s, "k", "v");
	ck_assert_int_eq(blt_sync(s), 0);
	unlink(path);
	put(s, "l", "w");
	ck_assert_int_eq(blt_sync(s), -EIO);
	expect(s, "k", "v");
	expect(s, "l", "w");
	ck_assert_int_eq(blt_put(s, "m", 1, "", 0, BLT_NOW), -EIO);
	ck_assert_int_eq(blt_close(s), -EIO);
}
END_TEST

/* What is read only, and what changes nothing, leaves every byte alone. */
START_TEST(test_nothing_written)
{
	struct stat before, after;
	struct blt *s = open_as(BLT_CREATE, NULL);

	put(s, "k", "v");
	ck_assert_int_eq(blt_close(s), 0);
	stat(path, &before);
	s = open_as(BLT_WRITE, NULL);
	expect(s, "k", "v");
	ck_assert_int_eq(blt_delete(s, "none", 4), -ENOENT);
	ck_assert_int_eq(blt_sync(s), 0);
	ck_assert_int_eq(blt_close(s), 0);
	stat(path, &after);
	ck_assert_int_eq(before.st_mtim.tv_sec, after.st_mtim.tv_sec);
	ck_assert_int_eq(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
	ck_assert_int_eq(before.st_size, after.st_size);
}
END_TEST

static void add_tests(TCase *c)
{
	tcase_add_checked_fixture(c, make_dir, remove_dir);
	tcase_add_test(c, test_get_many);
	tcase_add_test(c, test_modes);
	tcase_add_test(c, test_no_booklet);
	tcase_add_test(c, test_no_descriptors);
	tcase_add_test(c, test_longest_file);
	tcase_add_test(c, test_versions);
	tcase_add_test(c, test_locks);
	tcase_add_test(c, test_view_lifetime);
	tcase_add_test(c, test_limits);
	tcase_add_loop_test(c, test_serializers, 0, 4);
	tcase_add_test(c, test_cut_short);
	tcase_add_test(c, test_nothing_written);
	tcase_add_test(c, test_removed);
}

int main(void)
{
	Suite *s = suite_create("store");
	TCase *c = tcase_create("core");

	tcase_set_timeout(c, 0);
	add_tests(c);
	suite_add_tcase(s, c);
	return run_suite(s);
}
