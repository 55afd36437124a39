"""What the tests of a mount share (controllib, mountlib): a daemon in the
foreground, its start and its end; and waiting, without a word on how long.

BLT_IO_URING is its option io_uring: yes or no."""

import os
import subprocess
import sys
import time

from places import BLTFS, CHECKER

LIMIT = 300  # seconds; only a hang comes near it


def until(what, condition):
    """Waits until condition() is true, and returns it."""
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError(f"waited in vain: {what}")


def said(log):
    """What the daemon wrote to the file log, whose position is the daemon's."""
    size = os.fstat(log.fileno()).st_size
    return os.pread(log.fileno(), size, 0).decode(errors="replace")


def start(store, mnt, options, log):
    """The daemon, once the mount is there; options is a list."""
    command = [BLTFS, "-f", store, mnt]
    transport = os.environ.get("BLT_IO_URING")
    if transport and not any(o.startswith(("poll_us", "clone_fd"))
                             for o in options):
        options = [*options, f"io_uring={transport}"]
    if options:
        command += ["-o", ",".join(options)]
    daemon = subprocess.Popen(command, stderr=log)

    mounted(daemon, mnt, lambda: said(log))
    return daemon


def mounted(daemon, mnt, why=lambda: "the daemon ended"):
    """Waits for the mount of a daemon, whose end before that is an error."""
    def live():
        assert daemon.poll() is None, f"no mount: {why()}"
        return os.path.ismount(mnt)
    until("the mount", live)


def unmount(mnt):
    # who looks at all mounts, as df does, holds it for a moment
    until("unmounting", lambda: subprocess.run(
        ["fusermount3", "-u", mnt], check=False).returncode == 0)


def end(daemon, mnt, log):
    """Unmounts; the daemon must end well."""
    unmount(mnt)
    code = daemon.wait(LIMIT)
    assert code == 0, f"the daemon ended with {code}: {said(log)}"


def give_up(daemon, mnt, log):
    """The test has failed: what the daemon said may say why."""
    subprocess.run(["fusermount3", "-uz", mnt], check=False)
    daemon.kill()
    daemon.wait()
    print(said(log), file=sys.stderr)


def check(store):
    """Python would open it, and load each item."""
    subprocess.run([sys.executable, CHECKER,
                    "--loads", store], check=True)
