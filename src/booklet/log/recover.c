/* The log is read twice (log_reader.h).  First every record is verified; the
 * log ends at the first that does not fit.  Then the changes are done again, in
 * order, checked against the file's bounds: the file may be hostile.
 *
 * What was read may stand in the page cache alone: the writer was killed, or
 * its fsync failed and left the pages marked clean.  So the log is written
 * again and synced before a pointer goes in, and changes are written also where
 * the bytes are there already.  The new log has a new salt, or old records
 * behind its end could come alive.
 */
#include "booklet/log/recover.h"

#include "booklet/log/block.h"
#include "booklet/log/log_reader.h"
#include "base/mutants.h"
#include "base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int recover_header(const uint8_t *raw, uint64_t file_size, struct format *ret,
		   struct log_slot *ret_slot, int *ret_slot_at)
{
	uint8_t plain[FORMAT_HEADER_LEN];
	int at = log_slot_newest(raw, ret_slot);

	if (at < 0)
		return -EUCLEAN;
	memcpy(plain, raw, sizeof(plain));
	put_le(plain + FORMAT_AT_VERSION, ret_slot->version, 2);
	memset(plain + LOG_SLOT_AT, ret_slot->fill,
	       FORMAT_HEADER_LEN - LOG_SLOT_AT);
	if (format_decode(plain, file_size, ret) != FORMAT_OK ||
	    ret_slot->start < ret->data_offset || ret_slot->start > file_size)
		return -EUCLEAN;
	if (ret_slot->unknown)
		return -EPROTONOSUPPORT;
	*ret_slot_at = at;
	return 0;
}

/* ---- how far it is ---- */

/* Bytes after which it is told again. */
#define TELL_EVERY ((uint64_t)1 << 20)

struct teller {
	struct recover_hook hook;
	uint64_t passes; /* over the log */
	uint64_t len;    /* of the log; until its end is known, at most */
	uint64_t before; /* bytes of the passes that are over */
	uint64_t next;   /* told again from so many on */
	uint64_t records;
};

/* So many bytes of this pass are done. */
static int tell(struct teller *t, uint64_t done)
{
	done += t->before;
	if (!t->hook.progress || done < t->next)
		return 0;
	t->next = done + TELL_EVERY;
	return t->hook.progress(t->hook.arg, done, t->passes * t->len,
				t->records);
}

/* A pass over len bytes is over, which is told however few they were. */
static int tell_pass(struct teller *t, uint64_t len)
{
	t->len = len;
	t->next = 0;
	t->before += len;
	return tell(t, 0);
}

/* ---- redo ---- */

/* Header fields that a record may change, and anything that is data. */
static bool change_is_sound(const struct change *c, uint64_t end)
{
	if (c->pos == FORMAT_AT_N_BUCKETS && c->len == 4)
		return true;
	if ((c->pos == FORMAT_AT_INDEX || c->pos == FORMAT_AT_DATA) &&
	    c->len == FORMAT_POS_LEN)
		return true;
	return c->pos >= FORMAT_HEADER_LEN && c->pos < end &&
	       c->len <= end - c->pos;
}

/* Next pointer and timestamp of each block of the batch, as appended. */
static int redo_own(struct log_reader *r, const uint8_t *own)
{
	struct space *sp = r->sp;
	uint64_t at = r->pos;

	for (uint32_t i = 0; i < r->found.record.n_own; i++) {
		struct block b;
		int rc = block_raw(sp, at, r->limit, &b);

		if (rc == 0)
			rc = changes_set(&sp->frozen, at + FORMAT_AT_NEXT,
					 get_le(own, FORMAT_POS_LEN),
					 FORMAT_POS_LEN);
		own += FORMAT_POS_LEN;
		if (rc == 0 && sp->fmt.timestamps) {
			rc = changes_set(&sp->frozen, at + FORMAT_AT_TIME,
					 get_le(own, FORMAT_TIME_LEN),
					 FORMAT_TIME_LEN);
			own += FORMAT_TIME_LEN;
		}
		if (rc < 0)
			return rc;
		at += b.len;
	}
	return 0;
}

static int redo_header(struct space *sp, const struct change *c)
{
	put_le(sp->fmt.raw + c->pos, c->value, c->len);
	return sp->file.writable ?
		       changes_set(&sp->frozen, c->pos, c->value, c->len) :
		       0;
}

static int redo(struct log_reader *r)
{
	struct space *sp = r->sp;
	struct log_lists lists;
	struct change c;
	int rc =
		log_lists(&sp->fmt, &r->found.record, r->found.payload, &lists);

	if (rc == 0)
		rc = redo_own(r, lists.own);
	while (rc == 0 && (rc = log_next_change(&lists, &c)) > 0) {
		if (MUTANT(CHANGES_NOT_REDONE))
			rc = 0;
		else if (!change_is_sound(&c, r->found.end))
			rc = -EUCLEAN;
		else if (c.pos < FORMAT_HEADER_LEN)
			rc = redo_header(sp, &c);
		else
			rc = changes_set(&sp->frozen, c.pos, c.value, c.len);
	}
	sp->n_keys = r->found.record.n_keys;
	sp->next = r->found.record.growth;
	sp->zone = r->found.record.zone;
	return rc;
}

static int redo_guarded(void *arg)
{
	return redo(arg);
}

/* Verifies the whole log: its end, and the sequence number behind it. */
static int find_end(struct log_reader *r, struct teller *t)
{
	const uint64_t start = r->pos;
	int rc;

	while ((rc = log_reader_next(r)) > 0) {
		log_reader_step(r);
		t->records++;
		rc = tell(t, r->pos - start);
		if (rc < 0)
			break;
	}
	return rc < 0 ? rc : tell_pass(t, r->pos - start);
}

static int redo_all(struct log_reader *r, uint64_t end, struct teller *t)
{
	const uint64_t start = r->pos;
	int rc = 0;

	while (rc == 0 && r->pos < end) {
		rc = log_reader_next(r);
		if (rc == 0)
			rc = -EIO;
		if (rc > 0)
			rc = file_try(redo_guarded, r);
		if (rc == 0)
			log_reader_step(r);
		if (rc == 0)
			rc = tell(t, r->pos - start);
	}
	return rc < 0 ? rc : tell_pass(t, end - start);
}

/* ---- what a reader is shown ---- */

struct pieces {
	const struct changes *from;
	uint64_t pos;
	uint8_t *to;
	size_t n;
	bool all; /* none was missing */
};

static void take(struct pieces *p, uint32_t len)
{
	uint64_t v = 0;

	p->all = p->all && changes_find(p->from, p->pos + p->n, &v);
	put_le(p->to + p->n, v, len);
	p->n += len;
}

/* Head and key of a block, where a rename has written them anew (rekey.c):
 * their bytes, or 0.  No set of changes answers for them. */
static size_t rekeyed(const struct space *sp, uint64_t pos, uint8_t *to)
{
	struct pieces p = { &sp->frozen, pos, to, 0, true };
	size_t len;

	take(&p, 8);
	take(&p, KEYHASH_LEN - 8);
	take(&p, FORMAT_POS_LEN);
	take(&p, FORMAT_LENS_LEN);
	if (sp->fmt.timestamps)
		take(&p, FORMAT_TIME_LEN);
	len = p.n + (size_t)get_le(to + FORMAT_AT_LENS, 2);
	while (p.all && p.n < len)
		take(&p, (uint32_t)min_u64(len - p.n, 8));
	return p.all ? len : 0;
}

static int show_rekeyed(struct space *sp)
{
	uint8_t *bytes = malloc(FORMAT_HEAD_MAX + FORMAT_KEY_MAX);
	int rc = bytes ? 0 : -ENOMEM;

	for (size_t i = 0; i < sp->frozen.n && rc == 0; i++) {
		const struct change *c = &sp->frozen.item[i];
		size_t len = c->len == 8 && !sp->fmt.fixed ?
				     rekeyed(sp, c->pos, bytes) :
				     0;

		if (len)
			rc = file_show(&sp->file, c->pos, bytes, len);
	}
	free(bytes);
	return rc;
}

/* ---- into the file ---- */

/* What of the block at pos counts: all of it, but for the holes that stream and
 * growth reserve, whose bytes are nobody's yet.  Records are small, or at least
 * begin as such; those of fixed-length files may go on in a block that does
 * not. */
struct measure {
	struct space *sp;
	uint64_t pos, to;
	uint64_t len, counts;
};

#define HOLE_LEAST ((uint64_t)64 << 10)

static int measure(void *arg)
{
	struct measure *m = arg;
	struct log_record r;
	struct block b;
	int rc = block_raw(m->sp, m->pos, m->to, &b);

	if (rc < 0)
		return rc;
	m->len = m->counts = b.len;
	if (!m->sp->fmt.fixed && b.len >= HOLE_LEAST &&
	    b.head.next == FORMAT_DEAD && format_never_lived(&b.head.hash) &&
	    !log_record_decode(b.key, (size_t)b.head.key_len + b.head.value_len,
			       &r))
		m->counts = format_head_len(&m->sp->fmt);
	return 0;
}

/* Writes what stands there again: the header (t NULL), the log, which begins at
 * start. */
static int rewrite(struct space *sp, uint64_t from, uint64_t to, uint64_t start,
		   struct teller *t)
{
	const size_t most = (size_t)1 << 20;
	uint8_t *buf = malloc(most);
	int rc = buf ? 0 : -ENOMEM;

	while (rc == 0 && from < to) {
		size_t n = (size_t)min_u64(most, to - from);

		rc = file_read(&sp->file, buf, n, from);
		if (rc == 0)
			rc = file_write(&sp->file, buf, n, from);
		from += n;
		if (rc == 0 && t)
			rc = tell(t, from - start);
	}
	free(buf);
	return rc;
}

/* The log has been verified: whole blocks stand there. */
static int rewrite_log(struct space *sp, uint64_t from, uint64_t to,
		       struct teller *t)
{
	struct measure m = { .sp = sp, .pos = from, .to = to };
	uint64_t done = from;
	int rc = 0;

	while (rc == 0 && m.pos < to) {
		rc = file_try(measure, &m);
		if (rc == 0 && m.counts < m.len) {
			rc = rewrite(sp, done, m.pos + m.counts, from, t);
			done = m.pos + m.len;
		}
		m.pos += m.len;
	}
	return rc < 0 ? rc : rewrite(sp, done, to, from, t);
}

/* What prune had open becomes dead blocks; what was changed in it is past. */
static int cover_zone(struct space *sp)
{
	const struct log_zone z = sp->zone;
	int rc = changes_drop(&sp->frozen, z.pos, z.len);

	if (rc == 0)
		rc = block_cover(sp, z.pos, z.len);
	for (size_t i = 0; i < sp->delta.n && rc == 0; i++) {
		const struct change *c = &sp->delta.item[i];

		rc = changes_set(&sp->frozen, c->pos, c->value, c->len);
	}
	changes_clear(&sp->delta);
	sp->zone = (struct log_zone){ 0 };
	return rc;
}

static int into_file(struct space *sp, const struct log_slot *old,
		     const struct log_reader *r, struct teller *t)
{
	struct log_slot slot = *old;
	int rc = 0;

	if (sp->zone.len && !MUTANT(ZONE_NOT_COVERED))
		rc = cover_zone(sp);
	if (rc == 0 && !MUTANT(LOG_NOT_REWRITTEN))
		rc = rewrite(sp, 0, FORMAT_HEADER_LEN, 0, NULL);
	if (rc == 0 && !MUTANT(LOG_NOT_REWRITTEN))
		rc = rewrite_log(sp, old->start, r->pos, t);
	if (rc == 0 && !MUTANT(LOG_NOT_REWRITTEN))
		rc = file_sync(&sp->file);
	if (rc == 0)
		rc = space_apply(sp, &sp->frozen);
	if (rc == 0 && !MUTANT(LOG_KEPT))
		rc = file_resize(&sp->file, r->pos);
	if (rc == 0 && !MUTANT(RECOVERED_UNSYNCED))
		rc = file_sync(&sp->file);
	if (rc < 0)
		return rc;
	changes_clear(&sp->frozen);
	slot.seq++;
	slot.record_seq = r->seq;
	slot.start = r->pos;
	slot.n_keys = (uint32_t)sp->n_keys;
	slot.growth = sp->next;
	slot.zone = (struct log_zone){ 0 };
	if (!MUTANT(LOG_KEPT))
		space_new_salt(slot.salt);
	rc = space_write_slot(sp, &slot);
	return rc < 0 ? rc : tell_pass(t, r->pos - old->start);
}

static void set_end(struct space *sp, uint64_t end)
{
	sp->end = sp->append = sp->reserved = sp->frozen_end = end;
	if (!sp->tail)
		return;
	sp->tail->base = end;
	space_log_reset(sp);
}

/* A growth that the file tells of must lie inside it. */
static bool growth_is_sound(const struct space *sp, uint64_t end)
{
	const struct log_growth *g = &sp->next;

	if (!g->offset)
		return true;
	return g->n_buckets && g->moved <= sp->fmt.n_buckets &&
	       g->offset >= sp->fmt.data_offset && g->offset <= end &&
	       format_index_len(g->n_buckets) <= end - g->offset;
}

/* So must a zone, in one region of the data. */
static bool zone_is_sound(const struct space *sp, uint64_t end)
{
	const struct log_zone *z = &sp->zone;
	uint64_t to = block_region_end(sp, z->pos, end);

	return !z->len || (z->pos <= to && z->len <= to - z->pos &&
			   format_dead_fits(&sp->fmt, z->len));
}

/* One that reaches into the log was declared, and the checkpoint that makes it
 * writable had not been made: dead blocks stand there still.  The head of one
 * over all of them would be durable before the slot that begins the log anew,
 * and after another crash the log would end there. */
static void drop_zone_in_log(struct space *sp, uint64_t start)
{
	if (sp->zone.pos + sp->zone.len > start)
		sp->zone = (struct log_zone){ 0 };
}

/* Leaves r at the log's end. */
static int replay(struct space *sp, const struct log_slot *slot,
		  struct log_reader *r, struct teller *t)
{
	struct log_reader again;
	int rc = find_end(r, t);

	if (rc == 0)
		rc = log_reader_init(&again, sp, slot);
	if (rc < 0)
		return rc;
	rc = redo_all(&again, r->pos, t);
	log_reader_release(&again);
	if (rc == 0)
		drop_zone_in_log(sp, slot->start);
	if (rc == 0 && format_decode(sp->fmt.raw, r->pos, &sp->fmt))
		rc = -EUCLEAN;
	if (rc == 0 &&
	    (!growth_is_sound(sp, r->pos) || !zone_is_sound(sp, r->pos)))
		rc = -EUCLEAN;
	if (rc == 0)
		rc = sp->file.writable ? into_file(sp, slot, r, t) :
					 show_rekeyed(sp);
	return rc;
}

int recover(struct space *sp, const struct log_slot *slot, int slot_at,
	    const struct recover_hook *hook, bool *ret_growth)
{
	struct teller t = { .passes = sp->file.writable ? 3 : 2,
			    .len = sp->end - slot->start,
			    .next = TELL_EVERY };
	struct log_reader r;
	int rc = log_reader_init(&r, sp, slot);

	if (rc < 0)
		return rc;
	if (hook)
		t.hook = *hook;
	sp->n_keys = slot->n_keys;
	sp->next = slot->growth;
	sp->zone = slot->zone;
	sp->slot = *slot;
	sp->slot_at = slot_at;
	log_slot_encode(slot, sp->slots + (size_t)slot_at * LOG_SLOT_LEN);
	rc = replay(sp, slot, &r, &t);
	log_reader_release(&r);
	if (rc < 0)
		return rc;
	set_end(sp, r.pos);
	sp->recorded_keys = sp->n_keys;
	sp->recorded_next = sp->next;
	sp->hot = sp->file.writable;
	memcpy(sp->salt, sp->slot.salt, sizeof(sp->salt));
	sp->record_seq = r.seq;
	sp->first_record = true;
	*ret_growth = sp->next.offset != 0;
	return 0;
}
