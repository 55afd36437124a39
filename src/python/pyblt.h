/* pyblt.h - what the files of the extension module blt._blt share.
 *
 * The module is the C half of the Python package blt: the class Store over
 * libblt (blt.h alone), its iterators, and zstd.  The Python half, src/python/
 * blt/, has booklet's names and arguments, the other serializers and map.
 *
 * It keeps to the stable ABI of CPython 3.11, so one build serves 3.11 and
 * later.
 *
 * Threads: the GIL protects all objects here.  It is released in every call of
 * the engine, between store_enter and store_leave, where no Python code runs.
 * store_close waits until no thread is between the two.
 *
 * Errors: functions return a new reference or NULL, or 0 and -1, with a Python
 * exception set; engine results are negative errnos until raise_errno makes an
 * exception of them.
 */
#ifndef BLT_PYBLT_H
#define BLT_PYBLT_H

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "blt.h"

/* ---- codec.c: objects to bytes and back ---- */

enum codec_kind { CODEC_BYTES, CODEC_STR, CODEC_INT, CODEC_CALL };

/* How keys, or values, become bytes. */
struct codec {
	enum codec_kind kind;
	unsigned width; /* CODEC_INT */
	bool is_signed;
	PyObject *dumps, *loads; /* CODEC_CALL */
};

/* The bytes of one object; valid until raw_release. */
struct raw {
	const void *bytes;
	size_t len;
	PyObject *owner; /* whose they are, or NULL */
	Py_buffer view;  /* where view.obj is set */
	uint8_t number[8];
};

/* The serializer of a code: C's own for bytes, str and the integers, else the
 * object's dumps and loads. */
int codec_set(struct codec *codec, unsigned code, PyObject *serializer);
void codec_clear(struct codec *codec);
int codec_encode(const struct codec *codec, PyObject *obj, struct raw *ret);
int raw_of_bytes(PyObject *obj,
		 struct raw *ret); /* bytes-like, else TypeError */
void raw_release(struct raw *raw);
PyObject *codec_decode(const struct codec *codec, const void *bytes,
		       size_t len);
/* The same of a bytes object, whose reference it takes; NULL stays NULL. */
PyObject *codec_decode_object(const struct codec *codec, PyObject *bytes);

/* ---- store.c: opening and closing ---- */

struct walk;

struct store {
	PyObject ob_base;
	struct blt *blt; /* NULL: closed */
	struct codec key, value;
	bool writable, has_times, fixed;
	bool together; /* many puts cost less as one batch */
	bool snapshot; /* iterators survive changes */
	bool closing;
	unsigned forks;     /* fork_count when it was opened */
	unsigned busy;      /* threads within the engine */
	uint64_t changes;   /* all but those of timestamps */
	struct walk *walks; /* open ones; each is in its own walk's list */
};

extern PyTypeObject *store_type;
extern PyObject *lock_timeout_error;

int store_init(PyObject *module);

/* Whether the engine may be called; a ValueError where it is closed, a
 * RuntimeError in a forked process. */
int store_usable(const struct store *s);
/* False in a process that was forked after it was opened. */
bool store_is_here(const struct store *s);
/* As store_usable, for changes: a ValueError for a store opened for reading. */
int store_changeable(const struct store *s);
void store_enter(struct store *s, PyThreadState **ret_thread);
void store_leave(struct store *s, PyThreadState *thread);

/* ---- raise.c ---- */

/* Sets the exception that an engine's result stands for; returns NULL. */
PyObject *raise_errno(const struct store *s, int rc);
/* The same for a key and value that were not taken. */
PyObject *raise_put(const struct store *s, int rc, const struct raw *key,
		    const struct raw *value);

/* METH_FASTCALL without keywords; checks the count. */
int arg_count(const char *name, Py_ssize_t n, Py_ssize_t min, Py_ssize_t max);
/* A time from an argument: None is now. */
int arg_time(PyObject *obj, int64_t *ret);
PyObject *time_object(int64_t time); /* None for BLT_NO_TIME */

/* ---- store_read.c, store_write.c, store_whole.c: rows of its type ---- */

/* The value's bytes as a bytes object; 0, or a negative errno, or 1 with an
 * exception set.  Takes the view in every case. */
int view_take(struct store *s, struct blt_view *view, PyObject **ret);

PyObject *store_get(PyObject *self, PyObject *const *args, Py_ssize_t n,
		    PyObject *names);
PyObject *store_get_time(PyObject *self, PyObject *const *args, Py_ssize_t n);
PyObject *store_subscript(PyObject *self, PyObject *key);
Py_ssize_t store_length(PyObject *self);
int store_contains(PyObject *self, PyObject *key);

int store_assign(PyObject *self, PyObject *key, PyObject *value);
PyObject *store_set(PyObject *self, PyObject *const *args, Py_ssize_t n);
PyObject *store_set_time(PyObject *self, PyObject *const *args, Py_ssize_t n);
PyObject *store_put_many(PyObject *self, PyObject *pairs);

PyObject *store_clear(PyObject *self, PyObject *none);
PyObject *store_prune(PyObject *self, PyObject *const *args, Py_ssize_t n);
PyObject *store_reindex(PyObject *self, PyObject *buckets);
PyObject *store_sync(PyObject *self, PyObject *settle);
PyObject *store_slot_get(PyObject *self, PyObject *slot);
PyObject *store_slot_set(PyObject *self, PyObject *const *args, Py_ssize_t n);

/* ---- walk.c: keys(), items(), ... ---- */

int walk_init(PyObject *module);
/* WHAT, as the package asks for it (blt/_blt.pyi). */
PyObject *store_walk(PyObject *self, PyObject *const *args, Py_ssize_t n);
PyObject *store_iter(PyObject *self);
/* Ends all open walks; their next step is a RuntimeError. */
void walks_drop(struct store *s);

/* ---- many.c: get_items() ---- */

int many_init(PyObject *module);
PyObject *store_get_items(PyObject *self, PyObject *const *args, Py_ssize_t n);

/* ---- zstd.c ---- */

PyObject *zstd_compress(PyObject *module, PyObject *const *args, Py_ssize_t n);
PyObject *zstd_decompress(PyObject *module, PyObject *bytes);

#endif
