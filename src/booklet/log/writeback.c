/* Changes into their places in the file, many with one call.
 *
 * Pointers lie all over the index and the data.  Changes that stand within one
 * window, each less than a page behind the one before, are written with one
 * call: where there are many, that is one for several pages, and none is
 * written that has no change. */
#include "booklet/log/wal.h"

#include "base/util.h"

#include <string.h>

#define APPLY_GAP 4096u

/* The filesystem looks through a whole large folio of the page cache at each
 * write, so where changes are many, windows are large, too. */
#define WINDOW_FEW 8192u
#define WINDOW_MANY 131072u
#define MANY 256u

/* Bytes of a change. */
#define CHANGE_MOST 8u

/* Memory for the longest window and the change at its end. */
struct apply_buffer {
	uint8_t *at;
	size_t window;
};

struct apply_window {
	struct wal *wal;
	uint8_t *buf;
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

	if (w->n > 1)
		memcpy(w->buf, file_ptr(&w->wal->file, from), len);
	for (size_t i = 0; i < w->n; i++)
		put_le(w->buf + (w->item[i].pos - from), w->item[i].value,
		       w->item[i].len);
	return file_write(&w->wal->file, w->buf, len, from);
}

/* A window writes what lies between two changes as it was read: so there must
 * be nothing that somebody else writes meanwhile. */
static bool fits_window(const struct wal *wal, const struct change *item,
			size_t n, size_t window)
{
	const struct change *last = &item[n - 1], *next = &item[n];
	uint64_t gap_end = wal->gap.pos + wal->gap.len;

	if (next->pos < last->pos || next->pos - last->pos >= APPLY_GAP ||
	    next->pos - item->pos >= window)
		return false;
	return next->pos <= wal->gap.pos || last->pos + last->len >= gap_end;
}

static int apply_items(struct wal *wal, const struct change *item, size_t n,
		       const struct apply_buffer *b)
{
	while (n) {
		struct apply_window w = {
			.wal = wal, .buf = b->at, .item = item, .n = 1
		};
		int rc;

		while (w.n < n && fits_window(wal, item, w.n, b->window))
			w.n++;
		rc = file_try(apply_window, &w);
		if (rc < 0)
			return rc;
		item += w.n;
		n -= w.n;
	}
	return 0;
}

int wal_writeback(struct wal *wal, const struct dirty_table *changes)
{
	/* Without memory for sorting, the order of their setting does; without
	 * that for large windows, small ones do. */
	struct change *sorted = dirty_sorted(changes);
	uint8_t few[WINDOW_FEW + CHANGE_MOST];
	uint8_t *many = changes->n < MANY ?
				NULL :
				scratch_get(WINDOW_MANY + CHANGE_MOST);
	struct apply_buffer b = { many ? many : few,
				  many ? WINDOW_MANY : WINDOW_FEW };
	int rc = apply_items(wal, sorted ? sorted : changes->item, changes->n,
			     &b);

	scratch_put(many, WINDOW_MANY + CHANGE_MOST);
	dirty_put_sorted(changes, sorted);
	return rc;
}
