/* hostile - a FUSE server that poses as the daemon of a mounted store.
 *
 *   hostile MODE SEED MOUNTPOINT       in the foreground, until it is unmounted
 *
 * It prints "ready", "cancel" when it is asked to cancel a job, and if it is
 * busy "job" when it is asked about one.  Its root has a file or a directory of
 * any name; the control directory is "ctl". MODE says how it answers ioctls and
 * reads:
 *
 *   zero, ones, text     each byte of the answer is 0, 255, or 'A'
 *   echo                 the answer is the request
 *   short                nothing of the answer comes back
 *   random               any bytes, any length, any result, some errors
 *   fields               what is asked for, and each other number an extreme
 *   ascend               listings and answers in pieces go on for ever
 *   busy                 jobs never end
 */
#include "bltfs_ioctl.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const modes[] = { "zero",   "ones",   "text",
				     "echo",   "short",  "random",
				     "fields", "ascend", "busy" };
enum { ZERO, ONES, TEXT, ECHO, SHORT, RANDOM, FIELDS, ASCEND, BUSY, N_MODES };

static unsigned mode;
static uint64_t state; /* of the random numbers */

static uint64_t rnd(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* Numbers at which sizes and signs go wrong. */
static uint64_t extreme(void)
{
	static const uint64_t some[] = {
		0,          1,          8191,      8192,
		8193,       65535,      65536,     INT32_MAX,
		UINT32_MAX, 1ull << 32, INT64_MAX, 1ull << 63,
		UINT64_MAX, 4096,       100,       UINT64_MAX - 8191,
	};

	return rnd() % 4 ? some[rnd() % 16] : rnd() % 5;
}

static void fill_random(void *to, size_t len)
{
	uint8_t *at = to;

	for (size_t i = 0; i < len; i++)
		at[i] = (uint8_t)rnd();
}

static void say(const char *text)
{
	puts(text);
	fflush(stdout);
}

/* ---- answers ---- */

/* Each aligned number of 4 or 8 bytes becomes an extreme. */
static void fill_extreme(uint8_t *to, size_t len)
{
	for (size_t i = 0; i + 8 <= len; i += 8) {
		uint64_t v = extreme();

		if (rnd() % 2)
			v = v << 32 | (uint32_t)extreme();
		memcpy(to + i, &v, 8);
	}
}

static void fill_text(char *to, size_t len)
{
	size_t n = rnd() % 3 ? rnd() % len : len;

	memset(to, rnd() % 2 ? 'A' : '\n', n);
	if (n < len)
		to[n] = '\0';
}

/* Right in what is easily checked, wrong in the rest. */
static void answer_fields(unsigned cmd, void *a)
{
	struct bltfs_job_info *job = a;
	struct bltfs_key *key = a;
	struct bltfs_piece *piece = a;
	struct bltfs_seq *seq = a;
	struct bltfs_store *store = a;
	struct bltfs_txn *txn = a;
	const struct bltfs_key was_key =
		cmd == BLTFS_IOC_KEY ? *key : (struct bltfs_key){ 0 };
	uint64_t number = *(uint64_t *)a;

	if (cmd == BLTFS_IOC_TXN_NEXT || cmd == BLTFS_IOC_TXN_BEGIN) {
		txn->name[strnlen(txn->name, 250)] = 'a';
		fill_extreme((uint8_t *)&txn->began, 32);
		return;
	}
	if (cmd == BLTFS_IOC_TXN_COMMIT || cmd == BLTFS_IOC_TXN_ABORT)
		return;
	fill_extreme(a, _IOC_SIZE(cmd));
	switch (cmd) {
	case BLTFS_IOC_JOB:
	case BLTFS_IOC_NEXT_JOB:
		job->job = number + (cmd == BLTFS_IOC_NEXT_JOB);
		job->state %= 6;
		job->error = (int32_t)(rnd() % 3 ? rnd() % 200 : extreme());
		job->left &= INT64_MAX;
		job->queued &= INT64_MAX;
		job->started &= INT64_MAX;
		job->ended &= INT64_MAX;
		snprintf(job->kind, sizeof(job->kind), "%s",
			 rnd() % 2 ? "map" : "count");
		fill_text(job->text, sizeof(job->text));
		break;
	case BLTFS_IOC_KEY:
		key->offset = was_key.offset;
		key->key_len = rnd() % 4 ? rnd() % 20000 : extreme();
		key->len = (uint32_t)(rnd() % 4 ? rnd() % 8193 : extreme());
		key->timestamp &= INT64_MAX;
		break;
	case BLTFS_IOC_PIECE:
	case BLTFS_IOC_FETCH:
		piece->args = rnd() % 4;
		piece->len = (uint32_t)(rnd() % 4 ? rnd() % 8193 : extreme());
		break;
	case BLTFS_IOC_SEQ:
		seq->args = rnd() % 2;
		seq->len = (uint32_t)(rnd() % 4 ? rnd() % 64 : extreme());
		seq->n = rnd() % 2 ? rnd() % 3 : extreme();
		break;
	case BLTFS_IOC_STORE:
		store->timestamps %= 2;
		fill_text(store->path, sizeof(store->path));
		store->path[0] = '/';
		break;
	default:
		break;
	}
}

static void answer_endless(unsigned cmd, void *a)
{
	struct bltfs_job_info *job = a;
	struct bltfs_piece *piece = a;
	struct bltfs_seq *seq = a;
	struct bltfs_txn *txn = a;

	switch (cmd) {
	case BLTFS_IOC_NEXT_JOB:
		job->job++;
		__attribute__((fallthrough));
	case BLTFS_IOC_JOB:
		job->state = mode == BUSY ? BLTFS_JOB_RUNNING : BLTFS_JOB_DONE;
		break;
	case BLTFS_IOC_TXN_NEXT: { /* an odometer of letters */
		size_t at = 200;

		if (!*txn->name)
			memset(txn->name, 'a', 201);
		while (at && txn->name[at] == 'z')
			txn->name[at--] = 'a';
		txn->name[at]++;
		break;
	}
	case BLTFS_IOC_FETCH:
		piece->len = sizeof(piece->bytes);
		piece->args = 1;
		break;
	case BLTFS_IOC_SEQ:
		seq->args = 1;
		seq->n = seq->verb == BLTFS_SEQ_LEN ? UINT64_MAX : 1;
		seq->len = 0;
		break;
	default:
		memset(a, 1, sizeof(uint64_t));
		break;
	}
}

/* Fills the answer; its length, or a negative errno. */
static int answer(unsigned cmd, void *a, size_t len)
{
	struct bltfs_name *name = a;

	if (cmd == BLTFS_IOC_NAME && (mode != RANDOM || rnd() % 4)) {
		memset(name, 0, sizeof(*name));
		strcpy(name->name, "ctl");
		return (int)len;
	}
	switch (mode) {
	case ZERO:
		memset(a, 0, len);
		break;
	case ONES:
		memset(a, 255, len);
		break;
	case TEXT:
		memset(a, 'A', len);
		break;
	case SHORT:
		return 0;
	case RANDOM:
		fill_random(a, len);
		if (rnd() % 8 == 0)
			return -(int)(rnd() % 200 + 1);
		return (int)(rnd() % 2 ? len : rnd() % (len + 1));
	case FIELDS:
		if (rnd() % 16 == 0)
			return -(int)(rnd() % 2 ? ESRCH : ENOENT);
		answer_fields(cmd, a);
		break;
	case ASCEND:
	case BUSY:
		answer_endless(cmd, a);
		break;
	default:
		break;
	}
	return (int)len;
}

static void on_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned cmd, void *arg,
		     struct fuse_file_info *fi, unsigned flags, const void *in,
		     size_t in_len, size_t out_len)
{
	static union {
		uint8_t bytes[1 << 14];
		uint64_t aligned;
	} a;
	static unsigned looks;
	int len;

	(void)ino;
	(void)arg;
	(void)fi;
	(void)flags;
	memset(&a, 0, sizeof(a));
	if (in_len)
		memcpy(&a, in, in_len);
	if (cmd == BLTFS_IOC_CANCEL)
		say("cancel");
	else if (cmd == BLTFS_IOC_JOB && mode == BUSY)
		say("job");
	len = out_len ? answer(cmd, &a, out_len) : 0;
	/* only a busy one is waited for without an end */
	if (cmd == BLTFS_IOC_JOB && mode != BUSY && ++looks % 4 == 0)
		len = -ESRCH;
	if (len < 0)
		fuse_reply_err(req, -len);
	else
		fuse_reply_ioctl(
			req,
			mode == RANDOM && rnd() % 8 == 0 ? (int)extreme() : 0,
			&a, (size_t)len);
}

/* ---- files ---- */

/* Names that begin with "d", the control directory and what is in "txn" are
 * directories. */
static bool is_directory(fuse_ino_t ino)
{
	return ino == FUSE_ROOT_ID || ino == 2;
}

static struct stat stat_of(fuse_ino_t ino)
{
	return (struct stat){
		.st_ino = ino,
		.st_mode = is_directory(ino) ? S_IFDIR | 0755 : S_IFREG | 0644,
		.st_nlink = 1,
		.st_size = is_directory(ino) ? 0 : INT64_MAX,
		.st_uid = getuid(),
		.st_gid = getgid(),
	};
}

static void on_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param e = { .ino = 3 };

	(void)parent;
	if (*name == 'd' || !strcmp(name, "ctl") || !strcmp(name, "txn"))
		e.ino = 2;
	e.attr = stat_of(e.ino);
	fuse_reply_entry(req, &e);
}

static void on_getattr(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *fi)
{
	struct stat st = stat_of(ino);

	(void)fi;
	fuse_reply_attr(req, &st, 0);
}

static void on_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	fi->direct_io = 1;
	fuse_reply_open(req, fi);
}

/* A line of .bltfs/stats, right or wrong. */
static size_t print_stats(char *to, size_t room)
{
	static const char *const names[] = {
		"store",   "failed",         "keys",           "mounted",
		"counted", "op.read.calls",  "op.read.times",  "op.a.total_us",
		"op.a",    "op..longest_us", "op.a.longest_us"
	};
	static const char *const values[] = { "nan",   "inf", "-1",
					      "1e308", "/kv", "\x1b[2J" };
	const char *name = names[rnd() % 11];

	if (rnd() % 3 == 0)
		return (size_t)snprintf(to, room, "%s %s\n", name,
					values[rnd() % 6]);
	return (size_t)snprintf(to, room, "%s %llu\n", name,
				(unsigned long long)extreme());
}

static void on_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	char *bytes = calloc(1, size + 1);
	size_t len = size;

	(void)ino;
	(void)fi;
	if (!bytes) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	if (mode == FIELDS && off > 0) {
		len = 0;
	} else if (mode == FIELDS) {
		memcpy(bytes, "store /x\n", 9);
		for (len = 9; len + 200 < size && rnd() % 50;)
			len += print_stats(bytes + len, size - len);
	} else if (mode == RANDOM) {
		fill_random(bytes, size);
		len = rnd() % 4 ? rnd() % (size + 1) : 0;
	} else if (mode != ASCEND && off > 1 << 22) {
		len = 0;
	} else {
		memset(bytes, mode == ONES ? 255 : 'A', size);
	}
	fuse_reply_buf(req, bytes, len);
	free(bytes);
}

static void on_write(fuse_req_t req, fuse_ino_t ino, const char *buf,
		     size_t size, off_t off, struct fuse_file_info *fi)
{
	(void)ino;
	(void)buf;
	(void)off;
	(void)fi;
	fuse_reply_write(req, size);
}

static const struct fuse_lowlevel_ops ops = {
	.getattr = on_getattr,
	.ioctl = on_ioctl,
	.lookup = on_lookup,
	.open = on_open,
	.read = on_read,
	.write = on_write,
};

static unsigned mode_named(const char *name)
{
	for (unsigned i = 0; i < N_MODES; i++)
		if (!strcmp(modes[i], name))
			return i;
	return N_MODES;
}

int main(int argc, char **argv)
{
	char name[] = "hostile";
	char *no_args[] = { name, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(1, no_args);
	struct fuse_session *se;
	int rc = 1;

	mode = argc == 4 ? mode_named(argv[1]) : N_MODES;
	if (mode == N_MODES) {
		fprintf(stderr, "usage: hostile MODE SEED MOUNTPOINT\n");
		return 2;
	}
	state = strtoull(argv[2], NULL, 10) * 2654435761u + 1;
	se = fuse_session_new(&args, &ops, sizeof(ops), NULL);
	if (!se)
		return 1;
	if (fuse_set_signal_handlers(se) == 0) {
		if (fuse_session_mount(se, argv[3]) == 0) {
			say("ready");
			rc = fuse_session_loop(se) ? 1 : 0;
			fuse_session_unmount(se);
		}
		fuse_remove_signal_handlers(se);
	}
	fuse_session_destroy(se);
	return rc;
}
