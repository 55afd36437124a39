/* format.h - the header and the block heads of a booklet file, as bytes and as
 * structs.
 *
 * Sees bytes only: no I/O and no state.  doc/format.md is the reference; the
 * offsets below are its.  Any thread.
 */
#ifndef BLT_FORMAT_H
#define BLT_FORMAT_H

#include "booklet/format/keyhash.h"
#include "base/util.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FORMAT_HEADER_LEN 200
#define FORMAT_POS_LEN 6 /* a file position, a bucket entry */
#define FORMAT_TIME_LEN 7
#define FORMAT_KEY_MAX 65535u
#define FORMAT_TIME_MAX ((INT64_C(1) << 56) - 1)

#define FORMAT_VERSION 5     /* what new files get */
#define FORMAT_VERSION_HOT 0 /* a log is in the file: not booklet's */
#define FORMAT_VERSION_OLDEST 3
#define FORMAT_DEFAULT_BUCKETS 12007u

#define FORMAT_N_KEYS_OPEN 0xFFFFFFFFu /* "was not closed properly" */

/* Values of a next pointer or a bucket entry that are no position. */
#define FORMAT_DEAD 0u /* of a block: deleted or overwritten */
#define FORMAT_LAST 1u /* the end of a chain; an empty bucket */

/* Offsets in the header. */
enum {
	FORMAT_AT_VERSION = 16,
	FORMAT_AT_POS_WIDTH = 18,
	FORMAT_AT_KEY_WIDTH = 19,
	FORMAT_AT_VALUE_WIDTH = 20,
	FORMAT_AT_N_BUCKETS = 21,
	FORMAT_AT_DEPRECATED = 25,
	FORMAT_AT_VALUE_SERIALIZER = 29,
	FORMAT_AT_KEY_SERIALIZER = 31,
	FORMAT_AT_N_KEYS = 33,
	FORMAT_AT_VALUE_LEN = 37,
	FORMAT_AT_TIMESTAMPS = 41,
	FORMAT_AT_CREATED = 42,
	FORMAT_AT_UUID = 49,
	FORMAT_AT_INDEX = 65,
	FORMAT_AT_DATA = 71,
	FORMAT_AT_UNUSED = 77, /* up to the end */
};

/* Offset of the next pointer in a block. */
#define FORMAT_AT_NEXT KEYHASH_LEN

/* Offset and bytes of its lengths: the key's 2, and where they vary the value's
 * 4. */
#define FORMAT_AT_LENS (KEYHASH_LEN + FORMAT_POS_LEN)
#define FORMAT_LENS_LEN 6

/* The header.  raw holds every byte as read, so that what is not understood is
 * written back as it was; the other members are its decoded fields. */
struct format {
	uint8_t raw[FORMAT_HEADER_LEN];
	unsigned version;
	bool fixed; /* values of value_len bytes, all of them */
	bool timestamps;
	uint32_t n_buckets;
	uint32_t n_keys;
	uint32_t value_len;
	unsigned key_serializer, value_serializer;
	int64_t created;
	uint8_t uuid[16];
	uint64_t index_offset;
	uint64_t data_offset;
};

/* What is wrong with a header, for a message. */
enum format_fault {
	FORMAT_OK,
	FORMAT_NOT_BOOKLET, /* the magic is another */
	FORMAT_TOO_OLD,
	FORMAT_WIDTHS,  /* the widths of bytes 18-20 are not ours */
	FORMAT_BUCKETS, /* no buckets, or their index leaves the file */
	FORMAT_LAYOUT,  /* index_offset, first_data_block_pos */
	FORMAT_VALUE_LEN,
};

/* What the layout fields hold in files of early versions: six ASCII zeros,
 * which mean what 0 does. */
#define FORMAT_UNSET_LAYOUT 0x303030303030u

/* By the first 16 bytes: 0: values of any length; 1: of one length; -1: no
 * booklet file. */
int format_magic(const uint8_t raw[FORMAT_HEADER_LEN]);

/* Decodes a header of a file that is file_size bytes long. */
enum format_fault format_decode(const uint8_t raw[FORMAT_HEADER_LEN],
				uint64_t file_size, struct format *ret);

/* What a fault means, as the end of a sentence "FILE: ...". */
const char *format_fault_text(enum format_fault fault);

/* A header for a new file; the decoded members that are set in f (fixed,
 * timestamps, n_buckets, value_len, serializers, created, uuid) go in. */
void format_make(struct format *f);

/* Sets fields, decoded and raw. */
void format_set_n_keys(struct format *f, uint32_t n_keys);
void format_set_layout(struct format *f, uint32_t n_buckets,
		       uint64_t index_offset, uint64_t data_offset);

/* raw alone: what is written now and read from later on. */
void format_put_layout(struct format *f, uint32_t n_buckets,
		       uint64_t index_offset, uint64_t data_offset);

/* Bytes of the index. */
static inline uint64_t format_index_len(uint32_t n_buckets)
{
	return (uint64_t)n_buckets * FORMAT_POS_LEN;
}

/* The head of a block: all but its key and value. */
struct block_head {
	struct keyhash hash;
	uint64_t next;
	uint32_t key_len;
	uint32_t value_len;
	int64_t timestamp; /* -1 where the file keeps none */
};

#define FORMAT_HEAD_MAX 32

/* Bytes of a block's head in this file. */
static inline uint32_t format_head_len(const struct format *f)
{
	if (f->fixed)
		return 21;
	return f->timestamps ? 32 : 25;
}

/* Offset of the timestamp in a block; only where f->timestamps. */
#define FORMAT_AT_TIME 25

static inline void format_head_decode(const struct format *f,
				      const uint8_t *from,
				      struct block_head *ret)
{
	memcpy(ret->hash.byte, from, KEYHASH_LEN);
	ret->next = get_le(from + FORMAT_AT_NEXT, FORMAT_POS_LEN);
	ret->key_len = (uint32_t)get_le(from + 19, 2);
	ret->value_len =
		f->fixed ? f->value_len : (uint32_t)get_le(from + 21, 4);
	ret->timestamp = f->timestamps ? (int64_t)get_le(from + FORMAT_AT_TIME,
							 FORMAT_TIME_LEN) :
					 -1;
}

void format_head_encode(const struct format *f, const struct block_head *head,
			uint8_t *to);

/* Bytes of a whole block. */
static inline uint64_t format_block_len(const struct format *f,
					const struct block_head *head)
{
	return (uint64_t)format_head_len(f) + head->key_len + head->value_len;
}

/* The least and the most bytes one dead block can cover. */
uint64_t format_dead_min(const struct format *f);
uint64_t format_dead_max(const struct format *f);

/* Whether a block never lived: that is what a hash of zeros says. */
bool format_never_lived(const struct keyhash *hash);

/* The head of one dead block of len bytes, which must be a legal length. */
void format_dead_head(const struct format *f, uint64_t len, uint8_t *to);

/* Whether len bytes can be covered by dead blocks that stand back to back. */
bool format_dead_fits(const struct format *f, uint64_t len);

/* The length of the first of the dead blocks that cover len bytes, which must
 * be a sum of legal ones; what is left is one too. */
uint64_t format_dead_piece(const struct format *f, uint64_t len);

/* The entries that are neither listed nor counted (doc/format.md, section 7).
 */
enum format_slot {
	FORMAT_METADATA,
	FORMAT_RESERVED_1,
	FORMAT_RESERVED_2,
	FORMAT_SLOTS,
};

extern const char *const format_slot_key[FORMAT_SLOTS];

/* Whether a hash, or a key, is that of a hidden entry of this file. */
bool format_hidden(const struct format *f, const struct keyhash *hash);
bool format_hidden_key(const struct format *f, const void *key, size_t len);

/* The next size of the index in booklet's series (12007, 144013, 1728017,
 * 20736017) above n_buckets, or 0 behind its end. */
uint32_t format_next_buckets(uint32_t n_buckets);

#endif
