/* tool_open.c - a subcommand's store: opened, and closed whole whatever
 * happens.
 *
 * While a store is open for writing, SIGINT, SIGTERM and SIGHUP only leave a
 * note: the command stops at its next whole step and the store is closed
 * properly.  SIGPIPE, and SIGXFSZ (ulimit -f), are ignored for the same reason.
 */
#include "tool/mount_client.h"
#include "base/mountinfo.h"
#include "base/util.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

static volatile sig_atomic_t caught;

static void note_signal(int sig)
{
	caught = sig;
}

int tool_signal(void)
{
	return caught;
}

static void catch_signals(int flags)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	/* No SA_RESTART: a read that waits for input must end. */
	struct sigaction act = { .sa_handler = note_signal, .sa_flags = flags };
	struct sigaction old;

	sigemptyset(&act.sa_mask);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		/* nohup, and a shell's background jobs, ignore some. */
		if (!sigaction(signals[i], NULL, &old) &&
		    old.sa_handler == SIG_IGN)
			continue;
		sigaction(signals[i], &act, NULL);
	}
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
}

void tool_catch_signals(void)
{
	catch_signals(0);
}

void tool_catch_first_signal(void)
{
	catch_signals((int)SA_RESETHAND);
}

/* What opening it for that asks for; "" where the reason says it all. */
static const char *advice(int err)
{
	switch (-err) {
	case ENOENT:
		return "; make a store with \"blt create\"";
	case EWOULDBLOCK:
		return " (--lock-timeout)";
	case EROFS:
		return "; copy the store to where files can be written";
	default:
		return "";
	}
}

int tool_fail_open(const struct tool *t, const char *path, int rc,
		   const struct blt_error *err)
{
	if (rc == -EISDIR && tool_is_mount(path))
		return tool_fail(t, EX_USAGE,
				 "%s: is a mount point, and this is for store "
				 "files: read and write the files there, or "
				 "unmount it, or make a copy (blt copy %s "
				 "copy.blt)",
				 path, path);
	if (rc == -ENOENT && tool_has(t, OPT_DB) && blt_engine_of(path))
		return tool_fail(t, tool_exit_code(rc),
				 "%s; \"blt ls %s\" lists those that it has",
				 err->text, path);
	return tool_fail(t, tool_exit_code(rc), "%s%s", err->text, advice(rc));
}

/* A mount will not end by itself, other users do: of those a terminal is told.
 */
static void tell_wait(const struct tool *t, const char *path, int timeout_ms)
{
	char user[PATH_MAX + 200], limit[32] = "";
	bool mounted = mountinfo_user(path, user, sizeof(user));

	if (!mounted && (!isatty(STDERR_FILENO) || tool_has(t, OPT_QUIET)))
		return;
	if (timeout_ms > 0)
		snprintf(limit, sizeof(limit), " up to %.3g s",
			 (double)timeout_ms / 1000);
	tool_say(t, "%s: %s; waiting%s until it is free (--lock-timeout)", path,
		 user, limit);
}

void tool_tell_server(void *arg, const char *text)
{
	tool_say(arg, "%s", text);
}

int tool_open(struct tool *t, const char *path, enum blt_mode mode,
	      const struct blt_create_options *create)
{
	struct progress p;
	struct blt_open_options how = { .mode = mode,
					.db = t->opt[OPT_DB],
					.progress = progress_follow,
					.progress_arg = &p,
					.tell = tool_tell_server,
					.tell_arg = t };
	struct blt_error err;
	int timeout_ms = 0, code, r;

	if (create)
		how.create = *create;
	code = tool_opt_lock(t, &timeout_ms);
	if (code)
		return code;
	/* Of a recovery, where there is one. */
	progress_start(&p, "recover", 0, tool_has(t, OPT_QUIET));
	p.items_are = "records";
	r = blt_open(path, &how, &t->store, &err);
	if (r == -EWOULDBLOCK && timeout_ms) {
		tell_wait(t, path, timeout_ms);
		how.lock_timeout_ms = timeout_ms;
		r = blt_open(path, &how, &t->store, &err);
	}
	progress_end(&p);
	if (r < 0) {
		t->store = NULL;
		return tool_fail_open(t, path, r, &err);
	}
	if (mode != BLT_READ)
		tool_catch_signals();
	return 0;
}

int tool_close(struct tool *t, int exit_code)
{
	struct blt_info info;
	char path[4096];
	int r;

	blt_ns_free(t->ns);
	t->ns = NULL;
	if (t->store) {
		blt_get_info(t->store, &info);
		snprintf(path, sizeof(path), "%s", blt_path(t->store));
		r = blt_close(t->store);
		t->store = NULL;
		if (r < 0 && info.writable) {
			tool_say(t,
				 "%s: cannot finish writing: %s; what was "
				 "changed last may be lost",
				 path, strerror(-r));
			if (!exit_code)
				exit_code = tool_exit_code(r);
		}
	}
	if (caught)
		return TOOL_SIGNALLED + caught;
	return exit_code;
}
