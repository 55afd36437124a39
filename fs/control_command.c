/* The table of commands. */
#include "control.h"

#include "bltfs_ioctl.h"
#include "control_jobs.h"
#include "map.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MAX_WORDS 256

/* The largest struct of a command that has a word. */
union args {
	struct bltfs_job job;
	struct bltfs_reindex reindex;
	struct bltfs_map map;
};

/* A written line, cut at its blanks. */
struct words {
	char *word[MAX_WORDS + 1]; /* NULL behind the last */
	size_t n;
};

/* Who may use the word; the ioctl is for all who get in. */
enum harm {
	HARMLESS,
	HARMFUL, /* runs a program or destroys data: -o control_exec */
};

struct command {
	const char *word; /* NULL: an ioctl alone */
	enum harm harm;
	unsigned ioctl;
	/* The words behind the first as the ioctl's struct, which is zeros;
	 * NULL: takes none.  -EINVAL. */
	int (*parse)(struct bltfs *fs, const struct words *w, void *arg);
	int (*run)(struct bltfs *fs, void *arg);
};

/* ---- arguments ---- */

static int parse_u64(const char *text, uint64_t max, uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(text, &end, 10);
	if (errno || *end || text[0] < '0' || text[0] > '9' || *ret > max)
		return -EINVAL;
	return 0;
}

static int parse_reindex(struct bltfs *fs, const struct words *w, void *arg)
{
	struct bltfs_reindex *r = arg;
	uint64_t buckets = 0;
	int rc = 0;

	(void)fs;
	if (w->n > 2)
		return -EINVAL;
	if (w->n == 2)
		rc = parse_u64(w->word[1], UINT32_MAX, &buckets);
	r->buckets = (uint32_t)buckets;
	return rc;
}

static int parse_job(struct bltfs *fs, const struct words *w, void *arg)
{
	struct bltfs_job *j = arg;

	(void)fs;
	return w->n == 2 ? parse_u64(w->word[1], UINT64_MAX, &j->job) : -EINVAL;
}

/* The command of -o map=NAME=COMMAND, cut at its blanks; argv has room for
 * MAX_WORDS + 1.  -ENOENT. */
static int named_function(struct bltfs *fs, const char *name, char **argv,
			  char **ret_copy)
{
	size_t len = strlen(name), n = 0;
	char *save = NULL;

	for (size_t i = 0; i < fs->opts->n_map; i++) {
		const char *item = fs->opts->map[i];

		if (strncmp(item, name, len) != 0 || item[len] != '=')
			continue;
		*ret_copy = strdup(item + len + 1);
		if (!*ret_copy)
			return -ENOMEM;
		for (char *word = strtok_r(*ret_copy, " \t", &save);
		     word && n < MAX_WORDS; word = strtok_r(NULL, " \t", &save))
			argv[n++] = word;
		return 0;
	}
	return -ENOENT;
}

/* map NAME [keys GLOB] [prefix PREFIX]: only a function that the mounter
 * named. */
static int parse_map(struct bltfs *fs, const struct words *w, void *arg)
{
	struct map_options how = { .kind = MAP_COMMAND,
				   .max_errors = MAP_ERRORS_ANY };
	char *argv[MAX_WORDS + 1] = { NULL }, *copy = NULL;
	struct bltfs_map *m = arg;
	uint8_t *packed = NULL;
	size_t i = 2, len = 0;
	int rc;

	if (w->n < 2)
		return -EINVAL;
	rc = named_function(fs, w->word[1], argv, &copy);
	for (; rc == 0 && i + 1 < w->n; i += 2) {
		if (strcmp(w->word[i], "keys") == 0)
			how.glob = w->word[i + 1];
		else if (strcmp(w->word[i], "prefix") == 0)
			how.prefix = w->word[i + 1];
		else
			rc = -EINVAL;
	}
	if (rc == 0 && i != w->n)
		rc = -EINVAL;
	how.argv = argv;
	if (rc == 0)
		rc = map_pack(&how, &packed, &len);
	if (rc == 0)
		rc = control_args_add(fs->control, &m->args, packed, len);
	free(packed);
	free(copy);
	return rc;
}

static bool ends(const char *text, size_t room)
{
	return memchr(text, '\0', room) != NULL;
}

/* ---- what they do ---- */

static int run_name(struct bltfs *fs, void *arg)
{
	struct bltfs_name *n = arg;

	snprintf(n->name, sizeof(n->name), "%s", fs->opts->control);
	return 0;
}

static int run_sync(struct bltfs *fs, void *arg)
{
	(void)arg;
	return fs->opts->ro ? 0 : blt_sync(fs->store);
}

static int run_reindex(struct bltfs *fs, void *arg)
{
	struct bltfs_reindex *r = arg;
	const struct job_request req = { .kind = JOB_REINDEX,
					 .n_buckets = r->buckets };

	if (r->reserved)
		return -EINVAL;
	return jobs_start(fs->control->jobs, &req, &r->job);
}

/* What is not asked for stays as it is in the store. */
static struct blt_create_options copy_options(struct bltfs *fs,
					      const struct bltfs_copy *c)
{
	struct blt_info info;

	blt_get_info(fs->store, &info);
	return (struct blt_create_options){
		.n_buckets = c->buckets,
		.value_len = c->flags & BLTFS_COPY_VALUE_LEN ? c->value_len :
							       info.value_len,
		.no_timestamps = !(c->flags & BLTFS_COPY_TIMESTAMPS) &&
				 (c->flags & BLTFS_COPY_NO_TIMESTAMPS ||
				  !info.has_timestamps),
	};
}

static int run_copy(struct bltfs *fs, void *arg)
{
	const uint32_t known = BLTFS_COPY_REPLACE | BLTFS_COPY_VALUE_LEN |
			       BLTFS_COPY_TIMESTAMPS | BLTFS_COPY_NO_TIMESTAMPS;
	struct bltfs_copy *c = arg;
	const struct job_request req = {
		.kind = JOB_COPY,
		.path = c->path,
		.replace = c->flags & BLTFS_COPY_REPLACE,
		.create = copy_options(fs, c),
	};

	if (c->flags & ~known || c->reserved || c->path[0] != '/' ||
	    !ends(c->path, sizeof(c->path)))
		return -EINVAL;
	return jobs_start(fs->control->jobs, &req, &c->job);
}

static int start_plain(struct bltfs *fs, enum job_kind kind, void *arg)
{
	const struct job_request req = { .kind = kind };
	struct bltfs_job *j = arg;

	return jobs_start(fs->control->jobs, &req, &j->job);
}

static int run_clear(struct bltfs *fs, void *arg)
{
	return start_plain(fs, JOB_CLEAR, arg);
}

static int run_count(struct bltfs *fs, void *arg)
{
	return start_plain(fs, JOB_COUNT, arg);
}

static int start_with_args(struct bltfs *fs, struct job_request *req,
			   uint64_t args, uint64_t *ret_job)
{
	struct control_args a;
	int rc = control_args_take(fs->control, args, &a);

	if (rc < 0)
		return rc;
	req->bytes = a.bytes;
	req->bytes_len = a.len;
	rc = jobs_start(fs->control->jobs, req, ret_job);
	free(a.bytes);
	return rc;
}

static int run_map(struct bltfs *fs, void *arg)
{
	struct job_request req = { .kind = JOB_MAP };
	struct bltfs_map *m = arg;

	return start_with_args(fs, &req, m->args, &m->job);
}

static int run_piece(struct bltfs *fs, void *arg)
{
	struct bltfs_piece *p = arg;

	if (p->len > sizeof(p->bytes) || p->reserved)
		return -EINVAL;
	return control_args_add(fs->control, &p->args, p->bytes, p->len);
}

static int run_store(struct bltfs *fs, void *arg)
{
	struct bltfs_store *s = arg;
	struct blt_info i;

	blt_get_info(fs->store, &i);
	*s = (struct bltfs_store){
		.keys = i.n_keys,
		.file_size = i.file_size,
		.version = i.version,
		.buckets = i.n_buckets,
		.value_len = i.value_len,
		.key_serializer = i.key_serializer,
		.value_serializer = i.value_serializer,
		.timestamps = i.has_timestamps,
	};
	snprintf(s->path, sizeof(s->path), "%s", blt_path(fs->store));
	return 0;
}

static int run_cancel(struct bltfs *fs, void *arg)
{
	struct bltfs_job *j = arg;

	return jobs_cancel(fs->control->jobs, j->job);
}

/* ---- about jobs ---- */

static void tell(const struct job_info *i, struct bltfs_job_info *ret)
{
	*ret = (struct bltfs_job_info){
		.job = i->id,
		.state = i->state,
		.error = i->state == JOB_FAILED ? -i->err : 0,
		.items = i->items,
		.done = i->done,
		.total = i->total,
		.errors = i->errors,
		.rate = (uint64_t)i->rate,
		.left = i->left_us,
		.queued = i->queued,
		.started = i->started,
		.ended = i->ended,
	};
	snprintf(ret->kind, sizeof(ret->kind), "%s", job_kind_name(i->kind));
	snprintf(ret->text, sizeof(ret->text), "%s", i->text);
}

static int run_job(struct bltfs *fs, void *arg)
{
	struct bltfs_job_info *ret = arg;
	struct job_info info;
	int rc = jobs_get(fs->control->jobs, ret->job, &info);

	if (rc == 0)
		tell(&info, ret);
	return rc;
}

static int run_next_job(struct bltfs *fs, void *arg)
{
	struct bltfs_job_info *ret = arg;
	struct job_info info;
	int rc = jobs_next(fs->control->jobs, ret->job, &info);

	if (rc == 0)
		tell(&info, ret);
	return rc;
}

static int run_job_error(struct bltfs *fs, void *arg)
{
	struct bltfs_job_error *e = arg;
	char *line;
	int rc = jobs_error(fs->control->jobs, e->job, e->index, &line);

	if (rc < 0)
		return rc;
	snprintf(e->text, sizeof(e->text), "%s", line);
	free(line);
	return 0;
}

static const struct command commands[] = {
	{ NULL, HARMLESS, BLTFS_IOC_NAME, NULL, run_name },
	{ "sync", HARMLESS, BLTFS_IOC_SYNC, NULL, run_sync },
	{ "reindex", HARMLESS, BLTFS_IOC_REINDEX, parse_reindex, run_reindex },
	{ NULL, HARMFUL, BLTFS_IOC_COPY, NULL, run_copy },
	{ "clear", HARMFUL, BLTFS_IOC_CLEAR, NULL, run_clear },
	{ "count", HARMLESS, BLTFS_IOC_COUNT, NULL, run_count },
	{ "map", HARMLESS, BLTFS_IOC_MAP, parse_map, run_map },
	{ NULL, HARMLESS, BLTFS_IOC_PIECE, NULL, run_piece },
	{ NULL, HARMLESS, BLTFS_IOC_STORE, NULL, run_store },
	{ NULL, HARMLESS, BLTFS_IOC_JOB, NULL, run_job },
	{ NULL, HARMLESS, BLTFS_IOC_NEXT_JOB, NULL, run_next_job },
	{ NULL, HARMLESS, BLTFS_IOC_JOB_ERROR, NULL, run_job_error },
	{ "cancel", HARMLESS, BLTFS_IOC_CANCEL, parse_job, run_cancel },
};

/* ---- a written line ---- */

static int split(char *line, struct words *ret)
{
	char *save = NULL;

	ret->n = 0;
	for (char *w = strtok_r(line, " \t\r", &save); w;
	     w = strtok_r(NULL, " \t\r", &save)) {
		if (ret->n == MAX_WORDS)
			return -E2BIG;
		ret->word[ret->n++] = w;
	}
	ret->word[ret->n] = NULL;
	return 0;
}

__attribute__((format(printf, 3, 4))) static int say(char **reply, int rc,
						     const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(reply, fmt, ap) < 0) {
		*reply = NULL;
		rc = -ENOMEM;
	}
	va_end(ap);
	return rc;
}

static const struct command *find_word(const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (commands[i].word && strcmp(commands[i].word, word) == 0)
			return &commands[i];
	}
	return NULL;
}

static int run_words(struct bltfs *fs, const struct words *w, char **reply)
{
	const struct command *cmd = find_word(w->word[0]);
	union args args = { 0 };
	int rc = 0;

	if (!cmd)
		return say(reply, -EINVAL, "error: no such command\n");
	if (!fs->opts->control_exec && cmd->harm == HARMFUL)
		return say(reply, -EPERM,
			   "error: %s destroys data or runs a program: that "
			   "wants an ioctl (blt %s), or -o control_exec\n",
			   cmd->word, cmd->word);
	if (cmd->parse)
		rc = cmd->parse(fs, w, &args);
	else if (w->n > 1)
		rc = -EINVAL;
	if (rc < 0)
		return say(reply, rc, "error: %s: bad arguments\n", cmd->word);
	rc = cmd->run(fs, &args);
	if (rc < 0)
		return say(reply, rc, "error: %s: %s\n", cmd->word,
			   strerror(-rc));
	/* every struct begins with the job's number */
	if (args.job.job)
		return say(reply, 0, "job %" PRIu64 "\n", args.job.job);
	return say(reply, 0, "ok\n");
}

int control_line(struct bltfs *fs, const char *line, char **reply)
{
	char *copy = strdup(line);
	struct words w;
	int rc = -ENOMEM;

	*reply = NULL;
	if (copy)
		rc = split(copy, &w);
	if (rc < 0)
		rc = say(reply, rc, "error: %s\n", strerror(-rc));
	else if (w.n > 0)
		rc = run_words(fs, &w, reply);
	free(copy);
	return rc;
}

/* ---- an ioctl ---- */

static const struct command *find_ioctl(unsigned cmd)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (commands[i].ioctl == cmd)
			return &commands[i];
	}
	return NULL;
}

bool control_knows_ioctl(unsigned cmd)
{
	return find_ioctl(cmd) != NULL;
}

int control_ioctl(struct bltfs *fs, unsigned cmd, void *arg, size_t len,
		  size_t *ret_len)
{
	const struct command *c = find_ioctl(cmd);

	if (!c)
		return -ENOTTY;
	if (len < _IOC_SIZE(cmd))
		return -EINVAL;
	*ret_len = _IOC_DIR(cmd) & _IOC_READ ? _IOC_SIZE(cmd) : 0;
	return c->run(fs, arg);
}
