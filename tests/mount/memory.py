#!/usr/bin/env python3
"""A mount in a control group with little memory: many files of half a megabyte
that are open at once do not get the daemon killed."""

import os
import resource
import sys

import daemonlib
from mountlib import Mount, read

LIMIT = 128 << 20
FILES, SIZE = 400, 500_000


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
    finally:
        enter(os.path.dirname(group))
        daemonlib.until("the group is empty", lambda: not os.path.isdir(group)
                        or not open(f"{group}/cgroup.procs").read())
        os.rmdir(group)
    return 0


sys.exit(main())
