/* The face of a batch: its operations, kept until the engine has them all. */
#include "engine/backend.h"

#include "engine/attrs.h"
#include "base/util.h"

#include <errno.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

/* Memory for operations, which all go at once: little for the first, and for a
 * long one a room of its own. */
#define ROOM_FIRST 1024u
#define ROOM_LEN (64u << 10)
#define ROOM_LONG (8u << 10)

struct room {
	struct room *next;
	size_t used, len;
	alignas(max_align_t) uint8_t bytes[];
};

struct blt_batch {
	struct blt *store;
	struct backend_op *first, **last;
	struct room *room; /* the latest in front */
	/* Directories whose attributes are exchanged, in the rooms. */
	struct blt_bytes one, two;
};

int backend_time(const struct blt *store, int64_t timestamp, int64_t *ret)
{
	(void)store;
	if (timestamp == BLT_NOW)
		timestamp = now_us();
	if (timestamp < 0)
		return -EINVAL;
	*ret = timestamp;
	return 0;
}

static int read_bytes(void *arg, void *buf, size_t n, uint64_t offset)
{
	memcpy(buf, (const uint8_t *)arg + offset, n);
	return 0;
}

struct blt_source backend_bytes_source(const void *bytes, uint64_t len)
{
	return (struct blt_source){ len, read_bytes, (void *)(uintptr_t)bytes };
}

int blt_batch_new(struct blt *store, struct blt_batch **ret)
{
	struct blt_batch *b;

	if (!store->writable)
		return -EROFS;
	b = calloc(1, sizeof(*b));
	if (!b)
		return -ENOMEM;
	b->store = store;
	b->last = &b->first;
	*ret = b;
	return 0;
}

static int take_key(struct blt_batch *b, const void *key, size_t len,
		    struct backend_key *ret)
{
	return b->store->backend->key(b->store, key, len, ret);
}

static int take_time(struct blt_batch *b, int64_t *timestamp)
{
	return b->store->backend->time(b->store, *timestamp, timestamp);
}

static void *use_room(struct room *r, size_t len)
{
	void *ret = r->bytes + r->used;

	r->used += len;
	return ret;
}

static void *take_room(struct blt_batch *b, size_t len)
{
	struct room **at = &b->room, *r;
	size_t size = b->room ? ROOM_LEN : ROOM_FIRST;

	len += -len % alignof(max_align_t);
	if (b->room && b->room->len - b->room->used >= len)
		return use_room(b->room, len);
	/* What is left in front is for others. */
	if (b->room && len > ROOM_LONG)
		at = &b->room->next;
	size = len > ROOM_LONG ? len : max_u64(len, size);
	r = malloc(sizeof(*r) + size);
	if (!r)
		return NULL;
	*r = (struct room){ .next = *at, .len = size };
	*at = r;
	return use_room(r, len);
}

/* Copies key and rest (a value or another key) behind a new operation. */
static struct backend_op *add(struct blt_batch *b, enum backend_op_kind kind,
			      const struct backend_key *key, const void *rest,
			      size_t rest_len)
{
	struct backend_op *op = take_room(b, sizeof(*op) + key->len + rest_len);

	if (!op)
		return NULL;
	*op = (struct backend_op){ .kind = kind, .key = *key };
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
	struct backend_key k;
	struct backend_op *op;
	int rc = take_key(b, key, key_len, &k);

	if (rc == 0)
		rc = blt_check_value(b->store, value, value_len);
	if (rc == 0)
		rc = take_time(b, &timestamp);
	if (rc < 0)
		return rc;
	op = add(b, BACKEND_PUT, &k, value, value_len);
	if (!op)
		return -ENOMEM;
	op->timestamp = timestamp;
	op->value = op->bytes + key_len;
	op->value_len = value_len;
	return 0;
}

int blt_batch_put_from(struct blt_batch *b, const void *key, size_t key_len,
		       const struct blt_source *source, int64_t timestamp)
{
	struct backend_key k;
	struct backend_op *op;
	int rc;

	/* The empty value has no bytes to be checked on their way. */
	if (source->len == 0)
		return blt_batch_put(b, key, key_len, "", 0, timestamp);
	if (source->len > BLT_VALUE_MAX)
		return -EFBIG;
	rc = take_key(b, key, key_len, &k);
	if (rc == 0)
		rc = take_time(b, &timestamp);
	if (rc < 0)
		return rc;
	op = add(b, BACKEND_PUT, &k, NULL, 0);
	if (!op)
		return -ENOMEM;
	op->timestamp = timestamp;
	op->source = *source;
	op->value_len = source->len;
	return 0;
}

static int add_delete(struct blt_batch *b, enum backend_op_kind kind,
		      const void *key, size_t len)
{
	struct backend_key k;
	int rc = take_key(b, key, len, &k);

	if (rc < 0)
		return rc;
	return add(b, kind, &k, NULL, 0) ? 0 : -ENOMEM;
}

int backend_batch_drop(struct blt_batch *b, const void *key, size_t len)
{
	return add_delete(b, BACKEND_DROP, key, len);
}

int backend_batch_check(struct blt_batch *b, int (*check)(void *arg), void *arg)
{
	const struct backend_key none = { .bytes = "" };
	struct backend_op *op = add(b, BACKEND_CHECK, &none, NULL, 0);

	if (!op)
		return -ENOMEM;
	op->check = check;
	op->check_arg = arg;
	return 0;
}

int backend_batch_note(struct blt_batch *b, const char *name,
		       const struct blt_bytes *was,
		       const struct blt_bytes *value)
{
	struct backend_key k = { .bytes = name, .len = strlen(name) };
	size_t was_len = was ? was->len : 0, len = value ? value->len : 0;
	struct backend_op *op;
	uint8_t *both;

	if (!b->store->backend->notes)
		return -ENOTSUP;
	if (k.len > BACKEND_NOTE_NAME_MAX || len > BACKEND_NOTE_MAX)
		return -EINVAL;
	both = malloc(was_len + len + 1);
	if (!both)
		return -ENOMEM;
	if (was_len)
		memcpy(both, was->bytes, was_len);
	if (len)
		memcpy(both + was_len, value->bytes, len);
	op = add(b, BACKEND_NOTE, &k, both, was_len + len);
	free(both);
	if (!op)
		return -ENOMEM;
	if (was)
		op->to = (struct backend_key){ .bytes = op->bytes + k.len,
					       .len = was_len };
	op->value = value ? op->bytes + k.len + was_len : NULL;
	op->value_len = len;
	return 0;
}

int blt_batch_delete(struct blt_batch *b, const void *key, size_t len)
{
	return add_delete(b, BACKEND_DELETE, key, len);
}

int blt_batch_touch(struct blt_batch *b, const void *key, size_t len,
		    int64_t timestamp)
{
	struct backend_key k;
	struct backend_op *op;
	int rc = take_key(b, key, len, &k);

	if (rc == 0)
		rc = take_time(b, &timestamp);
	if (rc < 0)
		return rc;
	op = add(b, BACKEND_TOUCH, &k, NULL, 0);
	if (!op)
		return -ENOMEM;
	op->timestamp = timestamp;
	return 0;
}

static int add_pair(struct blt_batch *b, enum backend_op_kind kind,
		    const void *one, size_t one_len, const void *two,
		    size_t two_len)
{
	struct backend_key k, to;
	struct backend_op *op;
	int rc = take_key(b, one, one_len, &k);

	if (rc == 0)
		rc = take_key(b, two, two_len, &to);
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
	return add_pair(b, BACKEND_RENAME, from, from_len, to, to_len);
}

int blt_batch_exchange(struct blt_batch *b, const void *one, size_t one_len,
		       const void *two, size_t two_len)
{
	return add_pair(b, BACKEND_EXCHANGE, one, one_len, two, two_len);
}

static int keep_bytes(struct blt_batch *b, const void *bytes, size_t len,
		      struct blt_bytes *ret)
{
	void *to = take_room(b, len);

	if (!to)
		return -ENOMEM;
	memcpy(to, bytes, len);
	*ret = (struct blt_bytes){ to, len };
	return 0;
}

int blt_batch_exchange_attrs(struct blt_batch *b, const void *one,
			     size_t one_len, const void *two, size_t two_len)
{
	const char *x = one, *y = two;
	int rc;

	if (b->one.len || !one_len || x[one_len - 1] != '/' || !two_len ||
	    y[two_len - 1] != '/' ||
	    memcmp(x, y, one_len < two_len ? one_len : two_len) == 0)
		return -EINVAL;
	rc = keep_bytes(b, two, two_len, &b->two);
	return rc < 0 ? rc : keep_bytes(b, one, one_len, &b->one);
}

int blt_batch_only_if(struct blt_batch *b, const void *key, size_t len,
		      uint64_t value_offset, bool *ret_held)
{
	struct backend_key k = { .bytes = "" };
	struct backend_op *op;
	int rc = key ? take_key(b, key, len, &k) : 0;

	if (rc < 0)
		return rc;
	op = add(b, BACKEND_ONLY_IF, &k, NULL, 0);
	if (!op)
		return -ENOMEM;
	op->always = !key;
	op->value_offset = value_offset;
	op->ret_held = ret_held;
	return 0;
}

int blt_batch_absent(struct blt_batch *b, const void *key, size_t len)
{
	struct backend_key k;
	int rc = take_key(b, key, len, &k);

	if (rc < 0)
		return rc;
	return add(b, BACKEND_ABSENT, &k, NULL, 0) ? 0 : -ENOMEM;
}

int backend_batch_unchanged(struct blt_batch *b, const void *key, size_t len,
			    bool names, uint64_t token)
{
	struct backend_key k;
	struct backend_op *op;
	int rc = take_key(b, key, len, &k);

	if (rc < 0)
		return rc;
	op = add(b, BACKEND_UNCHANGED, &k, NULL, 0);
	if (!op)
		return -ENOMEM;
	op->always = names;
	op->value_offset = token;
	return 0;
}

static void tell_held(const struct backend_op *first)
{
	for (const struct backend_op *op = first; op; op = op->next)
		if (op->kind == BACKEND_ONLY_IF && op->ret_held)
			*op->ret_held = op->held;
}

typedef int commit_fn(struct blt *store, struct backend_op *first);

static int commit(struct blt_batch *b, commit_fn *fn)
{
	int rc = fn(b->store, b->first);

	if (rc == 0) {
		tell_held(b->first);
		if (b->one.len)
			attrs_exchanged(b->store, &b->one, &b->two);
		else
			attrs_committed(b->store, b->first);
	}
	blt_batch_abort(b);
	return rc;
}

int blt_batch_commit(struct blt_batch *b)
{
	return commit(b, b->store->backend->commit);
}

int blt_batch_commit_flush(struct blt_batch *b)
{
	const struct backend *backend = b->store->backend;

	struct blt *store = b->store;
	int rc = commit(b, backend->commit_flush ? backend->commit_flush :
						   backend->commit);

	/* the records that went along; where that fails, a later one does it */
	if (rc == 0 && store->attrs)
		(void)attrs_flush(store);
	return rc;
}

int blt_prepare_rename(struct blt *store, const void *key, size_t len)
{
	const struct backend *backend = store->backend;

	return backend->prepare_rename ?
		       backend->prepare_rename(store, key, len) :
		       0;
}

void blt_batch_abort(struct blt_batch *b)
{
	if (!b)
		return;
	while (b->room) {
		struct room *r = b->room;

		b->room = r->next;
		free(r);
	}
	free(b);
}
