#!/usr/bin/env python3
"""LMDB environments of every kind, made by python3-lmdb, on a mount: seen as
they are, changed with plain file operations, read back by python3-lmdb; and
both at once, where each sees what the other has done."""

import contextlib
import errno
import mmap
import os
import struct
import subprocess
import sys
import tempfile
import threading

import daemonlib
from places import BLT
from lmdblib import lmdb

PLAIN = {b"a": b"file", b"a!": b"between", b"a/b": b"below",
         b"a/c/d": b"deep", b"empty": b"", b"kept/": b"",
         b"100%": b"percent", b"\xff\xfe": b"no text",
         b"long/" + b"n" * 300: b"a name of 300 bytes"}


def read(*path):
    with open(os.path.join(*path), "rb") as f:
        return f.read()


def write(data, *path):
    with open(os.path.join(*path), "wb") as f:
        f.write(data)


def tree(top):
    """Every file below top with its content."""
    found = {}
    for at, _, files in os.walk(os.fsencode(top)):
        for name in files:
            path = os.path.join(at, name)
            if not path.startswith(os.fsencode(top) + b"/.bltfs"):
                found[os.path.relpath(path, os.fsencode(top))] = read(path)
    return found


class Mounted:
    """An environment, mounted; the daemon says only what cannot be written."""

    def __init__(self, store, *options):
        self.dir = tempfile.mkdtemp()
        self.args = store, self.dir, options
        self.log = tempfile.TemporaryFile()

    def __enter__(self):
        store, mnt, options = self.args
        self.daemon = daemonlib.start(store, mnt, options, self.log)
        return self.dir

    def __exit__(self, kind, *_):
        if kind is not None:
            daemonlib.give_up(self.daemon, self.dir, self.log)
            return
        daemonlib.end(self.daemon, self.dir, self.log)
        said = [line for line in daemonlib.said(self.log).splitlines()
                if "Read-only" not in line and
                "another process has the environment open" not in line]
        assert not said, said
        subprocess.run([BLT, "check", "-q", self.args[0]], check=True)
        os.rmdir(self.dir)


def content(store, name=None, **how):
    """All that a database holds, as python3-lmdb reads it."""
    with lmdb.open(store, max_dbs=10, subdir=os.path.isdir(store),
                   **how) as env:
        db = env.open_db(name, create=False) if name else None
        with env.begin(db=db) as txn:
            return list(txn.cursor())


def counted(store, name=None):
    """Its entries, as mdb_stat tells them."""
    out = subprocess.run(
        ["mdb_stat", *([] if os.path.isdir(store) else ["-n"]),
         *(["-s", name] if name else []), store],
        check=True, capture_output=True, text=True).stdout
    return int(out.split("Entries:")[-1])


def plain(where, subdir):
    store = os.path.join(where, "plain")
    with lmdb.open(store, subdir=subdir, map_size=1 << 20) as env:
        with env.begin(write=True) as txn:
            for key, value in PLAIN.items():
                txn.put(key, value)
    with Mounted(store, "ro") as mnt:
        found = tree(mnt)
        assert found.pop(b"a%") == b"file"
        assert found.pop(b"100%") == b"percent"
        name, = [n for n in found if n.startswith(b"long/")]
        assert found.pop(name) == b"a name of 300 bytes"
        assert found == {b"a!": b"between", b"a/b": b"below",
                         b"a/c/d": b"deep", b"empty": b"",
                         b"\xff\xfe": b"no text"}, found
        assert os.path.isdir(os.path.join(mnt, "kept"))
    assert dict(content(store)) == PLAIN
    with Mounted(store) as mnt:
        write(b"new", mnt, "new")
        write(b"x" * (8 << 20), mnt, "large")
        os.rename(os.path.join(mnt, "a/c"), os.path.join(mnt, "moved"))
        os.unlink(os.path.join(mnt, "a!"))
        os.mkdir(os.path.join(mnt, "made"))
        os.rmdir(os.path.join(mnt, "kept"))
        done = subprocess.run([BLT, "info", "--db", "x", mnt],
                              capture_output=True, text=True, check=False)
        assert "is a mount, which shows what it was told to" in done.stderr
        large = os.stat(store if not subdir else store + "/data.mdb").st_size
        os.unlink(os.path.join(mnt, "large"))
        write(b"x" * (8 << 20), mnt, "large")
        subprocess.run([BLT, "prune", "-q", mnt], check=True)
        assert os.stat(store if not subdir else
                       store + "/data.mdb").st_size < large + (1 << 20)
        assert read(mnt, "new") == b"new"
        copy = os.path.join(where, "copy")
        subprocess.run([BLT, "copy", "-q", "--engine", "booklet", mnt, copy],
                       check=True)
        got = subprocess.run([BLT, "get", copy, "moved/d", "new"], check=True,
                             capture_output=True).stdout
        assert got == b"deepnew", got
        done = subprocess.run([BLT, "copy", "-k", "str", mnt, copy + "2"],
                              capture_output=True, text=True, check=False)
        assert "a copy of a mount has no serializers" in done.stderr
        write(b"again", mnt, "new2")
        os.rename(os.path.join(mnt, "new2"), os.path.join(mnt, "new3"))
    now = dict(content(store))
    assert now[b"new"] == b"new" and len(now[b"large"]) == 8 << 20
    assert now[b"moved/d"] == b"deep" and now[b"made/"] == b""
    assert not {b"a!", b"a/c/d", b"kept/"} & set(now)
    assert counted(store) == len(now)


def named(where):
    store = os.path.join(where, "named")
    with lmdb.open(store, subdir=False, max_dbs=10) as env:
        texts = env.open_db(b"texts")
        numbers = env.open_db(b"numbers", integerkey=True)
        many = env.open_db(b"many", dupsort=True)
        with env.begin(write=True) as txn:
            txn.put(b"x/y", b"1", db=texts)
            txn.put(b"beside", b"2")
            for n in 3, 1000:
                txn.put(struct.pack("@N", n), b"n%d" % n, db=numbers)
            for value in b"one", b"three", b"two":
                txn.put(b"key", value, db=many)
    with Mounted(store) as mnt:
        assert tree(mnt) == {
            b"texts/x/y": b"1", b"beside": b"2", b"numbers/3": b"n3",
            b"numbers/1000": b"n1000", b"many/key/0": b"one",
            b"many/key/1": b"three", b"many/key/2": b"two"}
        write(b"n77", mnt, "numbers/77")
        os.unlink(os.path.join(mnt, "numbers/3"))
        write(b"new", mnt, "texts/new")
        for path in "numbers/no number", "many/new", "many/key/0":
            try:
                write(b"", mnt, path)
            except OSError:
                continue
            sys.exit(f"{path} could be written")
    assert content(store, b"numbers", readonly=True) == [
        (struct.pack("@N", 77), b"n77"), (struct.pack("@N", 1000), b"n1000")]
    assert counted(store, "texts") == 2 and counted(store, "many") == 3
    with Mounted(store, "db=texts") as mnt:
        assert tree(mnt) == {b"x/y": b"1", b"new": b"new"}
    with Mounted(store, "ro", "db=many") as mnt:
        assert sorted(os.listdir(os.path.join(mnt, "key"))) == ["0", "1", "2"]


def together(where):
    """Python writes to the environment while it is mounted."""
    store = os.path.join(where, "together")
    with lmdb.open(store, map_size=64 << 20) as env, Mounted(store) as mnt:
        write(b"from the mount", mnt, "file")
        with env.begin(write=True) as txn:
            assert txn.get(b"file") == b"from the mount"
            txn.put(b"file", b"changed")
            txn.put(b"dir/other", b"from Python")
        assert read(mnt, "file") == b"changed"
        assert os.stat(os.path.join(mnt, "file")).st_size == 7
        assert tree(mnt) == {b"file": b"changed",
                             b"dir/other": b"from Python"}
        with env.begin(write=True) as txn:
            txn.delete(b"dir/other")
        assert os.listdir(mnt) == ["file"]
        assert not os.path.exists(os.path.join(mnt, "dir"))
        # beyond the size that the other process has the map of
        with env.begin(write=True) as txn:
            for i in range(200):
                txn.put(b"fill%d" % i, b"f" * 100000)
        assert read(mnt, "fill199") == b"f" * 100000


def all_kinds(where):
    """The same in databases of each kind, both ways."""
    store = os.path.join(where, "kinds")
    with lmdb.open(store, subdir=False, max_dbs=10) as env:
        texts = env.open_db(b"texts")
        numbers = env.open_db(b"numbers", integerkey=True)
        many = env.open_db(b"many", dupsort=True)
        with Mounted(store) as mnt:
            assert tree(mnt) == {}
            with env.begin(write=True) as txn:
                txn.put(b"a/b", b"text", db=texts)
                txn.put(struct.pack("@N", 7), b"seven", db=numbers)
                txn.put(b"key", b"one", db=many)
                txn.put(b"key", b"three", db=many)
            assert tree(mnt) == {
                b"texts/a/b": b"text", b"numbers/7": b"seven",
                b"many/key/0": b"one", b"many/key/1": b"three"}
            write(b"TEXT", mnt, "texts/a/b")
            write(b"eight", mnt, "numbers/8")
            os.rename(os.path.join(mnt, "numbers/7"),
                      os.path.join(mnt, "numbers/70"))
            with env.begin(write=True) as txn:
                assert txn.get(b"a/b", db=texts) == b"TEXT"
                assert [(struct.unpack("@N", k)[0], v) for k, v in
                        txn.cursor(db=numbers)] == [(8, b"eight"),
                                                    (70, b"seven")]
                txn.put(b"key", b"two", db=many)
                txn.delete(b"key", b"one", db=many)
            assert os.listdir(os.path.join(mnt, "many/key")) == ["0", "1"]
            assert read(mnt, "many/key/0") == b"three"
            assert read(mnt, "many/key/1") == b"two"


def gone(where):
    """Another process drops a database, and uses one in another way than it
    looked like; the mount lives on, and through prunes beside others, too."""
    store = os.path.join(where, "gone")
    with lmdb.open(store, subdir=False, max_dbs=10) as env:
        for name in b"first", b"second", b"third":
            with env.begin(write=True, db=env.open_db(name)) as txn:
                txn.put(b"key", name)
        env.open_db(b"numbers", integerkey=True)
    with Mounted(store) as mnt:
        with lmdb.open(store, subdir=False, max_dbs=10) as env:
            with env.begin(write=True) as txn:
                txn.drop(env.open_db(b"second", txn), delete=True)
                txn.put(struct.pack("@I", 5), b"five",
                        db=env.open_db(b"numbers", txn))
        try:
            write(b"seven", mnt, "numbers/7")
            sys.exit("a key of another width could be written")
        except OSError as e:
            assert e.errno == errno.EROFS, e
        subprocess.run([BLT, "prune", "-q", mnt], check=True)
        assert sorted(os.listdir(mnt)) == ["first", "numbers", "third"]
        write(b"new", mnt, "third/new")
        others_beside_prunes(store, mnt)
        assert read(mnt, "third/new") == b"new"
    assert counted(store, "third") == 2


def others_beside_prunes(store, mnt):
    """None of them waits for a lock of what has gone."""
    refused = []

    def look():
        for _ in range(15):
            done = subprocess.run([BLT, "get", "--db", "first", store, "key"],
                                  capture_output=True, check=False)
            if done.stdout != b"first":
                refused.append(done)

    with contextlib.ExitStack() as ends:
        for _ in range(2):
            thread = threading.Thread(target=look)
            thread.start()
            ends.callback(thread.join)
        for _ in range(15):
            # refused where one of them has it open just then
            subprocess.run([BLT, "prune", "-q", mnt], check=False,
                           stderr=subprocess.DEVNULL)
            write(b"x", mnt, "first/x")
    assert not refused, refused[0]


def answered(mnt, what):
    """How many requests of that kind the daemon has answered."""
    for line in read(mnt, ".bltfs/stats").decode().splitlines():
        name, value, *_ = line.split()
        if name == f"op.{what}.calls":
            return int(value)
    raise AssertionError(f"{what} is not in the stats")


def kept(where):
    """The kernel reads and lists again only what somebody else has changed."""
    store = os.path.join(where, "kept")
    with lmdb.open(store, map_size=1 << 24) as env, \
            Mounted(store, "look_ms=20") as mnt:
        def change(key, value):
            with env.begin(write=True) as txn:
                txn.put(key, value)

        def look():
            return read(mnt, "file"), sorted(os.listdir(mnt))

        def counts():
            return answered(mnt, "read"), answered(mnt, "readdir")

        def asked(found):
            """A request is counted behind its answer."""
            before = counts()
            assert look() == found
            daemonlib.until("requests", lambda: all(
                b > a for a, b in zip(before, counts())))

        def not_asked(found):
            before = counts()
            assert look() == found
            return counts() == before

        change(b"file", b"one")
        asked((b"one", ["file"]))
        # not at once, perhaps: memory may be short
        daemonlib.until("a look at what is kept",
                        lambda: not_asked((b"one", ["file"])))
        change(b"other", b"x")
        asked((b"one", ["file", "other"]))
        write(b"ours", mnt, "third")
        change(b"file", b"two")
        names = ["file", "other", "third"]
        assert look() == (b"two", names)
        # what is open, or mapped, is looked at now and then
        with open(os.path.join(mnt, "file"), "r+b") as f:
            with mmap.mmap(f.fileno(), 3, prot=mmap.PROT_READ) as mapped:
                assert f.read() == b"two" and mapped[:] == b"two"
                change(b"file", b"six")
                daemonlib.until("the change, mapped",
                                lambda: mapped[:] == b"six")
                assert os.pread(f.fileno(), 9, 0) == b"six"
            # stored from here, changed there, read here
            os.pwrite(f.fileno(), b"ten", 0)
            os.fsync(f.fileno())
            change(b"file", b"four")
            assert read(mnt, "file") == b"four"
            daemonlib.until("the change, open", lambda: os.pread(
                f.fileno(), 9, 0) == b"four")
        large = os.urandom(3 << 20)
        change(b"large", large)
        assert read(mnt, "large") == large


def too_long(where):
    """What LMDB could not write at a time is refused before it is tried; the
    mount takes the next change."""
    store = os.path.join(where, "long")
    most = 2147418096
    with lmdb.open(store):
        pass
    with Mounted(store) as mnt:
        with open(os.path.join(mnt, "big"), "wb") as f:
            f.write(b"small")
            f.flush()
            for fails in (lambda: os.ftruncate(f.fileno(), most + 1),
                          lambda: os.pwrite(f.fileno(), b"xy", most - 1),
                          lambda: os.posix_fallocate(f.fileno(), 0, most + 1)):
                try:
                    fails()
                    sys.exit("a value could become too long")
                except OSError as e:
                    assert e.errno == errno.EFBIG, e
        write(b"after", mnt, "next")
        assert read(mnt, "big") == b"small"
    assert dict(content(store)) == {b"big": b"small", b"next": b"after"}


def main():
    if not os.path.exists("/dev/fuse"):
        print("no /dev/fuse")
        return 77
    for subdir in True, False:
        with tempfile.TemporaryDirectory() as where:
            plain(where, subdir)
    with tempfile.TemporaryDirectory() as where:
        named(where)
        together(where)
        too_long(where)
        all_kinds(where)
        gone(where)
        kept(where)
    return 0


if __name__ == "__main__":
    sys.exit(main())
