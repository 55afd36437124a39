#include "crash/crashseq.h"

#include "crash/crashdisk.h"
#include "seq/seq.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char prefix[] = "seq/";
#define PREFIX_LEN (sizeof(prefix) - 1)

#define BATCH 3 /* keys; the library's own is more than fits here */

/* ---- items ---- */

/* Some are longer than others. */
static size_t item_text(uint32_t item, char to[64])
{
	size_t len = (size_t)sprintf(to, "%010u", item);

	for (uint32_t i = item % 5; i > 0; i--, len += 10)
		memcpy(to + len, to, 10);
	return len;
}

struct made {
	char text[64];
	struct blt_seq_field field[2];
	struct blt_seq_item item;
};

static void make_item(uint32_t item, struct made *ret)
{
	size_t len = item_text(item, ret->text);

	ret->field[0] =
		(struct blt_seq_field){ .value = ret->text, .value_len = len };
	ret->item = (struct blt_seq_item){ ret->field, 1 };
	if (item % 2 == 0)
		return;
	ret->field[1] = ret->field[0];
	ret->field[0].name = "one";
	ret->field[1].name = "two";
	ret->field[0].name_len = ret->field[1].name_len = 3;
	ret->item.n = 2;
}

/* ---- reading ---- */

struct reading {
	struct blt_seq *seq;
	struct crash_seq *ret;
	uint32_t item, fields;
};

static int read_field(void *arg, const struct blt_seq_field *field)
{
	struct reading *r = arg;
	char text[64], number[11] = "";
	uint32_t item;

	if (field->value_len < 10)
		return 0;
	memcpy(number, field->value, 10);
	item = (uint32_t)strtoul(number, NULL, 10);
	if (item_text(item, text) != field->value_len ||
	    memcmp(text, field->value, field->value_len) != 0 ||
	    (r->fields && r->item != item) || (item % 2 == 1) != !!field->name)
		return 0;
	r->item = item;
	r->fields++;
	return 0;
}

static int read_item(void *arg, const struct blt_seq_place *place)
{
	struct reading *r = arg;
	int rc;

	r->fields = 0;
	rc = blt_seq_read_named(r->seq, place, read_field, r);
	if (rc < 0)
		return rc;
	if (r->ret->n == CRASHSEQ_ITEMS)
		return -EOVERFLOW;
	r->ret->item[r->ret->n++] =
		r->fields == 1 + r->item % 2 ? r->item : CRASHSEQ_TORN;
	return 0;
}

static int open_seq(struct blt *store, struct blt_ns **ns, struct blt_seq **ret)
{
	int rc = blt_ns_new(store, NULL, ns);

	if (rc < 0)
		return rc;
	/* a walk that goes on behind a call would be in prune's way */
	rc = blt_ns_wait(*ns);
	if (rc == 0)
		rc = blt_seq_open(*ns, prefix, PREFIX_LEN, ret);
	if (rc < 0)
		blt_ns_free(*ns);
	return rc;
}

static void close_seq(struct blt_ns *ns, struct blt_seq *seq)
{
	blt_seq_close(seq);
	blt_ns_free(ns);
}

int crashseq_read(struct blt *store, struct crash_seq *ret)
{
	struct reading r = { .ret = ret };
	struct blt_stat st;
	struct blt_ns *ns;
	uint64_t n;
	int rc = blt_stat_key(store, prefix, PREFIX_LEN, &st);

	memset(ret, 0, sizeof(*ret));
	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	rc = open_seq(store, &ns, &r.seq);
	if (rc < 0)
		return rc;
	ret->there = 1;
	rc = blt_seq_len(r.seq, &n);
	if (rc == 0)
		rc = blt_seq_slice(r.seq, 0, (int64_t)n, read_item, &r);
	close_seq(ns, r.seq);
	return rc;
}

uint64_t crashseq_keys(const struct crash_seq *s)
{
	uint64_t keys = s->there;

	for (uint32_t i = 0; i < s->n; i++)
		keys += 1 + s->item[i] % 2;
	return keys;
}

bool crashseq_is_key(const void *key, size_t len)
{
	return len >= PREFIX_LEN && memcmp(key, prefix, PREFIX_LEN) == 0;
}

/* ---- changes ---- */

static enum crashseq_kind draw_kind(uint64_t seed, const struct crash_seq *now)
{
	static const enum crashseq_kind kinds[] = {
		CRASHSEQ_INSERT, CRASHSEQ_INSERT, CRASHSEQ_EXTEND,
		CRASHSEQ_CROWD,  CRASHSEQ_MOVE,   CRASHSEQ_MOVE,
		CRASHSEQ_SET,    CRASHSEQ_DELETE,
	};

	if (!now->there)
		return CRASHSEQ_CREATE;
	if (now->n == 0)
		return CRASHSEQ_EXTEND;
	if (now->n + 6 > CRASHSEQ_ITEMS)
		return CRASHSEQ_DELETE;
	return kinds[crash_mix(seed, 1, 0) % (sizeof(kinds) / sizeof(*kinds))];
}

struct crashseq_op crashseq_draw(uint64_t seed, const struct crash_seq *now)
{
	struct crashseq_op op = { .kind = draw_kind(seed, now),
				  .n = 1,
				  .parts = 1,
				  .flush = crash_mix(seed, 6, 0) % 4 > 0 };
	bool end = op.kind == CRASHSEQ_INSERT || op.kind == CRASHSEQ_EXTEND;

	for (size_t i = 0; i < sizeof(op.item) / sizeof(*op.item); i++)
		op.item[i] =
			1 + (uint32_t)(crash_mix(seed, 2, i) % 4000000000u);
	if (now->n + end > 0)
		op.at = (uint32_t)(crash_mix(seed, 3, 0) % (now->n + end));
	if (now->n > 0)
		op.to = (uint32_t)(crash_mix(seed, 4, 0) % now->n);
	if (op.kind == CRASHSEQ_EXTEND)
		op.parts = op.n = 2 + (uint32_t)(crash_mix(seed, 5, 0) % 5);
	if (op.kind == CRASHSEQ_CROWD) {
		op.parts = 2;
		op.at = now->n - 1;
		op.item[0] &= ~1u;
		op.item[0] += 2; /* no record, and not 0 */
	}
	return op;
}

static void put_in(struct crash_seq *s, uint32_t at, uint32_t item)
{
	memmove(&s->item[at + 1], &s->item[at], (s->n - at) * sizeof(*s->item));
	s->item[at] = item;
	s->n++;
}

static void take_out(struct crash_seq *s, uint32_t at)
{
	s->n--;
	memmove(&s->item[at], &s->item[at + 1], (s->n - at) * sizeof(*s->item));
	s->item[s->n] = 0;
}

void crashseq_apply(const struct crashseq_op *op, unsigned part,
		    struct crash_seq *s)
{
	uint32_t moved = s->item[op->at];

	switch (op->kind) {
	case CRASHSEQ_CREATE:
		s->there = 1;
		break;
	case CRASHSEQ_INSERT:
	case CRASHSEQ_EXTEND:
		put_in(s, op->at + part, op->item[part]);
		break;
	case CRASHSEQ_DELETE:
		take_out(s, op->at);
		break;
	case CRASHSEQ_MOVE:
		take_out(s, op->at);
		put_in(s, op->to, moved);
		break;
	case CRASHSEQ_SET:
		s->item[op->at] = op->item[0];
		break;
	case CRASHSEQ_CROWD:
		/* the one by hand is the last; the other comes before it */
		put_in(s, op->at + 1, op->item[part]);
		break;
	}
}

static int insert(struct blt_seq *seq, uint32_t at, const uint32_t *items,
		  uint32_t n)
{
	struct blt_seq_item item[6];
	struct made made[6];

	for (uint32_t i = 0; i < n; i++) {
		make_item(items[i], &made[i]);
		item[i] = made[i].item;
	}
	return blt_seq_insert(seq, at, item, n);
}

static int keep_name(void *arg, const struct blt_seq_place *place)
{
	char *key = arg;
	size_t len = PREFIX_LEN;

	memcpy(key, prefix, len);
	memcpy(key + len, place->name, place->name_len);
	len += place->name_len;
	memcpy(key + len, "0", 2);
	return 0;
}

/* Nothing comes between "x" and "x0". */
static int crowd(struct blt *store, struct blt_seq *seq,
		 const struct crashseq_op *op)
{
	char key[300], text[64];
	int rc = blt_seq_read(seq, op->at, keep_name, NULL, key);

	if (rc == 0)
		rc = blt_put(store, key, strlen(key), text,
			     item_text(op->item[0], text), BLT_NOW);
	return rc < 0 ? rc : insert(seq, op->at + 1, &op->item[1], 1);
}

static int set(struct blt_seq *seq, const struct crashseq_op *op)
{
	struct made made;

	make_item(op->item[0], &made);
	return blt_seq_set(seq, op->at, &made.item);
}

static int run_in(struct blt *store, struct blt_seq *seq,
		  const struct crashseq_op *op)
{
	switch (op->kind) {
	case CRASHSEQ_INSERT:
	case CRASHSEQ_EXTEND:
		return insert(seq, op->at, op->item, op->n);
	case CRASHSEQ_DELETE:
		return blt_seq_delete(seq, op->at, op->at + 1);
	case CRASHSEQ_MOVE:
		return blt_seq_move(seq, op->at, op->to);
	case CRASHSEQ_SET:
		return set(seq, op);
	case CRASHSEQ_CROWD:
		return crowd(store, seq, op);
	case CRASHSEQ_CREATE:
		break;
	}
	return -EINVAL;
}

static struct blt *flushed;

/* What it says is said again by the next change. */
static void flush_batch(void)
{
	(void)blt_flush(flushed);
}

int crashseq_run(struct blt *store, const struct crashseq_op *op)
{
	size_t keys_max = seq_keys_max;
	struct blt_seq *seq;
	struct blt_ns *ns;
	int rc;

	if (op->kind == CRASHSEQ_CREATE) {
		rc = blt_ns_new(store, NULL, &ns);
		if (rc < 0)
			return rc;
		rc = blt_ns_wait(ns);
		if (rc == 0)
			rc = blt_seq_create(ns, prefix, PREFIX_LEN);
		blt_ns_free(ns);
		return rc;
	}
	rc = open_seq(store, &ns, &seq);
	if (rc < 0)
		return rc;
	seq_keys_max = BATCH;
	seq_after_batch = op->flush ? flush_batch : NULL;
	flushed = store;
	rc = run_in(store, seq, op);
	seq_after_batch = NULL;
	seq_keys_max = keys_max;
	close_seq(ns, seq);
	return rc;
}
