#!/usr/bin/env python3
"""What programs expect of files and directories, through a mount."""

import ctypes
import errno
import hashlib
import json
import mmap
import os
import socket
import subprocess
import sys
import time

import daemonlib
from mountlib import (BLT, ENGINE, EXCHANGE, KEEPS_TIMES, NOREPLACE, Mount,
                      eventually, fails, libc, read, renameat2, write)


def test_open_flags(m):
    with fails(errno.ENOENT):
        os.open("f", os.O_RDONLY)
    fd = os.open("f", os.O_CREAT | os.O_EXCL | os.O_RDWR)
    with fails(errno.EEXIST):
        os.open("f", os.O_CREAT | os.O_EXCL | os.O_RDWR)
    assert os.listdir(".") == ["f"], "a file that is being made is listed"
    assert os.stat("f").st_size == 0
    os.write(fd, b"abc")
    assert os.stat("f").st_size == 3 and read("f") == b"abc"
    os.close(fd)
    with fails(errno.EISDIR):
        os.open(".", os.O_RDWR)
    with fails(errno.ENOTDIR):
        os.open("f/x", os.O_RDONLY)
    with fails(errno.ENOTDIR):
        os.open("f", os.O_RDONLY | os.O_DIRECTORY)
    fd = os.open("f", os.O_WRONLY | os.O_TRUNC)
    assert os.stat("f").st_size == 0
    os.close(fd)
    assert read("f") == b""
    fd = os.open("f", os.O_RDONLY)
    with fails(errno.EBADF):
        os.write(fd, b"x")
    os.close(fd)
    m.remount()
    assert read("f") == b""


def state_of(store):
    """The bytes of the file, and when it was written; of a database, what is
    in it, times and all."""
    if ENGINE == "postgresql":
        return subprocess.check_output([BLT, "dump", store])
    return read(store), os.stat(store).st_mtime_ns


def test_unchanged(m):
    """Whoever changes nothing leaves the store as it is, to the byte."""
    write("f", b"content")
    os.makedirs("d/empty")
    m.remount()
    before = state_of(m.store)
    for flags in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_APPEND,
                  os.O_RDWR | os.O_CREAT):
        fd = os.open("f", flags)
        if flags & os.O_ACCMODE != os.O_RDONLY:
            assert os.write(fd, b"") == 0
            os.fsync(fd)
        if flags & os.O_ACCMODE != os.O_WRONLY:
            assert os.read(fd, 100) == b"content"
        os.close(fd)
    os.rename("f", "f")
    os.chmod("f", 0o644)
    assert sorted(os.listdir(".")) == ["d", "f"]
    assert os.listdir("d/empty") == [] and os.stat("d").st_nlink > 0
    with fails(errno.EEXIST):
        os.mkdir("d")
    with fails(errno.ENOTEMPTY):
        os.rmdir("d")
    m.remount()
    assert state_of(m.store) == before, "it was written to"


def test_unlinked_while_open(_):
    write("f", b"stored")
    one, two = os.open("f", os.O_RDWR), os.open("f", os.O_RDONLY)
    os.unlink("f")
    assert not os.path.exists("f") and os.listdir(".") == []
    assert os.read(two, 100) == b"stored"
    os.pwrite(one, b"STO", 0)
    os.pwrite(one, b"more", 10)
    assert os.pread(two, 100, 0) == b"STOred\0\0\0\0more"
    assert os.fstat(one).st_size == 14
    write("f", b"another")
    os.close(one)
    assert os.pread(two, 3, 0) == b"STO"
    os.close(two)
    assert read("f") == b"another"
    fd = os.open("never", os.O_CREAT | os.O_RDWR)
    os.write(fd, b"x")
    os.unlink("never")
    assert os.pread(fd, 9, 0) == b"x"
    os.close(fd)
    assert os.listdir(".") == ["f"]


def test_resolved_before(_):
    """What the kernel resolved before a name is replaced or removed, and opens
    behind that, is the old file: a descriptor of O_PATH does it step by step."""
    for was_open in (False, True):
        for remove in (lambda: os.rename("new", "f"), lambda: os.unlink("f")):
            write("f", b"old")
            write("new", b"newer")
            path = os.open("f", os.O_PATH)
            again = f"/proc/self/fd/{path}"
            if was_open:
                fd = os.open("f", os.O_RDWR)
                os.pwrite(fd, b"OLD", 0)
            remove()
            if was_open:
                os.close(fd)
            old = b"OLD" if was_open else b"old"
            assert os.fstat(path).st_size == 3
            assert os.fstat(path).st_nlink == 0
            assert read(again) == old
            assert read(again) == old, "the first close took it along"
            fd = os.open(again, os.O_RDWR)
            os.pwrite(fd, b"!", 3)
            os.close(fd)
            assert read(again) == old + b"!"
            os.truncate(again, 1)
            assert read(again) == old[:1]
            write(again, b"anew")
            assert read(again) == b"anew"
            os.close(path)
            assert sorted(os.listdir(".")) == [
                n for n in ("f", "new") if os.path.exists(n)]
            if os.path.exists("f"):
                assert read("f") == b"newer" and os.stat("f").st_nlink == 1
                os.unlink("f")


def test_no_links_left(_):
    write("f", b"x")
    os.mkdir("d")
    fd, d = os.open("f", os.O_RDONLY), os.open("d", os.O_RDONLY)
    assert os.fstat(fd).st_nlink == 1 and os.fstat(d).st_nlink > 0
    os.unlink("f")
    os.rmdir("d")
    assert os.fstat(fd).st_nlink == 0 and os.fstat(d).st_nlink == 0
    os.close(fd)
    os.close(d)


def test_append_from_two(_):
    one = os.open("log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    two = os.open("log", os.O_WRONLY | os.O_APPEND)
    for i in range(50):
        os.write(one, b"1%02d\n" % i)
        os.write(two, b"2%02d\n" % i)
    os.close(one)
    os.close(two)
    assert read("log") == b"".join(b"1%02d\n2%02d\n" % (i, i)
                                   for i in range(50))


def test_random_writes(_):
    import random
    random.seed(3)
    model = bytearray()
    fd = os.open("f", os.O_CREAT | os.O_RDWR)
    for i in range(2000):
        at, data = random.randrange(300000), random.randbytes(
            random.choice((1, 100, 5000)))
        kind = random.randrange(12)
        if kind == 0:
            os.ftruncate(fd, at)
            model = model[:at] + bytearray(max(0, at - len(model)))
        elif kind == 1:
            os.close(fd)
            assert read("f") == model, i
            fd = os.open("f", os.O_RDWR)
        elif kind < 5:
            assert os.pread(fd, 4096, at) == model[at:at + 4096], i
        else:
            os.pwrite(fd, data, at)
            model += bytearray(max(0, at - len(model)))
            model[at:at + len(data)] = data
    os.close(fd)
    assert read("f") == model


def test_mmap(_):
    write("f", bytes(10000))
    fd = os.open("f", os.O_RDWR)
    with mmap.mmap(fd, 10000) as mapped:
        os.close(fd)
        mapped[0:5] = b"first"
        mapped[9000:9004] = b"last"
        mapped.flush()
        assert read("f")[:5] == b"first"
        mapped[5000:5003] = b"mid"
    with open("f", "rb") as f:
        data = f.read()
    assert data[:5] == b"first" and data[9000:9004] == b"last"
    assert data[5000:5003] == b"mid" and len(data) == 10000


def test_rename_files(_):
    write("a", b"A")
    write("b", b"B")
    old = os.open("b", os.O_RDONLY)
    held = os.open("a", os.O_RDWR)
    ino = os.stat("a").st_ino
    os.rename("a", "b")
    assert os.listdir(".") == ["b"] and read("b") == b"A"
    assert os.stat("b").st_ino == ino
    assert os.read(old, 9) == b"B", "the replaced file lives on"
    os.pwrite(held, b"AA", 0)
    os.close(held)
    os.close(old)
    assert read("b") == b"AA", "an open file follows"
    write("c", b"C")
    with fails(errno.EEXIST):
        renameat2("b", "c", NOREPLACE)
    renameat2("b", "d", NOREPLACE)
    assert read("d") == b"AA"
    times = os.stat("c").st_mtime_ns, os.stat("d").st_mtime_ns
    renameat2("c", "d", EXCHANGE)
    assert read("c") == b"AA" and read("d") == b"C"
    if KEEPS_TIMES:
        assert (os.stat("d").st_mtime_ns, os.stat("c").st_mtime_ns) == times
    with fails(errno.ENOENT):
        renameat2("c", "nothing", EXCHANGE)
    with fails(errno.ENOENT):
        os.rename("nothing", "c")
    os.rename("c", "c")
    fd = os.open("new", os.O_CREAT | os.O_WRONLY)
    os.write(fd, b"begun")
    os.rename("new", "d")
    os.write(fd, b" ended")
    os.close(fd)
    assert read("d") == b"begun ended"
    assert sorted(os.listdir(".")) == ["c", "d"]


def test_rename_directories(m):
    os.makedirs("a/b/empty")
    write("a/b/f", b"f")
    write("a/g", b"g")
    fd = os.open("a/b/f", os.O_RDWR)
    new = os.open("a/b/new", os.O_CREAT | os.O_WRONLY)
    os.write(new, b"new")
    with fails(errno.EINVAL):
        os.rename("a", "a/b/x")
    ino = os.stat("a").st_ino
    os.rename("a", "z")
    assert os.stat("z").st_ino == ino
    assert os.listdir(".") == ["z"]
    assert sorted(os.listdir("z/b")) == ["empty", "f", "new"]
    os.write(fd, b"F")
    os.close(fd)
    os.close(new)
    assert read("z/b/f") == b"F" and read("z/b/new") == b"new"
    os.mkdir("a")
    assert os.stat("a").st_ino != ino
    os.rename("z", "a")
    assert os.listdir(".") == ["a"]
    os.mkdir("full")
    write("full/x", b"")
    with fails(errno.ENOTEMPTY):
        os.rename("a", "full")
    with fails(errno.ENOTDIR):
        os.rename("a", "full/x")
    with fails(errno.EISDIR):
        os.rename("full/x", "a")
    renameat2("a", "full", EXCHANGE)
    assert os.listdir("a") == ["x"] and read("full/g") == b"g"
    os.rename("a/x", "x")
    assert os.listdir("a") == [], "a directory that was emptied stays"
    renameat2("x", "full", EXCHANGE)
    assert read("x/g") == b"g" and read("full") == b""
    m.remount()
    assert sorted(os.listdir(".")) == ["a", "full", "x"]
    assert os.listdir("a") == [] and os.listdir("x/b/empty") == []


def test_rename_loses_open_file(m):
    """One that is not stored yet, whose key would be too long: its close says
    so."""
    os.mkdir("a")
    top = fd = os.open("a", os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(260):
        os.mkdir("x" * 250, dir_fd=fd)
        below = os.open("x" * 250, os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
        if fd != top:
            os.close(fd)
        fd = below
    kept = os.open("kept", os.O_CREAT | os.O_WRONLY, dir_fd=fd)
    lost = os.open("y" * 200, os.O_CREAT | os.O_WRONLY, dir_fd=fd)
    assert os.write(kept, b"kept") == 4 and os.write(lost, b"lost") == 4
    os.rename("a", "b" * 255)
    os.close(kept)
    with fails(errno.ENAMETOOLONG):
        os.close(lost)
    assert os.listdir(".") == ["b" * 255]
    assert os.listdir(fd) == ["kept"]
    found = os.open("kept", os.O_RDONLY, dir_fd=fd)
    assert os.read(found, 9) == b"kept"
    for f in (found, fd, top):
        os.close(f)
    says = "bltfs: a/xxx"  # a long message is cut off
    eventually(lambda: says in daemonlib.said(m.log))
    m.said(says)


def test_directories(m):
    os.mkdir("d")
    with fails(errno.EEXIST):
        os.mkdir("d")
    with fails(errno.EISDIR):
        os.unlink("d")
    write("d/f", b"1")
    with fails(errno.ENOTEMPTY):
        os.rmdir("d")
    with fails(errno.ENOTDIR):
        os.rmdir("d/f")
    fd = os.open("d/g", os.O_CREAT | os.O_WRONLY)
    os.unlink("d/f")
    with fails(errno.ENOTEMPTY):
        os.rmdir("d")
    os.close(fd)
    os.unlink("d/g")
    m.remount()
    assert os.listdir("d") == []
    os.rmdir("d")
    with fails(errno.ENOENT):
        os.rmdir("d")
    os.mkdir("d")
    assert os.stat("d").st_nlink == 1
    with fails(errno.ENAMETOOLONG):
        os.mkdir("n" * 256)
    for name in ("x%", "%41", "a%zz"):
        os.mkdir(name)
        os.rmdir(name)
        write(name, b"")
        os.unlink(name)
    with fails(errno.EEXIST):
        os.mkdir(".bltfs")
    write("long" * 60, b"l")
    assert sorted(os.listdir(".")) == ["d", "long" * 60]


def test_listing(_):
    names = [f"name {i}" for i in range(3000)]
    for name in names:
        write(name, b"")
    assert sorted(os.listdir(".")) == sorted(names)
    with os.scandir(".") as it:
        seen = []
        for e in it:
            seen.append(e.name)
            assert e.inode() == os.stat(e.name).st_ino
            if len(seen) % 2:
                os.unlink(e.name)
    assert sorted(seen) == sorted(names), "each that stays, exactly once"
    assert len(os.listdir(".")) == 1500


def test_listing_of_moved(_):
    """The kernel drops what it keeps of a listing when it likes to, and asks
    for the rest."""
    names = [f"name {i}" for i in range(3000)]
    os.makedirs("a/in")
    for name in names:
        write(f"a/in/{name}", b"")
    for old, new in (("a", "b"), ("b", "c")):
        assert len(os.listdir(old + "/in")) == 3000
        os.rename(old, new)
        fd = os.open(new + "/in", os.O_RDONLY | os.O_DIRECTORY)
        with os.scandir(fd) as it:
            seen = [next(it).name]
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            seen += [e.name for e in it]
        os.close(fd)
        assert sorted(seen) == sorted(names)


def test_listing_goes_on(_):
    """A directory that is renamed while it is read, and whose last name goes."""
    names = [f"name {i}" for i in range(3000)]
    os.mkdir("d")
    for name in names:
        write(f"d/{name}", b"")
    with os.scandir("d") as it:
        seen = [next(it).name]
        os.rename("d", "e")
        for entry in it:
            seen.append(entry.name)
            os.unlink(f"e/{entry.name}")
    if ENGINE != "booklet":  # which lists by a hash of the path, and that changed
        assert sorted(seen) == sorted(names)


def test_times(m):
    write("f", b"x")
    now = time.time()
    assert abs(os.stat("f").st_mtime - now) < 60
    os.utime("f", ns=(0, 1_234_567_890_123_456_789))
    assert os.stat("f").st_mtime_ns == 1_234_567_890_123_456_000
    with fails(errno.EINVAL):
        os.utime("f", (0, -1))
    fd = os.open("f", os.O_RDWR)
    os.write(fd, b"yy")
    os.utime(fd, (5, 7))
    os.close(fd)
    assert os.stat("f").st_mtime == 7, "set after the write, before close"
    fd = os.open("f", os.O_RDWR)
    os.close(fd)
    assert os.stat("f").st_mtime == 7, "nothing was written"
    os.mkdir("d")
    os.utime("d", (8, 9))
    m.remount()
    assert os.stat("f").st_mtime == 7 and read("f") == b"yy"
    assert os.stat("d").st_mtime == 9
    with open("f", "ab") as f:
        f.write(b"z")
    assert os.stat("f").st_mtime >= now
    os.utime("f")


def test_symlinks(m):
    write("target", b"t")
    os.symlink("target", "link")
    os.symlink("x" * 1024, "longest")
    with fails(errno.ENAMETOOLONG):
        os.symlink("x" * 1025, "too long")
    with fails(errno.EEXIST):
        os.symlink("target", "link")
    assert os.readlink("link") == "target" and read("link") == b"t"
    assert os.lstat("link").st_size == 6
    with fails(errno.EPERM):
        os.link("target", "hard")
    m.remount()
    assert os.path.islink("link") and os.readlink("longest") == "x" * 1024
    assert {e.name for e in os.scandir(".") if e.is_symlink()} == \
        {"link", "longest"}
    os.rename("link", "moved")
    assert os.readlink("moved") == "target"
    os.unlink("moved")
    assert read("target") == b"t"
    damaged = b"XSym\n0006\n" + b"0" * 32 + b"\ntarget\n"
    write("plain", damaged.ljust(1067))
    m.remount()
    assert not os.path.islink("plain") and len(read("plain")) == 1067


def test_limits(_):
    """What README lists as refused by design."""
    write("f", b"x")
    for make in (lambda: os.mkfifo("fifo"), lambda: os.link("f", "hard"),
                 lambda: os.mknod("null", 0o020600, os.makedev(1, 3))):
        with fails(errno.EPERM):
            make()
    with socket.socket(socket.AF_UNIX) as s, fails(errno.EPERM):
        s.bind("socket")
    with fails(errno.ENOTSUP):
        os.setxattr("f", "security.mine" if os.getuid() == 0 and
                    ENGINE == "booklet" else "user.mine", b"x")
    with fails(errno.ENOTSUP):
        os.open(".", os.O_TMPFILE | os.O_RDWR)
    os.utime("f", (1, 1000))
    assert os.stat("f").st_atime_ns == os.stat("f").st_mtime_ns
    assert os.listdir(".") == ["f"]


def test_allocate(_):
    fd = os.open("f", os.O_CREAT | os.O_RDWR)
    os.posix_fallocate(fd, 0, 1000)
    assert os.fstat(fd).st_size == 1000
    os.pwrite(fd, b"x" * 1000, 0)
    punch = 3
    assert libc.fallocate(fd, punch, ctypes.c_long(100),
                          ctypes.c_long(200)) == 0
    data = os.pread(fd, 2000, 0)
    assert data == b"x" * 100 + bytes(200) + b"x" * 700
    assert os.lseek(fd, 0, os.SEEK_HOLE) == 1000
    assert os.lseek(fd, 50, os.SEEK_DATA) == 50
    out = os.open("copy", os.O_CREAT | os.O_RDWR)
    assert os.copy_file_range(fd, out, 5000, 0) == 1000
    os.close(fd)
    os.close(out)
    assert read("copy") == data


def test_spill(_):
    data = os.urandom(1 << 20)
    fd = os.open("f", os.O_CREAT | os.O_RDWR)
    for i in range(12):
        os.write(fd, data)
    os.pwrite(fd, b"middle", 6 << 20)
    os.ftruncate(fd, 11 << 20)
    assert os.pread(fd, 6, 6 << 20) == b"middle"
    os.close(fd)
    got = read("f")
    assert len(got) == 11 << 20 and got[:1 << 20] == data
    assert got[6 << 20:][:6] == b"middle"
    with open("f", "ab") as f:
        f.write(b"end")
    assert read("f")[-4:] == data[-1:] + b"end"


def test_too_large(_):
    fd = os.open("f", os.O_CREAT | os.O_RDWR)
    with fails(errno.EFBIG):
        os.pwrite(fd, b"x", 0xFFFFFFFF)
    with fails(errno.EFBIG):
        os.ftruncate(fd, 1 << 32)
    os.write(fd, b"ok")
    os.close(fd)
    assert read("f") == b"ok"


def test_fixed_length(m):
    write("f", b"12345678")
    for data in (b"1234567", b"", b"123456789"):
        with fails(errno.EINVAL):
            write("f", data)
        eventually(lambda: read("f") == b"12345678")
        with fails(errno.EINVAL):
            write("new", data)
        eventually(lambda: not os.path.exists("new"))
        assert os.listdir(".") == ["f"]
    m.said("not stored")
    with open("f", "r+b") as f:
        f.seek(2)
        f.write(b"__")
    assert read("f") == b"12__5678"
    os.mkdir("d")
    assert os.listdir("d") == []
    write("d/f", b"abcdefgh")
    os.rename("d", "e")
    os.unlink("e/f")
    assert os.listdir("e") == [], "stays until the unmount"
    os.rmdir("e")
    m.remount()
    assert os.listdir(".") == ["f"]


def test_json_values(m):
    write("f", b'{"a": 1}')
    with fails(errno.EINVAL):
        write("f", b"{")
    eventually(lambda: read("f") == b'{"a": 1}')
    m.said("not stored")
    os.system("echo 12 > g")
    assert read("g") == b"12\n"
    with fails(errno.EPERM):
        os.symlink("f", "link")
    fd = os.open("h", os.O_CREAT | os.O_RDWR)
    os.write(fd, b"[1,")
    os.rename("h", "i")
    os.write(fd, b"2]")
    os.close(fd)
    assert read("i") == b"[1,2]"
    os.makedirs("a/b/c")
    os.rename("a", "z")
    assert os.listdir("z/b") == ["c"] and os.listdir("z/b/c") == []


def test_integer_keys(_):
    write("12", b"x")
    for name in ("word", "007", "-1", "4294967296"):
        with fails(errno.EINVAL):
            write(name, b"x")
    with fails(errno.EPERM):
        os.mkdir("13")
    os.rename("12", "13")
    assert os.listdir(".") == ["13"]


def test_flat(_):
    write("a%2Fb", b"x")
    assert os.listdir(".") == ["a%2Fb"]
    with fails(errno.EPERM):
        os.mkdir("d")


def test_refusals(_):
    write("f", b"x")
    with fails(errno.EPERM):
        os.chmod("f", 0o600)
    with fails(errno.EPERM):
        os.symlink("f", "l")
    assert os.getxattr("f", "user.blt.key") == b"f"
    assert int(os.getxattr("f", "user.blt.timestamp")) == \
        os.stat("f").st_mtime_ns // 1000
    assert os.listxattr("f") == os.listxattr(".") == []
    assert os.getxattr("f", "user.blt.hash").decode() == \
        hashlib.blake2s(b"f", digest_size=13).hexdigest()
    fact, = json.loads(subprocess.check_output([BLT, "stat", "-j", "f"]))
    for name in ("key", "hash", "timestamp"):
        assert os.getxattr("f", f"user.blt.{name}").decode() == str(fact[name])
    with fails(errno.ENODATA):
        os.getxattr(".", "user.blt.timestamp")
    with fails(errno.ENODATA):
        os.getxattr("f", "user.other")
    with fails(errno.EPERM):
        os.setxattr("f", "user.blt.key", b"y")
    assert os.stat("f").st_mode & 0o777 == 0o640
    assert os.stat(".").st_mode & 0o777 == 0o750


PLAIN = [test_open_flags, test_unchanged, test_unlinked_while_open,
         test_resolved_before, test_no_links_left, test_append_from_two,
         test_random_writes, test_mmap, test_rename_files,
         test_rename_directories, test_rename_loses_open_file,
         test_directories, test_listing,
         test_listing_of_moved, test_listing_goes_on, test_times, test_symlinks,
         test_limits, test_allocate, test_too_large]
SPECIAL = {
    test_spill: ("create", "max_staging=2M"),
    test_fixed_length: ("create", "value_len=8"),
    test_json_values: ("create", "value_serializer=json"),
    test_integer_keys: ("create", "key_serializer=uint4"),
    test_flat: ("create", "flat"),
    test_refusals: ("create", "attrs=dropped", "strict_attrs", "nosymlinks", "xattr",
                    "fmask=137", "dmask=027"),
}


# What is not looked at on other engines, and why.
LONG = "each of its many files is a commit of its own, which takes a flush"
LACKS = {"booklet": {}, "lmdb": {
    test_listing: LONG,
    test_listing_of_moved: LONG,
    test_times: "it keeps no times",
    test_fixed_length: "its values have no fixed length",
    test_json_values: "it has no serializers",
    test_integer_keys: "a new one has keys of bytes",
    test_refusals: "it keeps no times, which this looks at",
    test_rename_loses_open_file: "its keys have no more than 511 bytes",
}, "postgresql": {
    test_fixed_length: "its values have no fixed length",
    test_json_values: "it has no serializers",
    test_integer_keys: "its keys are bytes",
    test_rename_loses_open_file: "its keys have no more than 2,048 bytes",
}}[ENGINE]


def main():
    if not os.path.exists("/dev/fuse"):
        print("no /dev/fuse")
        return 77
    wanted = sys.argv[1:]
    for test in PLAIN + list(SPECIAL):
        if wanted and test.__name__ not in wanted:
            continue
        if test in LACKS:
            print(f"{test.__name__}: skipped: {LACKS[test]}", flush=True)
            continue
        print(test.__name__, flush=True)
        with Mount(*SPECIAL.get(test, ("create",))) as m:
            test(m)
    return 0


if __name__ == "__main__":
    sys.exit(main())
