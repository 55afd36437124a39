#!/usr/bin/env python3
"""Changes of a mount of a store in PostgreSQL whose outcome is not known at first,
as the answer was lost, or comes late: each counts once, what is acknowledged is on
the standbys, too, and a message that the network delivers long after it was given
up changes nothing."""

import errno
import json
import os
import subprocess
import sys
import threading

import pglib
import pgproxy
import toollib as t
from daemonlib import until
from mountlib import EXCHANGE, fails, read, renameat2, write
from pgmount import Mount

COMMIT = b"bltfs_commit"
ENOUGH = 300  # commits behind which rows of bltfs.done are dropped


def exclusively(path):
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))


def lost(server):
    """The server has committed, and the answer is lost: all of it goes on as if
    nothing had been."""
    with pgproxy.Proxy(server) as proxy:
        url = server.url(store="lost")
        t.ok("create", url)
        with Mount(proxy.url(store="lost")) as m:
            write(m.at("f"), b"f")
            write(m.at("g"), b"g" * 300000)
            os.mkdir(m.at("d"))
            for what in (lambda: write(m.at("f"), b"new"),
                         lambda: write(m.at("g"), b"h" * 300000),
                         lambda: exclusively(m.at("made")),
                         lambda: os.mkdir(m.at("dir")),
                         lambda: os.rename(m.at("made"), m.at("moved")),
                         lambda: os.rename(m.at("dir"), m.at("dir2")),
                         lambda: renameat2(m.at("f"), m.at("g"), EXCHANGE),
                         lambda: os.utime(m.at("f"), (1, 1)),
                         lambda: os.unlink(m.at("moved")),
                         lambda: os.rmdir(m.at("dir2"))):
                proxy.lose_answer(COMMIT)
                what()
                until("an answer that is lost", proxy.lost.is_set)
            t.equal(sorted(os.listdir(m.path)), ["d", "f", "g"], "names")
            t.equal((read(m.at("f")), read(m.at("g"))),
                    (b"h" * 300000, b"new"), "values")
        t.ok("check", "-q", url)


def waits(server):
    """Whether a commit waits for a standby."""
    return server.sql("select pid from pg_stat_activity"
                      " where wait_event = 'SyncRep'")


def standbys():
    """The primary has a commit that the standby has not, is killed and comes
    back: that it is there does not acknowledge it."""
    primary = pglib.Server()
    standby = primary.standby()
    url = primary.url(store="waits")
    t.ok("create", url)
    with Mount(url) as m:
        write(m.at("f"), b"before")
        standby.pause()
        writer = threading.Thread(target=write, args=(m.at("f"), b"behind"))
        writer.start()
        until("that it waits", lambda: waits(primary))
        primary.kill()
        primary.start()
        until("that it waits again, or not",
              lambda: waits(primary) or not writer.is_alive())
        t.equal(writer.is_alive(), True, "not acknowledged")
        standby.resume()
        writer.join()
        primary.kill()
        standby.promote()
    t.equal(t.ok("get", standby.url(store="waits"), "f"), b"behind",
            "on the standby")


def late(server):
    """What was given up comes when others have come since."""
    with pgproxy.Proxy(server) as one, pgproxy.Proxy(server) as two:
        url = server.url(store="late")
        t.ok("create", url)
        with Mount(pglib.url(one, two, store="late", timeo="6")) as m:
            write(m.at("f"), b"one")
            # over another connection
            one.blackhole()
            write(m.at("f"), b"two")
            for i in range(ENOUGH):
                write(m.at(f"n{i}"), b"")
            write(m.at("f"), b"three")
            one.forward()
            until("that all has come", lambda: not one.links)
            t.equal(t.ok("get", url, "f"), b"three", "of a try")
            # by nobody, so far
            one.blackhole()
            two.blackhole()
            with fails(errno.EIO):
                write(m.at("f"), b"four")
            one.forward()
            write(m.at("f"), b"five")
            t.equal(t.ok("get", url, "f"), b"five", "it heals")
            two.forward()
            until("that all has come", lambda: not two.links)
            t.equal(t.ok("get", url, "f"), b"five", "of a failed commit")
        t.ok("check", "-q", url)


def main():
    if not os.path.exists("/dev/fuse"):
        print("no /dev/fuse")
        return 77
    pglib.need()
    server = pglib.Server()
    lost(server)
    late(server)
    standbys()
    return 0


if __name__ == "__main__":
    sys.exit(main())
