/* The orders that there are, and their names.  A long name has memory of its
 * own, to which its reference points. */
#include "lmdb/lmdb_btree.h"

#include "base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define AT_ONCE 64u /* entries copied out of one */

/* ---- names ---- */

struct long_name {
	size_t len;
	uint8_t bytes[];
};

static int read_name(void *arg, uint64_t ref, const uint8_t **ret_name,
		     size_t *ret_len)
{
	const struct long_name *name =
		(const void *)(uintptr_t)(ref & ~REF_DIR);

	(void)arg;
	*ret_name = name->bytes;
	*ret_len = name->len;
	return 0;
}

/* The reference for a long name. */
static int make_ref(const uint8_t *name, size_t len, bool is_dir, uint64_t *ret)
{
	struct long_name *copy = malloc(sizeof(*copy) + len);

	if (!copy)
		return -ENOMEM;
	copy->len = len;
	memcpy(copy->bytes, name, len);
	*ret = (uintptr_t)copy | (is_dir ? REF_DIR : 0);
	/* cppcheck-suppress memleak ; the reference is freed, by free_ref */
	return 0;
}

static void free_ref(uint64_t ref)
{
	if ((ref & ~REF_DIR) != REF_SHORT)
		free((void *)(uintptr_t)(ref & ~REF_DIR));
}

static bool is_name(const struct lmdb_order *o, const struct btree_entry *e,
		    const uint8_t *name, size_t len)
{
	uint8_t buf[BTREE_HEAD];
	const uint8_t *other;
	size_t other_len;

	return btree_name(&o->names, e, buf, &other, &other_len) == 0 &&
	       other_len == len && memcmp(other, name, len) == 0;
}

/* The reference under which a name stands: 1, 0 or negative. */
static int find_ref(const struct lmdb_order *o, const uint8_t *name, size_t len,
		    bool is_dir, uint64_t *ret)
{
	struct btree_entry e[2];
	uint64_t rank;
	size_t n;
	int rc = btree_find(&o->names, name, len, 0, &rank);

	if (rc < 0)
		return rc;
	n = btree_at(&o->names, rank, e, 2);
	for (size_t i = 0; i < n && is_name(o, &e[i], name, len); i++) {
		if (is_dir != ((e[i].ref & REF_DIR) != 0))
			continue;
		*ret = e[i].ref;
		return 1;
	}
	return 0;
}

int lmdb_btree_tell(struct lmdb_order *o, const uint8_t *name, size_t len,
		    bool is_dir, bool there)
{
	uint64_t ref = REF_SHORT | (is_dir ? REF_DIR : 0);
	bool is_long = len > BTREE_HEAD;
	int rc = 0;

	if (is_long) {
		rc = find_ref(o, name, len, is_dir, &ref);
		if (rc < 0 || (rc > 0) == there)
			return rc < 0 ? rc : 0;
		rc = there ? make_ref(name, len, is_dir, &ref) : 0;
	}
	if (rc == 0)
		rc = there ? btree_insert(&o->names, name, len, ref) :
			     btree_remove(&o->names, name, len, ref);
	if (is_long && (rc > 0) != there)
		free_ref(ref);
	return rc < 0 ? rc : 0;
}

/* ---- the list ---- */

static int compare(const struct lmdb_order *o, const void *prefix, size_t len)
{
	return compare_bytes(o->prefix, o->len, prefix, len);
}

/* Where the order of a prefix stands, or would. */
static size_t place_of(const struct lmdb_btrees *orders, const void *prefix,
		       size_t len, bool *ret_there)
{
	size_t low = 0, high = orders->n;

	*ret_there = false;
	while (low < high && !*ret_there) {
		size_t mid = low + (high - low) / 2;
		int sign = compare(orders->at[mid], prefix, len);

		*ret_there = sign == 0;
		if (sign < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return high;
}

struct lmdb_order *lmdb_btree_of(const struct lmdb_btrees *orders,
				 const void *prefix, size_t len)
{
	bool there;
	size_t i = place_of(orders, prefix, len, &there);

	return there ? orders->at[i] : NULL;
}

static void free_order(struct lmdb_order *o)
{
	struct btree_entry e[AT_ONCE];
	uint64_t rank = 0;
	size_t n;

	while ((n = btree_at(&o->names, rank, e, AT_ONCE)) > 0) {
		for (size_t i = 0; i < n; i++)
			free_ref(e[i].ref);
		rank += n;
	}
	btree_release(&o->names);
	free(o);
}

struct lmdb_order *lmdb_btree_add(struct lmdb_btrees *orders,
				  const void *prefix, size_t len)
{
	const struct btree_source source = { .read_name = read_name };
	struct lmdb_order *o;
	size_t i;
	bool there;

	if (ARRAY_ROOM(orders->at, orders->room, orders->n + 1) < 0)
		return NULL;
	o = malloc(sizeof(*o) + len);
	if (!o)
		return NULL;
	btree_init(&o->names, &source);
	o->complete = false;
	o->len = len;
	memcpy(o->prefix, prefix, len);
	i = place_of(orders, prefix, len, &there);
	memmove(&orders->at[i + 1], &orders->at[i],
		(orders->n - i) * sizeof(*orders->at));
	orders->at[i] = o;
	orders->n++;
	return o;
}

void lmdb_btree_drop(struct lmdb_btrees *orders, struct lmdb_order *o)
{
	bool there;
	size_t i = place_of(orders, o->prefix, o->len, &there);

	orders->n--;
	memmove(&orders->at[i], &orders->at[i + 1],
		(orders->n - i) * sizeof(*orders->at));
	free_order(o);
}

void lmdb_btrees_drop(struct lmdb_btrees *orders)
{
	while (orders->n > 0)
		free_order(orders->at[--orders->n]);
}

void lmdb_btrees_follow(struct lmdb_btrees *orders, uint64_t txn)
{
	if (orders->txn == txn)
		return;
	lmdb_btrees_drop(orders);
	orders->txn = txn;
}

void lmdb_btrees_forget(struct lmdb_btrees *orders)
{
	pthread_rwlock_wrlock(&orders->lock);
	lmdb_btrees_follow(orders, 0);
	pthread_rwlock_unlock(&orders->lock);
}

struct lmdb_btrees *lmdb_btrees_new(void)
{
	struct lmdb_btrees *orders = calloc(1, sizeof(*orders));

	if (!orders)
		return NULL;
	pthread_mutex_init(&orders->build, NULL);
	pthread_rwlock_init(&orders->lock, NULL);
	return orders;
}

void lmdb_btrees_free(struct lmdb_btrees *orders)
{
	if (!orders)
		return;
	lmdb_btrees_drop(orders);
	pthread_rwlock_destroy(&orders->lock);
	pthread_mutex_destroy(&orders->build);
	free(orders->at);
	free(orders->touched);
	free(orders->bytes);
	free(orders);
}
