/* Items in the order in which they were handed out, which is not that in which
 * they end: what ends early waits in a ring. */
#include "map/map_inner.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int map_order_init(struct map_order *o)
{
	*o = (struct map_order){ 0 };
	o->ring = calloc(MAP_ORDER_MAX, sizeof(*o->ring));
	return o->ring ? 0 : -ENOMEM;
}

static void drop(struct map_ended *e)
{
	pool_task_free(e->task);
	free(e->why);
	*e = (struct map_ended){ .task = NULL };
}

void map_order_release(struct map_order *o)
{
	for (size_t i = 0; o->ring && i < MAP_ORDER_MAX; i++)
		drop(&o->ring[i]);
	free(o->ring);
	*o = (struct map_order){ 0 };
}

bool map_order_wants(const struct map_order *o)
{
	return o->given - o->first < MAP_ORDER_MAX &&
	       o->bytes < MAP_ORDER_BYTES;
}

uint64_t map_order_give(struct map_order *o)
{
	return o->given++;
}

static uint64_t bytes_of(const struct pool_task *task)
{
	return task->len + task->result_bytes;
}

int map_order_end(struct map_order *o, struct pool_task *task, const char *why)
{
	struct map_ended *e = &o->ring[task->seq % MAP_ORDER_MAX];

	e->why = why ? strdup(why) : NULL;
	if (why && !e->why) {
		pool_task_free(task);
		return -ENOMEM;
	}
	e->task = task;
	o->bytes += bytes_of(task);
	return 0;
}

bool map_order_next(struct map_order *o, struct map_ended *ret)
{
	struct map_ended *e = &o->ring[o->first % MAP_ORDER_MAX];

	if (!e->task)
		return false;
	*ret = *e;
	*e = (struct map_ended){ .task = NULL };
	o->bytes -= bytes_of(ret->task);
	o->first++;
	return true;
}
