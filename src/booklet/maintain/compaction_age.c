/* What is too old is deleted, as a user would, some blocks a commit. */
#include "booklet/maintain/compact.h"

#include "booklet/core/batch.h"
#include "booklet/core/index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Blocks looked at in one hold of the write lock. */
#define STRIDE 256

static int by_hash(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct keyhash));
}

static int sort_keep(struct compaction *p)
{
	const struct blt_prune_options *o = p->opts;

	if (!o->n_keep)
		return 0;
	p->keep = malloc(o->n_keep * sizeof(*p->keep));
	if (!p->keep)
		return -ENOMEM;
	for (size_t i = 0; i < o->n_keep; i++)
		p->keep[i] = keyhash_of(o->keep[i].bytes, o->keep[i].len);
	qsort(p->keep, o->n_keep, sizeof(*p->keep), by_hash);
	return 0;
}

struct ageing {
	struct compaction *p;
	uint64_t pos, to;
	struct batch_key key;
	bool drop;
};

/* A directory that is held by a marker is not old, nor is a hidden entry. */
static bool too_old(const struct compaction *p, const struct block *b)
{
	const struct format *f = &p->engine->wal.fmt;

	if (b->head.next == FORMAT_DEAD || format_hidden(f, &b->head.hash) ||
	    b->head.timestamp >= p->opts->older_than)
		return false;
	if (engine_is_marker(p->engine, b->key, b->head.key_len, b->value,
			     b->head.value_len))
		return false;
	return !p->keep || !bsearch(&b->head.hash, p->keep, p->opts->n_keep,
				    sizeof(*p->keep), by_hash);
}

static int look_at_age(void *arg)
{
	struct ageing *a = arg;
	struct wal *wal = &a->p->engine->wal;
	struct index_place place;
	struct block b;
	int rc = block_at(wal, a->pos, WAL_WRITER, &b);

	if (rc < 0)
		return rc;
	a->drop = too_old(a->p, &b);
	a->key.hash = b.head.hash;
	if (a->drop) {
		rc = index_find(wal, &b.head.hash, WAL_WRITER, &place);
		if (rc == 0 || (rc > 0 && place.block.pos != b.pos))
			rc = -EUCLEAN;
	}
	a->pos = block_skip_index(wal, b.pos + b.len);
	return rc < 0 ? rc : 0;
}

static int drop_stride(struct ageing *a)
{
	uint64_t dropped = 0;
	struct batch b;
	int rc;

	batch_give_way(a->p->engine);
	rc = batch_begin(&b, a->p->engine);
	if (rc < 0)
		return rc;
	for (int i = 0; i < STRIDE && a->pos < a->to && rc == 0; i++) {
		rc = file_try(look_at_age, a);
		if (rc == 0 && a->drop)
			rc = batch_delete(&b, &a->key);
		dropped += rc == 0 && a->drop;
	}
	rc = batch_end(&b, rc);
	if (rc == 0)
		a->p->result->dropped += dropped;
	return rc;
}

int compaction_age(struct compaction *p)
{
	struct wal *wal = &p->engine->wal;
	struct ageing a = { .p = p, .to = compact_end_of(&p->compaction_plan) };
	int rc = sort_keep(p);

	if (!p->opts->older_than)
		return rc;
	if (rc == 0 && !wal->fmt.timestamps)
		rc = -ENOTSUP;
	a.pos = block_first(wal);
	while (rc == 0 && a.pos < a.to) {
		rc = drop_stride(&a);
		if (rc == 0)
			rc = compact_tell(&p->compaction_plan);
	}
	return rc;
}
