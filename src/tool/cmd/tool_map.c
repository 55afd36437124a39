/* tool_map.c - blt map */
#include "tool/mount_client.h"
#include "tool/cmd/tool_map.h"

#include "bltfs_ioctl.h"
#include "base/util.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

/* Which of the ways to name a function was taken, and its arguments; *argv is
 * room for one more than there are arguments. */
static int parse_function(const struct tool *t, struct map_options *o,
			  char **argv, struct map_python *py)
{
	const bool builtin = tool_has(t, OPT_BUILTIN),
		   shared = tool_has(t, OPT_SHARED),
		   framed = tool_has(t, OPT_FRAMED),
		   python = tool_has(t, OPT_PYTHON);
	const char *first = builtin ? t->opt[OPT_BUILTIN] : t->opt[OPT_SHARED];
	int n = 0;

	o->argv = argv;
	if (o->forget)
		return t->n_args == 1 ? 0 :
					tool_fail(t, EX_USAGE,
						  "--forget: takes no command");
	if (builtin + shared + framed + python > 1)
		return tool_fail(t, EX_USAGE,
				 "--builtin, --shared, --framed and --python: "
				 "give one of the four");
	if (tool_has(t, OPT_BATCH) && !python)
		return tool_fail(t, EX_USAGE, "--batch: goes with --python");
	if (python)
		return map_python_parse(t, o, py);
	o->kind = builtin ? MAP_BUILTIN :
		  shared  ? MAP_SHARED :
		  framed  ? MAP_FRAMED :
			    MAP_COMMAND;
	if (builtin && t->n_args > 1)
		return tool_fail(t, EX_USAGE, "--builtin %s: takes no command",
				 first);
	if (!builtin && !shared && t->n_args < 2)
		return tool_fail(t, EX_USAGE,
				 "no command is given; usage: blt map "
				 "[OPTION]... %s",
				 t->cmd->args);
	if (first)
		argv[n++] = (char *)(uintptr_t)first;
	for (int i = 1; i < t->n_args; i++)
		argv[n++] = t->arg[i];
	return 0;
}

struct env {
	char **pair; /* NAME=VALUE */
	size_t n, room;
};

static int add_env(const struct tool *t, struct env *env, const char *name)
{
	const char *value = getenv(name);
	char *pair;

	if (!value)
		return tool_fail(t, EX_USAGE,
				 "--env %s: no variable of this environment; "
				 "set it, or name another",
				 name);
	if (asprintf(&pair, "%s=%s", name, value) < 0)
		pair = NULL;
	if (!pair || ARRAY_ROOM(env->pair, env->room, env->n + 2) < 0) {
		free(pair);
		return tool_fail(t, EX_OSERR, "out of memory");
	}
	env->pair[env->n++] = pair;
	env->pair[env->n] = NULL;
	return 0;
}

/* --env: names, each as NAME=VALUE in o->env.  Where Python's modules are goes
 * along with its function. */
static int parse_env(const struct tool *t, struct map_options *o)
{
	const char *at = t->opt[OPT_ENV];
	struct env env = { NULL, 0, 0 };
	int code = 0;

	while (!code && at && *at) {
		size_t len = strcspn(at, ",");
		char *name = strndup(at, len);

		code = name ? add_env(t, &env, name) :
			      tool_fail(t, EX_OSERR, "out of memory");
		free(name);
		at += len + (at[len] == ',');
	}
	if (!code && tool_has(t, OPT_PYTHON) && getenv("PYTHONPATH"))
		code = add_env(t, &env, "PYTHONPATH");
	o->env = env.pair;
	return code;
}

static void free_env(struct map_options *o)
{
	for (char *const *e = o->env; e && *e; e++)
		free(*e);
	free((void *)(uintptr_t)o->env);
}

static int parse_numbers(const struct tool *t, struct map_options *o)
{
	uint64_t jobs;
	int code;

	code = tool_opt_u64(t, OPT_JOBS, 1, MAP_WORKERS_MAX, 0, &jobs);
	if (!code)
		code = tool_opt_u64(t, OPT_MAX_ERRORS, 0, UINT64_MAX,
				    MAP_ERRORS_ANY, &o->max_errors);
	if (!code)
		code = tool_opt_timeout(t, OPT_TIMEOUT, 0, &o->timeout_ms);
	if (!code)
		code = tool_opt_lock(t, &o->lock_timeout_ms);
	if (!code)
		code = tool_opt_time(t, OPT_NEWER_THAN, &o->newer_than);
	if (!code)
		code = tool_opt_time(t, OPT_OLDER_THAN, &o->older_than);
	if (code)
		return code;
	if (o->timeout_ms < 0)
		o->timeout_ms = 0; /* for ever */
	else if (tool_has(t, OPT_TIMEOUT) && o->timeout_ms == 0)
		o->timeout_ms = 1;
	o->workers = (unsigned)jobs;
	return 0;
}

/* A store that is made for the results is like the one they come from. */
static int parse_create(const struct tool *t, const struct blt_info *info,
			struct map_options *o)
{
	o->to_create = tool_has(t, OPT_CREATE);
	o->create = (struct blt_create_options){
		.value_len = info->value_len,
		.key_serializer = info->key_serializer,
		.value_serializer = info->value_serializer,
		.no_timestamps = !info->has_timestamps && !info->value_len,
	};
	if (tool_has(t, OPT_VALUE_SERIALIZER) && !tool_has(t, OPT_VALUE_LEN))
		o->create.value_len = 0;
	if (o->create.value_len || tool_has(t, OPT_VALUE_LEN))
		o->create.value_serializer = 0;
	return tool_create_options(t, &o->create);
}

static int check_create(const struct tool *t)
{
	static const enum tool_opt of_new[] = { OPT_BUCKETS, OPT_VALUE_LEN,
						OPT_KEY_SERIALIZER,
						OPT_VALUE_SERIALIZER,
						OPT_NO_TIMESTAMPS };

	if (tool_has(t, OPT_CREATE) && !tool_has(t, OPT_TO))
		return tool_fail(t, EX_USAGE,
				 "--create: goes with --to, which names the "
				 "store");
	for (size_t i = 0; i < ARRAY_SIZE(of_new); i++)
		if (tool_has(t, of_new[i]) && !tool_has(t, OPT_CREATE))
			return tool_fail(t, EX_USAGE,
					 "what a new store is like goes with "
					 "--create");
	return 0;
}

static int check_stdout(const struct tool *t)
{
	if (!map_to_stdout(t))
		return 0;
	if (tool_has(t, OPT_CREATE))
		return tool_fail(t, EX_USAGE,
				 "--create: goes with --to, which names the "
				 "store");
	if (tool_has(t, OPT_JOB) || tool_has(t, OPT_RETRY_FAILED))
		return tool_fail(t, EX_USAGE,
				 "--to -: standard output cannot be committed, "
				 "so a job is kept in a store; name one");
	if (tool_has(t, OPT_IF_UNCHANGED))
		return tool_fail(t, EX_USAGE,
				 "--if-unchanged: is for results that are "
				 "stored");
	return 0;
}

/* What the store says that is read from. */
static int use_info(struct tool *t, const struct blt_info *info,
		    struct map_options *o, struct map_python *py)
{
	int code = parse_create(t, info, o);

	if (!code && tool_has(t, OPT_PYTHON))
		code = map_python_types(t, info, o, py);
	return code;
}

static int open_input(struct tool *t, struct map_options *o,
		      struct map_python *py)
{
	struct blt_info info;
	int code;

	code = tool_open(t, t->arg[0],
			 tool_has(t, OPT_TO) ? BLT_READ : BLT_WRITE, NULL);
	if (code)
		return code;
	tool_catch_signals();
	/* Where it is ignored, workers that end are not waited for. */
	signal(SIGCHLD, SIG_DFL);
	blt_get_info(t->store, &info);
	code = use_info(t, &info, o, py);
	if (!code && tool_has(t, OPT_KEYS_FROM))
		code = map_keys_read(t, -1, t->opt[OPT_KEYS_FROM], o);
	return code;
}

static int map_store(struct tool *t, const struct map_options *o)
{
	struct map_report report;
	struct map_hooks hooks = { .arg = &report,
				   .progress = map_report_progress,
				   .error = map_report_error };
	struct map_result result;
	struct blt_error err = { "" };
	int rc;

	map_report_start(&report, t);
	if (report.stream)
		hooks.result = map_report_value;
	rc = map_run(t->store, o, &hooks, &result, &err);
	if (rc == 0 && o->forget && !tool_has(t, OPT_QUIET))
		printf("job %s is forgotten\n", o->job);
	return map_report_end(&report, &result, rc, err.text);
}

/* The daemon does it. */
static int map_mounted(struct tool *t, int fd, struct map_options *o,
		       struct map_python *py)
{
	struct map_paths paths = { .to = NULL };
	struct bltfs_map ask = { 0 };
	uint8_t *packed = NULL;
	struct blt_info info;
	size_t len = 0;
	int code;

	if (map_to_stdout(t))
		code = tool_fail(t, EX_USAGE,
				 "--to -: %s is a mount, whose daemon has "
				 "another standard output; name a store",
				 t->arg[0]);
	else
		code = mount_client_store(t, fd, &info, NULL);
	if (!code)
		code = use_info(t, &info, o, py);
	if (!code && tool_has(t, OPT_KEYS_FROM))
		code = map_keys_read(t, fd, t->opt[OPT_KEYS_FROM], o);
	if (!code && !o->forget)
		code = map_mount_paths(t, o, &paths);
	if (!code && map_pack(o, &packed, &len) < 0)
		code = tool_fail(t, EX_OSERR, "out of memory");
	if (!code)
		code = mount_client_pieces(t, fd, packed, len, &ask.args);
	free(packed);
	t->given_path = t->opt[OPT_TO];
	t->told_path = paths.to;
	if (code)
		close(fd);
	else
		code = mount_client_start(t, fd, BLTFS_IOC_MAP, &ask);
	t->told_path = NULL;
	map_mount_paths_free(&paths);
	return code;
}

static int run_map(struct tool *t)
{
	struct map_options o = { .glob = t->opt[OPT_KEYS],
				 .prefix = t->opt[OPT_PREFIX],
				 .flat = tool_has(t, OPT_FLAT),
				 .key_template = t->opt[OPT_KEY],
				 .to = map_to_stdout(t) ? NULL : t->opt[OPT_TO],
				 .if_unchanged =
					 tool_has(t, OPT_IF_UNCHANGED) };
	char **argv = calloc((size_t)t->n_args + 2, sizeof(*argv));
	struct map_python py = { .worker = NULL };
	struct blt_error err;
	int code, fd = -1;

	if (!argv || tool_has(t, OPT_STATUS)) {
		free(argv);
		return argv ? map_job_status(t) :
			      tool_fail(t, EX_OSERR, "out of memory");
	}
	code = map_job_parse(t, &o);
	if (!code)
		code = parse_function(t, &o, argv, &py);
	if (!code)
		code = parse_env(t, &o);
	if (!code)
		code = parse_numbers(t, &o);
	if (!code && map_check(&o, &err) < 0)
		code = tool_fail(t, EX_USAGE, "%s", err.text);
	if (!code)
		code = check_create(t);
	if (!code)
		code = check_stdout(t);
	if (!code)
		code = mount_client_open(t, t->arg[0], &fd);
	if (!code && fd >= 0) {
		code = map_mounted(t, fd, &o, &py);
	} else if (!code && tool_has(t, OPT_DETACH)) {
		code = tool_fail(t, EX_USAGE, "--detach: %s is no mount",
				 t->arg[0]);
	} else if (!code) {
		code = open_input(t, &o, &py);
		if (!code)
			code = map_store(t, &o);
	}
	map_keys_free(&o);
	free_env(&o);
	map_python_free(&py);
	free(argv);
	return code;
}

static const struct tool_option options[] = {
	{ OPT_BUILTIN, 'b', "builtin", "NAME",
	  "instead of CMD: identity, upper, zstd, unzstd, sha256sum, wc" },
	{ OPT_SHARED, 's', "shared", "FILE",
	  "a shared object that exports blt_map_fn; CMD and ARG are its "
	  "arguments" },
	{ OPT_FRAMED, 'f', "framed", NULL,
	  "CMD stays up and speaks the protocol" },
	{ OPT_PYTHON, 'P', "python", "FILE:FUNC",
	  "instead of CMD: FUNC(key, value) of the Python file FILE" },
	{ OPT_BATCH, 0, "batch", "N",
	  "that takes a list of up to N (key, value) at once" },
	{ OPT_JOBS, 'j', "jobs", "N", "worker processes (one a processor)" },
	{ OPT_SHARD, 'S', "shard", "PART",
	  "only keys whose hash falls to PART, which is I/N: 1/N to N/N" },
	{ OPT_JOB, 'J', "job", "NAME",
	  "note in the store how far the map is, and go on there" },
	{ OPT_STATUS, 0, "status", NULL,
	  "instead of CMD: show how far the job is, or all jobs" },
	{ OPT_RESTART, 0, "restart", NULL, "begin the job anew" },
	{ OPT_FORGET, 0, "forget", NULL,
	  "instead of CMD: delete what is noted of the job" },
	{ OPT_RETRY_FAILED, 0, "retry-failed", "NAME",
	  "only the keys of the job NAME that failed" },
	{ OPT_KEYS, 'k', "keys", "GLOB",
	  "only keys that match; * and ? match / too" },
	{ OPT_PREFIX, 'p', "prefix", "PREFIX", "only keys that begin so" },
	{ OPT_KEYS_FROM, 'i', "keys-from", "FILE",
	  "only the keys that FILE lists, a line each (-: standard input)" },
	{ OPT_NUL, '0', "null", NULL, "those keys end in NUL, not line feed" },
	{ OPT_HEX, 'x', "hex", NULL, "those keys are hex digits" },
	TOOL_OPT_KEYS,
	{ OPT_NEWER_THAN, 'n', "newer-than", "TIME",
	  "only keys with a later timestamp" },
	{ OPT_OLDER_THAN, 'o', "older-than", "TIME",
	  "only keys with an earlier timestamp" },
	{ OPT_KEY, 'K', "key", "TEMPLATE",
	  "the key of the result, of {key} {dir} {name} {stem} {ext}" },
	{ OPT_TO, 't', "to", "OTHER",
	  "write to the store OTHER (-: to standard output)" },
	{ OPT_CREATE, 'c', "create", NULL,
	  "make OTHER where it is missing, like STORE but for these:" },
	{ OPT_BUCKETS, 'B', "buckets", "N", "size of its index" },
	{ OPT_VALUE_LEN, 'l', "value-len", "N", "all its values have N bytes" },
	{ OPT_KEY_SERIALIZER, 0, "key-serializer", "NAME",
	  "what its keys are to Python" },
	{ OPT_VALUE_SERIALIZER, 'v', "value-serializer", "NAME",
	  "what its values are to Python" },
	{ OPT_NO_TIMESTAMPS, 'T', "no-timestamps", NULL, "it keeps no times" },
	{ OPT_IF_UNCHANGED, 'u', "if-unchanged", NULL,
	  "skip a key that was changed or deleted meanwhile" },
	{ OPT_ENV, 'E', "env", "NAMES",
	  "variables of this environment, with commas between, for CMD" },
	{ OPT_TIMEOUT, 'w', "timeout", "SECONDS",
	  "an item that takes longer is an error" },
	{ OPT_MAX_ERRORS, 'e', "max-errors", "N",
	  "stop after more errors than that" },
	TOOL_OPT_DETACH,
	{ OPT_JSON, 0, "json", NULL, "print JSON" },
	{ OPT_QUIET, 'q', "quiet", NULL, "no progress and no report" },
	TOOL_OPT_DB,
	TOOL_OPT_LOCK,
	TOOL_OPT_END,
};

const struct tool_command tool_map = {
	.name = "map",
	.args = "STORE|MOUNTPOINT [CMD [ARG]...]",
	.summary = "run a function over keys, in parallel",
	.help = "Runs CMD for each key of STORE, some at a time, and stores "
		"what it prints as the key's new value. The value is on its "
		"standard input, the key in BLT_KEY; no shell is used. Exit "
		"code 0 stores, 100 skips the key, any other is an error of "
		"that key. Write -- in front of CMD if it has options.",
	.min_args = 1,
	.max_args = -1,
	.command_at = 1,
	.options = options,
	.run = run_map,
};
