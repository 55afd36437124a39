#include "map/wire.h"

#include "base/util.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FIRST_ROOM (64u << 10)
#define KEEP_ROOM (1u << 20) /* above it memory is given back when empty */

static const char magic[3] = { 'B', 'M', '1' };

/* ---- a buffer: bytes are taken from at and added at end ---- */

static int make_room(uint8_t **buf, size_t *at, size_t *end, size_t *room,
		     size_t more)
{
	size_t want = *room ? *room : FIRST_ROOM;
	uint8_t *bigger;

	if (*at) {
		memmove(*buf, *buf + *at, *end - *at);
		*end -= *at;
		*at = 0;
	}
	while (want - *end < more)
		want *= 2;
	if (want == *room)
		return 0;
	bigger = realloc(*buf, want);
	if (!bigger)
		return -ENOMEM;
	*buf = bigger;
	*room = want;
	return 0;
}

static void when_empty(uint8_t **buf, size_t *at, size_t *end, size_t *room)
{
	if (*at < *end)
		return;
	*at = *end = 0;
	if (*room <= KEEP_ROOM)
		return;
	free(*buf);
	*buf = NULL;
	*room = 0;
}

/* ---- reading ---- */

void wire_in_init(struct wire_in *in)
{
	*in = (struct wire_in){ 0 };
}

void wire_in_free(struct wire_in *in)
{
	free(in->buf);
	wire_in_init(in);
}

int wire_read(struct wire_in *in, int fd)
{
	ssize_t n;
	int rc;

	when_empty(&in->buf, &in->at, &in->end, &in->room);
	/* A frame that is not whole keeps its place until the room is full, so
	 * that a long one is not moved at every read. */
	if (in->end == in->room) {
		rc = make_room(&in->buf, &in->at, &in->end, &in->room, 1);
		if (rc < 0)
			return rc;
	}
	do
		n = read(fd, in->buf + in->end, in->room - in->end);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	in->end += (size_t)n;
	return n > 0;
}

static bool known(uint8_t type)
{
	return type && strchr("HIPKARSDEF", type);
}

int wire_next(struct wire_in *in, struct wire_frame *ret)
{
	size_t have = in->end - in->at;
	uint64_t key_len, value_len;
	const uint8_t *p;

	if (!have)
		return 0;
	p = in->buf + in->at;
	/* What is no frame is refused as early as it can be told. */
	if (memcmp(p, magic, min_u64(have, sizeof(magic))) != 0)
		return -EPROTO;
	if (have < WIRE_HEAD)
		return 0;
	key_len = get_le(p + 4, 4);
	value_len = get_le(p + 8, 8);
	if (!known(p[3]) || key_len > WIRE_KEY_MAX ||
	    value_len > WIRE_VALUE_MAX)
		return -EPROTO;
	if (have - WIRE_HEAD < key_len + value_len)
		return 0;
	*ret = (struct wire_frame){
		.type = (enum wire_type)p[3],
		.id = get_le(p + 16, 8),
		.time = (int64_t)get_le(p + 24, 8),
		.key = p + WIRE_HEAD,
		.key_len = (size_t)key_len,
		.value = p + WIRE_HEAD + key_len,
		.value_len = (size_t)value_len,
	};
	in->at += WIRE_HEAD + (size_t)(key_len + value_len);
	return 1;
}

size_t wire_rest(const struct wire_in *in)
{
	return in->end - in->at;
}

/* ---- writing ---- */

void wire_out_init(struct wire_out *out)
{
	*out = (struct wire_out){ 0 };
}

void wire_out_free(struct wire_out *out)
{
	free(out->buf);
	wire_out_init(out);
}

int wire_put(struct wire_out *out, const struct wire_frame *f)
{
	size_t len = WIRE_HEAD + f->key_len + f->value_len;
	uint8_t *p;
	int rc;

	if (f->key_len > WIRE_KEY_MAX || f->value_len > WIRE_VALUE_MAX)
		return -EMSGSIZE;
	if (out->room - out->end < len) {
		rc = make_room(&out->buf, &out->at, &out->end, &out->room, len);
		if (rc < 0)
			return rc;
	}
	p = out->buf + out->end;
	memcpy(p, magic, sizeof(magic));
	p[3] = (uint8_t)f->type;
	put_le(p + 4, f->key_len, 4);
	put_le(p + 8, f->value_len, 8);
	put_le(p + 16, f->id, 8);
	put_le(p + 24, (uint64_t)f->time, 8);
	if (f->key_len)
		memcpy(p + WIRE_HEAD, f->key, f->key_len);
	if (f->value_len)
		memcpy(p + WIRE_HEAD + f->key_len, f->value, f->value_len);
	out->end += len;
	return 0;
}

/* A socket's other end may be gone: that is an error here, not a signal. */
static ssize_t send_some(int fd, const void *buf, size_t len)
{
	ssize_t n = send(fd, buf, len, MSG_NOSIGNAL);

	return n < 0 && errno == ENOTSOCK ? write(fd, buf, len) : n;
}

int wire_flush(struct wire_out *out, int fd)
{
	while (wire_pending(out)) {
		ssize_t n =
			send_some(fd, out->buf + out->at, wire_pending(out));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		out->at += (size_t)n;
	}
	when_empty(&out->buf, &out->at, &out->end, &out->room);
	return 0;
}
