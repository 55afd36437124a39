/* worker_item.c - an item's value on its way in, its results on their way out.
 */
#include "map/worker.h"

#include "base/os.h"
#include "base/util.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int worker_fail(struct worker *w, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(w->why, sizeof(w->why), fmt, ap);
	va_end(ap);
	return -1;
}

int worker_fail_exec(struct worker *w, int err)
{
	return worker_fail(w, "%s: cannot be run: %s%s", w->argv[0],
			   strerror(-err), child_advice(err));
}

void worker_die(void)
{
	kill(0, SIGKILL);
	for (;;)
		pause();
}

int worker_room(struct worker *w, struct worker_buf *b, size_t more)
{
	size_t room = b->room ? b->room : 4096;
	uint8_t *bigger;

	while (room - b->len < more)
		room *= 2;
	if (room == b->room)
		return 0;
	bigger = realloc(b->bytes, room);
	if (!bigger)
		return worker_fail(w, "out of memory for %zu bytes", room);
	b->bytes = bigger;
	b->room = room;
	return 0;
}

int worker_read(struct worker *w, const struct worker_item *item, void *to,
		size_t n, uint64_t offset)
{
	int rc = pread_all(WORKER_STORE_FD, to, n, item->pos + offset);

	if (rc == -ENODATA)
		return worker_fail(w, "somebody cut the store's file short");
	return rc < 0 ? worker_fail(w, "the store cannot be read: %s",
				    strerror(-rc)) :
			0;
}

int worker_value(struct worker *w, const struct worker_item *item,
		 const uint8_t **ret)
{
	int rc;

	if (item->value) {
		*ret = item->value;
		return 0;
	}
	w->value.len = 0;
	rc = worker_room(w, &w->value, (size_t)item->len + 1);
	if (rc == 0)
		rc = worker_read(w, item, w->value.bytes, (size_t)item->len, 0);
	if (rc == 0)
		*ret = w->value.bytes;
	return rc;
}

int worker_result(struct worker *w, const void *key, size_t key_len,
		  const void *value, size_t value_len)
{
	struct wire_frame f = {
		.type = key ? WIRE_RESULT : WIRE_SAME,
		.id = w->id,
		.time = WIRE_NO_TIME,
		.key = key,
		.key_len = key ? key_len : 0,
		.value = value,
		.value_len = value_len,
	};
	int rc = wire_put(&w->out, &f);

	if (rc == -EMSGSIZE)
		return worker_fail(w, "a result is too long: a key has at most "
				      "65535 bytes, a value 4294967295");
	return rc < 0 ? worker_fail(w, "out of memory for a result") : 0;
}
