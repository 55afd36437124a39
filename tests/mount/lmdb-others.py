#!/usr/bin/env python3
"""What others do to an LMDB environment under a mount: they make and drop
databases, remove, replace and cut short its file.  The daemon lives on, and says
EIO where what is written would be lost."""

import contextlib
import errno
import os
import shutil
import subprocess
import sys
import tempfile

import daemonlib
from lmdblib import lmdb
from places import BLT

SIZE = 64 << 20


@contextlib.contextmanager
def mounted(store, ends_with=0, said=None):
    """The mount's directory; the daemon says nothing, or something with said in
    it, and ends with that code."""
    with tempfile.TemporaryDirectory() as mnt, \
            tempfile.TemporaryFile() as log:
        daemon = daemonlib.start(store, mnt, [], log)
        try:
            yield mnt
            assert daemon.poll() is None, "the daemon is dead"
        except BaseException:
            daemonlib.give_up(daemon, mnt, log)
            raise
        daemonlib.unmount(mnt)
        code = daemon.wait(daemonlib.LIMIT)
        words = daemonlib.said(log)
        assert code == 0 or (ends_with and code == ends_with), (code, words)
        if said is None:
            assert not words, words
        else:
            assert said in words, words


def write(data, *path):
    with open(os.path.join(*path), "wb") as f:
        f.write(data)


def read(*path):
    with open(os.path.join(*path), "rb") as f:
        return f.read()


@contextlib.contextmanager
def fails(code):
    try:
        yield
    except OSError as e:
        assert e.errno == code, e
    else:
        raise AssertionError("it could be done")


def databases(store):
    with lmdb.open(store, subdir=False, max_dbs=10, map_size=SIZE) as env:
        env.open_db(b"one")
        env.open_db(b"back", reverse_key=True)
        with mounted(store, said="database back is not shown") as mnt:
            assert os.listdir(mnt) == ["one"]
            write(b"1", mnt, "one/a")
            # made by another process, with no remount
            with env.begin(write=True) as txn:
                txn.put(b"key", b"value", db=env.open_db(b"new", txn))
            assert sorted(os.listdir(mnt)) == ["new", "one"]
            assert os.path.isdir(os.path.join(mnt, "new"))
            assert read(mnt, "new/key") == b"value"
            write(b"2", mnt, "new/b")
            # dropped, while one of its files is being written
            with fails(errno.ENOENT):
                with open(os.path.join(mnt, "one/b"), "wb") as f:
                    f.write(b"3")
                    with env.begin(write=True) as txn:
                        txn.drop(env.open_db(b"one", txn), delete=True)
            with fails(errno.ENOENT):
                write(b"4", mnt, "one/c")
            assert os.listdir(mnt) == ["new"]
            write(b"5", mnt, "new/c")
    with lmdb.open(store, subdir=False, max_dbs=10, readonly=True) as env:
        with env.begin(db=env.open_db(b"new", create=False)) as txn:
            assert dict(txn.cursor()) == {b"key": b"value", b"b": b"2",
                                          b"c": b"5"}
        with env.begin() as txn:
            assert [k for k, _ in txn.cursor()] == [b"back", b"new"]


def nothing_is_written(mnt, reads):
    for _ in range(2):
        with fails(errno.EIO):
            write(b"lost", mnt, "more")
    with open(os.path.join(mnt, "file"), "rb") as f, fails(errno.EIO):
        os.fsync(f.fileno())
    with fails(errno.EIO):
        os.rename(os.path.join(mnt, "file"), os.path.join(mnt, "file2"))
    if reads:
        assert read(mnt, "file") == b"x" * 100_000


def fill(store):
    with lmdb.open(store, subdir=False, map_size=SIZE) as env:
        with env.begin(write=True) as txn:
            txn.put(b"file", b"x" * 100_000)
            for i in range(2000):
                txn.put(b"%d" % i, b"y" * 100)


def removed(store):
    fill(store)
    with mounted(store, 74, "Input/output error") as mnt:
        write(b"1", mnt, "one")
        os.unlink(store)
        nothing_is_written(mnt, True)


def replaced(store):
    fill(store)
    shutil.copyfile(store, store + "2")
    with mounted(store, 74, "Input/output error") as mnt:
        write(b"1", mnt, "one")
        os.rename(store + "2", store)
        nothing_is_written(mnt, True)
    subprocess.run([BLT, "check", "-q", store], check=True)


def cut_short(store, length):
    fill(store)
    with mounted(store, 74, "Input/output error") as mnt:
        write(b"1", mnt, "one")
        os.truncate(store, length)
        for fn in (lambda: read(mnt, "file"), lambda: os.listdir(mnt),
                   lambda: os.stat(os.path.join(mnt, "77"))):
            with fails(errno.EIO):
                fn()
        with fails(errno.EIO):
            write(b"lost", mnt, "more")
    os.unlink(store)


def on_fuse(store):
    """The mount's log and doctor warn of an environment there."""
    subprocess.run([BLT, "create", store], check=True)
    with lmdb.open(store + "2", subdir=False):
        pass
    words = "is on FUSE, where LMDB may lose what is written"
    with mounted(store) as outer:
        inner = os.path.join(outer, "env")
        shutil.copyfile(store + "2", inner)
        done = subprocess.run([BLT, "doctor", inner], capture_output=True,
                              text=True, check=False)
        assert words in done.stdout, done
        with mounted(inner, said=words):
            pass


def main():
    if not os.path.exists("/dev/fuse"):
        print("no /dev/fuse")
        return 77
    for test, *more in ((databases,), (on_fuse,), (removed,), (replaced,),
                        (cut_short, 0), (cut_short, 5000),
                        (cut_short, 40960)):
        with tempfile.TemporaryDirectory() as where:
            test(os.path.join(where, "store"), *more)
    return 0


if __name__ == "__main__":
    sys.exit(main())
