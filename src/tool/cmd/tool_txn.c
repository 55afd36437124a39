/* tool_txn.c - blt txn: transactions of a mount. */
#include "tool/mount_client.h"
#include "tool/mount_ask.h"

#include "bltfs_ioctl.h"
#include "base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#define NOT_FOUND 127 /* as a shell has these two */
#define NOT_RUN 126

/* One mount, and a transaction of it. */
struct at {
	struct tool *t;
	const char *path; /* of the mount, as it was given */
	int fd;
	struct bltfs_txn txn;
};

/* ---- asking ---- */

static int set_name(struct at *a, const char *name)
{
	if (strlen(name) >= sizeof(a->txn.name))
		return tool_fail(a->t, EX_USAGE,
				 "%s: too long for a transaction's name", name);
	strcpy(a->txn.name, name);
	return 0;
}

static int fail(const struct at *a, int err)
{
	switch (-err) {
	case ENOENT:
		return tool_fail(a->t, TOOL_NOT_FOUND,
				 "%s: no such transaction in %s", a->txn.name,
				 a->path);
	case EEXIST:
		return tool_fail(a->t, EX_TEMPFAIL,
				 "%s: there is such a transaction in %s",
				 a->txn.name, a->path);
	case EINVAL:
		return tool_fail(a->t, EX_USAGE,
				 "%s: cannot be a transaction's name",
				 a->txn.name);
	default:
		return mount_client_fail(a->t, a->path, err);
	}
}

/* The request on a->txn. */
static int ask(struct at *a, unsigned cmd)
{
	return mount_ask(a->fd, cmd, &a->txn);
}

static void print_conflicts(const struct at *a)
{
	struct bltfs_txn_key c = { .index = 0 };
	uint64_t n = 0;

	memcpy(c.name, a->txn.name, sizeof(c.name));
	for (;
	     n < MOUNT_ASK_MOST && mount_ask(a->fd, BLTFS_IOC_TXN_KEY, &c) == 0;
	     c.index = ++n)
		tool_say(a->t, "%s: changed by others", c.path);
	if (n == 0)
		tool_say(a->t,
			 "%s: another process has changed the store; "
			 "which keys is not known",
			 a->path);
}

/* The transaction's directory, malloc'd; NULL for want of memory. */
static char *directory(const struct at *a)
{
	struct bltfs_name control;
	char *root = realpath(a->path, NULL), *path = NULL;

	if (root && mount_ask(a->fd, BLTFS_IOC_NAME, &control) == 0 &&
	    asprintf(&path, "%s/%s/txn/%s", strcmp(root, "/") ? root : "",
		     control.name, a->txn.name) < 0)
		path = NULL;
	free(root);
	return path;
}

/* The kernel keeps what it knows of a directory that has gone until somebody
 * looks for it, and the daemon keeps that, too. */
static int ended(const struct at *a)
{
	char *dir = directory(a);

	if (dir)
		(void)faccessat(AT_FDCWD, dir, F_OK, 0);
	free(dir);
	return EX_OK;
}

static int commit(struct at *a)
{
	int err;

	/* pages written through a mapping are the kernel's still */
	if (syncfs(a->fd) < 0)
		return mount_client_fail(a->t, a->path, -errno);
	a->txn.flags = tool_has(a->t, OPT_FORCE) ? BLTFS_TXN_FORCE : 0;
	err = ask(a, BLTFS_IOC_TXN_COMMIT);
	if (err == 0)
		return ended(a);
	if (err != -EAGAIN)
		return fail(a, err);
	print_conflicts(a);
	return tool_fail(a->t, EX_TEMPFAIL,
			 "%s: not committed: others have changed what it has "
			 "read or written",
			 a->txn.name);
}

/* ---- run ---- */

extern char **environ;

/* What a terminal's signals do is for the command to say; we wait for it.  0 or
 * a negative errno. */
static int spawn(char **argv, const char *dir, pid_t *ret)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t defaults;
	int rc;

	sigemptyset(&defaults);
	sigaddset(&defaults, SIGINT);
	sigaddset(&defaults, SIGQUIT);
	if (posix_spawn_file_actions_init(&actions) != 0)
		return -ENOMEM;
	if (posix_spawnattr_init(&attr) != 0) {
		posix_spawn_file_actions_destroy(&actions);
		return -ENOMEM;
	}
	posix_spawnattr_setsigdefault(&attr, &defaults);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF);
	rc = -posix_spawn_file_actions_addchdir_np(&actions, dir);
	if (rc == 0)
		rc = -posix_spawnp(ret, argv[0], &actions, &attr, argv,
				   environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	return rc;
}

static int wait_for(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return EX_OSERR;
	if (WIFSIGNALED(status))
		return TOOL_SIGNALLED + WTERMSIG(status);
	return WEXITSTATUS(status);
}

static int run_command(struct at *a, char **argv, const char *dir)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN }, old[2];
	pid_t pid;
	int rc, code;

	if (setenv("BLT_TXN", dir, 1) < 0)
		return tool_fail(a->t, EX_OSERR, "out of memory");
	sigaction(SIGINT, &ignore, &old[0]);
	sigaction(SIGQUIT, &ignore, &old[1]);
	rc = spawn(argv, dir, &pid);
	if (rc < 0)
		code = tool_fail(a->t, rc == -ENOENT ? NOT_FOUND : NOT_RUN,
				 "%s: cannot be run: %s", argv[0],
				 strerror(-rc));
	else
		code = wait_for(pid);
	sigaction(SIGINT, &old[0], NULL);
	sigaction(SIGQUIT, &old[1], NULL);
	return code;
}

/* The command, with a NULL behind it; malloc'd. */
static char **command(const struct at *a)
{
	size_t n = (size_t)a->t->n_args - 2;
	char **argv = calloc(n + 1, sizeof(*argv));

	if (argv)
		memcpy(argv, a->t->arg + 2, n * sizeof(*argv));
	return argv;
}

static int txn_run(struct at *a)
{
	char *dir, **argv;
	int code, err;

	if (a->t->n_args < 3)
		return tool_fail(a->t, EX_USAGE,
				 "run: no command; expected is run MOUNTPOINT "
				 "-- COMMAND");
	err = ask(a, BLTFS_IOC_TXN_BEGIN);
	if (err < 0)
		return fail(a, err);
	dir = directory(a);
	argv = command(a);
	if (dir && argv)
		code = run_command(a, argv, dir);
	else
		code = tool_fail_file(a->t, a->path, "find", -errno);
	free(argv);
	free(dir);
	if (code == EX_OK)
		code = commit(a);
	/* unless it is committed */
	if (code != EX_OK && ask(a, BLTFS_IOC_TXN_ABORT) == 0)
		ended(a);
	return code;
}

/* ---- the others ---- */

static int txn_begin(struct at *a)
{
	int code = a->t->n_args > 2 ? set_name(a, a->t->arg[2]) : 0, err;
	char *dir;

	if (code)
		return code;
	err = ask(a, BLTFS_IOC_TXN_BEGIN);
	if (err < 0)
		return fail(a, err);
	dir = directory(a);
	if (!dir)
		return tool_fail_file(a->t, a->path, "find", -errno);
	puts(dir);
	free(dir);
	return EX_OK;
}

static int txn_commit(struct at *a)
{
	int code = set_name(a, a->t->arg[2]);

	return code ? code : commit(a);
}

static int txn_abort(struct at *a)
{
	int code = set_name(a, a->t->arg[2]), err;

	if (code)
		return code;
	err = ask(a, BLTFS_IOC_TXN_ABORT);
	return err < 0 ? fail(a, err) : ended(a);
}

static void print_one(struct at *a, struct jout *j)
{
	const struct bltfs_txn *x = &a->txn;
	char began[TIME_BUF];

	if (tool_has(a->t, OPT_JSON)) {
		jout_open(j, NULL, '{');
		jout_text(j, "name", x->name);
		jout_time(j, x->began);
		jout_u64(j, "changed", x->changed);
		jout_u64(j, "seen", x->seen);
		jout_u64(j, "conflicts", x->conflicts);
		jout_close(j, '}');
		return;
	}
	printf("%s  %10llu %10llu %9llu  ", time_text(x->began, began),
	       (unsigned long long)x->changed, (unsigned long long)x->seen,
	       (unsigned long long)x->conflicts);
	tool_print_name(x->name, strlen(x->name));
	putchar('\n');
}

static int txn_list(struct at *a)
{
	struct jout j = { .to = stdout, .flat = true };
	bool json = tool_has(a->t, OPT_JSON);
	unsigned n = 0;
	int err;

	if (json)
		jout_open(&j, NULL, '[');
	while ((err = ask(a, BLTFS_IOC_TXN_NEXT)) == 0) {
		if (n++ == MOUNT_ASK_MOST) {
			err = -EPROTO;
			break;
		}
		if (n == 1 && !json)
			printf("%-27s  %10s %10s %9s  %s\n", "BEGAN", "CHANGED",
			       "SEEN", "CONFLICTS", "NAME");
		print_one(a, &j);
	}
	if (json)
		jout_close(&j, ']');
	return err == -ENOENT || err == -EROFS ? EX_OK : fail(a, err);
}

static const struct action {
	const char *name;
	int min_args, max_args;
	int (*run)(struct at *a);
} actions[] = {
	{ "begin", 2, 3, txn_begin }, { "commit", 3, 3, txn_commit },
	{ "abort", 3, 3, txn_abort }, { "run", 2, -1, txn_run },
	{ "list", 2, 2, txn_list },
};

static int run_txn(struct tool *t)
{
	const struct action *action = actions;
	struct at a = { .t = t, .path = t->arg[1] };
	int code;

	while (action < actions + ARRAY_SIZE(actions) &&
	       strcmp(action->name, t->arg[0]))
		action++;
	if (action == actions + ARRAY_SIZE(actions) ||
	    t->n_args < action->min_args ||
	    (action->max_args >= 0 && t->n_args > action->max_args))
		return tool_fail(t, EX_USAGE,
				 "%s: expected is begin MOUNTPOINT [NAME], "
				 "commit MOUNTPOINT NAME, abort MOUNTPOINT "
				 "NAME, list MOUNTPOINT, or run MOUNTPOINT -- "
				 "COMMAND",
				 t->arg[0]);
	code = mount_client_mount(t, a.path, &a.fd);
	if (code)
		return code;
	code = action->run(&a);
	close(a.fd);
	return code;
}

static const struct tool_option options[] = {
	{ OPT_FORCE, 'f', "force", NULL,
	  "commit whatever others have changed meanwhile" },
	TOOL_OPT_JSON,
	TOOL_OPT_END,
};

const struct tool_command tool_txn = {
	.name = "txn",
	.args = "ACTION MOUNTPOINT [NAME|COMMAND...]",
	.summary = "make many changes of a mount at one moment",
	.help = "A transaction is a directory that shows the mount and takes "
		"changes, which outside of it are not seen before the commit "
		"and then all at once, durable. begin makes one and prints its "
		"path; commit ends it, unless others have changed what was "
		"read or written in it: then it says what, and the exit code "
		"is 75; abort drops it; list tells which there are. run begins "
		"one, runs COMMAND in it (behind --, with BLT_TXN its path), "
		"commits where that exits with 0, aborts it where not, and "
		"exits as COMMAND did.",
	.min_args = 2,
	.max_args = -1,
	.command_at = 2,
	.command_for = "run",
	.options = options,
	.run = run_txn,
};
