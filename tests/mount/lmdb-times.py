#!/usr/bin/env python3
"""Times of files on a mounted LMDB environment, which keeps none: a file's time
changes when its value does, whoever changes it, and never because of another
file; so editors, make, rsync and git do what they are asked to."""

import os
import shutil
import subprocess
import sys
import tempfile

import daemonlib
from lmdblib import lmdb
from places import BLT


def write(data, *path):
    with open(os.path.join(*path), "wb") as f:
        f.write(data)


def read(*path):
    with open(os.path.join(*path), "rb") as f:
        return f.read()


def run(*command, **how):
    return subprocess.run(command, check=True, capture_output=True, text=True,
                          **how).stdout


def mtime(*path):
    return os.stat(os.path.join(*path)).st_mtime_ns


def listed(mnt):
    """As a listing has them, which brings the attributes with it."""
    with os.scandir(mnt) as found:
        return {e.name: e.stat(follow_symlinks=False).st_mtime_ns
                for e in found if e.is_file()}


def ours(mnt):
    """What the mount itself changes."""
    write(b"one", mnt, "one")
    write(b"two", mnt, "two")
    one, two = mtime(mnt, "one"), mtime(mnt, "two")
    write(b"three", mnt, "three")
    os.rename(os.path.join(mnt, "three"), os.path.join(mnt, "four"))
    os.mkdir(os.path.join(mnt, "dir"))
    assert (mtime(mnt, "one"), mtime(mnt, "two")) == (one, two)
    daemonlib.until("a later time", lambda: write(b"TWO", mnt, "two") or
                    mtime(mnt, "two") > two)
    assert mtime(mnt, "one") == one
    # a time that is given stays, and goes with the file
    os.utime(os.path.join(mnt, "one"), ns=(1_000_000_000, 1_000_000_000))
    os.rename(os.path.join(mnt, "one"), os.path.join(mnt, "dir/one"))
    write(b"more", mnt, "two")
    assert mtime(mnt, "dir/one") == 1_000_000_000
    # as before, of a name that is made again
    os.unlink(os.path.join(mnt, "dir/one"))
    write(b"one", mnt, "dir/one")
    assert mtime(mnt, "dir/one") > one
    assert listed(mnt)["two"] == mtime(mnt, "two")


def others(env, mnt):
    """What another process changes; short values, and those with pages of
    their own."""
    large = os.urandom(300_000)
    files = {b"small": b"1", b"page": b"2" * 10_000, b"large": large,
             b"beside": b"3", b"large2": large}

    def change(**values):
        with env.begin(write=True) as txn:
            for key, value in values.items():
                txn.put(key.encode(), value)

    change(**{k.decode(): v for k, v in files.items()})
    before = listed(mnt)
    assert {k: mtime(mnt, k) for k in before} == before
    change(small=b"4", page=b"2" * 9_999 + b"5",
           large=large[:-1] + b"x", other=b"6")
    after = listed(mnt)
    for name in "small", "page", "large":
        assert after[name] > before[name], name
        assert mtime(mnt, name) == after[name], name
    for name in "beside", "large2":
        assert after[name] == before[name] == mtime(mnt, name), name
    # the same value put once more is the same
    change(small=b"4", other=b"7")
    assert listed(mnt)["small"] == after["small"]


def pruned(mnt):
    """Values that have other places afterwards are the same."""
    write(os.urandom(300_000), mnt, "large3")
    os.unlink(os.path.join(mnt, "large"))
    before = listed(mnt)
    run(BLT, "prune", "-q", mnt)
    assert listed(mnt) == before


def editor(mnt):
    if not shutil.which("vim"):
        return
    write(b"one\n", mnt, "edited")
    run("vim", "-u", "NONE", "-es", "-c", "%s/one/ONE/", "-c", "wq",
        os.path.join(mnt, "edited"), stdin=subprocess.DEVNULL)
    assert read(mnt, "edited") == b"ONE\n"


def building(mnt):
    if not shutil.which("make"):
        return
    at = os.path.join(mnt, "build")
    os.mkdir(at)
    write(b"out: in\n\tcp in out\n", at, "Makefile")
    write(b"1", at, "in")
    assert "cp" in run("make", "-C", at)
    write(b"x", mnt, "beside")
    assert "cp" not in run("make", "-C", at)
    out = mtime(at, "out")
    daemonlib.until("a later time", lambda: write(b"2", at, "in") or
                    mtime(at, "in") > out)
    write(b"x", mnt, "beside")
    assert "cp" in run("make", "-C", at)
    assert read(at, "out") == b"2"


def copying(mnt, where):
    if not shutil.which("rsync"):
        return
    source = os.path.join(where, "source")
    os.makedirs(os.path.join(source, "sub"))
    for i in range(20):
        write(b"%d" % i, source, f"f{i}")
        write(b"%d" % i, source, "sub", f"f{i}")
    to = os.path.join(mnt, "copied")
    command = "rsync", "-rt", "--out-format=%n", source + "/", to
    assert len([n for n in run(*command).splitlines()
                if not n.endswith("/")]) == 40
    write(b"x", mnt, "beside")
    sent = [n for n in run(*command).splitlines() if not n.endswith("/")]
    assert not sent, sent
    write(b"changed", source, "f1")
    sent = [n for n in run(*command).splitlines() if not n.endswith("/")]
    assert sent == ["f1"], sent


def versioning(mnt):
    """git reads a file again only where its time or length is another."""
    if not shutil.which("git"):
        return
    at = os.path.join(mnt, "work")
    os.mkdir(at)
    env = dict(os.environ, GIT_CONFIG_GLOBAL="/dev/null",
               GIT_CONFIG_SYSTEM="/dev/null", HOME=at)

    def git(*args):
        return run("git", "-C", at, "-c", "user.name=n", "-c",
                   "user.email=e@x", "-c", "core.checkStat=minimal", *args,
                   env=env)

    git("init", "-q")
    for i in range(50):
        write(b"%d\n" % i, at, f"f{i}")
    git("add", ".")
    git("commit", "-qm", "one")
    git("status", "--short")
    write(b"x", mnt, "beside")
    seconds = {}
    name = None
    for line in git("ls-files", "--debug").splitlines():
        if not line.startswith(" "):
            name = line
        elif line.strip().startswith("mtime:"):
            seconds[name] = int(line.split()[1].split(":")[0])
    assert len(seconds) == 50
    for name, second in seconds.items():
        assert mtime(at, name) // 10**9 == second, name
    write(b"other\n", at, "f7")
    assert git("diff", "--name-only") == "f7\n"


def main():
    if not os.path.exists("/dev/fuse"):
        print("no /dev/fuse")
        return 77
    with tempfile.TemporaryDirectory() as where:
        store = os.path.join(where, "store")
        mnt = os.path.join(where, "mnt")
        os.mkdir(mnt)
        with lmdb.open(store, subdir=False, map_size=64 << 20) as env, \
                tempfile.TemporaryFile() as log:
            daemon = daemonlib.start(store, mnt, [], log)
            try:
                ours(mnt)
                others(env, mnt)
                editor(mnt)
                building(mnt)
                copying(mnt, where)
                versioning(mnt)
                env.close()
                pruned(mnt)
            except BaseException:
                daemonlib.give_up(daemon, mnt, log)
                raise
            daemonlib.end(daemon, mnt, log)
            assert not daemonlib.said(log), daemonlib.said(log)
    return 0


if __name__ == "__main__":
    sys.exit(main())
