/* Objects to bytes and back. */
#include "python/pyblt.h"

#include <stdio.h>
#include <string.h>

static PyObject *method(PyObject *serializer, const char *name)
{
	PyObject *text = PyUnicode_InternFromString(name);
	PyObject *found = text ? PyObject_GetAttr(serializer, text) : NULL;

	Py_XDECREF(text);
	if (found && !PyCallable_Check(found)) {
		Py_DECREF(found);
		PyErr_Format(PyExc_TypeError,
			     "the serializer's %s is not a function", name);
		return NULL;
	}
	return found;
}

static int codec_set_calls(struct codec *codec, PyObject *serializer)
{
	PyObject *dumps = method(serializer, "dumps");
	PyObject *loads = dumps ? method(serializer, "loads") : NULL;

	if (!loads) {
		Py_XDECREF(dumps);
		return -1;
	}
	codec_clear(codec);
	*codec = (struct codec){ .kind = CODEC_CALL,
				 .dumps = dumps,
				 .loads = loads };
	return 0;
}

/* "uint4": 4, false. */
static bool int_name(const char *name, unsigned *ret_width, bool *ret_signed)
{
	*ret_signed = name[0] == 'i';
	return sscanf(name, *ret_signed ? "int%u" : "uint%u", ret_width) == 1;
}

int codec_set(struct codec *codec, unsigned code, PyObject *serializer)
{
	const char *name = blt_serializer_name(code);
	struct codec made = { .kind = CODEC_BYTES };

	if (name && strcmp(name, "str") == 0)
		made.kind = CODEC_STR;
	else if (name && int_name(name, &made.width, &made.is_signed))
		made.kind = CODEC_INT;
	else if (!name || strcmp(name, "bytes") != 0)
		return codec_set_calls(codec, serializer);
	codec_clear(codec);
	*codec = made;
	return 0;
}

void codec_clear(struct codec *codec)
{
	PyObject *dumps = codec->dumps, *loads = codec->loads;

	*codec = (struct codec){ .kind = CODEC_BYTES };
	Py_XDECREF(dumps);
	Py_XDECREF(loads);
}

/* The function may open the store anew, which replaces the codec. */
static PyObject *call(PyObject *function, PyObject *arg)
{
	PyObject *ret;

	Py_INCREF(function);
	ret = PyObject_CallFunctionObjArgs(function, arg, NULL);
	Py_DECREF(function);
	return ret;
}

/* ---- to bytes ---- */

int raw_of_bytes(PyObject *obj, struct raw *ret)
{
	char *bytes;
	Py_ssize_t len;

	ret->view.obj = NULL;
	ret->owner = NULL;
	if (PyBytes_Check(obj)) {
		if (PyBytes_AsStringAndSize(obj, &bytes, &len) < 0)
			return -1;
		Py_INCREF(obj);
		ret->owner = obj;
		ret->bytes = bytes;
		ret->len = (size_t)len;
		return 0;
	}
	if (PyObject_GetBuffer(obj, &ret->view, PyBUF_SIMPLE) < 0) {
		ret->view.obj = NULL;
		return -1;
	}
	ret->bytes = ret->view.buf;
	ret->len = (size_t)ret->view.len;
	return 0;
}

static int raw_of_str(PyObject *obj, struct raw *ret)
{
	Py_ssize_t len;

	ret->view.obj = NULL;
	ret->owner = NULL;
	if (!PyUnicode_Check(obj)) {
		PyErr_Format(PyExc_TypeError,
			     "a str is expected, not %R; the store's "
			     "serializer is str",
			     Py_TYPE(obj));
		return -1;
	}
	ret->bytes = PyUnicode_AsUTF8AndSize(obj, &len);
	if (!ret->bytes)
		return -1;
	Py_INCREF(obj);
	ret->owner = obj;
	ret->len = (size_t)len;
	return 0;
}

static int int_range(const struct codec *codec, PyObject *obj)
{
	PyErr_Clear();
	PyErr_Format(PyExc_OverflowError, "%R does not fit into %s%u", obj,
		     codec->is_signed ? "int" : "uint", codec->width);
	return -1;
}

static int raw_of_int(const struct codec *codec, PyObject *obj, struct raw *ret)
{
	unsigned bits = codec->width * 8;
	PyObject *number = PyNumber_Index(obj);
	uint64_t n;

	ret->view.obj = NULL;
	ret->owner = NULL;
	if (!number)
		return -1;
	if (codec->is_signed) {
		long long i = PyLong_AsLongLong(number);

		n = (uint64_t)i;
		if (bits < 64 &&
		    (i < -(1LL << (bits - 1)) || i >= 1LL << (bits - 1)))
			n = 0, int_range(codec, obj);
	} else {
		n = PyLong_AsUnsignedLongLong(number);
		if (!PyErr_Occurred() && bits < 64 && n >> bits)
			int_range(codec, obj);
	}
	Py_DECREF(number);
	if (PyErr_Occurred())
		return int_range(codec, obj);
	for (unsigned i = 0; i < codec->width; i++)
		ret->number[i] = (uint8_t)(n >> 8 * i);
	ret->bytes = ret->number;
	ret->len = codec->width;
	return 0;
}

static int raw_of_call(const struct codec *codec, PyObject *obj,
		       struct raw *ret)
{
	PyObject *bytes = call(codec->dumps, obj);
	int rc = -1;

	ret->view.obj = NULL;
	ret->owner = NULL;
	if (!bytes)
		return -1;
	if (!PyObject_CheckBuffer(bytes))
		PyErr_Format(PyExc_TypeError,
			     "the serializer's dumps returned %R, not bytes",
			     Py_TYPE(bytes));
	else
		rc = raw_of_bytes(bytes, ret);
	Py_DECREF(bytes);
	return rc;
}

int codec_encode(const struct codec *codec, PyObject *obj, struct raw *ret)
{
	switch (codec->kind) {
	case CODEC_STR:
		return raw_of_str(obj, ret);
	case CODEC_INT:
		return raw_of_int(codec, obj, ret);
	case CODEC_CALL:
		return raw_of_call(codec, obj, ret);
	default:
		return raw_of_bytes(obj, ret);
	}
}

void raw_release(struct raw *raw)
{
	if (raw->view.obj)
		PyBuffer_Release(&raw->view);
	Py_CLEAR(raw->owner);
}

/* ---- and back ---- */

static PyObject *int_of_raw(const struct codec *codec, const uint8_t *bytes,
			    size_t len)
{
	unsigned unused = 64 - 8 * codec->width;
	uint64_t n = 0;

	if (len != codec->width)
		return PyErr_Format(PyExc_ValueError,
				    "%zu bytes are no integer of %u bytes", len,
				    codec->width);
	for (size_t i = 0; i < len; i++)
		n |= (uint64_t)bytes[i] << 8 * i;
	if (!codec->is_signed)
		return PyLong_FromUnsignedLongLong(n);
	return PyLong_FromLongLong((int64_t)(n << unused) >> unused);
}

PyObject *codec_decode(const struct codec *codec, const void *bytes, size_t len)
{
	switch (codec->kind) {
	case CODEC_STR:
		return PyUnicode_DecodeUTF8(bytes, (Py_ssize_t)len, NULL);
	case CODEC_INT:
		return int_of_raw(codec, bytes, len);
	default:
		return codec_decode_object(
			codec,
			PyBytes_FromStringAndSize(bytes, (Py_ssize_t)len));
	}
}

PyObject *codec_decode_object(const struct codec *codec, PyObject *bytes)
{
	PyObject *ret;

	if (!bytes || codec->kind == CODEC_BYTES)
		return bytes;
	if (codec->kind == CODEC_CALL)
		ret = call(codec->loads, bytes);
	else
		ret = codec_decode(codec, PyBytes_AsString(bytes),
				   (size_t)PyBytes_Size(bytes));
	Py_DECREF(bytes);
	return ret;
}
