/* The log: the header that says where it begins, and its records.
 *
 * A record commits what was appended since the one before, and lists the
 * changes that are to be made in place (commitlog.h has its bytes).  Blocks and
 * record go to the kernel as one sequential write.  What becomes of them then
 * is in checkpoint.c.
 */
#include "booklet/log/wal.h"

#include "base/mutants.h"
#include "base/util.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

/* Bytes of the blocks' own fields whose memory stays for the next batch. */
#define KEPT_OWN ((size_t)1 << 20)

/* ---- the header ---- */

void wal_new_salt(uint8_t salt[LOG_SALT_LEN])
{
	if (getrandom(salt, LOG_SALT_LEN, 0) < LOG_SALT_LEN)
		put_le(salt, (uint64_t)now_us(), LOG_SALT_LEN);
}

/* One write, within the first sector. */
int wal_write_unclean_header(struct wal *wal)
{
	uint8_t raw[FORMAT_HEADER_LEN];

	memcpy(raw, wal->fmt.raw, sizeof(raw));
	put_le(raw + FORMAT_AT_VERSION, FORMAT_VERSION_HOT, 2);
	memset(raw + LOG_CHECKPOINT_AT, 0,
	       FORMAT_HEADER_LEN - LOG_CHECKPOINT_AT);
	memcpy(raw + LOG_CHECKPOINT_AT, wal->checkpoints,
	       sizeof(wal->checkpoints));
	return file_write(&wal->file, raw, sizeof(raw), 0);
}

int wal_write_checkpoint(struct wal *wal,
			 const struct log_checkpoint *checkpoint)
{
	int at = 1 - wal->checkpoint_at, rc;

	log_checkpoint_encode(
		checkpoint, wal->checkpoints + (size_t)at * LOG_CHECKPOINT_LEN);
	rc = wal_write_unclean_header(wal);
	if (rc == 0 && !(MUTANT(HOT_UNSYNCED) && !wal->unclean))
		rc = file_sync(&wal->file);
	if (rc < 0)
		return wal_fail(wal, rc);
	wal->checkpoint = *checkpoint;
	wal->checkpoint_at = at;
	return 0;
}

int wal_mark_unclean(struct wal *wal)
{
	struct log_checkpoint checkpoint = {
		.seq = 1,
		.record_seq = 1,
		.start = wal->log.start,
		.n_keys = (uint32_t)wal->logged_keys,
		.gap = wal->logged_gap,
		.version = (uint16_t)wal->fmt.version,
		.fill = wal->fmt.raw[LOG_CHECKPOINT_AT]
	};
	int rc;

	if (wal->unclean)
		return 0;
	wal_new_salt(checkpoint.salt);
	memset(wal->checkpoints, 0, sizeof(wal->checkpoints));
	wal->checkpoint_at = 1;
	rc = wal_write_checkpoint(wal, &checkpoint);
	if (rc < 0)
		return rc;
	wal->unclean = true;
	memcpy(wal->salt, checkpoint.salt, sizeof(wal->salt));
	wal->record_seq = 1;
	wal->first_record = true;
	return 0;
}

void wal_log_reset(struct wal *wal)
{
	wal->log.start = wal->append;
	wal->log.own_len = 0;
	if (wal->own_room > KEPT_OWN) {
		scratch_put(wal->own, wal->own_room);
		wal->own = NULL;
		wal->own_room = 0;
	}
	XXH3_64bits_reset(wal->log.sum);
	wal->before.start = wal->append;
	wal->before.own_len = 0;
	wal->sum_kept = false;
}

/* ---- records ---- */

static int put_piece(void *arg, const void *bytes, size_t len)
{
	return wal_append_plain(arg, bytes, len);
}

int wal_append_record(struct wal *wal, const struct dirty_table *changes,
		      uint64_t n_keys)
{
	struct log_record r = { .seq = wal->record_seq,
				.start = wal->log.start,
				.batch_len = wal->append - wal->log.start,
				.n_keys = (uint32_t)n_keys };
	uint8_t *payload;
	uint64_t len;
	int rc;

	memcpy(r.salt, wal->salt, sizeof(r.salt));
	if (!wal->cutover)
		r.growth = wal->next;
	r.gap = wal->gap;
	payload = log_payload(&wal->fmt, &r,
			      wal->first_record ? wal->fmt.raw : NULL, wal->own,
			      wal->log.own_len, changes);
	if (!payload)
		return -ENOMEM;
	XXH3_copyState(wal->before.sum, wal->log.sum);
	XXH3_64bits_update(wal->before.sum, payload, r.payload_len);
	log_payload_set_sum(payload, XXH3_64bits_digest(wal->before.sum));
	len = log_record_len(&wal->fmt, r.payload_len);
	rc = wal_start_block(wal, len);
	if (rc == 0)
		rc = log_carry(&wal->fmt, payload, r.payload_len, put_piece,
			       wal);
	if (rc == 0)
		rc = wal_finish_block(wal, len);
	log_payload_free(&wal->fmt, &r, payload);
	return rc;
}

/* Hands the active changes on; the room for them has been had. */
static void pass_on(struct wal *wal)
{
	struct dirty_table empty = wal->logged;

	if (empty.n == 0) {
		wal->logged = wal->dirty;
		wal->dirty = empty;
		return;
	}
	for (size_t i = 0; i < wal->dirty.n; i++) {
		const struct change *c = &wal->dirty.item[i];

		dirty_set(&wal->logged, c->pos, c->value, c->len);
	}
	dirty_clear(&wal->dirty);
}

int wal_reserve_logged(struct wal *wal, size_t n)
{
	int rc;

	if (wal->logged.n == 0)
		return 0;
	pthread_rwlock_wrlock(&wal->lock);
	rc = dirty_reserve(&wal->logged, n);
	pthread_rwlock_unlock(&wal->lock);
	return rc;
}

/* With write held: nothing waits for a record any more. */
static void all_logged(struct wal *wal)
{
	wal->logged_keys = wal->n_keys;
	wal->logged_gap = wal->gap;
	wal->logged_next = wal->next;
	if (wal->cutover)
		wal->logged_next = (struct log_growth){ 0 };
}

void wal_logged(struct wal *wal)
{
	pthread_rwlock_wrlock(&wal->lock);
	wal->end = wal->append;
	all_logged(wal);
	pass_on(wal);
	pthread_rwlock_unlock(&wal->lock);
	wal_log_reset(wal);
	wal->record_seq++;
	wal->first_record = false;
	wal->flushes++;
}

int wal_flush(struct wal *wal)
{
	int rc;

	if (wal->dirty.n == 0 && wal->append == wal->log.start) {
		all_logged(wal);
		return 0;
	}
	rc = wal_reserve_logged(wal, wal->dirty.n);
	if (rc == 0)
		rc = wal_mark_unclean(wal);
	if (rc == 0)
		rc = wal_append_record(wal, &wal->dirty, wal->n_keys);
	if (rc == 0)
		rc = wal_flush_tail(wal);
	if (rc < 0) {
		wal_cut_back(wal);
		return rc;
	}
	wal_logged(wal);
	return 0;
}
