/* tool_options.c - option rows: parsed, and printed as help. */
#include "tool/tool.h"
#include "base/suggest.h"
#include "base/util.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define MAX_OPTIONS 48
#define TIMEOUT_MAX 2e6 /* as an int of milliseconds */
#define LOCK_TIMEOUT_MS 3000
#define HELP_WIDTH 78
#define OPTION_WIDTH 31 /* columns left of what an option does */
#define LONG_BASE 256   /* getopt's values for rows: above all letters */
#define ARGUMENT 1      /* its value for what is no option */

/* getopt's two tables, made of a command's rows. */
struct getopt_tables {
	char letters[2 * MAX_OPTIONS + 3 + 3 * 10];
	struct option longs[MAX_OPTIONS + 1];
};

static void make_tables(const struct tool_command *cmd, struct getopt_tables *g)
{
	const struct tool_option *rows = cmd->options;
	char *l = g->letters;
	int n = 0;

	memset(g, 0, sizeof(*g));
	*l++ = '-'; /* tell of arguments in their place among options, */
	*l++ = ':'; /* and a missing argument from a bad option */
	for (; rows[n].name; n++) {
		assert(n < MAX_OPTIONS);
		g->longs[n] = (struct option){
			.name = rows[n].name,
			.has_arg =
				rows[n].arg ? required_argument : no_argument,
			.val = LONG_BASE + n,
		};
		if (!rows[n].letter)
			continue;
		*l++ = rows[n].letter;
		if (rows[n].arg)
			*l++ = ':';
	}
	/* a digit, and whatever stands behind it */
	for (char digit = '0'; cmd->takes_numbers && digit <= '9'; digit++)
		l += sprintf(l, "%c::", digit);
}

/* Whether getopt has come to an argument like -1. */
static bool is_number(const struct tool_command *cmd, int c, const char *arg)
{
	return cmd->takes_numbers && c >= '0' && c <= '9' && arg[1] == c;
}

static const struct tool_option *row_of(const struct tool_option *rows, int c)
{
	if (c >= LONG_BASE)
		return &rows[c - LONG_BASE];
	while (rows->name && rows->letter != c)
		rows++;
	return rows->name ? rows : NULL;
}

/* The long option that "--word" or "--word=value" was probably to be; NULL. */
static const char *near_option(const struct tool_command *cmd,
			       const char *given)
{
	struct suggest s = suggest_for_part(given + 2, strcspn(given + 2, "="));

	for (const struct tool_option *o = cmd->options; o->name; o++)
		suggest_offer(&s, o->name);
	/* one that is right, but for its argument, needs no advice */
	return s.distance ? s.best : NULL;
}

/* What the person typed that getopt stumbled over. */
static int bad_option(const struct tool *t, int c, char **argv)
{
	const char *why = c == ':' ? "needs an argument" :
				     "no such option, or one that takes no "
				     "argument";
	const char *given = argv[optind - 1];
	const char *near;
	const char *dash = strstr(t->cmd->args, "KEY") && c == '?' ?
				   "; in front of a key that begins with - "
				   "stands --" :
				   "";

	if (optopt && optopt < LONG_BASE && strncmp(given, "--", 2) != 0)
		return tool_fail(t, EX_USAGE, "-%c: %s; see \"blt help %s\"%s",
				 optopt, why, t->cmd->name, dash);
	near = c == '?' && !strncmp(given, "--", 2) ?
		       near_option(t->cmd, given) :
		       NULL;
	if (near)
		return tool_fail(t, EX_USAGE,
				 "%s: no such option; did you mean --%s? see "
				 "\"blt help %s\"",
				 given, near, t->cmd->name);
	return tool_fail(t, EX_USAGE, "%s: %s; see \"blt help %s\"%s", given,
			 why, t->cmd->name, dash);
}

/* An option behind the command that we run could be meant for either: taken as
 * ours, "sort -u" would sort otherwise than it says. */
static int stray_option(const struct tool *t)
{
	const char *command = t->arg[t->cmd->command_at];

	return tool_fail(t, EX_USAGE,
			 "%s: an option stands behind it: write -- in front of "
			 "%s if it is meant for that, else move it there",
			 command, command);
}

/* Whether the arguments so far have come to a command that we run. */
static bool has_command(const struct tool *t)
{
	const struct tool_command *cmd = t->cmd;

	return cmd->command_at && t->n_args > cmd->command_at &&
	       (!cmd->command_for || !strcmp(t->arg[0], cmd->command_for));
}

/* Lists of options that are given one by one. */
static int add_mount_options(struct tool *t, const char *list)
{
	char *all = NULL;

	if (asprintf(&all, "%s%s%s", t->mount_options ? t->mount_options : "",
		     t->mount_options ? "," : "", list) < 0)
		return tool_fail(t, EX_OSERR, "out of memory");
	free(t->mount_options);
	t->mount_options = all;
	return 0;
}

/* Fills in opt and arg; arguments move to the front of argv. */
static int parse_all(struct tool *t, int argc, char **argv)
{
	const struct tool_command *cmd = t->cmd;
	struct getopt_tables g;
	int c;

	make_tables(cmd, &g);
	opterr = 0;
	t->arg = argv + 1;
	while ((c = getopt_long(argc, argv, g.letters, g.longs, NULL)) != -1) {
		const struct tool_option *row;

		if (c == ARGUMENT) {
			t->arg[t->n_args++] = optarg;
			continue;
		}
		if (is_number(cmd, c, argv[optind - 1])) {
			t->arg[t->n_args++] = argv[optind - 1];
			continue;
		}
		row = c == '?' || c == ':' ? NULL : row_of(cmd->options, c);
		if (has_command(t) && (!row || row->opt != OPT_HELP))
			return stray_option(t);
		if (!row)
			return bad_option(t, c, argv);
		t->opt[row->opt] = row->arg ? optarg : "";
		if (row->opt == OPT_OPTIONS && add_mount_options(t, optarg))
			return EX_OSERR;
	}
	while (optind < argc)
		t->arg[t->n_args++] = argv[optind++];
	return 0;
}

int tool_parse(struct tool *t, int argc, char **argv)
{
	const struct tool_command *cmd = t->cmd;
	int code = parse_all(t, argc, argv);

	if (code || tool_has(t, OPT_HELP))
		return code;
	if (t->n_args < cmd->min_args ||
	    (cmd->max_args >= 0 && t->n_args > cmd->max_args))
		return tool_fail(t, EX_USAGE,
				 "%s arguments; usage: blt %s "
				 "[OPTION]... %s",
				 t->n_args < cmd->min_args ? "missing" :
							     "too many",
				 cmd->name, cmd->args);
	return 0;
}

/* Prints text in lines of at most HELP_WIDTH columns, of which the first has
 * come to column at already and the others begin at indent. */
static void print_wrapped(FILE *to, size_t at, size_t indent, const char *text)
{
	const char *word = text + strspn(text, " ");

	while (*word) {
		size_t len = strcspn(word, " ");

		if (at > indent && at + 1 + len > HELP_WIDTH) {
			fprintf(to, "\n%*s", (int)indent, "");
			at = indent;
		} else if (at > indent) {
			putc(' ', to);
			at++;
		}
		fwrite(word, 1, len, to);
		at += len;
		word += len;
		word += strspn(word, " ");
	}
	putc('\n', to);
}

static void print_option(const struct tool_option *o, FILE *to)
{
	char left[64];
	int n;

	if (o->letter)
		n = snprintf(left, sizeof(left), "  -%c, ", o->letter);
	else
		n = snprintf(left, sizeof(left), "      ");
	snprintf(left + n, sizeof(left) - (size_t)n, "--%s%s%s", o->name,
		 o->arg ? " " : "", o->arg ? o->arg : "");
	fprintf(to, "%-*s ", OPTION_WIDTH - 1, left);
	if (strlen(left) >= OPTION_WIDTH)
		fprintf(to, "\n%*s", OPTION_WIDTH, "");
	print_wrapped(to, OPTION_WIDTH, OPTION_WIDTH, o->help);
}

void tool_print_help(const struct tool_command *cmd, FILE *to)
{
	fprintf(to, "Usage: blt %s [OPTION]...%s%s\n\n", cmd->name,
		*cmd->args ? " " : "", cmd->args);
	print_wrapped(to, 0, 0, cmd->help);
	fputs("\nOptions:\n", to);
	for (const struct tool_option *o = cmd->options; o->name; o++)
		print_option(o, to);
}

const char *tool_opt_name(const struct tool *t, enum tool_opt opt)
{
	const struct tool_option *o = t->cmd->options;

	while (o->name && o->opt != opt)
		o++;
	return o->name ? o->name : "?";
}

int tool_opt_u64(const struct tool *t, enum tool_opt opt, uint64_t min,
		 uint64_t max, uint64_t def, uint64_t *ret)
{
	const char *text = t->opt[opt];
	unsigned long long v;
	char *end;

	if (!text) {
		*ret = def;
		return 0;
	}
	errno = 0;
	v = strtoull(text, &end, 10);
	if (errno || *end || text[0] < '0' || text[0] > '9' || v < min ||
	    v > max)
		return tool_fail(t, EX_USAGE,
				 "--%s %s: not a number from %llu "
				 "to %llu",
				 tool_opt_name(t, opt), text,
				 (unsigned long long)min,
				 (unsigned long long)max);
	*ret = v;
	return 0;
}

static bool parse_seconds(const char *text, double min, double max, int *ret_ms)
{
	char *end;
	double v = strtod(text, &end);

	if (end == text || *end || !isfinite(v) || v < min || v > max)
		return false;
	*ret_ms = (int)(v * 1000);
	return true;
}

int tool_opt_seconds(const struct tool *t, enum tool_opt opt, double min,
		     double max, int def_ms, int *ret_ms)
{
	const char *text = t->opt[opt];

	if (!text)
		*ret_ms = def_ms;
	else if (!parse_seconds(text, min, max, ret_ms))
		return tool_fail(t, EX_USAGE,
				 "--%s %s: not a number of seconds from %g to "
				 "%g",
				 tool_opt_name(t, opt), text, min, max);
	return 0;
}

int tool_opt_timeout(const struct tool *t, enum tool_opt opt, int def, int *ret)
{
	const char *text = t->opt[opt];

	if (!text || !strcmp(text, "forever"))
		*ret = text ? -1 : def;
	else if (!parse_seconds(text, 0, TIMEOUT_MAX, ret))
		return tool_fail(t, EX_USAGE,
				 "--%s %s: not a number of seconds "
				 "from 0 to %.0f, nor \"forever\"",
				 tool_opt_name(t, opt), text, TIMEOUT_MAX);
	return 0;
}

int tool_opt_lock(const struct tool *t, int *ret_ms)
{
	return tool_opt_timeout(t, OPT_LOCK_TIMEOUT, LOCK_TIMEOUT_MS, ret_ms);
}

int tool_fail_time(const struct tool *t, enum tool_opt opt)
{
	return tool_fail(t, EX_USAGE,
			 "--%s %s: not a time: expected are now, yesterday, "
			 "\"2 days ago\", 2023-11-14T22:13:20Z, @SECONDS or "
			 "microseconds, from 1970 on",
			 tool_opt_name(t, opt), t->opt[opt]);
}

int tool_opt_time(const struct tool *t, enum tool_opt opt, int64_t *ret)
{
	const char *text = t->opt[opt];
	int64_t time;

	*ret = 0;
	if (!text)
		return 0;
	if (time_parse(text, &time) < 0 || (time <= 0 && time != BLT_NOW))
		return tool_fail_time(t, opt);
	*ret = time == BLT_NOW ? now_us() : time;
	return 0;
}
