/* Open addressing, at most three quarters full. */
#include "txn/txn_keyset.h"

#include <errno.h>
#include <stdlib.h>

#define LEAST 64

/* Where the hash stands, or would. */
static struct txn_keyset_entry *place(const struct txn_keyset *m,
				      const struct keyhash *hash)
{
	size_t at = (size_t)keyhash_word(hash) & (m->size - 1);

	while (m->mark[at].used && !keyhash_equal(&m->mark[at].hash, hash))
		at = (at + 1) & (m->size - 1);
	return &m->mark[at];
}

static int grow(struct txn_keyset *m)
{
	struct txn_keyset more = { .n = m->n,
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

struct txn_keyset_entry *txn_keyset_get(const struct txn_keyset *m,
					const struct keyhash *hash)
{
	struct txn_keyset_entry *is = m->size ? place(m, hash) : NULL;

	return is && is->used ? is : NULL;
}

int txn_keyset_make(struct txn_keyset *m, const struct keyhash *hash,
		    struct txn_keyset_entry **ret)
{
	struct txn_keyset_entry *is = txn_keyset_get(m, hash);
	int rc;

	if (!is && 4 * (m->n + 1) > 3 * m->size) {
		rc = grow(m);
		if (rc < 0)
			return rc;
	}
	if (!is) {
		is = place(m, hash);
		*is = (struct txn_keyset_entry){ .hash = *hash, .used = true };
		m->n++;
	}
	*ret = is;
	return 0;
}

void txn_keyset_clear(struct txn_keyset *m)
{
	free(m->mark);
	*m = (struct txn_keyset){ 0 };
}
