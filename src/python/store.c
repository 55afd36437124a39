/* The class Store: opening, closing, and what its methods share.
 *
 * A store is open (blt set), closing (close waits for threads within the
 * engine, and new calls are refused), or closed (blt NULL).  In a process
 * forked after it was opened it is closed for good: the engine is not touched
 * there, nor freed. */
#include "python/pyblt.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define SLICE_MS                                                     \
	100 /* between two looks for Ctrl-C while waiting for a lock \
	     */

PyTypeObject *store_type;
PyObject *lock_timeout_error;

static unsigned fork_count;

/* Threads leave the engine under the GIL; close waits here without it. */
static pthread_mutex_t idle_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t idle = PTHREAD_COND_INITIALIZER;

static struct store *store_of(PyObject *self)
{
	return (struct store *)self;
}

/* ---- what methods begin and end with ---- */

bool store_is_here(const struct store *s)
{
	return s->forks == fork_count;
}

int store_usable(const struct store *s)
{
	if (s->blt && !store_is_here(s)) {
		PyErr_SetString(PyExc_RuntimeError,
				"the store was opened before this process was "
				"forked; open it here, too");
		return -1;
	}
	if (!s->blt || s->closing) {
		PyErr_SetString(PyExc_ValueError, "the store is closed");
		return -1;
	}
	return 0;
}

int store_changeable(const struct store *s)
{
	if (store_usable(s) < 0)
		return -1;
	if (!s->writable) {
		raise_errno(s, -EROFS);
		return -1;
	}
	return 0;
}

void store_enter(struct store *s, PyThreadState **ret_thread)
{
	s->busy++;
	*ret_thread = PyEval_SaveThread();
}

void store_leave(struct store *s, PyThreadState *thread)
{
	PyEval_RestoreThread(thread);
	if (--s->busy || !s->closing)
		return;
	pthread_mutex_lock(&idle_lock);
	pthread_cond_broadcast(&idle);
	pthread_mutex_unlock(&idle_lock);
}

static void wait_idle(struct store *s)
{
	while (s->busy) {
		PyThreadState *thread;

		pthread_mutex_lock(&idle_lock);
		thread = PyEval_SaveThread();
		pthread_cond_wait(&idle, &idle_lock);
		pthread_mutex_unlock(&idle_lock);
		PyEval_RestoreThread(thread);
	}
}

/* ---- open ---- */

/* Waits for the lock as long as it may; Ctrl-C ends the wait. */
static int open_waiting(const char *path, struct blt_open_options *how,
			double timeout, struct blt **ret, struct blt_error *err)
{
	struct timespec now;
	double end;
	int rc;

	clock_gettime(CLOCK_MONOTONIC, &now);
	end = (double)now.tv_sec + (double)now.tv_nsec / 1e9 + timeout;
	for (;;) {
		double left;

		clock_gettime(CLOCK_MONOTONIC, &now);
		left = end - (double)now.tv_sec - (double)now.tv_nsec / 1e9;
		how->lock_timeout_ms = SLICE_MS;
		if (left * 1000 < SLICE_MS)
			how->lock_timeout_ms =
				left > 0 ? (int)(left * 1000) : 0;
		Py_BEGIN_ALLOW_THREADS rc = blt_open(path, how, ret, err);
		Py_END_ALLOW_THREADS if (rc != -EWOULDBLOCK ||
					 left <= 0) return rc;
		if (PyErr_CheckSignals() < 0)
			return 1;
	}
}

static int opened(struct store *s, struct blt *blt)
{
	struct blt_info info;

	blt_get_info(blt, &info);
	s->blt = blt;
	s->forks = fork_count;
	s->writable = info.writable;
	s->has_times = info.has_timestamps;
	s->fixed = info.value_len != 0;
	s->together = info.shared;
	s->closing = false;
	return 0;
}

static PyObject *raise_open(int rc, const char *path,
			    const struct blt_error *err, double timeout)
{
	PyObject *args, *kind = PyExc_OSError;

	if (rc == -EWOULDBLOCK)
		return PyErr_Format(lock_timeout_error,
				    "%s: another process, or another object, "
				    "has the store's lock (waited %d ms); "
				    "close it there or give a longer timeout",
				    path, (int)(timeout * 1000));
	if (rc == -ENOMEM)
		return PyErr_NoMemory();
	if (rc == -EINVAL || rc == -EUCLEAN || rc == -EPROTONOSUPPORT)
		return PyErr_Format(PyExc_ValueError, "%s", err->text);
	args = Py_BuildValue("(is)", -rc, err->text);
	if (args)
		PyErr_SetObject(kind, args);
	Py_XDECREF(args);
	return NULL;
}

/* _open(path, mode, timeout, snapshot, engine, db, n_buckets, value_len,
 * key_code, value_code, timestamps) */
static PyObject *store_open(PyObject *self, PyObject *args)
{
	struct blt_open_options how = { .no_threads = true };
	struct store *s = store_of(self);
	struct blt_error err = { .text = "" };
	int mode, snapshot, timestamps, rc;
	PyObject *path_bytes;
	struct blt *blt;
	double timeout;

	if (!PyArg_ParseTuple(args, "O&idpzzIIIIp", PyUnicode_FSConverter,
			      &path_bytes, &mode, &timeout, &snapshot,
			      &how.engine, &how.db, &how.create.n_buckets,
			      &how.create.value_len, &how.create.key_serializer,
			      &how.create.value_serializer, &timestamps))
		return NULL;
	if (s->blt) {
		Py_DECREF(path_bytes);
		return PyErr_Format(PyExc_ValueError,
				    "the store is open already");
	}
	how.mode = (enum blt_mode)mode;
	how.create.no_timestamps = !timestamps;
	rc = open_waiting(PyBytes_AsString(path_bytes), &how, timeout, &blt,
			  &err);
	if (rc < 0)
		raise_open(rc, PyBytes_AsString(path_bytes), &err, timeout);
	Py_DECREF(path_bytes);
	if (rc)
		return NULL;
	opened(s, blt);
	s->snapshot = snapshot;
	Py_RETURN_NONE;
}

/* _codecs(key_code, key_serializer, value_code, value_serializer) */
static PyObject *store_codecs(PyObject *self, PyObject *args)
{
	struct store *s = store_of(self);
	PyObject *key, *value;
	unsigned key_code, value_code;

	if (!PyArg_ParseTuple(args, "IOIO", &key_code, &key, &value_code,
			      &value) ||
	    codec_set(&s->key, key_code, key) < 0 ||
	    codec_set(&s->value, value_code, value) < 0)
		return NULL;
	Py_RETURN_NONE;
}

/* ---- close ---- */

/* The lock is given back even where a forked process still has the file. */
static int close_blt(struct blt *blt)
{
	int fd = blt_fd(blt), rc;

	fd = fd < 0 ? -1 : dup(fd);
	rc = blt_close(blt);
	if (fd >= 0) {
		flock(fd, LOCK_UN);
		close(fd);
	}
	return rc;
}

static int store_end(struct store *s)
{
	struct blt *blt = s->blt;
	int rc;

	if (blt && !store_is_here(s)) {
		/* The walks and the threads are the parent's. */
		s->blt = NULL;
		s->walks = NULL;
		s->busy = 0;
		s->closing = false;
		return 0;
	}
	if (!blt || s->closing)
		return 0;
	s->closing = true;
	walks_drop(s);
	wait_idle(s);
	Py_BEGIN_ALLOW_THREADS rc = close_blt(blt);
	Py_END_ALLOW_THREADS s->blt = NULL;
	return rc;
}

static PyObject *store_close(PyObject *self, PyObject *none)
{
	int rc = store_end(store_of(self));

	(void)none;
	if (rc < 0)
		return raise_errno(NULL, rc);
	Py_RETURN_NONE;
}

static void store_dealloc(PyObject *self)
{
	PyTypeObject *type = Py_TYPE(self);
	freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
	struct store *s = store_of(self);
	PyObject *kind, *value, *trace;
	int rc;

	PyObject_GC_UnTrack(self);
	PyErr_Fetch(&kind, &value, &trace);
	rc = store_end(s);
	if (rc < 0) {
		raise_errno(NULL, rc);
		PyErr_WriteUnraisable(NULL);
	}
	PyErr_Restore(kind, value, trace);
	codec_clear(&s->key);
	codec_clear(&s->value);
	release(self);
	Py_DECREF(type);
}

static int store_traverse(PyObject *self, visitproc visit, void *arg)
{
	struct store *s = store_of(self);

	Py_VISIT(Py_TYPE(self));
	Py_VISIT(s->key.dumps);
	Py_VISIT(s->key.loads);
	Py_VISIT(s->value.dumps);
	Py_VISIT(s->value.loads);
	return 0;
}

static int store_forget(PyObject *self)
{
	codec_clear(&store_of(self)->key);
	codec_clear(&store_of(self)->value);
	return 0;
}

/* ---- facts ---- */

static PyObject *store_facts(PyObject *self, PyObject *none)
{
	struct store *s = store_of(self);
	struct blt_info i;

	(void)none;
	if (store_usable(s) < 0)
		return NULL;
	blt_get_info(s->blt, &i);
	return Py_BuildValue(
		"{s:s,s:I,s:O,s:O,s:O,s:I,s:I,s:I,s:I,s:K,s:K,s:y#}", "engine",
		i.engine, "version", i.version, "writable",
		i.writable ? Py_True : Py_False, "timestamps",
		i.has_timestamps ? Py_True : Py_False, "shared",
		i.shared ? Py_True : Py_False, "key_serializer",
		i.key_serializer, "value_serializer", i.value_serializer,
		"value_len", i.value_len, "n_buckets", i.n_buckets, "n_keys",
		(unsigned long long)i.n_keys, "file_size",
		(unsigned long long)i.file_size, "uuid", (const char *)i.uuid,
		(Py_ssize_t)sizeof(i.uuid));
}

static PyObject *get_writable(PyObject *self, void *unused)
{
	struct store *s = store_of(self);

	(void)unused;
	return PyBool_FromLong(s->blt && !s->closing && s->writable);
}

static PyObject *get_closed(PyObject *self, void *unused)
{
	struct store *s = store_of(self);

	(void)unused;
	return PyBool_FromLong(!s->blt || (s->closing && store_is_here(s)));
}

static PyObject *get_compactions(PyObject *self, void *unused)
{
	struct store *s = store_of(self);

	(void)unused;
	if (store_usable(s) < 0)
		return NULL;
	if (s->fixed)
		return raise_errno(s, -ENOTSUP);
	return PyLong_FromUnsignedLongLong(blt_compactions(s->blt));
}

/* ---- the class ---- */

#define FAST(fn) ((PyCFunction)(void (*)(void))(fn))

static PyMethodDef methods[] = {
	{ "_open", store_open, METH_VARARGS, NULL },
	{ "_codecs", store_codecs, METH_VARARGS, NULL },
	{ "_facts", store_facts, METH_NOARGS, NULL },
	{ "_walk", FAST(store_walk), METH_FASTCALL, NULL },
	{ "_get_items", FAST(store_get_items), METH_FASTCALL, NULL },
	{ "_get_time", FAST(store_get_time), METH_FASTCALL, NULL },
	{ "_set", FAST(store_set), METH_FASTCALL, NULL },
	{ "_set_time", FAST(store_set_time), METH_FASTCALL, NULL },
	{ "_put_many", store_put_many, METH_O, NULL },
	{ "_prune", FAST(store_prune), METH_FASTCALL, NULL },
	{ "_reindex", store_reindex, METH_O, NULL },
	{ "_sync", store_sync, METH_O, NULL },
	{ "_slot_get", store_slot_get, METH_O, NULL },
	{ "_slot_set", FAST(store_slot_set), METH_FASTCALL, NULL },
	{ "_close", store_close, METH_NOARGS, NULL },
	{ "clear", store_clear, METH_NOARGS,
	  "clear()\n--\n\nDelete everything: keys, metadata, reserved slots." },
	{ "get", FAST(store_get), METH_FASTCALL | METH_KEYWORDS,
	  "get(key, default=None)\n--\n\nThe key's value, or default." },
	{ NULL, NULL, 0, NULL },
};

static PyGetSetDef facts[] = {
	{ "writable", get_writable, NULL, "Whether it is open for writing.",
	  NULL },
	{ "closed", get_closed, NULL, "Whether it is closed.", NULL },
	{ "compaction_count", get_compactions, NULL,
	  "How often values have moved in the file since it was opened.",
	  NULL },
	{ NULL, NULL, NULL, NULL, NULL },
};

static char doc[] = "A store: the base of the classes of blt.";

static PyType_Slot slots[] = {
	{ Py_tp_doc, doc },
	{ Py_tp_dealloc, (void *)store_dealloc },
	{ Py_tp_traverse, (void *)store_traverse },
	{ Py_tp_clear, (void *)store_forget },
	{ Py_tp_methods, methods },
	{ Py_tp_getset, facts },
	{ Py_tp_iter, (void *)store_iter },
	{ Py_mp_subscript, (void *)store_subscript },
	{ Py_mp_ass_subscript, (void *)store_assign },
	{ Py_mp_length, (void *)store_length },
	{ Py_sq_contains, (void *)store_contains },
	{ 0, NULL },
};

static PyType_Spec spec = {
	.name = "blt._blt.Store",
	.basicsize = sizeof(struct store),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
	.slots = slots,
};

/* The threads that waited for idle are not in this process. */
static void count_fork(void)
{
	fork_count++;
	pthread_mutex_init(&idle_lock, NULL);
	pthread_cond_init(&idle, NULL);
}

int store_init(PyObject *module)
{
	store_type = (PyTypeObject *)PyType_FromSpec(&spec);
	if (!store_type || PyModule_AddType(module, store_type) < 0)
		return -1;
	lock_timeout_error = PyErr_NewExceptionWithDoc(
		"blt.LockTimeoutError",
		"The store's lock was not to be had within the timeout.",
		PyExc_TimeoutError, NULL);
	if (!lock_timeout_error)
		return -1;
	if (pthread_atfork(NULL, NULL, count_fork) != 0) {
		PyErr_NoMemory();
		return -1;
	}
	return PyModule_AddObjectRef(module, "LockTimeoutError",
				     lock_timeout_error);
}
