/* tool_messages.c - messages: one style, and what an errno means to a person.
 *
 *   blt CMD: WHAT: why it failed[; what to do]
 */
#include "tool/tool.h"
#include "base/util.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define SOON_KEYS 1000000 /* walked in a second */

/* Keys and paths are bytes; a terminal must not obey them. */
static void put_escaped(FILE *to, const char *s)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c < 0x20 || c == 0x7f)
			fprintf(to, "\\x%02x", c);
		else
			putc(c, to);
	}
}

static void __attribute__((format(printf, 2, 0)))
say(const struct tool *t, const char *fmt, va_list ap)
{
	char *text = NULL;

	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	/* What was printed before it stands before it, in one file too. */
	fflush(stdout);
	fputs("blt", stderr);
	if (t->cmd)
		fprintf(stderr, " %s", t->cmd->name);
	fputs(": ", stderr);
	put_escaped(stderr, text ? text : "out of memory");
	putc('\n', stderr);
	free(text);
}

void tool_say(const struct tool *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(t, fmt, ap);
	va_end(ap);
}

int tool_fail(const struct tool *t, int exit_code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(t, fmt, ap);
	va_end(ap);
	return exit_code;
}

/* What the engine's errnos come to; text NULL: strerror's. */
static const struct meaning {
	int err;
	int exit_code;
	const char *text;
} meanings[] = {
	{ ENOENT, EX_NOINPUT, NULL },
	{ ENOTDIR, EX_NOINPUT, NULL },
	{ EISDIR, EX_NOINPUT, NULL },
	{ ELOOP, EX_NOINPUT, NULL },
	{ ENXIO, EX_NOINPUT, NULL },
	{ EEXIST, EX_CANTCREAT, NULL },
	{ EACCES, EX_NOPERM, NULL },
	{ EPERM, EX_NOPERM, NULL },
	{ EROFS, EX_NOPERM, "it is open for reading only" },
	{ EWOULDBLOCK, EX_TEMPFAIL, NULL },
	{ EBUSY, EX_TEMPFAIL, NULL },
	{ ENOMEM, EX_OSERR, "out of memory" },
	{ ENOEXEC, EX_USAGE, NULL },
	{ ECHILD, EX_UNAVAILABLE, NULL },
	{ ECANCELED, EX_TEMPFAIL, NULL }, /* a map that stopped */
	{ EBADF, EX_IOERR, NULL },        /* a standard file that is closed */
	{ EIO, EX_IOERR, "the disk failed, or somebody cut the file short" },
	{ ENOSPC, EX_IOERR,
	  "No space left on device; free some, or take back what is dead in "
	  "the store with \"blt trim\" or \"blt prune\"" },
	{ EDQUOT, EX_IOERR,
	  "Disk quota exceeded; free some, or take back what is dead in the "
	  "store with \"blt trim\" or \"blt prune\"" },
	{ EPIPE, EX_IOERR, NULL },
	{ EUCLEAN, EX_DATAERR,
	  "the file is damaged there; \"blt check\" tells where, \"blt "
	  "recover --rebuild\" saves what is whole" },
	{ EPROTONOSUPPORT, EX_DATAERR,
	  "a version of the format that is too "
	  "old, or too new to be written" },
	{ EPROTO, EX_DATAERR,
	  "the mount's daemon gave an answer that is not one of bltfs" },
	{ EINVAL, EX_DATAERR, NULL },
	{ EILSEQ, EX_DATAERR,
	  "the store's keys are text, and this key is not UTF-8" },
	{ ENAMETOOLONG, EX_DATAERR, "a key has at most 65535 bytes" },
	{ EFBIG, EX_DATAERR, "the value is longer than the store takes" },
	{ ENOTSUP, EX_DATAERR, NULL },
};

static const struct meaning *meaning_of(int err)
{
	for (size_t i = 0; i < ARRAY_SIZE(meanings); i++)
		if (meanings[i].err == -err)
			return &meanings[i];
	return NULL;
}

int tool_exit_code(int err)
{
	const struct meaning *m = meaning_of(err);

	return m ? m->exit_code : EX_OSERR;
}

int tool_fail_file(const struct tool *t, const char *path, const char *doing,
		   int err)
{
	return tool_fail(t, tool_exit_code(err), "%s: cannot %s: %s", path,
			 doing, strerror(-err));
}

int tool_fail_create(const struct tool *t, const char *path, int err)
{
	int code = tool_exit_code(err);

	if (code == EX_NOINPUT || code == EX_DATAERR)
		code = EX_CANTCREAT;
	return tool_fail(t, code, "%s: cannot create: %s%s", path,
			 strerror(-err),
			 err == -ENOENT ? "; make the directory first" : "");
}

/* What it means in a store that is no booklet, where that is something else. */
static const struct {
	const char *engine;
	int err;
	const char *text;
} of_engines[] = {
	{ "lmdb", -ENAMETOOLONG,
	  "a key of an LMDB environment has at most 511 bytes" },
	{ "lmdb", -EROFS,
	  "a database of several values a key (MDB_DUPSORT) is only read" },
	{ "lmdb", -EUCLEAN,
	  "the environment is damaged there; \"blt check\" tells where" },
	{ "postgresql", -ENAMETOOLONG,
	  "a key of a store in PostgreSQL has at most 2048 bytes" },
	{ "postgresql", -EACCES,
	  "permission denied by the server; have the tables of the schema bltfs "
	  "granted to the role" },
	{ "postgresql", -EIO,
	  "the server did not do it in the URL's timeo, or failed; its log "
	  "tells why" },
	{ "postgresql", -ENOSPC, "the server's disk is full" },
	{ "postgresql", -EUCLEAN,
	  "the value is damaged there; \"blt check\" tells which are" },
};

static const char *text_of_engine(const struct tool *t, int err)
{
	struct blt_info info;

	blt_get_info(t->store, &info);
	/* who has it open for reading only is told so */
	if (err == -EROFS && !info.writable)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(of_engines); i++)
		if (of_engines[i].err == err &&
		    strcmp(of_engines[i].engine, info.engine) == 0)
			return of_engines[i].text;
	return NULL;
}

int tool_fail_store(const struct tool *t, const char *key, int err)
{
	const struct meaning *m = meaning_of(err);
	const char *special = text_of_engine(t, err);
	const char *why = special      ? special :
			  m && m->text ? m->text :
					 strerror(-err);
	const char *path = blt_path(t->store);

	if (!key)
		return tool_fail(t, tool_exit_code(err), "%s: %s", path, why);
	return tool_fail(t, tool_exit_code(err), "%s: in %s: %s", key, path,
			 why);
}

int tool_fail_told(const struct tool *t, int exit_code, const char *text,
		   const char *advice)
{
	size_t len = t->told_path ? strlen(t->told_path) : 0;
	bool named = len && !strncmp(text, t->told_path, len);

	return tool_fail(t, exit_code, "%s%s%s", named ? t->given_path : "",
			 named ? text + len : text, advice);
}

/* Whether a path is a directory's, where that is soon known: the namespace
 * walks all keys. */
static bool is_directory(struct tool *t, const char *path)
{
	struct blt_node node;
	struct blt_info info;
	bool is;

	blt_get_info(t->store, &info);
	if (info.n_keys > SOON_KEYS || tool_need_ns(t) || blt_ns_wait(t->ns) ||
	    blt_ns_resolve(t->ns, path, &node) < 0)
		return false;
	is = node.kind == BLT_DIR;
	free(node.key);
	return is;
}

int tool_fail_missing(struct tool *t, const char *key)
{
	const char *path = blt_path(t->store);

	if (tool_has(t, OPT_QUIET))
		return TOOL_NOT_FOUND;
	if (tool_has(t, OPT_HEX) || tool_has(t, OPT_RAW))
		return tool_fail(t, TOOL_NOT_FOUND, "%s: no such key in %s",
				 key, path);
	if (is_directory(t, key))
		return tool_fail(t, TOOL_NOT_FOUND,
				 "%s: is a directory in %s; \"blt ls %s %s\" "
				 "lists it",
				 key, path, path, key);
	return tool_fail(
		t, TOOL_NOT_FOUND,
		"%s: no such key in %s; \"blt ls -R %s\" prints keys as "
		"they are written here",
		key, path, path);
}

int tool_fail_stdout(const struct tool *t, int err)
{
	tool_fail_file(t, "standard output", "write", err);
	return EX_IOERR;
}

int tool_flush(const struct tool *t)
{
	int err;

	if (!fflush(stdout) && !ferror(stdout))
		return 0;
	err = errno ? -errno : -EIO;
	/* Said once: a later call finds nothing left to write. */
	clearerr(stdout);
	return tool_fail_stdout(t, err);
}

void tool_print_name(const char *text, size_t len)
{
	static int terminal = -1;

	if (terminal < 0)
		terminal = isatty(STDOUT_FILENO);
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		putchar(terminal && (c < 0x20 || c == 0x7f) ? '?' : c);
	}
}
