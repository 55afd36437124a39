/* One table says what an option is called, what it takes, where it goes and
 * what the help says of it.  An option that libfuse or the kernel acts on is
 * a row too (PASS), so that a misspelt one is found here and not lost.
 */
#include "main/options.h"

#include "base/array.h"
#include "base/os.h"
#include "base/suggest.h"
#include "base/util.h"
#include "main/options_value.h"

#include <errno.h>
#include <getopt.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Memory for files that are being written, at most, if the user does not say.
 */
#define STAGING (UINT64_C(256) << 20)

#define AT(field) offsetof(struct options, field)

static const struct option_row rows[] = {
	{ "ro", FLAG, AT(ro), 0, 0, NULL,
	  "read only; others may mount the store so as well", false },
	{ "create", FLAG, AT(create), 0, 0, NULL,
	  "make the store if it is missing", false },
	{ "buckets", NUMBER, AT(buckets), 1, UINT32_MAX, "N",
	  "of a new store (default 12007)", true },
	{ "value_len", NUMBER, AT(value_len), 1, UINT32_MAX, "BYTES",
	  "a new store of values that all have this length", true },
	{ "key_serializer", TEXT, AT(key_serializer), 0, 0, "NAME",
	  "of a new store (default str)", true },
	{ "value_serializer", TEXT, AT(value_serializer), 0, 0, "NAME",
	  "of a new store (default bytes)", true },
	{ "engine", TEXT, AT(engine), 0, 0, "NAME",
	  "of a new store: booklet (default) or lmdb", true },
	{ "db", TEXT, AT(db), 0, 0, "NAME",
	  "the one database of an LMDB environment to show", false },
	{ "no_timestamps", FLAG, AT(no_timestamps), 0, 0, NULL,
	  "a new store that keeps no times", true },
	{ "flat", FLAG, AT(flat), 0, 0, NULL,
	  "one directory; a '/' in a key is written %2F", false },
	{ "uid", NUMBER, AT(uid), 0, UINT32_MAX - 1, "N",
	  "owner of everything (default: who mounts)", false },
	{ "gid", NUMBER, AT(gid), 0, UINT32_MAX - 1, "N",
	  "group of everything (default: of who mounts)", false },
	{ "umask", MODE, AT(umask), 0, 0777, "OCTAL",
	  "permission bits that are taken away (default 022)", false },
	{ "fmask", MODE, AT(fmask), 0, 0777, "OCTAL",
	  "taken away from 0777 for files only", false },
	{ "dmask", MODE, AT(dmask), 0, 0777, "OCTAL",
	  "the same for directories only", false },
	{ "attrs", CHOICE, AT(attrs), 0, 0, "stored|dropped",
	  "what chmod and chown do (default stored, if it can be)", false },
	{ "strict_attrs", FLAG, AT(strict_attrs), 0, 0, NULL,
	  "refuse chmod and chown where they are not stored", false },
	{ "nosymlinks", FLAG, AT(nosymlinks), 0, 0, NULL,
	  "show symbolic links as the files they are stored in", false },
	{ "decode", FLAG, AT(decode), 0, 0, NULL,
	  "show zstd-coded values decoded, and code what is written", false },
	{ "xattr", FLAG, AT(xattr), 0, 0, NULL,
	  "answer user.blt.key also where no attributes are stored", false },
	{ "allow_other", FLAG, AT(allow_other), 0, 0, NULL,
	  "let other users in; sets default_permissions", false },
	{ "default_permissions", FLAG, AT(default_permissions), 0, 0, NULL,
	  "let the kernel check modes", false },
	{ "commit", NUMBER, AT(commit), 1, 86400, "SECONDS",
	  "make changes durable this often (default 5)", false },
	{ "autoprune", SHARE, AT(autoprune), 1, 99, "PERCENT",
	  "prune by itself once so much is dead; no (default 50)", false },
	{ "sync", FLAG, AT(sync), 0, 0, NULL,
	  "make every close of a changed file durable", false },
	{ "lock_timeout", NUMBER, AT(lock_timeout), 0, 86400, "SECONDS",
	  "wait so long for the store's lock (default 10)", false },
	{ "max_staging", SIZE, AT(max_staging), 0, UINT64_C(1) << 50, "SIZE",
	  "memory for files being written (default 256M, or less)", false },
	{ "control", TEXT, AT(control), 0, 0, "NAME",
	  "the control directory's name, or none (default .bltfs)", false },
	{ "poll_us", NUMBER, AT(poll_us), 0, 1000000, "N",
	  "look for the next request so long before sleeping", false },
	{ "attr_ms", NUMBER, AT(attr_ms), 0, 60000, "N",
	  "PostgreSQL: keep names so long (default 1000)", false },
	{ "look_ms", NUMBER, AT(look_ms), 1, 60000, "N",
	  "look so often for changes by others (default 100)", false },
	{ "control_write", FLAG, AT(control_write), 0, 0, NULL,
	  "metadata and reserved slots can be written there", false },
	{ "control_exec", FLAG, AT(control_exec), 0, 0, NULL,
	  "its file control takes every command", false },
	{ "map", NAMED, 0, 0, 0, "NAME=COMMAND",
	  "a function that its file control may map; any number", false },
	{ "mkdir", FLAG, AT(mkdir), 0, 0, NULL,
	  "make the mount point if missing; remove it at the end", false },
	{ "nonempty", FLAG, AT(nonempty), 0, 0, NULL,
	  "mount over a directory that is not empty", false },
	{ "clone_fd", FLAG, AT(clone_fd), 0, 0, NULL,
	  "a device descriptor for each thread", false },
	{ "io_uring", CHOICE, AT(io_uring), 0, 0, "auto|yes|no",
	  "take requests through io_uring (default auto)", false },
	{ "log", TEXT, AT(log), 0, 0, "FORMAT",
	  "of messages: text (default), or json: an object a line", false },
	{ "fsname", TEXT, AT(fsname), 0, 0, "NAME",
	  "source shown in /proc/mounts (default: the store)", false },
	{ "subtype", TEXT, AT(subtype), 0, 0, "NAME",
	  "type shown there, behind \"fuse.\" (default bltfs)", false },
	{ "auto_unmount", PASS, 0, 0, 0, NULL, "unmount when the daemon dies",
	  false },
	{ "max_read", PASS_VALUE, 0, 4096, 1 << 20, "BYTES",
	  "longest read request", false },
	{ "rw", PASS, 0, 0, 0, NULL, "read and write (default)", false },
	{ "dev", PASS, 0, 0, 0, NULL, NULL, false },
	{ "nodev", PASS, 0, 0, 0, NULL, NULL, false },
	{ "suid", PASS, 0, 0, 0, NULL, NULL, false },
	{ "nosuid", PASS, 0, 0, 0, NULL, NULL, false },
	{ "exec", PASS, 0, 0, 0, NULL, NULL, false },
	{ "noexec", PASS, 0, 0, 0, NULL, NULL, false },
	{ "atime", PASS, 0, 0, 0, NULL, NULL, false },
	{ "noatime", PASS, 0, 0, 0, NULL,
	  "and [no]dev, [no]suid, [no]exec, atime: as in mount(8)", false },
	/* what a line in /etc/fstab may hold */
	{ "defaults", IGNORE, 0, 0, 0, NULL, NULL, false },
	{ "auto", IGNORE, 0, 0, 0, NULL, NULL, false },
	{ "noauto", IGNORE, 0, 0, 0, NULL, NULL, false },
	{ "user", IGNORE, 0, 0, 0, NULL, NULL, false },
	{ "nouser", IGNORE, 0, 0, 0, NULL, NULL, false },
	{ "users", IGNORE, 0, 0, 0, NULL, NULL, false },
	{ "owner", IGNORE, 0, 0, 0, NULL, NULL, false },
	{ "group", IGNORE, 0, 0, 0, NULL, NULL, false },
	{ "nofail", IGNORE, 0, 0, 0, NULL, NULL, false },
	{ "_netdev", IGNORE, 0, 0, 0, NULL, NULL, false },
	{ "comment", IGNORE, 0, 0, 0, NULL, NULL, false },
	{ "remount", IGNORE, 0, 0, 0, NULL, NULL, false }, /* check_together */
	{ "x-*", IGNORE, 0, 0, 0, NULL, NULL, false },
};

const struct option_row *option_row_at(size_t i)
{
	return i < ARRAY_SIZE(rows) ? &rows[i] : NULL;
}

/* ---- one option ---- */

static const struct option_row *find_row(const char *name, size_t len)
{
	if (len > 2 && memcmp(name, "x-", 2) == 0) {
		name = "x-*";
		len = 3;
	}
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (strlen(rows[i].name) == len &&
		    memcmp(rows[i].name, name, len) == 0)
			return &rows[i];
	}
	return NULL;
}

static int fail_unknown(const char *name, size_t len, struct options_error *err)
{
	struct suggest s = suggest_for_part(name, len);

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		suggest_offer(&s, rows[i].name);
	if (s.best)
		return option_complain(
			err,
			"-o %.*s: no such option; did you mean %s? \"bltfs -h\" lists all",
			(int)len, name, s.best);
	return option_complain(
		err, "-o %.*s: no such option; \"bltfs -h\" lists them",
		(int)len, name);
}

/* item: "name" or "name=value", changed while it is looked at. */
static int set_option(struct options *opts, bool given[], char *item,
		      struct options_error *err)
{
	char *value = strchr(item, '=');
	size_t len = value ? (size_t)(value - item) : strlen(item);
	const struct option_row *row = find_row(item, len);
	bool takes = row && option_takes(row);

	if (!row)
		return fail_unknown(item, len, err);
	if (takes && (!value || !value[1]))
		return option_complain(err, "-o %s: wants a value (-o %s=%s)",
				       row->name, row->name, row->arg);
	if (!takes && value && row->type != IGNORE)
		return option_complain(err, "-o %s: takes no value", row->name);
	given[row - rows] = true;
	return option_set(opts, row, item, value ? value + 1 : NULL, err);
}

/* A list with commas between; "\," and "\\" stand for themselves. */
static int set_list(struct options *opts, bool given[], const char *list,
		    struct options_error *err)
{
	char *item = malloc(strlen(list) + 1);
	int rc = 0;

	if (!item)
		return -ENOMEM;
	while (*list && rc == 0) {
		size_t n = 0;

		for (; *list && *list != ','; list++) {
			if (*list == '\\' && list[1])
				list++;
			item[n++] = *list;
		}
		item[n] = '\0';
		if (*list)
			list++;
		if (n > 0)
			rc = set_option(opts, given, item, err);
	}
	free(item);
	return rc;
}

/* ---- the whole ---- */

static bool was_given(const bool given[], const char *name)
{
	return given[find_row(name, strlen(name)) - rows];
}

static int check_names(struct options *opts, struct options_error *err)
{
	const char *c = opts->control;

	if (strpbrk(c, "/%") || strlen(c) > 255 || strcmp(c, ".") == 0 ||
	    strcmp(c, "..") == 0)
		return option_complain(
			err, "-o control=%s: not a file name without '%%'", c);
	if (opts->log && strcmp(opts->log, "text") && strcmp(opts->log, "json"))
		return option_complain(err, "-o log=%s: not text or json",
				       opts->log);
	if (strcmp(c, "none") == 0) {
		free(opts->control);
		opts->control = NULL;
	}
	return 0;
}

/* What a new store is to be like. */
static int check_creating(const struct options *opts, const bool given[],
			  struct options_error *err)
{
	const bool lmdb = opts->engine && strcmp(opts->engine, "lmdb") == 0;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (!rows[i].creating || !given[i])
			continue;
		if (!opts->create)
			return option_complain(
				err,
				"-o %s is for a new store: it wants -o create",
				rows[i].name);
		if (lmdb && rows[i].field != AT(engine))
			return option_complain(
				err,
				"-o %s is for booklet stores; an LMDB environment has keys and values of any bytes, and no times: leave it or -o engine=lmdb out",
				rows[i].name);
	}
	if (was_given(given, "value_len") &&
	    was_given(given, "value_serializer"))
		return option_complain(
			err,
			"-o value_len and -o value_serializer contradict each other: a store of fixed length has no value serializer");
	return 0;
}

static void set_masks(struct options *opts, const bool given[])
{
	const uint64_t umask = was_given(given, "umask") ? opts->umask : 0;

	opts->fmask_given = was_given(given, "fmask");
	opts->new_fmask = opts->fmask_given ? opts->fmask : umask;
	opts->new_dmask = was_given(given, "dmask") ? opts->dmask : umask;
	if (!opts->fmask_given)
		opts->fmask = opts->umask;
	if (!was_given(given, "dmask"))
		opts->dmask = opts->umask;
}

static int check_together(struct options *opts, const bool given[],
			  struct options_error *err)
{
	int rc = check_creating(opts, given, err);

	if (rc < 0)
		return rc;
	if (was_given(given, "remount")) {
		option_complain(
			err,
			"%s: options cannot be changed while it is mounted; unmount it first",
			opts->mountpoint);
		return -EBUSY;
	}
	if (opts->ro && was_given(given, "rw"))
		return option_complain(err,
				       "-o ro and -o rw contradict each other");
	if (opts->ro && opts->create)
		return option_complain(
			err, "-o ro and -o create contradict each other");
	if (opts->ro && opts->sync)
		return option_complain(
			err, "-o ro and -o sync contradict each other");
	if (opts->poll_us && (opts->clone_fd || opts->single))
		return option_complain(
			err, "-o poll_us and %s contradict each other",
			opts->clone_fd ? "-o clone_fd" : "-s");
	if (opts->single || opts->poll_us || opts->clone_fd) {
		if (opts->io_uring == IO_URING_YES)
			return option_complain(
				err,
				"-o io_uring=yes and %s contradict each other",
				opts->single   ? "-s" :
				opts->clone_fd ? "-o clone_fd" :
						 "-o poll_us");
		opts->io_uring = IO_URING_NO;
	}
	set_masks(opts, given);
	opts->attrs_asked = was_given(given, "attrs");
	if (opts->allow_other)
		opts->default_permissions = true;
	return check_names(opts, err);
}

static int take_operands(struct options *opts, int argc, char **argv,
			 struct options_error *err)
{
	if (argc > 2)
		return option_complain(
			err,
			"%s: one operand too many; usage: bltfs STORE MOUNTPOINT [-o ...]",
			argv[2]);
	if (argc < 2)
		return option_complain(
			err,
			"%s missing; usage: bltfs STORE MOUNTPOINT [-o ...]",
			argc ? "MOUNTPOINT" : "STORE and MOUNTPOINT");
	if (option_set_text(&opts->store, argv[0]) < 0 ||
	    option_set_text(&opts->mountpoint, argv[1]) < 0)
		return -ENOMEM;
	return 0;
}

static int parse_switches(struct options *opts, bool given[], int argc,
			  char **argv, struct options_error *err)
{
	static const struct option longs[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	int c, rc = 0;

	opterr = 0;
	optind = 0;
	while (rc == 0 &&
	       (c = getopt_long(argc, argv, ":fdshVo:", longs, NULL)) != -1) {
		switch (c) {
		case 'f':
			opts->foreground = true;
			break;
		case 'd':
			opts->debug = opts->foreground = true;
			break;
		case 's':
			opts->single = true;
			break;
		case 'h':
			opts->help = true;
			return 0;
		case 'V':
			opts->version = true;
			return 0;
		case 'o':
			rc = set_list(opts, given, optarg, err);
			break;
		case ':':
			return option_complain(err, "-%c wants a value",
					       optopt);
		default:
			return option_complain(
				err,
				"%s: no such option; \"bltfs -h\" lists them",
				argv[optind - 1]);
		}
	}
	return rc;
}

static int set_defaults(struct options *opts)
{
	*opts = (struct options){
		.uid = getuid(),
		.gid = getgid(),
		.umask = 022,
		.commit = 5,
		.autoprune = 50,
		.lock_timeout = 10,
		.look_ms = 100,
		.attr_ms = 1000,
		.max_staging = min_u64(STAGING, os_memory_limit() / 4),
	};
	if (option_set_text(&opts->control, ".bltfs") < 0 ||
	    option_set_text(&opts->subtype, "bltfs") < 0)
		return -ENOMEM;
	return 0;
}

int options_parse(struct options *opts, int argc, char **argv,
		  struct options_error *err)
{
	bool given[ARRAY_SIZE(rows)] = { false };
	int rc;

	option_complain(err, "out of memory");
	rc = set_defaults(opts);
	if (rc == 0)
		rc = parse_switches(opts, given, argc, argv, err);
	if (rc == 0 && !opts->help && !opts->version) {
		rc = take_operands(opts, argc - optind, argv + optind, err);
		if (rc == 0)
			rc = check_together(opts, given, err);
	}
	if (rc < 0)
		options_release(opts);
	return rc;
}

void options_release(struct options *opts)
{
	free(opts->store);
	free(opts->mountpoint);
	free(opts->control);
	for (size_t i = 0; i < opts->n_map; i++)
		free(opts->map[i]);
	free(opts->map);
	free(opts->log);
	free(opts->fsname);
	free(opts->subtype);
	free(opts->engine);
	free(opts->db);
	free(opts->key_serializer);
	free(opts->value_serializer);
	free(opts->pass);
	*opts = (struct options){ 0 };
}

void options_help(FILE *to)
{
	fputs("Usage: bltfs STORE MOUNTPOINT [-fdshV] [-o OPTION[,OPTION...]]\n"
	      "Mounts STORE (.blt file or LMDB environment) at MOUNTPOINT.\n\n"
	      "  -f                    stay in the foreground, log to stderr\n"
	      "  -d                    the same, and log every FUSE message\n"
	      "  -s                    one thread\n"
	      "  -h, --help            print this\n"
	      "  -V, --version         print the version and how it was built\n\n"
	      "Options behind -o:\n",
	      to);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char left[64];

		if (!rows[i].help)
			continue;
		snprintf(left, sizeof(left), "%s%s%s", rows[i].name,
			 rows[i].arg ? "=" : "",
			 rows[i].arg ? rows[i].arg : "");
		fprintf(to, "  %-21s %s\n", left, rows[i].help);
	}
}
