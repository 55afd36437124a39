#!/usr/bin/env python3
"""The control directory: its files, its commands, who may use it, and that
nothing that is written there by accident runs a program or destroys data."""

import errno
import fcntl
import io
import os
import struct
import subprocess
import tarfile
import traceback

import controllib
from controllib import Mount, check

work = controllib.directory()
store = os.path.join(work, "kv.blt")
IOC_NAME = 2 << 30 | 256 << 16 | 0xB7 << 8 | 0
IOC_SYNC = 0xB7 << 8 | 1
IOC_CLEAR = 3 << 30 | 8 << 16 | 0xB7 << 8 | 4


def refused(number, call, *args):
    try:
        call(*args)
    except OSError as e:
        assert e.errno == number, (e, errno.errorcode[number])
        return
    raise AssertionError(f"{call} {args}: was not refused")


def put(m, name, data=b"value"):
    path = os.path.join(m.path, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(data)


def get(path):
    with open(path, "rb") as f:
        return f.read()


def write(path, data, flags=os.O_WRONLY):
    fd = os.open(path, flags)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)


def check_names(m):
    """It is looked up at the root alone, never listed, and cannot be changed."""
    put(m, "a")
    put(m, "d/b")
    os.mkdir(os.path.join(m.path, "d", ".bltfs"))
    assert sorted(os.listdir(m.path)) == ["a", "d"]
    assert sorted(os.listdir(m.control())) == [
        "control", "jobs", "log", "metadata", "metrics", "reserved",
        "stats", "transactions", "txn"]
    assert sorted(os.listdir(m.control("reserved"))) == ["1", "2"]
    for name in ("control", "stats", "log", "metadata", "reserved/1"):
        path = m.control(name)
        refused(errno.EPERM, os.unlink, path)
        refused(errno.EPERM, os.rename, path, os.path.join(m.path, "x"))
        refused(errno.EPERM, os.rename, os.path.join(m.path, "a"), path)
        refused(errno.EPERM, os.chmod, path, 0o777)
        refused(errno.EPERM, os.utime, path)
    refused(errno.EPERM, os.rmdir, m.control("jobs"))
    refused(errno.EPERM, os.rmdir, m.control())
    refused(errno.EEXIST, os.mkdir, m.control())
    refused(errno.EPERM, os.mkdir, m.control("new"))
    refused(errno.EPERM, os.symlink, "x", m.control("new"))
    refused(errno.EPERM, os.open, m.control("new"), os.O_CREAT | os.O_WRONLY)
    refused(errno.EPERM, os.rename, m.control(), os.path.join(m.path, "x"))
    refused(errno.EPERM, os.link, os.path.join(m.path, "a"), m.control("l"))
    refused(errno.ENOENT, os.stat, m.control("nothing"))
    refused(errno.ENOENT, os.stat, m.control("jobs", "1"))
    # a key of the name has another path
    put(m, "%2Ebltfs/key")
    assert "%2Ebltfs" in os.listdir(m.path)


def check_stats(m):
    stats = m.lines("stats")
    assert stats["store"] == store and stats["read_only"] == "no"
    assert stats["keys"] == "6", stats  # with three directories' markers
    assert int(stats["live_bytes"]) > 0 and "failed" not in stats
    assert int(stats["op.lookup.calls"]) > 0
    # a snapshot: what changes meanwhile is not in it
    with open(m.control("stats"), encoding="utf-8") as f:
        put(m, "another")
        os.unlink(os.path.join(m.path, "another"))
        put(m, "another")
        assert "keys 6\n" in f.read()
    assert m.lines("stats")["keys"] == "7"


def check_commands(m):
    assert m.tell("sync") == "ok"
    assert get(m.control("control")) == b"ok\n"
    refused(errno.EINVAL, m.tell, "nonsense")
    assert get(m.control("control")).startswith(b"error: ")
    refused(errno.EINVAL, m.tell, "sync now")
    refused(errno.EPERM, m.tell, "clear")
    refused(errno.ESRCH, m.tell, "cancel 12345")
    refused(errno.EINVAL, m.tell, "cancel one")
    assert m.tell("") == ""
    # several lines: up to the first that fails
    fd = os.open(m.control("control"), os.O_WRONLY)
    assert os.write(fd, b"sync\nsync\nnonsense\nsync\n") == 10
    refused(errno.EINVAL, os.write, fd, b"nonsense\nsync\n")
    os.close(fd)
    with open(m.control("control"), "w", encoding="ascii") as f:
        f.write("sync")
    assert get(m.control("control")) == b"ok\n"
    refused(errno.EACCES, write, m.control("stats"), b"x")
    refused(errno.EACCES, write, m.control("log"), b"x")


def check_slots(m, writable):
    if not writable:
        for name in ("metadata", "reserved/1", "reserved/2"):
            assert get(m.control(name)) == b""
            refused(errno.EACCES, write, m.control(name), b"x")
            refused(errno.EACCES, write, m.control(name), b"x",
                    os.O_WRONLY | os.O_TRUNC)
        return
    write(m.control("metadata"), b'{"a": 1}')
    assert get(m.control("metadata")) == b'{"a": 1}'
    refused(errno.EINVAL, write, m.control("metadata"), b'{"a": ',
            os.O_WRONLY | os.O_TRUNC)
    assert get(m.control("metadata")) == b'{"a": 1}'
    write(m.control("reserved", "1"), b"one")
    write(m.control("reserved", "1"), b"+two", os.O_WRONLY | os.O_APPEND)
    assert get(m.control("reserved", "1")) == b"one+two"
    write(m.control("reserved", "1"), b"3", os.O_WRONLY | os.O_TRUNC)
    assert get(m.control("reserved", "1")) == b"3"
    assert get(m.control("reserved", "2")) == b""


def check_ioctls(m):
    root = os.open(m.path, os.O_RDONLY | os.O_DIRECTORY)
    name = fcntl.ioctl(root, IOC_NAME, bytes(256))
    assert name.rstrip(b"\0") == b".bltfs", name
    assert fcntl.ioctl(root, IOC_SYNC) == 0
    refused(errno.ENOTTY, fcntl.ioctl, root, 0xB7 << 8 | 99)
    os.close(root)
    control = os.open(m.control("control"), os.O_RDONLY)
    assert fcntl.ioctl(control, IOC_SYNC) == 0
    os.close(control)
    plain = os.open(os.path.join(m.path, "a"), os.O_RDONLY)
    refused(errno.ENOTTY, fcntl.ioctl, plain, IOC_SYNC)
    os.close(plain)
    # a job that changes much behind the kernel, asked for by its number
    root = os.open(m.path, os.O_RDONLY | os.O_DIRECTORY)
    assert sorted(os.listdir(m.path))[-2:] == ["another", "d"]
    assert get(os.path.join(m.path, "a")) == b"value"
    job, = struct.unpack("Q", fcntl.ioctl(root, IOC_CLEAR, bytes(8)))
    os.close(root)
    status = m.ended(job)
    assert (status["kind"], status["state"]) == ("clear", "done"), status
    assert m.lines("stats")["keys"] == "0"
    # and the kernel knows of it
    assert os.listdir(m.path) == []
    assert not os.path.exists(os.path.join(m.path, "a"))


# ---- security ----

LINES = (b"clear\n", b"map all -- touch %s\n", b"map touch\n",
         b"prune older-than now\n", b"copy /tmp/x\n", b"nonsense\n")


def check_archive(m):
    """An archive that holds files of the control directory's names."""
    put(m, "precious", b"gold")
    before = {n: get(m.control(n)) for n in ("metadata", "reserved/1")}
    trap = os.path.join(work, "trap")
    path = os.path.join(work, "evil.tar")
    with tarfile.open(path, "w") as tar:
        files = [(".bltfs/control", line.replace(b"%s", trap.encode()))
                 for line in LINES]
        files += [(".bltfs/metadata", b'{"evil": 1}'),
                  (".bltfs/reserved/1", b"evil"),
                  (".bltfs/reserved/2", b"evil"),
                  (".bltfs/jobs/1/cancel", b"1"), ("good", b"good")]
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            info.mode = 0o644
            tar.addfile(info, io.BytesIO(data))
    jobs = os.listdir(m.control("jobs"))
    for how in ([], ["--overwrite"], ["--unlink-first"],
                ["--recursive-unlink", "--overwrite-dir"]):
        subprocess.run(["tar", "-C", m.path, "-xpf", path, *how], check=False,
                       stderr=subprocess.DEVNULL)
        assert get(os.path.join(m.path, "precious")) == b"gold"
        assert os.listdir(m.control("jobs")) == jobs, "something was started"
        for name, data in before.items():
            assert get(m.control(name)) == data, name
    assert get(os.path.join(m.path, "good")) == b"good"
    assert not os.path.exists(trap), "a program ran"


def use_as_other(m, control):
    """What a user who is not the daemon's sees, before it gives up."""
    for name in ("control", "stats", "log", "metadata", "reserved/1",
                 "jobs/1/status", "jobs/1/cancel", "jobs/1/errors"):
        path = m.control(name)
        refused(errno.EACCES, os.stat, path)
        refused(errno.EACCES, os.open, path, os.O_RDONLY)
        refused(errno.EACCES, os.open, path, os.O_WRONLY)
        refused(errno.EACCES, os.unlink, path)
    for name in ("", "jobs", "jobs/1", "reserved"):
        refused(errno.EACCES, os.listdir, m.control(name))
    root = os.open(m.path, os.O_RDONLY | os.O_DIRECTORY)
    refused(errno.EACCES, fcntl.ioctl, root, IOC_CLEAR, bytes(8))
    assert get(os.path.join(m.path, "open")) == b"to all"
    # what somebody else has opened for us
    refused(errno.EACCES, os.write, control, b"sync\n")
    refused(errno.EACCES, os.read, control, 100)
    refused(errno.EACCES, fcntl.ioctl, control, IOC_SYNC)


def check_others(m):
    """Another user, let in by allow_other, and one who got a descriptor."""
    put(m, "open", b"to all")
    m.tell("count")
    m.ended(1)
    control = os.open(m.control("control"), os.O_RDWR)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            use_as_other(m, control)
            code = 0
        finally:
            if code:
                traceback.print_exc()
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0, "another user"
    assert os.write(control, b"sync\n") == 5
    os.close(control)


def main():
    with Mount(store, "create") as m:
        check_names(m)
        check_stats(m)
        check_commands(m)
        check_slots(m, False)
        check_ioctls(m)
        check_archive(m)
    check(store)
    with Mount(store, "control_write") as m:
        check_slots(m, True)
    check(store)
    with Mount(store) as m:
        assert get(m.control("metadata")) == b'{"a": 1}'
        check_archive(m)
    with Mount(store, "ro") as m:
        refused(errno.EROFS, m.tell, "sync")
        root = os.open(m.path, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.ioctl(root, IOC_NAME, bytes(256))
        refused(errno.EROFS, fcntl.ioctl, root, IOC_CLEAR, bytes(8))
        os.close(root)
        assert m.lines("stats")["read_only"] == "yes"
    with Mount(store, "control=none") as m:
        refused(errno.ENOENT, os.stat, m.control())
        root = os.open(m.path, os.O_RDONLY | os.O_DIRECTORY)
        refused(errno.ENOTTY, fcntl.ioctl, root, IOC_SYNC)
        os.close(root)
    with Mount(store, "control_exec") as m:
        m.ended(m.tell("clear").split()[1])
        assert m.lines("stats")["keys"] == "0"
    if os.geteuid() == 0:
        with Mount(store, "allow_other") as m:
            check_others(m)
    check(store)


main()
