/* A file whose mapping may show what was before a write, as on a filesystem
 * that the kernel caches for a server. */
#include "lib/suite.h"
#include "booklet/io/file.h"
#include "lib/checked.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LEN 65536

static uint8_t *shown;     /* the mapping */
static int stale;          /* so many more writes are not shown */
static struct file *grows; /* has a longer mapping within the next write */
static size_t longest = SIZE_MAX; /* mapping that there is room for */

static ssize_t write_behind(void *arg, int fd, const void *buf, size_t len,
			    off_t pos)
{
	ssize_t n = pwrite(fd, buf, len, pos);

	(void)arg;
	if (grows) {
		longest = SIZE_MAX;
		ck_assert_int_eq(file_map_to(grows, 2 * grows->map_len), 0);
	}
	grows = NULL;
	if (stale > 0)
		stale--;
	else if (n > 0)
		memcpy(shown + pos, buf, (size_t)n);
	return n;
}

static void *map_copy(void *arg, size_t len, int fd)
{
	void *at = MAP_FAILED;

	(void)arg;
	(void)fd;
	errno = ENOMEM;
	if (len <= longest)
		at = mmap(NULL, len, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	shown = at == MAP_FAILED ? NULL : at;
	return at;
}

static struct file open_remote(void)
{
	struct file_ops ops = file_system_ops;
	int fd = memfd_create("remote", MFD_CLOEXEC);
	struct file f;

	ops.pwrite = write_behind;
	ops.mmap = map_copy;
	ck_assert_int_eq(ftruncate(fd, LEN), 0);
	ck_assert_int_eq(file_adopt(&f, fd, true, &ops), 0);
	ck_assert(!f.remote);
	f.remote = true;
	return f;
}

START_TEST(test_shows_what_was_written)
{
	struct file f = open_remote();

	for (int i = 0; i < 5; i++) {
		char bytes[] = "0 bytes";

		bytes[0] = (char)('0' + i);
		stale = i;
		ck_assert_int_eq(file_write(&f, bytes, sizeof(bytes), 4090), 0);
		ck_assert_mem_eq(file_ptr(&f, 4090), bytes, sizeof(bytes));
	}
	file_close(&f);
}
END_TEST

/* Nothing is built on it. */
START_TEST(test_never_shows_it)
{
	struct file f = open_remote();

	stale = INT_MAX;
	ck_assert_int_eq(file_write(&f, "x", 1, 100), -EIO);
	f.remote = false;
	ck_assert_int_eq(file_write(&f, "x", 1, 100), 0);
	file_close(&f);
}
END_TEST

/* A writer of the log may bring that about while another thread puts changes
 * in their places. */
START_TEST(test_mapping_replaced_within_a_write)
{
	struct file f;
	off_t pos;

	/* so that a longer one finds room, wherever this runs */
	longest = (size_t)256 << 20;
	stale = 0; /* valgrind's run has all tests in one process */
	f = open_remote();
	pos = (off_t)f.map_len + 100;
	ck_assert_int_eq(ftruncate(f.fd, pos + LEN), 0);
	grows = &f;
	ck_assert_int_eq(file_write(&f, "bytes", 5, (uint64_t)pos), 0);
	ck_assert_ptr_null(grows);
	ck_assert_ptr_nonnull(f.old_maps);
	ck_assert_mem_eq(file_ptr(&f, (uint64_t)pos), "bytes", 5);
	file_close(&f);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("remote");
	TCase *tc = tcase_create("all");

	tcase_set_timeout(tc, 0);
	tcase_add_test(tc, test_shows_what_was_written);
	tcase_add_test(tc, test_never_shows_it);
	tcase_add_test(tc, test_mapping_replaced_within_a_write);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
