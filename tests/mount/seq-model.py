#!/usr/bin/env python3
"""A sequence on a mount against a Python list, with both engines: items are
made, read, changed, moved and deleted with file operations, with .at and with
blt seq, between remounts and kills of the daemon, some of them in the middle of
an operation.  SEQ_OPS sets how many operations an engine gets, SEQ_SEED which.
"""

import os
import random
import subprocess
import sys
import threading

import mountlib
from mountlib import BLT, EXCHANGE, Mount, read, renameat2, write

OPS = int(os.environ.get("SEQ_OPS", "400"))
SEED = int(os.environ.get("SEQ_SEED", "1"))
MOST = 50  # items
LONG = 40  # bytes of a name made by hand


def content(path):
    if os.path.isdir(path):
        return {f: read(f"{path}/{f}") for f in os.listdir(path)}
    return read(path)


def between(low, high):
    """A name that sorts there, or None."""
    for name in (low + c for c in "h0z"):
        if low < name and (not high or name < high) and len(name) < LONG:
            return name
    return None


class Run:
    """now is the list of items, each a value or a dictionary of fields; then,
    what it is once the running operation has done its work."""

    def __init__(self, mount, seed):
        self.mount = mount
        self.rng = random.Random(seed)
        self.now = self.then = []
        self.top = "frames"
        self.count = self.enough = 0
        self.reached = threading.Event()

    # ---- what operations are made of ----

    def tool(self, verb, *args, stdin=b""):
        return subprocess.run(
            [BLT, "seq", verb, os.path.join(self.mount.mnt, self.top), *args],
            input=stdin, capture_output=True, check=True).stdout

    def names(self):
        return sorted(os.listdir(self.top))

    def value(self):
        self.count += 1
        if self.count == self.enough:
            self.reached.set()
        return b"%d " % self.count * self.rng.choice((0, 1, 1, 5, 300))

    def fields(self):
        return {f: self.value() for f in ("a", "b", ".at", "c")
                if self.rng.random() < 0.5}

    def place(self):
        return self.rng.choice((0, len(self.now) - 1,
                                self.rng.randrange(len(self.now))))

    def gap(self):
        """A name for an item in front of a position."""
        names = ["", *self.names(), ""]
        at = self.rng.randrange(len(names) - 1)
        return at, between(names[at], names[at + 1])

    def with_item(self, at, item):
        self.then = [*self.now[:at], item, *self.now[at:]]

    # ---- operations: each sets then, and does it ----

    def make(self):
        at, name = self.gap()
        item = self.value()
        if name:
            self.with_item(at, item)
            write(f"{self.top}/{name}", item)

    def make_record(self):
        at, name = self.gap()
        if name:
            self.with_item(at, {})
            os.mkdir(f"{self.top}/{name}")

    def write_field(self):
        at = self.place()
        if isinstance(self.now[at], bytes):
            return
        field, value = self.rng.choice("abc"), self.value()
        self.then = list(self.now)
        self.then[at] = {**self.now[at], field: value}
        write(f"{self.top}/.at/{at}/{field}", value)

    def overwrite(self):
        at, value = self.place(), self.value()
        if isinstance(self.now[at], bytes):
            self.then = list(self.now)
            self.then[at] = value
            write(f"{self.top}/.at/{at - len(self.now)}", value)

    def unlink(self):
        at = self.place()
        if isinstance(self.now[at], dict):
            return
        self.then = self.now[:at] + self.now[at + 1:]
        os.unlink(f"{self.top}/{self.names()[at]}")

    def rename(self):
        at, (to, name) = self.place(), self.gap()
        if not name:
            return
        item = self.now[at]
        self.then = self.now[:at] + self.now[at + 1:]
        self.then.insert(to - (at < to), item)
        os.rename(f"{self.top}/{self.names()[at]}", f"{self.top}/{name}")

    def exchange(self):
        one, two = self.place(), self.place()
        names = self.names()
        if one == two:
            return
        self.then = list(self.now)
        self.then[one], self.then[two] = self.now[two], self.now[one]
        renameat2(f"{self.top}/{names[one]}", f"{self.top}/{names[two]}",
                  EXCHANGE)

    def tool_insert(self):
        at = self.rng.randrange(len(self.now) + 1)
        if self.rng.random() < 0.5:
            item = {f: b"%d" % self.count for f in "ab"}
            args = [f"{f}={self.count}" for f in "ab"]
        else:
            item, args = self.value(), []
        self.with_item(at, item)
        stdin = item if isinstance(item, bytes) else b""
        if at == len(self.now):
            self.tool("append", *args, stdin=stdin)
        else:
            self.tool("insert", str(at), *args, stdin=stdin)

    def tool_delete(self):
        at = self.place()
        self.then = self.now[:at] + self.now[at + 1:]
        self.tool("delete", str(at - len(self.now)))

    def tool_move(self):
        at, to = self.place(), self.place()
        self.then = self.now[:at] + self.now[at + 1:]
        self.then.insert(to, self.now[at])
        self.tool("move", str(at), str(to))

    def tool_set(self):
        at, value = self.place(), self.value()
        self.then = list(self.now)
        self.then[at] = value
        self.tool("set", str(at), stdin=value)

    def step(self):
        makes = (self.make, self.make, self.make_record, self.tool_insert)
        others = (self.write_field, self.write_field, self.overwrite,
                  self.unlink, self.rename, self.rename, self.exchange,
                  self.tool_delete, self.tool_move, self.tool_set)
        full = len(self.now) >= MOST
        some = self.rng.random() < 0.5
        what = self.rng.choice(makes if not self.now or (some and not full)
                               else others)
        if what.__name__.startswith("tool_") and self.rng.random() < 0.7:
            return  # a process each
        what()
        self.now = self.then

    # ---- looking at it ----

    def look(self):
        """One item, by its position."""
        n = len(self.now)
        if n:
            at = self.rng.randrange(-n, n)
            assert content(f"{self.top}/.at/{at}") == self.now[at], at
        for at in n, -n - 1:
            assert not os.path.lexists(f"{self.top}/.at/{at}"), (at, n)

    def all(self):
        names = self.names()
        found = [content(f"{self.top}/{name}") for name in names]
        for at in range(len(names)):
            assert os.readlink(f"{self.top}/.at/{at}") == f"../{names[at]}"
        assert int(self.tool("len")) == len(found)
        return found

    def compare(self):
        found = self.all()
        assert found == self.now, (found, self.now)

    # ---- remounts and kills ----

    def restart(self):
        m = self.mount
        os.chdir("/")
        m.daemon.kill()
        m.daemon.wait()
        subprocess.run(["fusermount3", "-uz", m.mnt], check=True)
        m.start()
        os.chdir(m.mnt)

    def work(self):
        try:
            while True:
                self.step()
        except (OSError, subprocess.CalledProcessError):
            self.reached.set()  # the daemon is gone

    def kill(self):
        """In the middle of an operation: it is done, or it is not."""
        self.top = os.path.join(self.mount.mnt, "frames")
        os.chdir("/")
        worker = threading.Thread(target=self.work)
        self.enough = self.count + self.rng.randrange(1, 60)
        self.reached.clear()
        worker.start()
        self.reached.wait()
        self.mount.daemon.kill()
        self.mount.daemon.wait()
        subprocess.run(["fusermount3", "-uz", self.mount.mnt], check=True)
        worker.join()
        self.top = "frames"
        self.mount.start()
        os.chdir(self.mount.mnt)
        found = self.all()
        assert found in (self.now, self.then), (found, self.now, self.then)
        self.now = self.then = found

    def run(self, ops):
        for i in range(1, ops + 1):
            self.step()
            self.look()
            if i % 40 == 0:
                self.compare()
            if i % 150 == 0:
                self.rng.choice((self.mount.remount, self.restart,
                                 self.kill))()
                self.compare()
        self.mount.remount()
        self.compare()


def main():
    if not os.path.exists("/dev/fuse"):
        print("no /dev/fuse")
        return 77
    for engine in os.environ.get("BLT_ENGINES", "booklet lmdb").split():
        mountlib.ENGINE = engine
        with Mount("create") as mount:
            mount.messages.append("recover")
            subprocess.run([BLT, "seq", "create",
                            os.path.join(mount.mnt, "frames")], check=True)
            Run(mount, SEED).run(OPS)
        print(f"{engine}: {OPS} operations, seed {SEED}: as a list",
              flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
