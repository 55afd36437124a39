#!/usr/bin/env python3
"""Mounts of one store in PostgreSQL, several at once: what one closes another
reads at its next open; a name is made by one of them alone.  A server that is
away, or silent, is waited for, and then said to be."""

import contextlib
import errno
import json
import multiprocessing
import os
import signal
import subprocess
import sys

import pglib
import toollib as t
from daemonlib import until
from mountlib import fails, read, write
from pgmount import Mount


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
        for n, m in enumerate(mounts)]
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
    with Mount(url) as m:
        server.pause()
        with fails(errno.EIO):
            write(m.at("g"), b"lost")
    server.resume()
    hangs(server)


def sleeps(pid, command):
    """Whether a process runs the command, and waits."""
    found = read(f"/proc/{pid}/stat")
    return b"(%s)" % command in found and found.split(b") ")[1][:1] in b"SD"


def hangs(server):
    """Who waits for a server that is silent can be killed, and the mount is
    unmounted meanwhile."""
    url = server.url(store="hangs", timeo="4")
    t.ok("create", url)
    with Mount(url) as m:
        write(m.at("f"), b"x" * 300000)
        server.pause()
        with subprocess.Popen(["cp", m.at("f"), m.at("g")],
                              stderr=subprocess.DEVNULL) as waiting:
            until("that it waits", lambda: sleeps(waiting.pid, b"cp"))
            waiting.kill()
            t.equal(waiting.wait(t.LIMIT), -signal.SIGKILL, "killed")
    server.resume()


def main():
    if not os.path.exists("/dev/fuse"):
        print("no /dev/fuse")
        return 77
    pglib.need()
    server = pglib.Server()
    url = server.url(store="two")
    t.ok("create", url)
    with contextlib.ExitStack() as stack:
        mounts = [stack.enter_context(Mount(url)) for _ in range(8)]
        seen(mounts[0], mounts[1])
        asked(mounts[0], server)
        exclusive(mounts)
    t.ok("check", "-q", url)
    away(server)
    return 0


if __name__ == "__main__":
    sys.exit(main())
