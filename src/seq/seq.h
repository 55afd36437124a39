/* seq.h - what the files of sequences share: seq.c (which item is where),
 * seq_item.c (one item: its keys, in a batch), seq_change.c (items that go,
 * move or change), seq_insert.c (names for new ones).  The public face and its
 * contract are in blt_seq.h.
 *
 * Locks, in their order, both of the namespace:
 *   seq_write  held by who changes a sequence, from the first look at a
 *              position to the last batch
 *   seq_state  a rwlock: exclusive for one commit, so that the keys and their
 *              order change at one moment for those who have it shared
 * Both are taken before all locks of the store.
 */
#ifndef BLT_SEQ_INNER_H
#define BLT_SEQ_INNER_H

#include "blt_seq.h"
#include "namespace/ns.h"
#include "seq/seqname.h"

#include <errno.h>

struct blt_seq {
	struct blt_ns *ns;
	blt_seq_changed_fn *changed; /* NULL: nobody is told */
	void *changed_arg;
	size_t len;
	uint8_t prefix[];
};

#define SEQ_BYTES_MAX (8u << 20) /* of one batch */
#define SEQ_NAME_LONG 32         /* names longer than this are not made */
#define SEQ_TRIES 100            /* where others change the directory, too */

/* Whether a call goes on after that, looking again at what there is. */
static inline bool seq_again(int rc, unsigned *tries)
{
	return rc == -EAGAIN && ++*tries < SEQ_TRIES;
}

/* ---- seq.c ---- */

/* The length, after a look at whether it is a sequence still. */
int seq_len(struct blt_seq *seq, uint64_t *ret);

/* A position, counted from the end where it is negative: below n, or with end
 * n itself.  -ERANGE. */
int seq_position(int64_t at, uint64_t n, bool end, uint64_t *ret);

/* How many items stand in front of those of a name; 1: there are such. */
int seq_find(struct blt_seq *seq, const void *name, size_t len, uint64_t *ret);

/* Names that have been read, malloc'd as one. */
struct seq_name {
	uint8_t *bytes;
	size_t len;
	bool record;
};
struct seq_names {
	struct seq_name *name;
	size_t n, room;
	uint8_t *bytes;
	size_t len, bytes_room;
};

/* Up to n names from a position on, in place of those that were in ret. */
int seq_names_read(struct blt_seq *seq, uint64_t at, uint64_t n,
		   struct seq_names *ret);
void seq_names_free(struct seq_names *names);

/* ---- seq_item.c ---- */

/* Keys, malloc'd each. */
struct seq_keys {
	struct blt_bytes *key;
	size_t n, room;
	size_t skip; /* bytes of the item's prefix */
	uint64_t bytes;
};

/* A batch that is being put together. */
struct seq_batch {
	struct blt_seq *seq;
	struct blt_batch *batch; /* NULL: empty */
	size_t keys;
	uint64_t bytes;
	struct seq_keys changed; /* where somebody is told */
};

/* Each adds a whole item, or something of one.  -EAGAIN, and the same of the
 * end: others have just changed the directory; fresh: put what it takes. */
int seq_batch_put(struct seq_batch *b, const void *name, size_t len,
		  const struct blt_seq_item *item, bool fresh);
int seq_batch_delete(struct seq_batch *b, const struct seq_name *name);
int seq_batch_rename(struct seq_batch *b, const struct seq_name *from,
		     const void *to, size_t to_len);
/* Deletes what put leaves of the item that was there. */
int seq_batch_stale(struct seq_batch *b, const struct seq_name *name,
		    const struct blt_seq_item *item);

/* Keys of one batch; and what is called before and behind each. For tests to
 * change. */
extern size_t seq_keys_max;
extern void (*seq_before_batch)(void);
extern void (*seq_after_batch)(void);

static inline bool seq_batch_full(const struct seq_batch *b)
{
	return b->keys >= seq_keys_max || b->bytes >= SEQ_BYTES_MAX;
}

/* Commits what there is if rc is 0, else drops it; empty then.  The first
 * error. */
int seq_batch_end(struct seq_batch *b, int rc);

/* -EINVAL: no item. */
int seq_item_check(const struct blt_seq_item *item);

bool seq_item_is_record(const struct blt_seq_item *item);

/* Calls fn for what stands under a name. */
int seq_item_read(struct blt_seq *seq, const struct seq_name *name,
		  blt_seq_field_fn *fn, void *arg);

/* ---- seq_insert.c ---- */

/* Names for n items in front of position at, of a sequence of len; items around
 * it are renamed where that has to be.  names and around are the run's, and
 * stay the caller's.  -EOVERFLOW: there are none. */
int seq_make_names(struct blt_seq *seq, uint64_t at, uint64_t len, uint64_t n,
		   struct seq_names *names, struct seqname around[2],
		   struct seqname_run *ret);

#endif
