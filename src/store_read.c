/* Reading one key. */
#include "store.h"
#include "serial.h"
#include "util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct lookup {
	const struct space *sp;
	struct keyhash hash;
	struct index_place place;
};

static int look_up(void *arg)
{
	struct lookup *l = arg;

	return index_find(l->sp, &l->hash, SPACE_READER, &l->place);
}

/* A user's key only: the hidden entries are not seen through this. */
static int find(struct blt *store, const struct keyhash *hash,
		struct lookup *ret)
{
	const struct space *sp = &store->engine.space;
	int rc;

	*ret = (struct lookup){ .sp = sp, .hash = *hash };
	rc = file_try(look_up, ret);
	return rc > 0 ? 0 : rc < 0 ? rc : -ENOENT;
}

static void fill_view(struct space *sp, const struct block *b,
		      struct blt_view *ret)
{
	void *hold = space_hold(sp, b->pos);

	*ret = (struct blt_view){
		.data = b->value,
		.len = b->head.value_len,
		.fd = hold && !epoch_is_ticket(hold) ? -1 : sp->file.fd,
		.offset = block_value_pos(b),
		.timestamp = b->head.timestamp,
		.hold = hold,
	};
}

static int get(struct blt *store, const struct keyhash *hash,
	       struct blt_view *ret)
{
	struct space *sp = &store->engine.space;
	struct lookup l;
	int rc;

	pthread_rwlock_rdlock(&sp->lock);
	rc = find(store, hash, &l);
	if (rc == 0)
		fill_view(sp, &l.place.block, ret);
	pthread_rwlock_unlock(&sp->lock);
	return rc;
}

int blt_get(struct blt *store, const void *key, size_t len,
	    struct blt_view *ret)
{
	struct keyhash hash = keyhash_of(key, len);

	if (format_hidden(&store->engine.space.fmt, &hash))
		return -ENOENT;
	return get(store, &hash, ret);
}

void blt_view_release(struct blt_view *view)
{
	space_let_go(view->hold);
	view->hold = NULL;
}

struct copy {
	void *to;
	const void *from;
	size_t n;
};

static int copy_bytes(void *arg)
{
	struct copy *c = arg;

	memcpy(c->to, c->from, c->n);
	return 0;
}

int64_t blt_view_copy(const struct blt_view *view, void *to, size_t len,
		      uint64_t offset)
{
	struct copy c = { .to = to };
	int rc;

	if (offset >= view->len)
		return 0;
	c.from = view->data + offset;
	c.n = (size_t)min_u64(len, view->len - offset);
	rc = file_try(copy_bytes, &c);
	return rc < 0 ? rc : (int64_t)c.n;
}

int blt_stat_key(struct blt *store, const void *key, size_t len,
		 struct blt_stat *ret)
{
	struct space *sp = &store->engine.space;
	struct keyhash hash = keyhash_of(key, len);
	struct lookup l;
	int rc;

	if (format_hidden(&sp->fmt, &hash))
		return -ENOENT;
	pthread_rwlock_rdlock(&sp->lock);
	rc = find(store, &hash, &l);
	if (rc == 0)
		*ret = (struct blt_stat){ l.place.block.head.value_len,
					  l.place.block.head.timestamp };
	pthread_rwlock_unlock(&sp->lock);
	return rc;
}

struct key_copy {
	const struct block *block;
	uint8_t *to;
};

static int copy_key(void *arg)
{
	struct key_copy *k = arg;

	memcpy(k->to, k->block->key, k->block->head.key_len);
	return 0;
}

int store_find_hash(struct blt *store, const struct keyhash *h,
		    uint8_t **ret_key, size_t *ret_len)
{
	struct space *sp = &store->engine.space;
	struct key_copy k = { 0 };
	struct lookup l;
	int rc;

	if (format_hidden(&sp->fmt, h))
		return -ENOENT;
	pthread_rwlock_rdlock(&sp->lock);
	rc = find(store, h, &l);
	if (rc == 0) {
		k.block = &l.place.block;
		k.to = malloc(k.block->head.key_len + 1u);
		rc = k.to ? file_try(copy_key, &k) : -ENOMEM;
	}
	pthread_rwlock_unlock(&sp->lock);
	if (rc < 0) {
		free(k.to);
		return rc;
	}
	*ret_key = k.to;
	*ret_len = l.place.block.head.key_len;
	return 0;
}

/* ---- hidden entries ---- */

int blt_slot_get(struct blt *store, enum blt_slot slot, struct blt_view *ret)
{
	const char *key;
	struct keyhash hash;

	if (store->engine.space.fmt.fixed)
		return -ENOTSUP;
	if ((unsigned)slot >= FORMAT_SLOTS)
		return -EINVAL;
	key = format_slot_key[slot];
	hash = keyhash_of(key, strlen(key));
	return get(store, &hash, ret);
}
