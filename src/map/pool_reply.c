/* pool_reply.c - what workers say; see pool_inner.h. */
#include "map/pool_inner.h"

#include "base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RESULTS_MAX (WIRE_VALUE_MAX + (1ull << 20)) /* bytes, of one task */

static int add_result(struct pool_task *task, const struct wire_frame *f)
{
	struct pool_result *r;

	task->result_bytes += f->key_len + f->value_len + sizeof(*r);
	if (task->result_bytes > RESULTS_MAX)
		return -EFBIG;
	r = malloc(sizeof(*r) + f->key_len + f->value_len);
	if (!r)
		return -ENOMEM;
	*r = (struct pool_result){ .same = f->type == WIRE_SAME,
				   .key_len = f->key_len,
				   .value_len = f->value_len };
	if (f->key_len)
		memcpy(r->bytes, f->key, f->key_len);
	if (f->value_len)
		memcpy(r->bytes + f->key_len, f->value, f->value_len);
	*task->last = r;
	task->last = &r->next;
	return 0;
}

static void text_of(const struct wire_frame *f, char *to, size_t room)
{
	const unsigned char *from = f->value;
	size_t n = 0;

	for (size_t i = 0; i < f->value_len && n + 1 < room; i++)
		to[n++] =
			from[i] < ' ' || from[i] == 0x7f ? ' ' : (char)from[i];
	to[n] = '\0';
}

static void end_first(struct pool *p, struct pool_worker *w, const char *why)
{
	int64_t t = steady_us(), took = t - w->since;

	w->average = w->average ? (7 * w->average + took) / 8 : took + 1;
	if (w->average < 1)
		w->average = 1;
	w->since = t;
	w->tail.len = 0;
	p->barren = 0;
	pool_give_back(p, pool_pop(p, w), why);
}

static int on_hello(struct pool_worker *w, const struct wire_frame *f)
{
	if (w->state != POOL_STARTING)
		return -EPROTO;
	w->state = POOL_READY;
	w->places = f->id & WIRE_TAKES_PLACES;
	w->keys = f->id & WIRE_READS_KEYS;
	w->late = f->id & WIRE_ANSWERS_LATE;
	w->wants = (unsigned)min_u64(WIRE_WANTS(f->id), POOL_AHEAD_MAX);
	return 0;
}

/* The store has another value by now than was read: it goes with its item. */
static int send_again(struct pool *p, struct pool_worker *w)
{
	struct pool_task *task;

	if (!w->first->by_key)
		return -EPROTO;
	task = pool_pop(p, w);
	pool_drop_results(task);
	task->by_key = false;
	pool_wait_first(p, task);
	w->since = steady_us();
	return 0;
}

/* -EPROTO: nonsense. */
static int on_frame(struct pool *p, struct pool_worker *w,
		    const struct wire_frame *f)
{
	char text[512];

	if (f->type == WIRE_HELLO)
		return on_hello(w, f);
	if (f->type == WIRE_FATAL) {
		text_of(f, text, sizeof(text));
		return pool_fail(p, -ENOEXEC, text);
	}
	if (w->state != POOL_READY || !w->first || w->first->id != f->id)
		return -EPROTO;
	switch (f->type) {
	case WIRE_RESULT:
	case WIRE_SAME:
		return add_result(w->first, f);
	case WIRE_DONE:
		end_first(p, w, NULL);
		return 0;
	case WIRE_AGAIN:
		return send_again(p, w);
	case WIRE_ERROR:
		text_of(f, text, sizeof(text));
		end_first(p, w, text);
		return 0;
	default:
		return -EPROTO;
	}
}

static int hear_all(struct pool *p, struct pool_worker *w)
{
	struct wire_frame f;
	int rc;

	while ((rc = wire_next(&w->in, &f)) > 0) {
		rc = on_frame(p, w, &f);
		if (rc < 0)
			return rc;
	}
	return rc;
}

/* Why a worker that said this is not to live on; NULL: the pool's own fault. */
static const char *misdeed(int rc)
{
	switch (rc) {
	case -EPROTO:
		return "it wrote something that is no frame of the protocol, "
		       "or out of turn";
	case -EFBIG:
		return "it gave more than 4 GiB for one item";
	default:
		return NULL;
	}
}

int pool_reply(struct pool *p, struct pool_worker *w, int reads)
{
	while (reads-- > 0) {
		const char *why = NULL;
		int rc = wire_read(&w->in, w->fd);

		if (rc == -EAGAIN)
			return 0;
		if (rc == 0 || rc == -ECONNRESET)
			return pool_lose(p, w,
					 wire_rest(&w->in) ?
						 "it ended within a frame" :
						 NULL);
		if (rc > 0)
			rc = hear_all(p, w);
		if (rc < 0)
			why = misdeed(rc);
		if (why)
			return pool_lose(p, w, why);
		if (rc < 0)
			return rc;
	}
	return 0;
}
