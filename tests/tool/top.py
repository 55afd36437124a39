#!/usr/bin/env python3
"""blt top: what it counts is what was done, as text, as JSON, on a terminal;
nothing stays behind, and the mount can go meanwhile."""

import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import termios

import controllib
import toollib as t
from controllib import Mount

LIMIT = 120
work = controllib.directory()
store = os.path.join(work, "kv.blt")
KINDS = {"lookup", "getattr", "setattr", "open", "create", "read", "write",
         "flush", "fsync", "release", "readdir", "names", "control"}


def put(m, name, data=b"x"):
    with open(os.path.join(m.path, name), "wb", buffering=0) as f:
        f.write(data)


def check_stats(m):
    """The counters themselves: each call has one place in the powers of
    two."""
    stats = m.lines("stats")
    for kind in KINDS:
        times = [int(n) for n in stats[f"op.{kind}.times"].split()]
        calls = int(stats[f"op.{kind}.calls"])
        t.equal(sum(times), calls, kind)
        longest = float(stats[f"op.{kind}.longest_us"])
        total = float(stats[f"op.{kind}.total_us"])
        if calls:
            t.equal(int(longest) >= (1 << len(times) >> 2), True, kind)
            t.equal(total >= longest, True, kind)
    t.equal(int(stats["mounted"]) > 0, True, "mounted")


class Lines:
    """A blt that prints a line of JSON at a time."""

    def __init__(self, *args):
        self.p = subprocess.Popen([t.BLT, "top", *args], text=True,
                                  stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE)

    def next(self):
        line = self.p.stdout.readline()
        if not line:
            t.fail(f"no more lines: {self.p.stderr.read()}")
        return json.loads(line)


def check_json(m):
    lines = Lines("-j", "-d", "0.1", m.path)
    first = lines.next()
    t.equal(first["mountpoint"], m.path, "mount point")
    t.equal(first["store"], store, "store")
    t.equal(set(first["requests"]), KINDS, "kinds")
    for i in range(20):
        put(m, f"counted-{i}")
    seen = 0
    while seen < 20:
        now = lines.next()
        create = now["requests"]["create"]
        seen += create["calls"]
        t.equal(now["seconds"] > 0, True, "seconds")
        t.equal(now["failed"], None, "failed")
        if create["calls"]:
            t.equal(0 < create["p50_us"] <= create["p99_us"]
                    <= create["longest_us"], True, create)
    t.equal(seen, 20, "creates")
    t.equal(now["keys"], first["keys"] + 20, "keys")
    lines.p.send_signal(2)
    lines.p.stdout.read()
    t.equal((lines.p.wait(LIMIT), lines.p.stderr.read()), (130, ""), "Ctrl-C")


def check_jobs(m):
    lines = Lines("--json", "--delay", "0.1", m.path)
    lines.next()
    job = t.ok("reindex", "-d", m.path).decode().strip()
    found = []
    while not found or found[-1]["state"] in ("queued", "running"):
        found += [j for j in lines.next()["jobs"] if j["job"] == int(job)]
    t.equal(found[-1]["kind"], "reindex", "kind")
    t.equal(found[-1]["state"], "done", "state")
    while lines.next()["jobs"]:
        pass  # an ended one is told once
    lines.p.terminate()
    lines.p.communicate(timeout=LIMIT)


def check_blocks(m):
    out = t.ok("top", "-n", "2", "-d", "0.05", m.path).decode()
    blocks = out.strip().split("\n\n")
    t.equal(len(blocks), 2, "blocks")
    for block in blocks:
        rows = block.splitlines()
        t.equal(rows[0].startswith(f"{store} on {m.path}, 20"), True, rows[0])
        t.equal(bool(re.match(r"\d+ keys, .* inodes in use, ", rows[1])),
                True, rows[1])
        t.equal(rows[2].split(), ["REQUEST", "A", "SECOND", "MEAN", "P50",
                                  "P99", "LONGEST"], "heading")
        kinds = [row.split()[0] for row in rows[3:]]
        t.equal({"lookup", "create", "control"} <= set(kinds) <= KINDS, True,
                kinds)
    t.equal("\x1b" in out, False, "no terminal, no escapes")


class Screen:
    """blt top on a terminal."""

    def __init__(self, *args, rows=24, columns=80, **env):
        self.fd, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ,
                    struct.pack("HHHH", rows, columns, 0, 0))
        self.before = termios.tcgetattr(theirs)
        env = {**os.environ, "TERM": "xterm", "NO_COLOR": "", **env}
        self.theirs = theirs
        self.p = subprocess.Popen(
            [t.BLT, "top", "-d", "0.1", *args], env=env, stdin=theirs,
            stdout=theirs, stderr=theirs, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(theirs, termios.TIOCSCTTY, 0))
        self.seen = b""

    def until(self, text):
        while text not in self.seen:
            if not select.select([self.fd], [], [], LIMIT)[0]:
                t.fail(f"no {text!r} in {self.seen!r}")
            self.seen += os.read(self.fd, 65536)
        return self.seen

    def ends(self, code):
        """Nothing of it is left on the terminal."""
        while True:
            if select.select([self.fd], [], [], 0.01)[0]:
                self.seen += os.read(self.fd, 65536)
            elif self.p.poll() is not None:
                break
        if self.p.returncode != code:
            t.fail(f"exit {self.p.returncode}, not {code}: {self.seen!r}")
        t.equal(termios.tcgetattr(self.theirs), self.before, "the terminal")
        os.close(self.theirs)
        os.close(self.fd)
        return self.seen


def check_screen(m):
    s = Screen(m.path)
    s.until(b"lookup")
    s.seen = b""
    s.until(b"\x1b[H")  # drawn again
    s.until(b"q: quit")
    os.write(s.fd, b"xq")
    seen = s.ends(0)
    t.equal(b"\x1b[7mREQUEST" in seen, True, "a heading")
    t.equal(seen.rstrip().endswith(b"\x1b[?25h\x1b[?1049l"), True, seen[-80:])

    s = Screen(m.path, NO_COLOR="1")
    s.until(b"q: quit")
    os.write(s.fd, b"\x03")
    seen = s.ends(130)
    t.equal(b"\x1b[7m" in seen, False, "no colour")
    t.equal(b"\x1b[?25h\x1b[?1049l" in seen, True, seen[-80:])

    # what does not fit is cut
    s = Screen(m.path, rows=4, columns=20)
    drawn = s.until(b"\x1b[J").split(b"\x1b[H")[1]
    os.write(s.fd, b"q")
    rows = re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", drawn).split(b"\r\n")
    t.equal([len(row) < 20 for row in rows], [True] * 4, rows)
    s.ends(0)

    # no terminal that could do it: blocks
    s = Screen("-n", "1", m.path, TERM="dumb")
    seen = s.ends(0)
    t.equal(b"\x1b" in seen, False, seen)
    t.equal(b"REQUEST" in seen, True, seen)


def check_refused(m):
    t.refused(t.USAGE, "--delay 0: not a number of seconds from 0.05 to",
              args=["top", "-d", "0", m.path])
    t.refused(t.USAGE, "--rounds 0", args=["top", "-n", "0", m.path])
    t.refused(t.NOINPUT, f"{store}: is not a mount point",
              args=["top", store])
    t.refused(t.NOINPUT, "no mount point", args=["top", work])
    t.refused(t.NOINPUT, "none: cannot open", args=["top", "none"])


def check_unmount(m):
    """It does not keep the mount busy, and says why it ends."""
    lines = Lines("-j", "-d", "0.05", m.path)
    screen = Screen(m.path)
    lines.next()
    screen.until(b"q: quit")
    controllib.until("the unmount", lambda: subprocess.run(
        ["fusermount3", "-u", m.path], check=False,
        stderr=subprocess.DEVNULL).returncode == 0)
    m.daemon.wait(LIMIT)
    _, said = lines.p.communicate(timeout=LIMIT)
    t.equal(lines.p.returncode, t.UNAVAILABLE, said)
    t.equal(f"{m.path}: was unmounted" in said, True, said)
    seen = screen.ends(t.UNAVAILABLE)
    t.equal(b"was unmounted" in seen.split(b"\x1b[?1049l")[1], True, seen)


with Mount(store, "create") as mount:
    put(mount, "a")
    check_stats(mount)
    check_json(mount)
    check_jobs(mount)
    check_blocks(mount)
    check_screen(mount)
    check_refused(mount)
    check_unmount(mount)

with Mount(store, "control=none") as mount:
    t.refused(t.NOINPUT, "control=none", args=["top", mount.path])
with Mount(store, "ro,control=.ask") as mount:
    t.equal(b"REQUEST" in t.ok("top", "-n", "1", mount.path), True, "ro")
