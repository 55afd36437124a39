"""mountlib - for the tests of the mount in Python.

    with Mount("create") as m:        a store, mounted; the working directory
        write("f", b"x")              is its root
        with fails(errno.ENOENT):
            os.unlink("g")
        m.remount()

At the end the daemon must have ended well and in silence, but for what the test
took with m.said(), and the store must be sound, and one that Python loads.
"""

import contextlib
import ctypes
import errno
import os
import subprocess
import sys
import tempfile
import time

BLT, BLTFS = os.environ["BLT"], os.environ["BLTFS"]
TESTS = os.path.dirname(os.path.abspath(__file__))
CHECKED = 256 << 20  # the checker takes several times that much memory
NOREPLACE, EXCHANGE = 1, 2
libc = ctypes.CDLL(None, use_errno=True)


class Mount:
    """A store in a directory of its own, mounted; the daemon's messages must
    be those that the test takes with said()."""

    def __init__(self, *options):
        self.options = options
        self.dir = tempfile.mkdtemp()
        self.store = os.path.join(self.dir, "kv.blt")
        self.mnt = os.path.join(self.dir, "mnt")
        self.messages = []
        os.mkdir(self.mnt)

    def start(self):
        self.log = open(os.path.join(self.dir, "log"), "w+")
        command = [BLTFS, "-f", self.store, self.mnt]
        if self.options:
            command += ["-o", ",".join(self.options)]
        self.daemon = subprocess.Popen(command, stderr=self.log)
        for _ in range(6000):
            assert self.daemon.poll() is None, open(self.log.name).read()
            if os.path.ismount(self.mnt):
                return
            time.sleep(0.01)
        raise AssertionError("not mounted in time")

    def stop(self):
        # who looks at all mounts, as df does, holds it for a moment
        eventually(lambda: subprocess.run(["fusermount3", "-u", self.mnt],
                                          check=False).returncode == 0)
        assert self.daemon.wait() == 0, "exit code"
        said = [line for line in open(self.log.name)
                if not any(m in line for m in self.messages)]
        assert not said, said
        subprocess.run([BLT, "check", "-q", self.store], check=True)
        if os.path.getsize(self.store) > CHECKED:
            return
        subprocess.run([sys.executable, os.path.join(TESTS, "checker.py"),
                        "--loads", self.store], check=True)

    def remount(self):
        os.chdir("/")
        self.stop()
        self.start()
        os.chdir(self.mnt)

    def said(self, text):
        with open(self.log.name) as f:
            assert text in f.read(), text
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
            sys.stderr.write(open(self.log.name).read())
            subprocess.run(["fusermount3", "-u", "-z", self.mnt], check=False)
            self.daemon.kill()
            self.daemon.wait()
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
    for _ in range(3000):
        if what():
            return
        time.sleep(0.01)
    raise AssertionError("waited in vain")


def write(path, data):
    with open(path, "wb") as f:
        f.write(data)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def renameat2(one, two, flags):
    if libc.renameat2(-100, os.fsencode(one), -100, os.fsencode(two), flags):
        raise OSError(ctypes.get_errno(), one)
