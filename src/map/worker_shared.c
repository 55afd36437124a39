/* worker_shared.c - a function from a shared object. */
#include "map/worker.h"

#include "blt_map.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static blt_map_function *function;

static int put(const struct blt_map_out *out, const void *key, size_t key_len,
	       const void *value, size_t value_len)
{
	int rc = worker_result(out->hidden, key ? key : "", key ? key_len : 0,
			       value, value_len);

	return rc < 0 ? -EINVAL : 0;
}

static int put_same(const struct blt_map_out *out, const void *value,
		    size_t value_len)
{
	int rc = worker_result(out->hidden, NULL, 0, value, value_len);

	return rc < 0 ? -EINVAL : 0;
}

static int __attribute__((format(printf, 2, 3)))
fail(const struct blt_map_out *out, const char *format, ...)
{
	struct worker *w = out->hidden;
	va_list ap;

	va_start(ap, format);
	vsnprintf(w->why, sizeof(w->why), format, ap);
	va_end(ap);
	return -1;
}

/* dlsym gives an object pointer; POSIX has it that both are of one kind. */
static int find(void *object, const char *name, void *ret, size_t len)
{
	void *found = dlsym(object, name);

	memcpy(ret, &found, len);
	return found ? 0 : -1;
}

static int start(struct worker *w, void *object)
{
	int (*begin)(int argc, char **argv);
	int argc = 0, rc;

	if (find(object, "blt_map_init", &begin, sizeof(begin)) < 0)
		return 0;
	while (w->argv[argc])
		argc++;
	rc = begin(argc, w->argv);
	return rc ? worker_fail(w,
				"%s: its blt_map_init returned %d: were its "
				"arguments what it wants?",
				w->argv[0], rc) :
		    0;
}

static int init(struct worker *w)
{
	char path[4096];
	void *object;

	/* Without a '/' the loader would look in the system's places. */
	snprintf(path, sizeof(path), "%s%s",
		 strchr(w->argv[0], '/') ? "" : "./", w->argv[0]);
	object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!object)
		return worker_fail(w,
				   "%s; give the path of a shared object "
				   "(blt-map(7) shows how to make one)",
				   dlerror());
	if (find(object, "blt_map_fn", &function, sizeof(function)) < 0)
		return worker_fail(w,
				   "%s: exports no blt_map_fn; that is the "
				   "function which blt_map.h declares",
				   w->argv[0]);
	return start(w, object);
}

static int run(struct worker *w, const struct worker_item *item)
{
	struct blt_map_item given = {
		.key = item->key,
		.key_len = item->key_len,
		.value_len = (size_t)item->len,
		.timestamp = item->time == WIRE_NO_TIME ? -1 : item->time,
	};
	const struct blt_map_out out = {
		.put = put,
		.put_same = put_same,
		.fail = fail,
		.hidden = w,
	};
	const uint8_t *value = NULL;
	int rc = worker_value(w, item, &value);

	if (rc < 0)
		return rc;
	given.value = value;
	w->why[0] = '\0';
	rc = function(&given, &out);
	if (rc && !w->why[0])
		return worker_fail(w, "blt_map_fn returned %d", rc);
	return rc ? -1 : 0;
}

const struct worker_kind worker_shared = { "shared", init, run, true };
