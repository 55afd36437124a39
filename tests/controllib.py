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
import time

HERE = os.path.dirname(os.path.abspath(__file__))
BLT = os.environ.get("BLT", os.path.join(HERE, "..", "build", "blt"))
BLTFS = os.environ.get("BLTFS", os.path.join(HERE, "..", "build", "bltfs"))
LIMIT = 300  # seconds; only a hang comes near it

if not os.path.exists("/dev/fuse"):
    print("no /dev/fuse")
    sys.exit(77)


def directory():
    path = tempfile.mkdtemp(prefix="bltfs-test.")
    os.chmod(path, 0o755)
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


def until(what, condition):
    """Waits until condition() is true, and returns it."""
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError(f"waited in vain: {what}")


class Mount:
    def __init__(self, store, options="", expect=None):
        self.store, self.options, self.expect = store, options, expect
        self.path = tempfile.mkdtemp(prefix="mnt.", dir=os.path.dirname(store))
        os.chmod(self.path, 0o755)
        self.log = tempfile.TemporaryFile()
        self.daemon = None

    def _live(self):
        if self.daemon.poll() is not None:
            raise AssertionError(f"no mount: {self.said()}")
        return os.path.ismount(self.path)

    def __enter__(self):
        options = ["-o", self.options] if self.options else []
        self.daemon = subprocess.Popen(
            [BLTFS, "-f", self.store, self.path, *options], stderr=self.log)
        until("the mount", self._live)
        return self

    def said(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def kill(self):
        self.daemon.kill()
        self.daemon.wait()
        subprocess.run(["umount", "-l", self.path], check=True)

    def __exit__(self, kind, value, trace):
        if kind is not None:
            subprocess.run(["fusermount3", "-uz", self.path], check=False)
            self.daemon.kill()
            self.daemon.wait()
            print(self.said(), file=sys.stderr)
            return
        if self.daemon.poll() is None:
            subprocess.run(["fusermount3", "-u", self.path], check=True)
            code = self.daemon.wait(LIMIT)
            assert code == 0, f"the daemon ended with {code}: {self.said()}"
        for line in self.said().splitlines():
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


def check(store):
    """Python would open it, and load each item."""
    subprocess.run([sys.executable, os.path.join(HERE, "checker.py"),
                    "--loads", store], check=True)
