#include "control/control_inner.h"

#include "base/array.h"
#include "blt_seq.h"
#include "inode/cache_validity.h"
#include "dir/dir.h"
#include "inode/notify_queue.h"
#include "seq/seqwire.h"
#include "inode/syncer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MAX ((size_t)64 << 20)
#define SLICE_BYTES ((size_t)256 << 10) /* end an answer of many items */
#define KEYS_MAX 65536 /* told one by one; behind so many: all */

/* One request. */
struct seq_call {
	struct bltfs *fs;
	struct control *control;
	struct inode *dir;
	struct bltfs_seq *x;
	struct blt_seq *seq; /* NULL: not needed */
	uint8_t *args;       /* malloc'd */
	size_t args_len;
	struct seqwire_out answer;
	struct blt_bytes *keys; /* that have changed, malloc'd each */
	size_t n_keys, room;
	bool too_many; /* of these */
};

/* ---- what the kernel must be told ---- */

/* Called with the sequence's locks held: only notes it. */
static void note_changed(void *arg, const void *key, size_t len)
{
	struct seq_call *c = arg;
	void *copy = NULL;

	if (c->n_keys == c->room && c->room < KEYS_MAX) {
		size_t room = c->room * 2 + 64;
		struct blt_bytes *more = realloc(c->keys, room * sizeof(*more));

		if (more) {
			c->keys = more;
			c->room = room;
		}
	}
	if (c->n_keys < c->room)
		copy = malloc(len + 1);
	if (!copy) {
		c->too_many = true;
		return;
	}
	memcpy(copy, key, len);
	c->keys[c->n_keys++] = (struct blt_bytes){ copy, len };
}

static int tell_kernel(struct seq_call *c)
{
	int rc = 0;

	if (c->too_many)
		invalidate_any(c->fs);
	for (size_t i = 0; i < c->n_keys; i++) {
		if (!c->too_many)
			invalidate_key(c->fs, c->keys[i].bytes, c->keys[i].len);
		free((void *)(uintptr_t)c->keys[i].bytes);
	}
	free(c->keys);
	if (c->n_keys || c->too_many) {
		rc = syncer_commit(c->fs->syncer, c->args_len);
		notify_queue_wait(c->fs->notify_queue);
	}
	return rc;
}

/* In a sequence the name of the positions is one, and a key of that name has
 * another. */
static int tell_of_positions(struct seq_call *c)
{
	static const char *const names[] = { ".at", "%2Eat", "%2Eat%" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		notify_queue_entry(c->fs->notify_queue, c->dir, names[i]);
	notify_queue_inode(c->fs->notify_queue, c->dir);
	dir_changed(c->dir);
	notify_queue_wait(c->fs->notify_queue);
	return syncer_commit(c->fs->syncer, 0);
}

/* ---- arguments and answers ---- */

static int take_args(struct seq_call *c)
{
	struct bltfs_seq *x = c->x;
	struct control_args a;
	int rc;

	if (x->len > sizeof(x->bytes))
		return -EINVAL;
	rc = control_args_take(c->control, x->args, &a);
	if (rc < 0)
		return rc == -ENOENT ? -ESTALE : rc;
	rc = bytes_append(&a.bytes, &a.len, x->bytes, x->len);
	c->args = a.bytes;
	c->args_len = a.len;
	return rc;
}

static int give_answer(struct seq_call *c)
{
	const struct seqwire_out *a = &c->answer;
	struct bltfs_seq *x = c->x;
	size_t n = a->len < sizeof(x->bytes) ? a->len : sizeof(x->bytes);

	x->args = 0;
	x->len = (uint32_t)n;
	if (n)
		memcpy(x->bytes, a->bytes, n);
	if (n == a->len)
		return 0;
	return control_args_add(c->control, &x->args, a->bytes + n, a->len - n);
}

/* All items that came. */
static int take_items(struct seqwire_in *in, struct blt_seq_item **ret,
		      size_t *ret_n)
{
	struct blt_seq_item *items = NULL, item;
	size_t n = 0, room = 0;
	int rc;

	while ((rc = seqwire_item(in, &item)) > 0) {
		rc = ARRAY_ROOM(items, room, n + 1);
		if (rc < 0)
			break;
		items[n++] = item;
		/* the next one gets fields of its own */
		*in = (struct seqwire_in){ in->at, in->len, NULL, 0 };
	}
	*ret = items;
	*ret_n = n;
	return rc == -EPROTO ? -EINVAL : rc;
}

typedef int items_fn(struct seq_call *c, const struct blt_seq_item *items,
		     size_t n);

static int with_items(struct seq_call *c, items_fn *fn)
{
	struct seqwire_in in = { .at = c->args, .len = c->args_len };
	struct blt_seq_item *items;
	size_t n;
	int rc = take_items(&in, &items, &n);

	if (rc == 0)
		rc = fn(c, items, n);
	for (size_t i = 0; i < n; i++)
		free((void *)(uintptr_t)items[i].fields);
	free(items);
	seqwire_in_free(&in);
	return rc;
}

/* ---- reading ---- */

static int run_len(struct seq_call *c)
{
	return blt_seq_len(c->seq, &c->x->n);
}

static int begin_item(void *arg, const struct blt_seq_place *place)
{
	struct seq_call *c = arg;

	c->answer.len = 0;
	seqwire_begin(&c->answer, place->record);
	return 0;
}

static int add_field(void *arg, const struct blt_seq_field *field)
{
	struct seq_call *c = arg;

	seqwire_field(&c->answer, field);
	return c->answer.error;
}

static int run_read(struct seq_call *c)
{
	int rc = blt_seq_read(c->seq, c->x->from, begin_item, add_field, c);

	return rc < 0 ? rc : seqwire_end(&c->answer);
}

/* Items on their way into one answer. */
struct slice {
	struct seq_call *call;
	uint64_t n, most;
	const void *behind; /* NULL: from the first on */
	size_t behind_len;
	bool behind_record;
};

/* An item of the same name as another may stand in front of it. */
static bool is_passed(const struct slice *s, const struct blt_seq_place *p)
{
	return s->behind && p->name_len == s->behind_len &&
	       memcmp(p->name, s->behind, p->name_len) == 0 &&
	       p->record <= s->behind_record;
}

static int add_item(void *arg, const struct blt_seq_place *place)
{
	struct slice *s = arg;
	struct seqwire_out *a = &s->call->answer;
	size_t before = a->len;
	int rc;

	if (s->n == s->most || a->len >= SLICE_BYTES)
		return 1;
	if (is_passed(s, place))
		return 0;
	seqwire_text(a, place->name, place->name_len);
	seqwire_begin(a, place->record);
	rc = blt_seq_read_named(s->call->seq, place, add_field, s->call);
	if (rc == 0)
		rc = seqwire_end(a);
	if (rc == 0)
		s->n++;
	if (rc == 0 || (rc != -ENOENT && (rc != -E2BIG || s->n == 0)))
		return rc;
	/* gone, or too large beside the others */
	a->len = before;
	a->error = 0;
	return rc == -E2BIG;
}

static int find_start(struct slice *s, int64_t *ret)
{
	struct seq_call *c = s->call;
	struct seqwire_in in = { .at = c->args, .len = c->args_len };
	uint64_t at = 0;
	int rc = seqwire_take_text(&in, &s->behind, &s->behind_len);

	*ret = c->x->from;
	if (rc == 0)
		return 0;
	if (rc < 0 || in.len != 1)
		return -EINVAL;
	s->behind_record = *in.at;
	rc = blt_seq_rank(c->seq, s->behind, s->behind_len, &at);
	*ret = (int64_t)at;
	return rc < 0 ? rc : 0;
}

static int run_slice(struct seq_call *c)
{
	struct slice s = { .call = c, .most = c->x->n };
	int64_t from = 0;
	uint64_t len = 0;
	int rc = find_start(&s, &from);

	if (rc == 0)
		rc = blt_seq_len(c->seq, &len);
	if (rc == 0 && from > (int64_t)len)
		rc = s.behind ? 0 : -ERANGE;
	else if (rc == 0)
		rc = blt_seq_slice(c->seq, from, (int64_t)len, add_item, &s);
	/* it has become shorter since: no items, and who asks asks again */
	if (rc == -ERANGE && s.behind)
		rc = 0;
	c->x->n = s.n;
	return rc < 0 ? rc : 0;
}

/* ---- changing ---- */

static int insert(struct seq_call *c, const struct blt_seq_item *items,
		  size_t n)
{
	return blt_seq_insert(c->seq, c->x->from, items, n);
}

static int append(struct seq_call *c, const struct blt_seq_item *items,
		  size_t n)
{
	return blt_seq_append(c->seq, items, n);
}

static int set(struct seq_call *c, const struct blt_seq_item *items, size_t n)
{
	return n == 1 ? blt_seq_set(c->seq, c->x->from, items) : -EINVAL;
}

static int update(struct seq_call *c, const struct blt_seq_item *items,
		  size_t n)
{
	if (n != 1)
		return -EINVAL;
	return blt_seq_update(c->seq, c->x->from, items->fields, items->n);
}

static int run_insert(struct seq_call *c)
{
	return with_items(c, insert);
}

static int run_append(struct seq_call *c)
{
	return with_items(c, append);
}

static int run_set(struct seq_call *c)
{
	return with_items(c, set);
}

static int run_update(struct seq_call *c)
{
	return with_items(c, update);
}

static int run_delete(struct seq_call *c)
{
	return blt_seq_delete(c->seq, c->x->from, c->x->to);
}

static int run_move(struct seq_call *c)
{
	return blt_seq_move(c->seq, c->x->from, c->x->to);
}

/* ---- the table ---- */

static const struct row {
	bool changes;
	int (*run)(struct seq_call *c);
} rows[] = {
	[BLTFS_SEQ_CREATE] = { true, NULL },
	[BLTFS_SEQ_LEN] = { false, run_len },
	[BLTFS_SEQ_READ] = { false, run_read },
	[BLTFS_SEQ_SLICE] = { false, run_slice },
	[BLTFS_SEQ_INSERT] = { true, run_insert },
	[BLTFS_SEQ_APPEND] = { true, run_append },
	[BLTFS_SEQ_DELETE] = { true, run_delete },
	[BLTFS_SEQ_MOVE] = { true, run_move },
	[BLTFS_SEQ_SET] = { true, run_set },
	[BLTFS_SEQ_UPDATE] = { true, run_update },
};

/* The directory's prefix.  Names are not held while it is used: the first look
 * at the order may take long. */
static int copy_prefix(struct seq_call *c, uint8_t **ret, size_t *ret_len)
{
	bool gone;

	bltfs_share_names(c->fs);
	gone = c->dir->gone;
	*ret_len = c->dir->key_len;
	*ret = malloc(c->dir->key_len + 1);
	if (*ret && c->dir->key_len)
		memcpy(*ret, c->dir->key, c->dir->key_len);
	bltfs_leave_names(c->fs);
	if (*ret && gone) {
		free(*ret);
		return -ENOENT;
	}
	return *ret ? 0 : -ENOMEM;
}

static int run(struct seq_call *c, const struct row *row)
{
	uint8_t *prefix;
	size_t len;
	int rc = copy_prefix(c, &prefix, &len);

	if (rc < 0)
		return rc;
	if (!row->run) {
		rc = blt_seq_create(c->fs->ns, prefix, len);
		if (rc == 0)
			rc = tell_of_positions(c);
	} else {
		rc = blt_seq_open(c->fs->ns, prefix, len, &c->seq);
	}
	free(prefix);
	if (rc == 0 && row->run) {
		blt_seq_watch(c->seq, note_changed, c);
		rc = row->run(c);
		blt_seq_close(c->seq);
	}
	return rc;
}

int control_seq(struct control *control, struct inode *dir, struct bltfs_seq *x)
{
	struct seq_call c = {
		.fs = dir->fs,
		.control = control,
		.dir = dir,
		.x = x,
		.answer = { .max = ANSWER_MAX },
	};
	int rc, told;

	if (dir->kind != BLT_DIR)
		return -ENOTDIR;
	if (x->verb >= ARRAY_SIZE(rows))
		return -EINVAL;
	if (c.fs->opts->ro && rows[x->verb].changes)
		return -EROFS;
	rc = take_args(&c);
	if (rc == 0)
		rc = run(&c, &rows[x->verb]);
	/* where it failed in the middle, too */
	told = tell_kernel(&c);
	if (rc == 0)
		rc = told;
	if (rc == 0)
		rc = give_answer(&c);
	free(c.answer.bytes);
	free(c.args);
	return rc;
}
