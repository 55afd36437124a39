/* What others change in lower, and what a transaction has read of it.
 *
 * A key that comes or goes is more than a change of that key: of the directory
 * that it is in, where that was listed or found empty; where it brings
 * directories with it, of that which the first of them is in; and of a name
 * that was looked up and was none, where it is the first below it.  A directory
 * that was listed as one of another is known; one more key below it is none of
 * the other's business.
 */
#include "txn/txn.h"

#include "base/array.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CONFLICTS_KEPT 10000

/* The mark is one that the key's change is a conflict for. */
static void conflict(struct txn *t, struct txn_keyset_entry *is,
		     const void *key, size_t len)
{
	if (is->flags & TXN_CONFLICT)
		return;
	is->flags |= TXN_CONFLICT;
	t->n_conflicts++;
	/* one that cannot be named is a conflict all the same */
	if (t->conflicts.n < CONFLICTS_KEPT)
		(void)txn_keys_add(&t->conflicts, key, len);
}

/* The key came: the mark for which that is a conflict, or NULL. */
static struct txn_keyset_entry *find_came(struct txn *t, const uint8_t *key,
					  size_t len)
{
	size_t at = txn_parent_len(t, key, len);
	bool marker = at == len;

	for (;; at = txn_parent_len(t, key, at - 1)) {
		struct keyhash hash = txn_dir_hash(key, at);
		struct txn_keyset_entry *dir = txn_keyset_get(&t->dirs, &hash),
					*name;

		/* a directory that is there gets a marker */
		if (dir && dir->flags & TXN_LISTED && !(marker && at == len))
			return dir;
		if (at == 0 || (dir && dir->flags & (TXN_KNOWN | TXN_LISTED)))
			return NULL;
		name = t->has_dirs ? txn_keyset_get(&t->keys, &hash) : NULL;
		if (name)
			return name;
	}
}

/* The same where it went; a directory goes with its marker. */
static struct txn_keyset_entry *find_went(struct txn *t, const uint8_t *key,
					  size_t len)
{
	size_t at = txn_parent_len(t, key, len);
	struct keyhash hash = txn_dir_hash(key, at);
	struct txn_keyset_entry *dir = txn_keyset_get(&t->dirs, &hash);

	if (at != len || at == 0 || (dir && dir->flags & TXN_LISTED))
		return dir && dir->flags & TXN_LISTED ? dir : NULL;
	if (dir)
		dir->flags &= (uint16_t)~TXN_KNOWN;
	at = txn_parent_len(t, key, at - 1);
	hash = txn_dir_hash(key, at);
	dir = txn_keyset_get(&t->dirs, &hash);
	return dir && dir->flags & TXN_LISTED ? dir : NULL;
}

void txn_on_changed(void *arg, enum listener_event what, const void *key,
		    size_t len)
{
	struct txn *t = arg;
	struct txn_keyset_entry *is = NULL;
	struct keyhash hash;

	pthread_mutex_lock(&t->lock);
	if (t->ended)
		goto out;
	if (!key) {
		t->doomed = true;
		goto out;
	}
	if (t->committing && pthread_equal(t->committer, pthread_self()))
		goto out;
	hash = keyhash_of(key, len);
	is = txn_keyset_get(&t->keys, &hash);
	if (!is && what == LISTENER_CAME)
		is = find_came(t, key, len);
	else if (!is && what == LISTENER_WENT)
		is = find_went(t, key, len);
	if (is)
		conflict(t, is, key, len);
out:
	pthread_mutex_unlock(&t->lock);
}

/* ---- tokens ---- */

static int add_seen(struct txn *t, const void *key, size_t len, bool names,
		    uint64_t token)
{
	uint8_t *copy = malloc(len + 1);

	if (!copy || ARRAY_ROOM(t->seen, t->seen_room, t->n_seen + 1) < 0) {
		free(copy);
		return -ENOMEM;
	}
	if (len)
		memcpy(copy, key, len);
	t->seen[t->n_seen++] = (struct txn_seen){ copy, len, names, token };
	/* cppcheck-suppress memleak ; the list has it */
	return 0;
}

static bool has_token(struct txn *t, const struct txn_keyset *in,
		      const struct keyhash *hash)
{
	const struct txn_keyset_entry *is;
	bool has;

	pthread_mutex_lock(&t->lock);
	is = txn_keyset_get(in, hash);
	has = is && is->flags & TXN_TOKEN;
	pthread_mutex_unlock(&t->lock);
	return has;
}

int txn_see_token(struct txn *t, struct txn_keyset *in,
		  const struct keyhash *hash, const void *key, size_t len)
{
	const struct backend *lower = t->lower->backend;
	struct txn_keyset_entry *is;
	uint64_t token;
	int rc;

	if (!lower->token || has_token(t, in, hash))
		return 0;
	/* Who comes second reads no earlier than the token was asked for. */
	pthread_mutex_lock(&t->see);
	if (has_token(t, in, hash)) {
		pthread_mutex_unlock(&t->see);
		return 0;
	}
	rc = lower->token(t->lower, key, len, in == &t->dirs, &token);
	if (rc == 0)
		rc = add_seen(t, key, len, in == &t->dirs, token);
	if (rc == 0) {
		pthread_mutex_lock(&t->lock);
		rc = txn_keyset_make(in, hash, &is);
		if (rc == 0)
			is->flags |= TXN_TOKEN;
		pthread_mutex_unlock(&t->lock);
	}
	pthread_mutex_unlock(&t->see);
	return rc;
}

int txn_compare(struct txn *t)
{
	const struct backend *lower = t->lower->backend;
	int rc = 0;

	pthread_mutex_lock(&t->see);
	for (size_t i = 0; i < t->n_seen && rc == 0; i++) {
		const struct txn_seen *s = &t->seen[i];
		struct keyhash hash = s->names ?
					      txn_dir_hash(s->bytes, s->len) :
					      keyhash_of(s->bytes, s->len);
		struct txn_keyset_entry *is;
		uint64_t now;

		rc = lower->token(t->lower, s->bytes, s->len, s->names, &now);
		if (rc < 0 || now == s->token)
			continue;
		pthread_mutex_lock(&t->lock);
		is = txn_keyset_get(s->names ? &t->dirs : &t->keys, &hash);
		if (is)
			conflict(t, is, s->bytes, s->len);
		pthread_mutex_unlock(&t->lock);
	}
	pthread_mutex_unlock(&t->see);
	return rc;
}

/* ---- names ---- */

int txn_see_names(struct txn *t, const void *prefix, size_t len)
{
	struct keyhash hash = txn_dir_hash(prefix, len);
	struct txn_keyset_entry *is;
	int rc = txn_see_token(t, &t->dirs, &hash, prefix, len);

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&t->lock);
	rc = txn_keyset_make(&t->dirs, &hash, &is);
	if (rc == 0) {
		rc = !(is->flags & TXN_LISTED);
		is->flags |= TXN_LISTED;
	}
	pthread_mutex_unlock(&t->lock);
	return rc;
}

int txn_see_dir(struct txn *t, const struct keyhash *hash)
{
	struct txn_keyset_entry *is;
	int rc;

	pthread_mutex_lock(&t->lock);
	rc = txn_keyset_make(&t->dirs, hash, &is);
	if (rc == 0)
		is->flags |= TXN_KNOWN;
	pthread_mutex_unlock(&t->lock);
	return rc;
}
