#include "tool/tool_survey.h"

#include "booklet/format/keyhash.h"
#include "base/util.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define COUNT_MAX 255
#define BUCKET_LEN 6
/* In front of a key (doc/format.md, section 3). */
#define HEAD_LEN 25
#define FIXED_HEAD_LEN 21
#define TIME_LEN 7

unsigned survey_class(uint64_t len)
{
	unsigned class = 0;

	while (len && class + 1 < SURVEY_SIZES) {
		class ++;
		len >>= 1;
	}
	return class;
}

/* Adds bytes from..to to the member of each cell that they lie in. */
static void cover(struct survey *s, uint64_t from, uint64_t to, size_t member)
{
	to = min_u64(to, s->file_size);
	while (from < to) {
		uint64_t n = from / s->cell_len;
		uint64_t end = min_u64(to, (n + 1) * s->cell_len);

		*(uint64_t *)((char *)&s->cell[n] + member) += end - from;
		from = end;
	}
}

static void make_cells(struct survey *s, const struct blt_info *info)
{
	s->file_size = max_u64(info->file_size, 1);
	s->cell_len = (s->file_size + SURVEY_CELLS - 1) / SURVEY_CELLS;
	s->n_cells = (unsigned)((s->file_size - 1) / s->cell_len) + 1;
	cover(s, 0, s->file_size, offsetof(struct survey_cell, bytes));
	cover(s, info->index_offset,
	      info->index_offset + (uint64_t)info->n_buckets * BUCKET_LEN,
	      offsetof(struct survey_cell, index));
}

/* Without memory for it the key is left out. */
static void take_key(struct survey_key *k, const struct blt_item *item)
{
	uint8_t *copy = realloc(k->bytes, item->key_len + 1);

	if (!copy)
		return;
	memcpy(copy, item->key, item->key_len);
	k->bytes = copy;
	k->len = item->key_len;
}

static void take_item(struct survey *s, const struct blt_info *info,
		      const struct blt_item *item)
{
	struct keyhash hash = keyhash_of(item->key, item->key_len);
	uint8_t *count = &s->counts[keyhash_bucket(&hash, info->n_buckets)];
	uint64_t head = info->value_len ? FIXED_HEAD_LEN : HEAD_LEN;
	uint64_t len;

	if (info->has_timestamps)
		head += TIME_LEN;
	len = head + item->key_len + item->value_len;
	if (*count < COUNT_MAX)
		++*count;
	s->steps += *count;
	s->keys++;
	s->value_bytes += item->value_len;
	s->live_bytes += len;
	if (item->value_len > s->largest || !s->largest_key.bytes) {
		s->largest = item->value_len;
		take_key(&s->largest_key, item);
	}
	s->size[survey_class(item->value_len)]++;
	cover(s, item->value_offset + item->value_len - len,
	      item->value_offset + item->value_len,
	      offsetof(struct survey_cell, live));
	if (item->timestamp == BLT_NO_TIME)
		return;
	if (s->oldest == BLT_NO_TIME || item->timestamp < s->oldest)
		s->oldest = item->timestamp;
	if (item->timestamp > s->newest) {
		s->newest = item->timestamp;
		take_key(&s->newest_key, item);
	}
}

static int walk(struct survey *s, struct tool *t, const struct blt_info *info,
		struct progress *p)
{
	struct blt_item item;
	struct blt_iter *it;
	int r = blt_iter_new(t->store, &it);

	if (r < 0)
		return r;
	while ((r = blt_iter_next(it, &item)) > 0) {
		take_item(s, info, &item);
		progress_show(p, item.value_offset, s->keys);
	}
	blt_iter_free(it);
	return r;
}

static void sum_up(struct survey *s, const struct blt_info *info)
{
	for (uint32_t i = 0; i < info->n_buckets; i++) {
		unsigned n = s->counts[i];

		s->chain[min_u64(n, SURVEY_CHAINS - 1)]++;
		if (n > s->longest)
			s->longest = n;
	}
	/* a bucket of n keys was counted as 1 + 2 + ... + n */
	if (s->keys)
		s->steps /= (double)s->keys;
}

int survey_run(struct survey *s, struct tool *t, bool quiet)
{
	struct progress p;
	struct blt_info info;
	int r;

	blt_get_info(t->store, &info);
	*s = (struct survey){ .oldest = BLT_NO_TIME, .newest = BLT_NO_TIME };
	make_cells(s, &info);
	s->counts = calloc(info.n_buckets, 1);
	if (!s->counts)
		return tool_fail(t, EX_OSERR, "out of memory");
	progress_start(&p, "info", info.file_size, quiet);
	r = walk(s, t, &info, &p);
	progress_end(&p);
	if (r < 0)
		return tool_fail_store(t, NULL, r);
	sum_up(s, &info);
	return 0;
}

void survey_free(struct survey *s)
{
	free(s->counts);
	s->counts = NULL;
	free(s->largest_key.bytes);
	s->largest_key = (struct survey_key){ 0 };
	free(s->newest_key.bytes);
	s->newest_key = (struct survey_key){ 0 };
}
