"""pgwarden - where the servers of a test (pglib) live, as whom, and how they end.

    path = base().path      the directory of this test's servers, below /tmp

With the first of them a process is started, the warden.  It reads a pipe that only the
test holds open; when that ends, because the test ended or was killed, it ends the
servers and removes the directory.  It is this file, run as a program.
"""

import atexit
import ctypes
import glob
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

LIMIT = 60  # seconds; only a hang comes near it
TOOLS = ("postgres", "initdb", "pg_basebackup")


def until(what, condition, limit=LIMIT):
    """Waits until condition() is true, and returns it."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError(f"waited in vain: {what}")


def binaries():
    """The directory of the newest server's programs, or None."""
    found = [(int(path.split("/")[4]), path)
             for path in glob.glob("/usr/lib/postgresql/[0-9]*/bin")
             if os.access(path + "/initdb", os.X_OK)]
    if found:
        return max(found)[1]
    initdb = shutil.which("initdb")
    return initdb and os.path.dirname(os.path.realpath(initdb))


def need():
    """Ends a test where no server can be run."""
    if not binaries():
        skip("no PostgreSQL server is installed (package postgresql)")
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        skip(f"initdb requires a user with a name, and {os.getuid()} has none")


def skip(why):
    print(why)
    sys.exit(77)


def owner():
    """What Popen is told so that a server runs as its user; none for others
    than root."""
    if os.getuid():
        return {}
    for name in ("postgres", "nobody"):
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": found.pw_uid, "group": found.pw_gid,
                "extra_groups": []}
    return skip("root cannot run PostgreSQL, and there is no user nobody")


def own(path):
    """Gives a file to the user whom the servers run as."""
    who = owner()
    if who:
        os.chown(path, who["user"], who["group"])


class Base:
    """The directory of this test's servers, and the warden."""

    def __init__(self):
        self.path = tempfile.mkdtemp(prefix="blt-pg.", dir="/tmp")
        os.chmod(self.path, 0o755)
        self.pid = os.getpid()
        self.count = 0
        self.warden = subprocess.Popen(
            [sys.executable, os.path.abspath(__file__), self.path],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            start_new_session=True)
        atexit.register(self.end)

    def end(self):
        if os.getpid() == self.pid:
            self.warden.stdin.close()
            self.warden.wait()


BASE = None


def base():
    global BASE
    if not BASE or BASE.pid != os.getpid():
        BASE = Base()
    return BASE


def processes(name):
    """The processes of servers whose title or command has the name in it: a
    server's processes have its cluster_name in their titles."""
    found = []
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            with open(path, "rb") as file:
                command = file.read().decode(errors="replace")
        except OSError:
            continue
        program = os.path.basename(command.split("\0")[0].split(":")[0])
        if program in TOOLS and re.search(re.escape(name) + r"(?!\w)", command):
            found.append(int(path.split("/")[2]))
    return found


def send(pids, number):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def shared_memory(data):
    """Removes the segment of a server that was killed."""
    try:
        with open(data + "/postmaster.pid", encoding="ascii") as file:
            segment = int(file.read().splitlines()[6].split()[1])
    except (OSError, IndexError, ValueError):
        return
    ctypes.CDLL(None).shmctl(segment, 0, None)


def watch(path):
    """The warden: ends what has been started below path once the test ended."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    name = os.path.basename(path)
    for number, seconds in ((signal.SIGQUIT, 3), (signal.SIGKILL, 60)):
        end = time.monotonic() + seconds
        while processes(name) and time.monotonic() < end:
            send(processes(name), number)
            send(processes(name), signal.SIGCONT)
            time.sleep(0.02)
    for data in glob.glob(path + "/*/data"):
        shared_memory(data)
    for small in glob.glob(path + "/*/small"):
        if os.path.ismount(small):
            subprocess.run(["umount", "-l", small], check=False)
    shutil.rmtree(path, ignore_errors=True)


if __name__ == "__main__":
    watch(sys.argv[1])
