/* Open addressing, at most three quarters full. */
#include "booklet/core/marks.h"

#include <errno.h>
#include <stdlib.h>

#define LEAST 64

/* Where the hash stands, or would. */
static struct mark *place(const struct marks *m, const struct keyhash *hash)
{
	size_t at = (size_t)keyhash_word(hash) & (m->size - 1);

	while (m->mark[at].used && !keyhash_equal(&m->mark[at].hash, hash))
		at = (at + 1) & (m->size - 1);
	return &m->mark[at];
}

static int grow(struct marks *m)
{
	struct marks more = { .n = m->n,
			      .size = m->size ? 2 * m->size : LEAST };

	more.mark = calloc(more.size, sizeof(*more.mark));
	if (!more.mark)
		return -ENOMEM;
	for (size_t i = 0; i < m->size; i++)
		if (m->mark[i].used)
			*place(&more, &m->mark[i].hash) = m->mark[i];
	free(m->mark);
	*m = more;
	return 0;
}

struct mark *marks_get(const struct marks *m, const struct keyhash *hash)
{
	struct mark *is = m->size ? place(m, hash) : NULL;

	return is && is->used ? is : NULL;
}

int marks_make(struct marks *m, const struct keyhash *hash, struct mark **ret)
{
	struct mark *is = marks_get(m, hash);
	int rc;

	if (!is && 4 * (m->n + 1) > 3 * m->size) {
		rc = grow(m);
		if (rc < 0)
			return rc;
	}
	if (!is) {
		is = place(m, hash);
		*is = (struct mark){ .hash = *hash, .used = true };
		m->n++;
	}
	*ret = is;
	return 0;
}

void marks_clear(struct marks *m)
{
	free(m->mark);
	*m = (struct marks){ 0 };
}
