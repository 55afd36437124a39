#!/usr/bin/env python3
"""A mount ends while a job changes what the kernel knows, by an unmount or a
signal, also under readers: the daemon ends well and has nothing to say.
ROUNDS: how often each."""

import os
import signal
import threading

import controllib
import toollib as t
from controllib import Mount, check

work = controllib.directory()
store = os.path.join(work, "kv.blt")
ROUNDS = int(os.environ.get("ROUNDS", "3"))
FILES = 600


def fill():
    t.ok("create", store)
    t.load(store, {b"d%d/%d" % (i % 5, i): b"value %d" % i
                   for i in range(FILES)})


def read_all(m):
    for where, _, names in os.walk(m.path):
        for name in names:
            try:
                with open(os.path.join(where, name), "rb") as f:
                    f.read()
            except OSError:
                pass  # deleted, or the mount has gone


class Readers:
    """Some that read everything again and again, until the mount goes."""

    def __init__(self, m, n):
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(m,))
                        for _ in range(n)]
        for thread in self.threads:
            thread.start()

    def run(self, m):
        while not self.stop.is_set():
            read_all(m)

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()


def check_unmounted():
    for _ in range(ROUNDS):
        fill()
        with Mount(store) as m:
            read_all(m)
            t.ok("clear", "--detach", m.path)
        check(store)
        os.unlink(store)


def check_signalled():
    """The kernel waits for an answer where the daemon tells it of a change:
    somebody has to give it."""
    for _ in range(ROUNDS):
        fill()
        with Mount(store) as m:
            readers = Readers(m, 4)
            t.ok("map", "--detach", m.path, "--builtin", "upper")
            m.daemon.send_signal(signal.SIGTERM)
            code = m.daemon.wait(controllib.LIMIT)
            readers.end()
            assert code == 0, (code, m.said())
        values = t.items(store)
        assert sorted(values) == sorted(
            b"d%d/%d" % (i % 5, i) for i in range(FILES))
        assert all(v.upper() == b"VALUE " + k.split(b"/")[1]
                   for k, v in values.items()), values
        check(store)
        os.unlink(store)


check_unmounted()
check_signalled()
