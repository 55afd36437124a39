/* map_function.h - how a map's function becomes a process: the worker program,
 * its arguments and its environment.
 */
#ifndef BLT_MAP_FUNCTION_H
#define BLT_MAP_FUNCTION_H

#include "map/map.h"

struct map_function {
	char *program;
	char **argv;
	char **env;
};

/* program: what the environment's BLT_MAP_WORKER names; else
 * bltfs-map-worker beside the running program, as in a build directory; else
 * where it is installed. */
int map_function_make(struct map_function *f, struct blt *store,
		      const struct map_options *options);
void map_function_free(struct map_function *f);

#endif
