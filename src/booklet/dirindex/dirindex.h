/* dirindex.h - the directories that a store's keys imply.
 *
 * A directory is named by its prefix: the key bytes up to and including the
 * last '/', "" for the root.  Its entries are the keys that hold no further
 * '/' behind the prefix, and the directories one level below.  Names are not
 * kept for keys: an entry is the 8-byte position of its block, and the source
 * (the store) reads the key back when it is listed or moved.
 *
 * A key that ends in '/' with the value of a marker (marker.h; the caller says
 * so) holds its directory in being and is no entry.  With another value it is
 * an entry, of an empty name, of that directory.
 *
 * Entries of one directory stand in the order of their cookies: the first 62
 * bits of the hash of the key (of the prefix without its last '/', for a
 * directory), then one bit that tells a directory from a key.  A cookie does
 * not change while its entry lives, overwritten or not, so a listing that
 * resumes behind a cookie meets every entry that stays exactly once.
 *
 * Calling sequence: dirindex_new; the writer's hooks (add, move, remove) from
 * then on, and beside them one walk of the blocks that were there before, which
 * calls dirindex_add for each live one and dirindex_complete at its end.
 *
 * Threads: all functions lock inside.  The source is called with the tree's
 * lock held, so it must not call back into the tree.  The hooks of one key
 * must come in the order of its changes (the store's write lock sees to it).
 *
 * Errors: -ENOMEM leaves the tree as it was, but the entry is missing from
 * then on: the tree remembers that, and lookups and lists return it.
 */
#ifndef BLT_DIRINDEX_H
#define BLT_DIRINDEX_H

#include "booklet/format/keyhash.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dirindex;

/* How the tree reads what an entry points at. */
struct dirindex_source {
	/* The key of the block at pos: borrowed until the next call on the same
	 * thread, or until the lock that dirindex_list holds is dropped. */
	int (*read_key)(void *arg, uint64_t pos, const uint8_t **ret_key,
			size_t *ret_len, struct keyhash *ret_hash);
	/* Optional: these will be read next, in this order. */
	void (*fetch)(void *arg, const uint64_t *pos, size_t n);
	void *arg;
};

/* One thing in a directory, as dirindex_list hands it out; all pointers are
 * borrowed for the call. */
struct dirindex_entry {
	bool is_dir;
	uint64_t cookie;
	const uint8_t *comp; /* the component behind the prefix; a directory's
			      * without its '/' */
	size_t comp_len;
	uint64_t pos;  /* the key's block; of a directory its marker's, or 0 */
	bool conflict; /* a key beside a directory of the same name */
	struct keyhash hash; /* of the key up to and including the component */
};

/* Return 0 to go on, 1 to stop in front of this entry (it is met again when
 * the listing resumes with the cookie before it), negative to fail. */
typedef int dirindex_list_fn(void *arg, const struct dirindex_entry *entry);

/* flat: no directory but the root, '/' is a byte like any other. */
int dirindex_new(const struct dirindex_source *source, bool flat,
		 struct dirindex **ret);
void dirindex_free(struct dirindex *t);

bool dirindex_is_flat(const struct dirindex *t);

/* A live block of a new key at pos.  Adding a position that is there is no
 * error and changes nothing. */
int dirindex_add(struct dirindex *t, const void *key, size_t len, uint64_t pos,
		 bool marker_value);

/* The key's block is now at to instead of from.  A from that is not there is
 * one the walk has not met: then this is dirindex_add. */
int dirindex_move(struct dirindex *t, const void *key, size_t len,
		  uint64_t from, uint64_t to, bool marker_value);

/* Holds a directory in being though nothing is in it, or lets it go. */
int dirindex_hold(struct dirindex *t, const void *prefix, size_t len,
		  bool held);

/* The key is gone.  Directories that hold nothing any more, and that have no
 * marker, go with it. */
int dirindex_remove(struct dirindex *t, const void *key, size_t len,
		    uint64_t pos);

/* What these say of a key, at from, that becomes another (which was at over, 0:
 * was not), at pos, with change called in between: no key is read meanwhile.
 * Where change fails nothing else is done, and its error returned. */
struct dirindex_rename {
	const void *key, *to;
	size_t key_len, to_len;
	uint64_t from, over, pos;
};
int dirindex_rename(struct dirindex *t, const struct dirindex_rename *r,
		    int (*change)(void *arg), void *arg);

/* The walk has met more: dirindex_wait_more returns. */
void dirindex_advance(struct dirindex *t);

/* The walk has ended (err 0), or has failed: waiting calls return. */
void dirindex_complete(struct dirindex *t, int err);

/* Waits until the walk has advanced since *seen, which becomes where it is (0
 * before the first call), or has ended: 1 or 0, or its err. */
int dirindex_wait_more(struct dirindex *t, uint64_t *seen);

/* Waits for dirindex_complete; returns its err. */
int dirindex_wait(struct dirindex *t);

/* What dirindex_wait would return; -EAGAIN: it would wait. */
int dirindex_ready(struct dirindex *t);
/* Whether the walk has ended well. */
bool dirindex_is_complete(struct dirindex *t);

/* Facts on one directory. */
struct dirindex_dir {
	uint64_t entries; /* keys and directories directly in it */
	uint64_t subdirs; /* of these, directories */
	uint64_t marker;  /* position of the marker's block, or 0 */
};

/* 1 and *ret (which may be NULL) where the directory is known, 0 where it is
 * not (before dirindex_complete: not yet), or the error of a failed tree. Never
 * waits. */
int dirindex_find(struct dirindex *t, const void *prefix, size_t len,
		  struct dirindex_dir *ret);

/* The component of the directory below prefix whose hash up to and including
 * the component (without '/') is *hash: 1 with *ret_comp malloc'd, or 0. */
int dirindex_find_long(struct dirindex *t, const void *prefix, size_t len,
		       const struct keyhash *hash, uint8_t **ret_comp,
		       size_t *ret_len);

/* Calls fn for the entries behind cookie (0: from the start) in order.  Never
 * waits for the walk: the caller does.  -ENOENT for no such directory. */
int dirindex_list(struct dirindex *t, const void *prefix, size_t len,
		  uint64_t cookie, dirindex_list_fn *fn, void *arg);

/* ---- order ----
 *
 * The entries of one directory sorted by their components as bytes (a key in
 * front of the directory of the same component), by position.  The first of
 * these calls for a directory reads all of its components, in slices between
 * which others may change the tree; from then on the order is kept up with each
 * change until the directory goes.  They do not wait for the walk: the caller
 * does.  -ENOENT: no such directory.
 */
int dirindex_order_count(struct dirindex *t, const void *prefix, size_t len,
			 uint64_t *ret);

struct dirindex_place {
	const uint8_t *comp; /* borrowed for the call */
	size_t comp_len;
	bool is_dir;
};

/* Returns 0 to go on, else what dirindex_order_at is to return. */
typedef int dirindex_order_fn(void *arg, const struct dirindex_place *place);

/* Calls fn for up to n entries from position at on, with the tree's lock held:
 * n is to be small. */
int dirindex_order_at(struct dirindex *t, const void *prefix, size_t len,
		      uint64_t at, uint64_t n, dirindex_order_fn *fn,
		      void *arg);

/* How many entries stand in front of those of a component; 1: there are such,
 * 0: there are not. */
int dirindex_order_find(struct dirindex *t, const void *prefix, size_t len,
			const void *comp, size_t comp_len, uint64_t *ret);

/* Bytes of memory held, and the keys and directories known. */
struct dirindex_stats {
	uint64_t bytes;
	uint64_t keys; /* markers not counted */
	uint64_t dirs; /* the root counted */
};
void dirindex_stats(struct dirindex *t, struct dirindex_stats *ret);

#endif
