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
import select
import struct
import sys
import time

HEAD = struct.Struct("<3scIQQq")
NO_TIME = -1 << 63
TAKES_PLACES = 1
ANSWERS_LATE = 2
WANTS_SHIFT = 8
LATE = 0.001  # seconds that an answer may wait for others
STORE_FD = 3


class Skip(Exception):
    """Leaves the key alone."""


class ItemError(Exception):
    """What is said of an item that failed is its text alone."""


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


def _call(function, items):
    """The results of each item, or the exception that it ended in."""
    try:
        given = list(function(items))
        if len(given) != len(items):
            raise ValueError(f"{len(given)} results came of {len(items)} "
                             "items; expected is one for each")
        return [_results(one) for one in given]
    except Skip:
        if len(items) == 1:
            return [[]]
    except Exception as error:  # one item's own; the next may be better
        if len(items) == 1:
            return [error]
    # one of them spoils it for all: each alone
    return [result for item in items for result in _call(function, [item])]


def _answer(out, number, results):
    if isinstance(results, Exception):
        why = str(results)
        if not isinstance(results, ItemError):
            why = f"{type(results).__name__}: {why}"
        _send(out, b"E", number, value=why.encode(errors="replace"))
        return
    for key, value in results:
        if key is None:
            _send(out, b"S", number, value=value)
        else:
            _send(out, b"R", number, key, value)
    _send(out, b"D", number)


class _Server:
    """Collects up to n items and has the function work on them."""

    def __init__(self, function, n):
        self.function, self.n = function, n
        self.out = standard_output()
        self.numbers, self.items = [], []
        self.sent = time.monotonic()

    def work(self):
        results = _call(self.function, self.items) if self.items else []
        for number, result in zip(self.numbers, results):
            _answer(self.out, number, result)
        self.numbers, self.items = [], []
        # a slow item's answer waits for no other
        now = time.monotonic()
        if now - self.sent > LATE:
            self.out.flush()
            self.sent = now

    def idle(self):
        if self.items and select.select([0], [], [], LATE)[0]:
            return  # not so idle
        self.work()
        self.out.flush()

    def serve(self):
        _send(self.out, b"H",
              TAKES_PLACES | ANSWERS_LATE | self.n << WANTS_SHIFT)
        self.out.flush()
        for number, key, value in _items(_Source(self.idle)):
            self.numbers.append(number)
            self.items.append((key, value))
            if len(self.items) == self.n:
                self.work()
        self.work()
        self.out.flush()


_output = None


def standard_output():
    """Where frames go; what is printed goes to standard error from now on."""
    global _output
    if not _output:
        _output = os.fdopen(os.dup(1), "wb", 1 << 14)
        os.dup2(2, 1)
        sys.stdout = sys.stderr
    return _output


def refuse(why):
    """No item will ever work."""
    out = standard_output()
    _send(out, b"F", 0, value=why.encode(errors="replace"))
    out.flush()


def serve(function):
    """Hands items to the function until there are no more."""
    _Server(lambda items: [function(*items[0])], 1).serve()
    return function


def serve_many(function, n):
    """The same for a function of a list of up to n (key, value), which gives a
    list of what serve's would for each.  Where it fails it is called again with
    each of them alone."""
    _Server(function, n).serve()
