/* tool_doctor.c - blt doctor: the checks in their order, and what they found
 * as text or JSON. */
#include "tool/cmd/tool_doctor.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define TEXT_COLUMN 24

static const char *const state_names[] = {
	[DOCTOR_OK] = "ok",
	[DOCTOR_NOTE] = "note",
	[DOCTOR_BAD] = "bad",
};

static void print_json(struct doctor *d, enum doctor_state state,
		       const char *text, const char *advice)
{
	jout_open(&d->j, NULL, '{');
	jout_text(&d->j, "check", d->check);
	jout_text(&d->j, "state", state_names[state]);
	jout_bytes(&d->j, "text", text, strlen(text));
	if (advice)
		jout_bytes(&d->j, "advice", advice, strlen(advice));
	else
		jout_text(&d->j, "advice", NULL);
	jout_close(&d->j, '}');
}

static void print_text(const struct doctor *d, enum doctor_state state,
		       const char *text, const char *advice)
{
	if (tool_has(d->t, OPT_QUIET) && state == DOCTOR_OK)
		return;
	printf("%-5s %-*s", state_names[state], TEXT_COLUMN - 6, d->check);
	tool_print_name(text, strlen(text));
	putchar('\n');
	if (!advice)
		return;
	printf("%*s-> ", TEXT_COLUMN, "");
	tool_print_name(advice, strlen(advice));
	putchar('\n');
}

void doctor_find(struct doctor *d, enum doctor_state state, const char *advice,
		 const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	d->found[state]++;
	if (tool_has(d->t, OPT_JSON))
		print_json(d, state, text ? text : "out of memory", advice);
	else
		print_text(d, state, text ? text : "out of memory", advice);
	free(text);
}

static void look(struct doctor *d, const struct doctor_check *checks)
{
	d->hopeless = false;
	for (; checks->name && !d->hopeless; checks++) {
		d->check = checks->name;
		checks->look(d);
	}
}

static int run_doctor(struct tool *t)
{
	struct doctor d = { .t = t, .store = t->n_args ? t->arg[0] : NULL };

	d.j = (struct jout){ .to = stdout };
	if (tool_has(t, OPT_JSON)) {
		jout_open(&d.j, NULL, '{');
		jout_open(&d.j, "found", '[');
	}
	look(&d, doctor_system);
	if (d.store)
		look(&d, doctor_store);
	if (tool_has(t, OPT_JSON)) {
		jout_close(&d.j, ']');
		jout_u64(&d.j, "ok", d.found[DOCTOR_OK]);
		jout_u64(&d.j, "notes", d.found[DOCTOR_NOTE]);
		jout_u64(&d.j, "bad", d.found[DOCTOR_BAD]);
		jout_close(&d.j, '}');
	}
	return d.found[DOCTOR_BAD] ? EX_UNAVAILABLE : EX_OK;
}

static const struct tool_option options[] = {
	TOOL_OPT_JSON,
	{ OPT_QUIET, 'q', "quiet", NULL, "leave out what is well" },
	TOOL_OPT_END,
};

const struct tool_command tool_doctor = {
	.name = "doctor",
	.args = "[STORE]",
	.summary = "tell what keeps stores from being mounted",
	.help = "Looks at what a mount needs: the FUSE device and kernel "
		"module, permissions, fusermount3, bltfs and its libfuse, "
		"limits, room for temporary files, mounts whose daemon died; "
		"and, with STORE, whether it can be opened, who has it "
		"locked, and the filesystem that it is on. Each line that is "
		"not ok says what to change. Nothing is changed. Exit code "
		"69 if something is bad.",
	.max_args = 1,
	.options = options,
	.run = run_doctor,
};
