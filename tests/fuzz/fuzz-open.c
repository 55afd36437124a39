/* Opens any bytes as a store: walks it, looks its keys up, changes it. */
#include "fuzz.h"
#include "booklet/store/store.h"

#include <stdlib.h>

static void look_up(struct blt *store, const struct blt_item *item)
{
	struct blt_view v;
	uint8_t byte;

	if (blt_get(store, item->key, item->key_len, &v) < 0)
		return;
	if (v.len)
		blt_view_copy(&v, &byte, 1, v.len - 1);
	blt_view_release(&v);
}

static void walk(struct blt *store)
{
	struct blt_census census;
	struct blt_iter *it;
	struct blt_item item;
	struct blt_view v;

	blt_count(store, &census);
	if (blt_iter_new(store, &it) < 0)
		abort();
	while (blt_iter_next(it, &item) > 0)
		look_up(store, &item);
	blt_iter_free(it);
	if (blt_slot_get(store, BLT_METADATA, &v) == 0)
		blt_view_release(&v);
}

static void change(struct blt *store)
{
	struct blt_view v;

	blt_put(store, "0001", 4, "value", 5, BLT_NOW);
	blt_delete(store, "key", 3);
	blt_flush(store);
	if (blt_get(store, "0001", 4, &v) == 0)
		blt_view_release(&v);
	blt_reindex(store, 11, NULL, NULL);
	blt_settle(store, false);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (int write = 0; write < 2; write++) {
		int fd = fuzz_file(data, size);
		struct file_ops ops = fuzz_ops();
		struct blt_error err;
		struct blt *store;

		if (fd < 0 || store_adopt(fd, write, &ops, &store, &err) < 0)
			continue;
		walk(store);
		if (write)
			change(store);
		blt_close(store);
	}
	return 0;
}
