/* The log is read twice (recover.h).  First every record is verified; the
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
#include "base/mutants.h"
#include "base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int recover_header(const uint8_t *raw, uint64_t file_size, struct format *ret,
		   struct log_checkpoint *ret_checkpoint,
		   int *ret_checkpoint_at)
{
	uint8_t plain[FORMAT_HEADER_LEN];
	int at = log_checkpoint_newest(raw, ret_checkpoint);

	if (at < 0)
		return -EUCLEAN;
	memcpy(plain, raw, sizeof(plain));
	put_le(plain + FORMAT_AT_VERSION, ret_checkpoint->version, 2);
	memset(plain + LOG_CHECKPOINT_AT, ret_checkpoint->fill,
	       FORMAT_HEADER_LEN - LOG_CHECKPOINT_AT);
	if (format_decode(plain, file_size, ret) != FORMAT_OK ||
	    ret_checkpoint->start < ret->data_offset ||
	    ret_checkpoint->start > file_size)
		return -EUCLEAN;
	if (ret_checkpoint->unknown)
		return -EPROTONOSUPPORT;
	*ret_checkpoint_at = at;
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
	struct wal *wal = r->wal;
	uint64_t at = r->pos;

	for (uint32_t i = 0; i < r->found.record.n_own; i++) {
		struct block b;
		int rc = block_raw(wal, at, r->limit, &b);

		if (rc == 0)
			rc = dirty_set(&wal->flushing, at + FORMAT_AT_NEXT,
				       get_le(own, FORMAT_POS_LEN),
				       FORMAT_POS_LEN);
		own += FORMAT_POS_LEN;
		if (rc == 0 && wal->fmt.timestamps) {
			rc = dirty_set(&wal->flushing, at + FORMAT_AT_TIME,
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

static int redo_header(struct wal *wal, const struct change *c)
{
	put_le(wal->fmt.raw + c->pos, c->value, c->len);
	return wal->file.writable ?
		       dirty_set(&wal->flushing, c->pos, c->value, c->len) :
		       0;
}

static int redo(struct log_reader *r)
{
	struct wal *wal = r->wal;
	struct log_lists lists;
	struct change c;
	int rc = log_lists(&wal->fmt, &r->found.record, r->found.payload,
			   &lists);

	if (rc == 0)
		rc = redo_own(r, lists.own);
	while (rc == 0 && (rc = log_next_change(&lists, &c)) > 0) {
		if (MUTANT(CHANGES_NOT_REDONE))
			rc = 0;
		else if (!change_is_sound(&c, r->found.end))
			rc = -EUCLEAN;
		else if (c.pos < FORMAT_HEADER_LEN)
			rc = redo_header(wal, &c);
		else
			rc = dirty_set(&wal->flushing, c.pos, c.value, c.len);
	}
	wal->n_keys = r->found.record.n_keys;
	wal->next = r->found.record.growth;
	wal->gap = r->found.record.gap;
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
	const struct dirty_table *from;
	uint64_t pos;
	uint8_t *to;
	size_t n;
	bool all; /* none was missing */
};

static void take(struct pieces *p, uint32_t len)
{
	uint64_t v = 0;

	p->all = p->all && dirty_find(p->from, p->pos + p->n, &v);
	put_le(p->to + p->n, v, len);
	p->n += len;
}

/* Head and key of a block, where a rename has written them anew
 * (rename_inplace.c): their bytes, or 0.  No set of changes answers for them.
 */
static size_t rekeyed(const struct wal *wal, uint64_t pos, uint8_t *to)
{
	struct pieces p = { &wal->flushing, pos, to, 0, true };
	size_t len;

	take(&p, 8);
	take(&p, KEYHASH_LEN - 8);
	take(&p, FORMAT_POS_LEN);
	take(&p, FORMAT_LENS_LEN);
	if (wal->fmt.timestamps)
		take(&p, FORMAT_TIME_LEN);
	len = p.n + (size_t)get_le(to + FORMAT_AT_LENS, 2);
	while (p.all && p.n < len)
		take(&p, (uint32_t)min_u64(len - p.n, 8));
	return p.all ? len : 0;
}

static int show_rekeyed(struct wal *wal)
{
	uint8_t *bytes = malloc(FORMAT_HEAD_MAX + FORMAT_KEY_MAX);
	int rc = bytes ? 0 : -ENOMEM;

	for (size_t i = 0; i < wal->flushing.n && rc == 0; i++) {
		const struct change *c = &wal->flushing.item[i];
		size_t len = c->len == 8 && !wal->fmt.fixed ?
				     rekeyed(wal, c->pos, bytes) :
				     0;

		if (len)
			rc = file_show(&wal->file, c->pos, bytes, len);
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
	struct wal *wal;
	uint64_t pos, to;
	uint64_t len, counts;
};

#define HOLE_LEAST ((uint64_t)64 << 10)

static int measure(void *arg)
{
	struct measure *m = arg;
	struct log_record r;
	struct block b;
	int rc = block_raw(m->wal, m->pos, m->to, &b);

	if (rc < 0)
		return rc;
	m->len = m->counts = b.len;
	if (!m->wal->fmt.fixed && b.len >= HOLE_LEAST &&
	    b.head.next == FORMAT_DEAD && format_never_lived(&b.head.hash) &&
	    !log_record_decode(b.key, (size_t)b.head.key_len + b.head.value_len,
			       &r))
		m->counts = format_head_len(&m->wal->fmt);
	return 0;
}

/* Writes what stands there again: the header (t NULL), the log, which begins at
 * start. */
static int rewrite(struct wal *wal, uint64_t from, uint64_t to, uint64_t start,
		   struct teller *t)
{
	const size_t most = (size_t)1 << 20;
	uint8_t *buf = malloc(most);
	int rc = buf ? 0 : -ENOMEM;

	while (rc == 0 && from < to) {
		size_t n = (size_t)min_u64(most, to - from);

		rc = file_read(&wal->file, buf, n, from);
		if (rc == 0)
			rc = file_write(&wal->file, buf, n, from);
		from += n;
		if (rc == 0 && t)
			rc = tell(t, from - start);
	}
	free(buf);
	return rc;
}

/* The log has been verified: whole blocks stand there. */
static int rewrite_log(struct wal *wal, uint64_t from, uint64_t to,
		       struct teller *t)
{
	struct measure m = { .wal = wal, .pos = from, .to = to };
	uint64_t done = from;
	int rc = 0;

	while (rc == 0 && m.pos < to) {
		rc = file_try(measure, &m);
		if (rc == 0 && m.counts < m.len) {
			rc = rewrite(wal, done, m.pos + m.counts, from, t);
			done = m.pos + m.len;
		}
		m.pos += m.len;
	}
	return rc < 0 ? rc : rewrite(wal, done, to, from, t);
}

/* What prune had open becomes dead blocks; what was changed in it is past. */
static int cover_gap(struct wal *wal)
{
	const struct log_gap z = wal->gap;
	int rc = dirty_drop(&wal->flushing, z.pos, z.len);

	if (rc == 0)
		rc = block_cover(wal, z.pos, z.len);
	for (size_t i = 0; i < wal->delta.n && rc == 0; i++) {
		const struct change *c = &wal->delta.item[i];

		rc = dirty_set(&wal->flushing, c->pos, c->value, c->len);
	}
	dirty_clear(&wal->delta);
	wal->gap = (struct log_gap){ 0 };
	return rc;
}

static int into_file(struct wal *wal, const struct log_checkpoint *old,
		     const struct log_reader *r, struct teller *t)
{
	struct log_checkpoint checkpoint = *old;
	int rc = 0;

	if (wal->gap.len && !MUTANT(ZONE_NOT_COVERED))
		rc = cover_gap(wal);
	if (rc == 0 && !MUTANT(LOG_NOT_REWRITTEN))
		rc = rewrite(wal, 0, FORMAT_HEADER_LEN, 0, NULL);
	if (rc == 0 && !MUTANT(LOG_NOT_REWRITTEN))
		rc = rewrite_log(wal, old->start, r->pos, t);
	if (rc == 0 && !MUTANT(LOG_NOT_REWRITTEN))
		rc = file_sync(&wal->file);
	if (rc == 0)
		rc = wal_writeback(wal, &wal->flushing);
	if (rc == 0 && !MUTANT(LOG_KEPT))
		rc = file_resize(&wal->file, r->pos);
	if (rc == 0 && !MUTANT(RECOVERED_UNSYNCED))
		rc = file_sync(&wal->file);
	if (rc < 0)
		return rc;
	dirty_clear(&wal->flushing);
	checkpoint.seq++;
	checkpoint.record_seq = r->seq;
	checkpoint.start = r->pos;
	checkpoint.n_keys = (uint32_t)wal->n_keys;
	checkpoint.growth = wal->next;
	checkpoint.gap = (struct log_gap){ 0 };
	if (!MUTANT(LOG_KEPT))
		wal_new_salt(checkpoint.salt);
	rc = wal_write_checkpoint(wal, &checkpoint);
	return rc < 0 ? rc : tell_pass(t, r->pos - old->start);
}

static void set_end(struct wal *wal, uint64_t end)
{
	wal->end = wal->append = wal->reserved = wal->flushing_end = end;
	if (!wal->tail)
		return;
	wal->tail->base = end;
	wal_log_reset(wal);
}

/* A growth that the file tells of must lie inside it. */
static bool growth_is_sound(const struct wal *wal, uint64_t end)
{
	const struct log_growth *g = &wal->next;

	if (!g->offset)
		return true;
	return g->n_buckets && g->moved <= wal->fmt.n_buckets &&
	       g->offset >= wal->fmt.data_offset && g->offset <= end &&
	       format_index_len(g->n_buckets) <= end - g->offset;
}

/* So must a gap, in one region of the data. */
static bool gap_is_sound(const struct wal *wal, uint64_t end)
{
	const struct log_gap *z = &wal->gap;
	uint64_t to = block_region_end(wal, z->pos, end);

	return !z->len || (z->pos <= to && z->len <= to - z->pos &&
			   format_dead_fits(&wal->fmt, z->len));
}

/* One that reaches into the log was declared, and the checkpoint that makes it
 * writable had not been made: dead blocks stand there still.  The head of one
 * over all of them would be durable before the checkpoint that begins the log
 * anew, and after another crash the log would end there. */
static void drop_gap_in_log(struct wal *wal, uint64_t start)
{
	if (wal->gap.pos + wal->gap.len > start)
		wal->gap = (struct log_gap){ 0 };
}

/* Leaves r at the log's end. */
static int replay(struct wal *wal, const struct log_checkpoint *checkpoint,
		  struct log_reader *r, struct teller *t)
{
	struct log_reader again;
	int rc = find_end(r, t);

	if (rc == 0)
		rc = log_reader_init(&again, wal, checkpoint);
	if (rc < 0)
		return rc;
	rc = redo_all(&again, r->pos, t);
	log_reader_release(&again);
	if (rc == 0)
		drop_gap_in_log(wal, checkpoint->start);
	if (rc == 0 && format_decode(wal->fmt.raw, r->pos, &wal->fmt))
		rc = -EUCLEAN;
	if (rc == 0 &&
	    (!growth_is_sound(wal, r->pos) || !gap_is_sound(wal, r->pos)))
		rc = -EUCLEAN;
	if (rc == 0)
		rc = wal->file.writable ? into_file(wal, checkpoint, r, t) :
					  show_rekeyed(wal);
	return rc;
}

int recover(struct wal *wal, const struct log_checkpoint *checkpoint,
	    int checkpoint_at, const struct recover_hook *hook,
	    bool *ret_growth)
{
	struct teller t = { .passes = wal->file.writable ? 3 : 2,
			    .len = wal->end - checkpoint->start,
			    .next = TELL_EVERY };
	struct log_reader r;
	int rc = log_reader_init(&r, wal, checkpoint);

	if (rc < 0)
		return rc;
	if (hook)
		t.hook = *hook;
	wal->n_keys = checkpoint->n_keys;
	wal->next = checkpoint->growth;
	wal->gap = checkpoint->gap;
	wal->checkpoint = *checkpoint;
	wal->checkpoint_at = checkpoint_at;
	log_checkpoint_encode(checkpoint,
			      wal->checkpoints + (size_t)checkpoint_at *
							 LOG_CHECKPOINT_LEN);
	rc = replay(wal, checkpoint, &r, &t);
	log_reader_release(&r);
	if (rc < 0)
		return rc;
	set_end(wal, r.pos);
	wal->logged_keys = wal->n_keys;
	wal->logged_next = wal->next;
	wal->unclean = wal->file.writable;
	memcpy(wal->salt, wal->checkpoint.salt, sizeof(wal->salt));
	wal->record_seq = r.seq;
	wal->first_record = true;
	*ret_growth = wal->next.offset != 0;
	return 0;
}
