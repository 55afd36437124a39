/* streamstore.h - for unit tests of streams: a store whose disk may be full,
 * and values whose bytes follow from a seed and their place.
 *
 *   s = make(NULL);
 *   st = begin(s, "k", 0);
 *   write_some(st, seed, 0, len);
 *   commit(st, "k");
 *   check_value(s, "k", seed, len);
 *   done(s);
 *
 * What fails fails the test.
 */
#ifndef TESTS_STREAMSTORE_H
#define TESTS_STREAMSTORE_H

#include "blt.h"

/* Of the store of make(). */
extern char stream_path[128];

/* Unless 0, the n-th write from here on that makes the file longer finds the
 * disk full. */
extern unsigned full_at;

/* Not every filesystem reserves room. */
extern bool no_reserves;

/* An empty store; create NULL: what is usual. */
struct blt *make(const struct blt_create_options *create);

/* The same file once more. */
struct blt *open_store(enum blt_mode mode,
		       const struct blt_create_options *create);

/* Closes it, and removes the file. */
void done(struct blt *s);

uint64_t file_size_now(void);

struct blt_stream *begin(struct blt *s, const char *key, uint64_t room);
void commit(struct blt_stream *st, const char *key);

/* The bytes of such a value; and written to the stream, in pieces. */
void fill(uint8_t *to, unsigned seed, uint64_t from, size_t n);
void write_some(struct blt_stream *st, unsigned seed, uint64_t from,
		uint64_t to);

void check_value(struct blt *s, const char *key, unsigned seed, uint64_t len);

#endif
