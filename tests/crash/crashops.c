/* What random work does to a store: each operation notes the state that it
 * leads to before it begins. */
#include "crash/crashwork_inner.h"
#include "base/util.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VALUE_MOST ((size_t)5000)
#define BIG_VALUE ((size_t)1200000)

static size_t draw_value(struct crashwork *w, uint8_t *to)
{
	size_t len = w->kind->create.value_len;
	uint64_t seed = crash_draw(w, UINT64_MAX);

	if (!len)
		len = crash_draw(w, crash_draw(w, 12) ? 200 : VALUE_MOST);
	for (size_t i = 0; i < len; i++)
		to[i] = (uint8_t)crash_mix(seed, i, 0);
	return len;
}

static unsigned draw_present(struct crashwork *w, const struct crash_state *s)
{
	unsigned i = (unsigned)crash_draw(w, CRASH_KEYS);

	for (unsigned k = 0; k < CRASH_KEYS; k++, i = (i + 1) % CRASH_KEYS)
		if (s->key[i].hash)
			return i;
	return CRASH_KEYS;
}

int crashwork_put(struct crashwork *w)
{
	struct crash_state s = *crash_newest(w);
	unsigned i = (unsigned)crash_draw(w, CRASH_KEYS);
	uint8_t value[VALUE_MOST];
	size_t len = draw_value(w, value);
	int64_t time = crash_draw_time(w);
	char key[600];

	s.key[i] = crash_timed_entry(w, value, len, time);
	crash_note_commit(w, &s);
	return crash_outcome(w,
			     blt_put(w->store, key, crash_make_key(i, key),
				     value, len, time),
			     "a put", true);
}

static int do_delete(struct crashwork *w)
{
	struct crash_state s = *crash_newest(w);
	unsigned i = draw_present(w, &s);
	char key[600];

	if (i == CRASH_KEYS)
		return 0;
	memset(&s.key[i], 0, sizeof(s.key[i]));
	crash_note_commit(w, &s);
	return crash_outcome(w,
			     blt_delete(w->store, key, crash_make_key(i, key)),
			     "a delete", true);
}

static int do_touch(struct crashwork *w)
{
	struct crash_state s = *crash_newest(w);
	unsigned i = draw_present(w, &s);
	int64_t time = crash_draw_time(w);
	char key[600];

	if (i == CRASH_KEYS)
		return 0;
	if (crash_timed(w))
		s.key[i].time = time;
	crash_note_commit(w, &s);
	return crash_outcome(
		w, blt_touch(w->store, key, crash_make_key(i, key), time),
		"a touch", true);
}

static int batch_pair(struct crashwork *w, struct blt_batch *b,
		      struct crash_state *s)
{
	unsigned i = draw_present(w, s),
		 k = (unsigned)crash_draw(w, CRASH_KEYS);
	char one[600], two[600];
	size_t one_len, two_len;

	if (i == CRASH_KEYS || i == k)
		return 0;
	one_len = crash_make_key(i, one);
	two_len = crash_make_key(k, two);
	if (s->key[k].hash && crash_draw(w, 2)) {
		struct crash_entry e = s->key[i];

		s->key[i] = s->key[k];
		s->key[k] = e;
		return blt_batch_exchange(b, one, one_len, two, two_len);
	}
	s->key[k] = s->key[i];
	memset(&s->key[i], 0, sizeof(s->key[i]));
	return blt_batch_rename(b, one, one_len, two, two_len);
}

int crash_batch_one(struct crashwork *w, struct blt_batch *b,
		    struct crash_state *s)
{
	unsigned i = (unsigned)crash_draw(w, CRASH_KEYS);
	size_t key_len, len;
	uint8_t value[VALUE_MOST];
	int64_t time;
	char key[600];

	switch (crash_draw(w, 5)) {
	case 0:
	case 1:
		return batch_pair(w, b, s);
	case 2:
		i = draw_present(w, s);
		if (i == CRASH_KEYS)
			return 0;
		memset(&s->key[i], 0, sizeof(s->key[i]));
		return blt_batch_delete(b, key, crash_make_key(i, key));
	}
	key_len = crash_make_key(i, key);
	len = draw_value(w, value);
	time = crash_draw_time(w);
	s->key[i] = crash_timed_entry(w, value, len, time);
	return blt_batch_put(b, key, key_len, value, len, time);
}

static int do_batch(struct crashwork *w)
{
	struct crash_state s = *crash_newest(w);
	struct blt_batch *b = NULL;
	int rc = blt_batch_new(w->store, &b);

	for (uint64_t n = 1 + crash_draw(w, 5); n && rc == 0; n--)
		rc = crash_batch_one(w, b, &s);
	if (rc < 0) {
		blt_batch_abort(b);
		return crash_outcome(w, rc, "a batch", false);
	}
	crash_note_commit(w, &s);
	return crash_outcome(w, blt_batch_commit(b), "a batch", true);
}

/* In place, or a copy. */
static int do_rename(struct crashwork *w)
{
	struct crash_state s = *crash_newest(w);
	unsigned i = draw_present(w, &s),
		 k = (unsigned)crash_draw(w, CRASH_KEYS);
	struct blt_batch *b = NULL;
	char from[600], to[600];
	int rc;

	if (i == CRASH_KEYS || i == k)
		return 0;
	s.key[k] = s.key[i];
	memset(&s.key[i], 0, sizeof(s.key[i]));
	rc = blt_batch_new(w->store, &b);
	if (rc == 0)
		rc = blt_batch_rename(b, from, crash_make_key(i, from), to,
				      crash_make_key(k, to));
	if (rc < 0) {
		blt_batch_abort(b);
		return crash_outcome(w, rc, "a rename", false);
	}
	crash_note_commit(w, &s);
	if (crash_draw(w, 2))
		return crash_outcome(w, blt_batch_commit(b), "a rename", true);
	rc = blt_batch_commit_flush(b);
	if (rc == 0)
		crash_promise_flushed(w);
	return crash_outcome(w, rc, "a rename", true);
}

struct big {
	uint64_t seed;
};

static int read_big(void *arg, void *buf, size_t n, uint64_t offset)
{
	struct big *big = arg;
	uint8_t *p = buf;

	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)((offset + i) * big->seed >> 8);
	return 0;
}

static int do_big(struct crashwork *w)
{
	struct big big = { crash_draw(w, 60000) | 1 };
	struct blt_source source = { .len = 1000 + crash_draw(w, BIG_VALUE),
				     .read = read_big,
				     .arg = &big };
	unsigned i = (unsigned)crash_draw(w, CRASH_KEYS);
	struct crash_state s = *crash_newest(w);
	int64_t time = crash_draw_time(w);
	uint8_t *value;
	char key[600];

	if (w->kind->create.value_len || !w->big_values)
		return crashwork_put(w);
	value = crash_need(malloc(source.len));
	read_big(&big, value, source.len, 0);
	s.key[i] = crash_timed_entry(w, value, source.len, time);
	free(value);
	crash_note_commit(w, &s);
	return crash_outcome(w,
			     blt_put_from(w->store, key, crash_make_key(i, key),
					  &source, time),
			     "a put of a long value", true);
}

int crash_do_slot(struct crashwork *w)
{
	unsigned i = (unsigned)crash_draw(w, CRASH_SLOTS);
	struct crash_state s = *crash_newest(w);
	uint8_t value[VALUE_MOST];
	size_t len = draw_value(w, value);

	if (w->kind->create.value_len)
		return crashwork_put(w);
	if (s.slot[i].hash && crash_draw(w, 3) == 0) {
		memset(&s.slot[i], 0, sizeof(s.slot[i]));
		crash_note_commit(w, &s);
		return crash_outcome(
			w, blt_slot_delete(w->store, BLT_RESERVED_1 + i),
			"a slot's delete", true);
	}
	s.slot[i] = crash_entry_of(value, len, 0);
	crash_note_commit(w, &s);
	return crash_outcome(
		w, blt_slot_put(w->store, BLT_RESERVED_1 + i, value, len),
		"a slot's put", true);
}

/* ---- transactions ---- */

/* What it did to s is in txn. */
static int change_in(struct crashwork *w, struct blt *txn,
		     struct crash_state *s)
{
	struct blt_batch *b;
	int rc = blt_batch_new(txn, &b);

	if (rc < 0)
		return rc;
	for (uint64_t n = 1 + crash_draw(w, 5); n && rc == 0; n--)
		rc = crash_batch_one(w, b, s);
	if (rc == 0)
		return blt_batch_commit(b);
	blt_batch_abort(b);
	return rc;
}

/* Durable, too, if it changes anything.  An error may be that of the sync. */
static int commit_txn(struct crashwork *w, struct blt *txn,
		      const struct crash_state *s)
{
	struct blt_txn_info info;
	int rc;

	crash_note_commit(w, s);
	blt_txn_get_info(txn, &info);
	rc = blt_txn_commit(txn, NULL);
	if (rc == 0 && info.changed)
		crash_promise_durable(w);
	blt_txn_get_info(txn, &info);
	return crash_outcome(w, rc, "a transaction's commit", !info.ended);
}

/* Beside one that is dropped. */
static int do_txn(struct crashwork *w)
{
	struct crash_state s = *crash_newest(w), dropped = s;
	struct blt *txn = NULL, *other = NULL;
	int rc = blt_txn_begin(w->store, NULL, &txn);

	if (rc == 0)
		rc = blt_txn_begin(w->store, NULL, &other);
	for (uint64_t n = 1 + crash_draw(w, 4); n && rc == 0; n--)
		rc = change_in(w, txn, &s);
	if (rc == 0)
		rc = change_in(w, other, &dropped);
	if (rc < 0)
		rc = crash_outcome(w, rc, "a transaction", false);
	else
		rc = commit_txn(w, txn, &s);
	blt_close(other);
	blt_close(txn);
	return rc;
}

/* Each state that it may leave, one after the other. */
static int do_seq(struct crashwork *w)
{
	struct crash_state s = *crash_newest(w);
	struct crashseq_op op =
		crashseq_draw(crash_draw(w, UINT64_MAX), &s.seq);

	for (unsigned part = 0; part < op.parts; part++) {
		crashseq_apply(&op, part, &s.seq);
		crash_note_commit(w, &s);
	}
	return crash_outcome(w, crashseq_run(w->store, &op),
			     "a sequence's change", true);
}

static int do_flush(struct crashwork *w)
{
	int rc = blt_flush(w->store);

	if (rc == 0)
		crash_promise_flushed(w);
	return crash_outcome(w, rc, "a flush", false);
}

static int do_sync(struct crashwork *w)
{
	int rc = blt_sync(w->store);

	if (rc == 0)
		crash_promise_durable(w);
	return crash_outcome(w, rc, "a sync", false);
}

static int do_settle(struct crashwork *w)
{
	int rc = blt_settle(w->store, false);

	if (rc == 0)
		crash_promise_durable(w);
	return crash_outcome(w, rc, "a settle", false);
}

static int do_reindex(struct crashwork *w)
{
	static const uint32_t sizes[] = { 1, 2, 3, 5, 7, 11, 23, 101, 509 };

	uint32_t n = sizes[crash_draw(w, ARRAY_SIZE(sizes))];
	int rc;

	/* Beside what follows, a step with each commit. */
	if (crash_draw(w, 2))
		rc = store_grow_step(store_of(w->store), n);
	else
		rc = blt_reindex(w->store, n, NULL, NULL);
	/* A stream's place may stand right behind an index of some bytes. */
	if (rc == -EBUSY && (w->stream[0].stream || w->stream[1].stream))
		return 0;
	return crash_outcome(w, rc, "a reindex", false);
}

/* In steps of some blocks. */
int crashwork_prune(struct crashwork *w)
{
	crash_note_phase(w, PHASE_PRUNE);
	store_of(w->store)->engine.prune_chunk = (uint64_t)128
						 << crash_draw(w, 7);
	return crash_outcome(w, blt_prune(w->store, NULL, NULL), "a prune",
			     false);
}

/* Holes of any length, and some blocks a commit. */
int crashwork_trim(struct crashwork *w)
{
	crash_note_phase(w, PHASE_TRIM);
	store_of(w->store)->engine.punch_page = (uint64_t)1
						<< crash_draw(w, 10);
	store_of(w->store)->engine.punch_runs = 2 + crash_draw(w, 6);
	return crash_outcome(w, blt_trim(w->store, NULL, NULL, NULL), "a trim",
			     false);
}

static int do_reopen(struct crashwork *w)
{
	int rc = crashwork_end(w);

	return rc < 0 || w->error ? rc : crashwork_open(w);
}

static const struct {
	unsigned weight;
	int (*run)(struct crashwork *w);
	enum crash_phase_kind phase;
} operations[] = {
	{ 34, crashwork_put, PHASE_CHANGES },
	{ 10, do_delete, PHASE_CHANGES },
	{ 10, do_touch, PHASE_CHANGES },
	{ 12, do_batch, PHASE_CHANGES },
	{ 2, do_big, PHASE_LONG },
	{ 4, crash_do_slot, PHASE_CHANGES },
	{ 6, crash_do_note, PHASE_CHANGES },
	{ 10, do_rename, PHASE_RENAME },
	{ 8, do_flush, PHASE_CHANGES },
	{ 12, do_sync, PHASE_SYNC },
	{ 3, do_settle, PHASE_SYNC },
	{ 4, do_reindex, PHASE_GROWTH },
	{ 2, do_reopen, PHASE_SYNC },
	{ 10, crash_do_stream, PHASE_STREAM },
};

int crashwork_do(struct crashwork *w, unsigned n)
{
	unsigned sum = 0;

	for (size_t i = 0; i < ARRAY_SIZE(operations); i++)
		sum += operations[i].weight;
	while (n-- && w->store) {
		bool prune = w->prunes && crash_draw(w, 25) == 0;
		bool trim = w->prunes && crash_draw(w, 15) == 0;
		bool txn = w->txns && crash_draw(w, 8) == 0;
		bool seq = w->seqs && crash_draw(w, 3) > 0;
		uint64_t k = crash_draw(w, sum);
		size_t i = 0;

		if (trim && crashwork_trim(w) < 0)
			return -1;
		if (prune && w->store && crashwork_prune(w) < 0)
			return -1;
		if (!w->store)
			return 0;
		while (k >= operations[i].weight)
			k -= operations[i++].weight;
		crash_note_phase(w, txn ? PHASE_TXN :
				    seq ? PHASE_SEQ :
					  operations[i].phase);
		if ((txn ? do_txn : seq ? do_seq : operations[i].run)(w) < 0)
			return -1;
	}
	return 0;
}
