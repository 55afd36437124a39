/* Notes: a table in reserved slot 1, which Python keeps and does not show. */
#include "booklet/store/store.h"

#include "booklet/format/notes.h"
#include "base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int booklet_notes(struct blt *blt, backend_note_fn *fn, void *arg)
{
	struct blt_view v;
	uint8_t *table;
	size_t at = 0;
	struct note n;
	int rc = booklet_slot_get(blt, BLT_RESERVED_1, &v);

	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	/* Another library's: the magic need not be read. */
	if (v.len > NOTES_MAX) {
		blt_view_release(&v);
		return -EEXIST;
	}
	table = malloc(v.len + 1);
	rc = table ? 0 : -ENOMEM;
	if (rc == 0 && blt_view_copy(&v, table, v.len, 0) != (int64_t)v.len)
		rc = -EIO;
	while (rc == 0 && (rc = notes_next(table, v.len, &at, &n)) > 0)
		rc = fn(arg, &(struct backend_note){ n.name, n.name_len,
						     n.bytes, n.len });
	blt_view_release(&v);
	free(table);
	return rc;
}

static int change(struct batch *b, const struct batch_key *key,
		  const uint8_t *table, size_t len, const struct backend_op *op)
{
	const struct note was = { .bytes = op->to.bytes, .len = op->to.len };
	const struct note to = { .name = op->key.bytes,
				 .name_len = op->key.len,
				 .bytes = op->value,
				 .len = op->value_len };
	struct batch_value value = { 0 };
	uint8_t *made;
	size_t made_len;
	int rc = notes_change(table, len, &was, &to, &made, &made_len);

	if (rc < 0)
		return rc;
	value = (struct batch_value){ .bytes = made, .len = made_len };
	if (made)
		rc = batch_put(b, key, &value, now_us());
	else if (len)
		rc = batch_delete(b, key);
	free(made);
	return rc;
}

int store_note(struct store *store, struct batch *b,
	       const struct backend_op *op)
{
	const char *name = format_slot_key[FORMAT_RESERVED_1];
	const struct batch_key key = { name, strlen(name),
				       keyhash_of(name, strlen(name)) };
	uint8_t *table = NULL;
	size_t len = 0;
	int rc;

	if (store->engine.wal.fmt.fixed)
		return -ENOTSUP;
	rc = batch_read(b, &key, NOTES_MAX, &table, &len);
	if (rc == -EFBIG)
		return -EEXIST;
	if (rc == 0 || rc == -ENOENT)
		rc = change(b, &key, table, len, op);
	free(table);
	return rc;
}
