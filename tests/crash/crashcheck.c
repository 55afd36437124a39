/* What a cut leaves is opened and looked at: read-only first, which must not
 * touch it; then for writing, closed, and cut again while that went on. */
#include "crash/crashwork.h"

#include "base/util.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define DEPTH_MOST 3

static const char *const how_names[CUT_HOWS] = {
	[CUT_NONE] = "nothing kept",    [CUT_ALL] = "everything kept",
	[CUT_PREFIX] = "a prefix kept", [CUT_SECTORS] = "sectors kept",
	[CUT_PAGES] = "pages kept",     [CUT_SUBSET] = "calls kept",
};

/* Images met before, as hashes; a full table only makes the count too low. */
#define SEEN_BITS 21
static uint64_t seen[1u << SEEN_BITS];

static bool is_new(const uint8_t *image, size_t len)
{
	const size_t mask = ARRAY_SIZE(seen) - 1;
	uint64_t h = XXH3_64bits(image, len) | 1;

	for (size_t i = 0; i < 64; i++) {
		uint64_t *s = &seen[(h + i) & mask];

		if (*s == h)
			return false;
		if (!*s) {
			*s = h;
			return true;
		}
	}
	return false;
}

static bool present(const struct crash_state *s, const struct blt_item *item)
{
	uint64_t hash = XXH3_64bits(item->value, item->value_len) | 1;

	for (unsigned i = 0; i < CRASH_KEYS; i++)
		if (s->key[i].hash == hash && s->key[i].len == item->value_len)
			return true;
	return false;
}

/* The walk and the count say the same as the gets. */
static int walk_agrees(struct crashwork *w, struct blt *store)
{
	struct crash_state s;
	struct blt_item item;
	struct blt_iter *it;
	struct blt_info info;
	uint64_t keys = 0, met = 0;
	int rc;

	if (crashwork_read(w, store, &s) < 0)
		return -1;
	for (unsigned i = 0; i < CRASH_KEYS; i++)
		keys += s.key[i].hash != 0;
	keys += crashseq_keys(&s.seq);
	blt_get_info(store, &info);
	if (info.n_keys != keys)
		return crashwork_say(w, "counts its keys wrong");
	if (blt_iter_new(store, &it) < 0)
		return crashwork_say(w, "cannot be walked");
	while ((rc = blt_iter_next(it, &item)) > 0) {
		if (!crashseq_is_key(item.key, item.key_len) &&
		    !present(&s, &item)) {
			blt_iter_free(it);
			return crashwork_say(w,
					     "a walk meets what is not there");
		}
		met++;
	}
	blt_iter_free(it);
	if (rc < 0)
		return crashwork_say(w, strerror(-rc));
	if (met != keys)
		return crashwork_say(w, met < keys ? "a walk misses keys" :
						     "a walk meets keys twice");
	return 0;
}

/* A reader sees one of the commits, and leaves the file alone. */
static int check_reader(struct crashwork *w, size_t first, size_t n,
			struct crash_state *ret)
{
	struct blt_error err = { "" };
	size_t calls = w->disk.n;
	struct blt *store;
	int rc;

	if (store_adopt(crashdisk_fd(&w->disk), false, &w->disk.table, &store,
			&err) < 0)
		return crashwork_say(w, err.text);
	rc = crashwork_read(w, store, ret);
	if (rc == 0)
		rc = walk_agrees(w, store);
	if (blt_close(store) < 0)
		return crashwork_say(w, "a reader's close fails");
	if (rc == 0 && (w->disk.n != calls || w->disk.reserves))
		return crashwork_say(w, "a reader writes");
	for (size_t i = first; rc == 0 && i < first + n; i++)
		if (memcmp(ret, &w->commit[i].state, sizeof(*ret)) == 0)
			return 0;
	return rc < 0 ? rc :
			crashwork_say(w, "a reader sees what never was, or "
					 "no more was to be");
}

static int check_closed(struct crashwork *w, struct crash_totals *totals)
{
	size_t len;
	uint8_t *image;

	if (!totals->closed)
		return 0;
	image = crashdisk_now(&w->disk, &len);
	totals->closed(totals->arg, image, len);
	free(image);
	(void)w;
	return 0;
}

/* The commits of w from first on are those that its disk may hold. */
static int check_open(struct crashwork *w, size_t first, size_t n,
		      unsigned more, struct crash_totals *totals)
{
	struct crash_state by_reader;
	int rc = check_reader(w, first, n, &by_reader);

	if (rc == 0)
		rc = crashwork_open(w);
	if (rc < 0)
		return rc;
	totals->recoveries++;
	rc = crashwork_find(w, first, n);
	if (rc == 0 && memcmp(&by_reader, &w->commit[w->n_commits - 1].state,
			      sizeof(by_reader)))
		rc = crashwork_say(w, "a reader and a writer differ");
	if (rc == 0)
		rc = walk_agrees(w, w->store);
	if (rc == 0)
		rc = crashwork_do(w, more);
	if (rc == 0)
		rc = crashwork_end(w);
	return rc < 0 ? rc : check_closed(w, totals);
}

/* How many cuts the next life is given. */
static unsigned nested_cuts(const struct crashwork *w)
{
	if (w->depth >= DEPTH_MOST || crash_mix(w->seed, 8, 0) % 8)
		return 0;
	return 5;
}

static int check_cuts(struct crashwork *w, size_t from, unsigned long n,
		      struct crash_totals *totals);

static int live_on(struct crashwork *next, size_t first, size_t n,
		   struct crash_totals *totals)
{
	size_t calls = next->disk.n;
	unsigned more = (unsigned)(crash_mix(next->seed, 9, 0) % 6);
	unsigned cuts = nested_cuts(next);
	int rc = check_open(next, first, n, cuts ? more : 0, totals);

	if (rc == 0 && cuts) {
		rc = check_cuts(next, calls, cuts, totals);
		totals->nested += cuts;
	}
	return rc;
}

/* The power is cut, and comes back. */
static int check_power(struct crashwork *w, const struct cut *cut,
		       struct crash_totals *totals)
{
	struct crashwork next;
	size_t first, n, len;
	uint8_t *image = crashdisk_image(&w->disk, cut, &len);
	int rc;

	totals->images++;
	totals->how[cut->how]++;
	if (!is_new(image, len)) {
		free(image);
		return 0;
	}
	totals->distinct++;
	totals->phase[crashwork_phase(w, cut->at)]++;
	n = crashwork_possible(w, cut, &first);
	crashwork_inherit(&next, w, first, n);
	next.seed = crash_mix(cut->seed, cut->at, 1);
	crashdisk_init(&next.disk, image, len);
	free(image);
	rc = live_on(&next, 0, n, totals);
	crashwork_release(&next);
	return rc;
}

/* The process dies, and the next one opens what is in the page cache. */
static int check_kill(struct crashwork *w, const struct cut *cut,
		      struct crash_totals *totals)
{
	struct cut power = { .at = cut->at, .how = CUT_NONE };
	struct crashwork next;
	size_t durable, flushed, n = crashwork_possible(w, &power, &durable);
	int rc;

	crashwork_possible(w, cut, &flushed);
	crashwork_inherit(&next, w, durable, n);
	next.seed = crash_mix(cut->seed, cut->at, 2);
	crashdisk_kill(&w->disk, cut->at, &next.disk);
	totals->kills++;
	rc = live_on(&next, flushed - durable, n - (flushed - durable), totals);
	crashwork_release(&next);
	return rc;
}

static int check_cut(struct crashwork *w, const struct cut *cut,
		     struct crash_totals *totals)
{
	char says[sizeof(crash_says)];
	int rc = check_power(w, cut, totals);

	if (rc == 0 && cut->how == CUT_ALL)
		rc = check_kill(w, cut, totals);
	if (rc == 0)
		return 0;
	snprintf(says, sizeof(says), "%s", crash_says);
	snprintf(crash_says, sizeof(crash_says),
		 "cut at call %zu of %zu, %s, seed %llu, depth %u: %.700s",
		 cut->at, w->disk.n, how_names[cut->how],
		 (unsigned long long)cut->seed, w->depth, says);
	return -1;
}

/* n cuts, in order, at calls from the given one to the last. */
static int check_cuts(struct crashwork *w, size_t from, unsigned long n,
		      struct crash_totals *totals)
{
	size_t calls = w->disk.n - from + 1;

	for (unsigned long i = 0; i < n; i++) {
		uint64_t seed = crash_mix(w->seed, 10, i);
		struct cut cut = {
			.at = from + calls * i / n +
			      crash_mix(seed, 0, 0) % (calls / n + 1),
			.how = (enum cut_how)(crash_mix(seed, 1, 0) % CUT_HOWS),
			.seed = seed,
		};

		if (cut.at > w->disk.n)
			cut.at = w->disk.n;
		if (check_cut(w, &cut, totals) < 0)
			return -1;
	}
	return 0;
}

int crashwork_check(struct crashwork *w, unsigned long n,
		    struct crash_totals *totals)
{
	return check_cuts(w, 0, n, totals);
}

int crashwork_run(uint64_t seed, unsigned long images,
		  struct crash_totals *totals)
{
	struct crashwork w;
	int rc = crashwork_begin(&w, &crash_kinds[seed % CRASH_KINDS], seed);

	w.prunes = true;
	w.big_values = crash_mix(seed, 11, 0) % 16 == 0;
	w.txns = crash_mix(seed, 13, 0) % 3 == 0;
	w.seqs = crash_mix(seed, 14, 0) % 4 == 0 && !w.kind->create.value_len;
	if (rc == 0)
		rc = crashwork_do(&w,
				  (unsigned)(10 + crash_mix(seed, 12, 0) % 40));
	if (rc == 0)
		rc = crashwork_end(&w);
	if (rc == 0)
		rc = crashwork_check(&w, images, totals);
	totals->workloads++;
	crashwork_release(&w);
	return rc;
}
