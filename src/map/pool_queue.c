/* pool_queue.c - tasks on their way to workers and back; see pool_inner.h. */
#include "map/pool_inner.h"

#include "base/util.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define TRIES 2
#define AHEAD_US 2000      /* work that a worker has in front of it */
#define OUT_MAX (1u << 20) /* bytes on their way to one worker */
#define BARREN_MAX 3       /* workers that end in a row without taking a task */

/* ---- tasks ---- */

void pool_drop_results(struct pool_task *task)
{
	while (task->results) {
		struct pool_result *r = task->results;

		task->results = r->next;
		free(r);
	}
	task->last = &task->results;
	task->result_bytes = 0;
}

void pool_task_free(struct pool_task *task)
{
	if (!task)
		return;
	pool_drop_results(task);
	free(task->key);
	free(task->value);
	free(task);
}

void pool_wait_first(struct pool *p, struct pool_task *task)
{
	task->next = p->first;
	p->first = task;
	if (!task->next)
		p->last = &task->next;
	p->n_waiting++;
}

static struct pool_task *take_waiting(struct pool *p)
{
	struct pool_task *task = p->first;

	p->first = task->next;
	if (!p->first)
		p->last = &p->first;
	task->next = NULL;
	p->n_waiting--;
	return task;
}

void pool_put(struct pool *p, struct pool_task *task)
{
	task->id = p->next_id++;
	task->tries = 0;
	task->alone = false;
	task->next = NULL;
	task->results = NULL;
	pool_drop_results(task);
	*p->last = task;
	p->last = &task->next;
	p->n_waiting++;
	if (task->value)
		p->bytes += task->len;
}

void pool_give_back(struct pool *p, struct pool_task *task, const char *why)
{
	if (task->value)
		p->bytes -= task->len;
	if (why)
		pool_drop_results(task);
	p->how.finished(p->how.arg, task, why);
}

struct pool_task *pool_pop(struct pool *p, struct pool_worker *w)
{
	struct pool_task *task = w->first;

	w->first = task->next;
	if (!w->first)
		w->last = &w->first;
	w->n_tasks--;
	p->n_out--;
	task->next = NULL;
	return task;
}

/* The row goes back, all but the first, which has cost a worker its life. */
static void scatter(struct pool *p, struct pool_worker *w, const char *why)
{
	bool suspects = w->late && w->n_tasks > 1;
	struct pool_task *guilty = NULL, *row = NULL;

	if (w->first && !suspects)
		guilty = pool_pop(p, w);
	while (w->first) {
		struct pool_task *task = pool_pop(p, w);

		pool_drop_results(task);
		task->alone = task->alone || suspects;
		task->next = row;
		row = task;
	}
	while (row) {
		struct pool_task *task = row;

		row = task->next;
		pool_wait_first(p, task);
	}
	if (!guilty)
		return;
	pool_drop_results(guilty);
	if (++guilty->tries < TRIES)
		pool_wait_first(p, guilty);
	else
		pool_give_back(p, guilty, why);
}

/* ---- workers ---- */

int pool_fail(struct pool *p, int err, const char *text)
{
	p->fatal = true;
	snprintf(p->why, sizeof(p->why), "%s", text);
	return err;
}

static void status_text(int status, char *to, size_t room)
{
	if (status >= 0 && WIFSIGNALED(status))
		snprintf(to, room, "its process died of signal %d (%s)",
			 WTERMSIG(status), strsignal(WTERMSIG(status)));
	else if (status >= 0)
		snprintf(to, room, "its process ended with status %d",
			 WEXITSTATUS(status));
	else
		snprintf(to, room, "its process ended");
}

/* A worker is gone, or is to go; why NULL: as its status says.  One that ended
 * before it took anything is nobody's fault, but must not go on for ever. */
int pool_lose(struct pool *p, struct pool_worker *w, const char *why)
{
	char status[128], tail[CHILD_TAIL_LINE], text[700], all[740];
	bool idle = !w->first;
	int code = pool_worker_kill(w);

	if (!why) {
		status_text(code, status, sizeof(status));
		why = status;
	}
	if (p->how.lost)
		p->how.lost(p->how.arg);
	child_tail_line(&w->tail, tail);
	snprintf(text, sizeof(text), "%s%s", why, tail);
	scatter(p, w, text);
	if (!idle) {
		p->barren = 0;
		return 0;
	}
	if (++p->barren < BARREN_MAX)
		return 0;
	snprintf(all, sizeof(all), "the function does not work: %s", text);
	return pool_fail(p, -ECHILD, all);
}

int pool_start_worker(struct pool *p, struct pool_worker *w)
{
	char text[512];
	int rc = pool_worker_start(w, &p->how);

	if (rc < 0) {
		snprintf(text, sizeof(text),
			 "%s: cannot be started: %s; install it, or name it "
			 "in BLT_MAP_WORKER",
			 p->how.program, strerror(-rc));
		return pool_fail(p, -ECHILD, text);
	}
	w->since = steady_us();
	return 0;
}

static unsigned depth(const struct pool_worker *w)
{
	int64_t n = w->average ? AHEAD_US / w->average + 1 : 2;

	if (n < w->wants)
		n = w->wants;
	return n > POOL_AHEAD_MAX ? POOL_AHEAD_MAX : (unsigned)n;
}

static bool has_room(const struct pool_worker *w, const struct pool_task *task)
{
	if (w->state != POOL_READY)
		return false;
	if (w->first && (task->alone || w->first->alone))
		return false;
	return w->n_tasks < depth(w) && wire_pending(&w->out) < OUT_MAX;
}

/* A value for a worker that reads no files. */
static int fetch(const struct pool *p, const struct pool_task *task,
		 uint8_t **ret)
{
	uint8_t *value = malloc((size_t)task->len + 1);
	int rc;

	if (!value)
		return -ENOMEM;
	rc = pread_all(p->how.store_fd, value, (size_t)task->len, task->pos);
	if (rc < 0)
		free(value);
	else
		*ret = value;
	return rc;
}

static int frame_of(const struct pool *p, const struct pool_worker *w,
		    const struct pool_task *task, struct wire_frame *f,
		    uint8_t place[16], uint8_t **ret_fetched)
{
	*f = (struct wire_frame){
		.type = WIRE_ITEM,
		.id = task->id,
		.time = task->time,
		.key = task->key,
		.key_len = task->key_len,
		.value = task->value,
		.value_len = (size_t)task->len,
	};
	if (task->value && !(task->by_key && w->keys))
		return 0;
	if (w->places || task->value) {
		put_le(place, task->pos, 8);
		put_le(place + 8, task->len, 8);
		f->type = task->value ? WIRE_KEY : WIRE_PLACE;
		f->value = place;
		f->value_len = 16;
		return 0;
	}
	f->value = NULL;
	return fetch(p, task, ret_fetched);
}

static int send_task(struct pool *p, struct pool_worker *w,
		     struct pool_task *task)
{
	uint8_t place[16], *fetched = NULL;
	struct wire_frame f;
	int rc = frame_of(p, w, task, &f, place, &fetched);

	if (fetched)
		f.value = fetched;
	if (rc == 0)
		rc = wire_put(&w->out, &f);
	free(fetched);
	if (rc == -ENOMEM) {
		pool_wait_first(p, task);
		return rc;
	}
	if (rc < 0) {
		pool_give_back(p, task, "the store cannot be read there");
		return 0;
	}
	if (!w->first)
		w->since = steady_us();
	*w->last = task;
	w->last = &task->next;
	w->n_tasks++;
	p->n_out++;
	return 0;
}

/* The worker that is to have the next task: the one with the shortest row. */
static struct pool_worker *choose(struct pool *p)
{
	struct pool_worker *best = NULL;

	for (unsigned i = 0; i < p->how.workers; i++) {
		struct pool_worker *w = &p->worker[i];

		if (has_room(w, p->first) &&
		    (!best || w->n_tasks < best->n_tasks))
			best = w;
	}
	return best;
}

static unsigned n_starting(const struct pool *p)
{
	unsigned n = 0;

	for (unsigned i = 0; i < p->how.workers; i++)
		n += p->worker[i].state == POOL_STARTING;
	return n;
}

/* Processes start as there is work for them. */
static int start_more(struct pool *p)
{
	unsigned starting = n_starting(p);
	int rc = 0;

	for (unsigned i = 0; i < p->how.workers && rc == 0; i++)
		if (p->worker[i].state == POOL_NONE &&
		    starting < p->n_waiting) {
			rc = pool_start_worker(p, &p->worker[i]);
			starting++;
		}
	return rc;
}

int pool_hand_out(struct pool *p)
{
	struct pool_worker *w;
	int rc = 0;

	/* An idle worker first, then a new one; ahead only where all are up. */
	while (p->first && rc == 0) {
		w = choose(p);
		if (!w || w->first)
			rc = start_more(p);
		if (!w || rc < 0 || (w->first && n_starting(p)))
			break;
		rc = send_task(p, w, take_waiting(p));
	}
	for (unsigned i = 0; i < p->how.workers && rc == 0; i++) {
		w = &p->worker[i];
		if (w->state == POOL_READY && wire_flush(&w->out, w->fd) < 0)
			rc = pool_lose(p, w, NULL);
	}
	return rc;
}
