/* engine.h - what one change touches: the bytes, the directories, the scans.
 *
 * struct engine is the store below its public face; batch.c, scan.c and the
 * whole-file operations work on it.
 */
#ifndef BLT_ENGINE_H
#define BLT_ENGINE_H

#include "space.h"
#include "tree.h"

struct scan;

struct engine {
	struct space space;
	pthread_mutex_t whole; /* held through work on the whole file (growth,
				* prune, trim): one of them at a time; taken
				* before all locks of the space */
	struct scan *scans;    /* under space.lock */
	bool walking;          /* the tree is being filled; under space.write */
	atomic_uint waiting;   /* writers in front of space.write: whoever
				* holds it for work that can wait gives way */
	uint8_t key[FORMAT_KEY_MAX]; /* scratch, under space.write */
	_Atomic(struct tree *) tree; /* NULL until somebody asks for it; set
				      * with space.write held */
};

#endif
