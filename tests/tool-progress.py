#!/usr/bin/env python3
"""What long commands show on a terminal, and that a signal leaves all whole.

A terminal is shown a line once a command has taken a second, and only then; a
pipe, and -q, never.
"""

import os
import re
import signal
import subprocess
import time

import checker
import toollib as t

SECOND = 1.3  # a bit more than what a command does without a line
KEYS = 1200
VALUE = 2500
STORE = "kv.blt"


def feed(args, lines):
    """Runs blt with a stop between the halves of its input; what the terminal
    was shown."""
    screen = t.Screen()
    with subprocess.Popen([t.BLT, *args], stdin=subprocess.PIPE,
                          stdout=subprocess.DEVNULL,
                          stderr=screen.theirs) as run:
        half = len(lines) // 2
        # returns when all but a pipe's content has been read
        run.stdin.write(lines[:half])
        run.stdin.flush()
        time.sleep(SECOND)
        run.stdin.write(lines[half:])
        run.stdin.close()
        t.equal(run.wait(t.LIMIT), 0, f"{args}: {screen.seen}")
    return screen.end()


def drain(args):
    """The same for a command whose output has to wait."""
    screen = t.Screen()
    with subprocess.Popen([t.BLT, *args], stdout=subprocess.PIPE,
                          stderr=screen.theirs) as run:
        os.read(run.stdout.fileno(), 1)
        time.sleep(SECOND)
        while os.read(run.stdout.fileno(), 1 << 20):
            pass
        t.equal(run.wait(t.LIMIT), 0, f"{args}: {screen.seen}")
    return screen.end()


def check_lines():
    lines = b"".join(b"%s %s -\n" % ((b"k%05d" % i).hex().encode(),
                                     b"ab" * VALUE) for i in range(KEYS))
    t.ok("create", STORE, "-k", "bytes")
    seen = feed(["load", STORE], lines)
    if not re.search(r"\rload: \d+ keys, [\d.]+ [KM]iB, [\d.]+ \w+/s", seen):
        t.fail(f"load showed {seen!r}")
    t.equal("\x1b" in seen, False, "an escape sequence")
    t.equal(seen.endswith("\r"), True, "the line is taken away")
    t.equal(feed(["load", "-q", STORE], lines), "", "load -q")
    seen = drain(["export", STORE, "-"])
    if not re.search(r"\rexport: \d+ keys, [\d.]+ [KM]iB of [\d.]+ MiB, "
                     r"\d+ %, [\d.]+ \w+/s, \d+ s left", seen):
        t.fail(f"export showed {seen!r}")
    t.equal(drain(["export", "-q", STORE, "-"]), "", "export -q")


def stopped(args, sig, delay):
    """The exit code after a signal that came at some time, or too late."""
    with subprocess.Popen([t.BLT, *args], stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE) as run:
        time.sleep(delay)
        run.send_signal(sig)
        said = run.stderr.read()
        code = run.wait(t.LIMIT)
    if b"Sanitizer" in said or code not in (0, 128 + sig, -sig):
        t.fail(f"{args}: exit {code}: {said}")
    return code


def check_file(path, want, what):
    t.equal(checker.check(path), [], f"faults after {what}")
    if t.ok("dump", path) != want:
        t.fail(f"{what}: another content")


def no_leftovers(code, what, *known):
    # one that had no handler yet has made nothing
    if code >= 0:
        t.equal(sorted(os.listdir(".")), sorted([STORE, *known]), what)


def check_exported(code, want):
    for at, _, names in os.walk("out"):
        for name in names:
            with open(os.path.join(at, name), "rb") as f:
                value = f.read()
            if code >= 0:
                t.equal(want.get(name.encode()) == value, True, f"out/{name}")


def check_signals():
    want = t.ok("dump", STORE)
    keys = {bytes.fromhex(k.decode()): bytes.fromhex(v.decode()) for k, v, _
            in (line.split() for line in want.splitlines())}
    for args in (["copy", STORE, "new.blt"], ["check", STORE],
                 ["recover", "--rebuild", "--in-place", STORE],
                 ["reindex", "-b", "30011", STORE],
                 ["export", STORE, "out"]):
        start = time.monotonic()
        t.run(*args)
        whole = time.monotonic() - start
        for i in range(4):
            subprocess.run(["rm", "-rf", "new.blt", "out"], check=True)
            sig = (signal.SIGINT, signal.SIGTERM)[i % 2]
            what = f"{args} and {sig} after {i}/4"
            code = stopped(args, sig, whole * i / 4)
            check_file(STORE, want, what)
            if os.path.exists("new.blt"):
                check_file("new.blt", want, what)
            check_exported(code, keys)
            no_leftovers(code, what, *(n for n in ("new.blt", "out")
                                       if os.path.exists(n)))
        subprocess.run(["rm", "-rf", "new.blt", "out"], check=True)


os.chdir(t.directory())
check_lines()
check_signals()
