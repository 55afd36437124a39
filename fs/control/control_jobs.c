#include "control/control_inner.h"

#include "base/util.h"
#include "inode/cache_validity.h"
#include "control/autoprune.h"
#include "main/clock.h"
#include "control/control.h"
#include "main/log.h"
#include "inode/notify_queue.h"
#include "main/stats.h"
#include "main/uring.h"
#include "inode/syncer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A walk over so few bytes is soon done: up to here stats has one made. */
#define COUNT_AT_ONCE (UINT64_C(64) << 20)

/* ---- what jobs do beside their work ---- */

/* Until the walk of the keys has ended nobody knows the name of one, and a job
 * would have to wait for that even when it is cancelled.  So then a thread
 * waits, and tells the kernel of all there is.  What was changed before the end
 * of the walk was changed before that. */
static void *tell_late(void *arg)
{
	const struct timespec ts = { .tv_nsec = 20000000 };
	struct control *c = arg;
	int rc;

	while ((rc = blt_ns_ready(c->fs->ns)) == -EAGAIN &&
	       !atomic_load(&c->stopping))
		nanosleep(&ts, NULL);
	if (rc == 0)
		invalidate_any(c->fs);
	pthread_mutex_lock(&c->lock);
	c->told = true;
	pthread_cond_broadcast(&c->moved);
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

/* Whether it is told later, by that thread. */
static bool late(struct control *c)
{
	bool is = blt_ns_ready(c->fs->ns) == -EAGAIN;

	pthread_mutex_lock(&c->lock);
	if (is && !c->late)
		c->late = thread_start(&c->teller, tell_late, c) == 0;
	is = is && c->late;
	pthread_mutex_unlock(&c->lock);
	return is;
}

/* One that was cancelled has nothing to wait for. */
static void wait_late(struct control *c, const struct job_info *info)
{
	pthread_mutex_lock(&c->lock);
	while (c->late && !c->told && info->state != JOB_CANCELLED)
		pthread_cond_wait(&c->moved, &c->lock);
	pthread_mutex_unlock(&c->lock);
}

static void on_changed(void *arg, const void *key, size_t len)
{
	struct control *c = arg;

	if (late(c))
		;
	else if (key)
		invalidate_key(c->fs, key, len);
	else
		invalidate_any(c->fs);
	syncer_note(c->fs->syncer, len);
}

static void keep_census(struct control *c, const struct blt_census *census)
{
	pthread_mutex_lock(&c->lock);
	c->census = *census;
	c->counted = clock_now_us();
	pthread_mutex_unlock(&c->lock);
}

/* From the job's thread; of those that ask there is one at a time. */
static bool busy(void *arg)
{
	struct control *c = arg;
	uint64_t before = c->calls;

	c->calls = stats_calls(&c->fs->stats);
	return c->calls != before;
}

static void on_ended(void *arg, const struct job_info *info)
{
	struct control *c = arg;

	if (info->kind == JOB_COUNT && info->state == JOB_DONE)
		keep_census(c, &info->census);
	/* who learns of the end sees all of it */
	wait_late(c, info);
	notify_queue_wait(c->fs->notify_queue);
	if (c->fs->syncer)
		syncer_note(c->fs->syncer, 0);
	autoprune_ended(c, info);
	if (info->state == JOB_FAILED)
		log_warn("job %" PRIu64 ", %s, failed: %s", info->id,
			 job_kind_name(info->kind), info->text);
}

int control_new(struct bltfs *fs, struct control **ret)
{
	struct control *c = calloc(1, sizeof(*c));
	const struct jobs_hooks hooks = { c, on_changed, on_ended, busy };
	int rc;

	if (!c)
		return -ENOMEM;
	c->fs = fs;
	c->mounted = clock_now_us();
	rc = jobs_new(fs->store, &hooks, &c->jobs);
	if (rc < 0) {
		free(c);
		return rc;
	}
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->moved, NULL);
	autoprune_start(c);
	*ret = c;
	return 0;
}

void control_stop(struct control *c)
{
	if (!c)
		return;
	autoprune_stop(c);
	atomic_store(&c->stopping, true);
	jobs_stop(c->jobs);
}

void control_slow_begin(struct control *c)
{
	pthread_mutex_lock(&c->lock);
	c->slow++;
	pthread_mutex_unlock(&c->lock);
}

void control_slow_end(struct control *c)
{
	pthread_mutex_lock(&c->lock);
	c->slow--;
	pthread_cond_broadcast(&c->moved);
	pthread_mutex_unlock(&c->lock);
}

void control_slow_wait(struct control *c)
{
	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	while (c->slow)
		pthread_cond_wait(&c->moved, &c->lock);
	pthread_mutex_unlock(&c->lock);
}

void control_free(struct control *c)
{
	if (!c)
		return;
	autoprune_stop(c);
	atomic_store(&c->stopping, true);
	jobs_free(c->jobs);
	if (c->late)
		pthread_join(c->teller, NULL);
	pthread_cond_destroy(&c->moved);
	control_args_drop_all(c);
	control_close_all(c);
	pthread_mutex_destroy(&c->lock);
	free(c->reply);
	free(c->attended);
	free(c);
}

/* ---- as text ---- */

void control_print_job(const struct job_info *i, FILE *to)
{
	fprintf(to, "job %" PRIu64 "\nkind %s\nstate %s\n", i->id,
		job_kind_name(i->kind), job_state_name(i->state));
	fprintf(to, "items %" PRIu64 "\ndone %" PRIu64 "\ntotal %" PRIu64 "\n",
		i->items, i->done, i->total);
	fprintf(to, "rate %.0f\n", i->rate);
	if (i->left_us >= 0)
		fprintf(to, "eta %.1f\n", (double)i->left_us / 1e6);
	fprintf(to, "errors %" PRIu64 "\n", i->errors);
	fprintf(to, "queued %" PRId64 "\n", i->queued);
	if (i->started)
		fprintf(to, "started %" PRId64 "\n", i->started);
	if (i->ended)
		fprintf(to, "ended %" PRId64 "\n", i->ended);
	if (i->text[0])
		fprintf(to, "text %s\n", i->text);
}

int64_t control_census(struct bltfs *fs, uint64_t file_size,
		       struct blt_census *ret)
{
	struct control *c = fs->control;
	int64_t counted;

	if (file_size <= COUNT_AT_ONCE && blt_count(fs->store, ret) == 0)
		keep_census(c, ret);
	pthread_mutex_lock(&c->lock);
	*ret = c->census;
	counted = c->counted;
	pthread_mutex_unlock(&c->lock);
	return counted;
}

static void print_census(struct bltfs *fs, const struct blt_info *info,
			 FILE *to)
{
	struct blt_census census;
	int64_t counted = control_census(fs, info->file_size, &census);

	if (info->dead_known && info->file_size > COUNT_AT_ONCE)
		census.dead_bytes = info->dead_bytes;
	if (counted || info->dead_known)
		fprintf(to, "dead_bytes %" PRIu64 "\ndead_share %.3f\n",
			census.dead_bytes,
			(double)census.dead_bytes / (double)info->file_size);
	if (!counted)
		return;
	fprintf(to, "live_bytes %" PRIu64 "\n", census.live_bytes);
	fprintf(to, "value_bytes %" PRIu64 "\ndead_blocks %" PRIu64 "\n",
		census.value_bytes, census.dead_blocks);
	fprintf(to, "counted %" PRId64 "\n", counted);
}

void control_count_jobs(struct bltfs *fs, uint64_t n[JOB__STATES])
{
	struct job_info info = { 0 };

	memset(n, 0, JOB__STATES * sizeof(*n));
	while (jobs_next(fs->control->jobs, info.id, &info) == 0)
		n[info.state]++;
}

static void print_jobs(struct bltfs *fs, FILE *to)
{
	uint64_t n[JOB__STATES];

	control_count_jobs(fs, n);
	for (int s = 0; s < JOB__STATES; s++)
		fprintf(to, "jobs.%s %" PRIu64 "\n",
			job_state_name((enum job_state)s), n[s]);
}

int control_print_stats(struct bltfs *fs, FILE *to)
{
	struct blt_info i;
	uint64_t walked;
	bool complete;

	blt_get_info(fs->store, &i);
	fprintf(to, "store %s\nread_only %s\n", blt_path(fs->store),
		i.writable ? "no" : "yes");
	fprintf(to, "mounted %" PRId64 "\n", fs->control->mounted);
	fprintf(to, "transport %s\n",
		uring_in_use(fs->uring) ? "io_uring" : "device");
	if (i.failed)
		fprintf(to, "failed %s\n", strerror(-i.failed));
	fprintf(to, "version %u\nkeys %" PRIu64 "\nbuckets %" PRIu32 "\n",
		i.version, i.n_keys, i.n_buckets);
	fprintf(to, "load %.3f\n",
		i.n_buckets ? (double)i.n_keys / (double)i.n_buckets : 0);
	fprintf(to, "file_bytes %" PRIu64 "\n", i.file_size);
	print_census(fs, &i, to);
	walked = blt_ns_progress(fs->ns, &complete);
	fprintf(to, "names %s\nnames_walked %" PRIu64 "\n",
		complete ? "complete" : "being read", walked);
	fprintf(to, "inodes %zu\n", inodes_count(fs->inodes));
	fprintf(to, "staged_bytes %" PRIu64 "\n", atomic_load(&fs->pool.used));
	print_jobs(fs, to);
	stats_print(&fs->stats, to);
	return 0;
}
