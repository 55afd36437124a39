#include "booklet/core/batch.h"

#include "base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

static void init(struct batch *b, struct engine *engine)
{
	*b = (struct batch){ .engine = engine,
			     .room_events = ARRAY_SIZE(b->first) };
}

int batch_begin(struct batch *b, struct engine *engine)
{
	int rc;

	init(b, engine);
	atomic_fetch_add(&engine->waiting, 1);
	rc = wal_begin(&engine->wal);
	atomic_fetch_sub(&engine->waiting, 1);
	return rc;
}

int batch_begin_logged(struct batch *b, struct engine *engine)
{
	int rc = batch_begin(b, engine);

	if (rc < 0)
		return rc;
	b->logged = true;
	rc = wal_begin_logged(&engine->wal);
	if (rc < 0)
		wal_end(&engine->wal);
	return rc;
}

void batch_give_way(struct engine *engine)
{
	static const struct timespec moment = { .tv_nsec = 50000 };

	/* Whoever comes without a pause is not waited for for ever. */
	for (int i = 0; i < 200 && atomic_load(&engine->waiting); i++)
		nanosleep(&moment, NULL);
}

void batch_begin_locked(struct batch *b, struct engine *engine)
{
	init(b, engine);
	b->keep_lock = true;
	wal_mark(&engine->wal);
}

static int add_event(struct batch *b, const struct batch_event *add)
{
	if (b->n_events == b->room_events) {
		size_t room = 2 * b->room_events;
		struct batch_event *event =
			realloc(b->event, room * sizeof(*event));

		if (!event)
			return -ENOMEM;
		if (!b->event)
			memcpy(event, b->first, sizeof(b->first));
		b->event = event;
		b->room_events = room;
	}
	batch_events(b)[b->n_events++] = *add;
	return 0;
}

static int note(struct batch *b, const struct batch_key *key, uint64_t old_pos,
		uint64_t new_pos)
{
	struct batch_event event = { .kind = BATCH_KEY,
				     .old_pos = old_pos,
				     .new_pos = new_pos };
	int rc;

	if (format_hidden(&b->engine->wal.fmt, &key->hash))
		event.kind = BATCH_HIDDEN;
	rc = add_event(b, &event);
	if (rc == 0 && event.kind == BATCH_KEY)
		b->more_keys += (new_pos != 0) - (old_pos != 0);
	return rc;
}

struct find_args {
	const struct wal *wal;
	const struct keyhash *hash;
	struct index_place *ret;
};

static int find_in_file(void *arg)
{
	struct find_args *a = arg;

	return index_find(a->wal, a->hash, WAL_WRITER, a->ret);
}

static int find(struct batch *b, const struct batch_key *key,
		struct index_place *ret)
{
	/* cppcheck-suppress ctuuninitvar ; what it points at is written */
	struct find_args a = { &b->engine->wal, &key->hash, ret };

	return file_try(find_in_file, &a);
}

static int append_value(struct wal *wal, const struct batch_value *value)
{
	uint64_t done = 0;

	if (!value->read)
		return wal_append(wal, value->bytes, value->len);
	while (done < value->len) {
		uint8_t *to;
		int64_t n = wal_append_room(wal, value->len - done, &to);
		int rc;

		if (n < 0)
			return (int)n;
		rc = value->read(value->arg, to, (size_t)n, done);
		if (rc < 0)
			return rc;
		wal_filled(wal, to, (size_t)n);
		done += (uint64_t)n;
	}
	return 0;
}

static int append_block(struct wal *wal, const struct batch_key *key,
			const struct batch_value *value,
			const struct block_head *head, uint64_t *ret_pos)
{
	int rc = wal_block(wal, head, ret_pos);

	if (rc == 0)
		rc = wal_append(wal, key->bytes, key->len);
	if (rc == 0)
		rc = append_value(wal, value);
	return rc < 0 ? rc : wal_block_end(wal, head);
}

/* A bucket entry has been read by index_find already, so its page is there. */
static uint64_t bucket_entry(const struct wal *wal, uint64_t slot)
{
	return wal_field(wal, slot, FORMAT_POS_LEN, WAL_WRITER);
}

/* What a chain goes on with behind a block that comes to its place, or head. */
static uint64_t next_of(const struct wal *wal, const struct index_place *old,
			int found)
{
	return index_chain(found ? old->block.head.next :
				   bucket_entry(wal, old->slot));
}

/* The walk that fills the directories counts what it has yet to meet. */
static void count_dead(struct batch *b, const struct block *old)
{
	const struct engine *e = b->engine;

	if (!e->walking || old->pos < e->walk_pos || old->pos >= e->walk_end)
		b->more_bytes -= (int64_t)old->len;
}

/* The block at pos, of len bytes, is the key's from now on. */
static int link_block(struct batch *b, const struct batch_key *key,
		      const struct index_place *old, int found, uint64_t pos,
		      uint64_t len)
{
	struct wal *wal = &b->engine->wal;
	int rc = wal_set_pointer(wal, old->slot, pos);

	b->more_bytes += (int64_t)len;
	if (found)
		count_dead(b, &old->block);
	if (rc == 0 && found)
		rc = wal_set_pointer(wal, old->block.pos + FORMAT_AT_NEXT,
				     FORMAT_DEAD);
	return rc < 0 ? rc : note(b, key, found ? old->block.pos : 0, pos);
}

/* In front of a long value, so that its key can become another one in its
 * place. */
static int append_filler(struct wal *wal)
{
	uint64_t len = format_dead_min(&wal->fmt) + BATCH_KEY_SLACK, pos;
	int rc = wal_append_filler(wal, len, &pos);

	if (rc == 0)
		wal_note_filler(wal, pos, len);
	return rc;
}

int batch_put(struct batch *b, const struct batch_key *key,
	      const struct batch_value *value, int64_t timestamp)
{
	struct wal *wal = &b->engine->wal;
	struct block_head head = { .hash = key->hash,
				   .key_len = (uint32_t)key->len,
				   .value_len = (uint32_t)value->len,
				   .timestamp = timestamp };
	struct index_place old;
	uint64_t pos;
	int found, rc = 0;

	found = find(b, key, &old);
	if (found < 0)
		return found;
	head.next = next_of(wal, &old, found);
	if (rename_pays(b->engine, value->len))
		rc = append_filler(wal);
	if (rc == 0)
		rc = append_block(wal, key, value, &head, &pos);
	return rc < 0 ? rc :
			link_block(b, key, &old, found, pos,
				   format_block_len(&wal->fmt, &head));
}

struct measure {
	const struct wal *wal;
	uint64_t pos, len;
};

static int measure(void *arg)
{
	struct measure *m = arg;
	struct block b;
	int rc = block_at(m->wal, m->pos, WAL_WRITER, &b);

	if (rc == 0)
		m->len = b.len;
	return rc;
}

int batch_adopt(struct batch *b, const struct batch_key *key, uint64_t pos,
		int64_t timestamp)
{
	struct wal *wal = &b->engine->wal;
	struct measure m = { wal, pos, 0 };
	struct index_place old;
	int found = find(b, key, &old), rc;

	if (found < 0)
		return found;
	rc = file_try(measure, &m);
	if (rc == 0)
		rc = wal_set_pointer(wal, pos + FORMAT_AT_NEXT,
				     next_of(wal, &old, found));
	if (rc == 0 && wal->fmt.timestamps)
		rc = dirty_set(&wal->delta, pos + FORMAT_AT_TIME,
			       (uint64_t)timestamp, FORMAT_TIME_LEN);
	return rc < 0 ? rc : link_block(b, key, &old, found, pos, m.len);
}

int batch_delete(struct batch *b, const struct batch_key *key)
{
	struct wal *wal = &b->engine->wal;
	struct index_place old;
	int found, rc;

	found = find(b, key, &old);
	if (found <= 0)
		return found ? found : -ENOENT;
	rc = wal_set_pointer(wal, old.slot, index_chain(old.block.head.next));
	if (rc == 0)
		rc = wal_set_pointer(wal, old.block.pos + FORMAT_AT_NEXT,
				     FORMAT_DEAD);
	count_dead(b, &old.block);
	return rc < 0 ? rc : note(b, key, old.block.pos, 0);
}

int batch_touch(struct batch *b, const struct batch_key *key, int64_t timestamp)
{
	struct wal *wal = &b->engine->wal;
	struct batch_event event = { .kind = BATCH_TIME };
	struct index_place old;
	int found = find(b, key, &old), rc;

	if (found <= 0)
		return found ? found : -ENOENT;
	if (!wal->fmt.timestamps)
		return 0;
	rc = dirty_set(&wal->delta, old.block.pos + FORMAT_AT_TIME,
		       (uint64_t)timestamp, FORMAT_TIME_LEN);
	if (rc < 0)
		return rc;
	event.old_pos = event.new_pos = old.block.pos;
	event.old_time = old.block.head.timestamp;
	return add_event(b, &event);
}

/* A value that stands in the store already, as the source of another block.
 * It is read from memory that does not move, by file_copy, because the file may
 * have been cut short under it. */
struct stored_value {
	const struct wal *wal;
	const struct chunk *chunk; /* keeps the tail's memory, or NULL */
	uint64_t pos;
};

static int read_stored(void *arg, void *buf, size_t n, uint64_t offset)
{
	const struct stored_value *v = arg;

	if (!v->chunk)
		return file_copy(buf, wal_ptr(v->wal, v->pos + offset), n);
	memcpy(buf, v->chunk->data + (v->pos + offset - v->chunk->base), n);
	return 0;
}

int batch_copy(struct batch *b, const struct batch_key *key,
	       const struct block *from)
{
	struct wal *wal = &b->engine->wal;
	struct stored_value v = { .wal = wal, .pos = block_value_pos(from) };
	struct chunk *pin = wal_pin(wal, from->pos);
	struct batch_value value = { .len = from->head.value_len,
				     .read = read_stored,
				     .arg = &v };
	int rc;

	v.chunk = pin;
	rc = batch_put(b, key, &value, from->head.timestamp);
	chunk_put(pin);
	return rc;
}

int batch_read(struct batch *b, const struct batch_key *key, size_t max,
	       uint8_t **ret, size_t *ret_len)
{
	struct stored_value v = { .wal = &b->engine->wal };
	struct index_place place;
	int found = find(b, key, &place), rc;
	struct chunk *pin;
	uint8_t *bytes;

	if (found <= 0)
		return found ? found : -ENOENT;
	if (place.block.head.value_len > max)
		return -EFBIG;
	bytes = malloc((size_t)place.block.head.value_len + 1);
	if (!bytes)
		return -ENOMEM;
	v.pos = block_value_pos(&place.block);
	v.chunk = pin = wal_pin(v.wal, place.block.pos);
	rc = read_stored(&v, bytes, place.block.head.value_len, 0);
	chunk_put(pin);
	if (rc < 0) {
		free(bytes);
		return rc;
	}
	*ret = bytes;
	*ret_len = place.block.head.value_len;
	return 0;
}

struct move {
	struct wal *wal;
	uint64_t from, to;
	bool in_gap;
	struct keyhash hash;
};

/* 1: moved; 0: it is dead. */
static int move_block(void *arg)
{
	struct move *m = arg;
	struct wal *wal = m->wal;
	struct index_place place;
	struct block b;
	int rc = block_at(wal, m->from, WAL_WRITER, &b);

	if (rc < 0)
		return rc;
	if (b.head.next == FORMAT_DEAD)
		return wal_set_pointer(wal, m->to + FORMAT_AT_NEXT,
				       FORMAT_DEAD);
	m->hash = b.head.hash;
	rc = index_find(wal, &m->hash, WAL_WRITER, &place);
	if (rc == 0 || (rc > 0 && place.block.pos != m->from))
		return -EUCLEAN;
	if (rc > 0)
		rc = wal_set_pointer(wal, m->to + FORMAT_AT_NEXT, b.head.next);
	if (rc == 0 && wal->fmt.timestamps)
		rc = dirty_set(&wal->delta, m->to + FORMAT_AT_TIME,
			       (uint64_t)b.head.timestamp, FORMAT_TIME_LEN);
	if (rc == 0)
		rc = wal_set_pointer(wal, place.slot, m->to);
	if (rc == 0 && !m->in_gap)
		rc = wal_set_pointer(wal, m->from + FORMAT_AT_NEXT,
				     FORMAT_DEAD);
	return rc < 0 ? rc : 1;
}

int batch_move(struct batch *b, uint64_t from, uint64_t to, bool in_gap)
{
	struct move m = {
		.wal = &b->engine->wal, .from = from, .to = to, .in_gap = in_gap
	};
	int rc = file_try(move_block, &m);

	wal_forget_fillers(m.wal, 0);
	if (rc <= 0)
		return rc;
	rc = note(b, &(struct batch_key){ .hash = m.hash }, from, to);
	if (rc == 0)
		batch_events(b)[b->n_events - 1].moved = true;
	return rc;
}

int batch_rename(struct batch *b, const struct batch_key *from,
		 const struct batch_key *to)
{
	struct index_place old;
	int found, rc;

	found = find(b, from, &old);
	if (found <= 0)
		return found ? found : -ENOENT;
	if (keyhash_equal(&from->hash, &to->hash))
		return 0;
	rc = batch_copy(b, to, &old.block);
	return rc < 0 ? rc : batch_delete(b, from);
}

int batch_exchange(struct batch *b, const struct batch_key *one,
		   const struct batch_key *two)
{
	struct index_place a, z;
	int rc;

	rc = find(b, one, &a);
	if (rc > 0)
		rc = find(b, two, &z);
	if (rc <= 0)
		return rc ? rc : -ENOENT;
	if (keyhash_equal(&one->hash, &two->hash))
		return 0;
	rc = batch_copy(b, two, &a.block);
	return rc < 0 ? rc : batch_copy(b, one, &z.block);
}

/* ---- comparing ---- */

struct compare_args {
	struct wal *wal;
	const struct block *now;
	uint64_t value_pos;
};

/* A block that was moved since has another position, and the same bytes. */
static int same_value(void *arg)
{
	const struct compare_args *c = arg;
	const struct block *now = c->now;
	uint64_t head = block_value_pos(now) - now->pos;
	struct block then;
	int rc;

	if (c->value_pos < head)
		return 0;
	rc = block_at(c->wal, c->value_pos - head, WAL_WRITER, &then);
	if (rc < 0)
		return rc == -EUCLEAN ? 0 : rc;
	return then.head.value_len == now->head.value_len &&
	       keyhash_equal(&then.head.hash, &now->head.hash) &&
	       memcmp(then.value, now->value, now->head.value_len) == 0;
}

int batch_holds(struct batch *b, const struct batch_key *key,
		uint64_t value_pos)
{
	struct index_place place;
	struct compare_args c = { &b->engine->wal, &place.block, value_pos };
	int found = find(b, key, &place);

	if (found <= 0 || block_value_pos(&place.block) == value_pos)
		return found;
	return file_try(same_value, &c);
}

int batch_absent(struct batch *b, const struct batch_key *key)
{
	struct index_place place;
	int found = find(b, key, &place);

	return found > 0 ? -EEXIST : found;
}
