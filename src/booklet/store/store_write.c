/* Putting, deleting, batches, and making them last. */
#include "booklet/store/store.h"

#include "booklet/format/keyhash.h"
#include "booklet/maintain/maintain.h"
#include "booklet/format/serial.h"
#include "base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- what may be written ---- */

static int check_key_bytes(const struct store *store, const void *key,
			   size_t len)
{
	unsigned code = store->engine.wal.fmt.key_serializer;
	int rc;

	if (len > BLT_KEY_MAX)
		return -ENAMETOOLONG;
	rc = serial_valid(code, key, len);
	return rc == -EINVAL && code == (unsigned)serial_code("str") ? -EILSEQ :
								       rc;
}

int store_key(struct store *store, const void *key, size_t len,
	      struct batch_key *ret)
{
	struct batch_key k = { .bytes = key, .len = len };
	int rc = check_key_bytes(store, key, len);

	if (rc < 0)
		return rc;
	k.hash = keyhash_of(key, len);
	if (format_hidden(&store->engine.wal.fmt, &k.hash))
		return -EINVAL;
	*ret = k;
	return 0;
}

int booklet_key(struct blt *blt, const void *key, size_t len,
		struct backend_key *ret)
{
	const struct store *store = store_of(blt);
	int rc = check_key_bytes(store, key, len);

	if (rc == 0 && format_hidden_key(&store->engine.wal.fmt, key, len))
		rc = -EINVAL;
	if (rc == 0)
		*ret = (struct backend_key){ .bytes = key, .len = len };
	return rc;
}

int store_time(const struct store *store, int64_t timestamp, int64_t *ret)
{
	if (timestamp == BLT_NOW || !store->engine.wal.fmt.timestamps)
		timestamp = now_us();
	if (timestamp < 0 || timestamp > FORMAT_TIME_MAX)
		return -EINVAL;
	*ret = timestamp;
	return 0;
}

int booklet_time(const struct blt *blt, int64_t timestamp, int64_t *ret)
{
	return store_time(const_store_of(blt), timestamp, ret);
}

static int check_value(const struct store *store, const void *value, size_t len)
{
	const struct format *f = &store->engine.wal.fmt;
	int rc = source_check_len(store, len);

	if (rc < 0 || f->fixed)
		return rc;
	return serial_valid(f->value_serializer, value, len);
}

int booklet_check_value(struct blt *blt, const void *value, size_t len)
{
	struct store *store = store_of(blt);

	return check_value(store, value, len);
}

/* ---- single changes ---- */

static int put_one(struct store *store, const struct batch_key *key,
		   const struct batch_value *value, int64_t timestamp)
{
	struct batch b;
	int rc = batch_begin(&b, &store->engine);

	if (rc < 0)
		return rc;
	rc = batch_end(&b, batch_put(&b, key, value, timestamp));
	if (rc == 0)
		store_committed(store);
	return rc;
}

int booklet_put(struct blt *blt, const void *key, size_t key_len,
		const void *value, size_t value_len, int64_t timestamp)
{
	struct store *store = store_of(blt);
	struct batch_value v = { .bytes = value, .len = value_len };
	struct batch_key k;
	int rc = store_key(store, key, key_len, &k);

	if (rc == 0)
		rc = check_value(store, value, value_len);
	if (rc == 0)
		rc = store_time(store, timestamp, &timestamp);
	return rc < 0 ? rc : put_one(store, &k, &v, timestamp);
}

static int put_source(struct store *store, struct batch *b,
		      const struct batch_key *key,
		      const struct blt_source *source, int64_t timestamp)
{
	struct checked_source c;
	int rc = source_begin(&c, store, source);

	if (rc == 0)
		rc = batch_put(b, key, &c.value, timestamp);
	source_end(&c);
	return rc;
}

int booklet_put_from(struct blt *blt, const void *key, size_t key_len,
		     const struct blt_source *source, int64_t timestamp)
{
	struct store *store = store_of(blt);
	struct batch_key k;
	struct batch b;
	int rc;

	/* The empty value has no bytes to be checked on their way. */
	if (source->len == 0)
		return booklet_put(blt, key, key_len, "", 0, timestamp);
	rc = store_key(store, key, key_len, &k);
	if (rc == 0)
		rc = source_check_len(store, source->len);
	if (rc == 0)
		rc = store_time(store, timestamp, &timestamp);
	if (rc == 0)
		rc = batch_begin(&b, &store->engine);
	if (rc < 0)
		return rc;
	rc = batch_end(&b, put_source(store, &b, &k, source, timestamp));
	if (rc == 0)
		store_committed(store);
	return rc;
}

int booklet_delete(struct blt *blt, const void *key, size_t len)
{
	struct store *store = store_of(blt);
	struct batch_key k = { .bytes = key, .len = len };
	struct batch b;
	int rc = batch_begin(&b, &store->engine);

	if (rc < 0)
		return rc;
	k.hash = keyhash_of(key, len);
	if (format_hidden(&store->engine.wal.fmt, &k.hash))
		rc = -ENOENT;
	rc = batch_end(&b, rc < 0 ? rc : batch_delete(&b, &k));
	if (rc == 0)
		store_committed(store);
	return rc;
}

int booklet_touch(struct blt *blt, const void *key, size_t len,
		  int64_t timestamp)
{
	struct store *store = store_of(blt);
	struct batch_key k;
	struct batch b;
	int rc = store_key(store, key, len, &k);

	if (rc == 0)
		rc = store_time(store, timestamp, &timestamp);
	if (rc == 0)
		rc = batch_begin(&b, &store->engine);
	if (rc == 0)
		rc = batch_end(&b, batch_touch(&b, &k, timestamp));
	if (rc == 0)
		store_committed(store);
	return rc;
}

/* ---- batches ---- */

static struct batch_key key_of(const struct backend_key *key)
{
	return (struct batch_key){ key->bytes, key->len, key->hash };
}

/* Whether the operations behind this one count: 1, 0, or negative. */
static int run_condition(struct batch *b, struct backend_op *op)
{
	struct batch_key key = key_of(&op->key);
	int rc = 1;

	if (!op->always)
		rc = batch_holds(b, &key, op->value_offset);
	op->held = rc > 0;
	return rc;
}

static int run_op(struct store *store, struct batch *b,
		  const struct backend_op *op)
{
	struct batch_value value = { .bytes = op->value, .len = op->value_len };
	struct batch_key key = key_of(&op->key), to = key_of(&op->to);
	int rc;

	switch (op->kind) {
	case BACKEND_PUT:
		if (op->staged_at)
			return batch_stage_adopt(b, op);
		if (op->source.read)
			return put_source(store, b, &key, &op->source,
					  op->timestamp);
		return batch_put(b, &key, &value, op->timestamp);
	case BACKEND_DELETE:
		return batch_delete(b, &key);
	case BACKEND_TOUCH:
		return batch_touch(b, &key, op->timestamp);
	case BACKEND_RENAME:
		return batch_rename(b, &key, &to);
	case BACKEND_EXCHANGE:
		return batch_exchange(b, &key, &to);
	case BACKEND_DROP:
		rc = batch_delete(b, &key);
		return rc == -ENOENT ? 0 : rc;
	case BACKEND_CHECK:
		return op->check(op->check_arg);
	case BACKEND_ABSENT:
		return batch_absent(b, &key);
	case BACKEND_NOTE:
		return store_note(store, b, op);
	case BACKEND_UNCHANGED:
	case BACKEND_ONLY_IF:
		break;
	}
	return -EINVAL;
}

/* Keys that are hashed side by side. */
struct hashing {
	struct blt_bytes key[KEYHASH_MANY];
	struct keyhash *to[KEYHASH_MANY];
	size_t n;
};

static void hash_noted(struct hashing *h)
{
	struct keyhash hash[KEYHASH_MANY];

	keyhash_of_many(h->key, h->n, hash);
	for (size_t i = 0; i < h->n; i++)
		*h->to[i] = hash[i];
	h->n = 0;
}

static void note_key(struct hashing *h, struct backend_key *key)
{
	h->key[h->n] = (struct blt_bytes){ key->bytes, key->len };
	h->to[h->n++] = &key->hash;
	if (h->n == KEYHASH_MANY)
		hash_noted(h);
}

/* A batch's keys are hashed here, for that is a third of the work of hashing
 * each when it comes. */
static void hash_keys(struct backend_op *first)
{
	struct hashing h = { .n = 0 };

	for (struct backend_op *op = first; op; op = op->next) {
		note_key(&h, &op->key);
		if (op->kind == BACKEND_RENAME || op->kind == BACKEND_EXCHANGE)
			note_key(&h, &op->to);
	}
	hash_noted(&h);
}

/* Operations whose keys' places are fetched at once, and bytes of a block that
 * a lookup looks at. */
#define AHEAD 16u
#define LOOKED_AT 64

struct warm_args {
	const struct wal *wal;
	const struct backend_op *op;
};

static int warm_up(void *arg)
{
	const struct warm_args *w = arg;
	struct keyhash hash[AHEAD];
	size_t n = 0;

	for (const struct backend_op *op = w->op; op && n < AHEAD;
	     op = op->next)
		hash[n++] = op->key.hash;
	index_warm(w->wal, hash, n, WAL_WRITER, LOOKED_AT);
	return 0;
}

static int run_ops(struct store *store, struct batch *b,
		   struct backend_op *first)
{
	struct warm_args w = { .wal = &b->engine->wal };
	int rc = 0, held = 1;
	unsigned i = 0;

	for (struct backend_op *op = first; op && rc == 0; op = op->next) {
		w.op = op;
		/* Where that fails, so will the operation. */
		if (i++ % AHEAD == 0 && op->next)
			(void)file_try(warm_up, &w);
		if (op->kind == BACKEND_ONLY_IF) {
			held = run_condition(b, op);
			rc = held < 0 ? held : 0;
		} else if (held) {
			rc = run_op(store, b, op);
		}
	}
	return rc;
}

typedef int begin_fn(struct batch *b, struct engine *engine);

/* The rename of one key may leave the value where it is. */
static int commit(struct store *store, struct backend_op *first,
		  begin_fn *begin)
{
	struct engine *e = &store->engine;
	struct staged *staged = NULL;
	struct batch b;
	int rc = 0;

	hash_keys(first);
	if (first && !first->next && first->kind == BACKEND_RENAME) {
		struct batch_key key = key_of(&first->key);
		struct batch_key to = key_of(&first->to);

		rc = rename_inplace(e, &key, &to);
	}
	if (rc)
		return rc < 0 ? rc : 0;
	rc = batch_stage_ahead(store, first, &staged);
	if (rc == 0)
		rc = begin(&b, e);
	if (rc == 0) {
		rc = run_ops(store, &b, first);
		if (rc == 0)
			rc = batch_stage_split(staged, &b);
		rc = batch_end(&b, rc);
	}
	batch_stage_end(staged, rc == 0);
	return rc;
}

static int commit_all(struct blt *blt, struct backend_op *first,
		      begin_fn *begin)
{
	struct store *store = store_of(blt);
	int rc = commit(store, first, begin);

	if (rc == 0)
		store_committed(store);
	return rc;
}

int booklet_commit(struct blt *blt, struct backend_op *first)
{
	return commit_all(blt, first, batch_begin);
}

int booklet_commit_flush(struct blt *blt, struct backend_op *first)
{
	return commit_all(blt, first, batch_begin_logged);
}

int booklet_prepare_rename(struct blt *blt, const void *key, size_t len)
{
	struct store *store = store_of(blt);
	struct batch_key k;
	int rc = store_key(store, key, len, &k);

	return rc < 0 ? rc : rename_inplace_prepare(&store->engine, &k);
}

void booklet_watch(struct blt *blt, struct listener *w)
{
	listeners_add(&store_of(blt)->engine.listeners, w);
}

void booklet_unwatch(struct blt *blt, struct listener *w)
{
	listeners_remove(&store_of(blt)->engine.listeners, w);
}

/* ---- making it last ---- */

int booklet_flush(struct blt *blt)
{
	struct store *store = store_of(blt);
	struct wal *wal = &store->engine.wal;
	int rc = wal_begin(wal);

	if (rc < 0)
		return rc == -EROFS ? 0 : rc;
	rc = wal_flush(wal);
	wal_end(wal);
	return rc;
}

int booklet_sync(struct blt *blt)
{
	struct store *store = store_of(blt);

	return wal_sync(&store->engine.wal);
}

int booklet_settle(struct blt *blt, bool idle)
{
	struct store *store = store_of(blt);
	int rc = store_settle(store, idle);

	if (rc == 0)
		wal_keep_space(&store->engine.wal);
	return rc;
}

/* ---- hidden entries ---- */

static int slot_key(struct store *store, enum blt_slot slot,
		    struct batch_key *ret)
{
	if (store->engine.wal.fmt.fixed)
		return -ENOTSUP;
	if ((unsigned)slot >= FORMAT_SLOTS)
		return -EINVAL;
	ret->bytes = format_slot_key[slot];
	ret->len = strlen(format_slot_key[slot]);
	ret->hash = keyhash_of(ret->bytes, ret->len);
	return 0;
}

int booklet_slot_put(struct blt *blt, enum blt_slot slot, const void *value,
		     size_t len, int64_t timestamp)
{
	struct store *store = store_of(blt);
	struct batch_value v = { .bytes = value, .len = len };
	struct batch_key k;
	int rc = slot_key(store, slot, &k);

	if (rc == 0 && slot == BLT_METADATA)
		rc = serial_valid((unsigned)serial_code("json"), value, len);
	if (rc == 0)
		rc = store_time(store, timestamp, &timestamp);
	return rc < 0 ? rc : put_one(store, &k, &v, timestamp);
}

int booklet_slot_delete(struct blt *blt, enum blt_slot slot)
{
	struct store *store = store_of(blt);
	struct batch_key k;
	struct batch b;
	int rc = slot_key(store, slot, &k);

	if (rc == 0)
		rc = batch_begin(&b, &store->engine);
	return rc < 0 ? rc : batch_end(&b, batch_delete(&b, &k));
}
