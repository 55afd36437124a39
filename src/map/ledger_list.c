/* All jobs of a store: read, deleted, and handed to another process. */
#include "map/ledger_inner.h"

#include "engine/backend.h"
#include "base/util.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "job/"
#define COPIES_MAX (64u << 20) /* bytes of all; an engine may have more */

int ledger_fail(struct blt *store, const char *job, int rc,
		struct blt_error *err)
{
	if (rc == -ENOENT)
		return store_fail(err, rc,
				  "%s: has no job %s; blt map --status lists "
				  "those there are",
				  blt_path(store), job);
	if (rc == -ENOTSUP)
		return store_fail(err, rc,
				  "%s: a store whose values all have one "
				  "length, or whose engine keeps no notes, has "
				  "no place for a job; name another store to "
				  "write to (--to)",
				  blt_path(store));
	if (rc == -EEXIST)
		return store_fail(err, rc,
				  "%s: the place where jobs are noted "
				  "(reserved slot 1, or database .blt-notes) "
				  "is in use by another program; name another "
				  "store to write to (--to)",
				  blt_path(store));
	if (rc == -EUCLEAN)
		return store_fail(err, rc,
				  "%s: what is noted of job %s is damaged; "
				  "begin anew with --restart",
				  blt_path(store), job);
	return store_fail(err, rc, "%s: job %s cannot be noted: %s",
			  blt_path(store), job, strerror(-rc));
}

/* ---- notes ---- */

struct want {
	const char *name;
	size_t len;
	struct ledger_note note;
};

static int take_note(void *arg, const struct backend_note *n)
{
	struct want *w = arg;

	if (compare_bytes(n->name, n->name_len, w->name, w->len) != 0)
		return 0;
	w->note.bytes = malloc(n->len + 1);
	if (!w->note.bytes)
		return -ENOMEM;
	memcpy(w->note.bytes, n->bytes, n->len);
	w->note.len = n->len;
	w->note.there = true;
	return 1;
}

int ledger_note_get(struct blt *store, const char *name,
		    struct ledger_note *ret)
{
	struct want w = { .name = name, .len = strlen(name) };
	int rc = -ENOTSUP;

	*ret = (struct ledger_note){ .there = false };
	if (store->backend->notes)
		rc = store->backend->notes(store, take_note, &w);
	if (rc < 0)
		return rc;
	*ret = w.note;
	return 0;
}

static int copy_note(void *arg, const struct backend_note *n)
{
	struct ledger_copies *c = arg;

	if (n->name_len < strlen(PREFIX) ||
	    memcmp(n->name, PREFIX, strlen(PREFIX)) != 0 ||
	    memchr(n->name, '\0', n->name_len))
		return 0;
	c->bytes += sizeof(*c->at) + n->name_len + n->len;
	if (c->bytes > COPIES_MAX)
		return -E2BIG;
	return ledger_copies_add(c, n->name, n->name_len, n->bytes, n->len);
}

int ledger_copies_add(struct ledger_copies *c, const void *name,
		      size_t name_len, const void *bytes, size_t len)
{
	struct ledger_copy to = { .note = { .there = true, .len = len } };

	if (ARRAY_ROOM(c->at, c->room, c->n + 1) < 0)
		return -ENOMEM;
	to.name = strndup(name, name_len);
	to.note.bytes = malloc(len + 1);
	if (to.note.bytes && len)
		memcpy(to.note.bytes, bytes, len);
	c->at[c->n++] = to;
	return to.name && to.note.bytes ? 0 : -ENOMEM;
}

void ledger_copies_drop(struct ledger_copies *c)
{
	for (size_t i = 0; i < c->n; i++) {
		free(c->at[i].name);
		free(c->at[i].note.bytes);
	}
	free(c->at);
}

static int copy_all(struct blt *store, struct ledger_copies *ret)
{
	int rc = store->backend->notes ?
			 store->backend->notes(store, copy_note, ret) :
			 -ENOTSUP;

	if (rc < 0)
		ledger_copies_drop(ret);
	return rc;
}

/* The shard of a note of that job; 0: the head.  -1: of another. */
static int of_job(const char *name, const char *job)
{
	size_t n = strlen(job);

	name += strlen(PREFIX);
	if (strncmp(name, job, n) != 0 || (name[n] && name[n] != '/'))
		return -1;
	return name[n] ? atoi(name + n + 1) : 0;
}

int ledger_delete(struct blt *store, const char *job)
{
	struct ledger_copies all = { .n = 0 };
	struct blt_batch *b = NULL;
	bool any = false;
	int rc = copy_all(store, &all);

	if (rc < 0)
		return rc;
	rc = blt_batch_new(store, &b);
	for (size_t i = 0; i < all.n && rc == 0; i++) {
		const struct ledger_note *n = &all.at[i].note;
		const struct blt_bytes was = { n->bytes, n->len };

		if (of_job(all.at[i].name, job) < 0)
			continue;
		any = true;
		rc = backend_batch_note(b, all.at[i].name, &was, NULL);
	}
	ledger_copies_drop(&all);
	if (rc == 0 && any)
		return blt_batch_commit(b);
	blt_batch_abort(b);
	return rc < 0 ? rc : -ENOENT;
}

int ledger_forget(struct blt *store, const char *job, int wait_ms,
		  struct blt_error *err)
{
	struct ledger_hold *hold;
	int rc = ledger_hold_take(store, job, 0, wait_ms, &hold);

	if (rc == -EBUSY)
		return store_fail(err, rc,
				  "job %s: is running; wait for its end, or "
				  "stop it",
				  job);
	if (rc == 0) {
		rc = ledger_delete(store, job);
		ledger_hold_release(hold);
	}
	return rc < 0 ? ledger_fail(store, job, rc, err) : 0;
}

/* ---- each shard ---- */

/* Of a row; false: a head, or not a name that the ledger gives. */
static bool is_row(const char *name, char job[LEDGER_NAME_MAX + 1],
		   unsigned *ret_shard)
{
	const char *slash = strchr(name += strlen(PREFIX), '/');
	size_t n = slash ? (size_t)(slash - name) : 0;

	if (n == 0 || n > LEDGER_NAME_MAX)
		return false;
	memcpy(job, name, n);
	job[n] = '\0';
	*ret_shard = (unsigned)strtoul(slash + 1, NULL, 10);
	return ledger_is_name(job) && *ret_shard >= 1 &&
	       *ret_shard <= LEDGER_SHARDS_MAX;
}

static bool is_running(struct blt *store, const struct ledger_copy *c)
{
	struct ledger_hold *hold = NULL;
	struct ledger_row row;
	char job[LEDGER_NAME_MAX + 1];
	unsigned shard;
	bool lives;

	if (!is_row(c->name, job, &shard))
		return false;
	if (!ledger_hold_is_sure(store)) {
		if (ledger_row_unpack(c->note.bytes, c->note.len, &row) < 0)
			return false;
		lives = ledger_row_lives(&row, now_us());
		ledger_row_release(&row);
		return lives;
	}
	/* Nobody can have a store that is not shared but a mount's daemon,
	 * whose list this is. */
	if (ledger_hold_take(store, job, shard, 0, &hold) == -EBUSY)
		return true;
	ledger_hold_release(hold);
	return false;
}

int ledger_copies_take(struct blt *store, struct ledger_copies *ret)
{
	int rc = copy_all(store, ret);

	for (size_t i = 0; rc == 0 && i < ret->n; i++)
		ret->at[i].running = is_running(store, &ret->at[i]);
	return rc;
}

static int compare_names(const void *one, const void *two)
{
	return strcmp(((const struct ledger_copy *)one)->name,
		      ((const struct ledger_copy *)two)->name);
}

static int tell_shard(const struct ledger_copies *all, const char *job,
		      unsigned shard, const struct ledger_head *head,
		      ledger_fn *fn, void *arg)
{
	struct ledger_entry e = { .job = job, .shard = shard, .head = head };
	struct ledger_row row = { .state = LEDGER_STOPPED };
	char name[LEDGER_NOTE_NAME];
	const struct ledger_copy key = { .name = name }, *c;
	int rc = 0;

	ledger_row_name(job, shard, name);
	c = bsearch(&key, all->at, all->n, sizeof(key), compare_names);
	if (c) {
		rc = ledger_row_unpack(c->note.bytes, c->note.len, &row);
		e.running = c->running;
		e.damaged = rc == -EUCLEAN;
		e.row = rc == 0 ? &row : NULL;
	}
	if (rc == 0 || e.damaged)
		rc = fn(arg, &e);
	ledger_row_release(&row);
	return rc == 0 && e.damaged ? -EUCLEAN : rc;
}

static int tell_job(const struct ledger_copies *all,
		    const struct ledger_copy *c, ledger_fn *fn, void *arg)
{
	const char *job = c->name + strlen(PREFIX);
	struct ledger_head head = { .shards = 0 };
	struct ledger_entry e = { .job = job, .head = &head, .damaged = true };
	int rc = ledger_head_unpack(c->note.bytes, c->note.len, &head), r;

	if (rc == -EUCLEAN) {
		r = fn(arg, &e);
		return r ? r : rc;
	}
	for (unsigned s = 1; s <= head.shards && (!rc || rc == -EUCLEAN); s++) {
		r = tell_shard(all, job, s, &head, fn, arg);
		rc = r ? r : rc;
	}
	return rc;
}

int ledger_copies_tell(struct ledger_copies *all, const char *job,
		       ledger_fn *fn, void *arg)
{
	bool any = false;
	int rc = 0, r;

	if (all->n)
		qsort(all->at, all->n, sizeof(*all->at), compare_names);
	for (size_t i = 0; i < all->n && (!rc || rc == -EUCLEAN); i++) {
		const char *name = all->at[i].name + strlen(PREFIX);

		if (!ledger_is_name(name) || (job && strcmp(name, job) != 0))
			continue;
		any = true;
		r = tell_job(all, &all->at[i], fn, arg);
		rc = r ? r : rc;
	}
	return rc == 0 && job && !any ? -ENOENT : rc;
}

int ledger_each(struct blt *store, const char *job, ledger_fn *fn, void *arg)
{
	struct ledger_copies all = { .n = 0 };
	int rc = ledger_copies_take(store, &all);

	if (rc < 0)
		return rc;
	rc = ledger_copies_tell(&all, job, fn, arg);
	ledger_copies_drop(&all);
	return rc;
}

int ledger_shards(struct blt *store, const char *job, unsigned *ret)
{
	char name[LEDGER_NOTE_NAME];
	struct ledger_note note;
	struct ledger_head head;
	int rc;

	ledger_head_name(job, name);
	rc = ledger_note_get(store, name, &note);
	if (rc == 0)
		rc = note.there ?
			     ledger_head_unpack(note.bytes, note.len, &head) :
			     -ENOENT;
	free(note.bytes);
	if (rc == 0)
		*ret = head.shards;
	return rc;
}
