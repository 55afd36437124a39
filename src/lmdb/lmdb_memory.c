/* Memory for copies of long values.
 *
 * What is read is copied.  A copy of 1 GiB would need as much memory, and a
 * daemon with less would be killed; so the pages of a long one are those of an
 * unlinked file beside the environment, which the system writes out and takes
 * back as it needs.  It is a mapping of its own, which the allocator of the
 * process knows nothing of: its blocks are left alone. */
#include "lmdb/lmdb_store.h"

#include "base/os.h"

#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define BACKED_MIN ((size_t)33 << 20)

void *lmdb_alloc(const struct lmdb_store *store, size_t len)
{
	char *path;
	void *at;

	if (len < BACKED_MIN)
		return malloc(len + 1);
	path = strdup(store->path);
	if (!path)
		return NULL;
	at = unnamed_map(store->is_dir ? path : dirname(path), len);
	free(path);
	return at;
}

void lmdb_free(void *at, size_t len)
{
	if (len < BACKED_MIN)
		free(at);
	else if (at)
		munmap(at, len);
}
