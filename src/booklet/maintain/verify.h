/* verify.h - whether a store is what its format says it must be.
 *
 *   verify_start(&c, ...)
 *   verify_header(&c)   the fields and the layout
 *   verify_blocks(&c)   one walk over the data: lengths, hashes, and whether a
 *                       lookup of each live block's key comes to that block
 *   verify_chains(&c)   one walk over the buckets: each chain leads to live
 *                       blocks of its bucket and ends
 *   verify_counts(&c)   the numbers that both walks gave
 *
 * The walks share nothing but numbers, so memory does not grow with the store.
 * A block that a chain reaches although the walk over the data never met it
 * shows in the numbers only; it is then searched for (verify_strays).
 *
 * Errors: 0, or what fn or the disk gave; a fault in the store is none.
 * Threads: a check belongs to one; it holds the wal's lock shared for some
 * hundred blocks at a time, so writers may run beside it.
 */
#ifndef BLT_VERIFY_H
#define BLT_VERIFY_H

#include "blt.h"
#include "booklet/core/engine.h"

struct verify {
	struct engine *engine;
	const struct blt_check_options *opts;
	blt_fault_fn *fn;
	void *arg;
	struct blt_check_result result;
	uint64_t reached; /* blocks in the chains of their own buckets */
	uint64_t commits; /* publishes before the check began */
	uint64_t done, total;
	/* Data that could not be walked: what stands there is not known. */
	struct verify_gap {
		uint64_t from, to;
	} gap[3];
	size_t n_gaps;
};

void verify_start(struct verify *c, struct engine *engine,
		  const struct blt_check_options *opts, blt_fault_fn *fn,
		  void *arg);

/* The header of a file that is size bytes long, opened or not. */
int verify_header(struct verify *c, const uint8_t raw[FORMAT_HEADER_LEN],
		  uint64_t size);
int verify_blocks(struct verify *c);
int verify_chains(struct verify *c);
int verify_counts(struct verify *c);

/* Before what writes over a store: whether every block of it can be walked
 * over.  0; -EUCLEAN: one cannot, and verify_blocks says where; what progress
 * gave, which is told of nothing done. */
int verify_walk(struct engine *e, blt_progress_fn *progress, void *arg);

/* The first fault of the blocks as a sentence that begins with its place. */
void verify_first(struct engine *e, struct blt_error *ret);

/* Reports a fault. */
int verify_fault(struct verify *c, enum blt_fault_kind kind, uint64_t pos,
		 const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Tells the progress, bytes more of it. */
int verify_progress(struct verify *c, uint64_t bytes);

/* Whether nobody has committed anything since the check began. */
bool verify_undisturbed(const struct verify *c);

/* Whether pos is in data that could not be walked. */
bool verify_in_gap(const struct verify *c, uint64_t pos);

/* For verify_counts: chain entries that stand where no block begins. */
int verify_strays(struct verify *c);

#endif
