/* ordered_dirs.h - directories of an engine that has its keys in order: nothing
 * of them is walked beforehand, and names are listed a page at a time.
 *
 * The engine says what comes behind a name; these are then rows of its struct
 * backend_dirs:
 *
 *   static const struct ordered_dirs mine = { page, cookies };
 *
 *   .list = ordered_list, ...                    all that begin with ordered_
 *   .ordered = &mine,
 *
 * A listing is resumed by a cookie, which is of a name's hash: that of most
 * names that were listed lately is remembered with the name (cookie_cache.h),
 * and so is, for longer, each at which a listing paused: it may be gone when
 * that goes on.  Any other is looked for from the directory's beginning.  The
 * same marks find names that are only known by their hash.
 *
 * Callbacks run with nothing locked.  Errors: as in struct backend_dirs.  Any
 * thread.
 */
#ifndef BLT_ORDERED_DIRS_H
#define BLT_ORDERED_DIRS_H

#include "engine/backend.h"

#define ORDERED_PAGE 512u /* names, about */

/* A name within its directory. */
struct ordered_name {
	bool is_dir;
	bool conflict; /* a file beside a directory of its name */
	size_t at, len;
	struct blt_stat stat; /* a directory: of its marker, else zeros */
};

struct ordered_page {
	struct ordered_name *name;
	size_t n, room;
	uint8_t *bytes; /* the names, at at */
	size_t len;
};

/* Adds one; name is copied. */
int ordered_page_add(struct ordered_page *page, const struct ordered_name *of,
		     const void *name);

/* Behind which name a page begins; begun false: from the first on. */
struct ordered_from {
	bool begun, is_dir;
	size_t len;
	uint8_t name[BLT_KEY_MAX + 1];
};

struct ordered_dirs {
	/* Fills an empty page: 1, there may be more behind it; 0, there are no
	 * more; -ENOENT, no such directory (where from is not begun). */
	int (*page)(struct blt *store, const void *prefix, size_t len,
		    const struct ordered_from *from, struct ordered_page *ret);
	struct cookie_cache *(*cookies)(struct blt *store);
};

int ordered_wait(struct blt *store); /* wait and ready */
int ordered_wait_more(struct blt *store, uint64_t *seen);
bool ordered_complete(struct blt *store);
uint64_t ordered_known(struct blt *store);
/* -ENOTSUP: it takes markers. */
int ordered_hold(struct blt *store, const void *prefix, size_t len, bool held);
int ordered_list(struct blt *store, const void *prefix, size_t len,
		 uint64_t cookie, backend_list_fn *fn, void *arg);
int ordered_find_key(struct blt *store, const void *prefix, size_t len,
		     const struct keyhash *hash, uint8_t **ret_key,
		     size_t *ret_len);
int ordered_find_long(struct blt *store, const void *prefix, size_t len,
		      const struct keyhash *hash, uint8_t **ret_comp,
		      size_t *ret_len);

#endif
