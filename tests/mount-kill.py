#!/usr/bin/env python3
"""The daemon is killed under load, again and again: every file whose close had
returned is there, whole, after the next mount.  KILL_ROUNDS sets how often."""

import os
import random
import subprocess
import sys
import tempfile
import threading

BLT, BLTFS = os.environ["BLT"], os.environ["BLTFS"]
ROUNDS = int(os.environ.get("KILL_ROUNDS", "12"))
WRITERS = 3

if not os.path.exists("/dev/fuse"):
    sys.exit(77)


def content(name, version):
    rng = random.Random(f"{name} {version}")
    size = rng.choice((0, 1, 30, 500, 5000, 70000, 1500000))
    return f"{name} {version}\n".encode() + rng.randbytes(size)


class Writer(threading.Thread):
    """Writes, renames and deletes its own files until the daemon is gone.
    files says what must be there; doubt, what the last call may have done."""

    def __init__(self, mount, number, files, round_number):
        super().__init__()
        self.mount, self.number, self.files = mount, number, files
        self.rng = random.Random(round_number * 100 + number)
        self.version = round_number * 100000
        self.doubt = {}
        self.calls = 0

    def step(self):
        name = f"w{self.number}/d{self.rng.randrange(3)}/f{self.rng.randrange(20)}"
        path = os.path.join(self.mount, name)
        what = self.rng.randrange(10)
        self.version += 1
        if what < 7 or name not in self.files:
            data = content(name, self.version)
            self.doubt = {name: data}
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as f:
                f.write(data)
            self.files[name] = data
        elif what < 9:
            self.doubt = {name: None}
            os.unlink(path)
            del self.files[name]
        else:
            to = name + "x"
            self.doubt = {name: None, to: self.files[name]}
            os.rename(path, os.path.join(self.mount, to))
            self.files[to] = self.files.pop(name)
        self.doubt = {}
        self.calls += 1

    def run(self):
        try:
            while True:
                self.step()
        except OSError:
            pass


def mounted(store, mount):
    daemon = subprocess.Popen([BLTFS, "-f", "-o", "create,commit=1", store,
                               mount], stderr=subprocess.PIPE)
    while not os.path.ismount(mount):
        if daemon.poll() is not None:
            sys.exit(f"no mount: {daemon.stderr.read()}")
    return daemon


def check(mount, files, doubts):
    found = {}
    for top, _, names in os.walk(mount):
        for n in names:
            path = os.path.join(top, n)
            with open(path, "rb") as f:
                found[os.path.relpath(path, mount)] = f.read()
    for name in set(found) | set(files):
        now, was = found.get(name), files.get(name)
        if now == was or (name in doubts and now == doubts[name]):
            continue
        sys.exit(f"{name}: {now and (len(now), now[:40])!r}, expected "
                 f"{was and (len(was), was[:40])!r}")
    files.clear()
    files.update(found)


def main():
    top = tempfile.mkdtemp(prefix="mount-kill.")
    store, mount = os.path.join(top, "s.blt"), os.path.join(top, "m")
    os.mkdir(mount)
    files, rng, calls = {}, random.Random(7), 0
    for number in range(ROUNDS):
        daemon = mounted(store, mount)
        writers = [Writer(mount, i, {n: v for n, v in files.items()
                                     if n.startswith(f"w{i}/")}, number)
                   for i in range(WRITERS)]
        for w in writers:
            w.start()
        enough = rng.randrange(1, 200)
        while sum(w.calls for w in writers) < enough:
            if not any(w.is_alive() for w in writers):
                sys.exit("the writers gave up")
        daemon.kill()
        daemon.wait()
        for w in writers:
            w.join()
            calls += w.calls
        subprocess.run(["umount", "-l", mount], check=True)
        files, doubts = {}, {}
        for w in writers:
            files.update(w.files)
            doubts.update(w.doubt)
        daemon = mounted(store, mount)
        check(mount, files, doubts)
        subprocess.run([BLT, "umount", mount], check=True)
        if daemon.wait() != 0:
            sys.exit(f"the daemon ended with {daemon.returncode}: "
                     f"{daemon.stderr.read()}")
        checker = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                               "checker.py")
        subprocess.run([sys.executable, checker, store], check=True)
    print(f"{ROUNDS} kills, {calls} calls before them, nothing lost")
    subprocess.run(["rm", "-rf", top], check=True)


main()
