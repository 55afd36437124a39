/* seqwire.h - items of a sequence as bytes, between blt and a mount's daemon.
 *
 *   struct seqwire_out out = { .max = MOST };
 *   seqwire_begin(&out, record);
 *   seqwire_field(&out, &field);        for each
 *   rc = seqwire_end(&out);             out.bytes, out.len: any number of items
 *   free(out.bytes);
 *
 *   struct seqwire_in in = { bytes, len };
 *   while ((rc = seqwire_item(&in, &item)) > 0) ...;
 *   seqwire_in_free(&in);
 *
 * An item is its number of fields (SEQWIRE_VALUE: a value, as one field), and
 * of each its name and its value, each as its length and its bytes.  Numbers
 * are 4 bytes, little-endian.
 *
 * Ownership: what an item points at is in the bytes, and its fields are there
 * until the next one or seqwire_in_free.
 * Errors: -ENOMEM; -E2BIG: over max; -EPROTO: no item.  Of a struct seqwire_out
 * the first one is kept, and told by seqwire_end.
 * Threads: a struct belongs to one at a time.
 */
#ifndef BLT_SEQWIRE_H
#define BLT_SEQWIRE_H

#include "blt_seq.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEQWIRE_VALUE UINT32_MAX

struct seqwire_out {
	size_t max;     /* of len */
	uint8_t *bytes; /* malloc'd */
	size_t len, room;
	size_t head; /* where the item's number of fields stands */
	uint32_t n;  /* of its fields so far */
	int error;
};

/* A text by itself, as that of a name. */
void seqwire_text(struct seqwire_out *out, const void *bytes, size_t len);
/* One byte: 1 for a record. */
void seqwire_kind(struct seqwire_out *out, bool record);
void seqwire_begin(struct seqwire_out *out, bool record);
void seqwire_field(struct seqwire_out *out, const struct blt_seq_field *field);
int seqwire_end(struct seqwire_out *out);
/* All of that. */
int seqwire_put(struct seqwire_out *out, const struct blt_seq_item *item);

struct seqwire_in {
	const uint8_t *at;
	size_t len;
	struct blt_seq_field *fields; /* malloc'd */
	size_t room;
};

/* 1: one; 0: the end; or negative. */
int seqwire_take_text(struct seqwire_in *in, const void **ret, size_t *ret_len);
int seqwire_item(struct seqwire_in *in, struct blt_seq_item *ret);
void seqwire_in_free(struct seqwire_in *in);

#endif
