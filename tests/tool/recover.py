#!/usr/bin/env python3
"""blt recover: what a killed writer left, and stores rebuilt from their blocks
alone, whatever became of the rest."""

import json
import os
import random
import subprocess
import sys
import time

import checker
import toollib as t

DIR = t.directory()
BAD = os.path.join(DIR, "bad.blt")
NEW = os.path.join(DIR, "new.blt")


def put(path, data):
    with open(path, "wb") as f:
        f.write(data)
    return path


def with_bytes(data, pos, new):
    return data[:pos] + new + data[pos + len(new):]


def rebuilt(data, *options):
    """The Store that a rebuild makes, and what it said of itself."""
    if os.path.exists(NEW):
        os.unlink(NEW)
    told = json.loads(t.ok("recover", "--rebuild", "--json", "--to", NEW,
                           *options, put(BAD, data)))
    t.equal(checker.read(BAD), data, "the damaged file is left alone")
    store = checker.Store(checker.read(NEW))
    t.equal(store.faults, [], "faults of the rebuilt store")
    t.ok("check", "-q", NEW)
    t.equal(told["keys"], len(store.items()), told)
    return store, told


def lines(store):
    return checker.dump(store) + checker.hidden(store)


def assert_all(data, want, what, *options):
    store, told = rebuilt(data, *options)
    t.equal(lines(store), lines(want), what)
    return told


def assert_whole(data, good, touched, what):
    """Every block of good that is not in touched is back."""
    store, told = rebuilt(data)
    have = {(b.key, b.value, b.timestamp) for b in store.live.values()}
    for b in good.live.values():
        if b.pos not in touched and (b.key, b.value, b.timestamp) not in have:
            t.fail(f"{what}: the block at {b.pos} is lost: {told}")
    return store, told


def sound_stores():
    for name in t.names():
        data = checker.read(t.vector(name + ".blt"))
        good = checker.Store(data, allow_open=True)
        told = assert_all(data, good, name)
        t.equal((told["damaged_blocks"], told["doubtful_keys"],
                 told["older_blocks"], told["header"]), (0, 0, 0, "own"), name)
        t.equal(told["dead_blocks"],
                len([b for b in good.blocks if not b.live]), name)
        t.equal(checker.Header(checker.read(NEW)).uuid, good.header.uuid, name)


NAMES = ("chains", "churn", "fixed-pruned", "fixed-relocated", "pruned",
         "pruned-then-written", "relocated", "version3", "metadata")


def lost_index():
    for name in NAMES:
        data = checker.read(t.vector(name + ".blt"))
        good = checker.Store(data)
        h = good.header
        length = h.index_end - h.index_offset
        for what, index in (("zeros", bytes(length)),
                            ("random", random.Random(1).randbytes(length)),
                            ("ones", b"\1" * length)):
            assert_all(with_bytes(data, h.index_offset, index), good,
                       f"{name}: the index is {what}")
            bare = with_bytes(data, h.index_offset, index)
            assert_all(with_bytes(bare, 65, bytes(12)), good,
                       f"{name}: the index is {what}, no layout")


def lost_layout():
    rng = random.Random(2)
    for name in NAMES:
        data = checker.read(t.vector(name + ".blt"))
        good = checker.Store(data)
        for what, at, new in (
                ("n_buckets 0", 21, bytes(4)),
                ("n_buckets random", 21, rng.randbytes(4)),
                ("widths", 18, b"\xff\xff\xff"),
                ("version", 16, b"\xee\xee" if name != "version3" else b"\3"),
                ("unset", 65, bytes(12)),
                ("random", 65, rng.randbytes(12)),
                ("all", 65, b"\xff" * 12)):
            assert_all(with_bytes(data, at, new), good, f"{name}: {what}")


def lost_header():
    for name in NAMES:
        source = t.vector(name + ".blt")
        data = checker.read(source)
        bad = bytes(200) + data[200:]
        t.refused(t.DATAERR, "--like", args=(
            "recover", "--rebuild", "--to", NEW + "x", put(BAD, bad)))
        t.equal(os.path.exists(NEW + "x"), False, "nothing is left behind")
        told = assert_all(bad, checker.Store(data), f"{name}: no header",
                          "--like", source)
        t.equal(told["header"], "like", told)
    t.refused(t.DATAERR, "no booklet store", args=(
        "recover", "--rebuild", "--to", NEW + "x", "--like", BAD, BAD))


def lost_pointers():
    rng = random.Random(3)
    for name in NAMES:
        data = checker.read(t.vector(name + ".blt"))
        good = checker.Store(data)
        bad = data
        for b in good.live.values():
            if rng.random() < .5:
                to = rng.choice((1, rng.randrange(200, len(data))))
                bad = with_bytes(bad, b.pos + 13, to.to_bytes(6, "little"))
        assert_all(bad, good, f"{name}: pointers")


def lost_bytes():
    rng = random.Random(4)
    for name in NAMES:
        data = checker.read(t.vector(name + ".blt"))
        good = checker.Store(data)
        for _ in range(12):
            at, n = rng.randrange(200, len(data)), rng.choice((1, 30, 400))
            n = min(n, len(data) - at)
            bad = with_bytes(data, at, rng.choice((bytes(n),
                                                   rng.randbytes(n))))
            touched = {b.pos for b in good.blocks
                       if b.pos < at + n and b.end > at}
            assert_whole(bad, good, touched, f"{name}: {n} bytes at {at}")
        for _ in range(6):
            cut = rng.randrange(200, len(data))
            touched = {b.pos for b in good.blocks if b.end > cut}
            assert_whole(data[:cut], good, touched, f"{name}: cut at {cut}")


def lost_lengths():
    """A value's length is wrong, and reaches over its neighbours."""
    for name in ("churn", "pruned", "metadata"):
        data = checker.read(t.vector(name + ".blt"))
        good = checker.Store(data)
        live = [b for b in good.blocks if b.live]
        for b in live[2:40:7]:
            for grown in (1, 40, 1000, 0xfffffff0):
                n = (len(b.value) + grown) & 0xffffffff
                bad = with_bytes(data, b.pos + 21, n.to_bytes(4, "little"))
                _, told = assert_whole(bad, good, {b.pos},
                                       f"{name}: length at {b.pos} + {grown}")
                t.equal(told["doubtful_keys"], 0, told)


def two_live():
    """Of two live blocks of a key the later wins."""
    data = checker.read(t.vector("chains.blt"))
    good = checker.Store(data)
    raised = [b for b in good.blocks if not b.live and b.key in good.items()]
    bad = data
    for b in raised:
        bad = with_bytes(bad, b.pos + 13, b"\1")
    told = assert_all(bad, good, "two live blocks of one key")
    t.equal(told["older_blocks"], len(raised), told)


def store_in_a_store():
    """Blocks inside a value are part of it, where nothing is damaged."""
    path = os.path.join(DIR, "outer.blt")
    inner = checker.read(t.vector("churn.blt"))
    t.ok("create", path)
    for key in ("before", "outer", "after", "last"):
        t.ok("put", path, key, stdin=inner if key == "outer" else b"x" * 99)
    data = checker.read(path)
    good = checker.Store(data)
    assert_all(data, good, "a store in a store")
    assert_all(with_bytes(data, 200, bytes(6 * 12007)), good,
               "a store in a store without its index")
    # what follows the value is damaged: too many keys rather than too few
    after = good.items()[b"after"]
    _, told = assert_whole(with_bytes(data, after.pos, b"\xff" * 19), good,
                           {after.pos}, "damage behind a store in a store")
    t.equal(told["doubtful_keys"] > 0, True, told)


def in_place():
    data = checker.read(t.vector("churn.blt"))
    bad = with_bytes(data, 200, bytes(6 * 50))
    link = os.path.join(DIR, "link.blt")
    put(BAD, bad)
    os.chmod(BAD, 0o640)
    os.symlink("bad.blt", link)
    said = t.ok("recover", "--rebuild", "--in-place", link).decode()
    t.equal("keys kept" in said and "213 in" in said, True, said)
    t.equal(lines(checker.Store(checker.read(BAD))),
            lines(checker.Store(data)), "in place")
    t.equal(oct(os.stat(BAD).st_mode & 0o777), oct(0o640), "mode")
    t.equal(os.path.islink(link), True, "the link is one still")
    t.equal(sorted(os.listdir(DIR)),
            sorted({"bad.blt", "link.blt"} | set(os.listdir(DIR)) &
                   {"new.blt", "outer.blt"}), "nothing is left behind")


def arguments():
    small = t.vector("small.blt")
    t.refused(t.USAGE, "--to", args=("recover", "--rebuild", small))
    t.refused(t.USAGE, "--to", args=("recover", "--rebuild", "--in-place",
                                     "--to", NEW, small))
    t.refused(t.USAGE, "--rebuild", args=("recover", "--to", NEW, small))
    put(NEW, b"mine")
    t.refused(t.CANTCREAT, "exists", args=("recover", "--rebuild", "--to", NEW,
                                           small))
    t.equal(checker.read(NEW), b"mine", "what was there")
    t.refused(t.DATAERR, "--rebuild --to", args=(
        "recover", put(BAD, with_bytes(checker.read(small), 21, bytes(4)))))
    put(BAD, checker.read(small))
    t.equal(b"closed properly" in t.ok("recover", BAD), True, "clean")
    put(BAD, checker.read(t.vector("crashmark.blt")))
    t.equal(b"recovered" in t.ok("recover", BAD), True, "left open")
    t.equal(checker.check(BAD), [], "recovered")
    t.equal(b"closed properly" in t.ok("recover", BAD), True, "recovered")


def killed_writer():
    """What blt itself leaves when it is killed in the middle."""
    path = os.path.join(DIR, "hot.blt")
    t.ok("create", path)
    with subprocess.Popen([t.BLT, "load", path],
                          stdin=subprocess.PIPE) as writer:
        n = 0
        limit = time.monotonic() + t.LIMIT
        while os.path.getsize(path) < 40 << 20:
            key = b"%06d" % n
            writer.stdin.write(key.hex().encode() + b" " + b"ab" * 30000
                               + b" %d\n" % n)
            n += 1
            if time.monotonic() > limit:
                t.fail("the store does not grow")
        writer.kill()
    hot = checker.read(path)
    t.equal(hot[16:18], b"\0\0", "the version of a store being written")
    done = t.run("check", path)
    t.equal((done.returncode, b"did not close it" in done.stdout), (0, True),
            done.stdout)
    told = json.loads(t.ok("recover", "--json", path))
    t.equal(told["keys"] > 0 and told["was_open"], True, told)
    t.equal(checker.check(path), [], "the recovered store")
    good = checker.Store(checker.read(path))
    t.equal(len(good.items()), told["keys"], "keys")
    assert_whole(hot, good, (), "rebuilt from a store being written")
    # the first record of a log holds a copy of the header
    _, told = assert_whole(bytes(200) + hot[200:], good, (), "no header")
    t.equal(told["header"], "log", told)
    assert_whole(bytes(77) + hot[77:300000] + bytes(9) + hot[300009:], good,
                 {b.pos for b in good.blocks
                  if b.pos < 300009 and b.end > 300000}, "a hole in the log")


sound_stores()
lost_index()
lost_layout()
lost_header()
lost_pointers()
lost_bytes()
lost_lengths()
two_live()
store_in_a_store()
in_place()
arguments()
killed_writer()
