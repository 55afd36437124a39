/* tool_create.c - blt create */
#include "booklet/io/file.h"
#include "tool/tool.h"
#include "tool/tool_place.h"
#include "base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define MAX_CODE 64 /* above every serializer code there is */

const char *tool_next_serializer(unsigned *code)
{
	while (++*code < MAX_CODE) {
		const char *name = blt_serializer_name(*code);

		/* Two codes stand for bytes. */
		if (name && blt_serializer_code(name) == (int)*code)
			return name;
	}
	return NULL;
}

static int list_serializers(const struct tool *t, const char *given)
{
	char names[1024] = "";
	unsigned code = 0;
	const char *name;
	size_t len = 0;

	while ((name = tool_next_serializer(&code))) {
		len += (size_t)snprintf(names + len, sizeof(names) - len, " %s",
					name);
		if (len >= sizeof(names))
			break;
	}
	return tool_fail(t, EX_USAGE, "%s: no such serializer; there are:%s",
			 given, names);
}

static int opt_serializer(const struct tool *t, enum tool_opt opt,
			  unsigned *ret)
{
	int code;

	if (!t->opt[opt])
		return 0;
	code = blt_serializer_code(t->opt[opt]);
	if (code < 0)
		return list_serializers(t, t->opt[opt]);
	*ret = (unsigned)code;
	return 0;
}

int tool_create_options(const struct tool *t, struct blt_create_options *create)
{
	uint64_t buckets, value_len;
	int code;

	code = tool_opt_u64(t, OPT_BUCKETS, 1, UINT32_MAX, create->n_buckets,
			    &buckets);
	if (!code)
		code = tool_opt_u64(t, OPT_VALUE_LEN, 1, UINT32_MAX,
				    create->value_len, &value_len);
	if (!code)
		code = opt_serializer(t, OPT_KEY_SERIALIZER,
				      &create->key_serializer);
	if (!code)
		code = opt_serializer(t, OPT_VALUE_SERIALIZER,
				      &create->value_serializer);
	if (code)
		return code;
	if (value_len && tool_has(t, OPT_VALUE_SERIALIZER))
		return tool_fail(t, EX_USAGE,
				 "--value-serializer and "
				 "--value-len: a store whose values all have "
				 "one length holds plain bytes; leave one out");
	create->n_buckets = (uint32_t)buckets;
	create->value_len = (uint32_t)value_len;
	if (tool_has(t, OPT_NO_TIMESTAMPS))
		create->no_timestamps = true;
	return 0;
}

/* ---- a store gets its name when it is whole ---- */

/* Whoever stops this leaves nothing behind, and what --force replaces stays
 * until then. */
struct making {
	const char *path; /* as it was given */
	char *real;       /* where a link of that name leads; or NULL */
	char *temporary;  /* the place's */
	struct place place;
	struct file old; /* what is replaced; nobody else has it meanwhile */
	bool is_old;
};

static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
static const struct place *volatile unfinished;

static void give_up(int sig)
{
	if (unfinished)
		unlinkat(unfinished->dir, unfinished->temporary, 0);
	_exit(TOOL_SIGNALLED + sig);
}

/* An index of gigabytes is written in one go: a signal cannot wait for that. */
static void remove_on_signals(void)
{
	struct sigaction act = { .sa_handler = give_up }, old;

	tool_catch_signals();
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		if (!sigaction(signals[i], NULL, &old) &&
		    old.sa_handler != SIG_IGN)
			sigaction(signals[i], &act, NULL);
}

static int take_old(struct tool *t, struct making *m, const struct stat *st)
{
	struct file_how how = { .write = true };
	struct blt_error err;
	int code = tool_opt_lock(t, &how.lock_timeout_ms), r;

	if (code)
		return code;
	/* of anything else the kind is what is wrong */
	if (S_ISREG(st->st_mode) && !tool_has(t, OPT_FORCE))
		return tool_fail(t, EX_CANTCREAT,
				 "%s: exists already; --force replaces it, and "
				 "all that it holds is gone then",
				 m->path);
	r = file_open(&m->old, m->path, &how, &file_system_ops, &err);
	if (r < 0)
		return tool_fail_open(t, m->path, r, &err);
	m->is_old = true;
	m->real = realpath(m->path, NULL);
	return m->real ? 0 : tool_fail_create(t, m->path, -errno);
}

/* No signal comes between the file and the note of it. */
static int begin(struct making *m, int dir)
{
	sigset_t set, before;
	int r;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		sigaddset(&set, signals[i]);
	sigprocmask(SIG_BLOCK, &set, &before);
	r = place_begin(&m->place, dir);
	if (r == 0)
		unfinished = &m->place;
	sigprocmask(SIG_SETMASK, &before, NULL);
	return r;
}

static const char *name_of(const struct making *m)
{
	return m->real ? m->real : m->path;
}

/* A file beside it, with the modes that the store is to have. */
static int take_place(struct tool *t, struct making *m)
{
	const char *at = name_of(m), *slash = strrchr(at, '/');
	char *dir =
		slash ? strndup(at, (size_t)(slash - at) + 1) : strdup("./");
	int fd = dir ? open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	int r = fd < 0 ? -errno : begin(m, fd);

	if (r == 0 &&
	    asprintf(&m->temporary, "%s%s", dir, m->place.temporary) < 0) {
		m->temporary = NULL;
		r = -ENOMEM;
	}
	free(dir);
	if (r < 0)
		return tool_fail_create(t, m->path, r);
	if (m->is_old)
		file_give_mode(&m->old, m->place.fd);
	return 0;
}

static int fill(struct tool *t, struct making *m,
		const struct blt_create_options *create)
{
	const struct blt_open_options how = { .mode = BLT_TRUNCATE,
					      .engine = t->opt[OPT_ENGINE],
					      .db = t->opt[OPT_DB],
					      .alone = true,
					      .create = *create };
	struct blt_error err;
	int r = blt_open(m->temporary, &how, &t->store, &err);

	tool_catch_signals();
	if (r == 0)
		return tool_close(t, 0);
	t->store = NULL;
	t->told_path = m->temporary;
	t->given_path = m->path;
	return tool_fail_told(t, tool_exit_code(r), err.text, "");
}

static int give_name(struct tool *t, struct making *m)
{
	const char *at = name_of(m), *slash = strrchr(at, '/');
	int r = place_end(&m->place, slash ? slash + 1 : at, m->is_old);

	if (r == 0)
		r = file_sync_name(at);
	return r < 0 ? tool_fail_create(t, m->path, r) : 0;
}

static int make(struct tool *t, const char *path,
		const struct blt_create_options *create)
{
	struct making m = { .path = path, .place = { .dir = -1, .fd = -1 } };
	struct stat st;
	int code = 0;

	if (stat(m.path, &st) == 0 || lstat(m.path, &st) == 0)
		code = take_old(t, &m, &st);
	remove_on_signals();
	if (!code)
		code = take_place(t, &m);
	if (!code)
		code = fill(t, &m, create);
	if (!code)
		code = give_name(t, &m);
	place_abort(&m.place);
	unfinished = NULL;
	if (m.place.dir >= 0)
		close(m.place.dir);
	if (m.is_old)
		file_close(&m.old);
	free(m.temporary);
	free(m.real);
	return code;
}

/* ---- other engines ---- */

#define LMDB "lmdb"
#define BOOKLET "booklet"

static bool is_engine(const char *name)
{
	const char *is;

	for (unsigned i = 0; (is = blt_engine_name(i)); i++)
		if (strcmp(name, is) == 0)
			return true;
	return false;
}

int tool_check_engine(const struct tool *t, const char *engine)
{
	static const enum tool_opt of_booklet[] = {
		OPT_BUCKETS,          OPT_VALUE_LEN,     OPT_KEY_SERIALIZER,
		OPT_VALUE_SERIALIZER, OPT_NO_TIMESTAMPS, OPT_TIMESTAMPS
	};

	bool lmdb = strcmp(engine, LMDB) == 0;

	if (!is_engine(engine))
		return tool_fail(t, EX_USAGE,
				 "--engine %s: there are booklet, lmdb and "
				 "postgresql, where they were built in (blt "
				 "--version)",
				 engine);
	for (size_t i = 0;
	     strcmp(engine, BOOKLET) != 0 && i < ARRAY_SIZE(of_booklet); i++)
		if (tool_has(t, of_booklet[i]))
			return tool_fail(t, EX_USAGE,
					 "--%s: is for booklet stores; %s has "
					 "keys and values of any bytes, and %s",
					 tool_opt_name(t, of_booklet[i]),
					 lmdb ? "an LMDB environment" :
						"a store in PostgreSQL",
					 lmdb ? "no times" : "times");
	return 0;
}

/* One that is there already is as good, unless it is to be emptied. */
static int create_url(struct tool *t, const char *url)
{
	const struct blt_open_options how = {
		.mode = tool_has(t, OPT_FORCE) ? BLT_TRUNCATE : BLT_CREATE,
		.engine = t->opt[OPT_ENGINE],
		.db = t->opt[OPT_DB],
		.tell = tool_tell_server,
		.tell_arg = t,
	};
	struct blt_error err;
	int r = tool_check_engine(t, blt_engine_of(url));

	if (r)
		return r;
	r = blt_open(url, &how, &t->store, &err);
	if (r == 0)
		return tool_close(t, 0);
	t->store = NULL;
	return tool_fail_open(t, url, r, &err);
}

/* One that is there is changed in a transaction of LMDB's, since others may
 * have it open. */
static int change_environment(struct tool *t, const char *path)
{
	struct blt_open_options how = { .mode = BLT_READ,
					.db = t->opt[OPT_DB] };
	bool force = tool_has(t, OPT_FORCE);
	struct blt_error err;
	int r;

	if (tool_has(t, OPT_ENGINE) && strcmp(t->opt[OPT_ENGINE], LMDB) != 0)
		return tool_fail(t, EX_CANTCREAT,
				 "%s: is an LMDB environment, which others may "
				 "have open; remove it first",
				 path);
	r = blt_open(path, &how, &t->store, &err);
	if (r == 0)
		(void)tool_close(t, 0);
	t->store = NULL;
	if (r < 0 && r != -ENOENT)
		return tool_fail_open(t, path, r, &err);
	if (r == 0 && !force && how.db)
		return tool_fail(t, EX_CANTCREAT,
				 "%s: has a database %s already; --force "
				 "empties it",
				 path, how.db);
	if (r == 0 && !force)
		return tool_fail(t, EX_CANTCREAT,
				 "%s: exists already; --force empties it, for "
				 "all who use it",
				 path);
	how.mode = force ? BLT_TRUNCATE : BLT_CREATE;
	r = blt_open(path, &how, &t->store, &err);
	if (r == 0)
		return tool_close(t, 0);
	t->store = NULL;
	return tool_fail_open(t, path, r, &err);
}

/* In a directory, which is made where its name ends in '/'. */
static int make_in_dir(struct tool *t, const char *path,
		       const struct blt_create_options *create)
{
	bool made = mkdir(path, 0700) == 0;
	char *file;
	int code;

	if (!made && errno != EEXIST)
		return tool_fail_create(t, path, -errno);
	if (asprintf(&file, "%s/data.mdb", path) < 0)
		return tool_fail(t, EX_OSERR, "out of memory");
	code = make(t, file, create);
	free(file);
	if (code && made)
		rmdir(path);
	return code;
}

static int run_create(struct tool *t)
{
	struct blt_create_options create = { 0 };
	const char *path = t->arg[0], *engine = t->opt[OPT_ENGINE];
	size_t len = strlen(path);
	struct stat st;
	int code = tool_create_options(t, &create);

	if (!code && engine)
		code = tool_check_engine(t, engine);
	if (code)
		return code;
	if (blt_is_url(path))
		return create_url(t, path);
	if (blt_engine_of(path))
		return change_environment(t, path);
	if (!engine || strcmp(engine, LMDB) != 0)
		return make(t, path, &create);
	if ((stat(path, &st) == 0 && S_ISDIR(st.st_mode)) ||
	    (len && path[len - 1] == '/'))
		return make_in_dir(t, path, &create);
	return make(t, path, &create);
}

static const struct tool_option options[] = {
	{ OPT_BUCKETS, 'b', "buckets", "N",
	  "size of the index (12007); best above the number of keys" },
	{ OPT_VALUE_LEN, 'l', "value-len", "N",
	  "all values have N bytes; saves 4 to 11 bytes a key" },
	{ OPT_KEY_SERIALIZER, 'k', "key-serializer", "NAME",
	  "what keys are to Python (str)" },
	{ OPT_VALUE_SERIALIZER, 'v', "value-serializer", "NAME",
	  "what values are to Python (bytes)" },
	{ OPT_NO_TIMESTAMPS, 'T', "no-timestamps", NULL,
	  "keep no times; saves 7 bytes a key" },
	{ OPT_FORCE, 'f', "force", NULL,
	  "replace STORE if it exists and nobody uses it" },
	{ OPT_ENGINE, 'e', "engine", "NAME",
	  "booklet (if not given) or lmdb: an LMDB environment, a file or in "
	  "a directory" },
	{ OPT_DB, 0, "db", "NAME",
	  "the database NAME in an LMDB environment, old or new" },
	TOOL_OPT_LOCK,
	TOOL_OPT_END,
};

const struct tool_command tool_create = {
	.name = "create",
	.args = "STORE",
	.summary = "make an empty store",
	.help = "Makes an empty store, as the Python library booklet would; its "
		"name appears when all of it is on the disk. With --engine "
		"lmdb, an LMDB environment: in one file, or, where STORE is a "
		"directory or ends in /, as LMDB has it there. "
		"Serializers: bytes, str (UTF-8), json, orjson, uint4, int8, "
		"pickle, zstd and so on; a wrong name lists them all. Keys of "
		"an integer serializer show as numbers.",
	.min_args = 1,
	.max_args = 1,
	.options = options,
	.run = run_create,
};
