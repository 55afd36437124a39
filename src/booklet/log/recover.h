/* recover.h - opening a store whose last writer died: replay of its log.
 *
 * A writable store is brought to the state of its last whole record, in the
 * file, with a new log behind it; a read-only one in memory, the file left
 * alone.  A crash in the middle does no harm: it all can be done again.
 */
#ifndef BLT_RECOVER_H
#define BLT_RECOVER_H

#include "blt.h"
#include "booklet/log/wal.h"

/* What the header of an unclean file says of itself: fmt with the version and
 * the filling bytes that the clean file had.  -EUCLEAN: no checkpoint is whole;
 * -EPROTONOSUPPORT: a later version's work is under way. */
int recover_header(const uint8_t *raw, uint64_t file_size, struct format *ret,
		   struct log_checkpoint *ret_checkpoint,
		   int *ret_checkpoint_at);

/* As struct blt_open_options has them; progress may be NULL. */
struct recover_hook {
	blt_progress_fn *progress;
	void *arg;
};

/* Replays.  Called before anybody else knows the wal.  hook may be NULL; what
 * it gives stops the replay.  *ret_growth: an index move was under way, and
 * rehash_resume is to be called. */
int recover(struct wal *wal, const struct log_checkpoint *checkpoint,
	    int checkpoint_at, const struct recover_hook *hook,
	    bool *ret_growth);

/* The log of a file as it is found: one verified record after
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
