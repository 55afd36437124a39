#include "lib/treemodel.h"
#include "lib/rnd.h"
#include "lib/rounds.h"
#include "booklet/dirindex/dirindex_dir.h"
#include "lib/checked.h"

#include <errno.h>
#include <string.h>

#define MAX_POS 400000

struct model_key keys[MAX_KEYS];
size_t n_keys;

static uint16_t key_at[MAX_POS];
static uint64_t next_pos;
static bool flat;

static int read_key(void *arg, uint64_t pos, const uint8_t **ret_key,
		    size_t *ret_len, struct keyhash *ret_hash)
{
	const struct model_key *k;

	(void)arg;
	ck_assert_uint_lt(pos, next_pos);
	k = &keys[key_at[pos]];
	*ret_key = k->bytes;
	*ret_len = k->len;
	*ret_hash = keyhash_of(k->bytes, k->len);
	if (pos % 5 == 0)
		ret_hash->byte[7] ^= 0x40; /* a damaged file's */
	return 0;
}

static void fetch(void *arg, const uint64_t *pos, size_t n)
{
	(void)arg;
	ck_assert_uint_gt(n, 0);
	for (size_t i = 0; i < n; i++)
		ck_assert_uint_lt(pos[i], next_pos);
}

static const struct dirindex_source source = { .read_key = read_key,
					       .fetch = fetch };

uint64_t new_pos(size_t i)
{
	ck_assert_uint_lt(next_pos, MAX_POS);
	key_at[next_pos] = (uint16_t)i;
	return next_pos++;
}

static void make_keys(size_t wanted, size_t max_len, const char *alphabet)
{
	n_keys = 0;
	next_pos = 1;
	while (n_keys < wanted) {
		struct model_key k = { .len = rnd((uint32_t)max_len + 1) };
		bool known = false;

		for (size_t i = 0; i < k.len; i++)
			k.bytes[i] = (uint8_t)
				alphabet[rnd((uint32_t)strlen(alphabet))];
		for (size_t i = 0; i < n_keys && !known; i++)
			known = keys[i].len == k.len &&
				memcmp(keys[i].bytes, k.bytes, k.len) == 0;
		if (!known)
			keys[n_keys++] = k;
	}
}

static size_t prefix_of(const struct model_key *k)
{
	size_t n = k->len;

	while (n > 0 && (flat || k->bytes[n - 1] != '/'))
		n--;
	return n;
}

static bool is_marker(const struct model_key *k)
{
	return k->empty && !flat && k->len > 0 && prefix_of(k) == k->len;
}

/* Whether a present key implies the directory. */
static bool implied(const uint8_t *prefix, size_t len)
{
	if (len == 0)
		return true;
	for (size_t i = 0; i < n_keys && !flat; i++) {
		if (keys[i].pos && keys[i].len >= len &&
		    memcmp(keys[i].bytes, prefix, len) == 0)
			return true;
	}
	return false;
}

static void change_one(struct dirindex *t)
{
	size_t i = rnd((uint32_t)n_keys);
	struct model_key *k = &keys[i];
	bool was_entry = k->pos && !is_marker(k);
	uint64_t from = k->pos;

	if (!from) {
		k->empty = rnd(2);
		k->pos = new_pos(i);
		ck_assert_int_eq(
			dirindex_add(t, k->bytes, k->len, k->pos, k->empty), 0);
		if (rnd(4) == 0)
			ck_assert_int_eq(dirindex_add(t, k->bytes, k->len,
						      k->pos, k->empty),
					 0);
	} else if (rnd(5) < 2) {
		ck_assert_int_eq(dirindex_remove(t, k->bytes, k->len, from), 0);
		k->pos = 0;
		if (rnd(4) == 0)
			ck_assert_int_eq(
				dirindex_remove(t, k->bytes, k->len, from), 0);
	} else {
		k->empty = rnd(2);
		k->pos = new_pos(i);
		ck_assert_int_eq(dirindex_move(t, k->bytes, k->len, from,
					       k->pos, k->empty),
				 0);
	}
	if (!was_entry || !k->pos || is_marker(k))
		k->stayed = false;
}

/* ---- one directory, listed with stops, against the model ---- */

struct check_list {
	const uint8_t *prefix;
	size_t len;
	unsigned left; /* entries until a stop */
	uint64_t cookie;
	unsigned n, n_dirs;
	bool stopped;
};

static int check_entry(void *arg, const struct dirindex_entry *e)
{
	struct check_list *c = arg;
	uint8_t path[64];
	struct keyhash h;
	size_t n = c->len + e->comp_len;

	if (c->left-- == 0) {
		c->stopped = true;
		return 1;
	}
	ck_assert_uint_gt(e->cookie, c->cookie);
	ck_assert_uint_le(e->cookie, INT64_MAX - 2);
	c->cookie = e->cookie;
	c->n++;
	c->n_dirs += e->is_dir;
	if (c->len > 0)
		memcpy(path, c->prefix, c->len);
	memcpy(path + c->len, e->comp, e->comp_len);
	h = keyhash_of(path, n);
	ck_assert(keyhash_equal(&h, &e->hash));
	if (e->is_dir) {
		uint64_t marker = 0;

		ck_assert_ptr_null(memchr(e->comp, '/', e->comp_len));
		path[n++] = '/';
		ck_assert(implied(path, n));
		for (size_t i = 0; i < n_keys; i++) {
			if (keys[i].len == n && is_marker(&keys[i]) &&
			    memcmp(keys[i].bytes, path, n) == 0)
				marker = keys[i].pos;
		}
		ck_assert_uint_eq(e->pos, marker);
	} else {
		struct model_key *k = &keys[key_at[e->pos]];

		ck_assert_uint_eq(k->pos, e->pos);
		ck_assert_uint_eq(k->len, n);
		ck_assert_mem_eq(k->bytes, path, n);
		ck_assert(!is_marker(k));
		k->met++;
		path[n] = '/';
		ck_assert_int_eq(e->conflict, !flat && implied(path, n + 1));
	}
	return 0;
}

static bool is_in(const struct model_key *k, const struct check_list *c)
{
	return k->pos && !is_marker(k) && prefix_of(k) == c->len &&
	       memcmp(k->bytes, c->prefix, c->len) == 0;
}

/* The same in the order of its names. */

struct check_order {
	struct check_list list;
	uint8_t last[64]; /* the name before, */
	size_t last_len;
	bool last_dir, any;
};

static int compare_names(const uint8_t *a, size_t a_len, const uint8_t *b,
			 size_t b_len)
{
	int order = memcmp(a, b, a_len < b_len ? a_len : b_len);

	return order ? order : (a_len > b_len) - (a_len < b_len);
}

static int check_place(void *arg, const struct dirindex_place *p)
{
	struct check_order *c = arg;
	uint8_t path[64];
	size_t n = c->list.len + p->comp_len;
	bool found = false;
	int order;

	memcpy(path, c->list.prefix, c->list.len);
	memcpy(path + c->list.len, p->comp, p->comp_len);
	if (p->is_dir) {
		path[n++] = '/';
		found = implied(path, n);
	}
	for (size_t i = 0; i < n_keys && !found; i++)
		found = keys[i].pos && keys[i].len == n &&
			!is_marker(&keys[i]) &&
			memcmp(keys[i].bytes, path, n) == 0;
	ck_assert(found);
	order = compare_names(c->last, c->last_len, p->comp, p->comp_len);
	if (c->any)
		ck_assert(order < 0 ||
			  (order == 0 && !c->last_dir && p->is_dir));
	c->any = true;
	c->last_dir = p->is_dir;
	c->last_len = p->comp_len;
	memcpy(c->last, p->comp, p->comp_len);
	c->list.n++;
	return 0;
}

static void check_order(struct dirindex *t, const uint8_t *prefix, size_t len,
			uint64_t entries)
{
	struct check_order c = { .list = { .prefix = prefix, .len = len } };
	uint64_t n, at = 0;

	ck_assert_int_eq(dirindex_order_count(t, prefix, len, &n), 0);
	ck_assert_uint_eq(n, entries);
	while (at < n) {
		uint64_t some = 1 + rnd(200);

		ck_assert_int_eq(dirindex_order_at(t, prefix, len, at, some,
						   check_place, &c),
				 0);
		at = c.list.n;
	}
	ck_assert_uint_eq(at, n);
	if (n > 0) {
		ck_assert_int_eq(dirindex_order_find(t, prefix, len, c.last,
						     c.last_len, &at),
				 1);
		ck_assert(at == n - 1 || (at == n - 2 && c.last_dir));
	}
	ck_assert_int_eq(dirindex_order_find(t, prefix, len, "\xff", 1, &at),
			 0);
	ck_assert_uint_eq(at, n);
}

static void check_dir(struct dirindex *t, const uint8_t *prefix, size_t len,
		      bool changing)
{
	struct check_list c = { .prefix = prefix, .len = len };
	struct dirindex_dir facts;
	unsigned wanted = 0;
	int rc;

	if (!implied(prefix, len)) {
		ck_assert_int_eq(dirindex_find(t, prefix, len, NULL), 0);
		ck_assert_int_eq(
			dirindex_list(t, prefix, len, 0, check_entry, &c),
			-ENOENT);
		return;
	}
	for (size_t i = 0; i < n_keys; i++) {
		keys[i].met = 0;
		keys[i].stayed = is_in(&keys[i], &c);
		wanted += keys[i].stayed;
	}
	do {
		c.stopped = false;
		c.left = rnd(10) ? 1 + rnd(20) : 600;
		rc = dirindex_list(t, prefix, len, c.cookie, check_entry, &c);
		/* while a listing is under way the directory may go */
		ck_assert(rc == 0 || (rc == -ENOENT && changing));
		for (unsigned i = rnd(5); changing && i > 0; i--)
			change_one(t);
	} while (c.stopped && rc == 0);
	for (size_t i = 0; i < n_keys && rc == 0; i++) {
		ck_assert_uint_le(keys[i].met, 1 + (changing ? 1 : 0));
		if (keys[i].stayed)
			ck_assert_uint_eq(keys[i].met, 1);
	}
	if (changing)
		return;
	ck_assert_int_eq(dirindex_find(t, prefix, len, &facts), 1);
	check_order(t, prefix, len, facts.entries);
	ck_assert_uint_eq(c.n - c.n_dirs, wanted);
	ck_assert_uint_eq(facts.entries, c.n);
	ck_assert_uint_eq(facts.subdirs, c.n_dirs);
	for (size_t i = 0; i < n_keys; i++) {
		if (is_marker(&keys[i]) && keys[i].len == len && len > 0 &&
		    memcmp(keys[i].bytes, prefix, len) == 0)
			ck_assert_uint_eq(facts.marker, keys[i].pos);
	}
}

static void check_all(struct dirindex *t, bool changing)
{
	struct dirindex_stats stats;
	uint64_t present = 0;
	static const uint8_t none[1];

	check_dir(t, none, 0, changing);
	for (size_t i = 0; i < n_keys; i++) {
		struct model_key k = keys[i];
		size_t n = prefix_of(&k);

		if (n > 0 && rnd((uint32_t)n_keys) < 60)
			check_dir(t, k.bytes, n, changing);
	}
	for (size_t i = 0; i < n_keys; i++)
		present += keys[i].pos && !is_marker(&keys[i]);
	dirindex_stats(t, &stats);
	ck_assert_uint_eq(stats.keys, present);
}

void run_model(size_t n, size_t max_len, const char *alphabet, bool is_flat,
	       unsigned rounds, bool while_changing)
{
	struct dirindex *t;
	struct dirindex_stats stats;

	flat = is_flat;
	make_keys(n, max_len, alphabet);
	rounds = rounds_of(rounds);
	ck_assert_int_eq(dirindex_new(&source, flat, &t), 0);
	for (unsigned round = 0; round < rounds; round++) {
		for (unsigned i = rnd(2 * (uint32_t)n); i > 0; i--)
			change_one(t);
		check_all(t, false);
		if (while_changing)
			check_all(t, true);
	}
	for (size_t i = 0; i < n_keys; i++) {
		if (keys[i].pos)
			dirindex_remove(t, keys[i].bytes, keys[i].len,
					keys[i].pos);
		keys[i].pos = 0;
	}
	dirindex_stats(t, &stats);
	ck_assert_uint_eq(stats.keys, 0);
	ck_assert_uint_eq(stats.dirs, 1);
	check_all(t, false);
	dirindex_free(t);
}

struct dirindex *new_tree(void)
{
	struct dirindex *t;

	flat = false;
	n_keys = 0;
	next_pos = 1;
	ck_assert_int_eq(dirindex_new(&source, false, &t), 0);
	return t;
}
