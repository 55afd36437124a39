/* A hash table that grows, with chains (lmdb_undo.h). */
#include "lmdb/lmdb_undo.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static struct undo_key **chain_of(const struct undo *b, const void *key,
				  size_t len)
{
	return &b->chain[XXH3_64bits(key, len) & (b->size - 1)];
}

static struct undo_key **find(const struct undo *b, const void *key, size_t len)
{
	struct undo_key **at;

	if (!b->size)
		return NULL;
	at = chain_of(b, key, len);
	while (*at &&
	       ((*at)->key_len != len || memcmp((*at)->bytes, key, len) != 0))
		at = &(*at)->next;
	return at;
}

/* Where that fails the chains become longer, or there are none. */
static void grow(struct undo *b)
{
	struct undo bigger = { .size = b->size ? b->size * 4 : 64, .n = b->n };

	bigger.chain = calloc(bigger.size, sizeof(struct undo_key *));
	if (!bigger.chain)
		return;
	for (size_t i = 0; i < b->size; i++) {
		while (b->chain[i]) {
			struct undo_key *k = b->chain[i], **to;

			b->chain[i] = k->next;
			to = chain_of(&bigger, k->bytes, k->key_len);
			k->next = *to;
			*to = k;
		}
	}
	free(b->chain);
	*b = bigger;
}

bool undo_has(const struct undo *b, const void *key, size_t len)
{
	struct undo_key **at = find(b, key, len);

	return at && *at;
}

int undo_put(struct undo *b, const void *key, size_t len, bool there,
	     const void *value, size_t value_len, uint64_t token)
{
	const size_t kept = value ? value_len : 0;
	struct undo_key *k, **at;

	if (b->n >= b->size)
		grow(b);
	at = find(b, key, len);
	k = at ? malloc(sizeof(*k) + len + kept) : NULL;
	if (!k)
		return -ENOMEM;
	*k = (struct undo_key){ .there = there,
				.token = token,
				.key_len = len,
				.value_len = value_len };
	memcpy(k->bytes, key, len);
	if (kept)
		memcpy(k->bytes + len, value, kept);
	*at = k;
	b->n++;
	return 0;
}

struct undo_key *undo_take(struct undo *b, const void *key, size_t len)
{
	struct undo_key **at = find(b, key, len), *k = at ? *at : NULL;

	if (k) {
		*at = k->next;
		b->n--;
	}
	return k;
}

struct undo_key *undo_any(struct undo *b)
{
	while (b->at < b->size) {
		struct undo_key *k = b->chain[b->at];

		if (!k) {
			b->at++;
			continue;
		}
		b->chain[b->at] = k->next;
		b->n--;
		if (k->there)
			return k;
		free(k);
	}
	return NULL;
}

void undo_clear(struct undo *b)
{
	struct undo_key *k;

	while ((k = undo_any(b)))
		free(k);
	free(b->chain);
	*b = (struct undo){ 0 };
}
