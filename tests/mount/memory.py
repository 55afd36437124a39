#!/usr/bin/env python3
"""A mount in a control group with little memory: many files of half a megabyte
that are open at once, and long values and maps of an LMDB environment, do not
get the daemon killed."""

import errno
import os
import resource
import subprocess
import sys

import daemonlib
from mountlib import ENGINE, Mount, fails, read, write
from places import BLT

LIMIT = 128 << 20
FILES, SIZE = 400, 500_000
KEYS = 2000


def groups():
    """(the control group of this process, its limit's file), of v1 and v2."""
    with open("/proc/self/cgroup", encoding="ascii") as lines:
        for line in lines:
            _, controllers, path = line.rstrip("\n").split(":", 2)
            path = path.rstrip("/")
            if controllers == "memory":
                yield f"/sys/fs/cgroup/memory{path}", "memory.limit_in_bytes"
            elif not controllers:
                yield f"/sys/fs/cgroup{path}", "memory.max"


def make_group():
    """A new one with the limit, or None."""
    for parent, name in groups():
        group = f"{parent}/bltfs-test-{os.getpid()}"
        try:
            os.mkdir(group)
        except OSError:
            continue
        try:
            with open(f"{group}/{name}", "w", encoding="ascii") as limit:
                limit.write(str(LIMIT))
            return group
        except OSError:
            os.rmdir(group)
    return None


def enter(group):
    with open(f"{group}/cgroup.procs", "w", encoding="ascii") as procs:
        procs.write(str(os.getpid()))


def check_many_open(group):
    """The daemon alone is in the group."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES + 100, FILES + 100))
    enter(group)
    with Mount("create"):
        enter(os.path.dirname(group))
        held = [open(str(i), "wb", buffering=0) for i in range(FILES)]
        for i, f in enumerate(held):
            f.write(bytes([i % 251]) * SIZE)
        for f in held:
            f.close()
        for i in range(FILES):
            assert read(str(i)) == bytes([i % 251]) * SIZE, i


def check_lmdb(group):
    """LMDB has what a transaction puts in memory."""
    enter(group)
    with Mount("create") as m:
        enter(os.path.dirname(group))
        with open("long", "wb", buffering=0) as f:
            for _ in range(LIMIT // 2 >> 20):
                f.write(b"x" * (1 << 20))
            with fails(errno.EFBIG):
                f.write(b"y")
        assert os.path.getsize("long") == LIMIT // 2
        with fails(errno.EFBIG):
            os.truncate("long", 1 << 30)
        os.rename("long", "longer")
        os.unlink("longer")
        write("next", b"z")
        subprocess.run([BLT, "txn", "begin", m.mnt, "t"], check=True)
        for i in range(3):
            write(f".bltfs/txn/t/{i}", bytes(LIMIT // 4))
        done = subprocess.run([BLT, "txn", "commit", m.mnt, "t"],
                              capture_output=True, check=False)
        assert done.returncode and b"memory" in done.stderr, done
        subprocess.run([BLT, "txn", "abort", m.mnt, "t"], check=True)
        assert os.listdir(".") == ["next"]
        for i in range(KEYS):
            write(f"{i}", b"value")
        done = subprocess.run([BLT, "map", m.mnt, "--builtin", "wc"],
                              capture_output=True, check=True)
        assert done.stdout.startswith(b"%d processed, %d written" % (
            KEYS + 1, KEYS + 1)), done


def main():
    if os.environ.get("SANITIZERS", "no") != "no":
        print("a sanitizer needs more memory than the group has")
        return 77
    group = make_group()
    if not group:
        print("no control group with a memory limit can be made here")
        return 77
    try:
        check_many_open(group)
        if ENGINE == "lmdb":
            check_lmdb(group)
    finally:
        enter(os.path.dirname(group))
        daemonlib.until("the group is empty", lambda: not os.path.isdir(group)
                        or not open(f"{group}/cgroup.procs").read())
        os.rmdir(group)
    return 0


sys.exit(main())
