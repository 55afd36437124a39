/* A batch is walked block by block until one begins the record that belongs
 * here: its place, salt and sequence number say so, and the checksum over the
 * blocks it commits and itself. */
#include "booklet/log/recover.h"

#include "booklet/log/block.h"
#include "base/mutants.h"
#include "base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool begins_record(const struct log_reader *r, const struct block *b,
			  struct log_record *ret)
{
	return b->head.next == FORMAT_DEAD &&
	       log_record_decode(b->key,
				 (size_t)b->head.key_len + b->head.value_len,
				 ret) &&
	       memcmp(ret->salt, r->salt, sizeof(r->salt)) == 0 &&
	       ret->seq == r->seq && ret->start == r->pos &&
	       ret->batch_len == b->pos - r->pos;
}

/* Gathers a payload that may span blocks. */
static int gather(const struct log_reader *r, const struct block *first,
		  struct log_found *ret)
{
	struct wal *wal = r->wal;
	uint32_t want = ret->record.payload_len, have = 0;
	struct block b = *first;

	if (want > r->limit)
		return -EUCLEAN;
	ret->payload = malloc(want);
	if (!ret->payload)
		return -ENOMEM;
	for (;;) {
		uint64_t room = b.len - format_head_len(&wal->fmt);
		uint32_t n = (uint32_t)min_u64(room, want - have);
		int rc;

		memcpy(ret->payload + have, b.key, n);
		have += n;
		ret->end = b.pos + b.len;
		if (have == want)
			return 0;
		rc = block_raw(wal, ret->end, r->limit, &b);
		if (rc < 0)
			return rc;
	}
}

static void sum_block(XXH3_state_t *sum, const struct format *f,
		      const struct block *b)
{
	uint8_t head[FORMAT_HEAD_MAX];

	memcpy(head, b->start, format_head_len(f));
	log_mask_head(f, head);
	XXH3_64bits_update(sum, head, format_head_len(f));
	if (!format_never_lived(&b->head.hash))
		XXH3_64bits_update(sum, b->key,
				   (size_t)b->head.key_len + b->head.value_len);
}

/* Walks the batch to its record, and verifies it.  1: found; 0: the log ends.
 */
static int read_batch(struct log_reader *r)
{
	const struct format *f = &r->wal->fmt;
	XXH3_state_t *sum = r->sum;
	uint64_t at = r->pos;
	uint32_t n_own = 0;
	struct block b;
	int rc;

	XXH3_64bits_reset(sum);
	for (;; at += b.len, n_own++) {
		if (block_raw(r->wal, at, r->limit, &b) < 0)
			return 0;
		if (begins_record(r, &b, &r->found.record))
			break;
		sum_block(sum, f, &b);
	}
	rc = gather(r, &b, &r->found);
	if (rc < 0)
		return rc == -ENOMEM ? rc : 0;
	log_payload_set_sum(r->found.payload, 0);
	XXH3_64bits_update(sum, r->found.payload, r->found.record.payload_len);
	if (MUTANT(SUM_UNCHECKED))
		return 1;
	if (n_own != r->found.record.n_own ||
	    XXH3_64bits_digest(sum) != get_le(r->found.record.sum, 8))
		return 0;
	return r->found.record.unknown ? -EPROTONOSUPPORT : 1;
}

static int read_guarded(void *arg)
{
	return read_batch(arg);
}

static void drop(struct log_reader *r)
{
	free(r->found.payload);
	r->found = (struct log_found){ 0 };
}

int log_reader_next(struct log_reader *r)
{
	int rc;

	drop(r);
	rc = file_try(read_guarded, r);
	if (rc <= 0)
		drop(r);
	return rc;
}

void log_reader_step(struct log_reader *r)
{
	r->pos = r->found.end;
	r->seq++;
}

int log_reader_init(struct log_reader *r, struct wal *wal,
		    const struct log_checkpoint *checkpoint)
{
	*r = (struct log_reader){ .wal = wal,
				  .limit = wal->end,
				  .pos = checkpoint->start,
				  .seq = checkpoint->record_seq };
	memcpy(r->salt, checkpoint->salt, sizeof(r->salt));
	r->sum = XXH3_createState();
	return r->sum ? 0 : -ENOMEM;
}

void log_reader_release(struct log_reader *r)
{
	drop(r);
	XXH3_freeState(r->sum);
	r->sum = NULL;
}
