#!/usr/bin/env python3
"""A store that is overwritten again and again stays small by itself, and one
whose owner does not want that grows."""

import os
import sys

from daemonlib import until
from mountlib import Mount, read, write

MIB = 1 << 20


def stats(m):
    with open(os.path.join(m.mnt, ".bltfs/stats"), encoding="utf8") as f:
        lines = [line.split(None, 1) for line in f.read().splitlines()]
    return {line[0]: line[1] for line in lines if len(line) == 2}


def dead(m):
    return int(stats(m).get("dead_bytes", 0))


def overwrite(m, times):
    """Values of a MiB each, so that the store has written so many."""
    for i in range(times):
        write("again", bytes([i % 256]) * MIB)


def jobs(m):
    return [n for n in os.listdir(os.path.join(m.mnt, ".bltfs/jobs"))]


def test_small(m):
    write("kept", b"k" * 3 * MIB)
    overwrite(m, 300)
    until("the dead space is given back",
          lambda: os.path.getsize(m.store) < 80 * MIB)
    assert read("kept") == b"k" * 3 * MIB
    assert read("again") == bytes([299 % 256]) * MIB
    # only the last of them is listed
    until("one job is listed", lambda: len(jobs(m)) == 1)
    st = os.statvfs(".")
    assert st.f_bfree >= st.f_bavail + dead(m) // st.f_frsize


def test_deleted(m):
    """What is deleted, with hardly a byte written."""
    for i in range(100):
        write(f"f{i}", os.urandom(1) * MIB)
    for i in range(100):
        os.unlink(f"f{i}")
    until("the dead space is given back",
          lambda: os.path.getsize(m.store) < 80 * MIB)


def test_no(m):
    overwrite(m, 150)
    until("what is dead is known", lambda: dead(m) > 100 * MIB)
    assert jobs(m) == [] and os.path.getsize(m.store) > 150 * MIB
    assert float(stats(m)["dead_share"]) > 0.9


def test_exact(m):
    """What is counted as changes come is what a walk finds."""
    overwrite(m, 80)
    for i in range(200):
        write(f"d{i % 7}/f{i}", b"x" * i) if i > 6 else os.mkdir(f"d{i}")
    for i in range(50, 150):
        os.rename(f"d{i % 7}/f{i}", f"d{i % 7}/g{i}")
    for i in range(20, 40):
        os.unlink(f"d{i % 7}/f{i}")
    known = dead(m)
    m.remount()
    until("what is dead is known", lambda: "dead_bytes" in stats(m))
    # the log's records of the first mount, and what it had prepared, differ
    assert abs(dead(m) - known) < MIB, (dead(m), known)


TESTS = {
    test_small: ("commit=1",), test_deleted: ("commit=1",),
    test_no: ("autoprune=no",), test_exact: ("autoprune=no",),
}


def main():
    if not os.path.exists("/dev/fuse"):
        print("no /dev/fuse")
        return 77
    for test, options in TESTS.items():
        print(test.__name__, flush=True)
        with Mount("create", *options) as m:
            test(m)
    return 0


if __name__ == "__main__":
    sys.exit(main())
