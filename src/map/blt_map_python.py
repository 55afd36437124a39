"""The worker of "blt map --python FILE:FUNC".

    python3 blt_map_python.py FILE:FUNC N KEY VALUE TO_KEY TO_VALUE

The function gets (key, value), or a list of up to N of them where N is not 0, as
the serializers KEY and VALUE load them; what it gives is dumped by TO_KEY and
TO_VALUE.  Only bytes and str are known without the Python module blt.
"""

import importlib.util
import os
import sys
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
if sys.path and sys.path[0] == HERE:
    del sys.path[0]


def load_module(name, path):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


blt_worker = load_module("blt_worker", os.path.join(HERE, "blt_worker.py"))


class Refused(Exception):
    """No item will ever work; the text says why."""


def load_function(text):
    """The function, and the file's path."""
    path, _, name = text.rpartition(":")
    path = os.path.abspath(path)
    sys.path.insert(0, os.path.dirname(path))
    try:
        base = os.path.splitext(os.path.basename(path))[0]
        # a module of Python's with that name stays what it is
        module = load_module(f"map_{base}" if base in sys.modules else base,
                             path)
    except BaseException as error:
        raise Refused(f"{path}: cannot be loaded: "
                      f"{describe(error, path)}") from error
    function = getattr(module, name, None)
    if not callable(function):
        raise Refused(f"{path}: has no function of the name {name}")
    return function, path


def describe(error, path):
    """The exception in one line, with the last line of that file that it came
    through."""
    lines = [frame.lineno
             for frame in traceback.extract_tb(error.__traceback__)
             if frame.filename == path]
    where = f" ({os.path.basename(path)}:{lines[-1]})" if lines else ""
    return f"{type(error).__name__}: {error}{where}"


def serializer(name):
    """(dumps, loads)"""
    if name == "bytes":
        return bytes, bytes
    if name == "str":
        return str.encode, bytes.decode
    try:
        from blt import serializers
    except ImportError as error:
        raise Refused(
            f"the serializer {name} needs the Python module blt ({error}); "
            "install python3-blt, or set PYTHONPATH to where it is") from error
    try:
        found = serializers.by_name(name)
    except ImportError as error:
        raise Refused(str(error)) from error
    return found.dumps, found.loads


class Function:
    """The user's function as one of bytes."""

    def __init__(self, text, key, value, to_key, to_value):
        self.call, self.path = load_function(text)
        self.load_key = serializer(key)[1]
        self.load_value = serializer(value)[1]
        self.dump_key = serializer(to_key)[0]
        self.dump_value = serializer(to_value)[0]

    def dump(self, given):
        """None: no result.  A tuple: (key, value).  An iterator: any number of
        those.  Anything else is a value for the same key."""
        if given is None:
            return None
        if isinstance(given, tuple):
            key, value = given
            return self.dump_key(key), self.dump_value(value)
        if hasattr(given, "__next__"):
            found = [self.dump(one) for one in given]
            return [one if isinstance(one, tuple) else (None, one)
                    for one in found if one is not None]
        return self.dump_value(given)

    def guarded(self, work, *args):
        try:
            return work(*args)
        except Exception as error:
            raise blt_worker.ItemError(
                describe(error, self.path)) from error

    def one(self, key, value):
        return self.guarded(
            lambda: self.dump(self.call(self.load_key(key),
                                        self.load_value(value))))

    def many(self, items):
        return self.guarded(
            lambda: [self.dump(given) for given in self.call(
                [(self.load_key(key), self.load_value(value))
                 for key, value in items])])


def main():
    text, batch = sys.argv[1], int(sys.argv[2])
    blt_worker.standard_output()
    try:
        function = Function(text, *sys.argv[3:7])
    except Refused as error:
        blt_worker.refuse(str(error))
        return
    if batch:
        blt_worker.serve_many(function.many, batch)
    else:
        blt_worker.serve(function.one)


main()
