/* tool_batch.c - many puts, committed some at a time where each would be a
 * transaction that waits for the disk: in an LMDB environment. */
#include "tool/tool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define KEYS_MOST 1000u
#define BYTES_MOST ((size_t)1 << 20)
#define SMALL_VALUE ((size_t)64 << 10) /* a longer one goes by itself */

int tool_batch_init(struct tool_batch *b, struct blt *store)
{
	struct blt_info info;

	*b = (struct tool_batch){ .store = store };
	blt_get_info(store, &info);
	if (!info.shared)
		return 0;
	b->value = malloc(SMALL_VALUE);
	return b->value ? 0 : -ENOMEM;
}

int tool_batch_end(struct tool_batch *b)
{
	struct blt_batch *batch = b->batch;
	int r = batch ? blt_batch_commit(batch) : 0;

	b->lost = r < 0 ? b->keys : 0;
	b->batch = NULL;
	b->keys = 0;
	b->bytes = 0;
	return r;
}

static int put_together(struct tool_batch *b, const void *key, size_t len,
			const struct blt_source *from, int64_t time)
{
	int r = b->batch ? 0 : blt_batch_new(b->store, &b->batch);

	if (r == 0 && from->len)
		r = from->read(from->arg, b->value, (size_t)from->len, 0);
	if (r == 0)
		r = blt_batch_put(b->batch, key, len, b->value,
				  (size_t)from->len, time);
	if (r < 0)
		return r;
	b->bytes += len + (size_t)from->len;
	if (++b->keys < KEYS_MOST && b->bytes < BYTES_MOST)
		return 0;
	r = tool_batch_end(b);
	b->lost -= r < 0; /* this one */
	return r;
}

int tool_batch_put(struct tool_batch *b, const void *key, size_t len,
		   const struct blt_source *from, int64_t time)
{
	int r;

	b->lost = 0;
	if (b->value && from->len <= SMALL_VALUE)
		return put_together(b, key, len, from, time);
	r = tool_batch_end(b);
	return r < 0 ? r : blt_put_from(b->store, key, len, from, time);
}

void tool_batch_free(struct tool_batch *b)
{
	blt_batch_abort(b->batch);
	b->batch = NULL;
	free(b->value);
	b->value = NULL;
}
