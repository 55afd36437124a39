/* maprunner.h - for unit tests: maps with real processes, and what is told of
 * them.
 *
 *   put("key", "value");
 *   run((struct map_options){ 0 }, (struct map_hooks){ 0 }, NULL);
 *   counts(1, 1, 0, 0);
 *
 * A test finds an empty store, and leaves no process behind.
 */
#ifndef TESTS_MAPRUNNER_H
#define TESTS_MAPRUNNER_H

#include "blt.h"
#include "map/map.h"

#include "lib/checked.h"

#define N_PLAIN 200

extern char run_dir[64], run_path[80]; /* of the store */
extern struct blt *store;

/* What the last run came to. */
struct seen {
	struct map_result result;
	struct blt_error err;
	int rc;
	unsigned n_errors;
	char error[64][600]; /* "key: reason" */
	unsigned n_wrote, n_open;
};

extern struct seen seen;

/* Runs the tests that add adds; what main returns. */
int maprunner_run(const char *name, void (*add)(TCase *tc));

void put(const char *key, const char *value);

/* N_PLAIN keys that the worker leaves as they are. */
void put_plain(void);

bool has(const char *key, const char *value);

/* The program of tests/lib/map-worker.c, which does what a key asks for. */
const char *test_worker(void);

/* Runs that worker, in the way of how, or what argv says. */
void run(struct map_options o, struct map_hooks hooks, const char *how);
void run_plainly(void);

/* Whether the run ended well, with these counts. */
void counts(uint64_t processed, uint64_t written, uint64_t skipped,
	    uint64_t errors);

/* Whether one of its errors is that key's, with that in its reason. */
bool failed_with(const char *key, const char *why);

#endif
