/* txn.h - a transaction, as the files that make it share it.
 *
 * A transaction is an engine behind backend.h, over two others: the store that
 * it shows (lower), and an unlinked store of what was put in it (upper).  A key
 * that was put or deleted here is covered: lower's value of it is not seen any
 * more; what is covered and not in upper is deleted.  txn.c begins,
 * txn_commit.c commits, txn_key.c has single keys and batches, txn_dirs.c and
 * txn_list.c the directories, txn_listener.c what others change.
 *
 * A key that is touched is marked before it is read in lower.  Lower tells of
 * each key that others change (listeners.h); one that is marked is a conflict
 * from then on.  The commit looks for conflicts and makes its changes under one
 * hold of lower's write lock.  A lower that others change from elsewhere has
 * tokens instead: that of each key, or listing, is asked for before it is read,
 * and compared by the commit, which then names those that have changed.
 *
 * Locks, in their order: change, held through each change and the commit; see;
 * then those of lower and upper; lock, a leaf, which a commit of lower takes as
 * well.
 */
#ifndef BLT_TXN_H
#define BLT_TXN_H

#include "engine/backend.h"
#include "txn/txn_keyset.h"

#include <pthread.h>
#include <string.h>

enum {
	TXN_WHITEOUT = 1, /* a key: lower's is not seen */
	TXN_DELETED = 2,  /* a key: stands in the list of those */
	TXN_CONFLICT = 4, /* a key: others have changed it */
	TXN_GONE = 8,     /* a directory: all that lower has in it is covered */
	TXN_LISTED = 16,  /* a directory: which names are in it was looked at */
	TXN_KNOWN = 32,   /* a directory: lower's, and its own was listed */
	TXN_TOKEN = 64,   /* either: stands in seen */
};

struct txn_key {
	uint8_t *bytes;
	size_t len;
};

struct txn_keys {
	struct txn_key *key;
	size_t n, room;
};

/* What was looked at, in a lower that has tokens (backend.h). */
struct txn_seen {
	uint8_t *bytes;
	size_t len;
	bool names; /* a directory, by its prefix */
	uint64_t token;
};

struct txn {
	struct blt face;
	struct blt *lower, *upper;
	struct listener listener;
	int64_t began;
	bool has_times;
	pthread_mutex_t change;
	bool flat, has_dirs; /* change and lock; fixed once has_dirs is set */
	pthread_mutex_t lock;
	struct txn_keyset keys; /* lock, as all below */
	struct txn_keyset dirs; /* by txn_dir_hash: count is that of lower's
				 * entries directly in it with a whiteout */
	pthread_mutex_t see;    /* in front of lock: who asks for a token */
	struct txn_seen *seen;  /* see, as these; NULL: lower has none */
	size_t n_seen, seen_room;
	struct txn_keys deleted;   /* may be there again, or not in lower */
	struct txn_keys conflicts; /* the first CONFLICTS_KEPT */
	uint64_t n_conflicts;
	bool doomed; /* which key has changed is not known */
	bool ended;
	bool committing; /* by this thread, whose changes count for none */
	pthread_t committer;
};

static inline struct txn *txn_of(const struct blt *face)
{
	return (struct txn *)(uintptr_t)face;
}

int txn_keys_add(struct txn_keys *k, const void *bytes, size_t len);
void txn_keys_clear(struct txn_keys *k);

/* Remembers that the key was touched: before lower is asked for it.  0,
 * -ESTALE, -ENOMEM. */
int txn_see(struct txn *t, const void *key, size_t len);
bool txn_has_whiteout(struct txn *t, const struct keyhash *hash);

/* It is committed or aborted: reads that do not call txn_see fail, too. */
bool txn_has_ended(struct txn *t);

/* Remembers lower's token of a key (in: keys), or of the names in a directory
 * (dirs), once. */
int txn_see_token(struct txn *t, struct txn_keyset *in,
		  const struct keyhash *hash, const void *key, size_t len);
/* Those whose token is another one by now become conflicts. */
int txn_compare(struct txn *t);

/* What lower tells of others: a row of listeners.h.  Its lock is held. */
void txn_on_changed(void *arg, enum listener_event what, const void *key,
		    size_t len);

/* Which names are in a directory is looked at: before lower is asked.  1 where
 * that is new, 0, -ENOMEM. */
int txn_see_names(struct txn *t, const void *prefix, size_t len);
/* One of the names is a directory of lower's, of that txn_dir_hash. */
int txn_see_dir(struct txn *t, const struct keyhash *hash);

/* What a directory is marked under: the hash of its prefix without the last
 * '/', of the root one that no prefix has. */
static inline struct keyhash txn_dir_hash(const void *prefix, size_t len)
{
	return len ? keyhash_of(prefix, len - 1) : keyhash_of("/", 1);
}

/* The length of the prefix of the directory that a key is in. */
static inline size_t txn_parent_len(const struct txn *t, const void *key,
				    size_t len)
{
	const uint8_t *slash = t->flat || !len ? NULL : memrchr(key, '/', len);

	return slash ? (size_t)(slash - (const uint8_t *)key) + 1 : 0;
}

/* The key is covered from now on; change is held. */
void txn_add_whiteout(struct txn *t, const void *key, size_t len);

/* As lower has it, or upper: a source, for as long as the view is held. */
struct blt_source txn_source(const struct blt_view *view);

/* Of a key in the list of those: it has not been put again. */
bool txn_is_deleted(struct txn *t, const struct txn_key *key);

/* ---- the rows of the table ---- */

int txn_get(struct blt *face, const void *key, size_t len,
	    struct blt_view *ret);
int64_t txn_get_part(struct blt *face, const void *key, size_t len, void *to,
		     size_t n, uint64_t offset);
int txn_stat_key(struct blt *face, const void *key, size_t len,
		 struct blt_stat *ret);
int txn_put(struct blt *face, const void *key, size_t key_len,
	    const void *value, size_t value_len, int64_t timestamp);
int txn_put_from(struct blt *face, const void *key, size_t key_len,
		 const struct blt_source *source, int64_t timestamp);
int txn_delete(struct blt *face, const void *key, size_t len);
int txn_touch(struct blt *face, const void *key, size_t len, int64_t timestamp);
int txn_commit_ops(struct blt *face, struct backend_op *first);

/* lower has the key, which has just been covered; change is held. */
void txn_dirs_whiteout(struct txn *t, const void *key, size_t len, bool marker);
static inline const struct backend_dirs *txn_dirs_of(struct blt *store)
{
	return store->backend->dirs;
}

/* Whether all is covered that lower has in a directory of that txn_dir_hash. */
bool txn_is_gone(struct txn *t, const struct keyhash *hash);
/* Whether lower's marker of a directory, if there is one, is not covered. */
bool txn_marker_seen(struct txn *t, const void *prefix, size_t len);

extern const struct backend_dirs txn_dirs;
int txn_find_dir(struct blt *face, const void *prefix, size_t len,
		 bool *ret_marked);
int txn_list(struct blt *face, const void *prefix, size_t len, uint64_t cookie,
	     backend_list_fn *fn, void *arg);
/* The same where it does not count as a look at the names. */
int txn_list_now(struct blt *face, const void *prefix, size_t len,
		 uint64_t cookie, backend_list_fn *fn, void *arg);

#endif
