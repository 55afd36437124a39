/* The module itself. */
#include "python/pyblt.h"

#define FAST(fn) ((PyCFunction)(void (*)(void))(fn))

/* serializer_code(name): booklet's number of a serializer. */
static PyObject *serializer_code(PyObject *module, PyObject *name)
{
	const char *text = PyUnicode_AsUTF8AndSize(name, NULL);
	int code;

	(void)module;
	if (!text)
		return NULL;
	code = blt_serializer_code(text);
	if (code < 0)
		return PyErr_Format(PyExc_ValueError,
				    "there is no serializer of the name %s",
				    text);
	return PyLong_FromLong(code);
}

/* serializer_name(code): None where there is none. */
static PyObject *serializer_name(PyObject *module, PyObject *code)
{
	unsigned long number = PyLong_AsUnsignedLong(code);
	const char *name;

	(void)module;
	if (PyErr_Occurred())
		return NULL;
	name = blt_serializer_name((unsigned)number);
	if (!name)
		Py_RETURN_NONE;
	return PyUnicode_FromString(name);
}

static PyObject *engine_of(PyObject *module, PyObject *path)
{
	PyObject *bytes;
	const char *name;

	(void)module;
	if (!PyUnicode_FSConverter(path, &bytes))
		return NULL;
	name = blt_engine_of(PyBytes_AsString(bytes));
	Py_DECREF(bytes);
	if (!name)
		Py_RETURN_NONE;
	return PyUnicode_FromString(name);
}

static PyMethodDef functions[] = {
	{ "engine_of", engine_of, METH_O, NULL },
	{ "serializer_code", serializer_code, METH_O, NULL },
	{ "serializer_name", serializer_name, METH_O, NULL },
	{ "zstd_compress", FAST(zstd_compress), METH_FASTCALL, NULL },
	{ "zstd_decompress", zstd_decompress, METH_O, NULL },
	{ NULL, NULL, 0, NULL },
};

static struct PyModuleDef definition = {
	PyModuleDef_HEAD_INIT,         .m_name = "blt._blt",
	.m_doc = "The C half of blt.", .m_size = -1,
	.m_methods = functions,
};

PyMODINIT_FUNC PyInit__blt(void);

PyMODINIT_FUNC PyInit__blt(void)
{
	PyObject *module = PyModule_Create(&definition);

	if (!module)
		return NULL;
	if (store_init(module) < 0 || walk_init(module) < 0 ||
	    many_init(module) < 0 ||
	    PyModule_AddIntConstant(module, "READ", BLT_READ) < 0 ||
	    PyModule_AddIntConstant(module, "WRITE", BLT_WRITE) < 0 ||
	    PyModule_AddIntConstant(module, "CREATE", BLT_CREATE) < 0 ||
	    PyModule_AddIntConstant(module, "TRUNCATE", BLT_TRUNCATE) < 0 ||
	    PyModule_AddObject(module, "CUSTOM",
			       PyLong_FromUnsignedLong(BLT_SERIALIZER_CUSTOM)) <
		    0) {
		Py_DECREF(module);
		return NULL;
	}
	return module;
}
