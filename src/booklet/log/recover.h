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

#endif
