#include "engine/attrs_table.h"

#include "booklet/format/keyhash.h"
#include "base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char magic[8] = { 'b', 'l', 't', 'a', 't', 't', 'r', '1' };

#define HEAD 19u      /* of a record */
#define XATTR_HEAD 5u /* of an extended attribute */

/* The hash is one that nobody can make collide: keys are other people's. */
static uint64_t hash_of(const void *key, size_t len)
{
	struct keyhash h = keyhash_of(key, len);

	return keyhash_word(&h);
}

static size_t size_of(const struct attrs_record *r)
{
	return HEAD + r->key_len + r->xattrs_len;
}

/* ---- records ---- */

static struct attrs_record **place_of(const struct attrs_table *t,
				      uint64_t hash)
{
	return &t->bucket[hash & (t->n_buckets - 1)];
}

static struct attrs_record *find(const struct attrs_table *t, uint64_t hash,
				 const void *key, size_t len)
{
	struct attrs_record *r = t->n ? *place_of(t, hash) : NULL;

	while (r &&
	       (r->hash != hash || compare_bytes(r->key, r->key_len, key, len)))
		r = r->next;
	return r;
}

struct attrs_record *attrs_table_find(const struct attrs_table *t,
				      const void *key, size_t len)
{
	return t->n ? find(t, hash_of(key, len), key, len) : NULL;
}

static int grow(struct attrs_table *t)
{
	struct attrs_table more = {
		.n_buckets = t->n_buckets ? 2 * t->n_buckets : 64,
	};
	struct attrs_record *r, *next, **at;

	if (t->n < t->n_buckets)
		return 0;
	more.bucket = calloc(more.n_buckets, sizeof(struct attrs_record *));
	if (!more.bucket)
		return -ENOMEM;
	for (size_t i = 0; i < t->n_buckets; i++) {
		for (r = t->bucket[i]; r; r = next) {
			next = r->next;
			at = place_of(&more, r->hash);
			r->next = *at;
			*at = r;
		}
	}
	free(t->bucket);
	t->bucket = more.bucket;
	t->n_buckets = more.n_buckets;
	return 0;
}

static void add(struct attrs_table *t, struct attrs_record *r)
{
	struct attrs_record **at = place_of(t, r->hash);

	r->next = *at;
	*at = r;
	t->n++;
	t->bytes += size_of(r);
}

static struct attrs_record *make(const void *key, size_t len)
{
	struct attrs_record *r = malloc(sizeof(*r) + len);

	if (!r)
		return NULL;
	*r = (struct attrs_record){ .hash = hash_of(key, len), .key_len = len };
	if (len)
		memcpy(r->key, key, len);
	return r;
}

int attrs_table_need(struct attrs_table *t, const void *key, size_t len,
		     struct attrs_record **ret)
{
	struct attrs_record *r = attrs_table_find(t, key, len);

	if (!r) {
		if (grow(t) < 0)
			return -ENOMEM;
		r = make(key, len);
		if (!r)
			return -ENOMEM;
		add(t, r);
	}
	*ret = r;
	return 0;
}

static void take_out(struct attrs_table *t, struct attrs_record *r)
{
	struct attrs_record **at = place_of(t, r->hash);

	while (*at != r)
		at = &(*at)->next;
	*at = r->next;
	t->n--;
	t->bytes -= size_of(r);
}

static void free_record(struct attrs_record *r)
{
	if (r)
		free(r->xattrs);
	free(r);
}

void attrs_table_remove(struct attrs_table *t, struct attrs_record *r)
{
	take_out(t, r);
	free_record(r);
}

bool attrs_record_is_empty(const struct attrs_record *r)
{
	return !r->attrs.has && !r->xattrs_len;
}

/* The content of r, under the key of made, which takes r's place. */
static void move_into(struct attrs_table *t, struct attrs_record *r,
		      struct attrs_record *made)
{
	take_out(t, r);
	made->attrs = r->attrs;
	made->set_here = r->set_here;
	made->xattrs = r->xattrs;
	made->xattrs_len = r->xattrs_len;
	free(r);
	add(t, made);
}

int attrs_table_rekey(struct attrs_table *t, struct attrs_record *r,
		      const void *to, size_t len)
{
	struct attrs_record *old = attrs_table_find(t, to, len);
	struct attrs_record *made = r ? make(to, len) : NULL;

	if (r && !made)
		return -ENOMEM;
	if (r && r == old) {
		free(made);
		return 0;
	}
	if (old)
		attrs_table_remove(t, old);
	if (r)
		move_into(t, r, made);
	return 0;
}

int attrs_table_exchange(struct attrs_table *t, const void *one, size_t one_len,
			 const void *two, size_t two_len)
{
	struct attrs_record *a = attrs_table_find(t, one, one_len);
	struct attrs_record *b = attrs_table_find(t, two, two_len);
	struct attrs_record *to_two = a ? make(two, two_len) : NULL;
	struct attrs_record *to_one = b ? make(one, one_len) : NULL;

	if ((a && !to_two) || (b && !to_one)) {
		free(to_two);
		free(to_one);
		return -ENOMEM;
	}
	if (a)
		move_into(t, a, to_two);
	if (b)
		move_into(t, b, to_one);
	return 0;
}

int attrs_table_select(const struct attrs_table *t, attrs_table_fn *fn,
		       void *arg, struct attrs_record ***ret, size_t *ret_n)
{
	struct attrs_record **list;
	size_t n = 0;

	list = malloc((t->n + 1) * sizeof(*list));
	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < t->n_buckets; i++)
		for (struct attrs_record *r = t->bucket[i]; r; r = r->next)
			if (fn(arg, r))
				list[n++] = r;
	*ret = list;
	*ret_n = n;
	return 0;
}

/* ---- extended attributes ---- */

static const uint8_t *xattr_at(const struct attrs_record *r, size_t at)
{
	return r->xattrs + at;
}

static size_t xattr_size(const uint8_t *p)
{
	return XATTR_HEAD + p[0] + (size_t)get_le32(p + 1);
}

bool attrs_record_next(const struct attrs_record *r, size_t *at,
		       const char **ret_name, size_t *ret_len)
{
	const uint8_t *p;

	if (*at >= r->xattrs_len)
		return false;
	p = xattr_at(r, *at);
	*ret_name = (const char *)p + XATTR_HEAD;
	*ret_len = p[0];
	*at += xattr_size(p);
	return true;
}

/* Where the attribute of that name begins; false: xattrs_len. */
static bool find_xattr(const struct attrs_record *r, const char *name,
		       size_t *ret)
{
	const char *is;
	size_t len, at = 0;

	do {
		*ret = at;
		if (!attrs_record_next(r, &at, &is, &len))
			return false;
	} while (compare_bytes(is, len, name, strlen(name)));
	return true;
}

bool attrs_record_xattr(const struct attrs_record *r, const char *name,
			const uint8_t **ret, size_t *ret_len)
{
	const uint8_t *p;
	size_t at;

	if (!find_xattr(r, name, &at))
		return false;
	p = xattr_at(r, at);
	*ret = p + XATTR_HEAD + p[0];
	*ret_len = (size_t)get_le32(p + 1);
	return true;
}

int attrs_table_set_xattr(struct attrs_table *t, struct attrs_record *r,
			  const char *name, const void *value, size_t len)
{
	size_t name_len = strlen(name), at, old, add_len, rest;
	uint8_t *made, *p;

	old = find_xattr(r, name, &at) ? xattr_size(xattr_at(r, at)) : 0;
	add_len = value ? XATTR_HEAD + name_len + len : 0;
	rest = r->xattrs_len - at - old;
	made = malloc(at + add_len + rest + 1);
	if (!made)
		return -ENOMEM;
	if (at)
		memcpy(made, r->xattrs, at);
	if (rest)
		memcpy(made + at, r->xattrs + at + old, rest);
	p = made + at + rest;
	if (value) {
		p[0] = (uint8_t)name_len;
		put_le32(p + 1, len);
		memcpy(p + XATTR_HEAD, name, name_len);
		if (len)
			memcpy(p + XATTR_HEAD + name_len, value, len);
	}
	free(r->xattrs);
	t->bytes += add_len;
	t->bytes -= old;
	r->xattrs = made;
	r->xattrs_len += add_len;
	r->xattrs_len -= old;
	return 0;
}

/* ---- as bytes ---- */

static bool xattrs_valid(const uint8_t *p, size_t len)
{
	size_t n;

	for (; len; p += n, len -= n) {
		if (len < XATTR_HEAD || p[0] == 0)
			return false;
		n = XATTR_HEAD + p[0];
		if (n > len || memchr(p + XATTR_HEAD, '\0', p[0]) ||
		    get_le32(p + 1) > BLT_XATTR_MAX ||
		    get_le32(p + 1) > len - n)
			return false;
		n += (size_t)get_le32(p + 1);
	}
	return true;
}

static int unpack_one(struct attrs_table *t, const uint8_t *p, size_t left,
		      size_t *ret)
{
	struct attrs_record *r;
	size_t key_len, xattrs_len;

	if (left < HEAD)
		return -EUCLEAN;
	key_len = (size_t)get_le16(p);
	xattrs_len = (size_t)get_le32(p + 15);
	left -= HEAD;
	if (key_len > left || xattrs_len > left - key_len ||
	    !xattrs_valid(p + HEAD + key_len, xattrs_len) ||
	    attrs_table_find(t, p + HEAD, key_len))
		return -EUCLEAN;
	if (attrs_table_need(t, p + HEAD, key_len, &r) < 0)
		return -ENOMEM;
	r->attrs = (struct blt_attrs){
		.has = p[2] & (BLT_ATTRS_MODE | BLT_ATTRS_OWNER),
		.mode = (uint32_t)get_le32(p + 3),
		.uid = (uint32_t)get_le32(p + 7),
		.gid = (uint32_t)get_le32(p + 11),
	};
	if (xattrs_len) {
		r->xattrs = malloc(xattrs_len);
		if (!r->xattrs)
			return -ENOMEM;
		memcpy(r->xattrs, p + HEAD + key_len, xattrs_len);
		r->xattrs_len = xattrs_len;
		t->bytes += xattrs_len;
	}
	*ret = HEAD + key_len + xattrs_len;
	return 0;
}

int attrs_table_unpack(struct attrs_table *t, const uint8_t *bytes, size_t len)
{
	size_t at = sizeof(magic), n;
	int rc = 0;

	if (len < sizeof(magic) || memcmp(bytes, magic, sizeof(magic)))
		return -EEXIST;
	while (rc == 0 && at < len) {
		rc = unpack_one(t, bytes + at, len - at, &n);
		if (rc == 0)
			at += n;
	}
	if (rc < 0)
		attrs_table_release(t);
	return rc;
}

static uint8_t *pack_one(uint8_t *p, const struct attrs_record *r)
{
	put_le16(p, r->key_len);
	p[2] = (uint8_t)r->attrs.has;
	put_le32(p + 3, r->attrs.mode);
	put_le32(p + 7, r->attrs.uid);
	put_le32(p + 11, r->attrs.gid);
	put_le32(p + 15, r->xattrs_len);
	p += HEAD;
	memcpy(p, r->key, r->key_len);
	p += r->key_len;
	if (r->xattrs_len)
		memcpy(p, r->xattrs, r->xattrs_len);
	return p + r->xattrs_len;
}

int attrs_table_pack(const struct attrs_table *t, uint8_t **ret,
		     size_t *ret_len)
{
	uint8_t *made, *p;

	if (!t->n) {
		*ret = NULL;
		*ret_len = 0;
		return 0;
	}
	made = malloc(sizeof(magic) + t->bytes);
	if (!made)
		return -ENOMEM;
	memcpy(made, magic, sizeof(magic));
	p = made + sizeof(magic);
	for (size_t i = 0; i < t->n_buckets; i++)
		for (struct attrs_record *r = t->bucket[i]; r; r = r->next)
			p = pack_one(p, r);
	*ret = made;
	*ret_len = (size_t)(p - made);
	return 0;
}

void attrs_table_release(struct attrs_table *t)
{
	struct attrs_record *r, *next;

	for (size_t i = 0; i < t->n_buckets; i++) {
		for (r = t->bucket[i]; r; r = next) {
			next = r->next;
			free_record(r);
		}
	}
	free(t->bucket);
	*t = (struct attrs_table){ 0 };
}
