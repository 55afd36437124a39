/* The directories of a transaction: upper's, and of lower's those in which not
 * everything is covered.
 *
 * What lower has in a directory is counted as it is covered.  Where as much is
 * covered as there is, one look at all of it tells whether that is so (others
 * may have changed lower meanwhile); then the directory is gone, for its own
 * directory one more entry that is covered.  Nothing covered is ever uncovered.
 */
#include "txn/txn.h"

#include "base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool txn_is_gone(struct txn *t, const struct keyhash *hash)
{
	struct txn_keyset_entry *is;
	bool gone;

	pthread_mutex_lock(&t->lock);
	is = txn_keyset_get(&t->dirs, hash);
	gone = is && is->flags & TXN_GONE;
	pthread_mutex_unlock(&t->lock);
	return gone;
}

/* ---- which of lower's directories are seen ---- */

static int stop_at_seen(void *arg, const struct backend_entry *e)
{
	struct txn *t = arg;
	bool hidden = e->is_dir ? txn_is_gone(t, &e->hash) :
				  txn_has_whiteout(t, &e->hash);

	return hidden ? 0 : -EEXIST;
}

/* 1 where something of lower's is seen in it: a look at all of it. */
static int any_seen(struct txn *t, const void *prefix, size_t len)
{
	int rc = txn_dirs_of(t->lower)->list(t->lower, prefix, len, 0,
					     stop_at_seen, t);

	return rc == -EEXIST ? 1 : rc == -ENOENT ? 0 : rc;
}

struct seen {
	struct txn *t;
	uint64_t n, subdirs;
};

static int count_seen(void *arg, const struct backend_entry *e)
{
	struct seen *s = arg;

	if (stop_at_seen(s->t, e) == 0)
		return 0;
	s->subdirs += e->is_dir;
	return ++s->n == 2;
}

/* Facts that do not count all: what is seen, up to two. */
static int look_for_two(struct txn *t, const void *prefix, size_t len,
			struct blt_dir_facts *f)
{
	struct seen s = { .t = t };
	int rc = txn_dirs_of(t->lower)->list(t->lower, prefix, len, 0,
					     count_seen, &s);

	f->entries = s.n;
	f->subdirs = s.subdirs;
	return rc == -ENOENT ? 0 : rc;
}

bool txn_marker_seen(struct txn *t, const void *prefix, size_t len)
{
	struct keyhash hash = keyhash_of(prefix, len);

	return !txn_has_whiteout(t, &hash);
}

/* As lower's facts, of what is seen: 1, 0 or an error. */
static int base_facts(struct txn *t, const void *prefix, size_t len,
		      struct blt_dir_facts *ret)
{
	struct blt_dir_facts f;
	struct keyhash hash;
	struct txn_keyset_entry is = { 0 }, *found;
	int rc = txn_dirs_of(t->lower)->facts(t->lower, prefix, len, &f);

	if (rc <= 0)
		return rc;
	hash = txn_dir_hash(prefix, len);
	pthread_mutex_lock(&t->lock);
	found = txn_keyset_get(&t->dirs, &hash);
	if (found)
		is = *found;
	pthread_mutex_unlock(&t->lock);
	f.marked = f.marked && txn_marker_seen(t, prefix, len);
	if (!found || txn_dirs_of(t->lower)->by_cookie)
		f.entries = f.entries > is.count ? f.entries - is.count : 0;
	else
		rc = look_for_two(t, prefix, len, &f);
	if (rc < 0)
		return rc;
	*ret = f;
	if (!found || len == 0 || f.entries > 0 || f.marked)
		return 1;
	return is.flags & TXN_GONE ? 0 : any_seen(t, prefix, len);
}

/* One more of what is directly in it is covered.  Without memory for that the
 * directory is seen for longer than it should be. */
static void count(struct txn *t, const void *prefix, size_t len)
{
	struct keyhash hash = txn_dir_hash(prefix, len);
	struct txn_keyset_entry *is;

	pthread_mutex_lock(&t->lock);
	if (txn_keyset_make(&t->dirs, &hash, &is) == 0)
		is->count++;
	pthread_mutex_unlock(&t->lock);
}

static bool set_gone(struct txn *t, const void *prefix, size_t len)
{
	struct keyhash hash = txn_dir_hash(prefix, len);
	struct txn_keyset_entry *is;
	bool news = false;

	pthread_mutex_lock(&t->lock);
	if (txn_keyset_make(&t->dirs, &hash, &is) == 0) {
		news = !(is->flags & TXN_GONE);
		is->flags |= TXN_GONE;
	}
	pthread_mutex_unlock(&t->lock);
	return news;
}

/* Nothing of lower's may be seen in it any more. */
static void settle(struct txn *t, const uint8_t *prefix, size_t len)
{
	while (len > 0) {
		struct keyhash hash = txn_dir_hash(prefix, len);
		struct blt_dir_facts f;
		struct txn_keyset_entry *is;
		uint64_t covered;

		if (txn_dirs_of(t->lower)->facts(t->lower, prefix, len, &f) !=
		    1)
			return;
		pthread_mutex_lock(&t->lock);
		is = txn_keyset_get(&t->dirs, &hash);
		covered = is ? is->count : 0;
		pthread_mutex_unlock(&t->lock);
		if (f.entries > covered ||
		    (f.marked && txn_marker_seen(t, prefix, len)) ||
		    any_seen(t, prefix, len) != 0 || !set_gone(t, prefix, len))
			return;
		len = txn_parent_len(t, prefix, len - 1);
		count(t, prefix, len);
	}
}

void txn_dirs_whiteout(struct txn *t, const void *key, size_t len, bool marker)
{
	size_t prefix_len = txn_parent_len(t, key, len);

	if (!t->has_dirs)
		return;
	if (prefix_len < len || !marker)
		count(t, key, prefix_len);
	settle(t, key, prefix_len);
}

/* ---- the rows ---- */

static int start(struct blt *face, bool flat)
{
	struct txn *t = txn_of(face);
	int rc = txn_dirs_of(t->lower)->start(t->lower, flat);

	if (rc == 0)
		rc = txn_dirs_of(t->upper)->start(t->upper, flat);
	if (rc == 0)
		rc = txn_dirs_of(t->lower)->wait(t->lower);
	if (rc == 0)
		rc = txn_dirs_of(t->upper)->wait(t->upper);
	pthread_mutex_lock(&t->change);
	pthread_mutex_lock(&t->lock);
	if (rc == 0 && !t->has_dirs) {
		t->flat = flat;
		t->has_dirs = true;
	}
	pthread_mutex_unlock(&t->lock);
	pthread_mutex_unlock(&t->change);
	return rc;
}

static int wait(struct blt *face)
{
	return txn_dirs_of(txn_of(face)->lower)->wait(txn_of(face)->lower);
}

static int wait_more(struct blt *face, uint64_t *seen)
{
	struct blt *lower = txn_of(face)->lower;

	return txn_dirs_of(lower)->wait_more(lower, seen);
}

static int ready(struct blt *face)
{
	return txn_dirs_of(txn_of(face)->lower)->ready(txn_of(face)->lower);
}

static bool complete(struct blt *face)
{
	return txn_dirs_of(txn_of(face)->lower)->complete(txn_of(face)->lower);
}

static uint64_t known(struct blt *face)
{
	struct txn *t = txn_of(face);

	return txn_dirs_of(t->lower)->known(t->lower) +
	       txn_dirs_of(t->upper)->known(t->upper);
}

bool txn_has_ended(struct txn *t)
{
	bool ended;

	pthread_mutex_lock(&t->lock);
	ended = t->ended;
	pthread_mutex_unlock(&t->lock);
	return ended;
}

int txn_find_dir(struct blt *face, const void *prefix, size_t len,
		 bool *ret_marked)
{
	struct txn *t = txn_of(face);
	struct blt_dir_facts f = { 0 };
	bool marked = false;
	int up, down;

	if (txn_has_ended(t))
		return -ESTALE;
	up = txn_dirs_of(t->upper)->find(t->upper, prefix, len, &marked);
	if (up < 0)
		return up;
	down = base_facts(t, prefix, len, &f);
	if (down < 0 || (!up && !down))
		return down;
	*ret_marked = (up && marked) || (down && f.marked);
	return 1;
}

struct counting {
	uint64_t n, enough;
};

static int count_entry(void *arg, const struct backend_entry *e)
{
	struct counting *c = arg;

	(void)e;
	return ++c->n == c->enough;
}

/* A directory that is in both is counted twice at first; where that could make
 * a difference to whether there are two at all, one looks. */
static int facts_now(struct blt *face, const void *prefix, size_t len,
		     struct blt_dir_facts *ret)
{
	struct txn *t = txn_of(face);
	struct blt_dir_facts above = { 0 }, below = { 0 };
	struct counting c = { .enough = 2 };
	uint64_t twice;
	int up, down, rc;

	up = txn_dirs_of(t->upper)->facts(t->upper, prefix, len, &above);
	if (up < 0)
		return up;
	down = base_facts(t, prefix, len, &below);
	if (down < 0 || (!up && !down))
		return down;
	if (!down)
		below = (struct blt_dir_facts){ 0 };
	twice = min_u64(above.subdirs, min_u64(below.subdirs, below.entries));
	*ret = (struct blt_dir_facts){
		.entries = above.entries + below.entries - twice,
		.subdirs = max_u64(above.subdirs, below.subdirs),
		.marked = above.marked || below.marked,
	};
	if (ret->entries > 1)
		return 1;
	rc = txn_list_now(face, prefix, len, 0, count_entry, &c);
	ret->entries = c.n;
	return rc < 0 ? rc : 1;
}

/* One that is empty was looked into. */
static int facts(struct blt *face, const void *prefix, size_t len,
		 struct blt_dir_facts *ret)
{
	struct txn *t = txn_of(face);
	int rc, news;

	do {
		if (txn_has_ended(t))
			return -ESTALE;
		rc = facts_now(face, prefix, len, ret);
		if (rc <= 0 || ret->entries)
			return rc;
		news = txn_see_names(t, prefix, len);
	} while (news > 0);
	return news < 0 ? news : rc;
}

static int find_key(struct blt *face, const void *prefix, size_t len,
		    const struct keyhash *hash, uint8_t **ret_key,
		    size_t *ret_len)
{
	struct txn *t = txn_of(face);
	int rc = txn_dirs_of(t->upper)->find_key(t->upper, prefix, len, hash,
						 ret_key, ret_len);

	if (rc != -ENOENT || txn_has_whiteout(t, hash))
		return rc;
	return txn_dirs_of(t->lower)->find_key(t->lower, prefix, len, hash,
					       ret_key, ret_len);
}

static int find_long(struct blt *face, const void *prefix, size_t len,
		     const struct keyhash *hash, uint8_t **ret_comp,
		     size_t *ret_len)
{
	struct txn *t = txn_of(face);
	int rc = txn_dirs_of(t->upper)->find_long(t->upper, prefix, len, hash,
						  ret_comp, ret_len);

	if (rc != 0 || txn_is_gone(t, hash))
		return rc;
	return txn_dirs_of(t->lower)->find_long(t->lower, prefix, len, hash,
						ret_comp, ret_len);
}

static int hold(struct blt *face, const void *prefix, size_t len, bool held)
{
	struct txn *t = txn_of(face);
	int rc;

	pthread_mutex_lock(&t->change);
	rc = txn_dirs_of(t->upper)->hold(t->upper, prefix, len, held);
	if (rc == 0 && !held)
		settle(t, prefix, len);
	pthread_mutex_unlock(&t->change);
	return rc;
}

const struct backend_dirs txn_dirs = {
	.start = start,
	.wait = wait,
	.wait_more = wait_more,
	.ready = ready,
	.complete = complete,
	.known = known,
	.find = txn_find_dir,
	.facts = facts,
	.find_key = find_key,
	.find_long = find_long,
	.list = txn_list,
	.hold = hold,
};
