"""Workers for "blt map --framed" in Python: one function, and this file.

    from blt_worker import serve, Skip

    @serve
    def work(key, value):
        yield key + b".len", b"%d" % len(value)

The function gets key and value as bytes.  It may return a value for the same
key, return or yield any number of (key, value), or return None or raise Skip
to leave the key alone.  What else it raises is an error of that item.  print()
goes to standard error.  blt-map(7) has the protocol.
"""

import os
import struct
import sys
import time

HEAD = struct.Struct("<3scIQQq")
NO_TIME = -1 << 63
TAKES_PLACES = 1
ANSWERS_LATE = 2
LATE = 0.001  # seconds that an answer may wait for others
STORE_FD = 3


class Skip(Exception):
    """Leaves the key alone."""


def _send(out, kind, number, key=b"", value=b""):
    out.write(HEAD.pack(b"BM1", kind, len(key), len(value), number, NO_TIME))
    out.write(key)
    out.write(value)


class _Source:
    """What comes; before it has to wait for more, idle is called."""

    def __init__(self, idle):
        self.data, self.at, self.idle = b"", 0, idle

    def read(self, n):
        """n bytes, or none at the end."""
        have = len(self.data) - self.at
        if have < n:
            parts = [self.data[self.at:]]
            self.idle()
            while have < n:
                part = os.read(0, max(n - have, 1 << 16))
                if not part:
                    return b""
                parts.append(part)
                have += len(part)
            self.data, self.at = b"".join(parts), 0
        self.at += n
        return self.data[self.at - n:self.at]


def _items(source):
    """(number, key, value) until there are no more."""
    while head := source.read(HEAD.size):
        _, kind, key_len, value_len, number, _ = HEAD.unpack(head)
        key, value = source.read(key_len), source.read(value_len)
        if kind == b"P":
            position, length = struct.unpack("<QQ", value)
            value = _read_store(position, length)
        yield number, key, value


def _read_store(position, length):
    parts = []
    while length:
        part = os.pread(STORE_FD, min(length, 1 << 30), position)
        if not part:
            raise EOFError("the store's file was cut short")
        parts.append(part)
        position += len(part)
        length -= len(part)
    return b"".join(parts)


def _results(given):
    """What a function gave, as a list of (key or None, value)."""
    if given is None:
        return []
    if isinstance(given, (bytes, bytearray, memoryview)):
        return [(None, bytes(given))]
    if isinstance(given, tuple):
        return [given]
    return list(given)


def _answer(out, number, function, key, value):
    try:
        results = _results(function(key, value))
    except Skip:
        results = []
    except Exception as error:  # one item's own; the next may be better
        why = f"{type(error).__name__}: {error}"
        _send(out, b"E", number, value=why.encode(errors="replace"))
        return
    for new_key, new_value in results:
        if new_key is None:
            _send(out, b"S", number, value=new_value)
        else:
            _send(out, b"R", number, new_key, new_value)
    _send(out, b"D", number)


def serve(function):
    """Hands items to the function until there are no more."""
    out = os.fdopen(os.dup(1), "wb", 1 << 14)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    source = _Source(out.flush)
    _send(out, b"H", TAKES_PLACES | ANSWERS_LATE)
    sent = time.monotonic()
    for number, key, value in _items(source):
        _answer(out, number, function, key, value)
        # a slow item's answer waits for no other
        now = time.monotonic()
        if now - sent > LATE:
            out.flush()
            sent = now
    out.flush()
    return function
