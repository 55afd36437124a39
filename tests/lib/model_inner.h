/* model_inner.h - what the files of the model share; see model.h. */
#ifndef TEST_MODEL_INNER_H
#define TEST_MODEL_INNER_H

#include "lib/model.h"
#include "lib/model_bytes.h"
#include "booklet/store/store.h"

#define BATCH_MOST 8

struct entry {
	uint8_t *key;
	size_t key_len;
	uint8_t *value; /* NULL: not in the store */
	size_t len;
	int64_t time;
	uint64_t hash; /* of the value */
};

/* An entry as it was when an iterator began. */
struct seen {
	bool live, met;
	uint64_t hash;
	size_t len;
	int64_t time;
};

/* An iterator that stays open while the store changes. */
struct walk {
	struct blt_iter *it; /* NULL: none */
	bool no_values;
	struct seen *seen;
	unsigned live, met;
};

/* A batch that does, and what it will do. */
struct held {
	struct blt_batch *batch; /* NULL: none */
	unsigned n;
	struct {
		struct entry *entry;
		uint8_t *value;
		size_t len;
		int64_t time;
	} put[BATCH_MOST];
};

struct model {
	struct model_options o;
	struct blt *store;
	struct entry *entry;
	struct entry slot[3];
	struct walk walk;
	struct held held;
	struct forms keys, values;
	uint64_t random;
	char *path;
	bool fixed, timed;
	unsigned long steps, checked; /* so far; as of the last check */
};

/* ---- model.c ---- */

/* xorshift64*: the same on every machine. */
uint64_t model_roll(struct model *m);
unsigned model_below(struct model *m, unsigned n);

struct entry *model_pick(struct model *m);

/* A value that loads; the caller frees it. */
uint8_t *model_value(struct model *m, size_t *ret_len);

int64_t model_time(struct model *m);

/* Takes value over; NULL: the key is gone. */
void model_set(struct entry *e, uint8_t *value, size_t len, int64_t time);

struct entry *model_entry_of(struct model *m, const struct blt_item *item);

/* ---- model_beside.c ---- */

/* Steps. */
void model_do_walk(struct model *m);
void model_do_held(struct model *m);

/* Ends what is open. */
void model_let_go(struct model *m);

#endif
