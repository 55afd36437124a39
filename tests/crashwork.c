#include "crashwork.h"

#include "util.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

#define VALUE_MOST ((size_t)5000)
#define BIG_VALUE ((size_t)1200000)

const struct crash_kind crash_kinds[CRASH_KINDS] = {
	{ "timestamps, 7 buckets", { .n_buckets = 7 } },
	{ "timestamps, 101 buckets", { .n_buckets = 101 } },
	{ "no timestamps, 3 buckets",
	  { .n_buckets = 3, .no_timestamps = true } },
	{ "values of 1 byte, 3 buckets", { .n_buckets = 3, .value_len = 1 } },
	{ "values of 8 bytes, 101 buckets",
	  { .n_buckets = 101, .value_len = 8 } },
	{ "timestamps, 12007 buckets", { .n_buckets = 12007 } },
};

char crash_says[1024];

__attribute__((format(printf, 2, 3))) static int say(const struct crashwork *w,
						     const char *fmt, ...)
{
	va_list args;
	int n = snprintf(crash_says, sizeof(crash_says),
			 "%s, seed %llu: ", w->kind->name,
			 (unsigned long long)w->seed);

	va_start(args, fmt);
	vsnprintf(crash_says + n, sizeof(crash_says) - (size_t)n, fmt, args);
	va_end(args);
	return -1;
}

static void *need(void *p)
{
	if (!p)
		abort();
	return p;
}

static uint64_t draw(struct crashwork *w, uint64_t below)
{
	return crash_mix(w->seed, 100, w->drawn++) % below;
}

/* ---- keys, values, states ---- */

static bool timed(const struct crashwork *w)
{
	return !w->kind->create.value_len && !w->kind->create.no_timestamps;
}

static size_t make_key(unsigned i, char *to)
{
	size_t len = (size_t)sprintf(to, "key-%u", i);

	if (i % 4 != 3)
		return len;
	memset(to + len, 'x', 40u * i);
	return len + 40u * i;
}

static struct crash_entry entry_of(const void *bytes, size_t len, int64_t time)
{
	return (struct crash_entry){ XXH3_64bits(bytes, len) | 1, len, time };
}

static bool same(const struct crash_state *a, const struct crash_state *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

static int read_entry(struct crashwork *w, int rc, struct blt_view *v,
		      struct crash_entry *ret)
{
	*ret = (struct crash_entry){ 0 };
	if (rc == -ENOENT)
		return 0;
	if (rc < 0)
		return say(w, "a get says %s", strerror(-rc));
	*ret = entry_of(v->data, v->len, timed(w) ? v->timestamp : 0);
	blt_view_release(v);
	return 0;
}

int crashwork_read(struct crashwork *w, struct blt *store,
		   struct crash_state *ret)
{
	struct blt_view v;
	char key[600];
	int rc = 0;

	memset(ret, 0, sizeof(*ret));
	for (unsigned i = 0; i < CRASH_KEYS && rc == 0; i++) {
		size_t len = make_key(i, key);

		rc = read_entry(w, blt_get(store, key, len, &v), &v,
				&ret->key[i]);
	}
	if (w->kind->create.value_len)
		return rc;
	for (unsigned i = 0; i < CRASH_SLOTS && rc == 0; i++)
		rc = read_entry(w, blt_slot_get(store, BLT_RESERVED_1 + i, &v),
				&v, &ret->slot[i]);
	/* A hidden entry's time is that of the call. */
	for (unsigned i = 0; i < CRASH_SLOTS; i++)
		ret->slot[i].time = 0;
	if (rc < 0)
		return rc;
	rc = crashseq_read(store, &ret->seq);
	return rc < 0 ? say(w, "a sequence says %s", strerror(-rc)) : 0;
}

/* ---- the record ---- */

static const struct crash_state *newest(const struct crashwork *w)
{
	return &w->commit[w->n_commits - 1].state;
}

/* A commit begins that leads to this state. */
static void note_commit(struct crashwork *w, const struct crash_state *s)
{
	if (w->n_commits == w->commit_room) {
		w->commit_room = w->commit_room ? 2 * w->commit_room : 64;
		w->commit = need(realloc(w->commit,
					 w->commit_room * sizeof(*w->commit)));
	}
	w->commit[w->n_commits++] = (struct crash_commit){ *s, w->disk.n };
}

static void note_promise(struct crashwork *w, struct crash_promise **list,
			 size_t *n, size_t *room)
{
	if (*n == *room) {
		*room = *room ? 2 * *room : 64;
		*list = need(realloc(*list, *room * sizeof(**list)));
	}
	(*list)[(*n)++] = (struct crash_promise){ w->disk.n, w->n_commits - 1 };
}

static void promise_flushed(struct crashwork *w)
{
	note_promise(w, &w->flushed, &w->n_flushed, &w->flushed_room);
}

static void promise_durable(struct crashwork *w)
{
	promise_flushed(w);
	note_promise(w, &w->durable, &w->n_durable, &w->durable_room);
}

static size_t promised(const struct crash_promise *list, size_t n, size_t at)
{
	size_t least = 0;

	for (size_t i = 0; i < n && list[i].call <= at; i++)
		least = list[i].commit;
	return least;
}

/* The commits that a cut may have left, from *ret_least on: at least one. */
size_t crashwork_possible(const struct crashwork *w, const struct cut *cut,
			  size_t *ret_least)
{
	size_t least = promised(w->durable, w->n_durable, cut->at);
	size_t last = least;

	if (cut->how == CUT_ALL)
		least = promised(w->flushed, w->n_flushed, cut->at);
	while (last + 1 < w->n_commits && w->commit[last + 1].call <= cut->at)
		last++;
	*ret_least = least;
	return last - least + 1;
}

/* ---- phases ---- */

const char *const crash_phase_names[PHASES] = {
	[PHASE_CHANGES] = "changes",   [PHASE_LONG] = "long values",
	[PHASE_STREAM] = "streams",    [PHASE_RENAME] = "renames",
	[PHASE_TXN] = "transactions",  [PHASE_SEQ] = "sequences",
	[PHASE_GROWTH] = "growth",     [PHASE_PRUNE] = "prune",
	[PHASE_TRIM] = "trim",         [PHASE_SYNC] = "sync and close",
	[PHASE_RECOVERY] = "recovery",
};

/* While the index grows, whoever commits does a step of that. */
static void note_phase(struct crashwork *w, enum crash_phase_kind kind)
{
	bool steps = kind == PHASE_CHANGES || kind == PHASE_SYNC;

	if (steps && w->store &&
	    atomic_load(&store_of(w->store)->engine.growing))
		kind = PHASE_GROWTH;
	if (w->n_phases == w->phase_room) {
		w->phase_room = w->phase_room ? 2 * w->phase_room : 64;
		w->phase = need(
			realloc(w->phase, w->phase_room * sizeof(*w->phase)));
	}
	w->phase[w->n_phases++] = (struct crash_phase){ kind, w->disk.n };
}

enum crash_phase_kind crashwork_phase(const struct crashwork *w, size_t calls)
{
	size_t i = w->n_phases;

	while (i > 1 && w->phase[i - 1].call >= calls)
		i--;
	return i ? w->phase[i - 1].kind : PHASE_CHANGES;
}

/* ---- operations ---- */

static size_t draw_value(struct crashwork *w, uint8_t *to)
{
	size_t len = w->kind->create.value_len;
	uint64_t seed = draw(w, UINT64_MAX);

	if (!len)
		len = draw(w, draw(w, 12) ? 200 : VALUE_MOST);
	for (size_t i = 0; i < len; i++)
		to[i] = (uint8_t)crash_mix(seed, i, 0);
	return len;
}

static int64_t draw_time(struct crashwork *w)
{
	return (int64_t)draw(w, UINT64_C(1) << 50);
}

static unsigned draw_present(struct crashwork *w, const struct crash_state *s)
{
	unsigned i = (unsigned)draw(w, CRASH_KEYS);

	for (unsigned k = 0; k < CRASH_KEYS; k++, i = (i + 1) % CRASH_KEYS)
		if (s->key[i].hash)
			return i;
	return CRASH_KEYS;
}

/* What an operation gave: with faults about, an error undoes the state that it
 * would have led to. */
static int outcome(struct crashwork *w, int rc, const char *what, bool commits)
{
	if (rc == 0)
		return 0;
	if (commits)
		w->n_commits--;
	if (!w->faulty)
		return say(w, "%s says %s", what, strerror(-rc));
	if (!w->error)
		w->error = rc;
	return 0;
}

static struct crash_entry timed_entry(const struct crashwork *w,
				      const void *value, size_t len,
				      int64_t time)
{
	return entry_of(value, len, timed(w) ? time : 0);
}

int crashwork_put(struct crashwork *w)
{
	struct crash_state s = *newest(w);
	unsigned i = (unsigned)draw(w, CRASH_KEYS);
	uint8_t value[VALUE_MOST];
	size_t len = draw_value(w, value);
	int64_t time = draw_time(w);
	char key[600];

	s.key[i] = timed_entry(w, value, len, time);
	note_commit(w, &s);
	return outcome(
		w, blt_put(w->store, key, make_key(i, key), value, len, time),
		"a put", true);
}

static int do_delete(struct crashwork *w)
{
	struct crash_state s = *newest(w);
	unsigned i = draw_present(w, &s);
	char key[600];

	if (i == CRASH_KEYS)
		return 0;
	memset(&s.key[i], 0, sizeof(s.key[i]));
	note_commit(w, &s);
	return outcome(w, blt_delete(w->store, key, make_key(i, key)),
		       "a delete", true);
}

static int do_touch(struct crashwork *w)
{
	struct crash_state s = *newest(w);
	unsigned i = draw_present(w, &s);
	int64_t time = draw_time(w);
	char key[600];

	if (i == CRASH_KEYS)
		return 0;
	if (timed(w))
		s.key[i].time = time;
	note_commit(w, &s);
	return outcome(w, blt_touch(w->store, key, make_key(i, key), time),
		       "a touch", true);
}

static int batch_pair(struct crashwork *w, struct blt_batch *b,
		      struct crash_state *s)
{
	unsigned i = draw_present(w, s), k = (unsigned)draw(w, CRASH_KEYS);
	char one[600], two[600];
	size_t one_len, two_len;

	if (i == CRASH_KEYS || i == k)
		return 0;
	one_len = make_key(i, one);
	two_len = make_key(k, two);
	if (s->key[k].hash && draw(w, 2)) {
		struct crash_entry e = s->key[i];

		s->key[i] = s->key[k];
		s->key[k] = e;
		return blt_batch_exchange(b, one, one_len, two, two_len);
	}
	s->key[k] = s->key[i];
	memset(&s->key[i], 0, sizeof(s->key[i]));
	return blt_batch_rename(b, one, one_len, two, two_len);
}

static int batch_one(struct crashwork *w, struct blt_batch *b,
		     struct crash_state *s)
{
	unsigned i = (unsigned)draw(w, CRASH_KEYS);
	size_t key_len, len;
	uint8_t value[VALUE_MOST];
	int64_t time;
	char key[600];

	switch (draw(w, 5)) {
	case 0:
	case 1:
		return batch_pair(w, b, s);
	case 2:
		i = draw_present(w, s);
		if (i == CRASH_KEYS)
			return 0;
		memset(&s->key[i], 0, sizeof(s->key[i]));
		return blt_batch_delete(b, key, make_key(i, key));
	}
	key_len = make_key(i, key);
	len = draw_value(w, value);
	time = draw_time(w);
	s->key[i] = timed_entry(w, value, len, time);
	return blt_batch_put(b, key, key_len, value, len, time);
}

static int do_batch(struct crashwork *w)
{
	struct crash_state s = *newest(w);
	struct blt_batch *b = NULL;
	int rc = blt_batch_new(w->store, &b);

	for (uint64_t n = 1 + draw(w, 5); n && rc == 0; n--)
		rc = batch_one(w, b, &s);
	if (rc < 0) {
		blt_batch_abort(b);
		return outcome(w, rc, "a batch", false);
	}
	note_commit(w, &s);
	return outcome(w, blt_batch_commit(b), "a batch", true);
}

/* In place, or a copy. */
static int do_rename(struct crashwork *w)
{
	struct crash_state s = *newest(w);
	unsigned i = draw_present(w, &s), k = (unsigned)draw(w, CRASH_KEYS);
	struct blt_batch *b = NULL;
	char from[600], to[600];
	int rc;

	if (i == CRASH_KEYS || i == k)
		return 0;
	s.key[k] = s.key[i];
	memset(&s.key[i], 0, sizeof(s.key[i]));
	rc = blt_batch_new(w->store, &b);
	if (rc == 0)
		rc = blt_batch_rename(b, from, make_key(i, from), to,
				      make_key(k, to));
	if (rc < 0) {
		blt_batch_abort(b);
		return outcome(w, rc, "a rename", false);
	}
	note_commit(w, &s);
	if (draw(w, 2))
		return outcome(w, blt_batch_commit(b), "a rename", true);
	rc = blt_batch_commit_flush(b);
	if (rc == 0)
		promise_flushed(w);
	return outcome(w, rc, "a rename", true);
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
	struct big big = { draw(w, 60000) | 1 };
	struct blt_source source = { .len = 1000 + draw(w, BIG_VALUE),
				     .read = read_big,
				     .arg = &big };
	unsigned i = (unsigned)draw(w, CRASH_KEYS);
	struct crash_state s = *newest(w);
	int64_t time = draw_time(w);
	uint8_t *value;
	char key[600];

	if (w->kind->create.value_len || !w->big_values)
		return crashwork_put(w);
	value = need(malloc(source.len));
	read_big(&big, value, source.len, 0);
	s.key[i] = timed_entry(w, value, source.len, time);
	free(value);
	note_commit(w, &s);
	return outcome(
		w, blt_put_from(w->store, key, make_key(i, key), &source, time),
		"a put of a long value", true);
}

/* ---- streams: a step of one with each call ---- */

#define STREAM_MOST ((size_t)40000)

static void drop_stream(struct crash_stream *s)
{
	blt_stream_abort(s->stream);
	free(s->value);
	*s = (struct crash_stream){ NULL };
}

static int begin_stream(struct crashwork *w, struct crash_stream *s)
{
	unsigned seed = (unsigned)draw(w, 60000) | 1;
	int rc = blt_stream_open(w->store, draw(w, 400), draw(w, STREAM_MOST),
				 &s->stream);

	if (rc < 0) {
		s->stream = NULL;
		return outcome(w, rc, "a stream's open", false);
	}
	s->len = 1 + draw(w, STREAM_MOST);
	s->written = 0;
	s->value = need(malloc(s->len));
	for (size_t i = 0; i < s->len; i++)
		s->value[i] = (uint8_t)(i * seed >> 8);
	return 0;
}

/* What was written before is written once more at times: the end counts. */
static int write_stream(struct crashwork *w, struct crash_stream *s)
{
	size_t from = draw(w, 4) ? s->written : draw(w, s->written + 1);
	size_t n = 1 + draw(w, 15000);
	int rc;

	n = min_u64(n, s->len - from);
	rc = blt_stream_write(s->stream, s->value + from, n, from);
	if (rc == 0 && s->written < from + n)
		s->written = from + n;
	return outcome(w, rc, "a stream's write", false);
}

static int end_stream(struct crashwork *w, struct crash_stream *s)
{
	struct crash_state state = *newest(w);
	unsigned i = (unsigned)draw(w, CRASH_KEYS);
	int64_t time = draw_time(w);
	char key[600];
	int rc;

	state.key[i] = timed_entry(w, s->value, s->len, time);
	note_commit(w, &state);
	rc = blt_stream_commit(s->stream, key, make_key(i, key), time);
	if (rc == 0)
		s->stream = NULL;
	drop_stream(s);
	return outcome(w, rc, "a stream's commit", true);
}

static int do_stream(struct crashwork *w)
{
	struct crash_stream *s = &w->stream[draw(w, 2)];

	if (w->kind->create.value_len)
		return crashwork_put(w);
	if (!s->stream)
		return begin_stream(w, s);
	if (s->written < s->len && draw(w, 12))
		return write_stream(w, s);
	if (s->written == s->len)
		return end_stream(w, s);
	drop_stream(s);
	return 0;
}

static void drop_streams(struct crashwork *w)
{
	for (size_t i = 0; i < ARRAY_SIZE(w->stream); i++)
		drop_stream(&w->stream[i]);
}

static int do_slot(struct crashwork *w)
{
	unsigned i = (unsigned)draw(w, CRASH_SLOTS);
	struct crash_state s = *newest(w);
	uint8_t value[VALUE_MOST];
	size_t len = draw_value(w, value);

	if (w->kind->create.value_len)
		return crashwork_put(w);
	if (s.slot[i].hash && draw(w, 3) == 0) {
		memset(&s.slot[i], 0, sizeof(s.slot[i]));
		note_commit(w, &s);
		return outcome(w, blt_slot_delete(w->store, BLT_RESERVED_1 + i),
			       "a slot's delete", true);
	}
	s.slot[i] = entry_of(value, len, 0);
	note_commit(w, &s);
	return outcome(w,
		       blt_slot_put(w->store, BLT_RESERVED_1 + i, value, len),
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
	for (uint64_t n = 1 + draw(w, 5); n && rc == 0; n--)
		rc = batch_one(w, b, s);
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

	note_commit(w, s);
	blt_txn_get_info(txn, &info);
	rc = blt_txn_commit(txn, NULL);
	if (rc == 0 && info.changed)
		promise_durable(w);
	blt_txn_get_info(txn, &info);
	return outcome(w, rc, "a transaction's commit", !info.ended);
}

/* Beside one that is dropped. */
static int do_txn(struct crashwork *w)
{
	struct crash_state s = *newest(w), dropped = s;
	struct blt *txn = NULL, *other = NULL;
	int rc = blt_txn_begin(w->store, NULL, &txn);

	if (rc == 0)
		rc = blt_txn_begin(w->store, NULL, &other);
	for (uint64_t n = 1 + draw(w, 4); n && rc == 0; n--)
		rc = change_in(w, txn, &s);
	if (rc == 0)
		rc = change_in(w, other, &dropped);
	if (rc < 0)
		rc = outcome(w, rc, "a transaction", false);
	else
		rc = commit_txn(w, txn, &s);
	blt_close(other);
	blt_close(txn);
	return rc;
}

/* Each state that it may leave, one after the other. */
static int do_seq(struct crashwork *w)
{
	struct crash_state s = *newest(w);
	struct crashseq_op op = crashseq_draw(draw(w, UINT64_MAX), &s.seq);

	for (unsigned part = 0; part < op.parts; part++) {
		crashseq_apply(&op, part, &s.seq);
		note_commit(w, &s);
	}
	return outcome(w, crashseq_run(w->store, &op), "a sequence's change",
		       true);
}

static int do_flush(struct crashwork *w)
{
	int rc = blt_flush(w->store);

	if (rc == 0)
		promise_flushed(w);
	return outcome(w, rc, "a flush", false);
}

static int do_sync(struct crashwork *w)
{
	int rc = blt_sync(w->store);

	if (rc == 0)
		promise_durable(w);
	return outcome(w, rc, "a sync", false);
}

static int do_settle(struct crashwork *w)
{
	int rc = blt_settle(w->store, false);

	if (rc == 0)
		promise_durable(w);
	return outcome(w, rc, "a settle", false);
}

static int do_reindex(struct crashwork *w)
{
	static const uint32_t sizes[] = { 1, 2, 3, 5, 7, 11, 23, 101, 509 };

	uint32_t n = sizes[draw(w, ARRAY_SIZE(sizes))];
	int rc;

	/* Beside what follows, a step with each commit. */
	if (draw(w, 2))
		rc = store_grow_step(store_of(w->store), n);
	else
		rc = blt_reindex(w->store, n, NULL, NULL);
	/* A stream's place may stand right behind an index of some bytes. */
	if (rc == -EBUSY && (w->stream[0].stream || w->stream[1].stream))
		return 0;
	return outcome(w, rc, "a reindex", false);
}

/* In steps of some blocks. */
int crashwork_prune(struct crashwork *w)
{
	note_phase(w, PHASE_PRUNE);
	store_of(w->store)->engine.prune_chunk = (uint64_t)128 << draw(w, 7);
	return outcome(w, blt_prune(w->store, NULL, NULL), "a prune", false);
}

/* Holes of any length, and some blocks a commit. */
int crashwork_trim(struct crashwork *w)
{
	note_phase(w, PHASE_TRIM);
	store_of(w->store)->engine.trim_page = (uint64_t)1 << draw(w, 10);
	store_of(w->store)->engine.trim_runs = 2 + draw(w, 6);
	return outcome(w, blt_trim(w->store, NULL, NULL, NULL), "a trim",
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
	{ 4, do_slot, PHASE_CHANGES },
	{ 10, do_rename, PHASE_RENAME },
	{ 8, do_flush, PHASE_CHANGES },
	{ 12, do_sync, PHASE_SYNC },
	{ 3, do_settle, PHASE_SYNC },
	{ 4, do_reindex, PHASE_GROWTH },
	{ 2, do_reopen, PHASE_SYNC },
	{ 10, do_stream, PHASE_STREAM },
};

int crashwork_do(struct crashwork *w, unsigned n)
{
	unsigned sum = 0;

	for (size_t i = 0; i < ARRAY_SIZE(operations); i++)
		sum += operations[i].weight;
	while (n-- && w->store) {
		bool prune = w->prunes && draw(w, 25) == 0;
		bool trim = w->prunes && draw(w, 15) == 0;
		bool txn = w->txns && draw(w, 8) == 0;
		bool seq = w->seqs && draw(w, 3) > 0;
		uint64_t k = draw(w, sum);
		size_t i = 0;

		if (trim && crashwork_trim(w) < 0)
			return -1;
		if (prune && w->store && crashwork_prune(w) < 0)
			return -1;
		if (!w->store)
			return 0;
		while (k >= operations[i].weight)
			k -= operations[i++].weight;
		note_phase(w, txn ? PHASE_TXN :
			      seq ? PHASE_SEQ :
				    operations[i].phase);
		if ((txn ? do_txn : seq ? do_seq : operations[i].run)(w) < 0)
			return -1;
	}
	return 0;
}

/* ---- beginning and end ---- */

static uint8_t *make_store(const struct crash_kind *kind, size_t *ret_len)
{
	struct blt_open_options how = { .mode = BLT_TRUNCATE,
					.create = kind->create };
	char path[] = "/tmp/crashwork-XXXXXX";
	int fd = mkstemp(path);
	struct blt *store;
	struct stat st;
	uint8_t *image;

	if (fd < 0 || blt_open(path, &how, &store, NULL) < 0 ||
	    blt_close(store) < 0 || fstat(fd, &st) < 0)
		abort();
	image = need(malloc((size_t)st.st_size));
	if (pread(fd, image, (size_t)st.st_size, 0) != st.st_size)
		abort();
	close(fd);
	unlink(path);
	*ret_len = (size_t)st.st_size;
	return image;
}

int crashwork_open(struct crashwork *w)
{
	struct blt_error err = { "" };
	int rc;

	note_phase(w, PHASE_RECOVERY);
	rc = store_adopt(crashdisk_fd(&w->disk), true, &w->disk.table,
			 &w->store, &err);
	if (rc == 0) {
		store_of(w->store)->engine.growth.move_step =
			1 + (uint32_t)(w->seed % 7);
		store_of(w->store)->engine.growth.fill_step =
			64 + w->seed % 30000;
		store_of(w->store)->engine.rekey_least = 1 + w->seed % 100;
		store_of(w->store)->engine.lay_least = 1 + w->seed % 3000;
		return 0;
	}
	w->store = NULL;
	if (!w->faulty)
		return say(w, "does not open: %s", err.text);
	if (!w->error)
		w->error = rc;
	return 0;
}

int crashwork_begin(struct crashwork *w, const struct crash_kind *kind,
		    uint64_t seed)
{
	static const struct crash_state empty;
	size_t len;
	uint8_t *image = make_store(kind, &len);

	*w = (struct crashwork){ .kind = kind, .seed = seed };
	crashdisk_init(&w->disk, image, len);
	free(image);
	note_commit(w, &empty);
	return crashwork_open(w);
}

int crashwork_end(struct crashwork *w)
{
	int rc;

	note_phase(w, PHASE_SYNC);
	drop_streams(w);
	rc = blt_close(w->store);
	w->store = NULL;
	if (rc == 0)
		promise_durable(w);
	return outcome(w, rc, "a close", false);
}

void crashwork_release(struct crashwork *w)
{
	w->faulty = true;
	drop_streams(w);
	blt_close(w->store);
	crashdisk_release(&w->disk);
	free(w->commit);
	free(w->durable);
	free(w->flushed);
	free(w->phase);
}

int crashwork_holds(struct crashwork *w)
{
	struct crash_state s;

	if (crashwork_read(w, w->store, &s) < 0)
		return -1;
	return same(&s, newest(w)) ? 0 : say(w, "does not hold its last state");
}

int crashwork_find(struct crashwork *w, size_t from, size_t n)
{
	struct crash_state s;

	if (crashwork_read(w, w->store, &s) < 0)
		return -1;
	/* The latest that fits, for a state may come back. */
	for (size_t i = from + n; i-- > from;)
		if (same(&s, &w->commit[i].state)) {
			w->n_commits = i + 1;
			return 0;
		}
	for (size_t i = 0; i < w->n_commits; i++)
		if (same(&s, &w->commit[i].state))
			return say(w, "holds commit %zu; %zu to %zu are right",
				   i, from, from + n - 1);
	return say(w, "holds a mixture; commits %zu to %zu are right", from,
		   from + n - 1);
}

void crashwork_inherit(struct crashwork *w, const struct crashwork *from,
		       size_t first, size_t n)
{
	*w = (struct crashwork){ .kind = from->kind,
				 .seed = crash_mix(from->seed, 7, first),
				 .depth = from->depth + 1,
				 .big_values = from->big_values,
				 .txns = from->txns,
				 .seqs = from->seqs,
				 .prunes = from->prunes };
	for (size_t i = 0; i < n; i++)
		note_commit(w, &from->commit[first + i].state);
	for (size_t i = 0; i < n; i++)
		w->commit[i].call = 0;
}

int crashwork_say(const struct crashwork *w, const char *text)
{
	return say(w, "%s", text);
}
