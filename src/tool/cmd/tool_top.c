/* tool_top.c - blt top: what a mount is doing, as it does it. */
#include "tool/cmd/tool_top.h"

#include "tool/mount_client.h"
#include "tool/tool_screen.h"

#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#define DELAY_MS 2000
#define DELAY_MIN 0.05
#define DELAY_MAX 86400.0
#define ENDED_SHOWN_US 60000000 /* on a screen */

struct top {
	struct tool *t;
	struct screen screen;
	struct top_sample before, now;
	bool any; /* before is one */
	int delay_ms;
};

static int print_on_screen(struct top *top)
{
	const struct top_style style = {
		.path = top->t->arg[0],
		.mark = "\f",
		.keep_us = ENDED_SHOWN_US,
	};
	char *text = NULL;
	size_t len = 0;
	FILE *to = open_memstream(&text, &len);

	if (!to)
		return tool_fail(top->t, EX_OSERR, "out of memory");
	top_print(to, &style, top->any ? &top->before : NULL, &top->now);
	fputs("\nq: quit\n", to);
	if (fclose(to) == 0)
		screen_draw(&top->screen, text);
	free(text);
	return 0;
}

static int print_block(struct top *top)
{
	const struct top_sample *before = top->any ? &top->before : NULL;
	const struct top_style style = {
		.path = top->t->arg[0],
		.mark = "",
	};

	if (tool_has(top->t, OPT_JSON)) {
		top_print_json(stdout, &style, before, &top->now);
	} else {
		top_print(stdout, &style, before, &top->now);
		putchar('\n');
	}
	return tool_flush(top->t);
}

/* A message must not go where the screen's text is taken back. */
static int fail(struct top *top, int err)
{
	screen_leave(&top->screen);
	return mount_client_fail(top->t, top->t->arg[0], err);
}

static int take(struct top *top)
{
	const char *path = top->t->arg[0];
	int fd = tool_mount_fd(path), code = 0, r;

	if (fd < 0 && top->any) {
		screen_leave(&top->screen);
		return tool_fail(top->t, EX_UNAVAILABLE,
				 "%s: was unmounted, or its daemon has gone",
				 path);
	}
	if (fd < 0)
		code = mount_client_mount(top->t, path, &fd);
	if (code)
		return code;
	r = top_take(fd, &top->now);
	close(fd);
	return r < 0 ? fail(top, r) : 0;
}

static int show(struct top *top)
{
	int code = top->screen.on ? print_on_screen(top) : print_block(top);

	top_free(&top->before);
	top->before = top->now;
	top->now = (struct top_sample){ 0 };
	top->any = true;
	return code;
}

static int watch(struct top *top, uint64_t count)
{
	int code = take(top), key = 0;

	if (!code && !tool_has(top->t, OPT_JSON))
		screen_enter(&top->screen);
	while (!code) {
		code = show(top);
		if (code || --count == 0)
			break;
		key = screen_wait(&top->screen, top->delay_ms);
		if (key == 'q' || tool_signal())
			break;
		code = take(top);
	}
	screen_leave(&top->screen);
	top_free(&top->before);
	top_free(&top->now);
	return code;
}

static int run_top(struct tool *t)
{
	struct top top = { .t = t };
	uint64_t count = 0;
	int code;

	code = tool_opt_u64(t, OPT_ROUNDS, 1, UINT64_MAX, UINT64_MAX, &count);
	if (!code)
		code = tool_opt_seconds(t, OPT_DELAY, DELAY_MIN, DELAY_MAX,
					DELAY_MS, &top.delay_ms);
	if (code)
		return code;
	tool_catch_first_signal();
	return watch(&top, count);
}

static const struct tool_option options[] = {
	{ OPT_DELAY, 'd', "delay", "SECONDS",
	  "between two looks (2; with a fraction)" },
	{ OPT_JSON, 'j', "json", NULL, "print a line of JSON for each look" },
	{ OPT_ROUNDS, 'n', "rounds", "COUNT",
	  "end after so many looks (never)" },
	TOOL_OPT_END,
};

const struct tool_command tool_top = {
	.name = "top",
	.args = "MOUNTPOINT",
	.summary = "watch what a mounted store is doing",
	.help = "Shows how many requests of each kind the kernel makes, how "
		"long they take, and the mount's jobs: on a terminal on the "
		"whole screen until q or Ctrl-C, elsewhere as blocks of "
		"lines. The first look is at the time since the mount began, "
		"each other at the time since the one before; LONGEST is "
		"since the mount.",
	.min_args = 1,
	.max_args = 1,
	.options = options,
	.run = run_top,
};
