/* ledger.h - how far a named map (--job) is, kept in the store that it writes
 * to, so that each item's effect is stored exactly once.
 *
 * A job is a name and N shards (N is 1 unless --shard says otherwise).  Its
 * ledger is notes of the store (engine/backend.h): a head, with N and the
 * function's identity, and a row for each shard, with the last key whose item
 * is settled and the keys that failed.
 *
 * The rules of exactly once:
 *   1. Items come in an order of keys that is the same at each start
 *      (iter_ordered; a list of keys: by its bytes).
 *   2. Items are settled in that order: a result that is ready early waits in
 *      memory (map_order) until all items before it have ended.  So the last
 *      key stands for all items before it.  At most MAP_ORDER_MAX items wait.
 *   3. The results of items and the row that settles them are one batch.
 *   4. A row changes only where it is still what this run wrote last.  Each
 *      start writes its row before it reads an item, with a number of its own.
 *      So of two runs that both believe to own a shard the older cannot commit
 *      any more (-ESTALE), whatever detects owners.
 *   5. A start goes on behind the row's last key.
 *   6. Results go under the item's own key, or under one that the job does not
 *      take as an item, or to another store: nothing that is written before an
 *      interruption is an item after it.
 *   7. An item that fails is settled too; its key is in the row, with the same
 *      commit, until a retry succeeds.
 * The function itself runs at least once: an item that was at work, or whose
 * result waited, when a run ended is worked on again.
 *
 *   rc = ledger_open(&l, store, &how, err);
 *   ...                               from behind l->row.last
 *   ledger_settle(l, key, len, LEDGER_WRITTEN)       any number of times
 *   rc = ledger_add(l, batch);                       once for each batch
 *   rc = blt_batch_commit(batch);
 *   if (rc == 0)
 *           ledger_committed(l);
 *   ledger_close(l);
 *
 * Owners: a run holds its shard.  A process keeps a list of its own; where
 * other processes can have the store open, its engine holds a lock that ends
 * with the process; an engine without one has the row's time, which a run
 * renews, and a row that is older than LEDGER_DEAD_US is nobody's.
 *
 * Ownership: the ledger is the caller's from ledger_open to ledger_close; store
 * and strings are borrowed for as long.  Errors: -errno and a sentence in err:
 *   -EBUSY    another run has the shard     -EEXIST  another N or function
 *   -ENOTSUP  the store keeps no notes      -ESTALE  taken over
 *   -ENOENT   no such job (retry, forget)
 * Threads: one at a time.
 */
#ifndef BLT_LEDGER_H
#define BLT_LEDGER_H

#include "blt.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LEDGER_NAME_MAX 64
#define LEDGER_SHARDS_MAX 4096
#define LEDGER_FAILED_MAX 4096                 /* keys in a row, */
#define LEDGER_FAILED_BYTES ((size_t)64 << 10) /* and their bytes */
#define LEDGER_BEAT_US 10000000 /* a run renews its row that often, */
#define LEDGER_DEAD_US 60000000 /* where only that shows that it lives */
#define LEDGER_TEXT 256

enum ledger_what {
	LEDGER_WRITTEN,
	LEDGER_SKIPPED,
	LEDGER_FAILED,
	LEDGER__WHAT,
};

enum ledger_state {
	LEDGER_STOPPED, /* interrupted; the next start goes on */
	LEDGER_RUNNING,
	LEDGER_DONE,
	LEDGER__STATES,
};

struct ledger_key {
	uint8_t *bytes; /* malloc'd */
	size_t len;
};

struct ledger_row {
	enum ledger_state state;
	uint64_t run;                 /* a random number of each start */
	uint64_t count[LEDGER__WHAT]; /* items settled, by all runs */
	int64_t began, renewed;       /* when */
	char owner[LEDGER_TEXT];      /* "host:pid" of the last run */
	bool has_last;
	struct ledger_key last;    /* settled, with all before it */
	struct ledger_key *failed; /* n_failed of them */
	size_t n_failed, failed_bytes;
};

struct ledger_head {
	unsigned shards;
	uint8_t identity[BLT_HASH_LEN];
	char function[LEDGER_TEXT]; /* for a person */
	uint64_t run;               /* that made it */
};

struct ledger_how {
	const char *job;
	unsigned shard, shards;  /* 1 to shards */
	const uint8_t *identity; /* BLT_HASH_LEN bytes */
	const char *function;
	bool restart; /* as if the job had not begun */
	bool retry;   /* of a job that has begun: what failed */
	int wait_ms;  /* for another run to end; -1: for ever */
};

struct ledger;

/* Whether a job may have that name: letters, digits, and . _ - + behind the
 * first. */
bool ledger_is_name(const char *name);

int ledger_open(struct ledger **ret, struct blt *store,
		const struct ledger_how *how, struct blt_error *err);
void ledger_close(struct ledger *l); /* NULL is fine */

/* As it is by now: committed or not. */
const struct ledger_row *ledger_row(const struct ledger *l);

/* The item of that key has ended so, and all before it have.  On a retry the
 * order does not matter.  -ENOMEM; -EDQUOT: too many have failed, and it is not
 * settled. */
int ledger_settle(struct ledger *l, const void *key, size_t len,
		  enum ledger_what what);
/* The input is at its end, and all is settled; or the run ends before. */
void ledger_finish(struct ledger *l, bool done);

/* Whether there is something to commit; for long enough, or much. */
bool ledger_moved(const struct ledger *l);
bool ledger_due(const struct ledger *l, int64_t steady_now);

/* Adds what has moved to a batch of the store.  After the commit: committed, or
 * failed, which says in err what -ESTALE means. */
int ledger_add(struct ledger *l, struct blt_batch *b);
void ledger_committed(struct ledger *l);
int ledger_failed(const struct ledger *l, int rc, struct blt_error *err);

/* Whether a row, as it is in the store, belongs to a run that lives, where only
 * its time can tell, or, of a process on this machine, that there is none. */
bool ledger_row_lives(const struct ledger_row *row, int64_t now);

/* ---- all jobs of a store ---- */

struct ledger_entry {
	const char *job;
	unsigned shard;
	bool running;
	bool damaged; /* what is noted; of the head: no shard, and head is 0 */
	const struct ledger_head *head;
	const struct ledger_row *row; /* NULL: this shard has not begun */
};
typedef int ledger_fn(void *arg, const struct ledger_entry *e);

/* Each shard of each job, or of that job; not 0 ends it.  -ENOENT: job is not
 * NULL, and there is none of that name.  -EUCLEAN: one was damaged; the others
 * were told too. */
int ledger_each(struct blt *store, const char *job, ledger_fn *fn, void *arg);

/* The number of shards: of a job that has begun, or -ENOENT. */
int ledger_shards(struct blt *store, const char *job, unsigned *ret);

/* Says in err what an error of these means. */
int ledger_fail(struct blt *store, const char *job, int rc,
		struct blt_error *err);

/* The job has never been. */
int ledger_forget(struct blt *store, const char *job, int wait_ms,
		  struct blt_error *err);

/* ledger_each of a store elsewhere: its notes as bytes, and back.  -EPROTO. */
int ledger_pack(struct blt *store, uint8_t **ret, size_t *ret_len);
int ledger_unpack(const uint8_t *bytes, size_t len, const char *job,
		  ledger_fn *fn, void *arg);

#endif
