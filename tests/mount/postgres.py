#!/usr/bin/env python3
"""Two mounts of one store in PostgreSQL: what one closes the other reads at its
next open; a name is made by one of them alone; and while both write, the server
is killed and a synchronous standby takes its place: nothing that was
acknowledged is lost, and no batch is half done.

PG_ROUNDS sets how often that happens."""

import errno
import json
import multiprocessing
import os
import random
import subprocess
import sys
import time

import pglib
import toollib as t
from daemonlib import until
from mountlib import fails, read, write
from pgmount import Mount

ROUNDS = int(os.environ.get("PG_ROUNDS", "3"))
MOVED = 10  # files of the directory that moves


# ---- together ----

def seen(one, two):
    """Close-to-open."""
    for i in range(50):
        text = b"x" * (i % 7) + b"%d" % i
        write(one.at("f"), text)
        t.equal(read(two.at("f")), text, "what the other one closed")
        one, two = two, one
    os.mkdir(one.at("d"))
    with fails(errno.EEXIST):
        os.mkdir(two.at("d"))
    with open(two.at("held"), "wb") as f:
        f.write(b"old")
    held = open(one.at("held"), "rb")
    t.equal(held.read(), b"old", "as it was opened")
    write(two.at("held"), b"another value")
    until("the new value in an open file",
          lambda: os.pread(held.fileno(), 100, 0) == b"another value")
    held.close()
    write(one.at("goes"), b"x")
    t.equal(read(two.at("goes")), b"x", "is there")
    os.unlink(one.at("goes"))
    with fails(errno.ENOENT):
        read(two.at("goes"))


def asked(m, server):
    """What blt asks a daemon whose store is no file."""
    info = json.loads(t.ok("info", "--json", m.path))
    t.equal((info["engine"], info["store"]), ("postgresql", m.url), "info")
    copy = server.url(store="copy")
    t.ok("copy", "-q", m.path, copy)
    t.equal(t.ok("dump", copy), t.ok("dump", m.url), "a copy by the daemon")
    t.refused(t.CANTCREAT, "exists already", args=["copy", m.path, copy])
    t.ok("copy", "-q", "--force", m.path, copy)
    t.refused(t.DATAERR, "is the store that is read", args=[
        "map", "--to", server.url(store="two", timeo="9"), m.path, "cat"])


def make(path, who, won):
    """Takes as many names as it can."""
    for i in range(100):
        try:
            fd = os.open(os.path.join(path, f"name {i}"),
                         os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:
            continue
        os.write(fd, who.encode())
        os.close(fd)
        won.put((i, who))


def exclusive(mounts):
    """O_EXCL: each name has one maker, whose content it has."""
    won = multiprocessing.Queue()
    os.mkdir(mounts[0].at("made"))
    runs = [multiprocessing.Process(
        target=make, args=(m.at("made"), f"p{n}", won))
        for n, m in enumerate(mounts * 4)]
    for run in runs:
        run.start()
    got = dict(won.get(timeout=t.LIMIT) for _ in range(100))
    for run in runs:
        run.join()
        t.equal(run.exitcode, 0, "a maker")
    t.equal(won.empty(), True, "nobody made one twice")
    t.equal(sorted(got), list(range(100)), "all names")
    for i, who in got.items():
        t.equal(read(mounts[1].at("made", f"name {i}")), who.encode(), "whose")


# ---- failover ----

def work(path, who, acknowledged, stop, longest):
    """Writes, fsyncs and renames; moves a directory there and back."""
    os.mkdir(os.path.join(path, f"a{who}"))
    for i in range(MOVED):
        write(os.path.join(path, f"a{who}", str(i)), b"%d" % i)
    n = 0
    while not stop.is_set():
        began = time.monotonic()
        new = os.path.join(path, f"new{who}")
        with open(new, "wb") as f:
            f.write(b"%d" % n)
            os.fsync(f.fileno())
        os.rename(new, os.path.join(path, f"w{who}-{n}"))
        one, two = f"a{who}", f"b{who}"
        if n % 2:
            one, two = two, one
        os.rename(os.path.join(path, one), os.path.join(path, two))
        acknowledged.value = n = n + 1
        longest.value = max(longest.value, time.monotonic() - began)


class Writer:
    def __init__(self, mount, who):
        self.who = who
        self.acknowledged = multiprocessing.Value("l", 0)
        self.longest = multiprocessing.Value("d", 0)
        self.stop = multiprocessing.Event()
        self.run = multiprocessing.Process(target=work, args=(
            mount.path, who, self.acknowledged, self.stop, self.longest))
        self.run.start()

    def reaches(self, n):
        until(f"{n} writes", lambda: self.acknowledged.value >= n
              or not self.run.is_alive())
        t.equal(self.run.exitcode, None, "the writer lives")

    def end(self):
        self.stop.set()
        self.run.join()
        t.equal(self.run.exitcode, 0, "the writer")


def failover(primary, number):
    standby = primary.standby()
    url = pglib.url(primary, standby, store=f"failover{number}")
    t.ok("create", url)
    with Mount(url) as one, Mount(url) as two:
        one.said("synchronous standby")
        writers = [Writer(one, 1), Writer(two, 2)]
        for w in writers:
            w.reaches(random.randrange(5, 20))
        primary.kill()
        standby.promote()
        for w in writers:
            w.reaches(w.acknowledged.value + 10)
        for w in writers:
            w.end()
        longest = max(w.longest.value for w in writers)
        for w in writers:
            n = w.acknowledged.value
            for i in range(n):
                t.equal(read(two.at(f"w{w.who}-{i}")), b"%d" % i, "a write")
            there = [d for d in (f"a{w.who}", f"b{w.who}")
                     if os.path.exists(two.at(d))]
            t.equal(len(there), 1, "the directory that moved")
            t.equal(sorted(os.listdir(two.at(there[0]))),
                    sorted(map(str, range(MOVED))), "with all files")
    t.ok("check", "-q", url)
    print(f"round {number}: {sum(w.acknowledged.value for w in writers)} "
          f"writes, the longest took {longest:.1f} s", flush=True)
    return standby


# ---- a server that is away ----

def away(server):
    url = server.url(store="away", timeo="3")
    t.ok("create", url)
    with Mount(url) as m:
        write(m.at("f"), b"before")
        server.kill()
        with fails(errno.EIO):
            write(m.at("g"), b"lost")
        m.said("the server does not answer")
        server.start()
        until("that it heals", lambda: not subprocess.run(
            ["cp", m.at("f"), m.at("h")], check=False,
            stderr=subprocess.DEVNULL).returncode)
        m.said("the server is back")
        t.equal(read(m.at("h")), b"before", "behind that")
        server.kill()
    # an unmount needs no server
    server.start()


def main():
    if not os.path.exists("/dev/fuse"):
        print("no /dev/fuse")
        return 77
    pglib.need()
    server = pglib.Server()
    url = server.url(store="two")
    t.ok("create", url)
    with Mount(url) as one, Mount(url) as two:
        seen(one, two)
        asked(one, server)
        exclusive([one, two])
    t.ok("check", "-q", url)
    away(server)
    for number in range(ROUNDS):
        server = failover(server, number)
    return 0


if __name__ == "__main__":
    sys.exit(main())
