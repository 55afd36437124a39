#!/usr/bin/env python3
"""Requests through io_uring: which transport is taken, and what ends a mount in
the middle of work.  Where the kernel does not offer it (the parameter
enable_uring of its module fuse), only that is tested."""

import ctypes
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading

import daemonlib
from daemonlib import LIMIT, until
from places import BLT, BLTFS

PARAMETER = "/sys/module/fuse/parameters/enable_uring"
THREADS = int(os.environ.get("URING_THREADS", "64"))
ROUNDS = 1 if os.environ.get("TEST_FEW") else 3
MOUNTS = 5 if os.environ.get("TEST_FEW") else 70
UNAVAILABLE, USAGE = 69, 64
libc = ctypes.CDLL(None, use_errno=True)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def offered():
    try:
        return read(PARAMETER).startswith(b"Y")
    except OSError:
        return False


class Mount:
    def __init__(self, *options, before=None):
        self.dir = tempfile.mkdtemp(prefix="bltfs-test.")
        self.store = os.path.join(self.dir, "kv.blt")
        self.mnt = os.path.join(self.dir, "mnt")
        os.mkdir(self.mnt)
        self.log = open(os.path.join(self.dir, "log"), "w+b")
        self.daemon = subprocess.Popen(
            [BLTFS, "-f", self.store, self.mnt, "-o",
             ",".join(("create",) + options)],
            stderr=self.log, preexec_fn=before)
        daemonlib.mounted(self.daemon, self.mnt, self.said)

    def said(self):
        return daemonlib.said(self.log)

    def path(self, *names):
        return os.path.join(self.mnt, *names)

    def stats(self):
        text = read(self.path(".bltfs", "stats")).decode()
        return dict(line.split(" ", 1) for line in text.splitlines())

    def ended(self, code=0):
        """After an unmount or a signal: well and in silence, and the store is
        sound."""
        assert self.daemon.wait(LIMIT) == code, (self.daemon, self.said())
        assert self.said() == "", self.said()
        subprocess.run([BLT, "check", "-q", self.store], check=True)
        daemonlib.check(self.store)
        self.log.close()
        shutil.rmtree(self.dir)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            if self.daemon.returncode is None:
                daemonlib.unmount(self.mnt)
                self.ended()
        else:
            daemonlib.give_up(self.daemon, self.mnt, self.log)


def without_io_uring():
    """What a container's seccomp does: io_uring_setup is EPERM."""
    number = {"x86_64": 425, "aarch64": 425}[os.uname().machine]

    class Program(ctypes.Structure):
        _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_char_p)]
    code = b"".join(struct.pack("HBBI", *i) for i in (
        (0x20, 0, 0, 0), (0x15, 0, 1, number),
        (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7fff0000)))
    program = Program(4, code)
    assert libc.prctl(38, 1, 0, 0, 0) == 0
    assert libc.prctl(22, 2, ctypes.byref(program)) == 0


def refused(options, code, text, before=None):
    """bltfs fails, and says why; nothing is mounted."""
    with tempfile.TemporaryDirectory() as top:
        mnt = os.path.join(top, "mnt")
        os.mkdir(mnt)
        done = subprocess.run(
            [BLTFS, os.path.join(top, "kv.blt"), mnt, "-o", "create"]
            + options, capture_output=True, text=True, check=False,
            preexec_fn=before, timeout=LIMIT)
        assert done.returncode == code and text in done.stderr, done
        assert not os.path.ismount(mnt)


def test_options():
    refused(["-o", "io_uring=maybe"], USAGE, "not one of auto|yes|no")
    for other in (["-s"], ["-o", "poll_us=5"], ["-o", "clone_fd"]):
        refused(other + ["-o", "io_uring=yes"], USAGE, "contradict")
    with Mount("io_uring=no") as m:
        assert m.stats()["transport"] == "device"
        info = subprocess.check_output([BLT, "info", m.mnt], text=True)
        assert re.search(r"^transport +device$", info, re.M), info


def test_not_offered():
    refused(["-o", "io_uring=yes"], UNAVAILABLE,
            "bltfs: -o io_uring=yes: ")
    with Mount("io_uring=auto") as m:
        assert m.stats()["transport"] == "device"


def test_taken():
    for options in (), ("io_uring=auto",), ("io_uring=yes",):
        with Mount(*options) as m:
            assert m.stats()["transport"] == "io_uring"
            info = subprocess.check_output([BLT, "info", m.mnt], text=True)
            assert re.search(r"^transport +io_uring$", info, re.M), info
    for options in ("poll_us=5",), ("clone_fd",):
        with Mount(*options) as m:
            assert m.stats()["transport"] == "device"


def test_refused_rings():
    """No rings: auto does without, and does not say so."""
    refused(["-o", "io_uring=yes"], UNAVAILABLE,
            "bltfs: -o io_uring=yes: rings cannot be made", without_io_uring)
    with Mount("io_uring=auto", before=without_io_uring) as m:
        assert m.stats()["transport"] == "device"


def test_again():
    for _ in range(MOUNTS):
        with Mount("io_uring=yes") as m:
            with open(m.path("f"), "wb") as f:
                f.write(b"x")


def test_contents():
    """Long and short, whole and in parts, read and written at once."""
    with Mount("io_uring=yes") as m:
        data = os.urandom((2 << 20) + 4097)
        for n in 0, 1, 4095, 4096, 4097, 1 << 20, (1 << 20) + 1, len(data):
            with open(m.path("f"), "wb", buffering=0) as f:
                os.pwrite(f.fileno(), data[:n], 0)
            fd = os.open(m.path("f"), os.O_RDONLY | getattr(os, "O_DIRECT", 0))
            try:
                got = b""
                while len(got) < n:
                    part = bytearray(1 << 20)
                    got += bytes(part[:os.preadv(fd, [part], len(got))])
            except OSError:
                got = read(m.path("f"))
            os.close(fd)
            assert got == data[:n] == read(m.path("f")), n
        os.mkdir(m.path("d"))
        names = {f"{i} " + "n" * (i % 200) for i in range(500)}
        for name in names:
            with open(m.path("d", name), "wb"):
                pass
        assert set(os.listdir(m.path("d"))) == names
        os.symlink("t" * 1000, m.path("link"))
        assert os.readlink(m.path("link")) == "t" * 1000


def test_forgets():
    """FORGET comes by the device: what was forgotten is so here, too."""
    with Mount("io_uring=yes") as m:
        for i in range(1000):
            with open(m.path(str(i)), "wb"):
                pass
        for i in range(1000):
            os.unlink(m.path(str(i)))
        until("forgets", lambda: int(m.stats()["inodes"]) < 100)


def tasks(m):
    """The processors that each thread of the daemon may use."""
    top = f"/proc/{m.daemon.pid}/task"
    return {task: re.search(r"^Cpus_allowed_list:\s*(.*)$",
                            read(f"{top}/{task}/status").decode(), re.M)[1]
            for task in os.listdir(top)}


def test_pinned():
    """Rings are; what they start, and what works for them, is not."""
    with Mount("io_uring=yes") as m:
        free = tasks(m)[str(m.daemon.pid)]
        before = set(tasks(m))
        with open(m.path("f"), "wb", buffering=0) as f:
            f.write(b"x")
            os.fsync(f.fileno())
        subprocess.run(
            [BLT, "map", m.mnt, "--", "grep", "Cpus_allowed_list",
             "/proc/self/status"], check=True, capture_output=True)
        got = read(m.path("f")).decode().split(":")[1].strip()
        assert got == free, (got, free)
        more = {t: c for t, c in tasks(m).items() if t not in before}
        assert set(more.values()) <= {free}, more


def test_slow():
    """Requests that wait take no ring: many more of them than there are rings,
    and one beside them goes on."""
    with Mount("io_uring=yes") as m:
        def sync():
            with open(m.path(threading.current_thread().name), "wb") as f:
                for _ in range(5):
                    f.write(b"x" * 100)
                    f.flush()
                    os.fsync(f.fileno())
                    read(m.path(".bltfs", "stats"))
        subprocess.run([BLT, "seq", "create", m.path("s")], check=True)
        threads = [threading.Thread(target=sync) for _ in range(THREADS)]
        asked = [subprocess.Popen([BLT, "seq", "append", m.path("s"), "a=b"],
                                  stdout=subprocess.DEVNULL)
                 for _ in range(8)]
        for t in threads:
            t.start()
        for p in asked:
            assert p.wait(LIMIT) == 0
        for t in threads:
            t.join()
        assert len(os.listdir(m.mnt)) >= THREADS


WORK = """
import os, random, sys, threading
top, n = sys.argv[1], int(sys.argv[2])
def work(me):
    rnd = random.Random(me)
    while True:
        name = f"{top}/{me % 8}/{rnd.randrange(20)}"
        try:
            what = rnd.randrange(6)
            if what == 0:
                os.makedirs(f"{top}/{me % 8}", exist_ok=True)
            elif what == 1:
                os.rename(name, name + "+")
            elif what == 2:
                os.unlink(name)
            elif what == 3:
                os.listdir(f"{top}/{me % 8}")
            elif what == 4:
                with open(name, "rb") as f:
                    f.read()
            else:
                with open(name, "wb") as f:
                    f.write(os.urandom(rnd.choice((0, 10, 5000, 300000))))
        except FileNotFoundError:
            pass
        except OSError:
            if not os.path.ismount(top) and me == 0:
                os._exit(0)
for i in range(n):
    threading.Thread(target=work, args=(i,), daemon=True).start()
print("working", flush=True)
threading.Event().wait()
"""


def start_work(m, n=THREADS):
    p = subprocess.Popen([sys.executable, "-c", WORK, m.mnt, str(n)],
                         stdout=subprocess.PIPE)
    p.stdout.readline()
    until("some work", lambda: int(m.stats()["op.create.calls"]) > 200)
    return p


def end_work(*works):
    for p in works:
        p.kill()
        p.wait()
        p.stdout.close()


def by_term(m, works):
    m.daemon.send_signal(signal.SIGTERM)


def by_lazy(m, works):
    subprocess.run(["fusermount3", "-uz", m.mnt], check=True)
    end_work(*works)


def by_unmount(m, works):
    """In vain while they work; then they are killed in the middle."""
    subprocess.run(["fusermount3", "-u", m.mnt], check=False,
                   stderr=subprocess.DEVNULL)
    end_work(*works)
    daemonlib.unmount(m.mnt)


def by_abort(m, works):
    """The connection ends at once, with replies on their way."""
    if os.geteuid() != 0:
        by_term(m, works)
        return
    number = os.minor(os.stat(m.mnt).st_dev)
    with tempfile.TemporaryDirectory() as top:
        subprocess.run(["mount", "-t", "fusectl", "none", top], check=True)
        with open(f"{top}/{number}/abort", "w", encoding="ascii") as f:
            f.write("1")
        subprocess.run(["umount", top], check=True)
    m.daemon.wait(LIMIT)
    # libfuse leaves such a mount where it is
    subprocess.run(["fusermount3", "-uz", m.mnt], check=True)


def test_ends():
    for end in [by_term, by_lazy, by_unmount, by_abort] * ROUNDS:
        with Mount("io_uring=yes") as m:
            works = [start_work(m)]
            end(m, works)
            m.daemon.wait(LIMIT)
            end_work(*works)
            assert not os.path.ismount(m.mnt)
            m.ended()


def test_killed():
    """The daemon dies: the callers get errors, and the next mount is sound."""
    with Mount("io_uring=yes") as m:
        p = start_work(m)
        m.daemon.kill()
        m.daemon.wait()
        end_work(p)
        subprocess.run(["fusermount3", "-uz", m.mnt], check=True)
        subprocess.run([BLT, "recover", "-q", m.store], check=True)
        subprocess.run([BLT, "check", "-q", m.store], check=True)
        m.log.close()
        shutil.rmtree(m.dir)


def test_interrupts():
    """Callers are killed in the middle; the mount goes on, and ends well."""
    with Mount("io_uring=yes") as m:
        for _ in range(3 * ROUNDS):
            works = [start_work(m, 8) for _ in range(4)]
            for p in works:
                p.kill()
            end_work(*works)
        assert m.stats()["transport"] == "io_uring"


def main():
    if not os.path.exists("/dev/fuse"):
        sys.exit(77)
    test_options()
    if not offered():
        test_not_offered()
        print(f"{PARAMETER} is off: only that is tested")
        return
    wanted = sys.argv[1:] or ["taken", "refused_rings", "again", "contents",
                              "forgets", "pinned", "slow", "ends", "killed",
                              "interrupts"]
    for name in wanted:
        print(name, flush=True)
        globals()["test_" + name]()


main()
