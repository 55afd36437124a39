/* One run of a shard.  was is the row as the store has it, byte for byte: the
 * next commit compares it (rule 4). */
#include "map/ledger.h"

#include "map/ledger_inner.h"
#include "engine/backend.h"
#include "base/util.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define DUE_ITEMS 1000
#define DUE_US 500000
#define TRIES 100 /* to be the one that begins a job */

struct ledger {
	struct blt *store;
	struct ledger_hold *hold;
	char job[LEDGER_NAME_MAX + 1];
	unsigned shard, shards;
	bool retry;
	struct ledger_row row;
	struct ledger_note was, next; /* next: in the batch, not committed */
	uint64_t moved;               /* items since the last commit */
	bool ended;                   /* the state is to be committed */
	int64_t since;                /* the first of them, by steady_us */
	int64_t committed;            /* by steady_us */
};

bool ledger_is_name(const char *name)
{
	size_t n = strlen(name);

	if (n == 0 || n > LEDGER_NAME_MAX || !isalnum((unsigned char)*name))
		return false;
	for (const char *c = name; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr("._-+", *c))
			return false;
	return true;
}

const struct ledger_row *ledger_row(const struct ledger *l)
{
	return &l->row;
}

#define HOST_MAX 128

static size_t own_host(char host[HOST_MAX])
{
	host[0] = host[HOST_MAX - 1] = '\0';
	gethostname(host, HOST_MAX - 1);
	return strlen(host);
}

static void write_owner(char to[LEDGER_TEXT])
{
	char host[HOST_MAX];

	own_host(host);
	snprintf(to, LEDGER_TEXT, "%s:%ld", host, (long)getpid());
}

/* A process of this machine can be looked for.  Who is wrong, since another
 * container has the machine's name, finds the row changed at its first commit
 * and stops. */
static bool has_died(const char *owner)
{
	char host[HOST_MAX];
	size_t n = own_host(host);
	long pid;

	if (n == 0 || strncmp(owner, host, n) != 0 || owner[n] != ':')
		return false;
	pid = strtol(owner + n + 1, NULL, 10);
	return pid > 0 && kill((pid_t)pid, 0) < 0 && errno == ESRCH;
}

bool ledger_row_lives(const struct ledger_row *row, int64_t now)
{
	uint64_t a = (uint64_t)row->renewed, b = (uint64_t)now;

	/* A time to come is as wrong as one long past, and has no end. */
	return row->state == LEDGER_RUNNING && !has_died(row->owner) &&
	       (row->renewed > now ? a - b : b - a) < LEDGER_DEAD_US;
}

static uint64_t random_number(void)
{
	uint64_t v;

	return getrandom(&v, sizeof(v), 0) == sizeof(v) ? v :
							  (uint64_t)now_us();
}

/* ---- committing ---- */

bool ledger_moved(const struct ledger *l)
{
	return l->moved || l->ended;
}

bool ledger_due(const struct ledger *l, int64_t now)
{
	if (!ledger_hold_is_sure(l->store) &&
	    now - l->committed >= LEDGER_BEAT_US)
		return true;
	return l->moved && (l->moved >= DUE_ITEMS || now - l->since >= DUE_US);
}

int ledger_add(struct ledger *l, struct blt_batch *b)
{
	const struct blt_bytes was = { l->was.bytes, l->was.len };
	char name[LEDGER_NOTE_NAME];
	struct blt_bytes next;
	int rc;

	free(l->next.bytes);
	l->next = (struct ledger_note){ .there = true };
	l->row.renewed = now_us();
	ledger_row_name(l->job, l->shard, name);
	rc = ledger_row_pack(&l->row, &l->next.bytes, &l->next.len);
	if (rc == 0)
		rc = blt_batch_only_if(b, NULL, 0, 0, NULL);
	next = (struct blt_bytes){ l->next.bytes, l->next.len };
	if (rc == 0)
		rc = backend_batch_note(b, name, l->was.there ? &was : NULL,
					&next);
	return rc;
}

void ledger_committed(struct ledger *l)
{
	free(l->was.bytes);
	l->was = l->next;
	l->next = (struct ledger_note){ .there = false };
	l->moved = 0;
	l->ended = false;
	l->committed = steady_us();
}

int ledger_failed(const struct ledger *l, int rc, struct blt_error *err)
{
	if (rc == -ESTALE)
		return store_fail(err, rc,
				  "job %s, shard %u/%u: another run has taken "
				  "it over; nothing of this one was stored "
				  "since",
				  l->job, l->shard, l->shards);
	return ledger_fail(l->store, l->job, rc, err);
}

static int commit_row(struct ledger *l)
{
	struct blt_batch *b;
	int rc = blt_batch_new(l->store, &b);

	if (rc < 0)
		return rc;
	rc = ledger_add(l, b);
	if (rc < 0) {
		blt_batch_abort(b);
		return rc;
	}
	rc = blt_batch_commit(b);
	if (rc == 0)
		ledger_committed(l);
	return rc;
}

/* ---- moving ---- */

static int set_last(struct ledger *l, const void *key, size_t len)
{
	uint8_t *bytes = l->row.last.bytes;
	uint8_t *more;

	if (!l->row.has_last || len > l->row.last.len) {
		more = realloc(bytes, len + 1);
		if (!more)
			return -ENOMEM;
		bytes = more;
	}
	if (len)
		memcpy(bytes, key, len);
	l->row.last = (struct ledger_key){ bytes, len };
	l->row.has_last = true;
	return 0;
}

int ledger_settle(struct ledger *l, const void *key, size_t len,
		  enum ledger_what what)
{
	int rc = 0;

	if (l->retry && what == LEDGER_FAILED)
		return 0; /* it is in the row already */
	if (what == LEDGER_FAILED)
		rc = ledger_add_failed(&l->row, key, len);
	if (rc == 0 && !l->retry)
		rc = set_last(l, key, len);
	if (rc < 0)
		return rc;
	if (l->retry) {
		ledger_drop_failed(&l->row, key, len);
		l->row.count[LEDGER_FAILED]--;
	}
	l->row.count[what]++;
	if (!l->moved++)
		l->since = steady_us();
	return 0;
}

void ledger_finish(struct ledger *l, bool done)
{
	if (!l->retry)
		l->row.state = done ? LEDGER_DONE : LEDGER_STOPPED;
	else if (l->row.state == LEDGER_RUNNING)
		l->row.state = LEDGER_STOPPED;
	l->ended = true;
}

/* ---- opening ---- */

static int make_head(struct ledger *l, const struct ledger_how *how,
		     struct ledger_head *ret)
{
	struct ledger_head h = { .shards = how->shards,
				 .run = random_number() };
	char name[LEDGER_NOTE_NAME];
	struct blt_bytes value;
	struct blt_batch *b;
	uint8_t *bytes;
	size_t len;
	int rc;

	memcpy(h.identity, how->identity, BLT_HASH_LEN);
	snprintf(h.function, sizeof(h.function), "%s", how->function);
	ledger_head_name(how->job, name);
	rc = ledger_head_pack(&h, &bytes, &len);
	if (rc < 0)
		return rc;
	value = (struct blt_bytes){ bytes, len };
	rc = blt_batch_new(l->store, &b);
	if (rc == 0) {
		rc = backend_batch_note(b, name, NULL, &value);
		if (rc == 0)
			rc = blt_batch_commit(b);
		else
			blt_batch_abort(b);
	}
	free(bytes);
	if (rc == 0)
		*ret = h;
	return rc;
}

static int check_head(const struct ledger_how *how, const struct ledger_head *h,
		      struct blt_error *err)
{
	if (h->shards != how->shards)
		return store_fail(err, -EEXIST,
				  "job %s: was begun with %u shards, and this "
				  "is %u/%u; run it with --shard I/%u, or "
				  "--restart it",
				  how->job, h->shards, how->shard, how->shards,
				  h->shards);
	if (memcmp(h->identity, how->identity, BLT_HASH_LEN) != 0)
		return store_fail(err, -EEXIST,
				  "job %s: was begun as \"%s\", with other "
				  "options or of another store; give it the "
				  "same, another name, or --restart",
				  how->job, h->function);
	return 0;
}

/* Another shard may begin the job at the same moment. */
static int find_head(struct ledger *l, const struct ledger_how *how,
		     struct ledger_head *ret)
{
	struct ledger_note note;
	char name[LEDGER_NOTE_NAME];
	int rc = -ESTALE;

	ledger_head_name(how->job, name);
	for (int i = 0; rc == -ESTALE && i < TRIES; i++) {
		rc = ledger_note_get(l->store, name, &note);
		if (rc == 0 && note.there)
			rc = ledger_head_unpack(note.bytes, note.len, ret);
		else if (rc == 0)
			rc = how->retry ? -ENOENT : make_head(l, how, ret);
		free(note.bytes);
	}
	return rc;
}

/* A row is of the job that the head began: --restart deletes all of them. */
static int take_row(struct ledger *l)
{
	char name[LEDGER_NOTE_NAME];
	int rc;

	ledger_row_name(l->job, l->shard, name);
	rc = ledger_note_get(l->store, name, &l->was);
	if (rc == 0 && l->was.there)
		rc = ledger_row_unpack(l->was.bytes, l->was.len, &l->row);
	return rc;
}

static int fail_busy(struct ledger *l, struct blt_error *err)
{
	return store_fail(err, -EBUSY,
			  "job %s, shard %u/%u: is running%s%s; wait for its "
			  "end, or stop it",
			  l->job, l->shard, l->shards,
			  l->row.owner[0] ? " at " : "", l->row.owner);
}

/* Writes the row, so that older runs cannot go on. */
static int claim(struct ledger *l)
{
	if (!l->row.began)
		l->row.began = now_us();
	if (!l->retry && l->row.state != LEDGER_DONE)
		l->row.state = LEDGER_RUNNING;
	l->row.run = random_number();
	write_owner(l->row.owner);
	return commit_row(l);
}

/* The job's head, where it is the same map. */
static int agree(struct ledger *l, const struct ledger_how *how,
		 struct ledger_head *head, struct blt_error *err)
{
	int rc = find_head(l, how, head);

	return rc < 0 ? ledger_fail(l->store, how->job, rc, err) :
			check_head(how, head, err);
}

static int start(struct ledger *l, const struct ledger_how *how,
		 struct blt_error *err)
{
	struct ledger_head head;
	int rc = 0;

	if (how->restart)
		rc = ledger_forget(l->store, how->job, how->wait_ms, err);
	if (rc < 0 && rc != -ENOENT)
		return rc;
	rc = agree(l, how, &head, err);
	if (rc < 0)
		return rc;
	rc = ledger_hold_take(l->store, how->job, how->shard, how->wait_ms,
			      &l->hold);
	if (rc < 0 && rc != -EBUSY)
		return ledger_fail(l->store, how->job, rc, err);
	if (rc == -EBUSY)
		return take_row(l), fail_busy(l, err);
	/* It may have been begun anew meanwhile. */
	rc = agree(l, how, &head, err);
	if (rc < 0)
		return rc;
	rc = take_row(l);
	if (rc == 0 && !ledger_hold_is_sure(l->store) &&
	    ledger_row_lives(&l->row, now_us()))
		return fail_busy(l, err);
	if (rc == 0)
		rc = claim(l);
	return rc < 0 ? ledger_fail(l->store, how->job, rc, err) : 0;
}

int ledger_open(struct ledger **ret, struct blt *store,
		const struct ledger_how *how, struct blt_error *err)
{
	struct ledger *l = calloc(1, sizeof(*l));
	int rc;

	if (!l)
		return store_fail(err, -ENOMEM, "out of memory");
	l->store = store;
	l->shard = how->shard;
	l->shards = how->shards;
	l->retry = how->retry;
	snprintf(l->job, sizeof(l->job), "%s", how->job);
	rc = start(l, how, err);
	if (rc < 0)
		ledger_close(l);
	else
		*ret = l;
	return rc;
}

void ledger_close(struct ledger *l)
{
	if (!l)
		return;
	ledger_hold_release(l->hold);
	ledger_row_release(&l->row);
	free(l->was.bytes);
	free(l->next.bytes);
	free(l);
}
