/* log_reader.h - the log of a file as it is found: one verified record after
 * the other.
 *
 *   log_reader_init(&r, wal, checkpoint)
 *   while ((rc = log_reader_next(&r)) > 0) {
 *           ... r.found; r.pos is where its batch begins ...
 *           log_reader_step(&r);
 *   }
 *   log_reader_release(&r)
 *
 * Nothing it reads is believed: the file may be hostile.  Used before anybody
 * else knows the wal, by one thread.
 */
#ifndef BLT_LOG_READER_H
#define BLT_LOG_READER_H

#include "booklet/log/wal.h"

/* One record, found behind its batch. */
struct log_found {
	struct log_record record;
	uint8_t *payload; /* the reader's, until the next call */
	uint64_t end;     /* behind it in the file */
};

struct log_reader {
	struct wal *wal;
	uint64_t limit; /* the file's end */
	uint64_t pos;   /* of the next batch */
	uint64_t seq;
	uint8_t salt[LOG_SALT_LEN];
	struct log_found found;
	XXH3_state_t *sum;
};

/* At the log that checkpoint begins.  -ENOMEM. */
int log_reader_init(struct log_reader *r, struct wal *wal,
		    const struct log_checkpoint *checkpoint);
void log_reader_release(struct log_reader *r);

/* The next record, in r->found: 1, 0 at the log's end, or an error:
 * -EPROTONOSUPPORT, a later version's record, -ENOMEM, -EIO. */
int log_reader_next(struct log_reader *r);

/* To the batch behind the record that was found. */
void log_reader_step(struct log_reader *r);

#endif
