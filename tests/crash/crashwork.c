#include "crash/crashwork.h"

#include "crash/crashwork_inner.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

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

void *crash_need(void *p)
{
	if (!p)
		abort();
	return p;
}

uint64_t crash_draw(struct crashwork *w, uint64_t below)
{
	return crash_mix(w->seed, 100, w->drawn++) % below;
}

int64_t crash_draw_time(struct crashwork *w)
{
	return (int64_t)crash_draw(w, UINT64_C(1) << 50);
}

/* ---- keys, values, states ---- */

bool crash_timed(const struct crashwork *w)
{
	return !w->kind->create.value_len && !w->kind->create.no_timestamps;
}

size_t crash_make_key(unsigned i, char *to)
{
	size_t len = (size_t)sprintf(to, "key-%u", i);

	if (i % 4 != 3)
		return len;
	memset(to + len, 'x', 40u * i);
	return len + 40u * i;
}

struct crash_entry crash_entry_of(const void *bytes, size_t len, int64_t time)
{
	return (struct crash_entry){ XXH3_64bits(bytes, len) | 1, len, time };
}

struct crash_entry crash_timed_entry(const struct crashwork *w,
				     const void *value, size_t len,
				     int64_t time)
{
	return crash_entry_of(value, len, crash_timed(w) ? time : 0);
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
	*ret = crash_entry_of(v->data, v->len,
			      crash_timed(w) ? v->timestamp : 0);
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
		size_t len = crash_make_key(i, key);

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

const struct crash_state *crash_newest(const struct crashwork *w)
{
	return &w->commit[w->n_commits - 1].state;
}

/* A commit begins that leads to this state. */
void crash_note_commit(struct crashwork *w, const struct crash_state *s)
{
	if (w->n_commits == w->commit_room) {
		w->commit_room = w->commit_room ? 2 * w->commit_room : 64;
		w->commit = crash_need(realloc(
			w->commit, w->commit_room * sizeof(*w->commit)));
	}
	w->commit[w->n_commits++] = (struct crash_commit){ *s, w->disk.n };
}

static void note_promise(struct crashwork *w, struct crash_promise **list,
			 size_t *n, size_t *room)
{
	if (*n == *room) {
		*room = *room ? 2 * *room : 64;
		*list = crash_need(realloc(*list, *room * sizeof(**list)));
	}
	(*list)[(*n)++] = (struct crash_promise){ w->disk.n, w->n_commits - 1 };
}

void crash_promise_flushed(struct crashwork *w)
{
	note_promise(w, &w->flushed, &w->n_flushed, &w->flushed_room);
}

void crash_promise_durable(struct crashwork *w)
{
	crash_promise_flushed(w);
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
void crash_note_phase(struct crashwork *w, enum crash_phase_kind kind)
{
	bool steps = kind == PHASE_CHANGES || kind == PHASE_SYNC;

	if (steps && w->store &&
	    atomic_load(&store_of(w->store)->engine.growing))
		kind = PHASE_GROWTH;
	if (w->n_phases == w->phase_room) {
		w->phase_room = w->phase_room ? 2 * w->phase_room : 64;
		w->phase = crash_need(
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

int crash_outcome(struct crashwork *w, int rc, const char *what, bool commits)
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
	image = crash_need(malloc((size_t)st.st_size));
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

	crash_note_phase(w, PHASE_RECOVERY);
	rc = store_adopt(crashdisk_fd(&w->disk), true, &w->disk.table,
			 &w->store, &err);
	if (rc == 0) {
		store_of(w->store)->engine.growth.move_step =
			1 + (uint32_t)(w->seed % 7);
		store_of(w->store)->engine.growth.fill_step =
			64 + w->seed % 30000;
		store_of(w->store)->engine.rename_least = 1 + w->seed % 100;
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
	crash_note_commit(w, &empty);
	return crashwork_open(w);
}

int crashwork_end(struct crashwork *w)
{
	int rc;

	crash_note_phase(w, PHASE_SYNC);
	crash_drop_streams(w);
	rc = blt_close(w->store);
	w->store = NULL;
	if (rc == 0)
		crash_promise_durable(w);
	return crash_outcome(w, rc, "a close", false);
}

void crashwork_release(struct crashwork *w)
{
	w->faulty = true;
	crash_drop_streams(w);
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
	return same(&s, crash_newest(w)) ?
		       0 :
		       say(w, "does not hold its last state");
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
		crash_note_commit(w, &from->commit[first + i].state);
	for (size_t i = 0; i < n; i++)
		w->commit[i].call = 0;
}

int crashwork_say(const struct crashwork *w, const char *text)
{
	return say(w, "%s", text);
}
