/* blt_seq.h - libblt: a directory of a store as a sequence of items.
 *
 * A sequence is a directory that carries a mark (the value of its marker, the
 * key that is its prefix).  Each thing in the directory is an item: a key is an
 * item of one value, a directory a record, whose fields are the keys below it.
 * Their order is that of their names as bytes.  Names are made here, so that
 * there is always one between two others: they are short, of 0-9a-z, and stay
 * what they are but where many items crowd into one gap (see blt_seq_insert).
 * Anybody may also use the keys as such; a key made by hand becomes the item
 * that its name sorts to.
 *
 *   blt_seq_create(ns, "frames/", 7);
 *   blt_seq_open(ns, "frames/", 7, &seq);
 *   struct blt_seq_field text = { .value = "hello", .value_len = 5 };
 *   struct blt_seq_item item = { &text, 1 };
 *   blt_seq_append(seq, &item, 1);
 *   blt_seq_read(seq, -1, print_field, NULL);
 *   blt_seq_close(seq);
 *
 * Positions count from 0, or as negative numbers from the end, -1 being the
 * last item.  To find an item by its position, or the position of a name, costs
 * the logarithm of the number of items.  The first such call on a directory
 * reads all of its names, and up to 24 bytes for each item stay in memory.
 *
 * Where another process changes the store as well (LMDB), they are read again.
 *
 * Changes are atomic batches (blt.h): a call that changes one item is one
 * batch; one that changes more is one batch for at most 4,096 keys or 8 MiB,
 * of whole items, after each of which the sequence is what a call for fewer
 * items would have made of it.
 *
 * Errors: as in blt.h, and
 *   -ERANGE  no such position
 *   -ENOENT  no such sequence
 *   -EAGAIN  others change keys of the directory all the time
 * Threads: all functions from any thread at once, on one struct blt_seq or
 * several.  Calls that change a sequence wait for each other, as long as they
 * go through one struct blt_ns; readers see a state before or behind each
 * batch.  Keys of the directory that are changed otherwise meanwhile are safe:
 * where one is put under just the name that is being given, another is taken.
 */
#ifndef BLT_SEQ_H
#define BLT_SEQ_H

#include <blt.h>

#ifdef __cplusplus
extern "C" {
#endif

struct blt_seq;

/* A field of a record; name NULL: the value of an item that is no record. */
struct blt_seq_field {
	const char *name; /* without NUL; not empty, and no '/' at its end */
	size_t name_len;
	const void *value;
	size_t value_len;
};

/* An item: a value (one field without a name), or a record of fields, which may
 * be none. */
struct blt_seq_item {
	const struct blt_seq_field *fields;
	size_t n;
};

/* Marks a directory, which need not be there, as a sequence.  prefix ends in
 * '/'.  -EEXIST: it is one; -ENOTSUP: a store that takes no markers
 * (blt_takes_empty), or whose keys are no paths. */
BLT_PUBLIC int blt_seq_create(struct blt_ns *ns, const void *prefix,
			      size_t len);

/* Whether a marker's value is the mark of a sequence.  Pure. */
BLT_PUBLIC bool blt_seq_is_mark(const void *value, size_t len);

/* -EPROTONOSUPPORT: the mark is of a later format. */
BLT_PUBLIC int blt_seq_open(struct blt_ns *ns, const void *prefix, size_t len,
			    struct blt_seq **ret);
BLT_PUBLIC void blt_seq_close(struct blt_seq *seq); /* NULL is fine */

/* ---- reading ---- */

BLT_PUBLIC int blt_seq_len(struct blt_seq *seq, uint64_t *ret);

/* Which item is where. */
struct blt_seq_place {
	const char *name; /* borrowed for the call; no NUL behind it */
	size_t name_len;
	bool record;
};
/* Returns 0 to go on, else what the caller is to return. */
typedef int blt_seq_place_fn(void *arg, const struct blt_seq_place *place);

/* Calls fn for the items from position from up to to, which is left out
 * (0 <= from <= to <= length, negative ones counted from the end).  With no
 * lock held: fn may use and change the sequence, and items that come or go
 * meanwhile are met or not; each that stays is met once. */
BLT_PUBLIC int blt_seq_slice(struct blt_seq *seq, int64_t from, int64_t to,
			     blt_seq_place_fn *fn, void *arg);

/* The position of the first item of that name.  -ENOENT. */
BLT_PUBLIC int blt_seq_index(struct blt_seq *seq, const char *name, size_t len,
			     uint64_t *ret);

/* How many items stand in front of those of a name: 1 where there are such, 0
 * where it would be their place. */
BLT_PUBLIC int blt_seq_rank(struct blt_seq *seq, const char *name, size_t len,
			    uint64_t *ret);

/* A field as it is read, borrowed for the call, value as data of struct
 * blt_view.  fn must not change the sequence.  Returns as above. */
typedef int blt_seq_field_fn(void *arg, const struct blt_seq_field *field);

/* Calls fn for the item's fields, sorted by name, or for its value.  place, if
 * it is not NULL, is called before; once more, where others have deleted that
 * item meanwhile. */
BLT_PUBLIC int blt_seq_read(struct blt_seq *seq, int64_t at,
			    blt_seq_place_fn *place, blt_seq_field_fn *fn,
			    void *arg);

/* The same for an item as blt_seq_slice gives it; -ENOENT: it is gone. */
BLT_PUBLIC int blt_seq_read_named(struct blt_seq *seq,
				  const struct blt_seq_place *place,
				  blt_seq_field_fn *fn, void *arg);

/* ---- changing ---- */

/* From now on fn is told of each key that a call on this struct blt_seq has put
 * or deleted: behind the batch that did, by the thread that called.  It must
 * not use the sequence. */
typedef void blt_seq_changed_fn(void *arg, const void *key, size_t len);
BLT_PUBLIC void blt_seq_watch(struct blt_seq *seq, blt_seq_changed_fn *fn,
			      void *arg);

/* Puts n items in front of the one at a position, or behind all where that is
 * the length.  Their names are spread evenly over the gap; names at the ends
 * are counted on.  Where one would be longer than 32 bytes the items around the
 * gap, as many as it takes, are renamed first. */
BLT_PUBLIC int blt_seq_insert(struct blt_seq *seq, int64_t at,
			      const struct blt_seq_item *items, size_t n);
BLT_PUBLIC int blt_seq_append(struct blt_seq *seq,
			      const struct blt_seq_item *items, size_t n);

/* Items from a position up to another one, which is left out. */
BLT_PUBLIC int blt_seq_delete(struct blt_seq *seq, int64_t from, int64_t to);

/* The item gets another place: it is at position to afterwards. */
BLT_PUBLIC int blt_seq_move(struct blt_seq *seq, int64_t from, int64_t to);

/* Replaces an item: nothing stays of what it was. */
BLT_PUBLIC int blt_seq_set(struct blt_seq *seq, int64_t at,
			   const struct blt_seq_item *item);

/* Replaces or adds these fields of a record, and leaves the others.  -ENOTDIR:
 * the item is no record. */
BLT_PUBLIC int blt_seq_update(struct blt_seq *seq, int64_t at,
			      const struct blt_seq_field *fields, size_t n);

#ifdef __cplusplus
}
#endif

#endif
