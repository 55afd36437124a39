/* tool_info.c - blt info */
#include "tool/mount_client.h"
#include "tool/tool_survey.h"
#include "base/util.h"

#include "bltfs_ioctl.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#define VERSION_AT 16 /* in the header; 0 there: not closed */
#define STANDARD_INDEX 200

struct facts {
	const char *path;
	struct blt_info info;
	struct blt_census census;
	struct survey survey;
	bool counted;                     /* census is filled in */
	bool surveyed;                    /* survey, too */
	char *largest_path, *newest_path; /* of keys, as a mount shows them */
	const char *python, *python_note;
	const char *transport; /* of a mount; NULL: it is not mounted */
	char durable[BLT_DURABILITY_MAX]; /* "": a file */
};

/* Whether Python would open the file as it is. */
static void judge_python(struct tool *t, struct facts *f)
{
	const struct blt_info *info = &f->info;
	uint8_t version[2];

	f->python = "yes";
	f->python_note = NULL;
	if (info->shared)
		return; /* with another library */
	if (pread(blt_fd(t->store), version, sizeof(version), VERSION_AT) ==
		    sizeof(version) &&
	    get_le(version, sizeof(version)) == 0) {
		f->python = "no";
		f->python_note =
			"its last writer was killed; mount it, or "
			"change anything with blt, and it is whole again";
	} else if (info->was_open) {
		f->python = "for writing";
		f->python_note = "marked as not closed: Python opens it for "
				 "writing only, which repairs the mark";
	} else if (!info->key_serializer ||
		   (!info->value_serializer && !info->value_len)) {
		f->python_note = "with the serializer class that it was "
				 "written with";
	}
}

static void uuid_text(const uint8_t uuid[16], char text[37])
{
	char hex[33];

	hex_encode(hex, uuid, 16);
	snprintf(text, 37, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12,
		 hex + 16, hex + 20);
}

static uint64_t keys_of(const struct facts *f)
{
	return f->counted ? f->census.keys : f->info.n_keys;
}

static double load_of(const struct facts *f)
{
	return f->info.n_buckets ?
		       (double)keys_of(f) / (double)f->info.n_buckets :
		       0;
}

static const char *serializer_text(unsigned code, const char *none)
{
	const char *name = blt_serializer_name(code);

	if (name)
		return name;
	return code ? "unknown" : none;
}

static const char *layout_of(const struct facts *f)
{
	return f->info.index_offset == STANDARD_INDEX ? "standard" :
							"relocated";
}

static void print_size(const char *label, uint64_t bytes)
{
	char text[32];

	printf("%-18s%" PRIu64, label, bytes);
	if (bytes >= 1024)
		printf(" (%s)", tool_size(bytes, text));
	putchar('\n');
}

static void print_time(const char *label, int64_t us)
{
	char text[TIME_BUF];

	printf("%-18s%s\n", label, time_text(us, text));
}

static void print_key(const char *label, const char *path)
{
	if (!path)
		return;
	printf("%-18s", label);
	tool_print_name(path, strlen(path));
	putchar('\n');
}

/* What there is to be told of a store that others may change. */
static void print_shared(const struct facts *f)
{
	printf("%-18s%" PRIu64 "\n", "keys", keys_of(f));
	print_size("file size", f->info.file_size);
	print_time("modified", f->info.modified);
	if (!f->counted)
		return;
	print_size("value bytes", f->census.value_bytes);
	print_size("live bytes", f->census.live_bytes);
	print_size("dead bytes", f->census.dead_bytes);
}

static void print_text(const struct facts *f)
{
	const struct blt_info *i = &f->info;
	char uuid[37];

	uuid_text(i->uuid, uuid);
	printf("%-18s", "store");
	tool_print_name(f->path, strlen(f->path));
	printf("\n%-18s%s\n", "engine", i->engine);
	if (f->transport)
		printf("%-18s%s\n", "transport", f->transport);
	if (*f->durable)
		printf("%-18s%s\n", "synced is on", f->durable);
	if (i->shared) {
		print_shared(f);
		return;
	}
	printf("%-18s%u\n", "version", i->version);
	printf("%-18s%s%s%s\n", "opens in Python", f->python,
	       f->python_note ? ", " : "",
	       f->python_note ? f->python_note : "");
	printf("%-18s%" PRIu64 "%s\n", "keys", keys_of(f),
	       f->counted && f->census.keys != i->n_keys ?
		       " (the header says otherwise)" :
		       "");
	printf("%-18s%" PRIu32 " (load %.3f)\n", "buckets", i->n_buckets,
	       load_of(f));
	printf("%-18s%s\n", "key serializer",
	       serializer_text(i->key_serializer, "a class of its own"));
	if (i->value_len)
		printf("%-18s%" PRIu32 " bytes each\n", "values", i->value_len);
	else
		printf("%-18s%s\n", "value serializer",
		       serializer_text(i->value_serializer,
				       "a class of its own"));
	printf("%-18s%s\n", "timestamps", i->has_timestamps ? "yes" : "no");
	printf("%-18s%s\n", "layout", layout_of(f));
	printf("%-18s%" PRIu64 "\n", "index at", i->index_offset);
	printf("%-18s%" PRIu64 "\n", "data from", i->data_offset);
	print_size("file size", i->file_size);
	print_time("created", i->created);
	print_time("modified", i->modified);
	printf("%-18s%s\n", "uuid", uuid);
	if (!f->counted)
		return;
	print_size("value bytes", f->census.value_bytes);
	print_size("live bytes", f->census.live_bytes);
	print_size("dead bytes", f->census.dead_bytes);
	printf("%-18s%" PRIu64 "\n", "dead blocks", f->census.dead_blocks);
	if (!f->surveyed)
		return;
	print_size("largest value", f->survey.largest);
	print_key("largest key", f->largest_path);
	if (f->survey.oldest != BLT_NO_TIME) {
		print_time("oldest value", f->survey.oldest);
		print_time("newest value", f->survey.newest);
		print_key("newest key", f->newest_path);
	}
	printf("%-18s%u (%.2f blocks a lookup)\n", "longest chain",
	       f->survey.longest, f->survey.steps);
}

static void print_json_survey(struct jout *j, const struct facts *f)
{
	const struct survey *s = &f->survey;
	char text[TIME_BUF];
	bool timed = s->oldest != BLT_NO_TIME;

	jout_u64(j, "largest_value", s->largest);
	jout_text(j, "largest_key", f->largest_path);
	jout_text(j, "oldest_value", timed ? time_text(s->oldest, text) : NULL);
	jout_text(j, "newest_value", timed ? time_text(s->newest, text) : NULL);
	jout_text(j, "newest_key", timed ? f->newest_path : NULL);
	jout_u64(j, "longest_chain", s->longest);
	jout_fixed(j, "blocks_a_lookup", s->steps);
	jout_open(j, "chains", '[');
	for (unsigned i = 0; i < SURVEY_CHAINS && i <= s->longest; i++)
		jout_u64(j, NULL, s->chain[i]);
	jout_close(j, ']');
}

static void print_json(const struct facts *f)
{
	const struct blt_info *i = &f->info;
	struct jout j = { .to = stdout };
	char text[TIME_BUF], uuid[37];

	uuid_text(i->uuid, uuid);
	jout_open(&j, NULL, '{');
	jout_bytes(&j, "store", f->path, strlen(f->path));
	jout_text(&j, "engine", i->engine);
	if (f->transport)
		jout_text(&j, "transport", f->transport);
	if (*f->durable)
		jout_text(&j, "durability", f->durable);
	jout_u64(&j, "version", i->version);
	jout_text(&j, "python", f->python);
	jout_text(&j, "python_note", f->python_note);
	jout_bool(&j, "was_open", i->was_open);
	jout_u64(&j, "keys", keys_of(f));
	jout_u64(&j, "header_keys", i->n_keys);
	jout_u64(&j, "buckets", i->n_buckets);
	jout_fixed(&j, "load", load_of(f));
	jout_u64(&j, "key_serializer_code", i->key_serializer);
	jout_text(&j, "key_serializer",
		  serializer_text(i->key_serializer, NULL));
	jout_u64(&j, "value_serializer_code", i->value_serializer);
	jout_text(&j, "value_serializer",
		  serializer_text(i->value_serializer, NULL));
	jout_u64(&j, "value_len", i->value_len);
	jout_bool(&j, "timestamps", i->has_timestamps);
	jout_text(&j, "layout", layout_of(f));
	jout_u64(&j, "index_offset", i->index_offset);
	jout_u64(&j, "data_offset", i->data_offset);
	jout_u64(&j, "file_size", i->file_size);
	jout_text(&j, "created", time_text(i->created, text));
	jout_text(&j, "modified", time_text(i->modified, text));
	jout_text(&j, "uuid", uuid);
	if (f->counted) {
		jout_u64(&j, "value_bytes", f->census.value_bytes);
		jout_u64(&j, "live_bytes", f->census.live_bytes);
		jout_u64(&j, "dead_bytes", f->census.dead_bytes);
		jout_u64(&j, "dead_blocks", f->census.dead_blocks);
	}
	if (f->surveyed)
		print_json_survey(&j, f);
	jout_close(&j, '}');
}

/* ---- --chart ---- */

/* Opens what the chart goes to, which is emptied: not the store. */
static int open_chart(struct tool *t, const char *path, FILE **ret)
{
	struct stat st, own;
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);

	*ret = NULL;
	if (fd < 0)
		return tool_fail_create(t, path, -errno);
	if (fstat(fd, &st) == 0 && fstat(blt_fd(t->store), &own) == 0 &&
	    st.st_ino == own.st_ino && st.st_dev == own.st_dev) {
		close(fd);
		return tool_fail(t, EX_USAGE,
				 "--chart %s: that is the store itself; give "
				 "another name",
				 path);
	}
	/* pipes and terminals have no length */
	if (S_ISREG(st.st_mode) && ftruncate(fd, 0) < 0) {
		close(fd);
		return tool_fail_file(t, path, "write", -errno);
	}
	*ret = fdopen(fd, "w");
	return *ret ? 0 : tool_fail(t, EX_OSERR, "out of memory");
}

static int write_chart(struct tool *t, const struct facts *f, const char *path)
{
	FILE *to;
	int code, err;

	if (!strcmp(path, "-")) {
		chart_draw(stdout, f->path, &f->info, &f->survey);
		return 0;
	}
	code = open_chart(t, path, &to);
	if (code)
		return code;
	chart_draw(to, f->path, &f->info, &f->survey);
	err = ferror(to) ? EIO : 0;
	if (fclose(to) != 0)
		err = errno;
	return err ? tool_fail_file(t, path, "write", -err) : 0;
}

/* ---- the command ---- */

/* A key's path; NULL stays where there is no key. */
static int name_key(struct tool *t, const struct survey_key *key, char **ret)
{
	int r = key->bytes ? tool_need_ns(t) : 0;

	if (r || !key->bytes)
		return r;
	/* a name depends on all keys */
	r = blt_ns_wait(t->ns);
	if (!r)
		r = blt_ns_path(t->ns, key->bytes, key->len, ret);
	return r < 0 ? tool_fail_store(t, NULL, r) : 0;
}

static int count(struct tool *t, struct facts *f)
{
	int r = blt_count(t->store, &f->census);

	if (r < 0)
		return tool_fail_store(t, NULL, r);
	if (f->info.shared)
		return 0; /* it has no chains */
	f->surveyed = true;
	r = survey_run(&f->survey, t, tool_has(t, OPT_QUIET));
	if (!r)
		r = name_key(t, &f->survey.largest_key, &f->largest_path);
	if (!r)
		r = name_key(t, &f->survey.newest_key, &f->newest_path);
	return r;
}

static void free_facts(struct facts *f)
{
	survey_free(&f->survey);
	free(f->largest_path);
	free(f->newest_path);
}

static void print(const struct tool *t, const struct facts *f)
{
	if (tool_has(t, OPT_JSON))
		print_json(f);
	else
		print_text(f);
}

static int tell(struct tool *t, struct facts *f)
{
	const char *chart = t->opt[OPT_CHART];
	int code;

	if (chart && f->info.shared)
		return tool_fail(t, EX_USAGE,
				 "--chart: %s is a store of the engine %s, and "
				 "charts are of booklet stores",
				 f->path, f->info.engine);
	code = f->counted ? count(t, f) : 0;
	if (!code && chart)
		code = write_chart(t, f, chart);
	if (code || (chart && !strcmp(chart, "-")))
		return code;
	print(t, f);
	return EX_OK;
}

/* Where the mount is read-only, its file can be read beside it. */
static int open_beside(struct tool *t, const char *path)
{
	const struct blt_open_options how = { .mode = BLT_READ };
	struct blt_error err;
	int r = blt_open(path, &how, &t->store, &err);

	if (r == 0)
		return 0;
	t->store = NULL;
	if (r != -EWOULDBLOCK)
		return tool_fail_open(t, path, r, &err);
	return tool_fail(t, EX_USAGE,
			 "--chart: %s is mounted for writing, so that its "
			 "daemon alone may read the file; unmount it, or draw "
			 "a copy, in which nothing is dead (blt copy %s "
			 "copy.blt)",
			 t->arg[0], t->arg[0]);
}

static int count_mounted(struct tool *t, int fd, struct facts *f)
{
	struct bltfs_job ask = { 0 };
	struct job_info job;
	int code = mount_client_result(t, fd, BLTFS_IOC_COUNT, &ask, &job);

	if (code)
		return code;
	f->census = (struct blt_census){
		.keys = job.items,
		.live_bytes = job.fact[0],
		.dead_bytes = job.fact[1],
		.value_bytes = job.fact[2],
		.dead_blocks = job.fact[3],
	};
	return 0;
}

/* What the daemon knows; mostly it alone reads the file. */
static int tell_mounted(struct tool *t, int fd)
{
	struct facts f = { .counted = tool_has(t, OPT_COUNT) ||
				      tool_has(t, OPT_CHART),
			   .python = "no",
			   .python_note = "it is mounted, and opens when it is "
					  "unmounted" };
	char *path = NULL;
	int code = mount_client_store(t, fd, &f.info, &path);

	f.path = path;
	f.transport = mount_client_transport(fd);
	if (!code && tool_has(t, OPT_CHART)) {
		code = open_beside(t, path);
		if (!code)
			code = tell(t, &f);
	} else if (!code) {
		if (f.counted)
			code = count_mounted(t, fd, &f);
		if (!code)
			print(t, &f);
	}
	free_facts(&f);
	free(path);
	return code;
}

static int run_info(struct tool *t)
{
	struct facts f = { .counted = tool_has(t, OPT_COUNT) ||
				      tool_has(t, OPT_CHART) };
	int fd, code = mount_client_open(t, t->arg[0], &fd);

	if (!code && fd >= 0) {
		code = tell_mounted(t, fd);
		close(fd);
		return code ? code : tool_flush(t);
	}
	if (!code)
		code = tool_open(t, t->arg[0], BLT_READ, NULL);
	if (code)
		return code;
	f.path = blt_path(t->store);
	blt_get_info(t->store, &f.info);
	if (blt_durability(t->store, f.durable) < 0)
		f.durable[0] = '\0';
	judge_python(t, &f);
	code = tell(t, &f);
	free_facts(&f);
	return code;
}

static const struct tool_option options[] = {
	{ OPT_COUNT, 'c', "count", NULL,
	  "walk the whole file: keys, live and dead bytes, chains" },
	{ OPT_CHART, 'o', "chart", "FILE",
	  "walk it and draw what is found, as SVG (-: print only that)" },
	TOOL_OPT_JSON,
	{ OPT_QUIET, 'q', "quiet", NULL, "no progress on a terminal" },
	TOOL_OPT_DB,
	TOOL_OPT_LOCK,
	TOOL_OPT_END,
};

const struct tool_command tool_info = {
	.name = "info",
	.args = "STORE|MOUNTPOINT",
	.summary = "print facts about a store",
	.help = "Prints engine, version, sizes, number of keys, serializers, layout, "
		"times, and whether Python can open the file as it is. "
		"Without --count or --chart it reads the header only, and the "
		"number of keys is what the last writer left there. Of a mounted "
		"store its daemon tells, and --count is a job of the mount.",
	.min_args = 1,
	.max_args = 1,
	.options = options,
	.run = run_info,
};
