/* wire.h - the frames between a map and its workers.
 *
 * A frame is a head of WIRE_HEAD bytes, a key, and a value; integers are
 * little-endian:
 *
 *   0  'B' 'M' '1' and the type
 *   4  length of the key, 4 bytes       8  length of the value, 8 bytes
 *   16 number of the item, 8 bytes      24 timestamp, 8 bytes (WIRE_NO_TIME)
 *
 * A worker says hello, then takes items in their order and answers each with
 * any number of results and one end (done, or an error).  The stream's end
 * tells it to stop.
 *
 *   struct wire_in in;                     struct wire_out out;
 *   wire_in_init(&in);                     wire_out_init(&out);
 *   while (wire_read(&in, fd) > 0)         wire_put(&out, &frame);
 *           while (wire_next(&in, &f) > 0) wire_flush(&out, fd);
 *                   ...
 *
 * Ownership: what wire_next returns is borrowed until the next wire_read or
 * wire_next.  wire_put copies.
 * Errors: -errno; -EPROTO: what came is no frame, or one over the limit.
 * Threads: each struct belongs to one at a time.
 */
#ifndef BLT_WIRE_H
#define BLT_WIRE_H

#include <stddef.h>
#include <stdint.h>

#define WIRE_HEAD 32
#define WIRE_NO_TIME INT64_MIN
#define WIRE_KEY_MAX 65535u
#define WIRE_VALUE_MAX 4294967295u

/* Bits of a hello's item number. */
#define WIRE_TAKES_PLACES 1u /* send WIRE_PLACE where it can be */
#define WIRE_ANSWERS_LATE 2u /* answers may wait while there are more items */
#define WIRE_READS_KEYS 4u   /* send WIRE_KEY: it has the store open itself */
#define WIRE_WANTS(id) ((id) >> 8) /* above: how many items to send ahead */

enum wire_type {
	WIRE_HELLO = 'H',
	WIRE_ITEM = 'I',   /* key and value */
	WIRE_PLACE = 'P',  /* key; the value is where descriptor 3 has it: 8
			    * bytes position, 8 bytes length */
	WIRE_KEY = 'K',    /* key; the value is what the store has under it,
			    * if that is still this one: 8 bytes that stand for
			    * it (blt_view's offset), 8 bytes length */
	WIRE_AGAIN = 'A',  /* the end of such an item: it is not, send it */
	WIRE_RESULT = 'R', /* key and value */
	WIRE_SAME = 'S',   /* a value for the key that the map makes of the
			    * item's own */
	WIRE_DONE = 'D',   /* the item's end */
	WIRE_ERROR = 'E',  /* the item's end; the value says why */
	WIRE_FATAL = 'F',  /* no item will ever work; the value says why */
};

struct wire_frame {
	enum wire_type type;
	uint64_t id;
	int64_t time;
	const void *key;
	size_t key_len;
	const void *value;
	size_t value_len;
};

/* ---- reading ---- */

struct wire_in {
	uint8_t *buf;
	size_t at, end, room;
};

void wire_in_init(struct wire_in *in);
void wire_in_free(struct wire_in *in);
/* Reads once.  > 0: something came; 0: the end; -EAGAIN.  Room is made as bytes
 * come, never for what a head promises alone. */
int wire_read(struct wire_in *in, int fd);
/* 1: a frame; 0: not yet. */
int wire_next(struct wire_in *in, struct wire_frame *ret);
/* Bytes of a frame that is not whole. */
size_t wire_rest(const struct wire_in *in);

/* ---- writing ---- */

struct wire_out {
	uint8_t *buf;
	size_t at, end, room;
};

void wire_out_init(struct wire_out *out);
void wire_out_free(struct wire_out *out);
int wire_put(struct wire_out *out, const struct wire_frame *frame);
/* Sends what the descriptor takes.  0, with what is left in wire_pending. */
int wire_flush(struct wire_out *out, int fd);
static inline size_t wire_pending(const struct wire_out *out)
{
	return out->end - out->at;
}

#endif
