/* tool.h - what the subcommands of blt share.
 *
 * A subcommand is a const row: its name, what may follow it, its help, its
 * options and a function.  To add one, write tool_NAME.c with the row and the
 * function, name the row in tool.c's table, and describe it in doc/blt.1 (a
 * test compares the two).
 *
 *   main()  finds the row, parses the options into struct tool, calls run()
 *   run()   opens what it needs with tool_open(), works, returns an exit code
 *   main()  closes the store, reports what that says, exits
 *
 * Ownership: what struct tool points to lives until main returns; strings from
 * the command line are borrowed.
 * Errors: below run() functions return negative errnos where the caller can
 * still word the message, else they have said what went wrong and return an
 * exit code; each says which.
 * Threads: one.
 */
#ifndef BLT_TOOL_H
#define BLT_TOOL_H

#include "blt.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

/* Exit codes: 0, these, and those of sysexits.h. */
#define TOOL_NOT_FOUND 1   /* no such key, or nothing at that path */
#define TOOL_SIGNALLED 128 /* plus the signal's number */

/* Every option of every subcommand; one name means one thing everywhere. */
enum tool_opt {
	OPT_BATCH,
	OPT_BUCKETS,
	OPT_BUILTIN,
	OPT_CHART,
	OPT_CLASSIFY,
	OPT_COUNT,
	OPT_CREATE,
	OPT_DB,
	OPT_DELAY,
	OPT_DETACH,
	OPT_ENGINE,
	OPT_ENV,
	OPT_FLAT,
	OPT_FORCE,
	OPT_FOREGROUND,
	OPT_FORGET,
	OPT_FORMAT,
	OPT_FRAMED,
	OPT_FROM,
	OPT_HELP,
	OPT_HEX,
	OPT_HIDDEN,
	OPT_IF_UNCHANGED,
	OPT_IN_PLACE,
	OPT_JOB,
	OPT_JOBS,
	OPT_JSON,
	OPT_KEY,
	OPT_KEYS,
	OPT_KEYS_FROM,
	OPT_KEY_SERIALIZER,
	OPT_LIKE,
	OPT_LIMIT,
	OPT_LOCK_TIMEOUT,
	OPT_LONG,
	OPT_MAX_ERRORS,
	OPT_MERGE,
	OPT_NEWER,
	OPT_NEWER_THAN,
	OPT_NO_TIMESTAMPS,
	OPT_NUL,
	OPT_OLDER_THAN,
	OPT_OPTIONS,
	OPT_OUTPUT,
	OPT_PREFIX,
	OPT_PYTHON,
	OPT_QUIET,
	OPT_RAW,
	OPT_REBUILD,
	OPT_RECURSIVE,
	OPT_RESTART,
	OPT_RETRY_FAILED,
	OPT_ROUNDS,
	OPT_SHARD,
	OPT_SHARED,
	OPT_SKIP_EXISTING,
	OPT_SORT,
	OPT_STATUS,
	OPT_TIME,
	OPT_TIMEOUT,
	OPT_TIMESTAMPS,
	OPT_TO,
	OPT_UNSORTED,
	OPT_VALUES,
	OPT_VALUE_LEN,
	OPT_VALUE_SERIALIZER,
	OPT_YES,
	OPT__COUNT,
};

struct tool_option {
	enum tool_opt opt;
	char letter;      /* 0: none */
	const char *name; /* NULL ends a table */
	const char *arg;  /* what its argument is called; NULL: takes none */
	const char *help; /* one line, no full stop */
};

struct tool;

struct tool_command {
	const char *name;
	const char *args;       /* as the usage line has them */
	const char *summary;    /* one line */
	const char *help;       /* a paragraph */
	int min_args, max_args; /* max < 0: any number */
	/* The argument that is a command to run, whose options are not ours;
	 * 0: none is.  Where command_for is set, only behind that word. */
	int command_at;
	const char *command_for;
	bool takes_numbers; /* an argument like -1 is no option */
	const struct tool_option *options;
	int (*run)(struct tool *t);
};

/* One run of one subcommand. */
struct tool {
	const struct tool_command *cmd; /* NULL before it is known */
	const char *opt[OPT__COUNT]; /* NULL: not given; "" or the argument */
	char **arg;
	int n_args;
	struct blt *store; /* NULL: none open */
	struct blt_ns *ns; /* NULL: not needed so far */
	/* A path of the command line that the library, or a daemon, is told as
	 * another, which their messages begin with; NULL: none. */
	const char *given_path, *told_path;
	char *mount_options; /* all that -o had, with commas; NULL: none */
};

/* The rows, and those of their options that several have. */
extern const struct tool_command tool_cancel, tool_check, tool_clear, tool_copy,
	tool_create, tool_del, tool_dump, tool_export, tool_get, tool_help,
	tool_import, tool_info, tool_jobs, tool_load, tool_ls, tool_map,
	tool_put, tool_recover, tool_reindex, tool_seq, tool_slot, tool_stat,
	tool_sync, tool_top, tool_trim, tool_txn, tool_umount, tool_wait;
extern const struct tool_command tool_complete, tool_doctor, tool_mount,
	tool_prune;

/* clang-format off */
#define TOOL_OPT_LOCK \
	{ OPT_LOCK_TIMEOUT, 0, "lock-timeout", "SECONDS", \
	  "wait so long for other users of STORE (3; forever)" }
#define TOOL_OPT_DB \
	{ OPT_DB, 0, "db", "NAME", \
	  "of an LMDB environment, only the database NAME" }
#define TOOL_OPT_JSON \
	{ OPT_JSON, 'j', "json", NULL, "print JSON" }
#define TOOL_OPT_JSON_COUNTS \
	{ OPT_JSON, 'j', "json", NULL, "print what came of it as JSON" }
#define TOOL_OPT_KEYS \
	{ OPT_FLAT, 'F', "flat", NULL, \
	  "paths as with the mount option flat: / in a key is %2F" }, \
	{ OPT_RAW, 'r', "raw", NULL, \
	  "keys are the bytes as given, not paths on a mount" }
#define TOOL_OPT_END \
	{ OPT_HELP, 'h', "help", NULL, "print this help" }, \
	{ .name = NULL }
/* clang-format on */

/* ---- tool.c ---- */

/* The table, for help; NULL where no command has the name. */
const struct tool_command *tool_find(const char *name);
/* All of them, until fn returns something else than 0, which it returns. */
int tool_each(int (*fn)(void *arg, const struct tool_command *cmd), void *arg);
void tool_print_overview(FILE *to);

/* ---- tool_options.c ---- */

/* Parses argv[1..] by t->cmd's rows into opt and arg.  0, or an exit code
 * after a message. */
int tool_parse(struct tool *t, int argc, char **argv);
void tool_print_help(const struct tool_command *cmd, FILE *to);

static inline bool tool_has(const struct tool *t, enum tool_opt opt)
{
	return t->opt[opt] != NULL;
}

/* As its row has it, without the dashes. */
const char *tool_opt_name(const struct tool *t, enum tool_opt opt);

/* The number an option has; def where it was not given.  0, or an exit code
 * after a message if it is none in min..max. */
int tool_opt_u64(const struct tool *t, enum tool_opt opt, uint64_t min,
		 uint64_t max, uint64_t def, uint64_t *ret);
/* Seconds, with a fraction, as milliseconds. */
int tool_opt_seconds(const struct tool *t, enum tool_opt opt, double min,
		     double max, int def_ms, int *ret_ms);
/* The same, or "forever", which is -1. */
int tool_opt_timeout(const struct tool *t, enum tool_opt opt, int def,
		     int *ret);
/* --lock-timeout. */
int tool_opt_lock(const struct tool *t, int *ret_ms);
/* The moment an option has; 0 where it was not given.  0, or an exit code after
 * a message. */
int tool_opt_time(const struct tool *t, enum tool_opt opt, int64_t *ret);
/* What it was given is no time: an exit code after a message. */
int tool_fail_time(const struct tool *t, enum tool_opt opt);

/* ---- tool_messages.c ---- */

/* "blt CMD: MESSAGE" on stderr; control characters are shown as \xNN. */
void tool_say(const struct tool *t, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* The same; returns exit_code. */
int tool_fail(const struct tool *t, int exit_code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* A file other than the store: "PATH: cannot DOING: reason".  err is a
 * negative errno. */
int tool_fail_file(const struct tool *t, const char *path, const char *doing,
		   int err);
/* A file that was to be made. */
int tool_fail_create(const struct tool *t, const char *path, int err);
/* The open store as a whole failed; key NULL, or what a person called it. */
int tool_fail_store(const struct tool *t, const char *key, int err);
/* What the library or a daemon says of told_path, in terms of given_path, and
 * what to do, or "": the exit code, after that message. */
int tool_fail_told(const struct tool *t, int exit_code, const char *text,
		   const char *advice);
/* No such key, or it is a directory: the exit code after a message, which -q
 * spares. */
int tool_fail_missing(struct tool *t, const char *key);
/* The exit code that an errno of an open store or a file comes to. */
int tool_exit_code(int err);

/* Writing to stdout failed: EX_IOERR, whatever it failed with. */
int tool_fail_stdout(const struct tool *t, int err);
/* Flushes stdout: 0, or an exit code after a message. */
int tool_flush(const struct tool *t);
/* Prints text with control characters replaced by '?' where stdout is a
 * terminal, as it is elsewhere. */
void tool_print_name(const char *text, size_t len);

/* ---- tool_open.c ---- */

/* A server that does not answer, and that it is back (blt.h); arg is the tool.
 */
void tool_tell_server(void *arg, const char *text);

/* Opens the store at path as t->store.  Where it may be written, signals are
 * caught from here on: tool_signal() tells.  0, or an exit code after a
 * message. */
int tool_open(struct tool *t, const char *path, enum blt_mode mode,
	      const struct blt_create_options *create);
/* What opening it, or reading it whole, failed for: an exit code after the
 * message, which for a mount point is about that. */
int tool_fail_open(const struct tool *t, const char *path, int rc,
		   const struct blt_error *err);
/* Closes it; the exit code of the run, given that of its work so far. */
int tool_close(struct tool *t, int exit_code);
/* The same for a command that writes something else. */
void tool_catch_signals(void);
/* The signal that asked to stop, or 0. */
int tool_signal(void);

/* ---- tool_key.c ---- */

struct tool_key {
	const char *name; /* as given */
	uint8_t *bytes;
	size_t len;
};

/* The key an argument means, by --hex, --raw, --flat.  A path may be that of no
 * key so far: where may_be_new is set, it counts as the key that it would get.
 * 0, or an exit code after a message. */
int tool_key(struct tool *t, const char *arg, bool may_be_new,
	     struct tool_key *ret);
/* The bytes of the argument itself, or, by --hex, those that it spells: for
 * where no store is open, too. */
int tool_key_literal(const struct tool *t, const char *arg,
		     struct tool_key *ret);
void tool_key_free(struct tool_key *key);
/* Calls fn for the keys that stand behind STORE.  Where it, or a key, comes to
 * TOOL_NOT_FOUND the others follow all the same; any other exit code ends it,
 * and so does a signal.  The last code that was not 0. */
typedef int tool_key_fn(struct tool *t, const struct tool_key *key, void *arg);
int tool_each_key(struct tool *t, tool_key_fn *fn, void *arg);
/* Whether keys are numbers, in one directory. */
bool tool_int_keys(const struct tool *t);
/* t->ns, made at the first call.  0, or an exit code after a message. */
int tool_need_ns(struct tool *t);

/* ---- tool_value.c: a value on its way into the store ---- */

/* Bytes of any number: in memory at first, in an unlinked temporary file above
 * a mebibyte.  As hex: digits come in, bytes are kept; white space is passed
 * over. */
struct tool_spool {
	uint8_t *buf;
	size_t used;  /* bytes of buf not yet in fd */
	uint64_t len; /* of all */
	int fd;       /* -1: all is in buf */
	int half;     /* a first hex digit that waits for its second, or
		       * -1 */
};
int tool_spool_init(struct tool_spool *s);
void tool_spool_free(struct tool_spool *s);
void tool_spool_reset(struct tool_spool *s);
int tool_spool_add(struct tool_spool *s, const void *bytes, size_t len);
int tool_spool_add_hex(struct tool_spool *s, const char *digits, size_t len);
/* -EINVAL: an odd number of hex digits. */
int tool_spool_end(struct tool_spool *s);
/* Reads fd to its end.  -EINTR: a signal asked to stop. */
int tool_spool_read(struct tool_spool *s, int fd, bool hex);
/* For blt_put_from; borrows s. */
struct blt_source tool_spool_source(struct tool_spool *s);

/* What is put: FILE as it stands, or standard input (NULL or "-") and whatever
 * else has no length yet, spooled.  0, or an exit code after a message; source
 * is good until tool_value_close, which must follow in both cases. */
struct tool_value {
	const char *name;
	int fd;
	bool spooled;
	struct tool_spool spool;
	struct blt_source source;
};
/* Exactly n bytes of a file; -ENODATA where it ends before. */
int tool_read_at(int fd, void *buf, size_t n, uint64_t offset);
int tool_value_open(struct tool *t, const char *path, struct tool_value *ret);
void tool_value_close(struct tool_value *v);

/* ---- tool_batch.c: many puts ---- */

/* What waits to be committed is not in the store yet: tool_batch_end before
 * that is looked at. */
struct tool_batch {
	struct blt *store;
	struct blt_batch *batch; /* NULL: nothing waits */
	uint8_t *value;          /* NULL: every put goes by itself */
	size_t bytes;
	uint64_t keys; /* that wait */
	uint64_t lost; /* of those put before, by the last call, which failed */
};
int tool_batch_init(struct tool_batch *b, struct blt *store);
/* As blt_put_from; an error may be of those before. */
int tool_batch_put(struct tool_batch *b, const void *key, size_t len,
		   const struct blt_source *from, int64_t time);
int tool_batch_end(struct tool_batch *b);
void tool_batch_free(struct tool_batch *b);

/* Says why a put of a value of that length failed; an exit code. */
int tool_fail_put(const struct tool *t, const struct tool_key *key,
		  uint64_t len, int err);

/* ---- tool_view.c: a value on its way out ---- */

/* To a descriptor, as it is or as one line of hex.  -EIO and so on from
 * either side: *ret_writing tells which. */
int tool_view_write(const struct blt_view *v, int fd, bool hex,
		    bool *ret_writing);
int tool_write_all(int fd, const void *buf, size_t len);

/* The store's bytes in the order of a walk, read ahead; a file that somebody
 * cuts short is -EIO. */
struct tool_window {
	int fd;
	uint64_t start;
	size_t len;
	uint8_t *buf;
};
int tool_window_init(struct tool_window *w, int fd);
void tool_window_free(struct tool_window *w);
/* As many of the bytes at offset as are at hand, at most max: their number
 * (> 0) and where they are, until the next call. */
int64_t tool_window_at(struct tool_window *w, uint64_t offset, uint64_t max,
		       const uint8_t **ret);

/* ---- tool_json.c ---- */

/* A JSON document as it is written.  name NULL inside an array. */
struct jout {
	FILE *to;
	unsigned depth;
	bool first; /* nothing yet at this depth */
	bool flat;  /* objects inside stand on one line each */
	bool line;  /* all of it stands on one line */
};
void jout_open(struct jout *j, const char *name, char bracket);
void jout_close(struct jout *j, char bracket);
void jout_text(struct jout *j, const char *name, const char *text);
/* Bytes that need not be UTF-8: what is none comes out as U+FFFD. */
void jout_bytes(struct jout *j, const char *name, const void *b, size_t len);
void jout_hex(struct jout *j, const char *name, const void *b, size_t len);
void jout_u64(struct jout *j, const char *name, uint64_t v);
void jout_fixed(struct jout *j, const char *name, double v);
void jout_bool(struct jout *j, const char *name, bool v);
/* A timestamp as microseconds and as text; null for BLT_NO_TIME. */
void jout_time(struct jout *j, int64_t us);
/* What a command did with a whole tree or list, where --json asks for that. */
struct tool_counts {
	uint64_t items;  /* stored, or written */
	uint64_t bytes;  /* of their values */
	uint64_t kept;   /* left as they were, as an option has it */
	uint64_t failed; /* named in a message; the rest went on */
};
/* Prints one line about it (not with --quiet), or all as JSON.  done: it came
 * to its end.  0, or an exit code after a message. */
int tool_print_counts(const struct tool *t, const struct tool_counts *c,
		      bool done);

/* ---- tool_seq.c ---- */

/* The verbs of blt seq, with what follows them, until fn returns something else
 * than 0, which it returns. */
int tool_seq_each_verb(int (*fn)(void *arg, const char *name, const char *args),
		       void *arg);

/* ---- tool_time.c ---- */

#define TIME_BUF 40
/* "2023-11-14T22:13:20.000000Z"; "-" for BLT_NO_TIME. */
const char *time_text(int64_t us, char buf[TIME_BUF]);
/* "now", microseconds since the epoch, "@SECONDS[.FRACTION]",
 * "YYYY-MM-DD[THH:MM[:SS[.FRACTION]]][Z|+HH:MM|-HH:MM]" (UTC), "today" and
 * "yesterday" (0:00 UTC), or as in systemd.time(7) "2 days ago", "1h 30min
 * ago",
 * "-2d".  0 or -EINVAL.  Now is BLT_NOW. */
int time_parse(const char *text, int64_t *ret);
/* Whether it is another time each time it is parsed. */
bool time_is_relative(const char *text);

/* ---- tool_progress.c ---- */

/* A line on stderr that is rewritten a few times a second, once the first has
 * gone by; nothing at all where stderr is no terminal or off is set. */
struct progress {
	bool on;
	size_t shown; /* characters of the line that stands there */
	const char *what;
	const char *items_are; /* keys, where progress_start was called */
	uint64_t total;        /* 0: not known */
	bool total_is_items;   /* it counts them, not bytes */
	uint64_t items;        /* as of the last call */
	int64_t started, last;
};
void progress_start(struct progress *p, const char *what, uint64_t total,
		    bool off);
void progress_show(struct progress *p, uint64_t bytes, uint64_t items);
/* Whether that first second has gone by, also where nothing is shown. */
bool progress_is_due(const struct progress *p);
/* A blt_progress_fn, arg a struct progress: shows it, and stops the operation
 * with -EINTR after a signal that tool_catch_signals() caught. */
int progress_follow(void *arg, uint64_t done, uint64_t total, uint64_t keys);
void progress_end(struct progress *p);
/* "12 s", "2 min 5 s", "3 h 20 min" */
const char *tool_duration(double seconds, char buf[32]);
/* "1.5 MiB" */
const char *tool_size(uint64_t bytes, char buf[32]);

/* ---- tool_create.c ---- */

/* What --buckets, --value-len, --key-serializer, --value-serializer and
 * --no-timestamps say of a new store; what they leave out stays as *create has
 * it.  0, or an exit code after a message. */
int tool_create_options(const struct tool *t,
			struct blt_create_options *create);
/* The name of the serializer behind that code, which is then *code; from 0 on.
 * NULL: there is none. */
const char *tool_next_serializer(unsigned *code);
/* Whether these options, and --timestamps, are for a store of that engine: 0,
 * or an exit code after a message. */
int tool_check_engine(const struct tool *t, const char *engine);

#endif
