/* tool_prune.c - blt prune */
#include "tool/mount_client.h"

#include "bltfs_ioctl.h"

#include <stdlib.h>
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
