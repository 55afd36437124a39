#include "tool/mount_ask.h"

#include "bltfs_ioctl.h"
#include "blt.h"
#include "base/util.h"

#include <errno.h>
#include <string.h>

/* What was asked, to compare with what is answered. */
union asked {
	struct bltfs_copy copy;
	struct bltfs_job_error job_error;
	struct bltfs_key key;
	struct bltfs_piece piece;
	struct bltfs_seq seq;
	struct bltfs_store store;
	struct bltfs_txn_key txn_key;
	uint8_t bytes[1];
};

#define ERRNO_MAX 4095

/* ---- texts ---- */

#define END_TEXT(array) ((array)[sizeof(array) - 1] = '\0')

static bool is_component(const char *name)
{
	return *name && !strchr(name, '/') && strcmp(name, ".") != 0 &&
	       strcmp(name, "..") != 0;
}

/* ---- the checks: whether the answer fits the request ---- */

static bool check_name(const union asked *asked, void *answer)
{
	struct bltfs_name *a = answer;

	(void)asked;
	END_TEXT(a->name);
	return is_component(a->name);
}

static bool check_store(const union asked *asked, void *answer)
{
	struct bltfs_store *a = answer;

	(void)asked;
	END_TEXT(a->path);
	return a->timestamps <= 1 && (a->path[0] == '/' || blt_is_url(a->path));
}

static bool check_key(const union asked *asked, void *answer)
{
	struct bltfs_key *a = answer;

	a->offset = asked->key.offset;
	/* a key that became shorter has nothing at the offset */
	return a->key_len <= BLT_KEY_MAX && a->len <= sizeof(a->bytes) &&
	       a->len <= a->key_len - min_u64(a->offset, a->key_len) &&
	       a->timestamp >= -1;
}

static bool check_started(const union asked *asked, void *answer)
{
	uint64_t job;

	(void)asked;
	memcpy(&job, answer, sizeof(job));
	return job != 0;
}

/* Of BLTFS_IOC_JOB and _NEXT_JOB, whose number the caller looks at. */
static bool check_job(struct bltfs_job_info *a)
{
	END_TEXT(a->kind);
	END_TEXT(a->text);
	return a->state <= BLTFS_JOB_CANCELLED && a->error >= 0 &&
	       a->error <= ERRNO_MAX && a->left >= -1 && a->queued >= 0 &&
	       a->started >= 0 && a->ended >= 0;
}

static bool check_this_job(const union asked *asked, void *answer)
{
	struct bltfs_job_info *a = answer;
	uint64_t job;

	memcpy(&job, asked->bytes, sizeof(job));
	return a->job == job && check_job(a);
}

static bool check_next_job(const union asked *asked, void *answer)
{
	struct bltfs_job_info *a = answer;
	uint64_t job;

	memcpy(&job, asked->bytes, sizeof(job));
	return a->job > job && check_job(a);
}

static bool check_job_error(const union asked *asked, void *answer)
{
	struct bltfs_job_error *a = answer;

	(void)asked;
	END_TEXT(a->text);
	a->key_len = min_u64(a->key_len, strlen(a->text));
	return true;
}

static bool check_piece(const union asked *asked, void *answer)
{
	struct bltfs_piece *a = answer;
	const uint64_t had = asked->piece.args;

	return a->args != 0 && (!had || a->args == had);
}

static bool check_fetched(const union asked *asked, void *answer)
{
	struct bltfs_piece *a = answer;

	(void)asked;
	/* one without bytes that is not the last would have no end */
	return a->len <= sizeof(a->bytes) && (a->len > 0 || a->args == 0);
}

static bool check_seq(const union asked *asked, void *answer)
{
	struct bltfs_seq *a = answer;
	const bool slice = asked->seq.verb == BLTFS_SEQ_SLICE;

	return a->len <= sizeof(a->bytes) && (!slice || a->n <= asked->seq.n);
}

static bool check_txn(const union asked *asked, void *answer)
{
	struct bltfs_txn *a = answer;
	const char *had = (const char *)asked->bytes;

	END_TEXT(a->name);
	return is_component(a->name) && (!*had || !strcmp(a->name, had));
}

static bool check_next_txn(const union asked *asked, void *answer)
{
	struct bltfs_txn *a = answer;

	END_TEXT(a->name);
	return is_component(a->name) &&
	       strcmp(a->name, (const char *)asked->bytes) > 0;
}

static bool check_txn_key(const union asked *asked, void *answer)
{
	struct bltfs_txn_key *a = answer;

	(void)asked;
	END_TEXT(a->path);
	return true;
}

static bool check_nothing(const union asked *asked, void *answer)
{
	(void)asked;
	(void)answer;
	return true;
}

static const struct request {
	unsigned cmd;
	bool (*check)(const union asked *asked, void *answer);
} requests[] = {
	{ BLTFS_IOC_CANCEL, check_nothing },
	{ BLTFS_IOC_CLEAR, check_started },
	{ BLTFS_IOC_COPY, check_started },
	{ BLTFS_IOC_COUNT, check_started },
	{ BLTFS_IOC_FETCH, check_fetched },
	{ BLTFS_IOC_JOB, check_this_job },
	{ BLTFS_IOC_JOB_ERROR, check_job_error },
	{ BLTFS_IOC_KEY, check_key },
	{ BLTFS_IOC_MAP, check_started },
	{ BLTFS_IOC_NAME, check_name },
	{ BLTFS_IOC_NEXT_JOB, check_next_job },
	{ BLTFS_IOC_PIECE, check_piece },
	{ BLTFS_IOC_PRUNE, check_started },
	{ BLTFS_IOC_REINDEX, check_started },
	{ BLTFS_IOC_SEQ, check_seq },
	{ BLTFS_IOC_STORE, check_store },
	{ BLTFS_IOC_SYNC, check_nothing },
	{ BLTFS_IOC_TRIM, check_started },
	{ BLTFS_IOC_TXN_ABORT, check_txn },
	{ BLTFS_IOC_TXN_BEGIN, check_txn },
	{ BLTFS_IOC_TXN_COMMIT, check_txn },
	{ BLTFS_IOC_TXN_KEY, check_txn_key },
	{ BLTFS_IOC_TXN_NEXT, check_next_txn },
};

/* ---- asking ---- */

int mount_ask(int fd, unsigned cmd, void *arg)
{
	const struct request *r = requests;
	const size_t size = _IOC_SIZE(cmd);
	union asked asked;
	int got;

	while (r < requests + ARRAY_SIZE(requests) && r->cmd != cmd)
		r++;
	if (r == requests + ARRAY_SIZE(requests) || size > sizeof(asked))
		return -EINVAL;
	/* A short answer leaves the rest as it was. */
	if (_IOC_DIR(cmd) == _IOC_READ)
		memset(arg, 0, size);
	if (size)
		memcpy(&asked, arg, size);
	errno = 0;
	got = ioctl(fd, cmd, arg);
	if (got == -1 && errno > 0)
		return -errno;
	/* The kernel hands on any number that a daemon says. */
	if (got != 0 || !r->check(&asked, arg))
		return -EPROTO;
	return 0;
}
