"""mountlib - for the tests of the mount in Python.

    with Mount("create") as m:        a store, mounted; the working directory
        write("f", b"x")              is its root
        with fails(errno.ENOENT):
            os.unlink("g")
        m.remount()

BLT_ENGINE says which kind of store a new one is; tests that are to run with
each have a wrapper that sets it.

At the end the daemon must have ended well and in silence, but for what the test
took with m.said(), and the store must be sound, and one that Python loads.
"""

import contextlib
import ctypes
import errno
import os
import subprocess
import tempfile

import daemonlib
from places import BLT

CHECKED = 256 << 20  # the checker takes several times that much memory
ENGINE = os.environ.get("BLT_ENGINE", "booklet")
KEEPS_TIMES = ENGINE != "lmdb"
NOREPLACE, EXCHANGE = 1, 2
libc = ctypes.CDLL(None, use_errno=True)


def new_store(directory, name="kv.blt"):
    """A path in a directory of the test's, or a URL that nobody else has."""
    if ENGINE != "postgresql":
        return os.path.join(directory, name)
    url = os.environ["BLT_TEST_POSTGRES"]
    join = "&" if "?" in url else "?"
    return f"{url}{join}store={os.path.basename(directory)}-{name}"


class Mount:
    """A store in a directory of its own, mounted; the daemon's messages must
    be those that the test takes with said()."""

    def __init__(self, *options):
        if "create" in options and ENGINE != "booklet":
            options += (f"engine={ENGINE}",)
        self.options = options
        self.dir = tempfile.mkdtemp()
        self.store = new_store(self.dir)
        self.mnt = os.path.join(self.dir, "mnt")
        # what a store in PostgreSQL says first
        self.messages = ["what is synced is on"]
        os.mkdir(self.mnt)

    def start(self):
        self.log = open(os.path.join(self.dir, "log"), "w+b")
        self.daemon = daemonlib.start(self.store, self.mnt, self.options,
                                      self.log)

    def stop(self):
        daemonlib.end(self.daemon, self.mnt, self.log)
        said = [line for line in daemonlib.said(self.log).splitlines()
                if not any(m in line for m in self.messages)]
        assert not said, said
        subprocess.run([BLT, "check", "-q", self.store], check=True)
        if ENGINE == "booklet" and os.path.getsize(self.store) <= CHECKED:
            daemonlib.check(self.store)

    def remount(self):
        os.chdir("/")
        self.stop()
        self.start()
        os.chdir(self.mnt)

    def said(self, text):
        assert text in daemonlib.said(self.log), text
        self.messages.append(text)

    def __enter__(self):
        self.start()
        os.chdir(self.mnt)
        return self

    def __exit__(self, kind, *_):
        os.chdir("/")
        if kind is None:
            self.stop()
        else:
            daemonlib.give_up(self.daemon, self.mnt, self.log)
        subprocess.run(["rm", "-rf", self.dir], check=True)


@contextlib.contextmanager
def fails(code):
    try:
        yield
    except OSError as e:
        assert e.errno == code, (e, errno.errorcode[code])
    else:
        raise AssertionError(f"did not fail with {errno.errorcode[code]}")


def eventually(what):
    """The last close is told to the daemon behind the caller's back."""
    daemonlib.until("what comes behind a close", what)


def write(path, data):
    with open(path, "wb") as f:
        f.write(data)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def renameat2(one, two, flags):
    if libc.renameat2(-100, os.fsencode(one), -100, os.fsencode(two), flags):
        raise OSError(ctypes.get_errno(), one)
