/* ns_lookup.c - what a name in a directory stands for, and which key a new one
 * has.
 *
 * name.h tells whether a name is a component, the key of a component that is a
 * directory too, or a hash; which of the things of that component it means
 * depends on what is there:
 *
 *   plain       the directory, where there is one; else the key
 *   conflict    the key, where there is a directory of the component too
 *
 * A key is found by its hash and a marked directory by its marker.  A directory
 * that only keys imply is found once the tree has met one of them, so before
 * the walk's end "no such directory" means "not yet": a key is then answered
 * as unsure, and nothing at all is waited for.
 */
#include "namespace/ns.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A name that is being resolved: once the component is known, the prefix that
 * a directory of it has.  The key is the same without its last byte. */
struct query {
	struct blt_ns *ns;
	const uint8_t *dir;
	size_t dir_len;
	const char *name;
	size_t name_len;
	bool conflict;
	bool by_hash;
	struct keyhash hash;
	uint8_t *prefix; /* malloc'd; NULL: not known */
	size_t key_len;
};

static int set_component(struct query *q, const void *comp, size_t len)
{
	size_t whole;
	int err;

	free(q->prefix);
	q->prefix = NULL;
	err = ns_join(q->dir, q->dir_len, comp, len, false, &q->prefix, &whole);
	if (err)
		return err;
	q->prefix[whole] = '/';
	q->key_len = whole;
	return 0;
}

/* 0, or -EINVAL where it is no name at all. */
static int query_init(struct query *q, struct blt_ns *ns, const void *dir,
		      size_t dir_len, const char *name, size_t name_len)
{
	struct name_parsed parsed;
	int err;

	*q = (struct query){ .ns = ns,
			     .dir = dir,
			     .dir_len = dir_len,
			     .name = name,
			     .name_len = name_len };
	if (name_len > NAME_MAX_LEN)
		return -ENAMETOOLONG;
	err = ns_read_name(ns, dir, dir_len, name, name_len, &parsed);
	if (err)
		return err;
	q->conflict = parsed.form == NAME_CONFLICT ||
		      parsed.form == NAME_LONG_CONFLICT;
	q->by_hash =
		parsed.form == NAME_LONG || parsed.form == NAME_LONG_CONFLICT;
	q->hash = parsed.hash;
	if (q->by_hash)
		return 0;
	return set_component(q, parsed.comp, parsed.comp_len);
}

/* Whether the name is the one that the component has. */
static bool is_own_name(const struct query *q)
{
	char name[NAME_BUF];
	int len = ns_write_name(q->ns, q->prefix, q->key_len, q->dir_len,
				q->conflict, name);

	return (size_t)len == q->name_len &&
	       memcmp(name, q->name, q->name_len) == 0;
}

/* The component that a hash stands for: of a key, or of a directory that the
 * tree knows.  0 also where there is none; prefix is then NULL. */
static int find_component(struct query *q)
{
	uint8_t *found = NULL;
	size_t len;
	int rc;

	rc = q->ns->dirs->find_key(q->ns->store, q->dir, q->dir_len, &q->hash,
				   &found, &len);
	if (rc < 0 && rc != -ENOENT)
		return rc;
	if (rc == 0 && len >= q->dir_len &&
	    ns_prefix_len(q->ns, found, len) == q->dir_len &&
	    (q->dir_len == 0 || memcmp(found, q->dir, q->dir_len) == 0)) {
		rc = set_component(q, found + q->dir_len, len - q->dir_len);
		goto out;
	}
	free(found);
	found = NULL;
	rc = 0;
	if (q->ns->flat || q->conflict)
		return 0;
	/* an error is the tree's own, which matters if nothing is found */
	if (q->ns->dirs->find_long(q->ns->store, q->dir, q->dir_len, &q->hash,
				   &found, &len) == 1)
		rc = set_component(q, found, len);
out:
	free(found);
	if (rc == 0 && q->prefix && !is_own_name(q)) {
		free(q->prefix);
		q->prefix = NULL;
	}
	return rc;
}

/* What a query may have found. */
struct answer {
	enum blt_kind kind;
	struct blt_stat stat;
	bool sure;
	int dir;  /* what ns_find_dir says of the component */
	int file; /* what ns_find_file says */
};

/* Of a name that has a component, which is no directory's own marker. */
static int look_at_once(struct query *q, struct answer *ret,
			struct blt_stat *dir, struct blt_stat *file)
{
	struct blt *store = q->ns->store;
	struct backend_look found;
	int rc = store->backend->look(store, q->prefix, q->key_len + 1, &found);

	if (rc < 0)
		return rc;
	ret->dir = found.dir;
	ret->file = found.file;
	*dir = found.dir_stat;
	*file = found.file_stat;
	return 0;
}

static int look_one_by_one(struct query *q, struct answer *ret,
			   struct blt_stat *dir, struct blt_stat *file)
{
	if (!q->ns->flat)
		ret->dir = ns_find_dir(q->ns, q->prefix, q->key_len + 1, dir);
	if (ret->dir != 1 || q->conflict)
		ret->file = ns_find_file(q->ns, q->prefix, q->key_len,
					 q->dir_len, file);
	return ret->file < 0 ? ret->file : 0;
}

/* One look at what is there now: 1, 0 or an error.  complete: the tree was
 * before, so that what it does not know is not there. */
static int look(struct query *q, bool complete, struct answer *ret)
{
	struct blt_stat dir = { 0 }, file = { 0 };
	int rc;

	*ret = (struct answer){ 0 };
	if (q->by_hash) {
		rc = find_component(q);
		if (rc < 0)
			return rc;
	}
	if (!q->prefix)
		return 0;
	if (q->ns->store->backend->look && !q->ns->flat &&
	    q->key_len > q->dir_len)
		rc = look_at_once(q, ret, &dir, &file);
	else
		rc = look_one_by_one(q, ret, &dir, &file);
	if (rc < 0)
		return rc;
	if (ret->dir == 1 && !q->conflict) {
		ret->kind = BLT_DIR;
		ret->stat = dir;
		ret->sure = true;
		return 1;
	}
	if (ret->file != 1 || (ret->dir != 1 && q->conflict))
		return 0;
	ret->kind = BLT_FILE;
	ret->stat = file;
	ret->sure = ret->dir == 1 || complete;
	return 1;
}

/* Looks, and where the name is not known waits until more is, and looks again,
 * until the walk has met it or has ended.  A name in conflict is nothing
 * without its key, however the tree will look. */
static int query_run(struct query *q, struct answer *ret)
{
	uint64_t seen = 0;
	bool complete;
	int rc;

	do {
		complete = q->ns->flat || q->ns->dirs->complete(q->ns->store);
		rc = look(q, complete, ret);
		if (rc != 0)
			return rc;
		if (complete || (q->conflict && ret->file != 1))
			return 0;
		rc = q->ns->dirs->wait_more(q->ns->store, &seen);
	} while (rc >= 0);
	return rc;
}

int blt_ns_lookup(struct blt_ns *ns, const void *dir, size_t dir_len,
		  const char *name, size_t name_len, struct blt_node *ret)
{
	struct query q;
	struct answer a;
	struct keyhash h;
	int rc;

	if (!ns_is_prefix(ns, dir, dir_len))
		return -ENOENT;
	rc = query_init(&q, ns, dir, dir_len, name, name_len);
	if (rc < 0) {
		rc = rc == -EINVAL ? -ENOENT : rc;
		goto out;
	}
	rc = query_run(&q, &a);
	if (rc <= 0) {
		rc = rc < 0 ? rc : -ENOENT;
		goto out;
	}
	h = keyhash_of(q.prefix, q.key_len);
	*ret = (struct blt_node){
		.kind = a.kind,
		.key = q.prefix,
		.key_len = q.key_len + (a.kind == BLT_DIR),
		.hash = keyhash_word(&h),
		.stat = a.stat,
		.sure = a.sure,
	};
	q.prefix = NULL;
	rc = 0;
out:
	free(q.prefix);
	return rc;
}

/* ---- creation ---- */

/* Whether a file of a name may be made, once it is known what is there. */
static int may_make_file(const struct query *q, int found,
			 const struct answer *a)
{
	if (found == 1)
		return a->kind == BLT_DIR ? -EISDIR : 0;
	/* a hash of nothing that is there; a conflict with nothing */
	if (q->by_hash || (q->conflict && a->dir != 1))
		return -EINVAL;
	return 0;
}

static int may_make_dir(const struct query *q, int found,
			const struct answer *a)
{
	return found == 1 && a->kind == BLT_DIR && !q->conflict ? 0 : -EINVAL;
}

int blt_ns_key_of_none(struct blt_ns *ns, const void *dir, size_t dir_len,
		       const char *name, size_t name_len, uint8_t **ret_key,
		       size_t *ret_len)
{
	const struct answer none = { 0 };
	struct query q;
	int rc;

	if (!ns_is_prefix(ns, dir, dir_len))
		return -ENOENT;
	rc = query_init(&q, ns, dir, dir_len, name, name_len);
	if (rc == 0)
		rc = may_make_file(&q, 0, &none);
	if (rc == 0)
		rc = blt_check_key(ns->store, q.prefix, q.key_len);
	if (rc == 0) {
		*ret_key = q.prefix;
		*ret_len = q.key_len;
		q.prefix = NULL;
	}
	free(q.prefix);
	return rc;
}

int blt_ns_key(struct blt_ns *ns, const void *dir, size_t dir_len,
	       const char *name, size_t name_len, enum blt_kind kind,
	       uint8_t **ret_key, size_t *ret_len)
{
	struct query q;
	struct answer a;
	size_t len;
	int rc;

	if (kind == BLT_DIR && ns->flat)
		return -EPERM;
	if (!ns_is_prefix(ns, dir, dir_len))
		return -ENOENT;
	rc = query_init(&q, ns, dir, dir_len, name, name_len);
	if (rc < 0)
		goto out;
	/* a directory's plain name is right whatever is there: a path of many
	 * of them is not looked up once for each */
	if (kind == BLT_DIR && !q.by_hash && !q.conflict) {
		rc = 0;
	} else {
		rc = query_run(&q, &a);
		if (rc >= 0)
			rc = kind == BLT_DIR ? may_make_dir(&q, rc, &a) :
					       may_make_file(&q, rc, &a);
	}
	if (rc < 0)
		goto out;
	len = q.key_len + (kind == BLT_DIR);
	rc = blt_check_key(ns->store, q.prefix, len);
	if (rc < 0)
		goto out;
	*ret_key = q.prefix;
	*ret_len = len;
	q.prefix = NULL;
out:
	free(q.prefix);
	return rc;
}
