"""Booklet key-value stores over libblt, with the API of the package booklet.

    import blt                      # or: import blt as booklet

    with blt.open("kv.blt", "n", key_serializer="str",
                  value_serializer="json") as store:
        store["key"] = {"answer": 42}

A store is a mapping and a context manager.  Its file is a booklet file; what
was synced survives a crash of the machine.  Stores of libblt's other engines
(an LMDB environment) open in the same way.  All methods may be called from any
thread.  doc/python.md has what differs from booklet.
"""

from __future__ import annotations

import atexit
import builtins
import datetime
import fcntl
import io
import json
import os
import pathlib
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Any, Callable

from . import _blt, _map, serializers
from ._blt import LockTimeoutError

__all__ = [
    "FixedLengthValue", "LockTimeoutError", "VariableLengthValue",
    "available_serializers", "make_timestamp_int", "open",
]
__version__ = "0.1.0"

Path = str | pathlib.Path | io.BytesIO
Time = int | str | datetime.datetime

available_serializers: list[str] = serializers.names()

_MODES = {"r": _blt.READ, "w": _blt.WRITE, "c": _blt.CREATE,
          "n": _blt.TRUNCATE}
_HEADER = 200
_VARIABLE = bytes.fromhex("4f7e8a3fe75c4750ad430a728fe31cfe")
_FIXED = bytes.fromhex("04d3b294f2104162958d0400738c9e0a")
_NOT_CLOSED = b"\xff\xff\xff\xff"
_DEFAULT_BUCKETS = 12007
_KEYS, _VALUES, _ITEMS, _TIMES, _TIMES_VALUES, _PLACES, _RAW = range(7)
_METADATA = 0
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


def make_timestamp_int(value: Time | None = None) -> int:
    """Microseconds since 1970 of an int (which is that already), an ISO 8601
    string or a datetime, both with a time zone; of None, now."""
    if value is None:
        value = datetime.datetime.now(datetime.timezone.utc)
    if isinstance(value, bool):
        raise TypeError("a timestamp is an int, a str or a datetime")
    if isinstance(value, int):
        return value
    if isinstance(value, str):
        value = datetime.datetime.fromisoformat(value)
    if not isinstance(value, datetime.datetime):
        raise TypeError("a timestamp is an int, a str or a datetime, not "
                        f"{type(value).__name__}")
    if value.utcoffset() is None:
        raise ValueError(f"the timestamp {value} has no time zone")
    return (value - _EPOCH) // datetime.timedelta(microseconds=1)


def _time_or_none(value: Time | None) -> int | None:
    return None if value is None else make_timestamp_int(value)


# Stores that are still open when the interpreter ends are closed then.
_open_stores: weakref.WeakValueDictionary[int, _Store] = \
    weakref.WeakValueDictionary()


@atexit.register
def _close_all() -> None:
    for store in list(_open_stores.values()):
        store.close()


class _Store(_blt.Store, MutableMapping):  # type: ignore[type-arg]
    """What the two classes share."""

    _fixed = False

    def __init__(self, file_path: Path, flag: str, key_serializer: Any,
                 value_serializer: Any, value_len: int, n_buckets: int,
                 init_timestamps: bool, init_bytes: bytes | None,
                 timeout: float | None, snapshot: bool, engine: str | None,
                 db: str | None) -> None:
        self._buffer = file_path if isinstance(file_path, io.BytesIO) else None
        self._spilled_by = 0  # the process that made the temporary file
        self._path = "" if isinstance(file_path, io.BytesIO) \
            else os.fspath(file_path)
        self._serializers = key_serializer, value_serializer
        self._timeout, self._snapshot = timeout, snapshot
        self._engine, self._db = engine, db
        self._create = (n_buckets, value_len, init_timestamps, init_bytes)
        try:
            self._begin(flag)
        except BaseException:
            self._forget_temporary()
            raise

    def _begin(self, flag: str) -> None:
        if flag not in _MODES:
            raise ValueError(f"the flag is one of r, w, c and n, not {flag!r}")
        if self._buffer is not None and self._spilled_by != os.getpid():
            self._path = _spill(self._buffer)
            self._spilled_by = os.getpid()
        n_buckets, value_len, timestamps, init_bytes = self._create
        mode = _MODES[flag]
        kept = flag != "n" and self._check_file(flag)
        if init_bytes is not None and flag in "cn" and not kept:
            _write_template(self._path, init_bytes, self._fixed)
            mode, kept = _blt.WRITE, True
        key_code, value_code = 1, 1
        if not kept:
            if self._fixed and not value_len:
                raise ValueError("a new store needs value_len, the length of "
                                 "all its values")
            key_code = serializers.of_argument(self._serializers[0])[0]
            value_code = serializers.of_argument(self._serializers[1])[0]
        wait = float("inf") if self._timeout is None else float(self._timeout)
        self._open(self._path, mode, wait, self._snapshot, self._engine,
                   self._db, n_buckets, value_len,
                   key_code or _blt.CUSTOM,
                   0 if self._fixed else value_code or _blt.CUSTOM,
                   timestamps)
        try:
            self._take_serializers()
        except BaseException:
            self._close()
            raise
        _open_stores[id(self)] = self

    def _check_file(self, flag: str) -> bool:
        """Whether there is a store; what booklet refuses is refused here."""
        if self._engine not in (None, "booklet") or "://" in self._path:
            return True
        try:
            with builtins.open(self._path, "rb") as file:
                head = file.read(_HEADER)
        except IsADirectoryError:
            return True
        except FileNotFoundError:
            if flag in "rw":
                raise
            return False
        if not head:
            if flag == "c":
                return False
            raise TypeError(f"{self._path} is empty, not a booklet file")
        if head[:16] not in (_VARIABLE, _FIXED):
            if _blt.engine_of(self._path):
                return True
            raise TypeError(f"{self._path} is not the correct file type: not "
                            "a booklet file")
        if (head[:16] == _FIXED) != self._fixed:
            raise TypeError(
                f"{self._path} is not the correct file type: open it with "
                + ("VariableLengthValue" if self._fixed else
                   "FixedLengthValue"))
        if flag == "r" and head[33:37] == _NOT_CLOSED and \
                head[16:18] != b"\0\0":
            raise ValueError(f"{self._path} was not closed properly; open it "
                             "for writing once, which repairs it")
        return True

    def _take_serializers(self) -> None:
        facts = self._facts()
        key, value = self._serializers
        key_code = facts["key_serializer"]
        value_code = 1 if self._fixed else facts["value_serializer"]
        if facts["engine"] == "booklet":
            key = serializers.by_code(key_code, key, "key")
            value = serializers.by_code(value_code, value, "value")
        else:  # which knows bytes only: what the caller says counts
            key_code, key = serializers.of_argument(key)
            value_code, value = serializers.of_argument(value)
        self._codecs(key_code, key, value_code, value)
        self._loads = key.loads, value.loads
        self._keeps_times = facts["timestamps"]
        self._is_booklet = facts["engine"] == "booklet"

    def __repr__(self) -> str:
        state = "closed" if self.closed else \
            "writable" if self.writable else "read-only"
        return f"<{type(self).__module__}.{type(self).__name__} " \
               f"{self._path!r}, {state}>"

    def __reduce__(self) -> tuple[Any, ...]:
        """A store open for reading is pickled as one that is opened anew."""
        if self.writable or self._buffer is not None:
            raise TypeError("a store that is open for writing, or in memory, "
                            "cannot be pickled; open it in the other process")
        return _reopened, (type(self), self._path, self._serializers,
                           self._timeout, self._snapshot, self._engine,
                           self._db)

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # ---- reading ----

    def keys(self) -> Any:
        """An iterator of the keys."""
        return self._walk(_KEYS, True)

    def values(self) -> Any:
        """An iterator of the values."""
        return self._walk(_VALUES, True)

    def items(self) -> Any:
        """An iterator of (key, value)."""
        return self._walk(_ITEMS, True)

    def get_items(self, keys: Iterable[Any],
                  default: Any = None) -> Iterator[tuple[Any, Any]]:
        """(key, value) of each of the keys, in their order; the value of a
        missing one is default."""
        return self._get_items(keys, default, False)

    # ---- writing ----

    def set(self, key: Any, value: Any, timestamp: Time | None = None,
            encode_value: bool = True) -> None:
        """Store a value with a timestamp, or bytes that are the serialized
        value already (encode_value=False)."""
        self._set(key, value, _time_or_none(timestamp), encode_value)

    def update(self, other: Any = (), /, **more: Any) -> None:
        """Store the items of a mapping, or of an iterable of pairs."""
        if isinstance(other, Mapping):
            self._put_many(other.items())
        elif hasattr(other, "keys"):
            self._put_many((key, other[key]) for key in other.keys())
        else:
            self._put_many(other)
        if more:
            self._put_many(more.items())

    def reindex(self, n_buckets: int | None = None) -> None:
        """Make the index anew, with the next size or the one given."""
        self._reindex(n_buckets or 0)

    def sync(self) -> None:
        """Make all changes durable, and the file a plain booklet file."""
        self._sync(True)
        self._store_buffer()

    def close(self) -> None:
        """Sync and close; a second time does nothing."""
        _open_stores.pop(id(self), None)
        if self.closed:
            return
        self._close()
        self._store_buffer()
        self._forget_temporary()

    def reopen(self, flag: str) -> None:
        """Close, and open with another flag."""
        if not self.closed:
            _open_stores.pop(id(self), None)
            self._close()
            self._store_buffer()
        self._begin(flag)

    def map(self, func: Callable[[Any, Any], Any],
            keys: Iterable[Any] | None = None,
            n_workers: int | None = None) -> Iterator[tuple[Any, Any]]:
        """Call func(key, value) in n_workers processes (as many as there are
        processors) and yield the (key, value) pairs that it returns, as they
        come; for None, nothing.

        func is a function at the top of a module.  Its exception is raised
        here.  The items are those at the time of the call; the store may be
        written meanwhile.  A key that is not there is left out.
        """
        if not callable(func):
            raise TypeError("func is not callable")
        items: Any = self._walk(_RAW, False) if keys is None else \
            self._get_items(keys, None, True)
        return _map.run(items, func, *self._loads, n_workers)

    # ---- a store in an io.BytesIO ----

    def _store_buffer(self) -> None:
        # In a forked process the file is the parent's.
        if self._buffer is None or self._spilled_by != os.getpid():
            return
        with builtins.open(self._path, "rb") as file:
            data = file.read()
        if data != self._buffer.getvalue():
            self._buffer.seek(0)
            self._buffer.truncate()
            self._buffer.write(data)

    def _forget_temporary(self) -> None:
        if self._spilled_by == os.getpid():
            os.unlink(self._path)
            self._spilled_by = 0


class VariableLengthValue(_Store):
    """A store with values of any length.

    file_path         a path or an io.BytesIO; also a directory of LMDB
    flag              r: read; w: write; c: write, made if missing; n: new
    key_serializer, value_serializer
                      a name of available_serializers, a class or an object
                      with dumps and loads, or None for bytes.  A file that
                      exists has its own: these are ignored, except for
                      classes, which have to be given again
    n_buckets         of a new file's index
    buffer_size       ignored: the engine has its own
    init_timestamps   whether a new file keeps a timestamp of each item
    init_bytes        the first bytes of another file, whose header a new file
                      takes over
    timeout           seconds to wait for the lock, then LockTimeoutError;
                      None: for ever
    snapshot          iterators show the store as it was when they began; else
                      a change ends them with a RuntimeError, as in booklet
    engine, db        of which engine a new store is, and the database of an
                      LMDB environment, as blt has them
    """

    def __init__(self, file_path: Path, flag: str = "r",
                 key_serializer: Any = None, value_serializer: Any = None,
                 n_buckets: int = _DEFAULT_BUCKETS, buffer_size: int = 1 << 22,
                 init_timestamps: bool = True, init_bytes: bytes | None = None,
                 timeout: float | None = None, *, snapshot: bool = False,
                 engine: str | None = None, db: str | None = None) -> None:
        del buffer_size
        super().__init__(file_path, flag, key_serializer, value_serializer, 0,
                         n_buckets, init_timestamps, init_bytes, timeout,
                         snapshot, engine, db)

    # ---- timestamps ----

    def _need_times(self) -> None:
        if not self._keeps_times:
            raise ValueError(f"{self._path} keeps no timestamps")

    def get_timestamp(self, key: Any, include_value: bool = False,
                      decode_value: bool = True, default: Any = None) -> Any:
        """The timestamp of a key, in microseconds, or with include_value
        (timestamp, value); default for a missing key."""
        self._need_times()
        found = self._get_time(key, include_value, decode_value)
        return default if found is None else found

    def set_timestamp(self, key: Any, timestamp: Time) -> None:
        """Change the timestamp of a key; KeyError."""
        self._need_times()
        self._set_time(key, make_timestamp_int(timestamp))

    def timestamps(self, include_value: bool = False,
                   decode_value: bool = True) -> Any:
        """An iterator of (key, timestamp), or (key, timestamp, value)."""
        self._need_times()
        return self._walk(_TIMES_VALUES if include_value else _TIMES,
                          decode_value)

    def locations(self) -> Iterator[tuple[Any, int | None, int, int]]:
        """An iterator of (key, timestamp or None, offset, length): where the
        values are in the file.  They stay there as long as compaction_count
        is the same."""
        if not self._is_booklet:
            raise NotImplementedError(
                f"{self._path}: values have no places in this engine")
        return self._walk(_PLACES, False)

    def prune(self, timestamp: Time | None = None,
              keep_keys: Iterable[Any] = ()) -> int:
        """Take what was deleted and overwritten out of the file, and with a
        timestamp all older items but keep_keys.  Returns how many."""
        if timestamp is not None:
            self._need_times()
        return self._prune(_time_or_none(timestamp), list(keep_keys))

    # ---- hidden entries ----

    def set_metadata(self, data: Any, timestamp: Time | None = None) -> None:
        """Store an object as JSON beside the items."""
        self._slot_set(_METADATA, json.dumps(data).encode(),
                       _time_or_none(timestamp))

    def get_metadata(self, include_timestamp: bool = False) -> Any:
        """That object, or (object, timestamp); None where there is none."""
        found = self._slot_get(_METADATA)
        if found is None:
            return None
        data = json.loads(found[0])
        return (data, found[1]) if include_timestamp else data

    @staticmethod
    def _slot(slot: int) -> int:
        if slot not in (1, 2):
            raise ValueError(f"the reserved slots are 1 and 2, not {slot!r}")
        return slot

    def set_reserved(self, slot: int, data: bytes,
                     timestamp: Time | None = None) -> None:
        """Store bytes in a slot for libraries on top of this one: 1 or 2."""
        if not isinstance(data, bytes):
            raise TypeError("data is bytes, not "
                            f"{type(data).__name__}")
        self._slot_set(self._slot(slot), data, _time_or_none(timestamp))

    def get_reserved(self, slot: int, include_timestamp: bool = False) -> Any:
        """The bytes of a slot, or (bytes, timestamp); None where there are
        none."""
        found = self._slot_get(self._slot(slot))
        if found is None or include_timestamp:
            return found
        return found[0]


class FixedLengthValue(_Store):
    """A store whose values are bytes, all of one length, value_len.  It keeps
    no timestamps, metadata or reserved slots.  The other arguments are those
    of VariableLengthValue."""

    _fixed = True

    def __init__(self, file_path: Path, flag: str = "r",
                 key_serializer: Any = None, value_len: int | None = None,
                 n_buckets: int = _DEFAULT_BUCKETS, buffer_size: int = 1 << 22,
                 init_bytes: bytes | None = None, timeout: float | None = None,
                 *, snapshot: bool = False) -> None:
        del buffer_size
        super().__init__(file_path, flag, key_serializer, None, value_len or 0,
                         n_buckets, False, init_bytes, timeout, snapshot, None,
                         None)

    def prune(self, timestamp: None = None,
              keep_keys: Iterable[Any] = ()) -> int:
        """Take what was deleted and overwritten out of the file.  Returns how
        many.  There are no timestamps to go by."""
        del keep_keys
        if timestamp is not None:
            raise ValueError(f"{self._path} keeps no timestamps")
        return self._prune(None, [])

    def _lacks(self, *unused: Any, **more: Any) -> Any:
        raise NotImplementedError("a store with values of a fixed length has "
                                  "no timestamps, locations, metadata or "
                                  "reserved slots")

    get_timestamp = set_timestamp = timestamps = locations = _lacks
    set_metadata = get_metadata = set_reserved = get_reserved = _lacks


def open(file_path: Path, flag: str = "r", key_serializer: Any = None,
         value_serializer: Any = None, n_buckets: int = _DEFAULT_BUCKETS,
         buffer_size: int = 1 << 22, init_timestamps: bool = True,
         init_bytes: bytes | None = None, timeout: float | None = None, *,
         snapshot: bool = False, engine: str | None = None,
         db: str | None = None) -> VariableLengthValue:
    """Open a store; VariableLengthValue has the arguments."""
    return VariableLengthValue(
        file_path, flag, key_serializer, value_serializer, n_buckets,
        buffer_size, init_timestamps, init_bytes, timeout, snapshot=snapshot,
        engine=engine, db=db)


def _reopened(kind: Any, path: str, own: tuple[Any, Any],
              timeout: float | None, snapshot: bool, engine: str | None,
              db: str | None) -> _Store:
    store: _Store = kind.__new__(kind)
    _Store.__init__(store, path, "r", *own, 0, _DEFAULT_BUCKETS, True, None,
                    timeout, snapshot, engine, db)
    return store


def _spill(buffer: io.BytesIO) -> str:
    """The contents as a file that the engine can open."""
    fd, path = tempfile.mkstemp(suffix=".blt")
    with os.fdopen(fd, "wb") as file:
        file.write(buffer.getbuffer())
    return path


def _write_template(path: str, head: bytes, fixed: bool) -> None:
    """A new, empty file with the header of another one."""
    head = bytes(head[:_HEADER])
    if len(head) < _HEADER or head[:16] != (_FIXED if fixed else _VARIABLE):
        raise ValueError("init_bytes does not begin with the header of such "
                         "a store")
    n_buckets = int.from_bytes(head[21:25], "little")
    if not 0 < n_buckets <= 20736017:
        raise ValueError(f"init_bytes has {n_buckets} buckets")
    # no keys, and the index right after the header
    head = head[:33] + bytes(4) + head[37:65] + bytes(_HEADER - 65)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(head + b"\1\0\0\0\0\0" * n_buckets)
