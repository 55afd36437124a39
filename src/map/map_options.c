/* map_options.c - a map's options: what can be told of them, and as bytes.
 *
 * Packed, options are fields, each with its length in 4 bytes in front: first
 * the fixed part, then the strings, then the arguments and the keys.
 */
#include "map/map.h"

#include "map/map_inner.h"
#include "engine/backend.h"
#include "base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NOTHING UINT32_MAX /* the length of a string that is NULL */

static int check_job(const struct map_options *o, struct blt_error *err)
{
	if (o->shards > LEDGER_SHARDS_MAX ||
	    (o->shards && (!o->shard || o->shard > o->shards)))
		return store_fail(err, -EINVAL,
				  "a shard is 1/N to N/N, and N at most %d",
				  LEDGER_SHARDS_MAX);
	if (o->job && !ledger_is_name(o->job))
		return store_fail(err, -EINVAL,
				  "%s: a job's name is up to %d letters, "
				  "digits, and . _ - + behind the first",
				  o->job, LEDGER_NAME_MAX);
	if (!o->job && (o->restart || o->retry_failed || o->forget))
		return store_fail(err, -EINVAL, "no job is named");
	if (o->restart && o->retry_failed)
		return store_fail(err, -EINVAL,
				  "a job is begun anew, or what failed is "
				  "tried again: one of the two");
	return 0;
}

int map_check(const struct map_options *o, struct blt_error *err)
{
	int rc = check_job(o, err);

	if (rc < 0 || o->forget)
		return rc;
	if (!o->argv || !o->argv[0] || !o->argv[0][0])
		return store_fail(err, -EINVAL, "no function is given");
	if (o->kind < MAP_COMMAND || o->kind > MAP_BUILTIN)
		return store_fail(err, -EINVAL, "no such kind of function");
	if (o->workers > MAP_WORKERS_MAX)
		return store_fail(err, -EINVAL, "at most %d workers",
				  MAP_WORKERS_MAX);
	if (o->timeout_ms < 0)
		return store_fail(err, -EINVAL, "a time-out below 0");
	if (o->key_template && map_template_check(o->key_template) < 0)
		return store_fail(err, -EINVAL,
				  "%s: the fields of a key are {key} {dir} "
				  "{name} {stem} {ext}; {{ and }} are braces",
				  o->key_template);
	return 0;
}

/* ---- as bytes ---- */

struct packer {
	uint8_t *bytes;
	size_t len, room;
	int rc;
};

static void pack_field(struct packer *p, const void *bytes, size_t len)
{
	if (p->rc < 0 || len >= NOTHING) {
		p->rc = p->rc < 0 ? p->rc : -EINVAL;
		return;
	}
	p->rc = ARRAY_ROOM(p->bytes, p->room, p->len + len + 4);
	if (p->rc < 0)
		return;
	put_le(p->bytes + p->len, bytes ? len : NOTHING, 4);
	if (bytes && len)
		memcpy(p->bytes + p->len + 4, bytes, len);
	p->len += 4 + (bytes ? len : 0);
}

static void pack_text(struct packer *p, const char *text)
{
	pack_field(p, text, text ? strlen(text) : 0);
}

static void pack_number(struct packer *p, uint64_t v)
{
	uint8_t bytes[8];

	put_le(bytes, v, 8);
	pack_field(p, bytes, 8);
}

#define N_FIXED 20

static size_t list_len(char *const *list)
{
	size_t n = 0;

	while (list && list[n])
		n++;
	return n;
}

/* The numbers, in their order in a packed form. */
static void fixed_of(const struct map_options *o, uint64_t fixed[N_FIXED])
{
	const uint64_t all[N_FIXED] = {
		o->n_keys,
		o->keys_only,
		(uint64_t)o->newer_than,
		(uint64_t)o->older_than,
		(uint64_t)o->kind,
		list_len(o->argv),
		o->to_create,
		o->create.n_buckets,
		o->create.value_len,
		o->create.key_serializer,
		o->create.value_serializer,
		o->create.no_timestamps,
		(uint64_t)(uint32_t)o->lock_timeout_ms << 1 | o->if_unchanged,
		o->workers,
		(uint32_t)o->timeout_ms,
		o->max_errors,
		list_len(o->env),
		o->shard,
		o->shards,
		(uint64_t)o->restart | (uint64_t)o->retry_failed << 1 |
			(uint64_t)o->forget << 2 | (uint64_t)o->flat << 3,
	};

	memcpy(fixed, all, sizeof(all));
}

int map_pack(const struct map_options *o, uint8_t **ret, size_t *ret_len)
{
	struct packer p = { 0 };
	uint64_t fixed[N_FIXED];

	fixed_of(o, fixed);
	for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
		pack_number(&p, fixed[i]);
	pack_text(&p, o->glob);
	pack_text(&p, o->prefix);
	pack_text(&p, o->key_template);
	pack_text(&p, o->to);
	pack_text(&p, o->dir);
	pack_text(&p, o->job);
	for (char *const *a = o->argv; a && *a; a++)
		pack_text(&p, *a);
	for (char *const *e = o->env; e && *e; e++)
		pack_text(&p, *e);
	for (size_t i = 0; i < o->n_keys; i++)
		pack_field(&p, o->keys[i].len ? o->keys[i].bytes : "",
			   o->keys[i].len);
	if (p.rc < 0) {
		free(p.bytes);
		return p.rc;
	}
	*ret = p.bytes;
	*ret_len = p.len;
	return 0;
}

struct unpacker {
	const uint8_t *at;
	size_t left;
	int rc;
};

/* The bytes of the next field; NULL: there is none, or it stands for NULL. */
static const uint8_t *unpack_field(struct unpacker *u, size_t *ret_len)
{
	const uint8_t *bytes;
	uint64_t len;

	*ret_len = 0;
	if (u->rc < 0 || u->left < 4) {
		u->rc = -EINVAL;
		return NULL;
	}
	len = get_le(u->at, 4);
	bytes = u->at + 4;
	u->left -= 4;
	u->at += 4;
	if (len == NOTHING)
		return NULL;
	if (len > u->left) {
		u->rc = -EINVAL;
		return NULL;
	}
	u->at += len;
	u->left -= (size_t)len;
	*ret_len = (size_t)len;
	return bytes;
}

static uint64_t unpack_number(struct unpacker *u)
{
	size_t len;
	const uint8_t *bytes = unpack_field(u, &len);

	if (!bytes || len != 8) {
		u->rc = -EINVAL;
		return 0;
	}
	return get_le(bytes, 8);
}

static char *unpack_text(struct unpacker *u)
{
	size_t len;
	const uint8_t *bytes = unpack_field(u, &len);
	char *text;

	if (!bytes)
		return NULL;
	text = memchr(bytes, '\0', len) ? NULL : malloc(len + 1);
	if (!text) {
		u->rc = -EINVAL;
		return NULL;
	}
	memcpy(text, bytes, len);
	text[len] = '\0';
	return text;
}

static void set_fixed(struct map_options *o, const uint64_t fixed[N_FIXED])
{
	*o = (struct map_options){
		.keys_only = fixed[1],
		.newer_than = (int64_t)fixed[2],
		.older_than = (int64_t)fixed[3],
		.kind = (enum map_kind)fixed[4],
		.to_create = fixed[6],
		.create = { .n_buckets = (uint32_t)fixed[7],
			    .value_len = (uint32_t)fixed[8],
			    .key_serializer = (unsigned)fixed[9],
			    .value_serializer = (unsigned)fixed[10],
			    .no_timestamps = fixed[11] },
		.lock_timeout_ms = (int)(fixed[12] >> 1),
		.if_unchanged = fixed[12] & 1,
		.workers = (unsigned)fixed[13],
		.timeout_ms = (int)fixed[14],
		.max_errors = fixed[15],
		.shard = (unsigned)fixed[17],
		.shards = (unsigned)fixed[18],
		.restart = fixed[19] & 1,
		.retry_failed = fixed[19] & 2,
		.forget = fixed[19] & 4,
		.flat = fixed[19] & 8,
	};
}

static int unpack_list(struct unpacker *u, char *const **ret, size_t n)
{
	char **list = calloc(n + 1, sizeof(*list));

	if (!list)
		return -ENOMEM;
	*ret = list;
	for (size_t i = 0; i < n && u->rc == 0; i++) {
		list[i] = unpack_text(u);
		if (!list[i])
			u->rc = -EINVAL;
	}
	return u->rc;
}

static int unpack_keys(struct unpacker *u, struct map_options *o, size_t n)
{
	struct map_key *keys = calloc(n + 1, sizeof(*keys));

	if (!keys)
		return -ENOMEM;
	o->keys = keys;
	for (; o->n_keys < n && u->rc == 0; o->n_keys++) {
		size_t len;
		const uint8_t *bytes = unpack_field(u, &len);
		uint8_t *copy = bytes ? malloc(len + 1) : NULL;

		if (!copy)
			return bytes ? -ENOMEM : -EINVAL;
		memcpy(copy, bytes, len);
		keys[o->n_keys] = (struct map_key){ copy, len };
	}
	return u->rc;
}

int map_unpack(const void *bytes, size_t len, struct map_options *ret)
{
	struct unpacker u = { bytes, len, 0 };
	struct map_options o;
	uint64_t fixed[N_FIXED];
	int rc;

	for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
		fixed[i] = unpack_number(&u);
	if (u.rc < 0 || fixed[0] > len || fixed[5] > len || fixed[16] > len ||
	    fixed[4] > MAP_BUILTIN || fixed[13] > MAP_WORKERS_MAX ||
	    fixed[17] > LEDGER_SHARDS_MAX || fixed[18] > LEDGER_SHARDS_MAX)
		return -EINVAL;
	set_fixed(&o, fixed);
	o.glob = unpack_text(&u);
	o.prefix = unpack_text(&u);
	o.key_template = unpack_text(&u);
	o.to = unpack_text(&u);
	o.dir = unpack_text(&u);
	o.job = unpack_text(&u);
	rc = unpack_list(&u, &o.argv, (size_t)fixed[5]);
	if (rc == 0 && fixed[16])
		rc = unpack_list(&u, &o.env, (size_t)fixed[16]);
	if (rc == 0)
		rc = unpack_keys(&u, &o, (size_t)fixed[0]);
	if (rc == 0 && u.left)
		rc = -EINVAL;
	if (rc < 0)
		map_options_free(&o);
	else
		*ret = o;
	return rc;
}

/* What unpacking made is ours, whatever its type says. */
static void drop(const void *made)
{
	free((void *)(uintptr_t)made);
}

static void drop_list(char *const *list)
{
	for (char *const *s = list; s && *s; s++)
		free(*s);
	drop(list);
}

void map_options_free(struct map_options *o)
{
	drop_list(o->argv);
	drop_list(o->env);
	for (size_t i = 0; i < o->n_keys; i++)
		drop(o->keys[i].bytes);
	drop(o->dir);
	drop(o->job);
	drop(o->keys);
	drop(o->glob);
	drop(o->prefix);
	drop(o->key_template);
	drop(o->to);
	*o = (struct map_options){ 0 };
}
