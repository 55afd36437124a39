#!/usr/bin/env python3
"""blt on LMDB environments: made, converted both ways, pruned, cut short; held
against python3-lmdb, mdb_stat and mdb_dump."""

import json
import os
import random
import struct
import subprocess
import time

import toollib as t
from lmdblib import lmdb

KEYS = {b"a": b"1", b"a/b": b"", b"\0\xff": b"\0" * 100,
        b"large": random.Random(3).randbytes(3 << 20), b"k" * 511: b"long"}

os.chdir(t.directory())


def content(path, name=None):
    """What a database holds, as python3-lmdb reads it."""
    with lmdb.open(path, max_dbs=9, subdir=os.path.isdir(path)) as env:
        db = env.open_db(name, create=False) if name else None
        with env.begin(db=db) as txn:
            return dict(txn.cursor())


def program(name, *args):
    return subprocess.run([name, *args], check=True, capture_output=True,
                          timeout=t.LIMIT).stdout


def left(*names):
    """Nothing else is there, but for LMDB's locks."""
    t.equal(sorted(n for n in os.listdir()
                   if not n.endswith("-lock") and n != "lock.mdb"),
            sorted(names), "files")


def made():
    t.ok("create", "--engine", "lmdb", "one")
    t.refused(t.CANTCREAT, "one: exists already; --force empties it",
              args=["create", "-e", "lmdb", "one"])
    left("one")
    t.load("one", KEYS)
    t.equal(content("one"), KEYS, "as python3-lmdb reads it")
    t.equal(t.items("one"), KEYS, "as blt does")
    t.ok("create", "--force", "one")
    t.equal(content("one"), {}, "emptied")
    t.refused(t.CANTCREAT, "is an LMDB environment", "remove it first",
              args=["create", "-f", "-e", "booklet", "one"])
    t.ok("create", "--engine=lmdb", "dir/")
    t.equal(sorted(os.listdir("dir")), ["data.mdb"], "no lock file yet")
    found = {f["check"]: f for f in
             json.loads(t.run("doctor", "--json", "dir").stdout)["found"]}
    t.equal((found["store"]["state"], found["contents"]["text"]),
            ("ok", "an LMDB environment, 0 keys"), "what doctor makes of it")
    os.mkdir("empty")
    t.ok("create", "--engine=lmdb", "--db", "x", "empty")
    t.equal(t.ok("ls", "-p", "empty"), b"x/\n", "a database")
    t.refused(t.USAGE, "--buckets: is for booklet stores",
              args=["create", "-e", "lmdb", "-b", "3", "new"])
    t.refused(t.USAGE, "--engine none: there are booklet, lmdb and postgresql",
              args=["create", "-e", "none", "new"])
    t.refused(t.DATAERR, "new: a booklet store has no databases in it",
              args=["create", "--db", "x", "new"])
    t.ok("create", "plain.blt")
    t.refused(t.DATAERR, "plain.blt: a booklet store has no databases in it",
              args=["ls", "--db", "x", "plain.blt"])
    t.refused(t.DATAERR, "plain.blt: a booklet store has no databases in it",
              args=["check", "--db", "x", "plain.blt"])
    t.refused(t.NOINPUT, "none: cannot open", args=["ls", "--db", "x", "none"])
    left("dir", "empty", "one", "plain.blt")
    os.unlink("plain.blt")


def named():
    with lmdb.open("named", subdir=False, max_dbs=9) as env:
        numbers = env.open_db(b"numbers", integerkey=True)
        many = env.open_db(b"many", dupsort=True)
        with env.begin(write=True) as txn:
            txn.put(struct.pack("@N", 7), b"seven", db=numbers)
            txn.put(b"k", b"1", db=many)
            txn.put(b"k", b"2", db=many)
            txn.put(b"beside", b"b")
    t.ok("create", "--db", "texts", "named")
    t.refused(t.CANTCREAT, "named: has a database texts already; --force",
              args=["create", "--db", "texts", "named"])
    t.ok("put", "--db", "texts", "named", "a/b", stdin=b"text")
    t.ok("put", "named", "texts/c", stdin=b"c")
    t.equal(content("named", b"texts"), {b"a/b": b"text", b"c": b"c"}, "texts")
    t.equal(sorted(t.ok("ls", "-p", "named").split()),
            [b"beside", b"many/", b"numbers/", b"texts/"], "databases")
    t.equal(t.ok("get", "--db", "numbers", "named", "7"), b"seven", "a number")
    t.equal(t.ok("get", "--db", "many", "named", "k/1"), b"2", "a value")
    t.equal(json.loads(t.ok("info", "-jc", "--db", "texts", "named"))["keys"],
            2, "keys of one")
    t.equal(json.loads(t.ok("stat", "-j", "--db", "texts", "named", "c"))[0]
            ["size"], 1, "size")
    t.ok("del", "--db", "texts", "named", "c")
    for args in ["ls", "--db", "none", "named"], ["check", "--db", "none",
                                                  "named"]:
        t.refused(t.NOINPUT, "named: has no database of the name none; "
                  "\"blt ls named\" lists those", args=args)
    t.equal(b"; 5 keys in" in t.ok("check", "named"), True, "check")
    t.equal(b"; 1 keys in" in t.ok("check", "--db", "numbers", "named"), True,
            "check one")
    for name, n in ("texts", 1), ("many", 2), ("numbers", 1):
        said = program("mdb_stat", "-n", "-s", name, "named").decode()
        t.equal(int(said.split("Entries:")[-1]), n, "mdb_stat")
    dumped = program("mdb_dump", "-n", "-s", "texts", "named").split()
    t.equal(dumped[dumped.index(b"HEADER=END") + 1:],
            [b"612f62", b"74657874", b"DATA=END"], "mdb_dump")
    t.equal(t.ok("dump", "--db", "texts", "named"), b"612f62 74657874 -\n",
            "dump")


def refused():
    """What LMDB cannot take, in words that are about it."""
    t.ok("create", "-e", "lmdb", "odd")
    t.refused(t.DATAERR, "a key of an LMDB environment has at most 511 bytes",
              args=["put", "--raw", "odd", "k" * 512])
    t.refused(t.DATAERR, "cannot be a key in odd: it is empty",
              args=["put", "-x", "odd", "-"])
    t.refused(t.DATAERR, "no number where keys are numbers",
              args=["put", "named", "numbers/x"])
    t.refused(t.NOPERM, "a database of several values a key (MDB_DUPSORT) is "
              "only read", args=["put", "named", "many/k/0"])
    t.refused(t.DATAERR, "an LMDB environment, as odd, has no slots",
              args=["slot", "odd", "get", "1"])
    t.refused(t.DATAERR, "nor has one of LMDB",
              args=["load", "odd"], stdin=b"61 62 -\n@metadata 62 -\n")
    lines = [b"%08x %08x -\n" % (i, i * 7) for i in range(2500)]
    done = t.refused(t.DATAERR, "line 2501", "2500 keys were loaded",
                     args=["load", "odd"], stdin=b"".join(lines) + b"x\n")
    t.equal(t.ok("dump", "odd"), b"".join([*lines, b"61 62 -\n"]),
            f"what was loaded: {done.stderr}")
    t.ok("clear", "-q", "odd")
    t.equal(t.ok("dump", "odd"), b"", "cleared")
    os.unlink("odd")


def converted():
    t.ok("create", "--force", "one")
    t.load("one", KEYS)
    t.ok("copy", "-q", "--engine", "booklet", "one", "one.blt")
    t.equal(t.items("one.blt"), KEYS, "as a booklet store")
    info = json.loads(t.ok("info", "-jc", "one.blt"))
    t.equal((info["engine"], info["key_serializer"], info["timestamps"],
             info["keys"]), ("booklet", "bytes", True, len(KEYS)), "info")
    t.ok("copy", "-qf", "-e", "booklet", "--value-len", "0", "one", "one.blt")
    t.equal(t.items("one.blt"), KEYS, "of any length, as it is without")
    t.refused(t.USAGE, "--timestamps: a store whose values all have one length",
              args=["copy", "-fte", "booklet", "-l", "4", "one", "one.blt"])
    t.ok("copy", "-q", "-e", "lmdb", "one.blt", "again")
    t.equal(content("again"), KEYS, "and back")
    t.refused(t.CANTCREAT, "again: exists already; --force",
              args=["copy", "-e", "lmdb", "one.blt", "again"])
    t.ok("copy", "-qf", "-e", "lmdb", "one.blt", "again")
    with lmdb.open("again", subdir=False):
        t.refused(t.TEMPFAIL, f"environment that is in use (process "
                  f"{os.getpid()})",
                  args=["copy", "-f", "-e", "lmdb", "one.blt", "again"])
        t.refused(t.TEMPFAIL, "in use", args=["copy", "-f", "one.blt",
                                              "again"])
    t.ok("copy", "-q", "--db", "texts", "named", "texts")
    t.equal(content("texts"), {b"a/b": b"text"}, "one database")
    t.ok("copy", "-q", "named", "texts2")
    t.equal(content("texts2", b"texts"), {b"a/b": b"text"}, "all")
    t.ok("copy", "-qe", "booklet", "-k", "str", "named", "named.blt")
    t.equal(t.items("named.blt"),
            {b"beside": b"b", b"many/k/0": b"1", b"many/k/1": b"2",
             b"numbers/7": b"seven", b"texts/a/b": b"text"}, "all keys")
    t.refused(t.DATAERR, "a key that the new store cannot hold", "\\x00\\xff",
              args=["copy", "-e", "booklet", "-k", "str", "one", "bad"])
    for key, words in (b"x" * 512, "a key of 512 bytes, longer than"), (
            b"", "holds the empty key"):
        t.ok("create", "-fk", "bytes", "odd.blt")
        t.load("odd.blt", {b"first": b"1", key: b""})
        t.refused(t.DATAERR, words, args=["copy", "-elmdb", "odd.blt", "bad"])
    t.refused(t.CANTCREAT, "the store itself",
              args=["copy", "-fe", "booklet", "one", "one"])
    left("again", "dir", "empty", "named", "named.blt", "odd.blt", "one",
         "one.blt", "texts", "texts2")


def pruned(path):
    """What is left of it is what was, in less room."""
    with lmdb.open(path, subdir=os.path.isdir(path), map_size=64 << 20,
                   sync=False) as env:
        for i in range(40):
            with env.begin(write=True) as txn:
                txn.put(b"key%d" % (i // 4), b"v" * 50000 + b"%d" % i)
        last = env.info()["last_txnid"]
        t.refused(t.TEMPFAIL, "another process has the environment open",
                  args=["prune", path])
    want = content(path)
    file = os.path.join(path, "data.mdb") if os.path.isdir(path) else path
    os.chmod(file, 0o640)
    said = json.loads(t.ok("prune", "--json", path))
    t.equal(said["size_after"] < said["size_before"], True, said)
    t.equal((os.path.getsize(file), os.stat(file).st_mode & 0o777),
            (said["size_after"], 0o640), "size and modes")
    t.equal(content(path), want, "what is left")
    with lmdb.open(path, subdir=os.path.isdir(path)) as env:
        t.equal(env.info()["last_txnid"] > last, True, "numbered on")
    t.ok("put", path, "more", stdin=b"m")
    t.equal(content(path), want | {b"more": b"m"}, "and written on")
    t.equal(b": 0 faults" in t.ok("check", path), True, "check")
    t.refused(t.DATAERR, "no timestamps",
              args=["prune", "--older-than", "now", path])


def copied():
    """Bytes of the copy that a prune is making."""
    for name in os.listdir():
        if ".blt-prune-" in name:
            try:
                return os.path.getsize(name)
            except FileNotFoundError:
                pass  # it has got its name
    return 0


def killed(path):
    """A prune that is killed leaves the old environment or the new one."""
    with lmdb.open(path, subdir=False, map_size=64 << 20, sync=False) as env:
        for i in range(20):
            with env.begin(write=True) as txn:
                txn.put(b"key%d" % (i % 7), b"v" * 400000 + b"%d" % i)
    want = content(path)
    for n in range(6):
        with subprocess.Popen([t.BLT, "prune", "-q", path]) as prune:
            while prune.poll() is None and copied() <= n << 18:
                time.sleep(0.001)
            prune.kill()
        t.equal(content(path), want, "as python3-lmdb reads it")
        t.equal(b": 0 faults" in t.ok("check", path), True, "check")
        for name in os.listdir():
            if ".blt-prune-" in name:
                os.unlink(name)
    t.ok("prune", "-q", path)
    t.equal(content(path), want, "and pruned")


def damaged():
    """Cut anywhere, or with a head of nonsense: an error, and no crash."""
    t.ok("create", "-f", "one")
    t.load("one", {b"k%d" % i: b"v" * i for i in range(400)})
    with open("one", "rb") as f:
        whole = f.read()
    want = t.ok("dump", "one")
    rng = random.Random(5)
    for size in [100, 4096, 5000, 8192, len(whole) - 4096, len(whole) - 1,
                 *(rng.randrange(8192, len(whole)) for _ in range(5))]:
        with open("cut", "wb") as f:
            f.write(whole[:size])
        done = t.run("dump", "cut")
        # what is cut off may be pages that nothing needs
        if size % 4096 == 0 and size > 8192 and done.stdout == want:
            continue
        t.refused(t.DATAERR, "cut: is an LMDB environment that was cut",
                  args=["dump", "cut"])
    for at in 16 + 16, 16 + 24, 16 + 112, 16 + 120:
        for new in b"\xff" * 4, b"\1\0\0\0\0\0\0\x70", b"\0" * 8:
            bad = bytearray(whole)
            for page in 0, 4096:
                bad[page + at:page + at + len(new)] = new
            with open("cut", "wb") as f:
                f.write(bad)
            done = t.run("dump", "cut")
            t.equal(done.returncode in (0, t.DATAERR), True, done.stderr)
    with open("cut", "wb") as f:
        f.write(whole[:24] + b"\xff" * 8000)
    t.refused(t.DATAERR, "damaged head", args=["ls", "cut"])


made()
named()
refused()
converted()
pruned("dir")
pruned("again")
killed("again")
damaged()
