/* Streams of random work: a step of one with each call. */
#include "crash/crashwork_inner.h"
#include "base/util.h"

#include <stdlib.h>

#define STREAM_MOST ((size_t)40000)

static void drop_stream(struct crash_stream *s)
{
	blt_stream_abort(s->stream);
	free(s->value);
	*s = (struct crash_stream){ NULL };
}

static int begin_stream(struct crashwork *w, struct crash_stream *s)
{
	unsigned seed = (unsigned)crash_draw(w, 60000) | 1;
	size_t room = crash_draw(w, STREAM_MOST), key_len = crash_draw(w, 400);
	int rc = blt_stream_open(w->store, key_len, room, &s->stream);

	if (rc < 0) {
		s->stream = NULL;
		return crash_outcome(w, rc, "a stream's open", false);
	}
	s->len = 1 + crash_draw(w, STREAM_MOST);
	s->written = 0;
	s->value = crash_need(malloc(s->len));
	for (size_t i = 0; i < s->len; i++)
		s->value[i] = (uint8_t)(i * seed >> 8);
	return 0;
}

/* What was written before is written once more at times: the end counts. */
static int write_stream(struct crashwork *w, struct crash_stream *s)
{
	size_t from =
		crash_draw(w, 4) ? s->written : crash_draw(w, s->written + 1);
	size_t n = 1 + crash_draw(w, 15000);
	int rc;

	n = min_u64(n, s->len - from);
	rc = blt_stream_write(s->stream, s->value + from, n, from);
	if (rc == 0 && s->written < from + n)
		s->written = from + n;
	return crash_outcome(w, rc, "a stream's write", false);
}

static int end_stream(struct crashwork *w, struct crash_stream *s)
{
	struct crash_state state = *crash_newest(w);
	unsigned i = (unsigned)crash_draw(w, CRASH_KEYS);
	int64_t time = crash_draw_time(w);
	char key[600];
	int rc;

	state.key[i] = crash_timed_entry(w, s->value, s->len, time);
	crash_note_commit(w, &state);
	rc = blt_stream_commit(s->stream, key, crash_make_key(i, key), time);
	if (rc == 0)
		s->stream = NULL;
	drop_stream(s);
	return crash_outcome(w, rc, "a stream's commit", true);
}

int crash_do_stream(struct crashwork *w)
{
	struct crash_stream *s = &w->stream[crash_draw(w, 2)];

	if (w->kind->create.value_len)
		return crashwork_put(w);
	if (!s->stream)
		return begin_stream(w, s);
	if (s->written < s->len && crash_draw(w, 12))
		return write_stream(w, s);
	if (s->written == s->len)
		return end_stream(w, s);
	drop_stream(s);
	return 0;
}

void crash_drop_streams(struct crashwork *w)
{
	for (size_t i = 0; i < ARRAY_SIZE(w->stream); i++)
		drop_stream(&w->stream[i]);
}
