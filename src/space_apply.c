/* Changes into their places in the file, many with one call.
 *
 * Pointers lie all over the index and the data.  Changes that stand within one
 * window, each less than a page behind the one before, are written with one
 * call: where there are many, that is one for several pages, and none is
 * written that has no change. */
#include "space.h"

#include "util.h"

#include <string.h>

#define APPLY_WINDOW 32768u
#define APPLY_GAP 4096u

struct apply_window {
	struct space *sp;
	const struct change *item;
	size_t n;
	int result;
};

/* Rewrites the bytes from the first change of a window to its last. */
static int apply_window(void *arg)
{
	struct apply_window *w = arg;
	const struct change *last = &w->item[w->n - 1];
	uint64_t from = w->item->pos;
	size_t len = (size_t)(last->pos + last->len - from);
	uint8_t buf[APPLY_WINDOW + 8];

	if (w->n > 1)
		memcpy(buf, file_ptr(&w->sp->file, from), len);
	for (size_t i = 0; i < w->n; i++)
		put_le(buf + (w->item[i].pos - from), w->item[i].value,
		       w->item[i].len);
	return file_write(&w->sp->file, buf, len, from);
}

/* A window writes what lies between two changes as it was read: so there must
 * be nothing that somebody else writes meanwhile. */
static bool fits_window(const struct space *sp, const struct change *item,
			size_t n)
{
	const struct change *last = &item[n - 1], *next = &item[n];
	uint64_t zone_end = sp->zone.pos + sp->zone.len;

	if (next->pos < last->pos || next->pos - last->pos >= APPLY_GAP ||
	    next->pos - item->pos >= APPLY_WINDOW)
		return false;
	return next->pos <= sp->zone.pos || last->pos + last->len >= zone_end;
}

static int apply_items(struct space *sp, const struct change *item, size_t n)
{
	while (n) {
		struct apply_window w = { .sp = sp, .item = item, .n = 1 };
		int rc;

		while (w.n < n && fits_window(sp, item, w.n))
			w.n++;
		rc = file_try(apply_window, &w);
		if (rc < 0)
			return rc;
		item += w.n;
		n -= w.n;
	}
	return 0;
}

int space_apply(struct space *sp, const struct changes *changes)
{
	/* Without memory for sorting, the order of their setting does. */
	struct change *sorted = changes_sorted(changes);
	int rc = apply_items(sp, sorted ? sorted : changes->item, changes->n);

	changes_put_sorted(changes, sorted);
	return rc;
}
