/* ns.c - what a name in a directory stands for, and which key a new one has.
 *
 * A name says by itself whether it is a component, a component in conflict or
 * a hash; which of the things of that component it means depends on what is
 * there:
 *
 *   plain       the directory, where there is one; else the key
 *   conflict    the key, where there is a directory of the component too
 *
 * A key is found by its hash and a marked directory by its marker.  A directory
 * that only keys imply is found once the tree has met one of them, so before
 * the walk's end "no such directory" means "not yet": a key is then answered
 * as unsure, and nothing at all is waited for.
 */
#include "ns.h"

#include "marker.h"
#include "serial.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A control name that holds these would not keep the mapping one to one. */
static bool is_control_name(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len <= NAME_MAX_LEN && !strpbrk(name, "/%") &&
	       strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

int blt_ns_new(struct blt *store, const struct blt_ns_options *opts,
	       struct blt_ns **ret)
{
	static const struct blt_ns_options defaults;
	struct blt_info info;
	struct blt_ns *ns;
	int err = -ENOMEM;

	if (!opts)
		opts = &defaults;
	if (opts->control && !is_control_name(opts->control))
		return -EINVAL;
	ns = calloc(1, sizeof(*ns));
	if (!ns)
		return -ENOMEM;
	if (opts->control) {
		ns->control = strdup(opts->control);
		if (!ns->control)
			goto fail;
	}
	blt_get_info(store, &info);
	pthread_mutex_init(&ns->seq_write, NULL);
	pthread_rwlock_init(&ns->seq_state, NULL);
	ns->store = store;
	ns->rules.control = ns->control;
	ns->rules.int_width =
		serial_int_width(info.key_serializer, &ns->rules.int_signed);
	ns->rules.flat = opts->flat;
	ns->flat = opts->flat || ns->rules.int_width > 0;
	ns->dirs = store->backend->dirs;
	err = ns->dirs->start(store, ns->flat);
	if (err)
		goto fail;
	*ret = ns;
	return 0;
fail:
	blt_ns_free(ns);
	return err;
}

void blt_ns_free(struct blt_ns *ns)
{
	if (!ns)
		return;
	if (ns->store) {
		pthread_mutex_destroy(&ns->seq_write);
		pthread_rwlock_destroy(&ns->seq_state);
	}
	free(ns->control);
	free(ns);
}

uint64_t blt_ns_progress(struct blt_ns *ns, bool *ret_complete)
{
	*ret_complete = ns->dirs->complete(ns->store);
	return ns->dirs->known(ns->store);
}

int blt_ns_wait(struct blt_ns *ns)
{
	return ns->dirs->wait(ns->store);
}

int blt_ns_ready(struct blt_ns *ns)
{
	return ns->dirs->ready(ns->store);
}

bool ns_is_prefix(const struct blt_ns *ns, const uint8_t *prefix, size_t len)
{
	return len == 0 || (!ns->flat && prefix[len - 1] == '/');
}

size_t ns_prefix_len(const struct blt_ns *ns, const uint8_t *key, size_t len)
{
	const uint8_t *slash;

	if (ns->flat || len == 0)
		return 0;
	slash = memrchr(key, '/', len);
	return slash ? (size_t)(slash - key) + 1 : 0;
}

int ns_join(const void *a, size_t a_len, const void *b, size_t b_len,
	    bool slash, uint8_t **ret, size_t *ret_len)
{
	size_t len = a_len + b_len;
	uint8_t *key;

	if (len + slash > BLT_KEY_MAX)
		return -ENAMETOOLONG;
	key = malloc(len + 2);
	if (!key)
		return -ENOMEM;
	if (a_len > 0)
		memcpy(key, a, a_len);
	if (b_len > 0)
		memcpy(key + a_len, b, b_len);
	if (slash)
		key[len++] = '/';
	*ret = key;
	*ret_len = len;
	return 0;
}

int ns_seq_format(struct blt_ns *ns, const uint8_t *prefix, size_t len)
{
	uint8_t mark[MARKER_SEQ_LEN];
	struct blt_view v;
	int64_t n = 0;
	int rc = blt_get(ns->store, prefix, len, &v);

	if (rc < 0)
		return rc;
	if (v.len == sizeof(mark))
		n = blt_view_copy(&v, mark, sizeof(mark), 0);
	blt_view_release(&v);
	if (n < 0)
		return (int)n;
	rc = marker_seq_format(mark, (size_t)n);
	return rc < 0 ? -ENOENT : rc;
}

int ns_is_marker(struct blt_ns *ns, const uint8_t *key, size_t len,
		 uint64_t value_len)
{
	int rc;

	if (len == 0 || !ns_is_prefix(ns, key, len))
		return 0;
	if (value_len == 0)
		return 1;
	if (value_len != MARKER_SEQ_LEN)
		return 0;
	rc = ns_seq_format(ns, key, len);
	return rc == -ENOENT ? 0 : rc < 0 ? rc : 1;
}

int blt_ns_marker(struct blt_ns *ns, const void *prefix, size_t len,
		  struct blt_stat *ret)
{
	struct blt_stat st;
	int rc = blt_stat_key(ns->store, prefix, len, &st);

	if (rc == 0)
		rc = ns_is_marker(ns, prefix, len, st.len);
	if (rc == 1)
		*ret = (struct blt_stat){ .timestamp = st.timestamp };
	return rc == -ENOENT ? 0 : rc;
}

int ns_find_dir(struct blt_ns *ns, const uint8_t *prefix, size_t len,
		struct blt_stat *ret)
{
	bool marked = true;
	struct blt_stat marker = { 0 };
	int found, rc;

	if (!ns_is_prefix(ns, prefix, len))
		return 0;
	if (len == 0) {
		*ret = marker;
		return 1;
	}
	found = ns->dirs->find(ns->store, prefix, len, &marked);
	if (found == 1 && !marked) {
		*ret = marker;
		return 1;
	}
	rc = blt_ns_marker(ns, prefix, len, &marker);
	if (rc < 0)
		return rc;
	if (rc == 1)
		found = 1;
	if (found == 1)
		*ret = marker;
	return found;
}

bool ns_is_seq(struct blt_ns *ns, const uint8_t *prefix, size_t len)
{
	struct blt_stat st;

	return len > 0 && ns_is_prefix(ns, prefix, len) &&
	       blt_stat_key(ns->store, prefix, len, &st) == 0 &&
	       st.len == MARKER_SEQ_LEN &&
	       ns_is_marker(ns, prefix, len, st.len) == 1;
}

/* Hardly any name can be that of the positions, or stand for it. */
static bool may_be_positions(const char *name, size_t len)
{
	const size_t n = strlen(NS_POSITIONS);

	return len >= n && len <= n + 3 && memmem(name, len, "at", 2);
}

struct name_rules ns_rules(struct blt_ns *ns, const uint8_t *dir,
			   size_t dir_len, const void *name, size_t len)
{
	struct name_rules rules = ns->rules;

	if (dir_len == 0)
		return rules;
	rules.control = NULL;
	if (may_be_positions(name, len) && ns_is_seq(ns, dir, dir_len))
		rules.control = NS_POSITIONS;
	return rules;
}

int ns_write_name(struct blt_ns *ns, const uint8_t *key, size_t len,
		  size_t prefix_len, bool conflict, char name[NAME_BUF])
{
	struct name_rules rules = ns_rules(ns, key, prefix_len,
					   key + prefix_len, len - prefix_len);
	struct keyhash h = keyhash_of(key, len);

	return name_write(&rules, key + prefix_len, len - prefix_len, true,
			  conflict, &h, name);
}

/* ---- lookup ---- */

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
	struct name_rules rules;
	int err;

	*q = (struct query){ .ns = ns,
			     .dir = dir,
			     .dir_len = dir_len,
			     .name = name,
			     .name_len = name_len };
	if (name_len > NAME_MAX_LEN)
		return -ENAMETOOLONG;
	rules = ns_rules(ns, dir, dir_len, name, name_len);
	err = name_read(&rules, name, name_len, true, &parsed);
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

/* 1 where the key is there and is no marker. */
static int find_file(const struct query *q, struct blt_stat *ret)
{
	struct blt_stat st;
	int rc = blt_stat_key(q->ns->store, q->prefix, q->key_len, &st);

	if (rc == -ENOENT)
		return 0;
	if (rc < 0)
		return rc;
	if (q->key_len > 0 && q->key_len == q->dir_len) {
		rc = ns_is_marker(q->ns, q->prefix, q->key_len, st.len);
		if (rc != 0)
			return rc < 0 ? rc : 0;
	}
	*ret = st;
	return 1;
}

/* What a query may have found. */
struct answer {
	enum blt_kind kind;
	struct blt_stat stat;
	bool sure;
	int dir;  /* what ns_find_dir says of the component */
	int file; /* what find_file says */
};

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
	if (!q->ns->flat)
		ret->dir = ns_find_dir(q->ns, q->prefix, q->key_len + 1, &dir);
	if (ret->dir != 1 || q->conflict)
		ret->file = find_file(q, &file);
	if (ret->file < 0)
		return ret->file;
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

/* Looks, and where the answer needs the whole tree waits for it and looks
 * again.  A name in conflict is nothing without its key, however the tree will
 * look. */
static int query_run(struct query *q, struct answer *ret)
{
	bool complete;
	int rc;

	do {
		complete = q->ns->flat || q->ns->dirs->complete(q->ns->store);
		rc = look(q, complete, ret);
		if (rc != 0)
			return rc;
		if (complete || (q->conflict && ret->file != 1))
			return 0;
		rc = q->ns->dirs->wait(q->ns->store);
	} while (rc == 0);
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
	/* a hash of nothing that is there; a conflict with nothing; and an
	 * empty component, whose key is a marker while it is empty */
	if (q->by_hash || (q->conflict && a->dir != 1) ||
	    (q->key_len > 0 && q->key_len == q->dir_len))
		return -EINVAL;
	return 0;
}

static int may_make_dir(const struct query *q, int found,
			const struct answer *a)
{
	if (q->conflict)
		return -EINVAL;
	if (q->by_hash && (found != 1 || a->kind != BLT_DIR))
		return -EINVAL;
	return 0;
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
	rc = query_run(&q, &a);
	if (rc < 0)
		goto out;
	rc = kind == BLT_DIR ? may_make_dir(&q, rc, &a) :
			       may_make_file(&q, rc, &a);
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
