#!/usr/bin/env python3
"""Two mounts of one store in PostgreSQL write while the server is killed and
started again, and while it is killed, at any moment and in the middle of a
COMMIT, or falls silent, and a synchronous standby takes its place: writing goes
on by itself, nothing that was acknowledged is lost, no batch is half done.

PG_ROUNDS sets how often a standby does."""

import multiprocessing
import os
import random
import sys
import time

import pglib
import toollib as t
from daemonlib import until
from mountlib import read, write
from pgmount import Mount

ROUNDS = int(os.environ.get("PG_ROUNDS", "5"))
MOVED = 10  # files of the directory that moves


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


def report(what, writers, mounts):
    """Nothing that was acknowledged is lost, each sees what the other wrote."""
    for w in writers:
        w.end()
    for w, m in zip(writers, mounts):
        for i in range(w.acknowledged.value):
            t.equal(read(m.at(f"w{w.who}-{i}")), b"%d" % i, "a write")
        there = [d for d in (f"a{w.who}", f"b{w.who}")
                 if os.path.exists(m.at(d))]
        t.equal(len(there), 1, "the directory that moved")
        t.equal(sorted(os.listdir(m.at(there[0]))),
                sorted(map(str, range(MOVED))), "with all files")
    longest = max(w.longest.value for w in writers)
    print(f"{what}: {sum(w.acknowledged.value for w in writers)} writes, the "
          f"longest took {longest:.1f} s", flush=True)


def failover(primary, number, fail=pglib.Server.kill, timeo=30):
    """fail: what happens to the primary."""
    standby = primary.standby()
    url = pglib.url(primary, standby, store=f"failover{number}",
                    timeo=timeo)
    t.ok("create", url)
    with Mount(url) as one, Mount(url) as two:
        one.said("synchronous standby")
        writers = [Writer(one, 1), Writer(two, 2)]
        for w in writers:
            w.reaches(random.randrange(5, 20))
        if number % 2:
            # in the middle of a COMMIT that the standby does not have
            standby.pause()
            until("a COMMIT", lambda: primary.sql(
                "select pid from pg_stat_activity"
                " where wait_event = 'SyncRep'"))
        fail(primary)
        standby.resume()
        standby.promote()
        for w in writers:
            w.reaches(w.acknowledged.value + 10)
        report(f"failover {number}", writers, [two, one])
    t.ok("check", "-q", url)
    return standby


def restart(server):
    """Killed and started again, three times, while two write."""
    url = server.url(store="restart")
    t.ok("create", url)
    with Mount(url) as one, Mount(url) as two:
        writers = [Writer(one, 1), Writer(two, 2)]
        for _ in range(3):
            for w in writers:
                w.reaches(w.acknowledged.value + random.randrange(3, 20))
            server.kill()
            server.start()
        for w in writers:
            w.reaches(w.acknowledged.value + 3)
        report("restarts", writers, [one, two])
    t.ok("check", "-q", url)


def main():
    if not os.path.exists("/dev/fuse"):
        print("no /dev/fuse")
        return 77
    pglib.need()
    server = pglib.Server()
    restart(server)
    for number in range(ROUNDS):
        server = failover(server, number)
    # the machine is silent; nobody says that the server is gone
    gone = server
    failover(server, ROUNDS, pglib.Server.pause, 18)
    gone.kill()
    return 0


if __name__ == "__main__":
    sys.exit(main())
