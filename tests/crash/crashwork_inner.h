/* crashwork_inner.h - what crashwork.c keeps; crashops.c and
 * crashstream.c do the work. */
#ifndef TEST_CRASHWORK_INNER_H
#define TEST_CRASHWORK_INNER_H

#include "crash/crashwork.h"

/* ---- crashwork.c ---- */

/* Aborts for NULL. */
void *crash_need(void *p);

uint64_t crash_draw(struct crashwork *w, uint64_t below);

int64_t crash_draw_time(struct crashwork *w);

/* Whether the store has timestamps. */
bool crash_timed(const struct crashwork *w);

/* Returns its length; there is room for 600 bytes. */
size_t crash_make_key(unsigned i, char *to);

struct crash_entry crash_entry_of(const void *bytes, size_t len, int64_t time);

/* The same with the time that the store keeps of it. */
struct crash_entry crash_timed_entry(const struct crashwork *w,
				     const void *value, size_t len,
				     int64_t time);

const struct crash_state *crash_newest(const struct crashwork *w);

/* A commit begins that leads to this state. */
void crash_note_commit(struct crashwork *w, const struct crash_state *s);

/* What was committed outlives the process; and a power cut. */
void crash_promise_flushed(struct crashwork *w);
void crash_promise_durable(struct crashwork *w);

void crash_note_phase(struct crashwork *w, enum crash_phase_kind kind);

/* What an operation gave: with faults about, an error undoes the state that it
 * would have led to. */
int crash_outcome(struct crashwork *w, int rc, const char *what, bool commits);

/* ---- crashstream.c ---- */

/* One operation of a batch, and what s then is; a slot; a note. */
int crash_batch_one(struct crashwork *w, struct blt_batch *b,
		    struct crash_state *s);
int crash_do_slot(struct crashwork *w);
int crash_do_note(struct crashwork *w);

int crash_do_stream(struct crashwork *w);
void crash_drop_streams(struct crashwork *w);

#endif
