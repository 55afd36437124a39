#!/usr/bin/env python3
"""A sequence on a mount: its items as files, and by their positions in .at,
which follow whatever is done to the files."""

import errno
import os
import random
import subprocess

from mountlib import (BLT, ENGINE, EXCHANGE, Mount, fails, read, renameat2,
                      write)


def blt(m, *args, stdin=b""):
    """blt seq VERB, on the store while it is not mounted."""
    os.chdir("/")
    m.stop()
    done = subprocess.run([BLT, "seq", args[0], m.store, "frames", *args[1:]],
                          input=stdin, capture_output=True, check=True)
    m.start()
    os.chdir(m.mnt)
    return done.stdout


def content(path):
    if not os.path.isdir(path):
        return read(path)
    return {f: read(f"{path}/{f}") for f in os.listdir(path)}


def check(model):
    """model: [(name, content)] in its order."""
    assert sorted(os.listdir("frames")) == [name for name, _ in model]
    for i, (name, what) in enumerate(model):
        for at in i, i - len(model):
            assert os.readlink(f"frames/.at/{at}") == f"../{name}", (at, name)
        assert content(f"frames/.at/{i}") == what
    for at in len(model), -len(model) - 1:
        assert not os.path.lexists(f"frames/.at/{at}")


def test_positions(m):
    os.mkdir("frames")
    blt(m, "create")
    check([])
    assert os.listdir("frames/.at") == []
    blt(m, "append", stdin=b"first")
    blt(m, "append", "a=1", "b=2")
    blt(m, "insert", "0", stdin=b"before")
    check([("hz", b"before"), ("i0", b"first"),
           ("i1", {"a": b"1", "b": b"2"})])
    assert sorted(os.listdir("frames/.at")) == ["0", "1", "2"]
    st = os.lstat("frames/.at/-1")
    assert st.st_size == len("../i1") and os.path.islink("frames/.at/-1")
    assert os.stat("frames/.at").st_mode & 0o222 == 0
    # with plain tools: what is written through a position is the item's
    write("frames/.at/0", b"written")
    assert read("frames/hz") == b"written"
    write("frames/.at/2/c", b"3")
    write("frames/hzz", b"between")
    check([("hz", b"written"), ("hzz", b"between"), ("i0", b"first"),
           ("i1", {"a": b"1", "b": b"2", "c": b"3"})])
    os.unlink("frames/hz")
    os.rename("frames/i1", "frames/0")
    check([("0", {"a": b"1", "b": b"2", "c": b"3"}), ("hzz", b"between"),
           ("i0", b"first")])
    renameat2("frames/0", "frames/i0", EXCHANGE)
    check([("0", b"first"), ("hzz", b"between"),
           ("i0", {"a": b"1", "b": b"2", "c": b"3"})])
    m.remount()
    check([("0", b"first"), ("hzz", b"between"),
           ("i0", {"a": b"1", "b": b"2", "c": b"3"})])
    subprocess.run(["rm", "-r", "frames/i0", "frames/0", "frames/hzz"],
                   check=True)
    check([])
    assert blt(m, "len") == b"0\n"


def test_no_other_names(m):
    write("frames/x", b"1")
    for name in "", "x", "00", "+0", " 0", "-0", "1", "0x0", "-2", "9" * 30:
        assert not os.path.lexists(f"frames/.at/{name or '1'}"), name
    for act in (lambda: os.mkdir("frames/.at"),
                lambda: os.rmdir("frames/.at"),
                lambda: os.unlink("frames/.at/0"),
                lambda: write("frames/.at/new", b""),
                lambda: os.mkdir("frames/.at/5"),
                lambda: os.symlink("x", "frames/.at/5"),
                lambda: os.rename("frames/x", "frames/.at/0"),
                lambda: os.rename("frames/.at/0", "frames/y"),
                lambda: os.rename("frames/.at", "frames/y")):
        try:
            act()
        except OSError as e:
            assert e.errno in (errno.EPERM, errno.EEXIST, errno.EACCES), e
        else:
            raise AssertionError("the positions were changed")
    assert os.readlink("frames/.at/0") == "../x"
    os.unlink("frames/x")
    # elsewhere it is a name like any other
    write(".at", b"a file")
    os.mkdir("plain")
    os.mkdir("plain/.at")
    write("plain/.at/0", b"0")
    assert sorted(os.listdir("plain")) == [".at"]
    with fails(errno.ENOENT):
        os.stat("plain/.at/1")
    subprocess.run(["rm", "-r", ".at", "plain"], check=True)


def test_keys_of_that_name(m):
    os.chdir("/")
    m.stop()
    for key, value in (("frames/.at", b"1"), ("frames/zz/.at", b"2"),
                       ("frames/zz%", b"3")):
        subprocess.run([BLT, "put", "-r", m.store, key], input=value,
                       check=True)
    m.start()
    os.chdir(m.mnt)
    check([("%2Eat", b"1"), ("zz", {".at": b"2"}), ("zz%25", b"3")])
    os.rename("frames/%2Eat", "frames/a")
    with fails(errno.EINVAL):
        os.rename("frames/a", "frames/%41")
    subprocess.run(["rm", "-r", "frames/a", "frames/zz", "frames/zz%25"],
                   check=True)


def test_against_a_list(m):
    rng = random.Random(int(os.environ.get("SEQ_SEED", "1")))
    names = set()
    for i in range(int(os.environ.get("SEQ_CHANGES", "150"))):
        name = "".join(rng.choices("0az", k=rng.randrange(1, 4)))
        if name not in names:
            write(f"frames/{name}", name.encode())
            names.add(name)
        elif rng.random() < 0.5:
            os.unlink(f"frames/{name}")
            names.remove(name)
        else:
            write(f"frames/{name}", name.encode())
        order = sorted(names)
        if order:
            at = rng.randrange(-len(order), len(order))
            assert read(f"frames/.at/{at}") == order[at].encode()
        assert not os.path.lexists(f"frames/.at/{len(order)}")
        if i % 50 == 49:
            m.remount()
            check([(n, n.encode()) for n in order])


def test_beside(m):
    """An engine whose stores several processes may have open."""
    had = [(name, read(f"frames/{name}"))
           for name in sorted(os.listdir("frames"))]
    check(had)
    for i in range(5):
        where = ["0"] if i % 2 else []
        subprocess.run([BLT, "seq", "insert" if where else "append", m.store,
                        "frames", *where], input=b"%d" % i, check=True)
        assert read(f"frames/.at/{0 if where else -1}") == b"%d" % i
        last = "frames/" + "z" * 40
        write(last, b"last")
        done = subprocess.run([BLT, "seq", "get", m.store, "frames", "-1"],
                              capture_output=True, check=True)
        assert done.stdout == b"last", done.stdout
        os.unlink(last)
    assert len(os.listdir("frames/.at")) == len(had) + 5


with Mount("create") as mount:
    test_positions(mount)
    test_no_other_names(mount)
    test_keys_of_that_name(mount)
    test_against_a_list(mount)
    if ENGINE == "lmdb":
        test_beside(mount)
