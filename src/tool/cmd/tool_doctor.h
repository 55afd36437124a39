/* tool_doctor.h - blt doctor: what keeps a store from being mounted.
 *
 * A check looks at one thing and says what it found with doctor_find, once for
 * each thing it has to say; where something is to be changed, how.  To add
 * one: a function, and a row in the table of its file.
 *
 * Errors: none; what cannot be looked at is a finding too.
 * Threads: one.
 */
#ifndef BLT_TOOL_DOCTOR_H
#define BLT_TOOL_DOCTOR_H

#include "tool/tool.h"

enum doctor_state {
	DOCTOR_OK,
	DOCTOR_NOTE, /* works, but not all of it, or not for ever */
	DOCTOR_BAD,
};

struct doctor {
	struct tool *t;
	const char *store; /* as given; NULL: none was */
	const char *check; /* the name of the present one */
	struct jout j;
	unsigned found[3]; /* by state */
	bool hopeless;     /* the checks behind this one have nothing to look
			    * at */
};

struct doctor_check {
	const char *name;
	void (*look)(struct doctor *d);
};

/* advice NULL: nothing is to be done. */
void doctor_find(struct doctor *d, enum doctor_state state, const char *advice,
		 const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Each ends with a row without a name. */
extern const struct doctor_check doctor_system[]; /* tool_doctor_system.c */
extern const struct doctor_check doctor_store[];  /* tool_doctor_store.c */

#endif
