/* store_source.h - the bytes of a blt_source, checked on their way.
 *
 *   rc = source_begin(&c, store, source);
 *   if (rc == 0)
 *           ... c.value.read(c.value.arg, ...)   once, from front to back
 *   source_end(&c);                              whatever it returned
 *
 * A value that would not load in Python is -EINVAL from its last read.  One of
 * a wrong length is -EINVAL or -EFBIG at once.  source must last as long.
 */
#ifndef BLT_STORE_SOURCE_H
#define BLT_STORE_SOURCE_H

#include "booklet/format/serial.h"
#include "booklet/store/store.h"

struct checked_source {
	const struct blt_source *source;
	struct serial_check *check; /* NULL: all bytes will do */
	struct batch_value value;
};

int source_begin(struct checked_source *c, const struct store *store,
		 const struct blt_source *source);
void source_end(struct checked_source *c);

/* Whether a value may have that length: 0, -EINVAL, -EFBIG. */
int source_check_len(const struct store *store, uint64_t len);

#endif
