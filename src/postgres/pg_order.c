/* Sequences: the names of a directory by their positions.  All names are read
 * each time, so a position costs as much as there are names, and so does its
 * memory.
 *
 * The index has "a!" in front of "a/b", but the directory "a" comes in front
 * of "a!": the names are sorted once more. */
#include "postgres/pg_store.h"

#include "base/array.h"
#include "base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct name {
	size_t at, len;
	bool is_dir;
};

struct names {
	struct name *name;
	size_t n, room;
	uint8_t *bytes;
	size_t len;
	bool any_dir;
};

static int take(void *arg, const struct backend_entry *e)
{
	struct names *all = arg;
	const struct name name = { all->len, e->comp_len, e->is_dir };

	if (ARRAY_ROOM(all->name, all->room, all->n + 1) < 0 ||
	    bytes_append(&all->bytes, &all->len, e->comp, e->comp_len) < 0)
		return -ENOMEM;
	all->name[all->n++] = name;
	all->any_dir = all->any_dir || e->is_dir;
	return 0;
}

static int compare(const void *a, const void *b, void *arg)
{
	const struct name *x = a, *y = b;
	const uint8_t *bytes = arg;
	int sign = compare_bytes(bytes + x->at, x->len, bytes + y->at, y->len);

	return sign ? sign : x->is_dir - y->is_dir;
}

static int read_all(struct blt *blt, const void *prefix, size_t len,
		    struct names *ret)
{
	int rc = pg_dirs.list(blt, prefix, len, 0, take, ret);

	if (rc == 0 && ret->any_dir)
		qsort_r(ret->name, ret->n, sizeof(*ret->name), compare,
			ret->bytes);
	return rc;
}

static void release(struct names *all)
{
	free(all->name);
	free(all->bytes);
}

int pg_order_count(struct blt *blt, const void *prefix, size_t len,
		   uint64_t *ret)
{
	struct names all = { .n = 0 };
	int rc = read_all(blt, prefix, len, &all);

	if (rc == 0)
		*ret = all.n;
	release(&all);
	return rc;
}

int pg_order_at(struct blt *blt, const void *prefix, size_t len, uint64_t at,
		uint64_t n, backend_order_fn *fn, void *arg)
{
	struct names all = { .n = 0 };
	int rc = read_all(blt, prefix, len, &all);

	for (uint64_t i = at; rc == 0 && i < all.n && i - at < n; i++) {
		const struct name *name = &all.name[i];
		const struct backend_place place = { all.bytes + name->at,
						     name->len, name->is_dir };

		rc = fn(arg, &place);
	}
	release(&all);
	return rc;
}

int pg_order_find(struct blt *blt, const void *prefix, size_t len,
		  const void *comp, size_t comp_len, uint64_t *ret)
{
	struct names all = { .n = 0 };
	uint64_t before = 0;
	int rc = read_all(blt, prefix, len, &all), found = 0;

	for (size_t i = 0; rc == 0 && i < all.n; i++) {
		int sign = compare_bytes(all.bytes + all.name[i].at,
					 all.name[i].len, comp, comp_len);

		before += sign < 0;
		found = found || sign == 0;
	}
	release(&all);
	if (rc == 0)
		*ret = before;
	return rc < 0 ? rc : found;
}
