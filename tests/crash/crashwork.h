/* crashwork.h - random work on a store on a crashdisk, with a record of what it
 * held after every commit and of what was promised.
 *
 *   crashwork_begin(&w, kind, seed)
 *   crashwork_do(&w, n)                  n random operations
 *   crashwork_end(&w)                    close
 *   crashwork_check(&w, n, totals)       n images, each opened and looked at
 *   crashwork_release(&w)
 *
 * Functions return 0, or -1 with a sentence in crash_says.
 */
#ifndef TEST_CRASHWORK_H
#define TEST_CRASHWORK_H

#include "crash/crashdisk.h"
#include "crash/crashseq.h"
#include "booklet/store/store.h"

#define CRASH_KEYS 12
#define CRASH_SLOTS 2 /* the reserved ones */

struct crash_kind {
	const char *name;
	struct blt_create_options create;
};

#define CRASH_KINDS 6
extern const struct crash_kind crash_kinds[CRASH_KINDS];

extern char crash_says[1024];

/* A value, as its hash; hash 0: none. */
struct crash_entry {
	uint64_t hash;
	uint64_t len;
	int64_t time;
};

struct crash_state {
	struct crash_entry key[CRASH_KEYS];
	struct crash_entry slot[CRASH_SLOTS];
	struct crash_seq seq;
};

/* A state may be met from the call on at which its commit began. */
struct crash_commit {
	struct crash_state state;
	size_t call;
};

/* From this call on no earlier state may be met. */
struct crash_promise {
	size_t call;
	size_t commit;
};

/* What a cut may fall into. */
enum crash_phase_kind {
	PHASE_CHANGES,
	PHASE_LONG, /* values of more than a chunk */
	PHASE_STREAM,
	PHASE_RENAME,
	PHASE_TXN,
	PHASE_SEQ,
	PHASE_GROWTH,
	PHASE_PRUNE,
	PHASE_TRIM,
	PHASE_SYNC, /* and close, and what is done at rest */
	PHASE_RECOVERY,
	PHASES,
};

extern const char *const crash_phase_names[PHASES];

struct crash_phase {
	enum crash_phase_kind kind;
	size_t call; /* the first */
};

/* A value on its way. */
struct crash_stream {
	struct blt_stream *stream; /* NULL: none */
	uint8_t *value;
	size_t len, written;
};

struct crashwork {
	const struct crash_kind *kind;
	uint64_t seed, drawn;
	unsigned depth; /* cuts that it has been through */
	struct crashdisk disk;
	struct blt *store; /* NULL: closed, or failed to open */
	struct crash_commit *commit;
	size_t n_commits, commit_room;
	struct crash_promise *durable, *flushed;
	size_t n_durable, durable_room, n_flushed, flushed_room;
	struct crash_phase *phase;
	size_t n_phases, phase_room;
	bool faulty; /* errors are no failure of the test */
	int error;   /* the first one that an operation gave */
	struct crash_stream stream[2];
	bool prunes;     /* and trims, now and then */
	bool txns;       /* the same for transactions */
	bool seqs;       /* and for changes of a sequence */
	bool big_values; /* some are longer than a chunk */
};

struct crash_totals {
	unsigned long images, distinct, recoveries, nested, kills, workloads;
	unsigned long how[CUT_HOWS];
	unsigned long phase[PHASES]; /* distinct images */
	/* Called with an image after its clean close, if set. */
	void (*closed)(void *arg, const uint8_t *image, size_t len);
	void *arg;
};

int crashwork_begin(struct crashwork *w, const struct crash_kind *kind,
		    uint64_t seed);
int crashwork_do(struct crashwork *w, unsigned n);
/* One put, of any of the keys. */
int crashwork_put(struct crashwork *w);
int crashwork_prune(struct crashwork *w);
int crashwork_trim(struct crashwork *w);

int crashwork_end(struct crashwork *w);
void crashwork_release(struct crashwork *w);

/* Opens what a fault has closed. */
int crashwork_open(struct crashwork *w);

/* Whether the open store holds the newest state. */
int crashwork_holds(struct crashwork *w);

/* The same for a store that a cut was followed by: the commit that it holds,
 * of the n from the given one on; the later ones are forgotten. */
int crashwork_find(struct crashwork *w, size_t from, size_t n);

/* Begins with a disk that a cut has left; the disk is to be set up by the
 * caller, commits from the given one on are taken over. */
void crashwork_inherit(struct crashwork *w, const struct crashwork *from,
		       size_t first, size_t n);

/* What the cut may have left: the first commit, and how many. */
size_t crashwork_possible(const struct crashwork *w, const struct cut *cut,
			  size_t *ret_first);

/* What went on when so many calls had been made. */
enum crash_phase_kind crashwork_phase(const struct crashwork *w, size_t calls);

/* What the store holds. */
int crashwork_read(struct crashwork *w, struct blt *store,
		   struct crash_state *ret);

int crashwork_say(const struct crashwork *w, const char *text);

/* ---- crashcheck.c ---- */

int crashwork_check(struct crashwork *w, unsigned long n,
		    struct crash_totals *totals);

/* A workload and its images, from a seed alone. */
int crashwork_run(uint64_t seed, unsigned long images,
		  struct crash_totals *totals);

#endif
