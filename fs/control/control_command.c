/* The table of commands. */
#include "control/control.h"

#include "base/array.h"
#include "bltfs_ioctl.h"
#include "control/control_inner.h"
#include "main/uring.h"
#include "map/ledger.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* The largest struct of a command that has a word. */
union args {
	struct bltfs_job job;
	struct bltfs_reindex reindex;
	struct bltfs_prune prune;
	struct bltfs_map map;
};

/* Who may use the word; the ioctl is for all who get in.  Where it is the
 * arguments that harm, parse says -EPERM. */
enum harm {
	HARMLESS,
	HARMFUL, /* runs a program or destroys data: -o control_exec */
};

struct command {
	const char *word; /* NULL: an ioctl alone */
	enum harm harm;
	unsigned ioctl;
	/* The words behind the first as the ioctl's struct, which is zeros;
	 * NULL: takes none.  -EINVAL, -EPERM. */
	control_parse_fn *parse;
	int (*run)(struct bltfs *fs, void *arg);
};

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

static const char *copy_engine(const struct bltfs_copy *c)
{
	return blt_is_url(c->path)           ? blt_engine_of(c->path) :
	       c->flags & BLTFS_COPY_BOOKLET ? "booklet" :
	       c->flags & BLTFS_COPY_LMDB    ? "lmdb" :
					       NULL;
}

/* What is not asked for stays as it is in the store, or, in another engine's,
 * is as in a new one. */
static struct blt_create_options copy_options(struct bltfs *fs,
					      const struct bltfs_copy *c)
{
	const char *engine = copy_engine(c);
	struct blt_info info;

	blt_get_info(fs->store, &info);
	if (engine && strcmp(engine, info.engine) != 0)
		return (struct blt_create_options){
			.n_buckets = c->buckets,
			.value_len = c->value_len,
			.no_timestamps = c->flags & BLTFS_COPY_NO_TIMESTAMPS,
			.engine = engine,
		};
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
			       BLTFS_COPY_TIMESTAMPS |
			       BLTFS_COPY_NO_TIMESTAMPS | BLTFS_COPY_BOOKLET |
			       BLTFS_COPY_LMDB;
	struct bltfs_copy *c = arg;
	struct job_request req = {
		.kind = JOB_COPY,
		.path = c->path,
		.replace = c->flags & BLTFS_COPY_REPLACE,
	};

	if (c->flags & ~known || c->reserved ||
	    !ends(c->path, sizeof(c->path)) ||
	    (c->path[0] != '/' && !blt_is_url(c->path)))
		return -EINVAL;
	req.create = copy_options(fs, c);
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

static int run_trim(struct bltfs *fs, void *arg)
{
	return start_plain(fs, JOB_TRIM, arg);
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
	struct job_request req = { .kind = JOB_MAP, .flat = fs->opts->flat };
	struct bltfs_map *m = arg;

	return start_with_args(fs, &req, m->args, &m->job);
}

static int run_ledger(struct bltfs *fs, void *arg)
{
	struct bltfs_map *m = arg;
	uint8_t *bytes;
	size_t len;
	int rc = ledger_pack(fs->store, &bytes, &len);

	m->args = 0;
	if (rc < 0)
		return rc;
	if (len)
		rc = control_args_add(fs->control, &m->args, bytes, len);
	free(bytes);
	return rc;
}

static int run_prune(struct bltfs *fs, void *arg)
{
	struct bltfs_prune *p = arg;
	struct job_request req = { .kind = JOB_PRUNE,
				   .older_than = p->older_than };

	return start_with_args(fs, &req, p->args, &p->job);
}

static int run_piece(struct bltfs *fs, void *arg)
{
	struct bltfs_piece *p = arg;

	if (p->len > sizeof(p->bytes) || p->reserved)
		return -EINVAL;
	return control_args_add(fs->control, &p->args, p->bytes, p->len);
}

static int run_fetch(struct bltfs *fs, void *arg)
{
	struct bltfs_piece *p = arg;
	int n = control_args_fetch(fs->control, &p->args, p->bytes,
				   sizeof(p->bytes));

	p->len = n > 0 ? (uint32_t)n : 0;
	return n < 0 ? n : 0;
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
		.index_offset = i.index_offset,
		.data_offset = i.data_offset,
		.created = i.created,
		.modified = i.modified,
		.transport = uring_in_use(fs->uring) ?
				     BLTFS_TRANSPORT_IO_URING :
				     BLTFS_TRANSPORT_DEVICE,
	};
	memcpy(s->uuid, i.uuid, sizeof(s->uuid));
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
	memcpy(ret->fact, i->fact, sizeof(ret->fact));
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
	size_t key_len;
	char *line;
	int rc = jobs_error(fs->control->jobs, e->job, e->index, &line,
			    &key_len);

	if (rc < 0)
		return rc;
	e->key_len = key_len < sizeof(e->text) ? key_len : sizeof(e->text) - 1;
	snprintf(e->text, sizeof(e->text), "%s", line);
	free(line);
	return 0;
}

static const struct command commands[] = {
	{ NULL, HARMLESS, BLTFS_IOC_NAME, NULL, run_name },
	{ "sync", HARMLESS, BLTFS_IOC_SYNC, NULL, run_sync },
	{ "reindex", HARMLESS, BLTFS_IOC_REINDEX, control_parse_reindex,
	  run_reindex },
	{ NULL, HARMFUL, BLTFS_IOC_COPY, NULL, run_copy },
	{ "clear", HARMFUL, BLTFS_IOC_CLEAR, NULL, run_clear },
	{ "count", HARMLESS, BLTFS_IOC_COUNT, NULL, run_count },
	{ "map", HARMLESS, BLTFS_IOC_MAP, control_parse_map, run_map },
	{ "prune", HARMLESS, BLTFS_IOC_PRUNE, control_parse_prune, run_prune },
	{ "trim", HARMLESS, BLTFS_IOC_TRIM, NULL, run_trim },
	{ NULL, HARMLESS, BLTFS_IOC_PIECE, NULL, run_piece },
	{ NULL, HARMLESS, BLTFS_IOC_FETCH, NULL, run_fetch },
	{ NULL, HARMLESS, BLTFS_IOC_STORE, NULL, run_store },
	{ NULL, HARMLESS, BLTFS_IOC_JOB, NULL, run_job },
	{ NULL, HARMLESS, BLTFS_IOC_NEXT_JOB, NULL, run_next_job },
	{ NULL, HARMLESS, BLTFS_IOC_JOB_ERROR, NULL, run_job_error },
	{ NULL, HARMLESS, BLTFS_IOC_LEDGER, NULL, run_ledger },
	{ NULL, HARMLESS, BLTFS_IOC_TXN_BEGIN, NULL, control_txn_begin },
	{ NULL, HARMLESS, BLTFS_IOC_TXN_COMMIT, NULL, control_txn_commit },
	{ NULL, HARMLESS, BLTFS_IOC_TXN_ABORT, NULL, control_txn_abort },
	{ NULL, HARMLESS, BLTFS_IOC_TXN_NEXT, NULL, control_txn_next },
	{ NULL, HARMLESS, BLTFS_IOC_TXN_KEY, NULL, control_txn_conflict },
	{ "cancel", HARMLESS, BLTFS_IOC_CANCEL, control_parse_job, run_cancel },
};

/* ---- a written line ---- */

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

static int refuse(char **reply, const char *word)
{
	return say(reply, -EPERM,
		   "error: %s destroys data or runs a program: that wants an "
		   "ioctl (blt %s), or -o control_exec\n",
		   word, word);
}

static int run_words(struct bltfs *fs, const struct control_words *w,
		     char **reply)
{
	const struct command *cmd = find_word(w->word[0]);
	union args args = { 0 };
	int rc = 0;

	if (!cmd)
		return say(reply, -EINVAL, "error: no such command\n");
	if (!fs->opts->control_exec && cmd->harm == HARMFUL)
		return refuse(reply, cmd->word);
	if (cmd->parse)
		rc = cmd->parse(fs, w, &args);
	else if (w->n > 1)
		rc = -EINVAL;
	if (rc == -EPERM)
		return refuse(reply, cmd->word);
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
	struct control_words w;
	int rc = -ENOMEM;

	*reply = NULL;
	if (copy)
		rc = control_split(copy, &w);
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

bool control_is_slow(unsigned cmd)
{
	return cmd == BLTFS_IOC_TXN_COMMIT || cmd == BLTFS_IOC_SEQ ||
	       cmd == BLTFS_IOC_LEDGER;
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
