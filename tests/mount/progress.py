#!/usr/bin/env python3
"""What blt shows on a terminal of a mount's job: a line, once it has taken a
second, also while it has to wait for another; it is taken away at the end.  Of
a map, which counts keys, it is the same for a file."""

import os
import re
import subprocess

import controllib
import toollib as t
from controllib import Mount, check, until
from maplib import values

work = controllib.directory()
store = os.path.join(work, "kv.blt")
N = 20


def held(name):
    """A command that goes on with its last key when somebody has written to
    the FIFO, and the FIFO."""
    fifo = os.path.join(work, name)
    os.mkfifo(fifo)
    script = f'cat; [ "$BLT_KEY" != "k{N - 1}" ] || cat {fifo} >&2'
    return ["-j", "1", "--", "sh", "-c", script + "; printf x"], fifo


def let_go(fifo):
    with open(fifo, "w", encoding="ascii"):
        pass


def shown(args, line, fifo):
    """Runs blt on a terminal until it shows such a line, lets go what holds
    it, and returns what it printed."""
    screen = t.Screen()
    with subprocess.Popen([t.BLT, *args], stdout=subprocess.PIPE,
                          stderr=screen.theirs) as run:
        until(f"blt {args[0]}'s line", lambda: re.search(line, screen.seen))
        let_go(fifo)
        printed = run.stdout.read()
        assert run.wait(t.LIMIT) == 0, (args, screen.seen)
    seen = screen.end()
    assert seen.endswith("\r") and "\x1b" not in seen, seen
    return printed


def check_map(path, name):
    command, fifo = held(name)
    # of the last key nothing is known yet
    line = (rb"\rmap: \d+ of %d keys, [\d.]+ B, \d+ %%, [\d.]+ B/s, \d+ s left"
            % N)
    printed = shown(["map", path, *command], line, fifo)
    assert printed.startswith(b"%d processed, %d written, 0 " % (N, N)), printed


def check_prune(m):
    """It waits for the map."""
    command, fifo = held("prune")
    job = t.ok("map", "--detach", m.path, *command).decode().strip()
    printed = shown(["prune", m.path], rb"\rprune: 0 keys, 0 B, 0 B/s", fifo)
    assert printed, "no result"
    assert m.ended(job)["errors"] == "0"


t.ok("create", store)
# in this order, and the map takes them in it
t.load(store, {b"k%d" % i: b"v%d" % i for i in range(N)})
check_map(store, "file")
with Mount(store) as m:
    check_map(m.path, "mount")
    check_prune(m)
    assert values(m) == {f"k{i}": b"v%dxxx" % i for i in range(N)}
check(store)
