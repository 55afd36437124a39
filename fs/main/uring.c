#include "main/uring_inner.h"

#include "base/util.h"
#include "main/log.h"

#include <errno.h>
#include <fuse_lowlevel.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define CPUS_MAX 8192
#define CPU_DIR "/sys/devices/system/cpu/"

int uring_new(struct fuse_session *se, const struct uring_config *config,
	      struct uring **ret)
{
	struct uring *u = calloc(1, sizeof(*u));

	if (!u)
		return -ENOMEM;
	u->se = se;
	u->config = *config;
	pthread_mutex_init(&u->lock, NULL);
	pthread_cond_init(&u->moved, NULL);
	uring_slow_init(&u->slow);
	*ret = u;
	return 0;
}

const char *uring_why(const struct uring *u)
{
	return u->why;
}

bool uring_in_use(const struct uring *u)
{
	return u && atomic_load(&u->running);
}

/* ---- INIT ---- */

void uring_offer(struct uring *u, uint32_t flags2)
{
	u->offered = (uint64_t)flags2 << 32 & FUSE_OVER_IO_URING;
}

void uring_patch_init(const struct uring *u, struct fuse_init_out *out)
{
	if (u->n_rings && out->flags & FUSE_INIT_EXT)
		out->flags2 |= (uint32_t)(FUSE_OVER_IO_URING >> 32);
}

/* ---- phases ---- */

void uring_done(struct uring *u, int rc)
{
	pthread_mutex_lock(&u->lock);
	u->n_done++;
	if (rc < 0 && u->failed == 0)
		u->failed = rc;
	pthread_cond_broadcast(&u->moved);
	pthread_mutex_unlock(&u->lock);
}

enum uring_phase uring_await(struct uring *u, enum uring_phase not )
{
	enum uring_phase phase;

	pthread_mutex_lock(&u->lock);
	while ((phase = atomic_load(&u->phase)) == not )
		pthread_cond_wait(&u->moved, &u->lock);
	pthread_mutex_unlock(&u->lock);
	return phase;
}

static void enter(struct uring *u, enum uring_phase phase)
{
	pthread_mutex_lock(&u->lock);
	atomic_store(&u->phase, phase);
	u->n_done = 0;
	pthread_cond_broadcast(&u->moved);
	pthread_mutex_unlock(&u->lock);
	for (size_t i = 0; i < u->n_started; i++)
		uring_ring_wake(&u->ring[i]);
}

/* 0, or the first error of a thread. */
static int await_all(struct uring *u)
{
	int rc;

	pthread_mutex_lock(&u->lock);
	while (u->n_done < u->n_started)
		pthread_cond_wait(&u->moved, &u->lock);
	rc = u->failed;
	pthread_mutex_unlock(&u->lock);
	return rc;
}

void uring_fail(struct uring *u, const char *what, int err)
{
	int none = 0;

	if (!atomic_compare_exchange_strong(&u->error, &none, err))
		return;
	log_error("io_uring: %s: %s; unmounting (-o io_uring=no does without)",
		  what, strerror(-err));
	fuse_session_exit(u->se);
	/* signals.c wakes the loop */
	kill(getpid(), SIGTERM);
}

/* ---- processors and rings ---- */

/* Sets those of a list as "0-3,8"; how many, or -errno. */
static int read_cpus(const char *path, bool *set)
{
	FILE *from = fopen(path, "re");
	unsigned first, last;
	int n = 0, end;

	if (!from)
		return -errno;
	while (n >= 0 && fscanf(from, "%u", &first) == 1) {
		last = first;
		end = getc(from);
		if (end == '-') {
			if (fscanf(from, "%u", &last) != 1)
				last = 0;
			end = getc(from);
		}
		if (last < first || last >= CPUS_MAX)
			n = -ERANGE;
		for (; n >= 0 && first <= last; first++, n++)
			set[first] = true;
		if (end != ',')
			break;
	}
	fclose(from);
	return n == 0 ? -ENODATA : n;
}

static void add_ring(struct uring *u, int cpu, unsigned qid, unsigned n)
{
	u->ring[u->n_rings++] = (struct uring_ring){
		.u = u,
		.cpu = cpu,
		.first_qid = (uint16_t)qid,
		.n_qids = (uint16_t)n,
		.event = eventfd(0, EFD_CLOEXEC),
	};
}

/* Queues are numbered from 0 on.  Processors that are offline share a ring for
 * each run of them. */
static int plan_rings(struct uring *u)
{
	bool *online = calloc(2, CPUS_MAX);
	int n = -ENOMEM, on = 0;
	unsigned next;

	if (!online)
		return n;
	n = read_cpus(CPU_DIR "possible", online + CPUS_MAX);
	if (n > 0)
		on = read_cpus(CPU_DIR "online", online);
	if (n < 0 || on < 0) {
		free(online);
		return n < 0 ? n : on;
	}
	u->ring = calloc((size_t)n * URING_PER_CPU, sizeof(*u->ring));
	for (unsigned q = 0; u->ring && q < (unsigned)n; q = next) {
		next = q + 1;
		while (!online[q] && next < (unsigned)n && !online[next])
			next++;
		for (int i = 0; i < (online[q] ? URING_PER_CPU : 1); i++)
			add_ring(u, online[q] ? (int)q : -1, q, next - q);
	}
	free(online);
	return u->ring ? 0 : -ENOMEM;
}

static size_t memory(const struct uring *u)
{
	size_t n = 0;

	for (size_t i = 0; i < u->n_rings; i++)
		n += u->ring[i].n_qids;
	return n * (URING_PAGE + u->payload_len);
}

static void drop_rings(struct uring *u)
{
	if (u->n_started)
		enter(u, URING_STOP);
	for (size_t i = 0; i < u->n_started; i++)
		pthread_join(u->ring[i].thread, NULL);
	u->n_started = 0;
}

static void free_rings(struct uring *u)
{
	for (size_t i = 0; i < u->n_rings; i++)
		uring_ring_free(&u->ring[i]);
	free(u->ring);
	u->ring = NULL;
	u->n_rings = 0;
}

static int start_threads(struct uring *u)
{
	int rc = 0;

	for (size_t i = 0; i < u->n_rings && rc == 0; i++) {
		struct uring_ring *r = &u->ring[i];

		rc = r->event < 0 ? -EMFILE :
				    thread_start(&r->thread, uring_ring_run, r);
		u->n_started += rc == 0;
	}
	return rc < 0 ? rc : await_all(u);
}

static int refuse(struct uring *u, int rc, const char *why)
{
	snprintf(u->why, sizeof(u->why), "%s", why);
	return rc;
}

int uring_prepare(struct uring *u, size_t max_write)
{
	int rc;

	if (u->config.wish == IO_URING_NO)
		return refuse(u, -EOPNOTSUPP, "switched off");
	if (!u->offered)
		return refuse(
			u, -EOPNOTSUPP,
			"the kernel does not offer it; Linux 6.14 and later do, as root: echo 1 >/sys/module/fuse/parameters/enable_uring");
	u->payload_len =
		max_write < FUSE_MIN_READ_BUFFER ?
			FUSE_MIN_READ_BUFFER :
			(max_write + URING_PAGE - 1) / URING_PAGE * URING_PAGE;
	rc = plan_rings(u);
	if (rc < 0)
		snprintf(u->why, sizeof(u->why),
			 CPU_DIR "possible cannot be read: %s", strerror(-rc));
	else if (u->config.wish == IO_URING_AUTO &&
		 memory(u) > URING_MEMORY_MAX)
		rc = refuse(u, -ENOMEM, "too much memory for all processors");
	else if ((rc = start_threads(u)) < 0)
		snprintf(
			u->why, sizeof(u->why),
			"rings cannot be made: %s (see kernel.io_uring_disabled, seccomp, ulimit)",
			strerror(-rc));
	if (rc < 0) {
		drop_rings(u);
		free_rings(u);
	}
	return rc;
}

/* ---- start and end ---- */

int uring_start(struct uring *u)
{
	int rc;

	if (!u->n_rings)
		return 0;
	enter(u, URING_REGISTER);
	rc = await_all(u);
	if (rc < 0) {
		uring_ring_way_back(u);
		drop_rings(u);
		free_rings(u);
		snprintf(u->why, sizeof(u->why),
			 "the kernel refuses to begin: %s", strerror(-rc));
		return rc;
	}
	atomic_store(&u->running, true);
	enter(u, URING_RUN);
	return 0;
}

void uring_drain(struct uring *u)
{
	if (!uring_in_use(u))
		return;
	enter(u, URING_DRAIN);
	await_all(u);
	uring_slow_stop(&u->slow);
}

int uring_stop(struct uring *u)
{
	if (!u)
		return 0;
	drop_rings(u);
	return atomic_load(&u->error);
}

void uring_free(struct uring *u)
{
	if (!u)
		return;
	drop_rings(u);
	uring_slow_release(&u->slow);
	free_rings(u);
	pthread_cond_destroy(&u->moved);
	pthread_mutex_destroy(&u->lock);
	free(u);
}

/* ---- replies ---- */

static struct uring_entry *find(struct uring *u, uint64_t unique)
{
	struct uring_entry *e = uring_entry_current();

	if (e && atomic_load(&e->unique) == unique)
		return e;
	for (size_t i = 0; i < u->n_rings; i++) {
		struct uring_ring *r = &u->ring[i];

		for (size_t k = atomic_load(&r->n_entries); k-- > 0;) {
			e = r->entry[k];
			if (atomic_load(&e->unique) == unique)
				return e;
		}
	}
	return NULL;
}

ssize_t uring_reply(struct uring *u, const struct iovec *iov, int n)
{
	struct fuse_out_header out;
	struct uring_entry *e;

	if (!atomic_load(&u->running))
		return -1;
	memcpy(&out, iov[0].iov_base, sizeof(out));
	/* a notification has no number */
	e = out.unique ? find(u, out.unique) : NULL;
	if (!e)
		return -1;
	atomic_store(&e->unique, 0);
	uring_entry_reply(e, iov, n);
	if (!pthread_equal(pthread_self(), e->ring->thread))
		uring_ring_wake(e->ring);
	return (ssize_t)out.len;
}

void *uring_reply_space(size_t n)
{
	struct uring_entry *e = uring_entry_current();

	return e && n <= e->iov[1].iov_len ? e->payload : NULL;
}
