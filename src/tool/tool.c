/* tool.c - blt: booklet stores from a shell.
 *
 * One table of subcommands; everything else is in tool_NAME.c.
 */
#include "tool/tool.h"
#include "base/suggest.h"
#include "base/util.h"
#include "engine/build_facts.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

/* clang-format off */
static const struct tool_command *const commands[] = {
	&tool_cancel,
	&tool_check,
	&tool_clear,
	&tool_complete,
	&tool_copy,
	&tool_create,
	&tool_del,
	&tool_doctor,
	&tool_dump,
	&tool_export,
	&tool_get,
	&tool_help,
	&tool_import,
	&tool_info,
	&tool_jobs,
	&tool_load,
	&tool_ls,
	&tool_map,
	&tool_mount,
	&tool_prune,
	&tool_put,
	&tool_recover,
	&tool_reindex,
	&tool_seq,
	&tool_slot,
	&tool_stat,
	&tool_sync,
	&tool_top,
	&tool_trim,
	&tool_txn,
	&tool_umount,
	&tool_wait,
};
/* clang-format on */

const struct tool_command *tool_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(commands[i]->name, name))
			return commands[i];
	return NULL;
}

int tool_each(int (*fn)(void *arg, const struct tool_command *cmd), void *arg)
{
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(commands) && !r; i++)
		r = fn(arg, commands[i]);
	return r;
}

/* The message has the command that was probably meant. */
static int fail_command(const struct tool *t, const char *name)
{
	struct suggest s = suggest_for(name);
	const bool option = name[0] == '-';

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		suggest_offer(&s, commands[i]->name);
	if (s.best && !option)
		return tool_fail(t, EX_USAGE,
				 "%s: no such command; did you mean \"%s\"? "
				 "\"blt --help\" lists all",
				 name, s.best);
	return tool_fail(t, EX_USAGE,
			 "%s: no such %s; \"blt --help\" lists them", name,
			 option ? "option" : "command");
}

void tool_print_overview(FILE *to)
{
	fputs("Usage: blt COMMAND [OPTION]... [ARGUMENT]...\n"
	      "       blt --help | --version\n"
	      "Work on key-value stores: .blt files and LMDB environments.\n\n"
	      "Commands:\n",
	      to);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(to, "  %-9s %s\n", commands[i]->name,
			commands[i]->summary);
	fputs("\nOptions:\n"
	      "  -h, --help     print this help\n"
	      "  -V, --version  print the version and how it was built\n\n"
	      "\"blt help COMMAND\" tells more.\n",
	      to);
}

static int run_help(struct tool *t)
{
	const struct tool_command *cmd;

	if (!t->n_args) {
		tool_print_overview(stdout);
		return EX_OK;
	}
	cmd = tool_find(t->arg[0]);
	if (!cmd)
		return fail_command(t, t->arg[0]);
	tool_print_help(cmd, stdout);
	return EX_OK;
}

const struct tool_command tool_help = {
	.name = "help",
	.args = "[COMMAND]",
	.summary = "tell what a command does",
	.help = "Prints what a command does and its options; without COMMAND, "
		"the list of commands.",
	.max_args = 1,
	.options = (const struct tool_option[]){ TOOL_OPT_END },
	.run = run_help,
};

static bool is_option(const char *arg, const char *letter, const char *name)
{
	return !strcmp(arg, letter) || !strcmp(arg, name);
}

static int run_command(struct tool *t, int argc, char **argv)
{
	int code = tool_parse(t, argc, argv);

	if (code)
		return code;
	if (tool_has(t, OPT_HELP)) {
		tool_print_help(t->cmd, stdout);
		return EX_OK;
	}
	code = tool_close(t, t->cmd->run(t));
	free(t->mount_options);
	return code;
}

/* A standard descriptor that is closed would be given to the next file that is
 * opened.  What stands there instead can be neither read nor written. */
static int hold_standard_files(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		int flags = fd == STDIN_FILENO ? O_WRONLY : O_RDONLY;

		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", flags) != fd)
			return -1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct tool t = { 0 };
	int code = EX_OK;

	if (hold_standard_files() < 0)
		return EX_OSERR;
	if (argc < 2) {
		tool_print_overview(stderr);
		return EX_USAGE;
	}
	if (is_option(argv[1], "-h", "--help")) {
		tool_print_overview(stdout);
	} else if (is_option(argv[1], "-V", "--version")) {
		build_facts_print(stdout, "blt", NULL);
	} else {
		t.cmd = tool_find(argv[1]);
		if (!t.cmd)
			return fail_command(&t, argv[1]);
		code = run_command(&t, argc - 1, argv + 1);
	}
	if (tool_flush(&t) && !code)
		code = EX_IOERR;
	return code;
}
