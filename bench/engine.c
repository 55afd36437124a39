/* engine PEER KEYS DIRECTORY - one store's figures, a line "ROW WALL CPU" in
 * nanoseconds an operation each (rows in bytes say so, and have one figure);
 * bench/engine.py runs it for each peer in turn and makes tables of that.
 * engine PEER KEYS DIRECTORY sync - the rows with a sync each.
 * engine - lists the peers, with their settings. */
#include "moment.h"
#include "peer.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define KEY_LEN 11
#define VALUE_LEN 200
#define THREADS 8
#define OPENS 5
#define FETCHED 64

struct run {
	const struct peer *peer;
	char path[4096];
	size_t n;
	uint32_t *order;           /* of the keys, by chance */
	char (*text)[KEY_LEN + 1]; /* the keys, even numbers; behind them as
				    * many that are never there, odd ones */
	char value[VALUE_LEN];
};

static void say_bytes(const char *row, double value)
{
	printf("%s\t%.0f\n", row, value);
	fflush(stdout);
}

/* splitmix64; the same numbers in every run. */
static uint64_t chance(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static void shuffle(struct run *r, uint64_t seed)
{
	for (size_t i = r->n; i > 1; i--) {
		size_t k = (size_t)(chance(&seed) % i);
		uint32_t t = r->order[i - 1];

		r->order[i - 1] = r->order[k];
		r->order[k] = t;
	}
}

static void make_keys(struct run *r)
{
	r->order = malloc(r->n * sizeof(*r->order));
	r->text = malloc(2 * r->n * sizeof(*r->text));
	peer_must(r->order && r->text, "no memory");
	for (size_t i = 0; i < r->n; i++)
		r->order[i] = (uint32_t)i;
	for (size_t i = 0; i < 2 * r->n; i++)
		snprintf(r->text[i], sizeof(*r->text), "key%08u",
			 (uint32_t)(i < r->n ? 2 * i : 2 * (i - r->n) + 1));
	for (size_t i = 0; i < VALUE_LEN; i++)
		r->value[i] = (char)('a' + i % 26);
}

static char *text_of(const struct run *r, size_t i, bool there)
{
	return r->text[r->order[i] + (there ? 0 : r->n)];
}

/* The i-th key in the order of chance; of those that are there, or not.  Who
 * asks a store has the key at hand, so the ones that come are fetched: else
 * every peer's figure would have the same wait for it in it. */
static struct peer_bytes key(const struct run *r, size_t i, bool there)
{
	if (i + FETCHED < r->n)
		__builtin_prefetch(text_of(r, i + FETCHED, there));
	return (struct peer_bytes){ text_of(r, i, there), KEY_LEN };
}

/* No two values in a row are the same. */
static struct peer_bytes value(struct run *r, size_t i)
{
	memcpy(r->value, &i, sizeof(i));
	return (struct peer_bytes){ r->value, VALUE_LEN };
}

static double anonymous_bytes(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[256];
	double kib = 0;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "RssAnon: %lf", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib * 1024;
}

static void put_all(struct run *r, void *db, const char *row)
{
	struct moment start = now();

	for (size_t i = 0; i < r->n; i++) {
		struct peer_bytes k = key(r, i, true), v = value(r, i);

		r->peer->put(db, &k, &v);
	}
	r->peer->sync(db);
	say(row, start, r->n);
}

static void get_all(struct run *r, void *db, bool there, const char *row)
{
	char got[PEER_VALUE_MAX];
	struct moment start = now();

	for (size_t i = 0; i < r->n; i++) {
		struct peer_bytes k = key(r, i, there);

		peer_must(r->peer->get(db, &k, got) == (there ? VALUE_LEN : -1),
			  "a get told something else than was put");
	}
	say(row, start, r->n);
}

static void get_groups(struct run *r, void *db)
{
	static char got[PEER_GROUP][PEER_VALUE_MAX];
	size_t groups = r->n / PEER_GROUP;
	struct moment start = now();

	for (size_t i = 0; i < groups; i++) {
		struct peer_bytes k[PEER_GROUP];

		for (size_t j = 0; j < PEER_GROUP; j++)
			k[j] = key(r, i * PEER_GROUP + j, true);
		peer_must(r->peer->get_many(db, k, got) == PEER_GROUP,
			  "get_many did not find all");
	}
	say("get_many", start, groups * PEER_GROUP);
}

static void scan_all(struct run *r, void *db, bool touch, const char *row)
{
	struct moment start = now();

	peer_must(r->peer->scan(db, touch) == r->n * VALUE_LEN,
		  "a scan did not meet all");
	say(row, start, r->n);
}

/* What the scan of the values would take if it were nothing but the copy. */
static void copy_all(const struct run *r)
{
	char *all = malloc(r->n * VALUE_LEN);
	struct moment start;

	peer_must(all != NULL, "no memory");
	memset(all, 'x', r->n * VALUE_LEN);
	start = now();
	for (size_t i = 0; i < r->n; i++)
		peer_touch(all + i * VALUE_LEN, VALUE_LEN);
	say("memcpy", start, r->n);
	free(all);
}

static void remove_half(struct run *r, void *db)
{
	struct moment start = now();

	for (size_t i = 0; i < r->n / 2; i++) {
		struct peer_bytes k = key(r, i, true);

		r->peer->remove(db, &k);
	}
	r->peer->sync(db);
	say("delete", start, r->n / 2);
}

static void open_clean(struct run *r)
{
	for (int i = 0; i < OPENS; i++) {
		struct moment start = now();
		void *db = r->peer->open(r->path, r->n, false);

		say("open", start, 1);
		r->peer->close(db);
	}
}

static void run_all(struct run *r)
{
	double before = anonymous_bytes();
	void *db = r->peer->open(r->path, r->n, false);
	struct stat st;

	shuffle(r, 1);
	put_all(r, db, "put");
	shuffle(r, 2);
	get_all(r, db, true, "get");
	get_all(r, db, true, "get");
	if (r->peer->get_many)
		get_groups(r, db);
	get_all(r, db, false, "miss");
	scan_all(r, db, false, "scan");
	scan_all(r, db, true, "scan-values");
	copy_all(r);
	shuffle(r, 3);
	put_all(r, db, "overwrite");
	shuffle(r, 4);
	remove_half(r, db);
	say_bytes("anon-bytes", anonymous_bytes() - before);
	r->peer->close(db);
	open_clean(r);
	if (stat(r->path, &st) == 0)
		say_bytes("file-bytes", (double)st.st_size);
}

/* ---- with a sync each ---- */

static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;

struct worker {
	struct run *run;
	void *db;
	size_t from, to;
	pthread_t thread;
};

static void *put_durably(void *arg)
{
	struct worker *w = arg;
	bool lock = !w->run->peer->threads;
	char bytes[VALUE_LEN] = { 0 };

	for (size_t i = w->from; i < w->to; i++) {
		struct peer_bytes k = key(w->run, i, true);
		struct peer_bytes v = { bytes, VALUE_LEN };

		if (lock)
			pthread_mutex_lock(&one);
		w->run->peer->put_sync(w->db, &k, &v);
		if (lock)
			pthread_mutex_unlock(&one);
	}
	return NULL;
}

static void put_in_threads(struct run *r, size_t threads, const char *row)
{
	void *db = r->peer->open(r->path, r->n, true);
	struct worker w[THREADS];
	struct moment start = now();

	for (size_t i = 0; i < threads; i++) {
		w[i] = (struct worker){ r, db, r->n * i / threads,
					r->n * (i + 1) / threads, 0 };
		peer_must(pthread_create(&w[i].thread, NULL, put_durably,
					 &w[i]) == 0,
			  "pthread_create");
	}
	for (size_t i = 0; i < threads; i++)
		pthread_join(w[i].thread, NULL);
	say(row, start, r->n);
	r->peer->close(db);
}

static void run_synced(struct run *r)
{
	shuffle(r, 5);
	put_in_threads(r, 1, "put-sync");
	unlink(r->path);
	put_in_threads(r, THREADS, "put-sync-8");
}

static const struct peer *peer_named(const char *name)
{
	for (size_t i = 0; i < n_peers; i++)
		if (strcmp(peers[i]->name, name) == 0)
			return peers[i];
	return NULL;
}

int main(int argc, char **argv)
{
	struct run r = { 0 };

	if (argc < 4) {
		for (size_t i = 0; i < n_peers; i++)
			printf("%s\t%s\n", peers[i]->name, peers[i]->settings);
		return argc == 1 ? 0 : 64;
	}
	r.peer = peer_named(argv[1]);
	r.n = strtoul(argv[2], NULL, 10);
	peer_must(r.peer && r.n >= PEER_GROUP, "no such peer, or too few keys");
	/* tkrzw knows a file's kind by its name. */
	snprintf(r.path, sizeof(r.path), "%s/store.tkh", argv[3]);
	make_keys(&r);
	if (argc > 4)
		run_synced(&r);
	else
		run_all(&r);
	free(r.order);
	free(r.text);
	return 0;
}
