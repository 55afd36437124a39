/* seq.c - which item of a sequence is where. */
#include "seq/seq.h"

#include "booklet/format/marker.h"
#include "base/array.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SLICE 256 /* names read at once, under the tree's lock */

bool blt_seq_is_mark(const void *value, size_t len)
{
	return marker_seq_format(value, len) >= 0;
}

static bool is_prefix(const struct blt_ns *ns, const void *prefix, size_t len)
{
	return len > 0 && len <= BLT_KEY_MAX && ns_is_prefix(ns, prefix, len);
}

int blt_seq_create(struct blt_ns *ns, const void *prefix, size_t len)
{
	struct blt_stat st;
	int rc;

	if (ns->flat || !ns->dirs->order_count || !blt_takes_empty(ns->store) ||
	    blt_check_value(ns->store, marker_seq, MARKER_SEQ_LEN) < 0)
		return -ENOTSUP;
	if (!is_prefix(ns, prefix, len))
		return -EINVAL;
	pthread_mutex_lock(&ns->seq_write);
	rc = blt_stat_key(ns->store, prefix, len, &st);
	if (rc == 0 && st.len > 0)
		rc = -EEXIST;
	else if (rc == 0 || rc == -ENOENT)
		rc = blt_put(ns->store, prefix, len, marker_seq, MARKER_SEQ_LEN,
			     BLT_NOW);
	pthread_mutex_unlock(&ns->seq_write);
	return rc;
}

int blt_seq_open(struct blt_ns *ns, const void *prefix, size_t len,
		 struct blt_seq **ret)
{
	struct blt_seq *seq;
	int format;

	if (!ns->dirs->order_count)
		return -ENOTSUP;
	if (!is_prefix(ns, prefix, len))
		return -ENOENT;
	format = ns_seq_format(ns, prefix, len);
	if (format < 0)
		return format;
	if (format != MARKER_SEQ_FORMAT)
		return -EPROTONOSUPPORT;
	seq = malloc(sizeof(*seq) + len);
	if (!seq)
		return -ENOMEM;
	*seq = (struct blt_seq){ .ns = ns, .len = len };
	memcpy(seq->prefix, prefix, len);
	*ret = seq;
	return 0;
}

void blt_seq_close(struct blt_seq *seq)
{
	free(seq);
}

void blt_seq_watch(struct blt_seq *seq, blt_seq_changed_fn *fn, void *arg)
{
	seq->changed = fn;
	seq->changed_arg = arg;
}

/* ---- positions ---- */

int seq_len(struct blt_seq *seq, uint64_t *ret)
{
	int rc = ns_seq_format(seq->ns, seq->prefix, seq->len);

	if (rc >= 0)
		rc = seq->ns->dirs->wait(seq->ns->store);
	if (rc == 0)
		rc = seq->ns->dirs->order_count(seq->ns->store, seq->prefix,
						seq->len, ret);
	return rc;
}

int seq_position(int64_t at, uint64_t n, bool end, uint64_t *ret)
{
	uint64_t back = at < 0 ? -(uint64_t)at : 0;

	if (back > n || (at >= 0 && (uint64_t)at >= n + end))
		return -ERANGE;
	*ret = at < 0 ? n - back : (uint64_t)at;
	return 0;
}

int seq_find(struct blt_seq *seq, const void *name, size_t len, uint64_t *ret)
{
	return seq->ns->dirs->order_find(seq->ns->store, seq->prefix, seq->len,
					 name, len, ret);
}

int blt_seq_len(struct blt_seq *seq, uint64_t *ret)
{
	int rc;

	pthread_rwlock_rdlock(&seq->ns->seq_state);
	rc = seq_len(seq, ret);
	pthread_rwlock_unlock(&seq->ns->seq_state);
	return rc;
}

int blt_seq_rank(struct blt_seq *seq, const char *name, size_t len,
		 uint64_t *ret)
{
	uint64_t n;
	int rc;

	pthread_rwlock_rdlock(&seq->ns->seq_state);
	rc = seq_len(seq, &n);
	if (rc == 0)
		rc = seq_find(seq, name, len, &n);
	pthread_rwlock_unlock(&seq->ns->seq_state);
	if (rc >= 0)
		*ret = n;
	return rc;
}

int blt_seq_index(struct blt_seq *seq, const char *name, size_t len,
		  uint64_t *ret)
{
	uint64_t n = 0;
	int rc = blt_seq_rank(seq, name, len, &n);

	if (rc <= 0)
		return rc < 0 ? rc : -ENOENT;
	*ret = n;
	return 0;
}

/* ---- names ---- */

static int room_for(struct seq_names *names, size_t len)
{
	int rc = ARRAY_ROOM(names->name, names->room, names->n + 1);

	/* Also of an empty name the bytes are somewhere. */
	return rc < 0 ? rc :
			ARRAY_ROOM(names->bytes, names->bytes_room,
				   names->len + len + 1);
}

static int add_name(void *arg, const struct backend_place *place)
{
	struct seq_names *names = arg;
	int rc = room_for(names, place->comp_len);

	if (rc < 0)
		return rc;
	if (place->comp_len > 0)
		memcpy(names->bytes + names->len, place->comp, place->comp_len);
	names->len += place->comp_len;
	names->name[names->n++] = (struct seq_name){
		.len = place->comp_len,
		.record = place->is_dir,
	};
	return 0;
}

int seq_names_read(struct blt_seq *seq, uint64_t at, uint64_t n,
		   struct seq_names *ret)
{
	size_t from = 0, had = SLICE;
	int rc = 0;

	ret->n = ret->len = 0;
	while (rc == 0 && n > 0 && had == SLICE) {
		size_t before = ret->n;

		rc = seq->ns->dirs->order_at(
			seq->ns->store, seq->prefix, seq->len, at,
			n < SLICE ? n : SLICE, add_name, ret);
		had = ret->n - before;
		at += had;
		n -= had;
	}
	for (size_t i = 0; i < ret->n; i++) {
		ret->name[i].bytes = ret->bytes + from;
		from += ret->name[i].len;
	}
	return rc;
}

void seq_names_free(struct seq_names *names)
{
	free(names->name);
	free(names->bytes);
	*names = (struct seq_names){ 0 };
}

/* ---- walking ---- */

/* Items from a position on, in slices: each goes on behind the name at which
 * the one before ended, wherever that is by now. */
struct walk {
	struct blt_seq *seq;
	uint64_t at, left;
	struct seq_names names;
	uint8_t *last; /* NULL: none yet */
	size_t last_len;
	bool last_record;
};

static int keep_last(struct walk *w)
{
	const struct seq_name *name = &w->names.name[w->names.n - 1];
	uint8_t *last = realloc(w->last, name->len + 1);

	if (!last)
		return -ENOMEM;
	memcpy(last, name->bytes, name->len);
	w->last = last;
	w->last_len = name->len;
	w->last_record = name->record;
	return 0;
}

/* Where the next slice begins. */
static int find_behind(struct walk *w)
{
	int rc = seq_find(w->seq, w->last, w->last_len, &w->at);

	for (int i = 0; i < 2 && rc > 0; i++) {
		const struct seq_name *name;

		rc = seq_names_read(w->seq, w->at, 1, &w->names);
		if (rc < 0 || w->names.n == 0)
			break;
		name = w->names.name;
		rc = name->len == w->last_len &&
		     memcmp(name->bytes, w->last, name->len) == 0 &&
		     name->record <= w->last_record;
		w->at += rc > 0;
	}
	return rc < 0 ? rc : 0;
}

static int next_slice(struct walk *w)
{
	int rc = 0;

	pthread_rwlock_rdlock(&w->seq->ns->seq_state);
	if (w->last)
		rc = find_behind(w);
	if (rc == 0)
		rc = seq_names_read(w->seq, w->at,
				    w->left < SLICE ? w->left : SLICE,
				    &w->names);
	pthread_rwlock_unlock(&w->seq->ns->seq_state);
	if (rc == 0 && w->names.n > 0)
		rc = keep_last(w);
	w->left -= w->names.n;
	return rc;
}

static int hand_out(const struct walk *w, blt_seq_place_fn *fn, void *arg)
{
	int rc = 0;

	for (size_t i = 0; i < w->names.n && rc == 0; i++) {
		const struct seq_name *name = &w->names.name[i];
		struct blt_seq_place place = { (const char *)name->bytes,
					       name->len, name->record };

		rc = fn(arg, &place);
	}
	return rc;
}

int blt_seq_slice(struct blt_seq *seq, int64_t from, int64_t to,
		  blt_seq_place_fn *fn, void *arg)
{
	struct walk w = { .seq = seq };
	uint64_t n, end = 0;
	int rc = blt_seq_len(seq, &n);

	if (rc == 0)
		rc = seq_position(from, n, true, &w.at);
	if (rc == 0)
		rc = seq_position(to, n, true, &end);
	if (rc == 0 && end < w.at)
		rc = -ERANGE;
	if (rc < 0)
		return rc;
	w.left = end - w.at;
	while (rc == 0 && w.left > 0) {
		rc = next_slice(&w);
		if (rc == 0 && w.names.n == 0)
			break;
		if (rc == 0)
			rc = hand_out(&w, fn, arg);
	}
	seq_names_free(&w.names);
	free(w.last);
	return rc;
}

/* ---- reading ---- */

static int read_at(struct blt_seq *seq, int64_t at, struct seq_names *names,
		   blt_seq_place_fn *place, blt_seq_field_fn *fn, void *arg)
{
	uint64_t n = 0, position = 0;
	int rc = seq_len(seq, &n);

	if (rc == 0)
		rc = seq_position(at, n, false, &position);
	if (rc == 0)
		rc = seq_names_read(seq, position, 1, names);
	if (rc == 0 && names->n == 0)
		rc = -ERANGE;
	if (rc == 0 && place) {
		const struct seq_name *name = names->name;
		struct blt_seq_place p = { (const char *)name->bytes, name->len,
					   name->record };

		rc = place(arg, &p);
	}
	return rc != 0 || !fn ? rc : seq_item_read(seq, names->name, fn, arg);
}

int blt_seq_read(struct blt_seq *seq, int64_t at, blt_seq_place_fn *place,
		 blt_seq_field_fn *fn, void *arg)
{
	struct seq_names names = { 0 };
	unsigned tries = 0;
	int rc;

	do {
		pthread_rwlock_rdlock(&seq->ns->seq_state);
		rc = read_at(seq, at, &names, place, fn, arg);
		pthread_rwlock_unlock(&seq->ns->seq_state);
	} while (seq_again(rc, &tries));
	seq_names_free(&names);
	return rc;
}

int blt_seq_read_named(struct blt_seq *seq, const struct blt_seq_place *place,
		       blt_seq_field_fn *fn, void *arg)
{
	struct seq_name name = { .len = place->name_len,
				 .record = place->record };
	int rc = -ENOMEM;

	name.bytes = malloc(place->name_len + 1);
	if (!name.bytes)
		return rc;
	memcpy(name.bytes, place->name, place->name_len);
	pthread_rwlock_rdlock(&seq->ns->seq_state);
	rc = seq_item_read(seq, &name, fn, arg);
	pthread_rwlock_unlock(&seq->ns->seq_state);
	free(name.bytes);
	return rc == -EAGAIN ? -ENOENT : rc;
}
