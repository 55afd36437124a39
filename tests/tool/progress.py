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

PAUSE = 0.005  # between two lines of input, or two pieces of output: so that
PIECE = 4096   # all of them take well over the second without a line
KEYS = 1200
VALUE = 2500
STORE = "kv.blt"


class Pair:
    """A command with -q and one without, each with a terminal of its own.  When
    the second has shown a line, the first has lived long enough for one."""

    def __init__(self, quiet, loud):
        self.runs = []
        for args in quiet, loud:
            screen = t.Screen()
            self.runs.append((subprocess.Popen(
                [t.BLT, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=screen.theirs), screen))

    def each(self, turn):
        """Calls turn(process) for both, until a line is shown."""
        while not self.runs[1][1].seen:
            for run, _ in self.runs:
                turn(run)
            time.sleep(PAUSE)

    def end(self, turn):
        """Calls turn(process) once more; what the terminals were shown."""
        shown = []
        for run, screen in self.runs:
            turn(run)
            run.stdin.close()
            t.equal(run.wait(t.LIMIT), 0, f"{run.args}: {screen.seen}")
            run.stdout.close()
            shown.append(screen.end())
        return shown


def feed(quiet, loud, lines):
    """Both get their input line by line, and then the rest."""
    pair, given = Pair(quiet, loud), {}

    def one(run):
        at = given.setdefault(run, 0)
        t.equal(at < len(lines), True, "a line is shown before the last key")
        run.stdin.write(lines[at])
        run.stdin.flush()
        given[run] += 1

    pair.each(one)
    return pair.end(lambda run: run.stdin.write(b"".join(lines[given[run]:])))


def drain(quiet, loud):
    """The output of both is taken piece by piece, and then the rest."""
    pair = Pair(quiet, loud)

    def one(run):
        t.equal(os.read(run.stdout.fileno(), PIECE) != b"", True,
                "a line is shown before the last byte")

    def rest(run):
        while os.read(run.stdout.fileno(), 1 << 20):
            pass

    pair.each(one)
    return pair.end(rest)


def check_lines():
    lines = [b"%s %s -\n" % ((b"k%05d" % i).hex().encode(), b"ab" * VALUE)
             for i in range(KEYS)]
    for store in STORE, "quiet.blt":
        t.ok("create", store, "-k", "bytes")
    quiet, seen = feed(["load", "-q", "quiet.blt"], ["load", STORE], lines)
    if not re.search(r"\rload: \d+ keys, [\d.]+ [KM]iB, [\d.]+ \w+/s", seen):
        t.fail(f"load showed {seen!r}")
    t.equal("\x1b" in seen, False, "an escape sequence")
    t.equal(seen.endswith("\r"), True, "the line is taken away")
    t.equal(quiet, "", "load -q")
    os.unlink("quiet.blt")
    quiet, seen = drain(["export", "-q", STORE, "-"], ["export", STORE, "-"])
    if not re.search(r"\rexport: \d+ keys, [\d.]+ [KM]iB of [\d.]+ MiB, "
                     r"\d+ %, [\d.]+ \w+/s, \d+ s left", seen):
        t.fail(f"export showed {seen!r}")
    t.equal(quiet, "", "export -q")


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
