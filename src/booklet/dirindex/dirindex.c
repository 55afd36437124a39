/* dirindex.c - see dirindex.h; directories are dirindex_dir.c's, their entries
 * dirindex_page.c's, listings dirindex_list.c's, their order
 * dirindex_order.c's.
 */
#include "booklet/dirindex/dirindex_dir.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static int init_lock(pthread_rwlock_t *lock)
{
	pthread_rwlockattr_t attr;
	int err;

	pthread_rwlockattr_init(&attr);
	/* listings that follow each other must not keep the writer out */
	pthread_rwlockattr_setkind_np(
		&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	err = pthread_rwlock_init(lock, &attr);
	pthread_rwlockattr_destroy(&attr);
	return -err;
}

int dirindex_new(const struct dirindex_source *source, bool flat,
		 struct dirindex **ret)
{
	struct dirindex *t = calloc(1, sizeof(*t));
	int err;

	if (!t)
		return -ENOMEM;
	t->source = *source;
	t->flat = flat;
	if (getrandom(&t->seed, sizeof(t->seed), GRND_NONBLOCK) < 0)
		t->seed = (uintptr_t)t;
	t->seed |= 1;
	err = init_lock(&t->lock);
	if (err)
		goto fail;
	pthread_mutex_init(&t->order_lock, NULL);
	pthread_mutex_init(&t->wait_lock, NULL);
	pthread_cond_init(&t->wait_cond, NULL);
	err = dirs_init(t);
	if (err) {
		dirindex_free(t);
		return err;
	}
	*ret = t;
	return 0;
fail:
	free(t);
	return err;
}

void dirindex_free(struct dirindex *t)
{
	if (!t)
		return;
	dirs_release(t);
	pthread_cond_destroy(&t->wait_cond);
	pthread_mutex_destroy(&t->wait_lock);
	pthread_mutex_destroy(&t->order_lock);
	pthread_rwlock_destroy(&t->lock);
	free(t);
}

/* A key as the tree sees it. */
struct place {
	const uint8_t *key;
	size_t len;
	size_t prefix_len;
	uint64_t word;
	bool marker;
};

static struct place place_of(const struct dirindex *t, const void *key,
			     size_t len, bool marker_value)
{
	struct place p = { .key = key, .len = len };
	struct keyhash h = keyhash_of(key, len);
	const uint8_t *slash =
		t->flat || len == 0 ? NULL : memrchr(key, '/', len);

	if (slash)
		p.prefix_len = (size_t)(slash - p.key) + 1;
	p.word = keyhash_word(&h);
	p.marker = slash && p.prefix_len == len && marker_value;
	return p;
}

/* An entry comes to be, goes, or has another block. */
static int entry_add(struct dirindex *t, struct dir *d, const struct place *p,
		     uint64_t pos)
{
	int err = pages_insert(t, d, p->word, pos);

	if (err)
		return err;
	dir_order_add(t, d, p->key + p->prefix_len, p->len - p->prefix_len,
		      pos);
	t->keys++;
	return 0;
}

static void entry_remove(struct dirindex *t, struct dir *d,
			 const struct place *p, uint64_t pos)
{
	if (!pages_remove(t, d, p->word, pos))
		return;
	dir_order_remove(t, d, p->key + p->prefix_len, p->len - p->prefix_len,
			 pos);
	t->keys--;
}

static void entry_move(struct dirindex *t, struct dir *d, const struct place *p,
		       uint64_t *entry, uint64_t from, uint64_t to)
{
	*entry = (*entry & ~REF_MASK) | to;
	dir_order_move(t, d, p->key + p->prefix_len, p->len - p->prefix_len,
		       from, to);
}

static int add_locked(struct dirindex *t, const struct place *p, uint64_t pos)
{
	uint32_t number;
	struct dir *d;
	int err;

	err = dirs_make(t, p->key, p->prefix_len, &number);
	if (err)
		goto out;
	d = dir_at(t, number);
	if (p->marker) {
		d->marker = pos;
		return 0;
	}
	if (pages_find(d, p->word, pos))
		return 0;
	err = entry_add(t, d, p, pos);
	if (err)
		dirs_drop_empty(t, number);
out:
	if (err)
		atomic_store(&t->failed, err);
	return err;
}

int dirindex_add(struct dirindex *t, const void *key, size_t len, uint64_t pos,
		 bool marker_value)
{
	struct place p = place_of(t, key, len, marker_value);
	int err;

	pthread_rwlock_wrlock(&t->lock);
	err = add_locked(t, &p, pos);
	pthread_rwlock_unlock(&t->lock);
	return err;
}

/* An entry that turns into its directory's marker, or back. */
static int turn(struct dirindex *t, struct dir *d, const struct place *p,
		uint64_t from, uint64_t to)
{
	int err;

	if (p->marker) {
		d->marker = to;
		entry_remove(t, d, p, from);
		return 0;
	}
	err = entry_add(t, d, p, to);
	if (err) {
		atomic_store(&t->failed, err);
		return err;
	}
	d->marker = 0;
	return 0;
}

static int move_locked(struct dirindex *t, const struct place *p, uint64_t from,
		       uint64_t to)
{
	uint32_t number = dirs_find(t, p->key, p->prefix_len);
	struct dir *d;
	uint64_t *e;

	if (number == NO_DIR || from == 0)
		return add_locked(t, p, to);
	d = dir_at(t, number);
	e = pages_find(d, p->word, from);
	if (e && p->marker)
		return turn(t, d, p, from, to);
	if (e) {
		entry_move(t, d, p, e, from, to);
		return 0;
	}
	if (d->marker == from && !p->marker)
		return turn(t, d, p, from, to);
	return add_locked(t, p, to);
}

int dirindex_move(struct dirindex *t, const void *key, size_t len,
		  uint64_t from, uint64_t to, bool marker_value)
{
	struct place p = place_of(t, key, len, marker_value);
	int err;

	pthread_rwlock_wrlock(&t->lock);
	err = move_locked(t, &p, from, to);
	pthread_rwlock_unlock(&t->lock);
	return err;
}

int dirindex_hold(struct dirindex *t, const void *prefix, size_t len, bool held)
{
	uint32_t number;
	int err = 0;

	pthread_rwlock_wrlock(&t->lock);
	number = dirs_find(t, prefix, len);
	if (number == NO_DIR && held)
		err = dirs_make(t, prefix, len, &number);
	if (!err && number != NO_DIR) {
		dir_at(t, number)->held = held;
		dirs_drop_empty(t, number);
	}
	pthread_rwlock_unlock(&t->lock);
	return err;
}

static void remove_locked(struct dirindex *t, const void *key, size_t len,
			  uint64_t pos)
{
	struct place p = place_of(t, key, len, false);
	uint32_t number = dirs_find(t, p.key, p.prefix_len);
	struct dir *d;

	if (number == NO_DIR || pos == 0)
		return;
	d = dir_at(t, number);
	if (p.prefix_len == len && d->marker == pos)
		d->marker = 0;
	else
		entry_remove(t, d, &p, pos);
	dirs_drop_empty(t, number);
}

int dirindex_remove(struct dirindex *t, const void *key, size_t len,
		    uint64_t pos)
{
	pthread_rwlock_wrlock(&t->lock);
	remove_locked(t, key, len, pos);
	pthread_rwlock_unlock(&t->lock);
	return 0;
}

int dirindex_rename(struct dirindex *t, const struct dirindex_rename *r,
		    int (*change)(void *arg), void *arg)
{
	struct place old = place_of(t, r->key, r->key_len, false);
	struct place p = place_of(t, r->to, r->to_len, false);
	int err;

	pthread_rwlock_wrlock(&t->lock);
	/* Before the change, since what looks for it, and the other, may want
	 * to read the keys of what is there. */
	remove_locked(t, r->key, r->key_len, r->from);
	err = change(arg);
	if (err)
		(void)add_locked(t, &old, r->from);
	else
		(void)move_locked(t, &p, r->over, r->pos);
	pthread_rwlock_unlock(&t->lock);
	return err;
}

bool dirindex_is_flat(const struct dirindex *t)
{
	return t->flat;
}

void dirindex_advance(struct dirindex *t)
{
	pthread_mutex_lock(&t->wait_lock);
	t->advances++;
	pthread_cond_broadcast(&t->wait_cond);
	pthread_mutex_unlock(&t->wait_lock);
}

int dirindex_wait_more(struct dirindex *t, uint64_t *seen)
{
	bool complete;

	pthread_mutex_lock(&t->wait_lock);
	while (!atomic_load(&t->complete) && t->advances == *seen)
		pthread_cond_wait(&t->wait_cond, &t->wait_lock);
	complete = atomic_load(&t->complete);
	*seen = t->advances;
	pthread_mutex_unlock(&t->wait_lock);
	return complete ? dirindex_fault(t) : 1;
}

void dirindex_complete(struct dirindex *t, int err)
{
	pthread_mutex_lock(&t->wait_lock);
	atomic_store(&t->walk_err, err);
	atomic_store(&t->complete, true);
	pthread_cond_broadcast(&t->wait_cond);
	pthread_mutex_unlock(&t->wait_lock);
}

int dirindex_fault(struct dirindex *t)
{
	int err = atomic_load(&t->failed);

	if (!err && atomic_load(&t->complete))
		err = atomic_load(&t->walk_err);
	return err;
}

int dirindex_wait(struct dirindex *t)
{
	if (!atomic_load(&t->complete)) {
		pthread_mutex_lock(&t->wait_lock);
		while (!atomic_load(&t->complete))
			pthread_cond_wait(&t->wait_cond, &t->wait_lock);
		pthread_mutex_unlock(&t->wait_lock);
	}
	return dirindex_fault(t);
}

int dirindex_ready(struct dirindex *t)
{
	return atomic_load(&t->complete) ? dirindex_fault(t) : -EAGAIN;
}

bool dirindex_is_complete(struct dirindex *t)
{
	return atomic_load(&t->complete) && dirindex_fault(t) == 0;
}

int dirindex_find(struct dirindex *t, const void *prefix, size_t len,
		  struct dirindex_dir *ret)
{
	uint32_t number;
	int rc = 1;

	pthread_rwlock_rdlock(&t->lock);
	number = dirs_find(t, prefix, len);
	if (number == NO_DIR) {
		rc = dirindex_fault(t);
	} else if (ret) {
		const struct dir *d = dir_at(t, number);

		*ret = (struct dirindex_dir){ d->entries, d->subdirs,
					      d->marker };
	}
	pthread_rwlock_unlock(&t->lock);
	return rc;
}

int dirindex_find_long(struct dirindex *t, const void *prefix, size_t len,
		       const struct keyhash *hash, uint8_t **ret_comp,
		       size_t *ret_len)
{
	uint32_t number;
	const struct dir *d;
	uint8_t *comp;
	int rc = 0;

	pthread_rwlock_rdlock(&t->lock);
	number = dirs_find(t, prefix, len);
	if (number != NO_DIR)
		number = dirs_child_of_hash(t, number, prefix, len, hash);
	if (number == NO_DIR) {
		rc = dirindex_fault(t);
		goto out;
	}
	d = dir_at(t, number);
	comp = malloc((size_t)d->comp_len + 1);
	if (!comp) {
		rc = -ENOMEM;
		goto out;
	}
	if (d->comp_len > 0)
		memcpy(comp, d->comp, d->comp_len);
	*ret_comp = comp;
	*ret_len = d->comp_len;
	rc = 1;
out:
	pthread_rwlock_unlock(&t->lock);
	return rc;
}

void dirindex_stats(struct dirindex *t, struct dirindex_stats *ret)
{
	pthread_rwlock_rdlock(&t->lock);
	*ret = (struct dirindex_stats){ t->bytes + sizeof(*t), t->keys,
					t->n_dirs + UINT64_C(1) };
	pthread_rwlock_unlock(&t->lock);
}
