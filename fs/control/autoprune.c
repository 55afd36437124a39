#include "control/autoprune.h"

#include "control/control_inner.h"
#include "inode/syncer.h"

#include <sys/statvfs.h>

/* What a prune needs beside the store, with room for the writers of the time
 * that it takes; and what more must be dead before it is tried again. */
#define ROOM (UINT64_C(64) << 20)
#define AGAIN (UINT64_C(64) << 20)

static bool any_job(struct control *c)
{
	struct job_info info = { 0 };

	while (jobs_next(c->jobs, info.id, &info) == 0)
		if (!job_has_ended(&info))
			return true;
	return false;
}

static bool has_room(struct blt *store)
{
	struct statvfs st;

	return blt_statvfs(store, &st) == 0 &&
	       (uint64_t)st.f_bavail * st.f_frsize >= ROOM;
}

static uint64_t dead_now(struct control *c)
{
	struct blt_info info;

	blt_get_info(c->fs->store, &info);
	return info.dead_bytes;
}

/* From the syncer's thread. */
static void look(void *arg)
{
	struct control *c = arg;
	struct job_request req = { .kind = JOB_PRUNE, .background = true };
	uint64_t id;

	if (!blt_prune_due(c->fs->store, (unsigned)c->fs->opts->autoprune) ||
	    dead_now(c) < atomic_load(&c->prune_from) || any_job(c))
		return;
	if (!has_room(c->fs->store))
		req.kind = JOB_TRIM;
	/* there is another look behind the next changes */
	(void)jobs_start(c->jobs, &req, &id);
}

void autoprune_ended(struct control *c, const struct job_info *info)
{
	bool done = info->kind == JOB_PRUNE && info->state == JOB_DONE;

	if (info->kind == JOB_PRUNE || info->kind == JOB_TRIM)
		atomic_store(&c->prune_from, done ? 0 : dead_now(c) + AGAIN);
}

void autoprune_start(struct control *c)
{
	if (c->fs->opts->autoprune && !c->fs->info.shared)
		syncer_watch(c->fs->syncer, look, c);
}

void autoprune_stop(struct control *c)
{
	syncer_watch(c->fs->syncer, NULL, NULL);
}
