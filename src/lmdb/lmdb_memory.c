/* Memory for long values.
 *
 * LMDB gives a value that is put memory of its own, until the commit has
 * written it; and what is read is copied.  A value of 1 GiB would so need 1
 * GiB, and a daemon with less would be killed.  So the pages of long ones are
 * replaced by those of an unlinked file beside the environment, which the
 * system writes out and takes back as it needs.
 *
 * To the allocator the memory stays what it is: only whole pages within a live
 * block are replaced, and a block of that length is a mapping of its own, which
 * goes as a whole when it is freed. */
#include "lmdb/lmdb_store.h"

#include "base/os.h"

#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The C library maps each block that is longer than this. */
#define BACKED_MIN ((size_t)33 << 20)

static int open_unnamed(const struct lmdb_store *store)
{
	char *path = strdup(store->path);
	int fd;

	if (!path)
		return -1;
	fd = unnamed_file(store->is_dir ? path : dirname(path));
	free(path);
	return fd;
}

void lmdb_back_memory(const struct lmdb_store *store, void *at, size_t len)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	const uintptr_t from = ((uintptr_t)at + page - 1) & ~(page - 1);
	const uintptr_t to = ((uintptr_t)at + len) & ~(page - 1);
	int fd = len >= BACKED_MIN ? open_unnamed(store) : -1;

	if (fd < 0)
		return;
	/* with no room the memory stays what it was */
	if (fallocate(fd, 0, 0, (off_t)(to - from)) == 0)
		(void)!mmap((void *)from, to - from, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_FIXED, fd, 0);
	close(fd);
}

void *lmdb_alloc(const struct lmdb_store *store, size_t len)
{
	void *at = malloc(len + 1);

	if (at)
		lmdb_back_memory(store, at, len);
	return at;
}
