/* backend_place.h - a store that is made beside its name, and gets it when it
 * is whole.
 *
 *   rc = store_place_begin(&p, from, path, replace, err);
 *   ...                              write p.temporary, make it durable
 *   rc = store_place_end(&p, err);
 *   store_place_release(&p);         in any case
 *
 * path must not be that of the store from, which is copied (-EEXIST).  What
 * stands there and is to be replaced is held meanwhile: nobody else has it open
 * (-EWOULDBLOCK), by the rules of its engine.  On an error, and without
 * store_place_end, it is as it was, and the temporary file gone.
 */
#ifndef BLT_BACKEND_PLACE_H
#define BLT_BACKEND_PLACE_H

#include "blt.h"

struct store_place {
	const char *path;
	char *temporary; /* made, and empty */
	bool replace;    /* something was there */
	int held;        /* what is replaced, or -1 */
};

int store_place_begin(struct store_place *p, struct blt *from, const char *path,
		      bool replace, struct blt_error *err);
int store_place_end(struct store_place *p, struct blt_error *err);
void store_place_release(struct store_place *p);

#endif
