"""The serializers that a store may name for its keys and values.

Each is an object with dumps(obj) -> bytes and loads(bytes) -> obj.  bytes, str
and the integers are done in C and are here for their names only.  Those that
need a package (numpy, orjson, msgpack, pandas, geopandas, shapely) are there
where it is installed.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import json
import pickle
from typing import Any, Callable, Protocol

from . import _blt

__all__ = ["Serializer", "by_code", "names", "of_argument"]


class Serializer(Protocol):
    """What a serializer is: a class or an object with these two."""

    def dumps(self, obj: Any, /) -> bytes: ...

    def loads(self, data: bytes, /) -> Any: ...


class _Pair:
    """A serializer made of two functions."""

    __slots__ = ("name", "dumps", "loads")

    def __init__(self, name: str, dumps: Callable[[Any], bytes],
                 loads: Callable[[bytes], Any]) -> None:
        self.name, self.dumps, self.loads = name, dumps, loads

    def __repr__(self) -> str:
        return f"<serializer {self.name}>"


def _zstd(name: str, inner: Any, level: int = 1) -> _Pair:
    dumps, loads = inner.dumps, inner.loads
    compress, expand = _blt.zstd_compress, _blt.zstd_decompress
    return _Pair(name, lambda obj: compress(dumps(obj), level),
                 lambda data: loads(expand(data)))


def _same(data: Any) -> Any:
    return data


def _bytes(name: str) -> _Pair:
    return _Pair(name, bytes, _same)


def _str(name: str) -> _Pair:
    return _Pair(name, str.encode, bytes.decode)


def _int(name: str) -> _Pair:
    width, signed = int(name[-1]), name.startswith("int")

    def dumps(number: int) -> bytes:
        return number.to_bytes(width, "little", signed=signed)

    return _Pair(
        name, dumps,
        lambda data: int.from_bytes(data, "little", signed=signed))


def _pickle(name: str) -> _Pair:
    return _Pair(name, lambda obj: pickle.dumps(obj, 5), pickle.loads)


def _json(name: str) -> _Pair:
    return _Pair(name, lambda obj: json.dumps(obj).encode(), json.loads)


def _orjson(name: str) -> _Pair:
    import orjson
    how = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY
    return _Pair(name, lambda obj: orjson.dumps(obj, option=how),
                 orjson.loads)


def _msgpack(name: str) -> _Pair:
    import msgpack
    return _Pair(name, msgpack.packb, msgpack.unpackb)


def _numpy(name: str) -> _Pair:
    import numpy
    kind = numpy.dtype(f"<i{name[9]}")
    return _Pair(name,
                 lambda array: numpy.asarray(array).astype(
                     kind, casting="same_kind", copy=False).tobytes(),
                 lambda data: numpy.frombuffer(data, dtype=kind))


def _pandas(name: str) -> _Pair:
    import pandas
    module: Any = pandas
    importlib.import_module("pyarrow")
    if name.startswith("gpd"):
        module = importlib.import_module("geopandas")

    def dumps(frame: Any) -> bytes:
        out = io.BytesIO()
        frame.to_feather(out, compression="zstd", compression_level=1)
        return out.getvalue()

    return _Pair(name, dumps,
                 lambda data: module.read_feather(io.BytesIO(data)))


def _wkb(name: str) -> _Pair:
    from shapely import wkb
    return _Pair(name, wkb.dumps, wkb.loads)


# name (without _zstd): what makes it, and the packages that this needs
_forms: list[tuple[str, Callable[[str], _Pair], tuple[str, ...]]] = [
    ("bytes", _bytes, ()), ("str", _str, ()), ("pickle", _pickle, ()),
    ("json", _json, ()), ("orjson", _orjson, ("orjson",)),
    *((f"{sign}int{width}", _int, ()) for width in (1, 2, 4, 5, 8)
      for sign in ("u", "")),
    *((f"numpy_int{width}", _numpy, ("numpy",)) for width in (1, 2, 4, 8)),
    ("pd_zstd", _pandas, ("pandas", "pyarrow")),
    ("gpd_zstd", _pandas, ("geopandas", "pyarrow")),
    ("wkb", _wkb, ("shapely",)), ("msgpack", _msgpack, ("msgpack",)),
]
_compressed = ("pickle_zstd", "orjson_zstd", "numpy_int2_zstd",
               "numpy_int4_zstd", "numpy_int8_zstd", "zstd", "wkb_zstd",
               "msgpack_zstd")
_makers = {name: (make, needs) for name, make, needs in _forms}
_made: dict[str, Any] = {}


def _inner(name: str) -> str:
    if name == "zstd":
        return "bytes"
    return name.removesuffix("_zstd") if name in _compressed else name


def _missing(name: str) -> list[str]:
    return [package for package in _makers[_inner(name)][1]
            if importlib.util.find_spec(package) is None]


def names() -> list[str]:
    """The names that can be used here, in the order of their codes."""
    known = [*_makers, *_compressed]
    return sorted((name for name in known if not _missing(name)),
                  key=_blt.serializer_code)


def by_name(name: str) -> Any:
    """The serializer of that name; ValueError, or ImportError where a package
    is missing."""
    if name not in _made:
        _blt.serializer_code(name)
        missing = _missing(name)
        if missing:
            raise ImportError(
                f"the serializer {name} needs the Python package "
                f"{' and '.join(missing)}; install it")
        inner = _inner(name)
        made = _makers[inner][0](inner)
        if name in _compressed:
            made = _zstd(name, made)
        _made[name] = made
    return _made[name]


def by_code(code: int, given: Any, whose: str) -> Any:
    """The serializer that a store has the code of; a custom one is given."""
    if code == 0:
        custom = of_argument(given)[1]
        if given is None or isinstance(given, str):
            raise ValueError(
                f"the {whose}s of this store have a serializer of their own, "
                f"which is not in the file: pass it as {whose}_serializer")
        return custom
    name = _blt.serializer_name(code)
    if name is None:
        raise ValueError(f"{code} is no code of a serializer")
    return by_name(name)


def of_argument(given: Any) -> tuple[int, Any]:
    """Code and serializer of an argument key_serializer or value_serializer: a
    name, None for bytes, or a class or an object with dumps and loads."""
    if given is None:
        return 1, by_name("bytes")
    if isinstance(given, str):
        if given not in _makers and given not in _compressed:
            raise ValueError(f"there is no serializer of the name {given!r}; "
                             f"there are {', '.join(names())}")
        return _blt.serializer_code(given), by_name(given)
    if callable(getattr(given, "dumps", None)) and \
            callable(getattr(given, "loads", None)):
        return 0, given
    raise ValueError("a serializer is a name, a class or an object with dumps "
                     f"and loads, or None; not {given!r}")
