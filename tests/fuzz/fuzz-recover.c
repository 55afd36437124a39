/* Recovers any bytes as a store that a dead writer left.  A reader, who replays
 * the log in memory, and a writer, who replays it into the file, must see the
 * same, and so must whoever opens the file after the writer has closed it. */
#include "fuzz.h"
#include "booklet/store/store.h"

#include <stdio.h>
#include <stdlib.h>

/* What a store holds, whatever the order. */
struct content {
	int result; /* of the walk */
	uint64_t n, sum;
};

static uint64_t item_sum(const struct blt_item *item)
{
	XXH3_state_t *sum = XXH3_createState();
	uint64_t digest;

	XXH3_64bits_reset(sum);
	XXH3_64bits_update(sum, &item->key_len, sizeof(item->key_len));
	XXH3_64bits_update(sum, item->key, item->key_len);
	XXH3_64bits_update(sum, item->value, item->value_len);
	XXH3_64bits_update(sum, &item->timestamp, sizeof(item->timestamp));
	digest = XXH3_64bits_digest(sum);
	XXH3_freeState(sum);
	return digest;
}

static struct content content_of(struct blt *store)
{
	struct content c = { 0 };
	struct blt_iter *it;
	struct blt_item item;

	if (blt_iter_new(store, &it) < 0)
		abort();
	while ((c.result = blt_iter_next(it, &item)) > 0) {
		c.n++;
		c.sum += item_sum(&item);
	}
	blt_iter_free(it);
	return c;
}

static bool differ(const struct content *a, const struct content *b)
{
	return a->result == 0 && b->result == 0 &&
	       (a->n != b->n || a->sum != b->sum);
}

/* Opens a descriptor's file; it stays the caller's. */
static int adopt(int fd, bool write, struct blt **ret)
{
	struct file_ops ops = fuzz_ops();
	struct blt_error err;

	return store_adopt(dup(fd), write, &ops, ret, &err);
}

static int look(int fd, struct content *ret)
{
	struct blt *store;
	int rc = adopt(fd, false, &store);

	if (rc < 0)
		return rc;
	*ret = content_of(store);
	return blt_close(store);
}

static void recover_and_look(int fd, const struct content *before)
{
	struct content within, after;
	struct blt *store;

	if (adopt(fd, true, &store) < 0)
		return;
	within = content_of(store);
	if (before && differ(before, &within))
		abort();
	if (blt_close(store) < 0)
		return;
	if (look(fd, &after) < 0 || differ(&within, &after))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct content before;
	int fd = fuzz_file(data, size);

	if (fd < 0)
		return 0;
	recover_and_look(fd, look(fd, &before) == 0 ? &before : NULL);
	close(fd);
	return 0;
}
