/* Arguments too long for an ioctl's struct come in pieces, before the request
 * that uses them up; answers go in pieces, behind it.
 */
#include "control/control_inner.h"

#include "base/array.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ARGS_MAX ((size_t)64 << 20)

static void drop(struct control_args *a)
{
	free(a->bytes);
	*a = (struct control_args){ 0 };
}

/* lock is held.  A new one takes the oldest one's place: whoever began that has
 * given up, or asks for too much at once. */
static struct control_args *find(struct control *c, uint64_t id)
{
	struct control_args *oldest = c->args;

	for (size_t i = 0; i < CONTROL_ARGS; i++) {
		if (c->args[i].id == id)
			return &c->args[i];
		if (c->args[i].id < oldest->id)
			oldest = &c->args[i];
	}
	if (id)
		return NULL;
	drop(oldest);
	return oldest;
}

static int append(struct control_args *a, const void *bytes, size_t len)
{
	if (len > ARGS_MAX - a->len)
		return -E2BIG;
	return bytes_append(&a->bytes, &a->len, bytes, len);
}

int control_args_add(struct control *c, uint64_t *id, const void *bytes,
		     size_t len)
{
	struct control_args *a;
	int rc = -ENOENT;

	pthread_mutex_lock(&c->lock);
	a = find(c, *id);
	if (a)
		rc = append(a, bytes, len);
	if (rc == 0 && !a->id)
		a->id = ++c->last_args;
	if (rc == 0)
		*id = a->id;
	else if (a)
		drop(a);
	pthread_mutex_unlock(&c->lock);
	return rc;
}

int control_args_take(struct control *c, uint64_t id, struct control_args *ret)
{
	struct control_args *a = NULL;

	*ret = (struct control_args){ 0 };
	if (!id)
		return 0;
	pthread_mutex_lock(&c->lock);
	a = find(c, id);
	if (a) {
		*ret = *a;
		*a = (struct control_args){ 0 };
	}
	pthread_mutex_unlock(&c->lock);
	return a ? 0 : -ENOENT;
}

int control_args_fetch(struct control *c, uint64_t *id, void *buf, size_t room)
{
	struct control_args *a = NULL;
	size_t n = 0;

	pthread_mutex_lock(&c->lock);
	if (*id)
		a = find(c, *id);
	if (a) {
		n = a->len - a->at < room ? a->len - a->at : room;
		if (n)
			memcpy(buf, a->bytes + a->at, n);
		a->at += n;
		if (a->at == a->len) {
			drop(a);
			*id = 0;
		}
	}
	pthread_mutex_unlock(&c->lock);
	return a ? (int)n : -ENOENT;
}

void control_args_drop_all(struct control *c)
{
	for (size_t i = 0; i < CONTROL_ARGS; i++)
		drop(&c->args[i]);
}
