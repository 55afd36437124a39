/* stalls.c - the longest that a reader, and a writer, have to wait while the
 * index grows, or the store is pruned or trimmed.
 *
 *   stalls growth FILE [KEYS]     KEYS (1728017 by default), so that the index
 *                                 grows to booklet's next size
 *   stalls prune FILE [MIB]       a store of so many MiB (4096 by default), of
 *   stalls trim FILE [MIB]        which every second block is dead
 *   stalls nothing FILE [MIB]     ten seconds beside nothing: what the machine
 *                                 itself makes them wait
 *
 * Prints a line for each: operations, the longest one, the 99.99th percentile,
 * and how many took longer than 50 ms.  FILE is made anew, and removed.
 */
#include "blt.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Operations by how long they took: microseconds up to the last, which has all
 * above. */
#define SLOTS 200000u

struct times {
	uint64_t n, worst, over;
	uint32_t slot[SLOTS];
};

struct work {
	struct blt *store;
	unsigned keys, step; /* every so many-th of them is there */
	atomic_bool stop;
	struct times reads, writes;
};

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void die(const char *what, int rc)
{
	fprintf(stderr, "stalls: %s: %s\n", what, strerror(-rc));
	exit(1);
}

static void note(struct times *t, uint64_t since)
{
	uint64_t us = now_us() - since;

	t->n++;
	t->over += us > 50000;
	if (us > t->worst)
		t->worst = us;
	t->slot[us < SLOTS ? us : SLOTS - 1]++;
}

static void print(const char *who, const struct times *t)
{
	uint64_t left = t->n / 10000;
	unsigned us = SLOTS - 1;

	while (us && t->slot[us] <= left)
		left -= t->slot[us--];
	printf("%-7s %10llu operations  longest %8.2f ms  99.99 %% in %8.2f "
	       "ms  over 50 ms: %llu\n",
	       who, (unsigned long long)t->n, (double)t->worst / 1000,
	       (double)us / 1000, (unsigned long long)t->over);
}

static size_t key_of(unsigned i, char key[32])
{
	return (size_t)sprintf(key, "key%09u", i);
}

static unsigned some_key(const struct work *w, unsigned *seed)
{
	unsigned i = (unsigned)rand_r(seed) % w->keys;

	return i - i % w->step;
}

static void *read_keys(void *arg)
{
	struct work *w = arg;
	unsigned seed = 1;

	while (!atomic_load(&w->stop)) {
		unsigned i = some_key(w, &seed);
		uint64_t since = now_us();
		struct blt_view v;
		char key[32];
		int rc = blt_get(w->store, key, key_of(i, key), &v);

		if (rc < 0)
			die("get", rc);
		blt_view_release(&v);
		note(&w->reads, since);
	}
	return NULL;
}

/* A thousand or so a second: what is measured is the waiting, not the disk. */
static void *write_keys(void *arg)
{
	static const struct timespec pause = { .tv_nsec = 500000 };
	struct work *w = arg;
	unsigned seed = 2;

	while (!atomic_load(&w->stop)) {
		unsigned i = some_key(w, &seed);
		uint64_t since = now_us();
		char key[32];
		int rc = blt_put(w->store, key, key_of(i, key), key, 12,
				 BLT_NOW);

		if (rc < 0)
			die("put", rc);
		note(&w->writes, since);
		nanosleep(&pause, NULL);
	}
	return NULL;
}

#define VALUE_MOST 10000

static void fill(struct work *w, size_t value_len)
{
	static const char value[VALUE_MOST];
	char key[32];

	for (unsigned i = 0; i < w->keys; i++) {
		int rc = blt_put(w->store, key, key_of(i, key), value,
				 value_len, BLT_NOW);

		if (rc < 0)
			die("put", rc);
	}
}

/* All but every step-th are deleted. */
static void thin_out(struct work *w)
{
	char key[32];

	for (unsigned i = 0; i < w->keys; i++) {
		int rc = i % w->step ?
				 blt_delete(w->store, key, key_of(i, key)) :
				 0;

		if (rc < 0)
			die("delete", rc);
	}
}

/* What is measured: its result, and a word on what it has done. */
typedef int operation(struct blt *store, char say[64]);

static int grow(struct blt *store, char say[64])
{
	snprintf(say, 64, "to the next size");
	return blt_reindex(store, 0, NULL, NULL);
}

static int prune(struct blt *store, char say[64])
{
	struct blt_prune_result r;
	int rc = blt_prune(store, NULL, &r);

	snprintf(say, 64, "from %llu MiB to %llu MiB",
		 (unsigned long long)r.size_before >> 20,
		 (unsigned long long)r.size_after >> 20);
	return rc;
}

static int trim(struct blt *store, char say[64])
{
	struct blt_trim_result r;
	int rc = blt_trim(store, NULL, NULL, &r);

	snprintf(say, 64, "%llu MiB given back",
		 (unsigned long long)r.freed >> 20);
	return rc;
}

static int nothing(struct blt *store, char say[64])
{
	(void)store;
	snprintf(say, 64, "which are left alone");
	sleep(10);
	return 0;
}

static const struct kind {
	const char *name;
	operation *run;
	unsigned size; /* by default: keys, or, thin, MiB */
	unsigned value_len;
	bool thin; /* every second block is dead */
} kinds[] = {
	{ "growth", grow, 1728017, 12, false },
	{ "prune", prune, 4096, 1000, true },
	{ "trim", trim, 4096, VALUE_MOST, true },
	{ "nothing", nothing, 256, 1000, true },
};

static void measure(struct work *w, const struct kind *kind)
{
	pthread_t reader, writer;
	uint64_t since;
	char say[64];
	int rc;

	pthread_create(&reader, NULL, read_keys, w);
	pthread_create(&writer, NULL, write_keys, w);
	since = now_us();
	rc = kind->run(w->store, say);
	atomic_store(&w->stop, true);
	pthread_join(reader, NULL);
	pthread_join(writer, NULL);
	if (rc < 0)
		die(kind->name, rc);
	printf("%s of %u keys, %s: %.1f s\n", kind->name, w->keys, say,
	       (double)(now_us() - since) / 1e6);
	print("reader", &w->reads);
	print("writer", &w->writes);
}

static int run(const struct kind *kind, const char *path, unsigned size)
{
	static struct work w;
	struct blt_open_options o = { .mode = BLT_TRUNCATE };
	struct blt_error err;
	int rc;

	w.keys = size;
	if (kind->thin)
		w.keys = (unsigned)(((uint64_t)size << 20) / kind->value_len);
	w.step = kind->thin ? 2 : 1;
	o.create.n_buckets = w.keys;
	rc = blt_open(path, &o, &w.store, &err);
	if (rc < 0) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	fill(&w, kind->value_len);
	thin_out(&w);
	rc = blt_settle(w.store, false);
	if (rc < 0)
		die("settle", rc);
	measure(&w, kind);
	rc = blt_close(w.store);
	unlink(path);
	return rc < 0;
}

int main(int argc, char **argv)
{
	for (size_t i = 0; argc >= 3 && i < sizeof(kinds) / sizeof(*kinds); i++)
		if (strcmp(argv[1], kinds[i].name) == 0)
			return run(&kinds[i], argv[2],
				   argc > 3 ? (unsigned)atoi(argv[3]) :
					      kinds[i].size);
	fprintf(stderr, "usage: %s growth|prune|trim|nothing FILE [SIZE]\n",
		argv[0]);
	return 2;
}
