/* seq_item.c - one item of a sequence as keys of the store. */
#include "seq/seq.h"

#include "base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

size_t seq_keys_max = 4096;
void (*seq_before_batch)(void);
void (*seq_after_batch)(void);

bool seq_item_is_record(const struct blt_seq_item *item)
{
	return item->n == 0 || item->fields[0].name;
}

int seq_item_check(const struct blt_seq_item *item)
{
	bool record = seq_item_is_record(item);

	if (!record)
		return item->n == 1 ? 0 : -EINVAL;
	for (size_t i = 0; i < item->n; i++) {
		const struct blt_seq_field *f = &item->fields[i];

		if (!f->name || f->name_len == 0 ||
		    f->name[f->name_len - 1] == '/')
			return -EINVAL;
	}
	return 0;
}

/* ---- keys ---- */

/* The key of an item, or the prefix of a record; malloc'd. */
static int item_key(const struct blt_seq *seq, const void *name, size_t len,
		    bool record, uint8_t **ret, size_t *ret_len)
{
	return ns_join(seq->prefix, seq->len, name, len, record, ret, ret_len);
}

static int list_key(void *arg, const uint8_t *key, size_t len,
		    uint64_t value_len)
{
	struct seq_keys *l = arg;
	void *copy;

	if (ARRAY_ROOM(l->key, l->room, l->n + 1) < 0)
		return -ENOMEM;
	copy = malloc(len + 1);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, key, len);
	l->key[l->n].bytes = copy;
	l->key[l->n++].len = len;
	l->bytes += len + value_len;
	return 0;
}

static void free_keys(struct seq_keys *l)
{
	for (size_t i = 0; i < l->n; i++)
		free((void *)(uintptr_t)l->key[i].bytes);
	free(l->key);
	*l = (struct seq_keys){ 0 };
}

static int by_bytes(const void *a, const void *b)
{
	const struct blt_bytes *x = a, *y = b;

	return compare_bytes(x->bytes, x->len, y->bytes, y->len);
}

/* All keys of an item, sorted; -EAGAIN: it has gone. */
static int list_keys(struct blt_seq *seq, const struct seq_name *name,
		     struct seq_keys *ret)
{
	struct blt_stat st;
	uint8_t *key;
	size_t len;
	int rc =
		item_key(seq, name->bytes, name->len, name->record, &key, &len);

	*ret = (struct seq_keys){ 0 };
	if (rc < 0)
		return rc;
	ret->skip = len;
	if (name->record) {
		rc = blt_ns_walk(seq->ns, key, len, list_key, ret);
	} else {
		rc = blt_stat_key(seq->ns->store, key, len, &st);
		if (rc == 0)
			rc = list_key(ret, key, len, st.len);
	}
	free(key);
	if (rc < 0)
		free_keys(ret);
	else if (ret->n > 1)
		qsort(ret->key, ret->n, sizeof(*ret->key), by_bytes);
	return rc == -ENOENT ? -EAGAIN : rc;
}

/* ---- batches ---- */

static int begin(struct seq_batch *b, size_t keys, uint64_t bytes)
{
	b->keys += keys;
	b->bytes += bytes;
	return b->batch ? 0 : blt_batch_new(b->seq->ns->store, &b->batch);
}

/* A key that the batch puts or deletes. */
static int note(struct seq_batch *b, const void *key, size_t len)
{
	return b->seq->changed ? list_key(&b->changed, key, len, 0) : 0;
}

static int add_delete(struct seq_batch *b, const struct blt_bytes *key)
{
	int rc = note(b, key->bytes, key->len);

	return rc < 0 ? rc : blt_batch_delete(b->batch, key->bytes, key->len);
}

static void tell_changed(const struct seq_batch *b)
{
	const struct blt_seq *seq = b->seq;

	for (size_t i = 0; i < b->changed.n; i++)
		seq->changed(seq->changed_arg, b->changed.key[i].bytes,
			     b->changed.key[i].len);
}

int seq_batch_end(struct seq_batch *b, int rc)
{
	struct blt_ns *ns = b->seq->ns;

	if (rc < 0) {
		blt_batch_abort(b->batch);
	} else if (b->batch) {
		if (seq_before_batch)
			seq_before_batch();
		pthread_rwlock_wrlock(&ns->seq_state);
		rc = blt_batch_commit(b->batch);
		pthread_rwlock_unlock(&ns->seq_state);
		if (rc == 0)
			tell_changed(b);
		if (rc == 0 && seq_after_batch)
			seq_after_batch();
		if (rc == -ENOENT || rc == -EEXIST)
			rc = -EAGAIN;
	}
	free_keys(&b->changed);
	b->batch = NULL;
	b->keys = 0;
	b->bytes = 0;
	return rc;
}

static int put_field(struct seq_batch *b, const uint8_t *prefix, size_t len,
		     const struct blt_seq_field *f, bool fresh)
{
	uint8_t *key;
	size_t key_len;
	int rc = ns_join(prefix, len, f->name, f->name_len, false, &key,
			 &key_len);

	if (rc < 0)
		return rc;
	rc = begin(b, 1, key_len + f->value_len);
	if (rc == 0)
		rc = note(b, key, key_len);
	if (rc == 0 && fresh)
		rc = blt_batch_absent(b->batch, key, key_len);
	if (rc == 0)
		rc = blt_batch_put(b->batch, key, key_len,
				   f->value_len ? f->value : "", f->value_len,
				   BLT_NOW);
	free(key);
	return rc;
}

int seq_batch_put(struct seq_batch *b, const void *name, size_t len,
		  const struct blt_seq_item *item, bool fresh)
{
	bool record = seq_item_is_record(item);
	uint8_t *prefix;
	size_t prefix_len;
	int rc = item_key(b->seq, name, len, record, &prefix, &prefix_len);

	if (rc < 0)
		return rc;
	if (item->n == 0)
		rc = put_field(b, prefix, prefix_len,
			       &(struct blt_seq_field){ .value = "" }, fresh);
	for (size_t i = 0; i < item->n && rc == 0; i++)
		rc = put_field(b, prefix, prefix_len, &item->fields[i], fresh);
	free(prefix);
	return rc;
}

int seq_batch_delete(struct seq_batch *b, const struct seq_name *name)
{
	struct seq_keys keys;
	int rc = list_keys(b->seq, name, &keys);

	if (rc < 0)
		return rc;
	rc = begin(b, keys.n, keys.bytes);
	for (size_t i = 0; i < keys.n && rc == 0; i++)
		rc = add_delete(b, &keys.key[i]);
	free_keys(&keys);
	return rc;
}

static int add_rename(struct seq_batch *b, const struct blt_bytes *from,
		      const void *to, size_t to_len)
{
	int rc = note(b, from->bytes, from->len);

	if (rc == 0)
		rc = note(b, to, to_len);
	if (rc == 0)
		rc = blt_batch_absent(b->batch, to, to_len);
	if (rc == 0)
		rc = blt_batch_rename(b->batch, from->bytes, from->len, to,
				      to_len);
	return rc;
}

int seq_batch_rename(struct seq_batch *b, const struct seq_name *from,
		     const void *to, size_t to_len)
{
	struct seq_keys keys;
	uint8_t *prefix;
	size_t prefix_len;
	int rc = item_key(b->seq, to, to_len, from->record, &prefix,
			  &prefix_len);

	if (rc < 0)
		return rc;
	rc = list_keys(b->seq, from, &keys);
	if (rc < 0)
		goto out;
	rc = begin(b, keys.n, keys.bytes);
	for (size_t i = 0; i < keys.n && rc == 0; i++) {
		const uint8_t *old = keys.key[i].bytes;
		uint8_t *key;
		size_t len;

		rc = ns_join(prefix, prefix_len, old + keys.skip,
			     keys.key[i].len - keys.skip, false, &key, &len);
		if (rc < 0)
			break;
		rc = add_rename(b, &keys.key[i], key, len);
		free(key);
	}
	free_keys(&keys);
out:
	free(prefix);
	return rc;
}

/* ---- replacing ---- */

/* The names that an item's keys have behind its prefix, sorted; the marker of a
 * record without fields is the empty one. */
static struct blt_bytes *sorted_names(const struct blt_seq_item *item,
				      size_t *ret_n)
{
	size_t n = item->n > 0 ? item->n : 1;
	struct blt_bytes *names = calloc(n, sizeof(*names));

	if (!names)
		return NULL;
	for (size_t i = 0; i < item->n; i++)
		names[i] = (struct blt_bytes){ item->fields[i].name,
					       item->fields[i].name_len };
	qsort(names, n, sizeof(*names), by_bytes);
	*ret_n = n;
	return names;
}

int seq_batch_stale(struct seq_batch *b, const struct seq_name *name,
		    const struct blt_seq_item *item)
{
	struct blt_bytes *kept;
	struct seq_keys keys;
	size_t n;
	int rc;

	if (name->record != seq_item_is_record(item))
		return seq_batch_delete(b, name);
	kept = sorted_names(item, &n);
	if (!kept)
		return -ENOMEM;
	rc = list_keys(b->seq, name, &keys);
	if (rc < 0)
		goto out;
	rc = begin(b, 0, 0);
	for (size_t i = 0; i < keys.n && rc == 0; i++) {
		const struct blt_bytes *key = &keys.key[i];
		struct blt_bytes rest = { (const uint8_t *)key->bytes +
						  keys.skip,
					  key->len - keys.skip };

		if (bsearch(&rest, kept, n, sizeof(rest), by_bytes))
			continue;
		b->keys++;
		rc = add_delete(b, key);
	}
	free_keys(&keys);
out:
	free(kept);
	return rc;
}

/* ---- reading ---- */

int seq_item_read(struct blt_seq *seq, const struct seq_name *name,
		  blt_seq_field_fn *fn, void *arg)
{
	struct seq_keys keys;
	int rc = list_keys(seq, name, &keys);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < keys.n && rc == 0; i++) {
		const struct blt_bytes *key = &keys.key[i];
		struct blt_seq_field field = { 0 };
		struct blt_view v;

		if (name->record && key->len == keys.skip)
			continue; /* its marker */
		rc = blt_get(seq->ns->store, key->bytes, key->len, &v);
		if (rc == -ENOENT) {
			/* gone meanwhile */
			rc = name->record ? 0 : -EAGAIN;
			continue;
		}
		if (rc < 0)
			break;
		if (name->record) {
			field.name = (const char *)key->bytes + keys.skip;
			field.name_len = key->len - keys.skip;
		}
		field.value = v.data;
		field.value_len = v.len;
		rc = fn(arg, &field);
		blt_view_release(&v);
	}
	free_keys(&keys);
	return rc;
}
