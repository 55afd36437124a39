#!/usr/bin/env python3
"""Where the results of a map of a mount cannot go, or can no longer: another
store that is locked, on a full disk, on one for reading, or the input itself
by another name."""

import os
import subprocess
import sys

import controllib
import toollib as t
from controllib import Mount, check
from maplib import put, values

work = controllib.directory()
store = os.path.join(work, "kv.blt")
disk = os.path.join(work, "disk")
FILES = {f"k{i}": b"v%d" % i for i in range(20)}


def content(path):
    return os.path.exists(path) and open(path, "rb").read()


def refused(m, other, *texts, how=("--create",), mounted=False):
    """By a job of its own, which says why; the input stays, and so does what
    the other had, but for what its daemon does to it where it is mounted."""
    before = mounted or content(other)
    done = t.run("map", m.path, "--to", other, *how, "--lock-timeout", "0",
                 "--builtin", "upper")
    said = done.stderr.decode()
    assert done.returncode not in (0, 70), done
    for text in texts:
        assert text in said, (text, said)
    assert values(m) == FILES, "the input"
    assert mounted or content(other) == before


def check_locked(m):
    other = os.path.join(work, "locked.blt")
    t.ok("create", other)
    with Mount(other):
        refused(m, other, "in use", mounted=True)
    done = t.run("map", "-q", m.path, "--to", other, "--builtin", "upper")
    assert done.returncode == 0, done
    check(other)


def check_itself(m):
    for name, link in (("hard", os.link), ("soft", os.symlink)):
        path = os.path.join(work, name)
        link(store, path)
        for how in ("--create",), ():
            refused(m, path, "is the store that is read", how=how,
                    mounted=True)
        os.unlink(path)
    refused(m, os.path.join(work, ".", "kv.blt"), "is the store that is read",
            mounted=True)


def check_absent(m):
    refused(m, os.path.join(work, "absent.blt"), "absent.blt", how=())
    refused(m, os.path.join(work, "no", "dir.blt"), "dir.blt")
    refused(m, __file__, "mapto.py", how=())
    # as it was given, whatever the daemon is told
    t.refused(t.NOINPUT, "blt map: absent.blt: there is no such store",
              args=["map", m.path, "--to", "absent.blt", "--builtin", "upper"],
              cwd=work)


def mount_disk():
    """A filesystem of a few megabytes; whether that can be."""
    image = os.path.join(work, "image")
    os.mkdir(disk)
    with open(image, "wb") as f:
        f.truncate(8 << 20)
    for command in (["mkfs.ext4", "-q", "-F", "-m", "0", image],
                    ["mount", "-o", "loop", image, disk]):
        try:
            done = subprocess.run(command, stderr=subprocess.DEVNULL,
                                  check=False)
        except FileNotFoundError:
            return False
        if done.returncode:
            return False
    return True


def fill_up(m, script):
    """A map for whose results there is no room on the disk; the other store,
    which is whole."""
    other = os.path.join(disk, "full.blt")
    t.ok("create", "--buckets", "7", other)
    done = t.run("map", m.path, "--to", other, "--", "sh", "-c", script)
    assert done.returncode not in (0, 70), done
    assert b"No space left" in done.stderr or b"disk is full" in done.stderr, (
        done.stderr)
    assert values(m) == FILES
    t.ok("check", "-q", other)
    return other


def check_full(m):
    """What was committed before stays."""
    other = fill_up(m, "head -c 700000 /dev/zero")
    for key in t.ok("ls", other).split():
        assert t.ok("get", other, key.decode()) == bytes(700000), key
    # with room again, the same map does it
    os.unlink(other)
    t.ok("map", "-q", m.path, "--to", other, "--create", "--builtin", "upper")
    check(other)
    os.unlink(other)


def check_filled(m):
    """The function itself takes the room that its results would need."""
    filler = os.path.join(disk, "filler")
    other = fill_up(m, f"head -c 16777216 /dev/zero >>{filler}; "
                    "head -c 700000 /dev/zero")
    os.unlink(filler)
    t.ok("map", "-q", m.path, "--to", other, "--builtin", "upper")
    check(other)


def check_read_only_disk(m):
    other = os.path.join(disk, "full.blt")
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    refused(m, other, "ead", how=())
    refused(m, os.path.join(disk, "new.blt"), "ead")


def main():
    with Mount(store, "create", expect="job .* failed: ") as m:
        for name, data in FILES.items():
            put(m, name, data)
        if t.can("lock"):
            check_locked(m)
        check_itself(m)
        check_absent(m)
        if not mount_disk():
            print("no loop filesystem could be mounted: full and read-only "
                  "are left out", file=sys.stderr)
            return
        try:
            check_full(m)
            check_filled(m)
            check_read_only_disk(m)
        finally:
            subprocess.run(["umount", "-l", disk], check=True)
    check(store)


main()
