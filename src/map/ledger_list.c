/* All jobs of a store: read, deleted, and handed to another process. */
#include "map/ledger_inner.h"

#include "engine/backend.h"
#include "base/util.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "job/"

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

/* All notes of jobs, copied, so that the store is free when they are used. */
struct copies {
	struct copy {
		char *name;
		struct ledger_note note;
	} * at;
	size_t n, room;
};

static int copy_note(void *arg, const struct backend_note *n)
{
	struct copies *c = arg;
	struct copy to = { .note = { .there = true, .len = n->len } };

	if (n->name_len < strlen(PREFIX) ||
	    memcmp(n->name, PREFIX, strlen(PREFIX)) != 0 ||
	    memchr(n->name, '\0', n->name_len))
		return 0;
	if (ARRAY_ROOM(c->at, c->room, c->n + 1) < 0)
		return -ENOMEM;
	to.name = strndup(n->name, n->name_len);
	to.note.bytes = malloc(n->len + 1);
	if (to.note.bytes)
		memcpy(to.note.bytes, n->bytes, n->len);
	c->at[c->n++] = to;
	return to.name && to.note.bytes ? 0 : -ENOMEM;
}

static void drop_copies(struct copies *c)
{
	for (size_t i = 0; i < c->n; i++) {
		free(c->at[i].name);
		free(c->at[i].note.bytes);
	}
	free(c->at);
}

static int copy_all(struct blt *store, struct copies *ret)
{
	int rc = store->backend->notes ?
			 store->backend->notes(store, copy_note, ret) :
			 -ENOTSUP;

	if (rc < 0)
		drop_copies(ret);
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
	struct copies all = { .n = 0 };
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
	drop_copies(&all);
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

static const struct ledger_note *find(const struct copies *all,
				      const char *name)
{
	for (size_t i = 0; i < all->n; i++)
		if (strcmp(all->at[i].name, name) == 0)
			return &all->at[i].note;
	return NULL;
}

static bool is_running(struct blt *store, const char *job, unsigned shard,
		       const struct ledger_row *row)
{
	struct ledger_hold *hold = NULL;

	if (!ledger_hold_is_sure(store))
		return ledger_row_lives(row, now_us());
	/* Nobody can have a store that is not shared but a mount's daemon,
	 * whose list this is. */
	if (ledger_hold_take(store, job, shard, 0, &hold) == -EBUSY)
		return true;
	ledger_hold_release(hold);
	return false;
}

static int tell_shard(struct blt *store, const struct copies *all,
		      const char *job, unsigned shard,
		      const struct ledger_head *head, ledger_fn *fn, void *arg)
{
	struct ledger_entry e = { job, shard, false, head, NULL };
	struct ledger_row row = { .state = LEDGER_STOPPED };
	char name[LEDGER_NOTE_NAME];
	const struct ledger_note *n;
	int rc = 0;

	ledger_row_name(job, shard, name);
	n = find(all, name);
	if (n) {
		rc = ledger_row_unpack(n->bytes, n->len, &row);
		e.row = &row;
	}
	if (rc == 0 && store)
		e.running = is_running(store, job, shard, &row);
	if (rc == 0)
		rc = fn(arg, &e);
	ledger_row_release(&row);
	return rc;
}

static int compare_names(const void *one, const void *two)
{
	return strcmp(((const struct copy *)one)->name,
		      ((const struct copy *)two)->name);
}

static int tell_all(struct blt *store, struct copies *all, const char *job,
		    ledger_fn *fn, void *arg)
{
	struct ledger_head head;
	bool any = false;
	int rc = 0;

	if (all->n)
		qsort(all->at, all->n, sizeof(*all->at), compare_names);
	for (size_t i = 0; i < all->n && rc == 0; i++) {
		const char *name = all->at[i].name + strlen(PREFIX);

		if (strchr(name, '/') || (job && strcmp(name, job) != 0))
			continue;
		any = true;
		rc = ledger_head_unpack(all->at[i].note.bytes,
					all->at[i].note.len, &head);
		for (unsigned s = 1; rc == 0 && s <= head.shards; s++)
			rc = tell_shard(store, all, name, s, &head, fn, arg);
	}
	return rc == 0 && job && !any ? -ENOENT : rc;
}

int ledger_each(struct blt *store, const char *job, ledger_fn *fn, void *arg)
{
	struct copies all = { .n = 0 };
	int rc = copy_all(store, &all);

	if (rc < 0)
		return rc;
	rc = tell_all(store, &all, job, fn, arg);
	drop_copies(&all);
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
