/* Memory for copies of long values.
 *
 * What is read is copied.  A copy of 1 GiB would need as much memory, and a
 * daemon with less would be killed; so the pages of a long one are those of an
 * unlinked file beside the environment, which the system writes out and takes
 * back as it needs.  It is a mapping of its own, which the allocator of the
 * process knows nothing of: its blocks are left alone. */
#include "lmdb/lmdb_store.h"

#include "base/os.h"

#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

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

void *lmdb_alloc(const struct lmdb_store *store, size_t len)
{
	void *at = MAP_FAILED;
	int fd;

	if (len < BACKED_MIN)
		return malloc(len + 1);
	fd = open_unnamed(store);
	if (fd >= 0 && fallocate(fd, 0, 0, (off_t)len) == 0)
		at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fd >= 0)
		close(fd);
	/* no room there */
	if (at == MAP_FAILED)
		at = mmap(NULL, len, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return at == MAP_FAILED ? NULL : at;
}

void lmdb_free(void *at, size_t len)
{
	if (len < BACKED_MIN)
		free(at);
	else if (at)
		munmap(at, len);
}
