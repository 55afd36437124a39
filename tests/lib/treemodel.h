/* treemodel.h - for the tests of the tree: keys in an array, and what they
 * imply by brute force.
 *
 *   run_model(n, max_len, alphabet, flat, rounds, true)
 *
 * Single tests take the array as what a tree of new_tree() reads its keys from.
 */
#ifndef TESTS_TREEMODEL_H
#define TESTS_TREEMODEL_H

#include "booklet/dirindex/dirindex.h"

#define MAX_KEYS 3000

struct model_key {
	uint8_t bytes[24];
	size_t len;
	uint64_t pos; /* 0: not there */
	bool empty;
	bool stayed; /* present, as an entry, since the listing began */
	unsigned met;
};

extern struct model_key keys[MAX_KEYS];
extern size_t n_keys;

/* An empty tree, and no keys. */
struct dirindex *new_tree(void);

/* A position, the next one, for a key of the array. */
uint64_t new_pos(size_t i);

/* Changes that many keys at random, and compares everything after each round;
 * while_changing: as well in between the pieces of each listing, which is none
 * for a hash that collides. */
void run_model(size_t n, size_t max_len, const char *alphabet, bool is_flat,
	       unsigned rounds, bool while_changing);

#endif
