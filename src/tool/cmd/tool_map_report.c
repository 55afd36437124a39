/* tool_map_report.c - what a map says: as it runs on stderr, at its end on
 * stdout, or all of it as one JSON document. */
#include "tool/cmd/tool_map.h"

#include "map/map_inner.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

void map_report_start(struct map_report *r, struct tool *t)
{
	struct blt_info info;

	blt_get_info(t->store, &info);
	*r = (struct map_report){ .t = t,
				  .serializer = info.key_serializer,
				  .json = tool_has(t, OPT_JSON),
				  .stream = map_to_stdout(t),
				  .out = { .to = stdout } };
	r->out.line = r->stream;
	wire_out_init(&r->frames);
	progress_start(&r->progress, "map", 0,
		       r->json || tool_has(t, OPT_QUIET));
}

bool map_to_stdout(const struct tool *t)
{
	return tool_has(t, OPT_TO) && strcmp(t->opt[OPT_TO], "-") == 0;
}

/* ---- results as they come ---- */

static int write_frame(struct map_report *r, enum wire_type type,
		       const void *key, size_t key_len, const void *value,
		       size_t value_len)
{
	const struct wire_frame frame = {
		.type = type,
		.id = r->n_frames++,
		.time = WIRE_NO_TIME,
		.key = key,
		.key_len = key_len,
		.value = value,
		.value_len = value_len,
	};
	int rc = wire_put(&r->frames, &frame);

	while (rc == 0 && wire_pending(&r->frames))
		rc = wire_flush(&r->frames, STDOUT_FILENO);
	return rc;
}

static void open_line(struct map_report *r, const void *key, size_t len,
		      const char *text, int n)
{
	jout_open(&r->out, NULL, '{');
	jout_bytes(&r->out, "key", n < 0 ? "" : text, n < 0 ? 0 : (size_t)n);
	jout_hex(&r->out, "key_hex", key, len);
}

/* Each line at once: who reads works on it meanwhile. */
static int end_line(struct map_report *r)
{
	jout_close(&r->out, '}');
	return fflush(stdout) == 0 ? 0 : -errno;
}

int map_report_value(void *arg, const void *key, size_t key_len,
		     const void *value, size_t value_len)
{
	struct map_report *r = arg;
	char *text;
	int n;

	progress_end(&r->progress);
	if (!r->json)
		return write_frame(r, WIRE_RESULT, key, key_len, value,
				   value_len);
	text = malloc(MAP_TEXT_ROOM);
	n = text ? map_text(r->serializer, key, key_len, text) : -1;
	open_line(r, key, key_len, text, n);
	jout_bytes(&r->out, "value", value, value_len);
	jout_hex(&r->out, "value_hex", value, value_len);
	free(text);
	return end_line(r);
}

/* ---- the rest ---- */

/* A map that never began prints nothing. */
static void need_document(struct map_report *r)
{
	if (r->opened)
		return;
	r->opened = true;
	jout_open(&r->out, NULL, '{');
	jout_open(&r->out, "failed", '[');
}

int map_report_progress(void *arg, const struct map_progress *p)
{
	struct map_report *r = arg;

	r->progress.total = p->total;
	r->progress.total_is_items = true;
	progress_show(&r->progress, p->bytes, p->done);
	return tool_signal() ? -EINTR : 0;
}

void map_report_error(void *arg, const void *key, size_t len, const char *why)
{
	struct map_report *r = arg;
	char *text = malloc(MAP_TEXT_ROOM);
	int n = text ? map_text(r->serializer, key, len, text) : -1;

	progress_end(&r->progress);
	if (r->stream && !r->json) {
		tool_say(r->t, "%s: %s", n < 0 ? "a key" : text, why);
		(void)write_frame(r, WIRE_ERROR, key, len, why, strlen(why));
	} else if (r->stream) {
		open_line(r, key, len, text, n);
		jout_text(&r->out, "error", why);
		(void)end_line(r);
	} else if (r->json) {
		need_document(r);
		jout_open(&r->out, NULL, '{');
		jout_bytes(&r->out, "key", n < 0 ? "" : text,
			   n < 0 ? 0 : (size_t)n);
		jout_hex(&r->out, "key_hex", key, len);
		jout_text(&r->out, "error", why);
		jout_close(&r->out, '}');
	} else {
		tool_say(r->t, "%s: %s", n < 0 ? "a key" : text, why);
	}
	free(text);
}

static void print_result(struct map_report *r, const struct map_result *result)
{
	char text[MAP_RESULT_ROOM];

	if (r->stream && !tool_has(r->t, OPT_QUIET)) {
		tool_say(r->t, "%s", map_result_text(result, text));
	} else if (r->stream) {
		;
	} else if (r->json) {
		need_document(r);
		jout_close(&r->out, ']');
		jout_u64(&r->out, "processed", result->processed);
		jout_u64(&r->out, "written", result->written);
		jout_u64(&r->out, "skipped", result->skipped);
		jout_u64(&r->out, "errors", result->errors);
		jout_fixed(&r->out, "seconds", result->seconds);
		jout_close(&r->out, '}');
	} else if (!tool_has(r->t, OPT_QUIET)) {
		puts(map_result_text(result, text));
	}
}

int map_report_end(struct map_report *r, const struct map_result *result,
		   int err, const char *text)
{
	int code;

	progress_end(&r->progress);
	wire_out_free(&r->frames);
	if (result->began)
		print_result(r, result);
	code = tool_flush(r->t);
	if (err == -EINTR && tool_signal())
		return tool_fail(r->t, TOOL_SIGNALLED,
				 "interrupted; what was written until then "
				 "stays");
	if (err == -ENOENT && tool_has(r->t, OPT_CREATE))
		return tool_fail(r->t, EX_CANTCREAT, "%s", text);
	if (err < 0)
		return tool_fail(r->t, tool_exit_code(err), "%s", text);
	return !code && result->errors ? EX_SOFTWARE : code;
}
