/* tool_prune.c - blt prune, trim, reindex, sync and clear. */
#include "tool/mount_client.h"
#include "tool/mount_ask.h"

#include "bltfs_ioctl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

/* The keys that stay, as a job's request has them. */
struct kept {
	void *bytes;
	size_t len;
};

/* On a mount (fd) a name is that of a file there, else of one in the store. */
static int keep_arguments(struct tool *t, int fd, struct kept *k)
{
	int code = 0;

	for (int i = 1; !code && i < t->n_args; i++) {
		struct tool_key key;

		if (fd >= 0)
			code = mount_client_key(t, fd, t->arg[i], &key, NULL);
		else
			code = tool_key(t, t->arg[i], true, &key);
		if (!code &&
		    job_keys_add(&k->bytes, &k->len, key.bytes, key.len) < 0)
			code = tool_fail(t, EX_OSERR, "out of memory");
		tool_key_free(&key);
	}
	return code;
}

static int prune_mount(struct tool *t, int fd, int64_t older_than)
{
	struct bltfs_prune ask = { .older_than = older_than };
	struct kept k = { NULL, 0 };
	int code = keep_arguments(t, fd, &k);

	if (!code && k.len)
		code = mount_client_pieces(t, fd, k.bytes, k.len, &ask.args);
	free(k.bytes);
	if (!code)
		return mount_client_start(t, fd, BLTFS_IOC_PRUNE, &ask);
	close(fd);
	return code;
}

static int prune_file(struct tool *t, int64_t older_than)
{
	struct job_request req = { .kind = JOB_PRUNE,
				   .older_than = older_than };
	struct kept k = { NULL, 0 };
	int code = tool_open_alone(t);

	if (!code)
		code = keep_arguments(t, -1, &k);
	if (!code) {
		req.bytes = k.bytes;
		req.bytes_len = k.len;
		code = tool_job_run(t, &req);
	}
	free(k.bytes);
	return code;
}

static int run_prune(struct tool *t)
{
	int64_t time;
	int fd, code = tool_opt_time(t, OPT_OLDER_THAN, &time);

	if (!code && !time && t->n_args > 1)
		code = tool_fail(t, EX_USAGE,
				 "keys to keep are for --older-than");
	if (!code)
		code = mount_client_open(t, t->arg[0], &fd);
	if (code)
		return code;
	return fd >= 0 ? prune_mount(t, fd, time) : prune_file(t, time);
}

static const struct tool_option prune_options[] = {
	{ OPT_OLDER_THAN, 'o', "older-than", "TIME",
	  "delete keys with an earlier timestamp first" },
	{ OPT_HEX, 'x', "hex", NULL, "keys are given as hex digits" },
	TOOL_OPT_KEYS,
	TOOL_OPT_JOB,
	TOOL_OPT_LOCK,
	TOOL_OPT_END,
};

const struct tool_command tool_prune = {
	.name = "prune",
	.args = "STORE|MOUNTPOINT [KEEP]...",
	.summary = "take what was deleted and overwritten out of a store",
	.help = "Moves what STORE holds together, in place and in its order, "
		"and cuts the file: it then has the size that Python's prune "
		"gives it. With --older-than, keys with an earlier timestamp "
		"are deleted first, but for those named as KEEP; of a mount, "
		"these are files in it. Needs some "
		"megabytes of free space, or the length of the largest value. "
		"A mounted store is used meanwhile. Of an LMDB environment a "
		"compact copy takes the place, if nobody else has it open. "
		"May be interrupted at any time: the store is whole, and the "
		"next prune goes on.",
	.min_args = 1,
	.max_args = -1,
	.options = prune_options,
	.run = run_prune,
};

static int run_trim(struct tool *t)
{
	const struct job_request req = { .kind = JOB_TRIM };
	struct bltfs_job job = { 0 };

	return tool_work(t, BLTFS_IOC_TRIM, &job, &req);
}

static const struct tool_option trim_options[] = {
	TOOL_OPT_JOB,
	TOOL_OPT_LOCK,
	TOOL_OPT_END,
};

const struct tool_command tool_trim = {
	.name = "trim",
	.args = "STORE|MOUNTPOINT",
	.summary = "give back the disk space of what was deleted",
	.help = "Punches holes under what was deleted and overwritten, so that "
		"the disk has its space again. Nothing is moved: the file "
		"does not become shorter, takes less room, and this is sooner "
		"done than a prune. It works on a full disk, too. May be "
		"interrupted at any time.",
	.min_args = 1,
	.max_args = 1,
	.options = trim_options,
	.run = run_trim,
};

static int run_reindex(struct tool *t)
{
	struct job_request req = { .kind = JOB_REINDEX };
	struct bltfs_reindex ask = { 0 };
	uint64_t buckets = 0;
	int code;

	code = tool_opt_u64(t, OPT_BUCKETS, 1, UINT32_MAX, 0, &buckets);
	if (code)
		return code;
	ask.buckets = req.n_buckets = (uint32_t)buckets;
	return tool_work(t, BLTFS_IOC_REINDEX, &ask, &req);
}

static const struct tool_option reindex_options[] = {
	{ OPT_BUCKETS, 'b', "buckets", "N",
	  "size of the new index (the next of 12007, 144013, ...)" },
	TOOL_OPT_JOB,
	TOOL_OPT_LOCK,
	TOOL_OPT_END,
};

const struct tool_command tool_reindex = {
	.name = "reindex",
	.args = "STORE|MOUNTPOINT",
	.summary = "give a store a new index",
	.help = "Gives the store a fresh index at the end of the file. That "
		"happens by itself when there are more keys than buckets, up "
		"to the largest size that Python uses, 20736017; a store with "
		"many more keys is faster with an index of its own size.",
	.min_args = 1,
	.max_args = 1,
	.options = reindex_options,
	.run = run_reindex,
};

static int run_sync(struct tool *t)
{
	int fd, r, code = mount_client_open(t, t->arg[0], &fd);

	if (code)
		return code;
	if (fd >= 0) {
		/* pages written through a mapping are the kernel's still */
		r = syncfs(fd) < 0 ? -errno :
				     mount_ask(fd, BLTFS_IOC_SYNC, NULL);
		if (r < 0)
			code = mount_client_fail(t, t->arg[0], r);
		close(fd);
		return code;
	}
	code = tool_open(t, t->arg[0], BLT_WRITE, NULL);
	if (code)
		return code;
	r = blt_sync(t->store);
	return r < 0 ? tool_fail_store(t, NULL, r) : EX_OK;
}

/* A person at a terminal is asked. */
static int confirm(const struct tool *t)
{
	char line[16] = "";

	if (tool_has(t, OPT_YES) || !isatty(STDIN_FILENO))
		return 0;
	fprintf(stderr, "blt clear: %s: delete all keys? [y/N] ", t->arg[0]);
	if (fgets(line, sizeof(line), stdin) &&
	    (!strcasecmp(line, "y\n") || !strcasecmp(line, "yes\n")))
		return 0;
	return tool_fail(t, EX_TEMPFAIL,
			 "%s: left as it is; --yes does not ask", t->arg[0]);
}

static int run_clear(struct tool *t)
{
	const struct job_request req = { .kind = JOB_CLEAR };
	struct bltfs_job job = { 0 };
	int code = confirm(t);

	if (code)
		return code;
	return tool_work(t, BLTFS_IOC_CLEAR, &job, &req);
}

const struct tool_command tool_sync = {
	.name = "sync",
	.args = "STORE|MOUNTPOINT",
	.summary = "make what was written durable",
	.help = "Returns when what was closed on a mount is on the disk, which "
		"sync(1) does not see to. Of a store file it makes a plain "
		"one, whatever a program that died left of it.",
	.min_args = 1,
	.max_args = 1,
	.options = (const struct tool_option[]){ TOOL_OPT_LOCK, TOOL_OPT_END },
	.run = run_sync,
};

static const struct tool_option clear_options[] = {
	{ OPT_YES, 'y', "yes", NULL, "do not ask on a terminal" },
	TOOL_OPT_JOB,
	TOOL_OPT_DB,
	TOOL_OPT_LOCK,
	TOOL_OPT_END,
};

const struct tool_command tool_clear = {
	.name = "clear",
	.args = "STORE|MOUNTPOINT",
	.summary = "delete all keys",
	.help = "Deletes all keys that are there when it begins. Metadata and "
		"reserved values stay. The file does not become shorter. At a "
		"terminal it asks first.",
	.min_args = 1,
	.max_args = 1,
	.options = clear_options,
	.run = run_clear,
};
