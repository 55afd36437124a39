"""What the tests of the control directory share: mounts of one store, and how
its daemon is asked.

    with controllib.Mount(store, "create") as m:      m.path is its directory
        ...
The daemon runs in the foreground; at the end it must have gone well, and said
only what was expected (m.expect, a regular expression)."""

import atexit
import os
import re
import shutil
import subprocess
import sys
import tempfile

import daemonlib
from daemonlib import LIMIT, until
from places import BLT, BLTFS

if not os.path.exists("/dev/fuse"):
    print("no /dev/fuse")
    sys.exit(77)


def directory():
    path = tempfile.mkdtemp(prefix="bltfs-test.")
    os.chmod(path, 0o755)
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


ENGINE = os.environ.get("BLT_ENGINE", "booklet")


def check(store):
    """Python would open it, and load each item; or LMDB would."""
    if ENGINE == "booklet":
        daemonlib.check(store)
    else:
        subprocess.run([BLT, "check", "-q", store], check=True)


class Mount:
    def __init__(self, store, options="", expect=None):
        if ENGINE != "booklet" and "create" in options.split(","):
            options += f",engine={ENGINE}"
        self.store, self.options, self.expect = store, options, expect
        self.path = tempfile.mkdtemp(
            prefix="mnt.",
            dir=None if "://" in store else os.path.dirname(store))
        os.chmod(self.path, 0o755)
        self.log = tempfile.TemporaryFile()
        self.daemon = None

    def __enter__(self):
        self.daemon = daemonlib.start(
            self.store, self.path, [self.options] if self.options else [],
            self.log)
        return self

    def said(self):
        return daemonlib.said(self.log)

    def kill(self):
        self.daemon.kill()
        self.daemon.wait()
        subprocess.run(["umount", "-l", self.path], check=True)

    def __exit__(self, kind, value, trace):
        if kind is not None:
            daemonlib.give_up(self.daemon, self.path, self.log)
            return
        if self.daemon.poll() is None:
            daemonlib.end(self.daemon, self.path, self.log)
        for line in self.said().splitlines():
            if "what is synced is on" in line:
                continue  # what a store in PostgreSQL says first
            assert self.expect and re.search(self.expect, line), line
        os.rmdir(self.path)

    # ---- the control directory ----

    def control(self, *names):
        return os.path.join(self.path, ".bltfs", *names)

    def tell(self, line):
        """Writes a command; the reply.  OSError where it is refused."""
        fd = os.open(self.control("control"), os.O_RDWR)
        try:
            data = line.encode() + b"\n"
            while data:
                data = data[os.write(fd, data):]
            return os.read(fd, 4096).decode().rstrip("\n")
        finally:
            os.close(fd)

    def lines(self, *names):
        """A file of keys and values as a dictionary."""
        with open(self.control(*names), encoding="utf-8") as f:
            return dict(line.rstrip("\n").split(" ", 1) for line in f)

    def ended(self, job):
        """The status of a job, once it has ended."""
        def look():
            status = self.lines("jobs", str(job), "status")
            return status["state"] not in ("queued", "running") and status
        return until(f"the end of job {job}", look)
