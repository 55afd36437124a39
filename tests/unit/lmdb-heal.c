/* An LMDB environment whose disk fails, and whose file others remove or cut
 * short. */
#include "lib/lmdbenv.h"
#include "engine/backend.h"
#include "lib/checked.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define HANGS 60 /* seconds; a test ends then */

/* ---- a disk that fails ---- */

#define HEADS_END (2 * 4096) /* the two first pages */

enum { FAIL_NOTHING, FAIL_HEADS, FAIL_PAGES, FAIL_SYNC };

static int failing;    /* FAIL_... */
static int fails;      /* so many more times */
static int both_heads; /* written as they are, so many times */

static bool refuse(int what)
{
	if (failing != what || fails == 0)
		return false;
	fails--;
	errno = EIO;
	return true;
}

#define SHOWN __attribute__((visibility("default")))

/* In place of the C library's: LMDB calls these. */
SHOWN ssize_t pwrite(int fd, const void *buf, size_t n, off_t at)
{
	both_heads += at == 0 && n == HEADS_END;
	if (refuse(at < HEADS_END && n < HEADS_END ? FAIL_HEADS : FAIL_PAGES))
		return -1;
	return syscall(SYS_pwrite64, fd, buf, n, at);
}

SHOWN ssize_t writev(int fd, const struct iovec *iov, int n)
{
	return refuse(FAIL_PAGES) ? -1 : syscall(SYS_writev, fd, iov, n);
}

SHOWN int fdatasync(int fd)
{
	return refuse(FAIL_SYNC) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

/* The change that meets it fails; the next one does not. */
static void heals(int what, int times)
{
	struct blt *s = open_with(BLT_CREATE, NULL);

	ck_assert_int_eq(put_rc(s, "before"), 0);
	failing = what;
	fails = times;
	ck_assert_int_eq(put_rc(s, "met"), -EIO);
	ck_assert_int_eq(fails, 0);
	expect_get(s, "before", 0);
	ck_assert_int_eq(put_rc(s, "after"), 0);
	ck_assert_int_eq(blt_sync(s), 0);
	expect_get(s, "before", 0);
	expect_get(s, "after", 0);
	ck_assert_int_eq(blt_close(s), 0);
	s = open_with(BLT_READ, NULL);
	ck_assert_uint_eq(count_items(s, ""), 2);
	ck_assert_int_eq(blt_close(s), 0);
}

START_TEST(test_head_fails)
{
	heals(FAIL_HEADS, 1);
}
END_TEST

START_TEST(test_page_fails)
{
	heals(FAIL_PAGES, 1);
}
END_TEST

START_TEST(test_commit_sync_fails)
{
	heals(FAIL_SYNC, 1);
}
END_TEST

/* What the failed sync may have lost is written again before the next one
 * says that all is well. */
START_TEST(test_sync_fails)
{
	struct blt *s = open_with(BLT_CREATE, NULL);

	ck_assert_int_eq(put_rc(s, "k"), 0);
	failing = FAIL_SYNC;
	fails = 1;
	ck_assert_int_eq(blt_sync(s), -EIO);
	both_heads = 0;
	ck_assert_int_eq(blt_sync(s), 0);
	ck_assert_int_eq(both_heads, 1);
	fails = 2;
	ck_assert_int_eq(blt_sync(s), -EIO);
	ck_assert_int_eq(blt_sync(s), -EIO);
	ck_assert_int_eq(blt_sync(s), 0);
	expect_get(s, "k", 0);
	ck_assert_int_eq(blt_close(s), 0);
}
END_TEST

/* That is no fault of the environment, which stays open as it is. */
START_TEST(test_source_fails)
{
	struct blt *s = open_with(BLT_CREATE, NULL);
	struct blt_source source = { .read = no_bytes, .len = 10 };
	struct blt_batch *b;

	both_heads = 0;
	ck_assert_int_eq(blt_batch_new(s, &b), 0);
	ck_assert_int_eq(blt_batch_put_from(b, "n", 1, &source, BLT_NOW), 0);
	ck_assert_int_eq(blt_batch_commit(b), -EIO);
	ck_assert_int_eq(put_rc(s, "k"), 0);
	ck_assert_int_eq(both_heads, 0);
	ck_assert_int_eq(blt_close(s), 0);
}
END_TEST

/* ---- a file that others change ---- */

/* An environment is lost, and stays open in the process that has it; or LMDB is
 * cut off, and loses what it had just allocated. */
static void losing_process(void (*fn)(void))
{
	pid_t pid = fork();

	if (pid == 0) {
		fn();
		end_well();
	}
	expect_end(pid);
}

/* The first that is not: nothing is there to go on with. */
static void refuses(struct blt *s, int reads)
{
	struct blt_iter *it;
	struct blt_item item;
	int rc;

	ck_assert_int_eq(put_rc(s, "more"), -EIO);
	ck_assert_int_eq(blt_sync(s), -EIO);
	expect_get(s, "k", reads);
	ck_assert_int_eq(blt_iter_open(s, NULL, &it), 0);
	rc = blt_iter_next(it, &item);
	ck_assert_int_eq(rc, reads < 0 ? reads : 1);
	blt_iter_free(it);
	ck_assert_int_eq(put_rc(s, "more"), -EIO);
}

static struct blt *open_some(void)
{
	struct blt *s = open_with(BLT_CREATE, NULL);

	for (char key[] = "a"; key[0] <= 'z'; key[0]++)
		ck_assert_int_eq(put_rc(s, key), 0);
	return s;
}

START_TEST(test_removed)
{
	struct blt *s = open_some();

	ck_assert_int_eq(unlink(lmdbenv_path), 0);
	refuses(s, 0);
	ck_assert_int_eq(blt_close(s), -EIO);
}
END_TEST

START_TEST(test_replaced)
{
	struct blt *s = open_some();
	char other[300];
	FILE *f;

	snprintf(other, sizeof(other), "%s-copy", lmdbenv_path);
	f = fopen(other, "w");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(fclose(f), 0);
	ck_assert_int_eq(rename(other, lmdbenv_path), 0);
	refuses(s, 0);
	ck_assert_int_eq(blt_close(s), -EIO);
}
END_TEST

START_TEST(test_cut)
{
	static const off_t lengths[] = { 3 * 4096, 4096, 100, 0 };

	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		struct blt *s = open_some();

		ck_assert_int_eq(truncate(lmdbenv_path, lengths[i]), 0);
		refuses(s, -EIO);
		ck_assert_int_eq(blt_close(s), -EIO);
		ck_assert_int_eq(unlink(lmdbenv_path), 0);
	}
}
END_TEST

/* The file is cut short while a change is being made. */
static int cut_in_between(void *arg, void *to, size_t n, uint64_t offset)
{
	(void)arg;
	(void)offset;
	memset(to, 'x', n);
	ck_assert_int_eq(truncate(lmdbenv_path, 0), 0);
	return 0;
}

static void lose_at_delete(void)
{
	struct blt *s = open_some();
	struct blt_source source = { .read = cut_in_between, .len = 10000 };
	struct blt_batch *b;

	ck_assert_int_eq(blt_batch_new(s, &b), 0);
	ck_assert_int_eq(blt_batch_put_from(b, "n", 1, &source, BLT_NOW), 0);
	ck_assert_int_eq(blt_batch_put(b, "zz", 2, "v", 1, BLT_NOW), 0);
	ck_assert_int_eq(blt_batch_delete(b, "a", 1), 0);
	ck_assert_int_eq(blt_batch_commit(b), -EIO);
	refuses(s, -EIO);
	ck_assert_int_eq(blt_close(s), -EIO);
}

START_TEST(test_cut_in_between)
{
	losing_process(lose_at_delete);
}
END_TEST

static void cut_batch(struct blt *s, const char *first, const char *second)
{
	struct blt_source source = { .read = cut_in_between, .len = 10000 };
	struct blt_batch *b;

	ck_assert_int_eq(blt_batch_new(s, &b), 0);
	ck_assert_int_eq(
		blt_batch_put_from(b, first, strlen(first), &source, BLT_NOW),
		0);
	ck_assert_int_eq(
		blt_batch_put(b, second, strlen(second), "v", 1, BLT_NOW), 0);
	ck_assert_int_eq(blt_batch_commit(b), -EIO);
}

/* It is cut short between the pages of two keys: LMDB is within a put then. */
static void lose_within_put(void)
{
	struct blt *s = open_with(BLT_CREATE, NULL);
	struct blt_batch *b;
	char key[32];

	ck_assert_int_eq(blt_batch_new(s, &b), 0);
	for (int i = 0; i < 5000; i++) {
		sprintf(key, "%05d", i);
		ck_assert_int_eq(
			blt_batch_put(b, key, 5, "0123456789", 10, BLT_NOW), 0);
	}
	ck_assert_int_eq(blt_batch_commit(b), 0);
	cut_batch(s, "00000x", "04000x");
	expect_get(s, "00000", -EIO);
	ck_assert_int_eq(put_rc(s, "more"), -EIO);
	ck_assert_int_eq(blt_close(s), -EIO);
}

START_TEST(test_cut_within_put)
{
	losing_process(lose_within_put);
}
END_TEST

static void copy_file(const char *from, const char *to)
{
	char bytes[1 << 16];
	FILE *in = fopen(from, "r"), *out = fopen(to, "r+");
	size_t n;

	if (!out)
		out = fopen(to, "w");
	ck_assert(in && out);
	while ((n = fread(bytes, 1, sizeof(bytes), in)) > 0)
		ck_assert_uint_eq(fwrite(bytes, 1, n, out), n);
	ck_assert_int_eq(fclose(in) | fclose(out), 0);
}

/* A fault within the commit leaves LMDB's lock for writers with this thread.
 * Nothing waits for that, even if the file is whole again; and the thread may
 * have another environment. */
static void lose_within_commit(void)
{
	struct blt *s = open_some();
	struct blt_source source = { .read = cut_in_between, .len = 10000 };
	struct blt_batch *b;
	char copy[300];

	snprintf(copy, sizeof(copy), "%s-copy", lmdbenv_path);
	copy_file(lmdbenv_path, copy);
	ck_assert_int_eq(blt_batch_new(s, &b), 0);
	ck_assert_int_eq(blt_batch_put_from(b, "n", 1, &source, BLT_NOW), 0);
	ck_assert_int_eq(blt_batch_delete(b, "a", 1), 0);
	ck_assert_int_eq(blt_batch_commit(b), -EIO);
	copy_file(copy, lmdbenv_path);
	alarm(HANGS);
	ck_assert_int_eq(put_rc(s, "more"), -EIO);
	ck_assert_int_eq(blt_sync(s), -EIO);
	ck_assert_int_eq(blt_close(s), -EIO);
	ck_assert_int_eq(try_open(BLT_WRITE, NULL, NULL), -EBUSY);
	ck_assert_int_eq(rename(lmdbenv_path, copy), 0);
	s = open_with(BLT_CREATE, NULL);
	ck_assert_int_eq(put_rc(s, "k"), 0);
	ck_assert_int_eq(blt_close(s), 0);
	alarm(0);
}

START_TEST(test_cut_within_commit)
{
	losing_process(lose_within_commit);
}
END_TEST

static int add_note(void *arg, const struct backend_note *note)
{
	strncat(arg, (const char *)note->name, note->name_len);
	return 0;
}

static void put_many_keys(struct raw *r)
{
	char key[32], value[201];

	memset(value, 'v', 200);
	value[200] = 0;
	for (int i = 0; i < 2500; i++) {
		sprintf(key, "x%06d", i);
		raw_text(r, key, value);
	}
}

static void fails_unharmed(struct blt *s)
{
	struct blt_info info;
	struct blt_census census;
	struct blt_iter *it;
	struct blt_item item;
	char names[100] = "";
	int rc;

	blt_get_info(s, &info);
	ck_assert_uint_eq(info.n_keys, 0);
	ck_assert_int_eq(s->backend->notes(s, add_note, names), -EIO);
	ck_assert_int_eq(blt_iter_open(s, NULL, &it), 0);
	while ((rc = blt_iter_next(it, &item)) > 0)
		;
	ck_assert_int_eq(rc, -EIO);
	blt_iter_free(it);
	ck_assert_int_eq(blt_count(s, &census), -EIO);
	ck_assert_int_eq(put_rc(s, "one/more"), -EIO);
	ck_assert_int_eq(blt_close(s), -EIO);
}

/* The file is as long as it was seen, but shorter than it was since then: LMDB
 * finds its root behind the end. */
static void lose_unseen(void)
{
	for (int i = 0; i < 2; i++) {
		struct blt *s;
		struct stat st;

		other_process("one", MDB_CREATE, put_key);
		s = open_with(BLT_WRITE, i ? "one" : NULL);
		expect_get(s, i ? "key" : "one/key", 0);
		ck_assert_int_eq(stat(lmdbenv_path, &st), 0);
		other_process(NULL, 0, put_many_keys);
		ck_assert_int_eq(truncate(lmdbenv_path, st.st_size), 0);
		fails_unharmed(s);
		ck_assert_int_eq(unlink(lmdbenv_path), 0);
	}
}

START_TEST(test_cut_unseen)
{
	losing_process(lose_unseen);
}
END_TEST

/* ---- opened anew ---- */

static void put_number(struct raw *r)
{
	const unsigned n = 7;

	raw_put(r, &n, sizeof(n), "value");
}

/* While the environment is to be opened anew, a database becomes one of another
 * kind. */
START_TEST(test_other_kind)
{
	struct blt *s;

	other_process("one", MDB_CREATE, put_key);
	other_process("two", MDB_CREATE, put_key);
	s = open_with(BLT_WRITE, NULL);
	failing = FAIL_HEADS;
	fails = 1;
	ck_assert_int_eq(put_rc(s, "two/met"), -EIO);
	other_process("one", 0, drop);
	other_process("one", MDB_CREATE | MDB_INTEGERKEY, put_number);
	ck_assert_int_eq(put_rc(s, "two/after"), 0);
	expect_get(s, "one/7", 0);
	ck_assert_int_eq(put_rc(s, "one/abc"), -EINVAL);
	ck_assert_int_eq(put_rc(s, "one/8"), 0);
	ck_assert_int_eq(blt_close(s), 0);
	s = open_with(BLT_WRITE, "one");
	ck_assert_uint_eq(count_items(s, ""), 2);
	fails = 1;
	ck_assert_int_eq(put_rc(s, "9"), -EIO);
	other_process("one", 0, drop);
	other_process("one", MDB_CREATE, put_key);
	ck_assert_int_eq(put_rc(s, "9"), -EIO);
	expect_get(s, "key", -EIO);
	ck_assert_int_eq(blt_close(s), -EIO);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, test_head_fails);
	tcase_add_test(tc, test_page_fails);
	tcase_add_test(tc, test_commit_sync_fails);
	tcase_add_test(tc, test_sync_fails);
	tcase_add_test(tc, test_source_fails);
	tcase_add_test(tc, test_removed);
	tcase_add_test(tc, test_replaced);
	tcase_add_test(tc, test_cut);
	tcase_add_test(tc, test_cut_in_between);
	tcase_add_test(tc, test_cut_within_put);
	tcase_add_test(tc, test_cut_within_commit);
	tcase_add_test(tc, test_cut_unseen);
	tcase_add_test(tc, test_other_kind);
}

int main(void)
{
	return lmdbenv_run("lmdb-heal", add);
}
