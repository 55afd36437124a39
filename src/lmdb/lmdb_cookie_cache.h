/* lmdb_cookie_cache.h - names of an environment's directories by the cookies of
 * their hashes.
 *
 * A cookie does not say which name it is of.  Remembered are those of the last
 * 65536 or so names that were listed, one a place; and, so that a listing can
 * go on behind a name that has gone, those of the last 1024 at which one
 * paused.
 *
 * Ownership: names are copied.  Any thread.
 */
#ifndef BLT_LMDB_COOKIE_CACHE_H
#define BLT_LMDB_COOKIE_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lmdb_cookie_cache;

struct lmdb_cookie_cache *lmdb_cookie_cache_new(void); /* NULL: no memory */
void lmdb_cookie_cache_free(struct lmdb_cookie_cache *cookies);

/* dir: a hash of the directory.  Without memory it is not remembered. */
void lmdb_cookie_cache_set(struct lmdb_cookie_cache *cookies, uint32_t dir,
			   uint64_t cookie, const uint8_t *name, size_t len);
/* A listing ends here, for now. */
void lmdb_cookie_cache_end(struct lmdb_cookie_cache *cookies, uint32_t dir,
			   uint64_t cookie, const uint8_t *name, size_t len);
/* name has room for the longest there is. */
bool lmdb_cookie_cache_find(struct lmdb_cookie_cache *cookies, uint32_t dir,
			    uint64_t cookie, uint8_t *name, size_t *ret_len);

#endif
