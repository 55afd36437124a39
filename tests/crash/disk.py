#!/usr/bin/env python3
"""Power cuts under a store on a real filesystem.

A disk that records each write and flush (crash/disk-record.c behind nbdkit, nbdfuse
and a loop device) holds the filesystem, that holds a store, and the store is
mounted and worked with.  Then the disk is put together as it may stand after a
power cut at some moment: all writes before the last flush, and of the later
ones none, all, the first, some, or parts.  The filesystem is mounted from that,
which replays its journal, the store is checked, recovered, and compared: it
must be in a state that it was in, no older than the last promise.

    DISK_IMAGES=N   how many such disks (8)
    DISK_OPS=N      operations before them (60; 900 where there are many disks)
    DISK_FS=LIST    ext4, xfs, btrfs; names with commas (ext4)
    DISK_SEED=N
    DISK_KEEP=DIR   where the store goes that is found wrong
    BLT_ENGINE=lmdb an environment of LMDB's, in turn a file and a directory:
                    half of the disks each
"""

import collections
import contextlib
import itertools
import os
import random
import shutil
import struct
import subprocess
import tempfile
import time

import daemonlib
from disklib import BLT, ENGINE, digest, fail, hash_of, run, skip

HERE = os.path.dirname(os.path.abspath(__file__))
BLTFS = os.environ["BLTFS"]
IMAGES = int(os.environ.get("DISK_IMAGES", "8"))
OPS = int(os.environ.get("DISK_OPS", "60" if IMAGES < 100 else "900"))
FILESYSTEMS = os.environ.get("DISK_FS", "ext4").split(",")
SEED = int(os.environ.get("DISK_SEED", "1"))

SECTOR = 512
FLUSH = (1 << 64) - 1
HEAD = struct.Struct("=QQ")

# MiB; how it is made, with nothing left to do in the background; mount options.
KINDS = {
    "ext4": (96, ["mkfs.ext4", "-q", "-F", "-E",
                  "nodiscard,lazy_itable_init=0,lazy_journal_init=0"], ""),
    "xfs": (320, ["mkfs.xfs", "-q", "-K"], ",nouuid"),
    "btrfs": (256, ["mkfs.btrfs", "-q", "-K"], ""),
}


# ---- what there must be ----

def need(kind):
    if os.geteuid() != 0:
        skip("needs root, to mount filesystems")
    if not os.path.exists("/dev/fuse"):
        skip("no /dev/fuse")
    if not os.path.exists("/dev/loop-control"):
        skip("no loop devices")
    for tool in ("nbdkit", "nbdfuse", KINDS[kind][1][0]):
        if not shutil.which(tool):
            skip(f"no {tool} (packages nbdkit, libnbd-bin, e2fsprogs)")
    with open("/proc/filesystems", encoding="ascii") as f:
        if kind not in f.read().split():
            skip(f"this kernel has no {kind}")


def build_plugin(top):
    plugin = os.path.join(top, "record.so")
    source = os.path.join(HERE, "disk-record.c")
    compiler = os.environ.get("CC", "cc").split()
    if subprocess.run([*compiler, "-E", "-include", "nbdkit-plugin.h", "-x",
                       "c", os.devnull], capture_output=True).returncode:
        skip("no nbdkit-plugin.h (package nbdkit-plugin-dev)")
    run(*compiler, "-O1", "-shared", "-fPIC", "-o", plugin, source)
    return plugin


def mount_loop(image, point, options=""):
    """Whether there was a loop device for it."""
    done = subprocess.run(["mount", "-o", "loop,noatime" + options, image,
                           point], capture_output=True, text=True)
    if done.returncode == 0:
        return True
    if "loop device" in done.stderr:
        print(done.stderr.strip())
        return False
    fail(f"{image} cannot be mounted: {done.stderr}")


def make_base(top, kind):
    size, command, options = KINDS[kind]
    base, point = os.path.join(top, "base"), os.path.join(top, "fs")
    with open(base, "wb") as f:
        f.truncate(size << 20)
    run(*command, base)
    if not mount_loop(base, point, options):
        skip("no loop device can be had here")
    run("umount", point)
    return base


# ---- the recording disk ----

@contextlib.contextmanager
def recording(top, plugin, base):
    """The disk as a file, and the log of what is written there."""
    where = os.path.join(top, "disk")
    disk = os.path.join(where, "nbd")
    image, log = os.path.join(top, "image"), os.path.join(top, "log")
    os.mkdir(where)
    run("cp", "--sparse=always", base, image)
    server = subprocess.Popen(
        ["nbdfuse", disk, "[", "nbdkit", plugin, f"file={image}", f"log={log}",
         "]"], stdin=subprocess.DEVNULL)

    def is_there():
        if server.poll() is not None:
            skip("nbdfuse does not start here")
        return os.path.ismount(where) and os.path.exists(disk)

    try:
        daemonlib.until("the disk", is_there)
        yield disk, log
    finally:
        subprocess.run(["fusermount3", "-u", "-z", where])
        server.wait()
        os.unlink(image)


Write = collections.namedtuple("Write", "offset at length")


def read_log(path):
    """Its entries, None for a flush, and where each ends in the log."""
    entries, ends = [], []
    size, at = os.path.getsize(path), 0
    with open(path, "rb") as f:
        while at < size:
            f.seek(at)
            offset, length = HEAD.unpack(f.read(HEAD.size))
            at += HEAD.size
            entries.append(None if offset == FLUSH
                           else Write(offset, at, length))
            at += length
            ends.append(at)
    return entries, ends


# ---- the work ----

class Work:
    """Operations on a mount, one commit each.  After each the state is noted as
    a hash; begun and kept say where in the log an operation began, and where
    the last promise was given."""

    def __init__(self, mount, store, log, rng):
        self.mount, self.store, self.log, self.rng = mount, store, log, rng
        self.items = {}
        self.states, self.begun = [digest(self.items)], [self.position()]
        self.kept = [(self.position(), 0)]
        self.counter = 0

    def position(self):
        return os.path.getsize(self.log)

    def path(self, name):
        return os.path.join(self.mount, name)

    def begin(self):
        self.begun.append(self.position())

    def done(self, durable=False):
        self.states.append(digest(self.items))
        if self.store.one_back and self.states[-1] != self.states[-2]:
            self.kept.append((self.position(), len(self.states) - 2))
        if durable:
            self.promise()

    def promise(self):
        self.kept.append((self.position(), len(self.states) - 1))

    def dirs(self):
        return [k[:-1].decode() for k in self.items if k.endswith(b"/")]

    def some_file(self):
        names = [k.decode() for k in self.items if not k.endswith(b"/")]
        return self.rng.choice(names) if names else None

    def some_name(self):
        dirs = self.dirs()
        where = self.rng.choice(dirs) + "/" if dirs else ""
        return f"{where}f{self.rng.randrange(30)}"

    def data(self):
        self.counter += 1
        size, = self.rng.choices((0, 20, 300, 5000, 70000, 1200000),
                                 (2, 6, 6, 4, 3, 0.3))
        return b"%d\n" % self.counter + self.rng.randbytes(size)

    def write(self, _):
        self.write_to(self.some_name(), self.rng.random() < 0.4)

    def replace(self, name):
        """As editors do."""
        self.write_to(".new", self.rng.random() < 0.7)
        self.rename_to(".new", name)

    def write_to(self, name, durable):
        data = self.data()
        self.begin()
        with open(self.path(name), "wb", buffering=0) as f:
            f.write(data)
            self.items[name.encode()] = hash_of(data)
            if durable:
                os.fsync(f.fileno())
        self.done(durable)

    def cut(self, name):
        self.begin()
        with open(self.path(name), "r+b", buffering=0) as f:
            f.truncate(self.rng.choice((0, 11, 100000)))
            self.items[name.encode()] = hash_of(f.read())
        self.done()

    def rename(self, name):
        self.rename_to(name, self.some_name())

    def rename_to(self, name, to):
        self.begin()
        os.rename(self.path(name), self.path(to))
        self.items[to.encode()] = self.items.pop(name.encode())
        self.done()

    def unlink(self, name):
        self.begin()
        os.unlink(self.path(name))
        del self.items[name.encode()]
        self.done()

    def touch(self, name):
        self.begin()
        os.utime(self.path(name), (1, 1))
        self.done()

    def mkdir(self, _):
        name, to = (f"d{self.rng.randrange(6)}" for _ in range(2))
        old, new = name.encode() + b"/", to.encode() + b"/"
        if old in self.items and new in self.items:
            return
        self.begin()
        if old in self.items:
            os.rename(self.path(name), self.path(to))
            self.items = {new + k[3:] if k.startswith(old) else k: v
                          for k, v in self.items.items()}
        else:
            os.mkdir(self.path(name))
            self.items[old] = hash_of(b"")
        self.done()

    def sync_dir(self, _):
        fd = os.open(self.mount, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
        self.promise()

    def job(self, _):
        args, durable = self.rng.choice(self.store.jobs)
        run(BLT, *args, self.mount)
        if durable:
            self.promise()

    def step(self):
        ops = ((self.write, 50), (self.cut, 5), (self.rename, 10),
               (self.unlink, 10), (self.mkdir, 8), (self.touch, 5),
               (self.sync_dir, 8), (self.replace, 5), (self.job, 3))
        op, = self.rng.choices([op for op, _ in ops], [n for _, n in ops])
        name = self.some_file()
        (op if name else self.write)(name)


@contextlib.contextmanager
def mounted(top, store):
    mount = os.path.join(top, "mnt")
    daemon = subprocess.Popen([BLTFS, "-f", "-o", "commit=1", store.path,
                               mount],
                              stdin=subprocess.DEVNULL)

    try:
        daemonlib.mounted(daemon, mount)
        yield mount
    finally:
        subprocess.run(["fusermount3", "-u", "-z", mount])
        code = daemon.wait()
    if code != 0:
        fail(f"the daemon ended with {code}")


def work(top, plugin, base, kind, layout, rng):
    """Returns what was done and promised, and the log."""
    fs = os.path.join(top, "fs")
    store = ENGINE(fs, layout)
    with recording(top, plugin, base) as (disk, log):
        if not mount_loop(disk, fs, KINDS[kind][2]):
            skip("no loop device over a FUSE file can be had here")
        try:
            store.create()
            run("sync", "-f", fs)
            with mounted(top, store) as mount:
                done = Work(mount, store, log, rng)
                for i in range(OPS):
                    done.step()
                    if i % 200 == 40:
                        store.rest()
            done.promise()
        finally:
            subprocess.run(["umount", "-l", fs])
    return done, log


# ---- the disk after a power cut ----

def tear(write, rng):
    """The first or last sectors of a write."""
    n = write.length // SECTOR
    cut = rng.randrange(n + 1)
    return [Write(write.offset + i * SECTOR, write.at + i * SECTOR, SECTOR)
            for i in (range(cut) if rng.random() < 0.5 else range(cut, n))]


def choose(pending, rng):
    """What of the writes behind the last flush is on the disk."""
    how = rng.randrange(6)
    at = rng.randrange(len(pending) + 1)
    if how == 0:
        return []
    if how == 1:
        return pending
    if how == 2:
        return pending[:at]
    if how == 3:
        return pending[at:]
    part = rng.random()
    kept = [w for w in pending if rng.random() < part]
    if how == 4:
        return kept
    return [p for w in kept
            for p in (tear(w, rng) if rng.random() < 0.3 else [w])]


class Disks:
    """Goes forward through a log and makes such disks."""

    def __init__(self, top, base, log):
        self.durable = os.path.join(top, "durable")
        self.top, self.cut = top, None
        self.log = open(log, "rb")
        self.entries, self.ends = read_log(log)
        self.at = 0  # all entries before this are in durable
        run("cp", "--sparse=always", base, self.durable)

    def put(self, path, writes):
        with open(path, "r+b", buffering=0) as f:
            for w in writes:
                self.log.seek(w.at)
                f.seek(w.offset)
                f.write(self.log.read(w.length))

    def cuts(self, first, count, rng):
        """count pairs, in order: a flush, and how many entries there were when
        the power went.  Long intervals have a larger chance, not much so."""
        flushes = [i for i, e in enumerate(self.entries)
                   if e is None and self.ends[i] >= first]
        spans = list(zip(flushes, flushes[1:]))
        chances = [min(end - start, 8) for start, end in spans]
        return sorted((start, rng.randint(start + 1, end))
                      for start, end in rng.choices(spans, chances, k=count))

    def make(self, flush, cut, rng):
        """How many writes were not flushed, and what became of them."""
        self.put(self.durable, [w for w in self.entries[self.at:flush] if w])
        self.at = flush
        # A new file each time: of one that it has been used for a moment ago a
        # loop device that somebody still looks at would show what it was.
        if self.cut:
            os.unlink(self.cut)
        self.cut = os.path.join(self.top, f"cut-{flush}-{cut}-{rng.random()}")
        run("cp", "--sparse=always", self.durable, self.cut)
        pending = self.entries[flush + 1:cut]
        kept = choose(pending, rng)
        self.put(self.cut, kept)
        return len(pending), kept


def bounds(done, position):
    """The states that a cut at this place of the log may leave."""
    low = max(state for at, state in done.kept if at <= position)
    high = max(i for i, at in enumerate(done.begun) if at <= position)
    return low, high


def why_wrong(store, allowed, rng):
    why, items = store.look(rng)
    if not why and digest(items) not in allowed:
        why = f"not in a state it may be in: {len(items)} keys"
    return why


def copy_to(path, to):
    """A file, or a directory."""
    run("cp", "-a", path, to)


def judge(top, kind, layout, disk, allowed, what, rng):
    """Whether there was a loop device to look at it."""
    fs = os.path.join(top, "fs")
    store = ENGINE(fs, layout)
    if not mount_loop(disk, fs, KINDS[kind][2]):
        return False
    left = os.path.join(top, "left")
    copy_to(fs, left)
    try:
        why = why_wrong(store, allowed, rng)
    finally:
        run("umount", fs)
    if why and "DISK_KEEP" in os.environ:
        copy_to(left, os.environ["DISK_KEEP"])
    shutil.rmtree(left)
    if why:
        fail(f"{what}: {why}")
    return True


def test(top, plugin, kind, layout, images):
    rng = random.Random(f"{SEED} {kind} {layout}")
    base = make_base(top, kind)
    done, log = work(top, plugin, base, kind, layout, rng)
    disks = Disks(top, base, log)
    tried, lost, before = set(), 0, time.monotonic()
    for flush, cut in disks.cuts(done.begun[0], images, rng):
        pending, kept = disks.make(flush, cut, rng)
        low, high = bounds(done, disks.ends[cut - 1])
        what = (f"{kind}, a {layout}, seed {SEED}: flush {flush}, cut {cut}, "
                f"{len(kept)} of {pending} writes, states {low} to {high}")
        if not judge(top, kind, layout, disks.cut,
                     done.states[low:high + 1], what, rng):
            skip("no loop device can be had any more")
        tried.add((flush, tuple(kept)))
        lost += len(kept) < pending
    print(f"{kind}, a {layout}: {len(done.states) - 1} commits, "
          f"{sum(e is None for e in disks.entries)} flushes, "
          f"{sum(e is not None for e in disks.entries)} writes; "
          f"{images} power cuts ({len(tried)} distinct, {lost} with writes "
          f"lost) in {time.monotonic() - before:.0f} s: nothing lost")


def main():
    for kind in FILESYSTEMS:
        need(kind)
    for kind, layout in itertools.product(FILESYSTEMS, ENGINE.layouts):
        top = tempfile.mkdtemp(prefix="disk-crash.")
        for name in ("fs", "mnt"):
            os.mkdir(os.path.join(top, name))
        try:
            test(top, build_plugin(top), kind, layout,
                 IMAGES // len(ENGINE.layouts))
        finally:
            shutil.rmtree(top, ignore_errors=True)


main()
