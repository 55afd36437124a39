/* get_items(): the values of many keys.
 *
 * Keys are taken from the caller's iterator a group at a time and looked up
 * together.  Values are copied out of the engine as far as a limit goes; the
 * rest of the group is looked up again later, so that memory holds few large
 * ones. */
#include "python/pyblt.h"

#include <errno.h>

#define GROUP 128
#define GROUP_BYTES (1u << 20)

struct many {
	PyObject ob_base;
	struct store *s;
	PyObject *source;  /* the iterator of keys; NULL: at its end */
	PyObject *missing; /* the value of a key that is not there; NULL: such
			    * keys are left out */
	bool raw;          /* keys and values as bytes */
	bool strict;
	uint64_t changes;
	bool running;
	PyObject *key[GROUP];   /* [at, n): to be given; of these, */
	PyObject *value[GROUP]; /* [at, found) were looked up; NULL: missing */
	struct raw bytes[GROUP];
	size_t n, found, at;
};

static PyTypeObject *many_type;

static struct many *many_of(PyObject *self)
{
	return (struct many *)self;
}

static void drop_first(struct many *m)
{
	raw_release(&m->bytes[m->at]);
	Py_CLEAR(m->key[m->at]);
	Py_CLEAR(m->value[m->at]);
	m->at++;
}

/* After an error there is no more. */
static void many_end(struct many *m)
{
	while (m->at < m->n)
		drop_first(m);
	m->found = m->n;
	Py_CLEAR(m->source);
}

/* A new group of keys; -1 with an exception. */
static int gather(struct many *m)
{
	m->n = m->found = m->at = 0;
	while (m->source && m->n < GROUP) {
		PyObject *key = PyIter_Next(m->source);

		if (!key ||
		    codec_encode(&m->s->key, key, &m->bytes[m->n]) < 0) {
			Py_XDECREF(key);
			if (PyErr_Occurred())
				return -1;
			Py_CLEAR(m->source);
			break;
		}
		m->key[m->n++] = key;
	}
	return 0;
}

struct looked {
	struct blt_view view[GROUP];
	int result[GROUP];
};

static void look_up(struct many *m, struct looked *l, size_t n)
{
	struct blt_bytes keys[GROUP];
	PyThreadState *thread;

	for (size_t i = 0; i < n; i++)
		keys[i] = (struct blt_bytes){ m->bytes[m->at + i].bytes,
					      m->bytes[m->at + i].len };
	store_enter(m->s, &thread);
	blt_get_many(m->s->blt, keys, n, l->view, l->result);
	store_leave(m->s, thread);
}

/* The values from m->at on; at least one, if any key is left. */
static int fetch(struct many *m, struct looked *l)
{
	size_t n = m->n - m->at, taken = 0, i;
	int rc = 0;

	look_up(m, l, n);
	for (i = 0; i < n && rc == 0 && (i == 0 || taken < GROUP_BYTES); i++) {
		PyObject **value = &m->value[m->at + i];

		*value = NULL;
		rc = l->result[i];
		if (rc == 0) {
			taken += l->view[i].len;
			rc = view_take(m->s, &l->view[i], value);
		} else if (rc == -ENOENT) {
			rc = 0;
		}
	}
	m->found = m->at + i;
	for (; i < n; i++)
		if (l->result[i] == 0)
			blt_view_release(&l->view[i]);
	if (rc < 0)
		raise_errno(m->s, rc);
	return rc ? -1 : 0;
}

static int refill(struct many *m)
{
	struct looked *l;
	int rc = 0;

	if (m->at == m->n)
		rc = gather(m);
	/* code of the caller's has run */
	if (rc == 0 && store_usable(m->s) < 0)
		rc = -1;
	if (rc < 0 || m->at == m->n)
		return rc;
	l = PyMem_Malloc(sizeof(*l));
	if (!l) {
		PyErr_NoMemory();
		return -1;
	}
	rc = fetch(m, l);
	PyMem_Free(l);
	return rc;
}

static PyObject *give(struct many *m)
{
	PyObject *key = m->key[m->at], *value = m->value[m->at], *ret;

	if (m->raw) {
		key = PyBytes_FromStringAndSize(
			m->bytes[m->at].bytes, (Py_ssize_t)m->bytes[m->at].len);
		if (!key)
			return NULL;
	} else {
		Py_INCREF(key);
	}
	m->value[m->at] = NULL;
	drop_first(m);
	if (!value) {
		value = m->missing;
		Py_INCREF(value);
	} else if (!m->raw) {
		value = codec_decode_object(&m->s->value, value);
	}
	ret = value ? PyTuple_New(2) : NULL;
	if (!ret) {
		Py_DECREF(key);
		Py_XDECREF(value);
		return NULL;
	}
	PyTuple_SetItem(ret, 0, key);
	PyTuple_SetItem(ret, 1, value);
	return ret;
}

static PyObject *step(struct many *m)
{
	for (;;) {
		if (m->at == m->found) {
			if (m->at == m->n && !m->source)
				return NULL;
			if (refill(m) < 0) {
				many_end(m);
				return NULL;
			}
			if (m->at == m->n)
				return NULL;
		}
		if (m->value[m->at] || m->missing)
			return give(m);
		drop_first(m);
	}
}

static PyObject *many_step(PyObject *self)
{
	struct many *m = many_of(self);
	PyObject *ret;

	if (m->running) {
		PyErr_SetString(PyExc_ValueError,
				"the iterator is in use already");
		return NULL;
	}
	if (m->at == m->n && !m->source)
		return NULL;
	if (store_usable(m->s) < 0)
		return NULL;
	if (m->strict && m->changes != m->s->changes) {
		PyErr_SetString(PyExc_RuntimeError,
				"the store changed during the iteration");
		return NULL;
	}
	m->running = true;
	ret = step(m);
	m->running = false;
	return ret;
}

/* _get_items(keys, missing, raw): with raw, missing keys are left out, and
 * changes meanwhile are allowed. */
PyObject *store_get_items(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
	struct store *s = (struct store *)self;
	struct many *m;

	if (arg_count("_get_items", n, 3, 3) < 0 || store_usable(s) < 0)
		return NULL;
	m = (struct many *)PyType_GenericAlloc(many_type, 0);
	if (!m)
		return NULL;
	Py_INCREF((PyObject *)s);
	m->s = s;
	m->raw = PyObject_IsTrue(args[2]);
	m->strict = !s->snapshot && !m->raw;
	m->changes = s->changes;
	if (!m->raw) {
		m->missing = args[1];
		Py_INCREF(m->missing);
	}
	m->source = PyObject_GetIter(args[0]);
	if (!m->source) {
		Py_DECREF((PyObject *)m);
		return NULL;
	}
	return (PyObject *)m;
}

static PyObject *many_self(PyObject *self)
{
	Py_INCREF(self);
	return self;
}

static int many_traverse(PyObject *self, visitproc visit, void *arg)
{
	struct many *m = many_of(self);

	Py_VISIT(Py_TYPE(self));
	Py_VISIT(m->s);
	Py_VISIT(m->source);
	Py_VISIT(m->missing);
	return 0;
}

static int many_forget(PyObject *self)
{
	struct many *m = many_of(self);

	Py_CLEAR(m->source);
	return 0;
}

static void many_dealloc(PyObject *self)
{
	PyTypeObject *type = Py_TYPE(self);
	freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
	struct many *m = many_of(self);

	PyObject_GC_UnTrack(self);
	while (m->at < m->n)
		drop_first(m);
	Py_XDECREF(m->source);
	Py_XDECREF(m->missing);
	Py_XDECREF((PyObject *)m->s);
	release(self);
	Py_DECREF(type);
}

static char doc[] = "The iterator of get_items.";

static PyType_Slot slots[] = {
	{ Py_tp_doc, doc },
	{ Py_tp_dealloc, (void *)many_dealloc },
	{ Py_tp_traverse, (void *)many_traverse },
	{ Py_tp_clear, (void *)many_forget },
	{ Py_tp_iter, (void *)many_self },
	{ Py_tp_iternext, (void *)many_step },
	{ 0, NULL },
};

static PyType_Spec spec = {
	.name = "blt._blt.Many",
	.basicsize = sizeof(struct many),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
		 Py_TPFLAGS_DISALLOW_INSTANTIATION,
	.slots = slots,
};

int many_init(PyObject *module)
{
	many_type = (PyTypeObject *)PyType_FromSpec(&spec);
	return many_type ? PyModule_AddType(module, many_type) : -1;
}
