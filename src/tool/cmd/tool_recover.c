/* tool_recover.c - blt recover */
#include "tool/tool.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

static void print_path(const char *path)
{
	tool_print_name(path, strlen(path));
	fputs(": ", stdout);
}

static void print_json(const char *path, const struct blt_info *info,
		       uint64_t cut)
{
	struct jout j = { .to = stdout };

	jout_open(&j, NULL, '{');
	jout_bytes(&j, "store", path, strlen(path));
	jout_bool(&j, "was_open", info->was_open);
	jout_u64(&j, "records", info->replayed);
	jout_u64(&j, "cut_bytes", cut);
	jout_u64(&j, "keys", info->n_keys);
	jout_close(&j, '}');
}

static void print_replay(const char *path, const struct blt_info *info,
			 uint64_t cut)
{
	print_path(path);
	if (!info->was_open) {
		printf("was closed properly, nothing to recover; %" PRIu64
		       " keys\n",
		       info->n_keys);
		return;
	}
	if (info->replayed)
		printf("recovered; %" PRIu64 " record%s of its log replayed",
		       info->replayed, info->replayed == 1 ? "" : "s");
	else
		fputs("recovered; nothing of its log was to be replayed",
		      stdout);
	if (cut)
		printf(", %" PRIu64 " bytes behind the last whole one cut off",
		       cut);
	printf("; %" PRIu64 " keys\n", info->n_keys);
}

/* Opening a store for writing recovers it, closing it leaves a plain file. */
static int replay(struct tool *t)
{
	const char *path = t->arg[0];
	struct stat before = { .st_size = 0 };
	struct blt_info info;
	uint64_t size, cut;
	int code, r;

	(void)stat(path, &before);
	code = tool_open(t, path, BLT_WRITE, NULL);
	if (code == EX_DATAERR)
		tool_say(t,
			 "what is whole in it can be had by: blt recover "
			 "--rebuild --to NEW %s",
			 path);
	if (code)
		return code;
	r = blt_settle(t->store, false);
	if (r < 0)
		return tool_fail_store(t, NULL, r);
	blt_get_info(t->store, &info);
	size = (uint64_t)before.st_size;
	cut = info.was_open && size > info.file_size ? size - info.file_size :
						       0;
	if (tool_has(t, OPT_JSON))
		print_json(path, &info, cut);
	else if (!tool_has(t, OPT_QUIET))
		print_replay(path, &info, cut);
	return EX_OK;
}

/* ---- --rebuild ---- */

static const char *header_text(enum blt_header_source source)
{
	switch (source) {
	case BLT_HEADER_LOG:
		return "log";
	case BLT_HEADER_LIKE:
		return "like";
	case BLT_HEADER_OWN:
		break;
	}
	return "own";
}

static void print_rebuilt_json(const char *path, const char *to,
			       const struct blt_rebuild_result *r)
{
	struct jout j = { .to = stdout };

	jout_open(&j, NULL, '{');
	jout_bytes(&j, "store", path, strlen(path));
	jout_bytes(&j, "to", to, strlen(to));
	jout_text(&j, "header", header_text(r->header));
	jout_u64(&j, "keys", r->keys);
	jout_u64(&j, "hidden", r->hidden);
	jout_u64(&j, "kept_bytes", r->kept_bytes);
	jout_u64(&j, "older_blocks", r->older_blocks);
	jout_u64(&j, "dead_blocks", r->dead_blocks);
	jout_u64(&j, "dead_bytes", r->dead_bytes);
	jout_u64(&j, "damaged_blocks", r->damaged_blocks);
	jout_u64(&j, "passed_bytes", r->passed_bytes);
	jout_u64(&j, "doubtful_keys", r->doubtful_keys);
	jout_u64(&j, "buckets", r->n_buckets);
	jout_close(&j, '}');
}

static void print_rebuilt(const char *to, const struct blt_rebuild_result *r)
{
	print_path(to);
	printf("rebuilt\n");
	if (r->header == BLT_HEADER_LOG)
		puts("header            from the copy in its log");
	if (r->header == BLT_HEADER_LIKE)
		puts("header            like the store given");
	printf("%-18s%" PRIu64 " in %" PRIu64 " bytes\n", "keys kept", r->keys,
	       r->kept_bytes);
	if (r->hidden)
		printf("%-18s%" PRIu64 " (metadata, reserved slots)\n",
		       "hidden kept", r->hidden);
	if (r->doubtful_keys)
		printf("%-18s%" PRIu64 " of the keys kept: they stood inside "
		       "a value that damage follows\n",
		       "doubtful", r->doubtful_keys);
	printf("%-18s%" PRIu64 " in %" PRIu64 " bytes\n", "dead blocks",
	       r->dead_blocks, r->dead_bytes);
	printf("%-18s%" PRIu64 "\n", "older values", r->older_blocks);
	printf("%-18s%" PRIu64 " dropped\n", "damaged blocks",
	       r->damaged_blocks);
	printf("%-18s%" PRIu64 " bytes without a whole block\n", "passed over",
	       r->passed_bytes);
}

static int rebuild(struct tool *t)
{
	const char *path = t->arg[0];
	struct progress progress;
	struct blt_rebuild_options how = { .to = t->opt[OPT_TO],
					   .like = t->opt[OPT_LIKE],
					   .progress = progress_follow,
					   .arg = &progress };
	struct blt_rebuild_result result;
	struct blt_error err;
	int code, r;

	code = tool_opt_lock(t, &how.lock_timeout_ms);
	if (code)
		return code;
	tool_catch_signals();
	progress_start(&progress, "rebuild", 0, tool_has(t, OPT_QUIET));
	r = blt_rebuild(path, &how, &result, &err);
	progress_end(&progress);
	if (r < 0 && tool_signal())
		return tool_fail(t, TOOL_SIGNALLED,
				 "interrupted; %s is as it was", path);
	/* of the two files, the one that was to be made */
	if (r == -ENOENT && how.to && access(path, F_OK) == 0)
		return tool_fail(t, EX_CANTCREAT, "%s", err.text);
	if (r < 0)
		return tool_fail_open(t, path, r, &err);
	if (tool_has(t, OPT_JSON))
		print_rebuilt_json(path, how.to ? how.to : path, &result);
	else if (!tool_has(t, OPT_QUIET))
		print_rebuilt(how.to ? how.to : path, &result);
	return EX_OK;
}

static int run_recover(struct tool *t)
{
	bool to = tool_has(t, OPT_TO), in_place = tool_has(t, OPT_IN_PLACE);

	if (!tool_has(t, OPT_REBUILD)) {
		if (to || in_place || tool_has(t, OPT_LIKE))
			return tool_fail(t, EX_USAGE,
					 "--to, --in-place and --like go with "
					 "--rebuild; see \"blt help recover\"");
		return replay(t);
	}
	if (to == in_place)
		return tool_fail(
			t, EX_USAGE,
			"--rebuild: say where the new store goes: --to "
			"FILE, or --in-place to replace %s",
			t->arg[0]);
	return rebuild(t);
}

static const struct tool_option options[] = {
	{ OPT_REBUILD, 'R', "rebuild", NULL,
	  "make a new store of the blocks that are whole" },
	{ OPT_TO, 'o', "to", "FILE",
	  "where the rebuilt store goes; must not be there" },
	{ OPT_IN_PLACE, 'i', "in-place", NULL,
	  "the rebuilt store replaces STORE" },
	{ OPT_LIKE, 'L', "like", "OTHER",
	  "a store of the same kind, if STORE's header is unreadable" },
	TOOL_OPT_JSON,
	{ OPT_QUIET, 'q', "quiet", NULL, "print nothing if all went well" },
	TOOL_OPT_LOCK,
	TOOL_OPT_END,
};

const struct tool_command tool_recover = {
	.name = "recover",
	.args = "STORE",
	.summary = "bring a store back after a crash or damage",
	.help = "Without --rebuild: replays what a killed writer left in the "
		"store's log, as mounting it does, and leaves a plain file. "
		"With --rebuild: makes a new store of all blocks that are "
		"whole, whatever became of index, chains and layout; of two "
		"values of one key the later is taken. Deleted keys stay "
		"deleted as far as their blocks say so. See blt(1) before "
		"--in-place.",
	.min_args = 1,
	.max_args = 1,
	.options = options,
	.run = run_recover,
};
