#!/usr/bin/env python3
"""A sequence on a mount: its items as files, and by their positions in .at,
which follow whatever is done to the files."""

import errno
import fcntl
import os
import random
import resource
import struct
import subprocess
import tarfile
import threading

import seqlib
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
    check([("%2Eat", b"1"), ("zz", {".at": b"2"}), ("zz%", b"3")])
    os.rename("frames/%2Eat", "frames/a")
    os.rename("frames/a", "frames/%41")
    subprocess.run(["rm", "-r", "frames/%41", "frames/zz", "frames/zz%"],
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


# ---- blt seq on the mount, and its ioctl ----

PIECE = 8192
LEN, INSERT, APPEND, DELETE = 1, 4, 5, 6
FORMAT = f"<QIIqqQ{PIECE}s"
REQUEST = 3 << 30 | struct.calcsize(FORMAT) << 16 | 0xb7 << 8 | 12


def request(fd, verb, start=0, end=0, item=None):
    """One ioctl; item: the bytes of one that is a value.  Its n."""
    data = b""
    if item is not None:
        data = struct.pack("<III", 0xffffffff, 0, len(item)) + item
    arg = bytearray(struct.pack(FORMAT, 0, verb, len(data), start, end, 0,
                                data))
    fcntl.ioctl(fd, REQUEST, arg)
    return struct.unpack(FORMAT, arg)[5]


def seq(verb, *args, stdin=b"", path="frames"):
    done = subprocess.run([BLT, "seq", verb, path, *args], input=stdin,
                          capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(say, verb, *args, path="frames", stdin=b"x"):
    done = subprocess.run([BLT, "seq", verb, path, *args], input=stdin,
                          capture_output=True, check=False)
    assert done.returncode != 0 and say in done.stderr.decode(), done


def items(*which):
    return seqlib.parsed(seq(*(which or ("iter",))))


def files(path="frames"):
    """The items as the files have it, and as positions have it."""
    def item(at):
        if os.path.isdir(at):
            return {f: read(f"{at}/{f}").decode() for f in os.listdir(at)}
        return read(at).decode()
    names = sorted(os.listdir(path))
    found = [item(f"{path}/{name}") for name in names]
    for i in {0, len(names) // 2, len(names) - 1}:
        if names:
            assert os.readlink(f"{path}/.at/{i}") == f"../{names[i]}"
    assert not os.path.lexists(f"{path}/.at/{len(names)}")
    return found


def same(model):
    assert items() == model, (items(), model)
    assert files() == model, (files(), model)
    assert seq("len") == f"{len(model)}\n".encode()


def test_verbs():
    seq("create", path="made")
    assert os.listdir("made/.at") == []
    os.mkdir("later")
    write("later/.at", b"a file")
    assert sorted(os.listdir("later")) == [".at"]
    refused("is no sequence; make it one with \"blt seq create later\"",
            "len", path="later")
    seq("create", path="later")
    refused("is a sequence already", "create", path="later")
    assert os.listdir("later") == ["%2Eat"]
    assert os.readlink("later/.at/0") == "../%2Eat"
    refused("is no directory that can be a sequence", "create", path=".")
    refused("missing arguments; usage: blt seq get DIR I", "get")
    for name in "hz", "i0", "i1", "i2":
        assert not os.path.exists(f"frames/{name}")  # and that is kept
    same([])
    refused("position 0 is out of range: frames has 0 items", "get", "0")
    refused("position -1 is out of range", "delete", "-1")
    refused("an item of more than 64 MiB does not go through here", "append",
            stdin=bytes((64 << 20) + 1))
    seq("append", stdin=b"hello")
    assert read("frames/i0") == b"hello"
    seq("append", "a=1", ".at=2", ".bltfs=3")
    seq("insert", "-9", stdin=b"")  # out of range: at that end
    same(["", "hello", {"a": "1", ".at": "2", ".bltfs": "3"}])
    seq("update", "-1", "a=4", "b=5")
    same(["", "hello", {"a": "4", ".at": "2", ".bltfs": "3", "b": "5"}])
    refused("item 0 has a value and no fields", "update", "0", "a=1")
    seq("set", "-1", "b=6")
    same(["", "hello", {"b": "6"}])
    assert seq("get", "-1", "b") == b"6"
    refused("item 2 has no field a", "get", "2", "a")
    seq("set", "1", "c=7")
    seq("extend", stdin=b'{}\n"end"\n')
    same(["", {"c": "7"}, {"b": "6"}, {}, "end"])
    seq("move", "-1", "0")
    same(["end", "", {"c": "7"}, {"b": "6"}, {}])
    refused("position 5 is out of range", "move", "0", "5")
    refused("position 9 is out of range", "move", "9", "0")
    assert items("slice", "1:-2") == ["", {"c": "7"}]
    seq("delete", "1:3")
    seq("delete", "-1")
    same(["end", {"b": "6"}])
    os.unlink("frames/.at/1/b")
    same(["end", {}])
    seq("delete", ":")
    same([])


def test_large_items():
    """Longer than a request, and than an answer."""
    for n in PIECE - 13, PIECE - 12, PIECE - 11, PIECE, 3 * PIECE, 1 << 20:
        what = os.urandom(n)
        seq("append", stdin=what)
        assert seq("get", "-1") == what
        assert read("frames/.at/-1") == what
        with open("frames/.at/-1", "rb") as f:  # open, and known
            assert f.read() == what
            seq("set", "-1", stdin=what[::-1])
            f.seek(0)
            assert f.read() == what[::-1]
    seq("delete", ":")
    lines = "".join(f'{{"n": "{i}", "t": "{"x" * (i % 300)}"}}\n'
                    for i in range(4000))
    seq("extend", stdin=lines.encode())
    got = seq("iter").decode()
    assert got == lines
    assert [i["n"] for i in items("slice", "3990:")] == [
        str(i) for i in range(3990, 4000)]
    assert len(os.listdir("frames")) == 4000
    seq("delete", "1:-1")
    assert [i["n"] for i in items()] == ["0", "3999"]
    assert len(os.listdir("frames")) == 2
    seq("delete", ":")


def test_no_memory():
    """Of the tool: what it was to read is larger than it may be."""
    if os.environ.get("SANITIZERS", "no") != "no":
        return  # these want all addresses
    head = tarfile.TarInfo("zeros")
    head.size = 1 << 32
    for first in head.tobuf(), b'"':
        blt = subprocess.Popen(
            [BLT, "seq", "extend", "frames"], stdin=subprocess.PIPE,
            stderr=subprocess.PIPE, preexec_fn=lambda: resource.setrlimit(
                resource.RLIMIT_AS, (256 << 20, 256 << 20)))
        try:
            blt.stdin.write(first)
            while True:
                blt.stdin.write(b"0" * (1 << 20))
        except BrokenPipeError:
            pass
        said = blt.stderr.read().decode()
        assert blt.wait() == 71 and "Cannot allocate memory" in said, (
            blt.returncode, said)
    assert os.listdir("frames") == []


def test_ends_and_gap():
    many = int(os.environ.get("SEQ_MANY", "300"))
    fd = os.open("frames", os.O_RDONLY)
    for i in range(many):
        request(fd, INSERT, 0, item=b"%d" % (many - 1 - i))
        request(fd, APPEND, item=b"%d" % (many + i))
    for i in range(many):  # names become long, and are made anew
        request(fd, INSERT, many, item=b"gap")
    assert request(fd, LEN) == 3 * many
    names = sorted(os.listdir("frames"))
    assert max(map(len, names)) <= 32
    assert [read(f"frames/{n}") for n in names] == (
        [b"%d" % i for i in range(many)] + [b"gap"] * many +
        [b"%d" % i for i in range(many, 2 * many)])
    for start, end in (0, many * 4), (-many * 4, 1), (2, 1):
        with fails(errno.ERANGE):
            request(fd, DELETE, start, end)
    with fails(errno.EINVAL):
        request(fd, 99)
    request(fd, DELETE, 0, 3 * many)
    assert os.listdir("frames") == []
    os.close(fd)


def test_writers():
    """Some by position, one with plain files, one that deletes what it
    meets."""
    failed = []

    def run(what):
        try:
            what()
        except BaseException as e:
            failed.append(e)
            raise

    def insert():
        fd = os.open("frames", os.O_RDONLY)
        for i in range(150):
            request(fd, (INSERT, APPEND)[i % 2], 0, item=b"theirs")
        os.close(fd)

    def plain():
        for i in range(100):
            write(f"frames/i{i % 36:02x}", b"plain")

    def walk():
        for _ in range(5):
            items()

    threads = [threading.Thread(target=run, args=(f,))
               for f in (insert, insert, plain, walk)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed, failed
    found = files()
    # an item whose name the plain writer took first is still there
    assert found == items()
    assert len(found) >= 300 and set(found) == {"theirs", "plain"}
    for name in os.listdir("frames"):
        if random.random() < 0.5:
            os.unlink(f"frames/{name}")
    assert files() == items()
    seq("delete", ":")
    same([])


def test_tool_against_a_list():
    model = []

    def by_hand(at, *_):
        path = f"frames/.at/{at}"
        if os.path.isdir(path):
            write(f"{path}/w", b"by hand")
            model[at]["w"] = "by hand"
        else:
            write(path, b"by hand")
            model[at] = "by hand"

    for _ in seqlib.changes(seq, model, by_hand, 40):
        same(model)
    seq("delete", ":")


def test_no_requests(m):
    for option, say, verb in (("control=none", "its mount takes no", "len"),
                              ("ro", "Read-only file system", "append"),
                              ("ro", "Read-only file system", "create")):
        m.options = (option,)
        m.remount()
        refused(say, verb)
        if option == "ro":
            assert seq("len") == b"0\n"
    m.options = ()
    m.remount()


with Mount("create") as mount:
    test_positions(mount)
    test_no_other_names(mount)
    test_keys_of_that_name(mount)
    test_against_a_list(mount)
    if ENGINE == "lmdb":
        test_beside(mount)
    subprocess.run(["rm", "-r", "frames"], check=True)
    seq("create")
    test_verbs()
    test_large_items()
    test_no_memory()
    test_ends_and_gap()
    test_writers()
    test_tool_against_a_list()
    test_no_requests(mount)
