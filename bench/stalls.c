/* stalls.c - the longest that a reader, and a writer, have to wait while the
 * index grows.
 *
 *   stalls growth FILE [KEYS]     KEYS (1728017 by default) and a few more, so
 *                                 that the index grows to booklet's next size
 *
 * Prints a line for each: operations, the longest one, the 99.99th percentile,
 * and how many took longer than 50 ms.  FILE is made anew.
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
	unsigned keys;
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

static void *read_keys(void *arg)
{
	struct work *w = arg;
	unsigned seed = 1;

	while (!atomic_load(&w->stop)) {
		unsigned i = (unsigned)rand_r(&seed) % w->keys;
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
		unsigned i = (unsigned)rand_r(&seed) % w->keys;
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

static void fill(struct work *w)
{
	char key[32];

	for (unsigned i = 0; i < w->keys; i++) {
		int rc = blt_put(w->store, key, key_of(i, key), key, 12,
				 BLT_NOW);

		if (rc < 0)
			die("put", rc);
	}
	if (blt_settle(w->store, false) < 0)
		die("settle", -1);
}

static int growth(const char *path, unsigned keys)
{
	static struct work w;
	struct blt_open_options o = { .mode = BLT_TRUNCATE,
				      .create = { .n_buckets = keys } };
	struct blt_error err;
	pthread_t reader, writer;
	uint64_t since;
	int rc = blt_open(path, &o, &w.store, &err);

	if (rc < 0) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	w.keys = keys;
	fill(&w);
	pthread_create(&reader, NULL, read_keys, &w);
	pthread_create(&writer, NULL, write_keys, &w);
	since = now_us();
	rc = blt_reindex(w.store, 0, NULL, NULL);
	atomic_store(&w.stop, true);
	pthread_join(reader, NULL);
	pthread_join(writer, NULL);
	if (rc < 0)
		die("reindex", rc);
	printf("growth from %u buckets: %.1f s\n", keys,
	       (double)(now_us() - since) / 1e6);
	print("reader", &w.reads);
	print("writer", &w.writes);
	rc = blt_close(w.store);
	unlink(path);
	return rc < 0;
}

int main(int argc, char **argv)
{
	if (argc < 3 || strcmp(argv[1], "growth") != 0) {
		fprintf(stderr, "usage: %s growth FILE [KEYS]\n", argv[0]);
		return 2;
	}
	return growth(argv[2], argc > 3 ? (unsigned)atoi(argv[3]) : 1728017);
}
