/* zstd frames, as the serializers *_zstd have them: with the length of the
 * content in the header. */
#include "python/pyblt.h"

#include <stdlib.h>
#include <zstd.h>

/* zstd_compress(bytes, level) */
PyObject *zstd_compress(PyObject *module, PyObject *const *args, Py_ssize_t n)
{
	PyObject *ret = NULL;
	size_t room, len;
	struct raw raw;
	void *to;
	int level;

	(void)module;
	if (arg_count("zstd_compress", n, 2, 2) < 0)
		return NULL;
	level = (int)PyLong_AsLong(args[1]);
	if (PyErr_Occurred() || raw_of_bytes(args[0], &raw) < 0)
		return NULL;
	room = ZSTD_compressBound(raw.len);
	to = malloc(room);
	if (!to) {
		raw_release(&raw);
		return PyErr_NoMemory();
	}
	Py_BEGIN_ALLOW_THREADS len =
		ZSTD_compress(to, room, raw.bytes, raw.len, level);
	Py_END_ALLOW_THREADS if (ZSTD_isError(len)) PyErr_Format(
		PyExc_ValueError, "zstd: %s", ZSTD_getErrorName(len));
	else ret = PyBytes_FromStringAndSize(to, (Py_ssize_t)len);
	free(to);
	raw_release(&raw);
	return ret;
}

/* Of a block: the most that it gives, and the fewest bytes that it has, a
 * header and a byte that is repeated (RFC 8878, 3.1.1.2). */
#define BLOCK_MAX ((size_t)128 << 10)
#define BLOCK_LEAST 4

static PyObject *decompress(const struct raw *raw)
{
	unsigned long long len = ZSTD_getFrameContentSize(raw->bytes, raw->len);
	PyObject *ret;
	char *to;
	size_t got;

	if (len == ZSTD_CONTENTSIZE_ERROR || len == ZSTD_CONTENTSIZE_UNKNOWN)
		return PyErr_Format(PyExc_ValueError,
				    "the value is no zstd frame with the "
				    "length of its content");
	if (len / BLOCK_MAX > raw->len / BLOCK_LEAST)
		return PyErr_Format(PyExc_ValueError,
				    "zstd: the frame's header says more than "
				    "its bytes can hold");
	ret = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)len);
	if (!ret)
		return NULL;
	to = PyBytes_AsString(ret);
	Py_BEGIN_ALLOW_THREADS got =
		ZSTD_decompress(to, (size_t)len, raw->bytes, raw->len);
	Py_END_ALLOW_THREADS if (!ZSTD_isError(got) && got == len) return ret;
	PyErr_Format(PyExc_ValueError, "zstd: %s",
		     ZSTD_isError(got) ? ZSTD_getErrorName(got) : "cut short");
	Py_DECREF(ret);
	return NULL;
}

/* zstd_decompress(bytes) */
PyObject *zstd_decompress(PyObject *module, PyObject *bytes)
{
	struct raw raw;
	PyObject *ret;

	(void)module;
	if (raw_of_bytes(bytes, &raw) < 0)
		return NULL;
	ret = decompress(&raw);
	raw_release(&raw);
	return ret;
}
