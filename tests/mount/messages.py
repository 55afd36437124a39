#!/usr/bin/env python3
"""How many messages the kernel sends for each operation: no more than the table
in doc/messages.md says.  What is sent is read from the log of "bltfs -d -s".
MESSAGES_CSV names a file that is to have what was counted."""

import collections
import csv
import os
import re
import subprocess
import sys
import tempfile

import daemonlib
from places import BLTFS, CHECKER, TOP

TABLE = os.path.join(TOP, "doc", "messages.md")
CSV = os.environ.get("MESSAGES_CSV") and os.path.abspath(
    os.environ["MESSAGES_CSV"])
FILES = 100
ATTEMPTS = 5  # a machine short of memory forgets what it has just learnt
BYTES = os.urandom(1 << 20)


def read(path):
    with open(path, "rb", buffering=0) as f:
        return f.read()


def write(path, data, mode="wb"):
    with open(path, mode, buffering=0) as f:
        f.write(data)


def write_synced(path):
    with open(path, "wb", buffering=0) as f:
        f.write(b"x")
        os.fsync(f.fileno())


def list_with_sizes():
    with os.scandir("d") as it:
        for e in it:
            e.stat()


def map_and_change():
    import mmap
    with open("f", "r+b", buffering=0) as f:
        with mmap.mmap(f.fileno(), 0) as m:
            m[0:1] = b"y"
            m.flush()


# as doc/messages.md names them, in this order
OPERATIONS = (
    ("look at a file for the first time", lambda: os.stat("f")),
    ("look at it again", lambda: os.stat("f")),
    ("look for a name that is not there", lambda: os.path.exists("none")),
    ("look for it again", lambda: os.path.exists("none")),
    ("open, read and close a small file", lambda: read("f")),
    ("the same again", lambda: read("f")),
    ("create, write and close a file", lambda: write("g", b"x")),
    ("read it back", lambda: read("g")),
    ("overwrite it", lambda: write("g", b"y" * 100)),
    ("append to it", lambda: write("g", b"z", "ab")),
    ("overwrite it and fsync", lambda: write_synced("g")),
    ("write 1 MiB to it", lambda: write("g", BYTES)),
    ("change a byte of a file through a mapping", map_and_change),
    ("set its time", lambda: os.utime("g", (1, 2))),
    ("change its mode", lambda: os.chmod("g", 0o600)),
    ("truncate it by name", lambda: os.truncate("g", 5)),
    ("rename it to a new name", lambda: os.rename("g", "h")),
    ("rename it over another file", lambda: os.rename("h", "f")),
    ("remove a file", lambda: os.unlink("f")),
    ("make a directory", lambda: os.mkdir("new")),
    ("remove a directory", lambda: os.rmdir("new")),
    ("make a symbolic link", lambda: os.symlink("f", "l")),
    ("read a symbolic link", lambda: os.readlink("l")),
    ("read it again", lambda: os.readlink("l")),
    (f"list {FILES} names", lambda: os.listdir("d")),
    ("list them again", lambda: os.listdir("d")),
    ("list them with their sizes", list_with_sizes),
)


class Log:
    """Messages by name, as they come; statfs, which the daemon logs before it
    answers, is the mark behind an operation."""

    def __init__(self, path):
        self.file = open(path, encoding="utf-8", errors="replace")

    def until_statfs(self):
        seen = collections.Counter()
        os.statvfs(".")
        for got in re.finditer(r"opcode: (\w+)", self.file.read()):
            if got[1] == "STATFS":
                return seen
            if "FORGET" not in got[1]:
                seen[got[1]] += 1
        raise AssertionError("no statfs in the log")


def table():
    """Operation -> the messages allowed, from the table in the document."""
    rows = {}
    with open(TABLE, encoding="utf-8") as f:
        for line in f:
            cells = [c.strip() for c in line.strip().strip("|").split("|")]
            if len(cells) == 2 and not set(cells[0]) <= set("-: "):
                words = re.findall(r"(?:(\d+) )?([A-Z]{3,})", cells[1])
                rows[cells[0]] = {w: int(n or 1) for n, w in words}
    return rows


def prepare(mnt):
    """Files that the kernel of the next mount knows nothing of."""
    os.mkdir(os.path.join(mnt, "d"))
    os.mkdir(os.path.join(mnt, "empty"))
    for i in range(FILES):
        write(os.path.join(mnt, "d", str(i)), b"x")
    write(os.path.join(mnt, "f"), b"some bytes")


def record(rows):
    """As bench/results has it: what was counted in the attempt that counts."""
    if not CSV:
        return
    with open(CSV, "w", newline="", encoding="utf-8") as f:
        out = csv.writer(f, lineterminator="\n")
        out.writerow(["operation", "messages", "number"])
        out.writerows(rows)


def measure(log, allowed):
    bad, rows = [], []
    for name, operation in OPERATIONS:
        operation()
        seen = log.until_statfs()
        text = " ".join(f"{n} {w}" if n > 1 else w for w, n in seen.items())
        print(f"| {name} | {text or 'none'} |", flush=True)
        rows.append((name, text, sum(seen.values())))
        if name not in allowed:
            bad.append(f"{name}: not in the table")
        elif sum(seen.values()) > sum(allowed[name].values()):
            bad.append(f"{name}: {text}")
    if not bad:
        record(rows)
    return bad


def attempt(allowed):
    with tempfile.TemporaryDirectory() as tmp:
        store, mnt = os.path.join(tmp, "kv.blt"), os.path.join(tmp, "mnt")
        os.mkdir(mnt)
        subprocess.run([BLTFS, store, mnt, "-o", "create"], check=True)
        prepare(mnt)
        subprocess.run([os.environ["BLT"], "umount", mnt], check=True)
        path = os.path.join(tmp, "log")
        with open(path, "w", encoding="utf-8") as said:
            daemon = subprocess.Popen([BLTFS, "-d", "-s", store, mnt],
                                      stderr=said)
        daemonlib.mounted(daemon, mnt)
        try:
            os.chdir(mnt)
            log = Log(path)
            os.listdir("empty")  # waits until the names have been walked
            write("warm", b"x")  # one question about attributes is asked once
            log.until_statfs()
            bad = measure(log, allowed)
        finally:
            os.chdir("/")
            daemonlib.unmount(mnt)
        assert daemon.wait() == 0
        subprocess.run([sys.executable, CHECKER, "--loads", store], check=True)
    return bad


def main():
    if not os.path.exists("/dev/fuse"):
        print("no /dev/fuse")
        return 77
    allowed = table()
    for _ in range(ATTEMPTS):
        bad = attempt(allowed)
        if not bad:
            return 0
    sys.exit("more than doc/messages.md says:\n" + "\n".join(bad))


if __name__ == "__main__":
    sys.exit(main())
