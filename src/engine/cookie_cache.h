/* cookie_cache.h - the names of directories by their cookies: of a listing, a
 * hash of the name, so that the listing goes on when its directory is renamed;
 * of a long name, also the hash of its key.
 *
 * A cookie does not say which name it is of.  Remembered are those of the last
 * 65536 or so names that were listed, one a place; and, so that a listing can
 * go on behind a name that has gone, those of the last 1024 at which one
 * paused.
 *
 * Ownership: names are copied.  Any thread.
 */
#ifndef BLT_COOKIE_CACHE_H
#define BLT_COOKIE_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cookie_cache;

struct cookie_cache *cookie_cache_new(void); /* NULL: no memory */
void cookie_cache_free(struct cookie_cache *cookies);

/* dir: a hash of the directory, 0 for any.  Without memory it is not
 * remembered. */
void cookie_cache_set(struct cookie_cache *cookies, uint32_t dir,
		      uint64_t cookie, const uint8_t *name, size_t len);
/* A listing ends here, for now. */
void cookie_cache_end(struct cookie_cache *cookies, uint32_t dir,
		      uint64_t cookie, const uint8_t *name, size_t len);
/* name has room for the longest there is. */
bool cookie_cache_find(struct cookie_cache *cookies, uint32_t dir,
		       uint64_t cookie, uint8_t *name, size_t *ret_len);

#endif
