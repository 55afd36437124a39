#!/usr/bin/env python3
"""Many of everything: names in a directory, files open at once, handles on one
file.  MOUNT_MANY sets how many names, and MOUNT_HUGE=1 adds a value of 4 GiB - 1
and one byte more, which wants 10 GiB of disk."""

import ctypes
import errno
import mmap
import multiprocessing
import os
import resource
import sys
import time

from mountlib import Mount, fails, libc, read, write

MANY = int(os.environ.get("MOUNT_MANY", "20000"))
HUGE = os.environ.get("MOUNT_HUGE")
OPEN = 10000
LARGEST = (1 << 32) - 1

libc.opendir.restype = libc.readdir.restype = ctypes.c_void_p
libc.telldir.restype = ctypes.c_long
libc.opendir.argtypes = [ctypes.c_char_p]
libc.readdir.argtypes = libc.telldir.argtypes = [ctypes.c_void_p]
libc.closedir.argtypes = [ctypes.c_void_p]
libc.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]
NAME = 19  # where struct dirent has it


def took(what, start):
    print(f"    {what}: {time.monotonic() - start:.2f} s", flush=True)


def next_name(d):
    entry = libc.readdir(d)
    return entry and ctypes.string_at(entry + NAME)


def test_names(m):
    """Made, listed, looked at, found again by position, and removed."""
    start = time.monotonic()
    os.mkdir("many")
    for i in range(MANY):
        os.close(os.open(f"many/name {i}", os.O_CREAT | os.O_WRONLY))
    took(f"{MANY} files made", start)
    want = {f"name {i}" for i in range(MANY)}
    m.remount()
    start = time.monotonic()
    got = os.listdir("many")
    took("listed", start)
    assert len(got) == MANY and set(got) == want
    start = time.monotonic()
    with os.scandir("many") as it:
        assert sum(e.stat().st_size == 0 for e in it) == MANY
    took("listed with sizes", start)

    d = libc.opendir(b"many")
    seen, places = [], []
    while True:
        if len(seen) % (MANY // 20) == 0:
            places.append((libc.telldir(d), len(seen)))
        name = next_name(d)
        if not name:
            break
        seen.append(name)
    assert len(set(seen)) == len(seen) == MANY + 2
    for place, number in reversed(places):
        libc.seekdir(d, place)
        if number < len(seen):
            assert next_name(d) == seen[number], number
    libc.closedir(d)

    start = time.monotonic()
    for name in got:
        os.unlink(f"many/{name}")
    took("removed", start)
    assert os.listdir("many") == []
    os.rmdir("many")


def test_open_files(_):
    """All at once, for writing; then all again for reading, unlinked."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    n = min(OPEN, hard - 100) if hard != resource.RLIM_INFINITY else OPEN
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, n + 100), hard))
    os.mkdir("open")
    fds = [os.open(f"open/{i}", os.O_CREAT | os.O_RDWR) for i in range(n)]
    for i, fd in enumerate(fds):
        os.write(fd, b"%d" % i)
    assert len(os.listdir("open")) == n
    for fd in fds:
        os.close(fd)
    fds = [os.open(f"open/{i}", os.O_RDONLY) for i in range(n)]
    for i in range(n):
        os.unlink(f"open/{i}")
    for i, fd in enumerate(fds):
        assert os.read(fd, 10) == b"%d" % i
        os.close(fd)
    os.rmdir("open")
    print(f"    {n} files open at once")


def cpu(m):
    """Seconds that the daemon has computed in."""
    with open(f"/proc/{m.daemon.pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_many_created(m):
    """A file that is created and stays open costs as much as the one before it:
    eight times as many took over thirty times as long."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    most = min(2 * OPEN, hard) if hard != resource.RLIM_INFINITY else 2 * OPEN
    seconds = []
    for n in most // 8 - 20, most - 160:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        os.mkdir("created")
        before = cpu(m)
        fds = [os.open(f"created/{i}", os.O_CREAT | os.O_RDWR)
               for i in range(n)]
        seconds.append(cpu(m) - before)
        for i, fd in enumerate(fds):
            os.unlink(f"created/{i}")
            os.close(fd)
        os.rmdir("created")
    print(f"    {seconds} s of the daemon")
    assert seconds[1] < 20 * seconds[0] + 0.5, seconds


def append(letter, turns):
    fd = os.open("shared", os.O_WRONLY | os.O_APPEND)
    for _ in range(turns):
        os.write(fd, letter * 100)
    os.close(fd)


def own_file(letter, turns):
    for i in range(turns):
        name = f"own-{letter.decode()}-{i % 10}"
        write(name, letter * i)
        assert read(name) == letter * i


def side_by_side(work):
    with multiprocessing.Pool(2) as pool:
        pool.starmap(work, [(b"a", 300), (b"b", 300)])


def test_two_processes(_):
    write("shared", b"")
    side_by_side(append)
    data = read("shared")
    pieces = {data[i:i + 100] for i in range(0, len(data), 100)}
    assert len(data) == 60000 and pieces == {b"a" * 100, b"b" * 100}
    side_by_side(own_file)


def test_shared_mapping(_):
    """Two mappings of one file, and reads, see one another's bytes."""
    write("f", bytes(20000))
    with open("f", "r+b") as one, open("f", "r+b") as two:
        with mmap.mmap(one.fileno(), 20000) as a, \
                mmap.mmap(two.fileno(), 20000) as b:
            a[5:9] = b"from"
            b[15000:15003] = b"two"
            assert b[5:9] == b"from" and a[15000:15003] == b"two"
            a.flush()
            assert os.pread(two.fileno(), 4, 5) == b"from"
    data = read("f")
    assert data[5:9] == b"from" and data[15000:15003] == b"two"


def test_huge(m):
    """The largest value there can be, and one byte more."""
    piece = bytes(range(256)) * 65536  # 16 MiB
    with open("f", "wb") as f:
        for _ in range(LARGEST // len(piece)):
            f.write(piece)
        f.write(piece[:LARGEST % len(piece)])
    assert os.stat("f").st_size == LARGEST
    with open("f", "ab") as f, fails(errno.EFBIG):
        os.write(f.fileno(), b"x")
    with fails(errno.EFBIG):
        os.truncate("f", LARGEST + 1)
    m.remount()
    assert os.stat("f").st_size == LARGEST
    with open("f", "rb") as f:
        while data := f.read(len(piece)):
            assert data == piece[:len(data)]


def main():
    if not os.path.exists("/dev/fuse"):
        print("no /dev/fuse")
        return 77
    tests = [test_names, test_open_files, test_many_created,
             test_two_processes,
             test_shared_mapping]
    if HUGE:
        tests.append(test_huge)
    for test in tests:
        print(test.__name__, flush=True)
        with Mount("create") as m:
            test(m)
    return 0


if __name__ == "__main__":
    sys.exit(main())
