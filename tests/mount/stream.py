#!/usr/bin/python3
"""Large files go straight into their place in the store.

STREAM_BYTES sets how long the file is whose bytes on the disk are counted.
"""

import contextlib
import ctypes
import errno
import mmap
import os
import signal
import subprocess
import sys

from mountlib import BLT, Mount, eventually, fails, read, write

MIB = 1 << 20
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.mmap.restype = ctypes.c_void_p
LIBC.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int,
                      ctypes.c_int, ctypes.c_int, ctypes.c_long)
LIBC.munmap.argtypes = ctypes.c_void_p, ctypes.c_size_t
LONG = int(os.environ.get("STREAM_BYTES", 48 * MIB))


def written(m):
    with open(f"/proc/{m.daemon.pid}/io") as f:
        return int(dict(line.split(": ") for line in f)["write_bytes"])


def temporary(m):
    """Unlinked files that the daemon has open."""
    fds = f"/proc/{m.daemon.pid}/fd"
    links = [os.readlink(os.path.join(fds, fd)) for fd in os.listdir(fds)]
    return [link for link in links if link.endswith("(deleted)")]


def bytes_of(seed, n):
    return bytes((i * (seed | 1) >> 4) & 255 for i in range(4096)) * (n // 4096)


def test_written_once(m):
    piece = os.urandom(MIB)
    before = written(m)
    with open("f", "wb") as f:
        for i in range(LONG // MIB):
            f.write(piece)
        f.flush()
        assert not temporary(m), temporary(m)
    with open("f", "rb") as f:
        for i in range(LONG // MIB):
            assert f.read(MIB) == piece, i
        assert not f.read(1)
    count = written(m) - before
    print(f"{count} bytes written for a file of {LONG}")
    # tmpfs writes nothing
    assert count <= 1.05 * LONG + 4 * MIB


def test_patterns(m):
    data = bytearray(bytes_of(1, 8 * MIB))
    with open("f", "w+b", buffering=0) as f, open("f", "rb") as other:
        for at in range(0, len(data), MIB):
            f.write(data[at:at + MIB])
        os.pwrite(f.fileno(), b"middle", 3 * MIB)
        data[3 * MIB:3 * MIB + 6] = b"middle"
        assert os.pread(other.fileno(), 6, 3 * MIB) == b"middle"
        f.truncate(5 * MIB)
        f.truncate(6 * MIB)
        data = data[:5 * MIB] + bytes(MIB)
        assert os.fstat(other.fileno()).st_size == 6 * MIB
        os.fsync(f.fileno())
        os.pwrite(f.fileno(), b"behind", 7 * MIB)
        data += bytes(MIB) + b"behind"
    assert read("f") == data
    m.remount()
    assert read("f") == data
    with open("f", "ab") as f:
        f.write(b"more")
    assert read("f") == data + b"more"


def test_several(m):
    files = [open(f"f{i}", "wb", buffering=0) for i in range(4)]
    for at in range(6):
        for i, f in enumerate(files):
            f.write(bytes_of(i + at, MIB))
            write(f"small{i}-{at}", b"x" * 100)
    files.pop().close()
    os.unlink("f0")
    subprocess.run([BLT, "prune", "-q", m.mnt], check=True)
    for f in files:
        f.write(b"end")
        f.close()
    m.remount()
    for i in range(4):
        want = b"".join(bytes_of(i + at, MIB) for at in range(6))
        if i:
            assert read(f"f{i}") == want + (b"end" if i < 3 else b"")
    assert sorted(os.listdir("."))[:3] == ["f1", "f2", "f3"]


def test_unlinked(m):
    with open("f", "wb", buffering=0) as f:
        f.write(bytes_of(1, 6 * MIB))
        os.unlink("f")
        f.write(bytes_of(2, MIB))
    def small():
        subprocess.run([BLT, "prune", "-q", m.mnt], check=True)
        return os.path.getsize(m.store) < MIB
    eventually(small)


@contextlib.contextmanager
def kill(m):
    """The daemon, and mounts again behind it."""
    os.chdir("/")
    m.daemon.send_signal(signal.SIGKILL)
    m.daemon.wait()
    yield
    subprocess.run(["fusermount3", "-u", "-z", m.mnt], check=True)
    m.start()
    os.chdir(m.mnt)


def test_renamed(m):
    """As editors and rsync save: the value is written once.  It is copied while
    the daemon walks over the blocks, which a listing waits for, and while it
    makes a store at rest plain, which these do not come to."""
    assert os.listdir(".") == []
    write("f", b"old")
    for i, name in enumerate((".f.XXXXXX", "f~", "f" * 255, "g")):
        before = os.path.getsize(m.store)
        write(name, bytes_of(i, 6 * MIB))
        os.rename(name, "f")
        assert os.listdir(".") == ["f"] and read("f") == bytes_of(i, 6 * MIB)
        grown = os.path.getsize(m.store) - before
        assert grown < 9 * MIB, grown
    with kill(m):
        pass
    assert os.listdir(".") == ["f"] and read("f") == bytes_of(i, 6 * MIB)
    subprocess.run([BLT, "prune", "-q", m.mnt], check=True)
    os.rename("f", "g")
    m.remount()
    assert os.listdir(".") == ["g"] and read("g") == bytes_of(i, 6 * MIB)


def test_killed(m):
    write("f", b"old")
    fd = os.open("f", os.O_WRONLY | os.O_TRUNC)
    for i in range(6):
        os.write(fd, bytes_of(i, MIB))
    write("other", b"new")
    with kill(m), fails(errno.ENOTCONN):
        os.close(fd)
    assert read("f") == b"old"
    assert read("other") == b"new"
    write("f", bytes_of(3, 5 * MIB))
    m.remount()
    assert read("f") == bytes_of(3, 5 * MIB)


def test_late_release(m):
    """The kernel gives a descriptor up when it likes, here behind a mapping:
    what another one is writing by then is not stored for that."""
    for size in 100, 6 * MIB:
        first = os.open("f", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        os.write(first, b"old")
        # not Python's own, which has a descriptor besides
        mapping = LIBC.mmap(None, 4096, mmap.PROT_READ, mmap.MAP_SHARED,
                            first, 0)
        assert mapping not in (None, ctypes.c_void_p(-1).value)
        os.close(first)
        second = os.open("f", os.O_WRONLY | os.O_TRUNC)
        os.write(second, os.urandom(size))
        assert LIBC.munmap(mapping, 4096) == 0
        # behind the release: the kernel sends them in a row
        write("other", b"new")
        with kill(m), fails(errno.ENOTCONN):
            os.close(second)
        assert read("f") == b"old"


def room(m):
    """Bytes that the store has on the disk."""
    return os.stat(m.store).st_blocks * 512


def memory(m):
    with open(f"/proc/{m.daemon.pid}/status") as f:
        return next(int(line.split()[1]) * 1024 for line in f
                    if line.startswith("VmHWM"))


def test_holes(m):
    """A file that is nearly all hole, up to the longest there can be."""
    longest = (1 << 32) - 1
    os.sync()
    before, high = room(m), memory(m)
    with open("f", "wb") as f:
        f.truncate(longest)
        f.seek(longest - 5)
        f.write(b"ended")
        f.seek(100 * MIB)
        f.write(b"middle")
        with fails(errno.EFBIG):
            os.pwrite(f.fileno(), b"x", longest)
        assert room(m) - before < 32 * MIB, room(m) - before
    with open("g", "wb") as f:
        f.seek(50 * MIB)
        f.write(b"end")
    m.remount()
    assert room(m) - before < 32 * MIB, room(m) - before
    assert memory(m) - high < 64 * MIB, memory(m) - high
    assert os.stat("f").st_size == longest
    with open("f", "rb") as f:
        for at, want in ((0, bytes(10)), (100 * MIB - 1, b"\0middle\0"),
                         (longest - 6, b"\0ended")):
            f.seek(at)
            assert f.read(len(want)) == want, at
    assert read("g") == bytes(50 * MIB) + b"end"
    os.unlink("f")


def main():
    if not os.path.exists("/dev/fuse"):
        print("no /dev/fuse")
        return 77
    small = ("create", "max_staging=2M")
    for test, options in ((test_written_once, small), (test_patterns, small),
                          (test_several, small), (test_unlinked, small),
                          (test_holes, ("create",)),
                          (test_renamed, small + ("commit=3600",)),
                          (test_renamed, ("create", "commit=3600")),
                          (test_killed, small),
                          (test_late_release, small)):
        print(test.__name__, *options, flush=True)
        with Mount(*options) as m:
            test(m)
    return 0


if __name__ == "__main__":
    sys.exit(main())
