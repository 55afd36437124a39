/* ns_list.c - what a directory holds, and all keys below one. */
#include "namespace/ns.h"
#include "base/array.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct list {
	struct blt_ns *ns;
	size_t dir_len;
	uint8_t *key; /* the directory's prefix, and room for a component */
	blt_ns_list_fn *fn;
	void *arg;
	struct ns_beside around;
	struct backend_entry held; /* the present one; its comp is in key */
};

static int hand_out(struct list *l, const struct backend_entry *from)
{
	struct blt_ns_entry e = {
		.kind = from->is_dir ? BLT_DIR : BLT_FILE,
		.key = l->key,
		.key_len = l->dir_len + from->comp_len,
		.hash = keyhash_word(&from->hash),
		.cookie = from->cookie,
		.stat = from->stat,
	};
	struct name_beside beside = { ns_both, &l->around };
	struct name_rules rules;
	char name[NAME_BUF];
	int rc;

	rules = ns_rules(l->ns, l->key, l->dir_len, from->comp, from->comp_len);
	rc = name_write(&rules, from->comp, from->comp_len, true,
			from->conflict, &from->hash,
			l->ns->flat ? NULL : &beside, name);
	if (rc < 0)
		return rc;
	e.name = name;
	e.name_len = (size_t)rc;
	if (from->is_dir)
		l->key[e.key_len++] = '/';
	if (from->is_dir)
		e.stat.len = 0;
	return l->fn(l->arg, &e);
}

static int list_entry(void *arg, const struct backend_entry *from)
{
	struct list *l = arg;
	int rc;

	l->held = *from;
	l->held.comp = l->key + l->dir_len;
	if (from->comp_len > 0)
		memcpy(l->key + l->dir_len, from->comp, from->comp_len);
	rc = hand_out(l, &l->held);
	return l->around.unsure ? 1 : rc;
}

/* An entry whose name depends on another directory is handed out when the
 * directories are not locked. */
static int list_from(struct list *l, uint64_t cookie)
{
	const struct backend_dirs *dirs = l->ns->dirs;
	int rc;

	for (;;) {
		l->around.quick = true;
		l->around.unsure = false;
		rc = dirs->list(l->ns->store, l->around.dir, l->dir_len, cookie,
				list_entry, l);
		if (rc < 0 || !l->around.unsure)
			return rc;
		l->around.quick = false;
		rc = hand_out(l, &l->held);
		if (rc != 0)
			return rc < 0 ? rc : 0;
		cookie = l->held.cookie;
	}
}

int blt_ns_list(struct blt_ns *ns, const void *dir, size_t dir_len,
		uint64_t cookie, blt_ns_list_fn *fn, void *arg)
{
	struct list l = {
		.ns = ns,
		.dir_len = dir_len,
		.fn = fn,
		.arg = arg,
		.around = { .ns = ns, .dir = dir, .dir_len = dir_len },
	};
	int rc;

	if (!ns_is_prefix(ns, dir, dir_len))
		return -ENOENT;
	rc = ns->dirs->wait(ns->store);
	if (rc < 0)
		return rc;
	l.key = malloc(dir_len + BLT_KEY_MAX + 1);
	if (!l.key)
		return -ENOMEM;
	if (dir_len > 0)
		memcpy(l.key, dir, dir_len);
	rc = list_from(&l, cookie);
	free(l.key);
	return rc;
}

int blt_ns_dir(struct blt_ns *ns, const void *dir, size_t dir_len,
	       struct blt_dir_facts *ret)
{
	int rc;

	rc = ns->dirs->wait(ns->store);
	if (rc == 0)
		rc = ns->dirs->facts(ns->store, dir, dir_len, ret);
	if (rc <= 0)
		return rc < 0 ? rc : -ENOENT;
	return 0;
}

int blt_ns_hold(struct blt_ns *ns, const void *prefix, size_t len, bool held)
{
	if (ns->flat)
		return -EPERM;
	if (len == 0 || len > BLT_KEY_MAX || !ns_is_prefix(ns, prefix, len))
		return -EINVAL;
	return ns->dirs->hold(ns->store, prefix, len, held);
}

/* ---- everything below a prefix ---- */

/* Keys handed out under one hold of the tree's lock: the writer waits for no
 * more than these. */
#define WALK_STRIDE 1024

struct todo {
	uint8_t *prefix;
	size_t len;
};

/* Directories that are still to be walked stand in a list, as deep as they
 * may be. */
struct walk {
	struct blt_ns *ns;
	struct todo *todo;
	size_t n_todo, room;
	struct todo now;
	uint8_t *key; /* now's prefix, and room for a component */
	unsigned left;
	uint64_t cookie;
	bool more;
	blt_ns_walk_fn *fn;
	void *arg;
};

static int push(struct walk *w, const void *prefix, size_t len,
		const void *comp, size_t comp_len, bool slash)
{
	struct todo *more;
	int rc;

	if (ARRAY_ROOM(w->todo, w->room, w->n_todo + 1) < 0)
		return -ENOMEM;
	more = &w->todo[w->n_todo];
	rc = ns_join(prefix, len, comp, comp_len, slash, &more->prefix,
		     &more->len);
	if (rc == 0)
		w->n_todo++;
	return rc;
}

static int walk_entry(void *arg, const struct backend_entry *from)
{
	struct walk *w = arg;
	int rc;

	if (w->left-- == 0) {
		w->more = true;
		return 1;
	}
	if (from->is_dir) {
		rc = push(w, w->now.prefix, w->now.len, from->comp,
			  from->comp_len, true);
	} else {
		memcpy(w->key + w->now.len, from->comp, from->comp_len);
		rc = w->fn(w->arg, w->key, w->now.len + from->comp_len,
			   from->stat.len);
	}
	if (rc < 0)
		return rc;
	w->cookie = from->cookie;
	return 0;
}

/* -ENOENT: it is not there (any more). */
static int walk_dir(struct walk *w)
{
	const struct backend_dirs *dirs = w->ns->dirs;
	struct blt *store = w->ns->store;
	bool marked;
	int rc;

	rc = dirs->find(store, w->now.prefix, w->now.len, &marked);
	if (rc <= 0)
		return rc < 0 ? rc : -ENOENT;
	if (marked) {
		rc = w->fn(w->arg, w->now.prefix, w->now.len, 0);
		if (rc < 0)
			return rc;
	}
	memcpy(w->key, w->now.prefix, w->now.len);
	w->cookie = 0;
	do {
		w->left = WALK_STRIDE;
		w->more = false;
		rc = dirs->list(store, w->now.prefix, w->now.len, w->cookie,
				walk_entry, w);
	} while (rc == 0 && w->more);
	return rc;
}

int blt_ns_walk(struct blt_ns *ns, const void *prefix, size_t len,
		blt_ns_walk_fn *fn, void *arg)
{
	struct walk w = { .ns = ns, .fn = fn, .arg = arg };
	bool top = true;
	int rc;

	if (!ns_is_prefix(ns, prefix, len))
		return -ENOENT;
	rc = ns->dirs->wait(ns->store);
	if (rc < 0)
		return rc;
	w.key = malloc(2 * (size_t)BLT_KEY_MAX);
	rc = w.key ? push(&w, prefix, len, NULL, 0, false) : -ENOMEM;
	while (rc == 0 && w.n_todo > 0) {
		w.now = w.todo[--w.n_todo];
		rc = walk_dir(&w);
		free(w.now.prefix);
		if (rc == -ENOENT && !top)
			rc = 0; /* went since its parent was listed */
		top = false;
	}
	while (w.n_todo > 0)
		free(w.todo[--w.n_todo].prefix);
	free(w.todo);
	free(w.key);
	return rc;
}
