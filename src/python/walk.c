/* The iterators of a store: keys(), items(), timestamps() and the like.
 *
 * A walk takes items from the engine a few hundred at a time, without the GIL,
 * into an arena of its own, and makes objects of them one at a time.  The
 * engine shows the store as it was when the walk began.  A strict walk, which
 * booklet's are, ends with a RuntimeError at the first step after a change; the
 * others only where walks_drop ended them, for prune and the like.
 *
 * A walk is in its store's list as long as it has the engine's iterator. */
#include "python/pyblt.h"

#include <errno.h>
#include <stdlib.h>

#define FILL_ITEMS 256
#define FILL_BYTES (256u << 10)
#define KEPT_BYTES (1u << 20) /* a larger arena is not kept */

/* What a step gives, as blt/_blt.pyi has them. */
enum walk_what {
	WALK_KEYS,
	WALK_VALUES,
	WALK_ITEMS,
	WALK_TIMES,        /* key, time */
	WALK_TIMES_VALUES, /* key, time, value */
	WALK_LOCATIONS,    /* key, time, offset, length */
	WALK_RAW,          /* key and value, both bytes; never strict */
	WALK_KINDS,
};

struct entry {
	size_t at; /* of the key in the arena; the value follows */
	size_t key_len, value_len;
	int64_t time;
	uint64_t offset;
};

struct walk {
	PyObject ob_base;
	struct store *s;
	struct walk *next, **link; /* in s->walks, where it is set */
	struct blt_iter *it;
	enum walk_what what;
	bool decode, strict;
	bool running; /* a thread is within fill */
	bool dropped;
	bool ended;
	unsigned forks;   /* as those of the store when it began */
	uint64_t changes; /* of the store when it began */
	uint8_t *arena;
	size_t room, used;
	struct entry entries[FILL_ITEMS];
	size_t n, at;
};

static PyTypeObject *walk_type;

static struct walk *walk_of(PyObject *self)
{
	return (struct walk *)self;
}

static bool wants_values(enum walk_what what)
{
	return what == WALK_VALUES || what == WALK_ITEMS ||
	       what == WALK_TIMES_VALUES || what == WALK_RAW;
}

/* ---- the engine's iterator ---- */

static int walk_begin(struct walk *w)
{
	struct blt_iter_options how = { .no_values = !wants_values(w->what) };
	struct store *s = w->s;
	PyThreadState *thread;
	int rc = 0;

	store_enter(s, &thread);
	/* values that are not in the file yet are nowhere */
	if (w->what == WALK_LOCATIONS && s->writable)
		rc = blt_flush(s->blt);
	if (rc == 0)
		rc = blt_iter_open(s->blt, &how, &w->it);
	store_leave(s, thread);
	if (rc < 0) {
		raise_errno(s, rc);
		return -1;
	}
	w->link = &s->walks;
	w->next = s->walks;
	if (w->next)
		w->next->link = &w->next;
	s->walks = w;
	return 0;
}

/* False in a process that was forked since it began, also where the store was
 * opened anew there: the engine's iterator and the list are the parent's. */
static bool is_here(const struct walk *w)
{
	return w->forks == w->s->forks && store_is_here(w->s);
}

static void walk_end(struct walk *w)
{
	if (w->link && is_here(w)) {
		*w->link = w->next;
		if (w->next)
			w->next->link = w->link;
		w->link = NULL;
		blt_iter_free(w->it);
		w->it = NULL;
	}
}

void walks_drop(struct store *s)
{
	struct walk *next;

	for (struct walk *w = s->walks; w; w = next) {
		next = w->next;
		w->dropped = true;
		/* else whoever runs it ends it */
		if (!w->running)
			walk_end(w);
	}
}

/* ---- taking items ---- */

static int arena_add(struct walk *w, const void *bytes, size_t len)
{
	struct blt_view view = { .data = bytes, .len = len };
	int64_t got;

	if (w->room - w->used < len) {
		size_t room = w->used + len + FILL_BYTES;
		uint8_t *bigger = realloc(w->arena, room);

		if (!bigger)
			return -ENOMEM;
		w->arena = bigger;
		w->room = room;
	}
	/* the file may have been cut short under it */
	got = len ? blt_view_copy(&view, w->arena + w->used, len, 0) : 0;
	if (got < 0)
		return (int)got;
	w->used += len;
	return 0;
}

static int take(struct walk *w, const struct blt_item *item)
{
	struct entry *e = &w->entries[w->n];
	int rc;

	*e = (struct entry){
		.at = w->used,
		.key_len = item->key_len,
		.value_len = item->value_len,
		.time = item->timestamp,
		.offset = item->value_offset,
	};
	rc = arena_add(w, item->key, item->key_len);
	if (rc == 0 && item->value)
		rc = arena_add(w, item->value, item->value_len);
	if (rc == 0)
		w->n++;
	return rc;
}

static int fill_engine(struct walk *w)
{
	struct blt_item item;
	int rc = 1;

	while (w->n < FILL_ITEMS && w->used < FILL_BYTES &&
	       (rc = blt_iter_next(w->it, &item)) > 0) {
		rc = take(w, &item);
		if (rc < 0)
			break;
	}
	w->ended = rc == 0 && w->n < FILL_ITEMS && w->used < FILL_BYTES;
	return rc;
}

/* The next items, if any; -1 with an exception. */
static int fill(struct walk *w)
{
	PyThreadState *thread;
	int rc;

	w->n = w->at = w->used = 0;
	if (w->room > KEPT_BYTES) {
		free(w->arena);
		w->arena = NULL;
		w->room = 0;
	}
	if (w->ended)
		return 0;
	w->running = true;
	store_enter(w->s, &thread);
	rc = fill_engine(w);
	store_leave(w->s, thread);
	w->running = false;
	if (w->ended || w->dropped || rc < 0)
		walk_end(w);
	if (rc < 0) {
		w->ended = true;
		w->n = 0;
		raise_errno(w->s, rc);
		return -1;
	}
	return 0;
}

/* ---- giving them ---- */

static PyObject *bytes_of(const void *bytes, size_t len)
{
	return PyBytes_FromStringAndSize(bytes, (Py_ssize_t)len);
}

static PyObject *pair(PyObject *one, PyObject *two)
{
	PyObject *ret = one && two ? PyTuple_New(2) : NULL;

	if (!ret) {
		Py_XDECREF(one);
		Py_XDECREF(two);
		return NULL;
	}
	PyTuple_SetItem(ret, 0, one);
	PyTuple_SetItem(ret, 1, two);
	return ret;
}

/* An entry taken out of the walk: decoding runs code of the caller's, which
 * may use the walk. */
static PyObject *give(struct walk *w)
{
	const struct entry e = w->entries[w->at++];
	const uint8_t *key = w->arena + e.at, *value = key + e.key_len;
	const struct codec *keys = &w->s->key, *values = &w->s->value;
	PyObject *v = NULL, *k = NULL;

	if (w->what == WALK_RAW)
		return pair(bytes_of(key, e.key_len),
			    bytes_of(value, e.value_len));
	if (wants_values(w->what)) {
		v = bytes_of(value, e.value_len);
		if (!v)
			return NULL;
	}
	if (w->what != WALK_VALUES) {
		k = codec_decode(keys, key, e.key_len);
		if (!k) {
			Py_XDECREF(v);
			return NULL;
		}
	}
	if (v && w->decode)
		v = codec_decode_object(values, v);
	if (wants_values(w->what) && !v) {
		Py_XDECREF(k);
		return NULL;
	}
	switch (w->what) {
	case WALK_KEYS:
		return k;
	case WALK_VALUES:
		return v;
	case WALK_ITEMS:
		return pair(k, v);
	case WALK_TIMES:
		return pair(k, time_object(e.time));
	case WALK_TIMES_VALUES:
		return Py_BuildValue("(NNN)", k, time_object(e.time), v);
	default:
		return Py_BuildValue("(NNKK)", k, time_object(e.time),
				     (unsigned long long)e.offset,
				     (unsigned long long)e.value_len);
	}
}

static int check_changes(struct walk *w)
{
	if (is_here(w) && !w->dropped &&
	    !(w->strict && w->changes != w->s->changes))
		return 0;
	walk_end(w);
	w->ended = true;
	w->n = w->at = 0;
	PyErr_SetString(PyExc_RuntimeError,
			"the store changed during the iteration");
	return -1;
}

static PyObject *walk_step(PyObject *self)
{
	struct walk *w = walk_of(self);

	if (w->running) {
		PyErr_SetString(PyExc_ValueError,
				"another thread is using the iterator");
		return NULL;
	}
	if (w->at == w->n && w->ended)
		return NULL;
	if (store_usable(w->s) < 0 || check_changes(w) < 0)
		return NULL;
	if (w->at == w->n && fill(w) < 0)
		return NULL;
	return w->at < w->n ? give(w) : NULL;
}

static PyObject *walk_hint(PyObject *self, PyObject *none)
{
	struct walk *w = walk_of(self);

	(void)none;
	return PyLong_FromSsize_t(w->ended ? (Py_ssize_t)(w->n - w->at) : 1024);
}

static PyObject *walk_self(PyObject *self)
{
	Py_INCREF(self);
	return self;
}

/* len(store.keys()), as of a view of a dict. */
static Py_ssize_t walk_length(PyObject *self)
{
	return store_length((PyObject *)walk_of(self)->s);
}

static int walk_contains(PyObject *self, PyObject *what)
{
	struct walk *w = walk_of(self);
	PyObject *item;
	int is = 0;

	if (w->what == WALK_KEYS)
		return store_contains((PyObject *)w->s, what);
	while (is == 0 && (item = walk_step(self))) {
		is = PyObject_RichCompareBool(item, what, Py_EQ);
		Py_DECREF(item);
	}
	return PyErr_Occurred() ? -1 : is;
}

/* ---- the class ---- */

static PyObject *walk_new(struct store *s, enum walk_what what, bool decode)
{
	struct walk *w;

	if (store_usable(s) < 0)
		return NULL;
	w = (struct walk *)PyType_GenericAlloc(walk_type, 0);
	if (!w)
		return NULL;
	Py_INCREF((PyObject *)s);
	w->s = s;
	w->what = what;
	w->decode = decode;
	w->strict = !s->snapshot && what != WALK_RAW;
	w->forks = s->forks;
	w->changes = s->changes;
	if (walk_begin(w) < 0) {
		Py_DECREF((PyObject *)w);
		return NULL;
	}
	return (PyObject *)w;
}

PyObject *store_iter(PyObject *self)
{
	return walk_new((struct store *)self, WALK_KEYS, true);
}

/* _walk(what, decode) */
PyObject *store_walk(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	long what;

	if (arg_count("_walk", n, 2, 2) < 0)
		return NULL;
	what = PyLong_AsLong(args[0]);
	if (what < 0 || what >= WALK_KINDS) {
		if (!PyErr_Occurred())
			PyErr_SetString(PyExc_ValueError, "no such walk");
		return NULL;
	}
	return walk_new((struct store *)self, (enum walk_what)what,
			PyObject_IsTrue(args[1]));
}

static int walk_traverse(PyObject *self, visitproc visit, void *arg)
{
	Py_VISIT(Py_TYPE(self));
	Py_VISIT(walk_of(self)->s);
	return 0;
}

static void walk_dealloc(PyObject *self)
{
	PyTypeObject *type = Py_TYPE(self);
	freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
	struct walk *w = walk_of(self);

	PyObject_GC_UnTrack(self);
	if (w->s)
		walk_end(w);
	free(w->arena);
	Py_XDECREF((PyObject *)w->s);
	release(self);
	Py_DECREF(type);
}

static PyMethodDef methods[] = {
	{ "__length_hint__", walk_hint, METH_NOARGS, NULL },
	{ NULL, NULL, 0, NULL },
};

static char doc[] = "An iterator of a store.";

static PyType_Slot slots[] = {
	{ Py_tp_doc, doc },
	{ Py_tp_dealloc, (void *)walk_dealloc },
	{ Py_tp_traverse, (void *)walk_traverse },
	{ Py_tp_iter, (void *)walk_self },
	{ Py_tp_iternext, (void *)walk_step },
	{ Py_tp_methods, methods },
	{ Py_sq_length, (void *)walk_length },
	{ Py_sq_contains, (void *)walk_contains },
	{ 0, NULL },
};

static PyType_Spec spec = {
	.name = "blt._blt.Walk",
	.basicsize = sizeof(struct walk),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
		 Py_TPFLAGS_DISALLOW_INSTANTIATION,
	.slots = slots,
};

int walk_init(PyObject *module)
{
	walk_type = (PyTypeObject *)PyType_FromSpec(&spec);
	return walk_type ? PyModule_AddType(module, walk_type) : -1;
}
