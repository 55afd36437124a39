/* Putting, deleting, batches, and making them last. */
#include "store.h"

#include "serial.h"
#include "util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- what may be written ---- */

static int check_key_bytes(const struct blt *store, const void *key, size_t len)
{
	if (len > BLT_KEY_MAX)
		return -ENAMETOOLONG;
	return serial_valid(store->engine.space.fmt.key_serializer, key, len);
}

int store_key(struct blt *store, const void *key, size_t len,
	      struct batch_key *ret)
{
	struct batch_key k = { .bytes = key, .len = len };
	int rc = check_key_bytes(store, key, len);

	if (rc < 0)
		return rc;
	k.hash = keyhash_of(key, len);
	if (format_hidden(&store->engine.space.fmt, &k.hash))
		return -EINVAL;
	*ret = k;
	return 0;
}

int blt_check_key(struct blt *store, const void *key, size_t len)
{
	struct batch_key k;

	return store_key(store, key, len, &k);
}

int store_time(const struct blt *store, int64_t timestamp, int64_t *ret)
{
	if (timestamp == BLT_NOW || !store->engine.space.fmt.timestamps)
		timestamp = now_us();
	if (timestamp < 0 || timestamp > FORMAT_TIME_MAX)
		return -EINVAL;
	*ret = timestamp;
	return 0;
}

static int check_len(const struct blt *store, uint64_t len)
{
	const struct format *f = &store->engine.space.fmt;

	if (len > BLT_VALUE_MAX)
		return -EFBIG;
	return f->fixed && len != f->value_len ? -EINVAL : 0;
}

static int check_value(const struct blt *store, const void *value, size_t len)
{
	const struct format *f = &store->engine.space.fmt;
	int rc = check_len(store, len);

	if (rc < 0 || f->fixed)
		return rc;
	return serial_valid(f->value_serializer, value, len);
}

int blt_check_value(struct blt *store, const void *value, size_t len)
{
	return check_value(store, value, len);
}

/* ---- single changes ---- */

static int put_one(struct blt *store, const struct batch_key *key,
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

int blt_put(struct blt *store, const void *key, size_t key_len,
	    const void *value, size_t value_len, int64_t timestamp)
{
	struct batch_value v = { .bytes = value, .len = value_len };
	struct batch_key k;
	int rc = store_key(store, key, key_len, &k);

	if (rc == 0)
		rc = check_value(store, value, value_len);
	if (rc == 0)
		rc = store_time(store, timestamp, &timestamp);
	return rc < 0 ? rc : put_one(store, &k, &v, timestamp);
}

/* A source whose bytes are checked on their way into the store. */
struct checked_source {
	const struct blt_source *source;
	struct serial_check *check;
};

static int read_checked(void *arg, void *buf, size_t n, uint64_t offset)
{
	struct checked_source *c = arg;
	int rc = c->source->read(c->source->arg, buf, n, offset);

	if (rc == 0)
		rc = serial_check_feed(c->check, buf, n);
	if (rc == 0 && offset + n == c->source->len)
		rc = serial_check_end(c->check);
	return rc;
}

int blt_put_from(struct blt *store, const void *key, size_t key_len,
		 const struct blt_source *source, int64_t timestamp)
{
	const struct format *f = &store->engine.space.fmt;
	struct checked_source c = { .source = source };
	struct batch_value v = { .len = source->len,
				 .read = source->read,
				 .arg = source->arg };
	struct batch_key k;
	int rc;

	/* The empty value has no bytes to be checked on their way. */
	if (source->len == 0)
		return blt_put(store, key, key_len, "", 0, timestamp);
	rc = store_key(store, key, key_len, &k);
	if (rc == 0)
		rc = check_len(store, source->len);
	if (rc == 0)
		rc = store_time(store, timestamp, &timestamp);
	if (rc == 0 && !f->fixed && !serial_takes_all(f->value_serializer)) {
		rc = serial_check_new(f->value_serializer, &c.check);
		v.read = read_checked;
		v.arg = &c;
	}
	if (rc == 0)
		rc = put_one(store, &k, &v, timestamp);
	serial_check_free(c.check);
	return rc;
}

int blt_delete(struct blt *store, const void *key, size_t len)
{
	struct batch_key k = { .bytes = key, .len = len };
	struct batch b;
	int rc = batch_begin(&b, &store->engine);

	if (rc < 0)
		return rc;
	k.hash = keyhash_of(key, len);
	if (format_hidden(&store->engine.space.fmt, &k.hash))
		rc = -ENOENT;
	rc = batch_end(&b, rc < 0 ? rc : batch_delete(&b, &k));
	if (rc == 0)
		store_committed(store);
	return rc;
}

int blt_touch(struct blt *store, const void *key, size_t len, int64_t timestamp)
{
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

enum op_kind {
	OP_PUT,
	OP_DELETE,
	OP_TOUCH,
	OP_RENAME,
	OP_EXCHANGE,
	OP_ONLY_IF,
};

struct op {
	enum op_kind kind;
	struct batch_key key;     /* its bytes, and those of the rest, follow */
	struct batch_key to;      /* rename, exchange */
	struct batch_value value; /* put */
	int64_t timestamp;
	uint64_t value_offset; /* only if, as these */
	bool always;
	bool held;
	bool *ret_held;
	struct op *next;
	uint8_t bytes[];
};

struct blt_batch {
	struct blt *store;
	struct op *first, **last;
};

int blt_batch_new(struct blt *store, struct blt_batch **ret)
{
	struct blt_batch *b;

	if (!store->engine.space.file.writable)
		return -EROFS;
	b = calloc(1, sizeof(*b));
	if (!b)
		return -ENOMEM;
	b->store = store;
	b->last = &b->first;
	*ret = b;
	return 0;
}

/* Copies key and rest (a value or another key) behind a new operation. */
static struct op *add(struct blt_batch *b, enum op_kind kind,
		      const struct batch_key *key, const void *rest,
		      size_t rest_len)
{
	struct op *op = calloc(1, sizeof(*op) + key->len + rest_len);

	if (!op)
		return NULL;
	op->kind = kind;
	op->key = *key;
	op->key.bytes = op->bytes;
	if (key->len)
		memcpy(op->bytes, key->bytes, key->len);
	if (rest_len)
		memcpy(op->bytes + key->len, rest, rest_len);
	*b->last = op;
	b->last = &op->next;
	return op;
}

int blt_batch_put(struct blt_batch *b, const void *key, size_t key_len,
		  const void *value, size_t value_len, int64_t timestamp)
{
	struct batch_key k;
	struct op *op;
	int rc = store_key(b->store, key, key_len, &k);

	if (rc == 0)
		rc = check_value(b->store, value, value_len);
	if (rc == 0)
		rc = store_time(b->store, timestamp, &timestamp);
	if (rc < 0)
		return rc;
	op = add(b, OP_PUT, &k, value, value_len);
	if (!op)
		return -ENOMEM;
	op->timestamp = timestamp;
	op->value = (struct batch_value){ .bytes = op->bytes + key_len,
					  .len = value_len };
	return 0;
}

int blt_batch_delete(struct blt_batch *b, const void *key, size_t len)
{
	struct batch_key k;
	int rc = store_key(b->store, key, len, &k);

	if (rc < 0)
		return rc;
	return add(b, OP_DELETE, &k, NULL, 0) ? 0 : -ENOMEM;
}

int blt_batch_touch(struct blt_batch *b, const void *key, size_t len,
		    int64_t timestamp)
{
	struct batch_key k;
	struct op *op;
	int rc = store_key(b->store, key, len, &k);

	if (rc == 0)
		rc = store_time(b->store, timestamp, &timestamp);
	if (rc < 0)
		return rc;
	op = add(b, OP_TOUCH, &k, NULL, 0);
	if (!op)
		return -ENOMEM;
	op->timestamp = timestamp;
	return 0;
}

static int add_pair(struct blt_batch *b, enum op_kind kind, const void *one,
		    size_t one_len, const void *two, size_t two_len)
{
	struct batch_key k, to;
	struct op *op;
	int rc = store_key(b->store, one, one_len, &k);

	if (rc == 0)
		rc = store_key(b->store, two, two_len, &to);
	if (rc < 0)
		return rc;
	op = add(b, kind, &k, two, two_len);
	if (!op)
		return -ENOMEM;
	op->to = to;
	op->to.bytes = op->bytes + one_len;
	return 0;
}

int blt_batch_rename(struct blt_batch *b, const void *from, size_t from_len,
		     const void *to, size_t to_len)
{
	return add_pair(b, OP_RENAME, from, from_len, to, to_len);
}

int blt_batch_exchange(struct blt_batch *b, const void *one, size_t one_len,
		       const void *two, size_t two_len)
{
	return add_pair(b, OP_EXCHANGE, one, one_len, two, two_len);
}

int blt_batch_only_if(struct blt_batch *b, const void *key, size_t len,
		      uint64_t value_offset, bool *ret_held)
{
	struct batch_key k = { .bytes = "" };
	struct op *op;
	int rc = key ? store_key(b->store, key, len, &k) : 0;

	if (rc < 0)
		return rc;
	op = add(b, OP_ONLY_IF, &k, NULL, 0);
	if (!op)
		return -ENOMEM;
	op->always = !key;
	op->value_offset = value_offset;
	op->ret_held = ret_held;
	return 0;
}

/* Whether the operations behind this one count: 1, 0, or negative. */
static int run_condition(struct batch *b, struct op *op)
{
	int rc = 1;

	if (!op->always)
		rc = batch_holds(b, &op->key, op->value_offset);
	op->held = rc > 0;
	return rc;
}

static int run_op(struct batch *b, const struct op *op)
{
	switch (op->kind) {
	case OP_PUT:
		return batch_put(b, &op->key, &op->value, op->timestamp);
	case OP_DELETE:
		return batch_delete(b, &op->key);
	case OP_TOUCH:
		return batch_touch(b, &op->key, op->timestamp);
	case OP_RENAME:
		return batch_rename(b, &op->key, &op->to);
	case OP_EXCHANGE:
		return batch_exchange(b, &op->key, &op->to);
	case OP_ONLY_IF:
		break;
	}
	return -EINVAL;
}

static int run_ops(struct batch *b, struct op *first)
{
	int rc = 0, held = 1;

	for (struct op *op = first; op && rc == 0; op = op->next) {
		if (op->kind == OP_ONLY_IF) {
			held = run_condition(b, op);
			rc = held < 0 ? held : 0;
		} else if (held) {
			rc = run_op(b, op);
		}
	}
	return rc;
}

static void tell_held(const struct op *first)
{
	for (const struct op *op = first; op; op = op->next)
		if (op->kind == OP_ONLY_IF && op->ret_held)
			*op->ret_held = op->held;
}

int blt_batch_commit(struct blt_batch *pending)
{
	struct blt *store = pending->store;
	struct batch b;
	int rc = batch_begin(&b, &store->engine);

	if (rc == 0)
		rc = batch_end(&b, run_ops(&b, pending->first));
	if (rc == 0)
		tell_held(pending->first);
	if (rc == 0)
		store_committed(store);
	blt_batch_abort(pending);
	return rc;
}

void blt_batch_abort(struct blt_batch *b)
{
	if (!b)
		return;
	while (b->first) {
		struct op *op = b->first;

		b->first = op->next;
		free(op);
	}
	free(b);
}

/* ---- making it last ---- */

int blt_flush(struct blt *store)
{
	struct space *sp = &store->engine.space;
	int rc = space_begin(sp);

	if (rc < 0)
		return rc == -EROFS ? 0 : rc;
	rc = space_flush(sp);
	space_end(sp);
	return rc;
}

int blt_sync(struct blt *store)
{
	return space_sync(&store->engine.space);
}

int blt_settle(struct blt *store, bool idle)
{
	return store_settle(store, idle);
}

/* ---- hidden entries ---- */

static int slot_key(struct blt *store, enum blt_slot slot,
		    struct batch_key *ret)
{
	if (store->engine.space.fmt.fixed)
		return -ENOTSUP;
	if ((unsigned)slot >= FORMAT_SLOTS)
		return -EINVAL;
	ret->bytes = format_slot_key[slot];
	ret->len = strlen(format_slot_key[slot]);
	ret->hash = keyhash_of(ret->bytes, ret->len);
	return 0;
}

int blt_slot_put(struct blt *store, enum blt_slot slot, const void *value,
		 size_t len)
{
	struct batch_value v = { .bytes = value, .len = len };
	struct batch_key k;
	int rc = slot_key(store, slot, &k);

	if (rc == 0 && slot == BLT_METADATA)
		rc = serial_valid((unsigned)serial_code("json"), value, len);
	return rc < 0 ? rc : put_one(store, &k, &v, now_us());
}

int blt_slot_delete(struct blt *store, enum blt_slot slot)
{
	struct batch_key k;
	struct batch b;
	int rc = slot_key(store, slot, &k);

	if (rc == 0)
		rc = batch_begin(&b, &store->engine);
	return rc < 0 ? rc : batch_end(&b, batch_delete(&b, &k));
}
