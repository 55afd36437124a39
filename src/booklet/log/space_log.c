/* The log: the header that says where it begins, and its records.
 *
 * A record commits what was appended since the one before, and lists the
 * changes that are to be made in place (commitlog.h has its bytes).  Blocks and
 * record go to the kernel as one sequential write.  What becomes of them then
 * is in space_sync.c.
 */
#include "booklet/log/space.h"

#include "base/mutants.h"
#include "base/util.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

/* Bytes of the blocks' own fields whose memory stays for the next batch. */
#define KEPT_OWN ((size_t)1 << 20)

/* ---- the header ---- */

void space_new_salt(uint8_t salt[LOG_SALT_LEN])
{
	if (getrandom(salt, LOG_SALT_LEN, 0) < LOG_SALT_LEN)
		put_le(salt, (uint64_t)now_us(), LOG_SALT_LEN);
}

/* One write, within the first sector. */
int space_write_hot_header(struct space *sp)
{
	uint8_t raw[FORMAT_HEADER_LEN];

	memcpy(raw, sp->fmt.raw, sizeof(raw));
	put_le(raw + FORMAT_AT_VERSION, FORMAT_VERSION_HOT, 2);
	memset(raw + LOG_SLOT_AT, 0, FORMAT_HEADER_LEN - LOG_SLOT_AT);
	memcpy(raw + LOG_SLOT_AT, sp->slots, sizeof(sp->slots));
	return file_write(&sp->file, raw, sizeof(raw), 0);
}

int space_write_slot(struct space *sp, const struct log_slot *slot)
{
	int at = 1 - sp->slot_at, rc;

	log_slot_encode(slot, sp->slots + (size_t)at * LOG_SLOT_LEN);
	rc = space_write_hot_header(sp);
	if (rc == 0 && !(MUTANT(HOT_UNSYNCED) && !sp->hot))
		rc = file_sync(&sp->file);
	if (rc < 0)
		return space_fail(sp, rc);
	sp->slot = *slot;
	sp->slot_at = at;
	return 0;
}

int space_go_hot(struct space *sp)
{
	struct log_slot slot = { .seq = 1,
				 .record_seq = 1,
				 .start = sp->log.start,
				 .n_keys = (uint32_t)sp->recorded_keys,
				 .zone = sp->recorded_zone,
				 .version = (uint16_t)sp->fmt.version,
				 .fill = sp->fmt.raw[LOG_SLOT_AT] };
	int rc;

	if (sp->hot)
		return 0;
	space_new_salt(slot.salt);
	memset(sp->slots, 0, sizeof(sp->slots));
	sp->slot_at = 1;
	rc = space_write_slot(sp, &slot);
	if (rc < 0)
		return rc;
	sp->hot = true;
	memcpy(sp->salt, slot.salt, sizeof(sp->salt));
	sp->record_seq = 1;
	sp->first_record = true;
	return 0;
}

void space_log_reset(struct space *sp)
{
	sp->log.start = sp->append;
	sp->log.own_len = 0;
	if (sp->own_room > KEPT_OWN) {
		scratch_put(sp->own, sp->own_room);
		sp->own = NULL;
		sp->own_room = 0;
	}
	XXH3_64bits_reset(sp->log.sum);
	sp->before.start = sp->append;
	sp->before.own_len = 0;
	sp->sum_kept = false;
}

/* ---- records ---- */

static int put_piece(void *arg, const void *bytes, size_t len)
{
	return space_append_plain(arg, bytes, len);
}

int space_append_record(struct space *sp, const struct changes *changes,
			uint64_t n_keys)
{
	struct log_record r = { .seq = sp->record_seq,
				.start = sp->log.start,
				.batch_len = sp->append - sp->log.start,
				.n_keys = (uint32_t)n_keys };
	uint8_t *payload;
	uint64_t len;
	int rc;

	memcpy(r.salt, sp->salt, sizeof(r.salt));
	if (!sp->landing)
		r.growth = sp->next;
	r.zone = sp->zone;
	payload =
		log_payload(&sp->fmt, &r, sp->first_record ? sp->fmt.raw : NULL,
			    sp->own, sp->log.own_len, changes);
	if (!payload)
		return -ENOMEM;
	XXH3_copyState(sp->before.sum, sp->log.sum);
	XXH3_64bits_update(sp->before.sum, payload, r.payload_len);
	log_payload_set_sum(payload, XXH3_64bits_digest(sp->before.sum));
	len = log_record_len(&sp->fmt, r.payload_len);
	rc = space_start_block(sp, len);
	if (rc == 0)
		rc = log_carry(&sp->fmt, payload, r.payload_len, put_piece, sp);
	if (rc == 0)
		rc = space_finish_block(sp, len);
	log_payload_free(&sp->fmt, &r, payload);
	return rc;
}

/* Hands the active changes on; the room for them has been had. */
static void pass_on(struct space *sp)
{
	struct changes empty = sp->recorded;

	if (empty.n == 0) {
		sp->recorded = sp->active;
		sp->active = empty;
		return;
	}
	for (size_t i = 0; i < sp->active.n; i++) {
		const struct change *c = &sp->active.item[i];

		changes_set(&sp->recorded, c->pos, c->value, c->len);
	}
	changes_clear(&sp->active);
}

int space_reserve_recorded(struct space *sp, size_t n)
{
	int rc;

	if (sp->recorded.n == 0)
		return 0;
	pthread_rwlock_wrlock(&sp->lock);
	rc = changes_reserve(&sp->recorded, n);
	pthread_rwlock_unlock(&sp->lock);
	return rc;
}

/* With write held: nothing waits for a record any more. */
static void all_recorded(struct space *sp)
{
	sp->recorded_keys = sp->n_keys;
	sp->recorded_zone = sp->zone;
	sp->recorded_next = sp->next;
	if (sp->landing)
		sp->recorded_next = (struct log_growth){ 0 };
}

void space_recorded(struct space *sp)
{
	pthread_rwlock_wrlock(&sp->lock);
	sp->end = sp->append;
	all_recorded(sp);
	pass_on(sp);
	pthread_rwlock_unlock(&sp->lock);
	space_log_reset(sp);
	sp->record_seq++;
	sp->first_record = false;
	sp->flushes++;
}

int space_flush(struct space *sp)
{
	int rc;

	if (sp->active.n == 0 && sp->append == sp->log.start) {
		all_recorded(sp);
		return 0;
	}
	rc = space_reserve_recorded(sp, sp->active.n);
	if (rc == 0)
		rc = space_go_hot(sp);
	if (rc == 0)
		rc = space_append_record(sp, &sp->active, sp->n_keys);
	if (rc == 0)
		rc = space_flush_tail(sp);
	if (rc < 0) {
		space_cut_back(sp);
		return rc;
	}
	space_recorded(sp);
	return 0;
}
