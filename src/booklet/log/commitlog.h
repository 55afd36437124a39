/* commitlog.h - the bytes of the commit log: checkpoints and records.
 *
 * The data region is the log (doc/durability.md).  A record is one dead block,
 * or in fixed-length files several, behind the blocks that it commits; a
 * checkpoint is one of two places in the header that say where the log begins.
 * This module turns them into structs and back; it does no I/O.
 *
 * What a record's checksum covers, in this order: of each block of its batch
 * the head with next pointer and timestamp as zeros, the key and the value;
 * then the record's payload with the checksum as zeros.  Next pointers and
 * timestamps change in place later on, so the record carries them itself.
 *
 * Threads: none of its own.
 */
#ifndef BLT_COMMITLOG_H
#define BLT_COMMITLOG_H

#include "booklet/log/dirty_table.h"
#include "booklet/format/format.h"

#define LOG_CHECKPOINT_AT FORMAT_AT_UNUSED /* the first; the second follows */
#define LOG_CHECKPOINT_LEN 60
#define LOG_SALT_LEN 8
#define LOG_PAYLOAD_MIN 80 /* of a record, before its lists */

/* The index that is being built, as a checkpoint and every record carry it. */
struct log_growth {
	uint64_t offset; /* 0: none */
	uint32_t n_buckets;
	uint32_t moved;
};

/* Bytes that hold nothing for now: prune writes over them. */
struct log_gap {
	uint64_t pos;
	uint64_t len; /* 0: none */
};

struct log_checkpoint {
	bool unknown; /* something is under way that only a later version of
		       * this program can recover */
	uint64_t seq; /* the newer of two valid checkpoints counts */
	uint8_t salt[LOG_SALT_LEN];
	uint64_t record_seq; /* of the log's first record */
	uint64_t start;      /* where the log begins */
	uint32_t n_keys;
	uint16_t version; /* the file's own, while the header has 0 */
	uint8_t fill;     /* what stood in bytes 77-199: 0 or 0x30 */
	struct log_growth growth;
	struct log_gap gap; /* at most one of the two */
};

void log_checkpoint_encode(const struct log_checkpoint *checkpoint,
			   uint8_t to[LOG_CHECKPOINT_LEN]);

/* Whether the checksum fits; only then *ret is set. */
bool log_checkpoint_decode(const uint8_t from[LOG_CHECKPOINT_LEN],
			   struct log_checkpoint *ret);

/* The newest valid checkpoint of a header: its number, or -1 where there is
 * none. */
int log_checkpoint_newest(const uint8_t *header, struct log_checkpoint *ret);

/* A record's fixed part. */
struct log_record {
	uint8_t sum[8];
	uint8_t salt[LOG_SALT_LEN];
	uint64_t seq;
	uint64_t start;     /* of the batch */
	uint64_t batch_len; /* up to the record itself */
	uint32_t n_keys;    /* after the commit */
	uint32_t payload_len;
	uint32_t n_changes;
	uint32_t n_own;  /* blocks in the batch */
	bool unknown;    /* as in a checkpoint */
	bool has_header; /* 200 bytes of it, for salvage */
	struct log_growth growth;
	struct log_gap gap;
};

/* The next pointers and timestamps of a batch's blocks, one after another. */
static inline size_t log_own_len(const struct format *f)
{
	return FORMAT_POS_LEN + (f->timestamps ? FORMAT_TIME_LEN : 0);
}

/* Masks in the head of a block what the checksum leaves out. */
void log_mask_head(const struct format *f, uint8_t *head);

/* Bytes of payload for so many blocks and changes, at most. */
uint64_t log_payload_bound(const struct format *f, uint64_t n_own,
			   uint64_t n_changes);

/* Bytes in the file of a record with such a payload. */
uint64_t log_record_len(const struct format *f, uint64_t payload_len);

/* The payload, with its checksum field zero.  header may be NULL.  Sets
 * r->payload_len and the counts, by which log_payload_free knows its size. */
uint8_t *log_payload(const struct format *f, struct log_record *r,
		     const uint8_t *header, const uint8_t *own, size_t own_len,
		     const struct dirty_table *changes);
void log_payload_free(const struct format *f, const struct log_record *r,
		      uint8_t *payload);
void log_payload_set_sum(uint8_t *payload, uint64_t sum);

/* Lays a payload out as dead blocks: calls put for each piece, in order. */
int log_carry(const struct format *f, const uint8_t *payload, size_t len,
	      int (*put)(void *arg, const void *bytes, size_t len), void *arg);

/* The first byte of every payload. */
#define LOG_MARK_FIRST 0x89

/* Whether the payload of a dead block begins a record; its fixed part. */
bool log_record_decode(const uint8_t *payload, size_t len,
		       struct log_record *ret);

/* The lists of a whole payload. */
struct log_lists {
	const uint8_t *header; /* NULL: none */
	const uint8_t *own;
	const uint8_t *change; /* n_changes times position 6, length 2, bytes */
	const uint8_t *end;
};

/* 0, or -EUCLEAN where they do not fill the payload. */
int log_lists(const struct format *f, const struct log_record *r,
	      const uint8_t *payload, struct log_lists *ret);

/* The next change of the list: 1, 0 at the end, -EUCLEAN. */
int log_next_change(struct log_lists *l, struct change *ret);

#endif
