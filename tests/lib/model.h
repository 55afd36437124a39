/* model.h - a reference for the engine: what a store should hold, in plain
 * arrays, beside a store that gets the same operations.
 *
 *   model_new(&m, &options, seed, path)
 *   model_step(m) ...            one random operation on both
 *   model_compare(m)             every key, every value, both ways
 *   model_reopen(m)              close, the independent checker, open
 *   model_free(m)
 *
 * All of them end the test (ck_assert) where the two differ.
 */
#ifndef TEST_MODEL_H
#define TEST_MODEL_H

#include "blt.h"

struct model;

struct model_options {
	struct blt_create_options create;
	unsigned n_keys;   /* different keys */
	size_t max_value;  /* bytes; most values are far shorter */
	size_t huge_value; /* the same for one of thousands; 0: none */
};

struct model *model_new(const struct model_options *o, unsigned seed,
			const char *path);
void model_step(struct model *m);
void model_compare(struct model *m);
void model_reopen(struct model *m);
void model_free(struct model *m);

#endif
