#!/usr/bin/env python3
"""The daemon is killed under load, again and again: what a call that returned
had done is there, whole, after the next mount, and the calls that the kill cut
short have done all of their work or none.  KILL_ROUNDS sets how often."""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading

import checker
import daemonlib

BLT, BLTFS = os.environ["BLT"], os.environ["BLTFS"]
ROUNDS = int(os.environ.get("KILL_ROUNDS", "10"))
SEED = int(os.environ.get("KILL_SEED", "7"))
ENGINE = os.environ.get("BLT_ENGINE", "booklet")
ROUNDS_A_STORE = 20
WRITERS = 3
OPTIONS = ("commit=1", "commit=3600", "sync")
SIZES = (0, 1, 30, 500, 5000, 70000, 600000)

if not os.path.exists("/dev/fuse"):
    print("no /dev/fuse")
    sys.exit(77)


class Writer(threading.Thread):
    """Works in a directory of its own until the daemon is gone.  now is what
    must be there, a directory as a name with '/' and None; then, what is there
    if the running call has done its work."""

    def __init__(self, mount, number, now, calls, seed):
        super().__init__()
        self.top = f"w{number}/"
        self.mount, self.now, self.calls = mount, dict(now), calls
        self.then = self.now
        self.rng = random.Random(seed)
        self.count = 0

    def path(self, name):
        return os.path.join(self.mount, name)

    def dirs(self):
        return [k for k in self.now if k.endswith("/")]

    def some_file(self):
        names = [k for k in self.now if not k.endswith("/")]
        return self.rng.choice(names) if names else None

    def some_name(self):
        return f"{self.rng.choice(self.dirs())}f{self.rng.randrange(20)}"

    def some_dir(self):
        return f"{self.top}d{self.rng.randrange(4)}/"

    # Each sets then, and makes the call.

    def write(self):
        name = self.some_name()
        data = self.rng.randbytes(self.rng.choice(SIZES))
        self.then = {**self.now, name: data}
        with open(self.path(name), "wb") as f:
            f.write(data)
            if self.rng.random() < 0.3:
                f.flush()
                os.fsync(f.fileno())

    def append(self):
        name = self.some_file()
        self.then = {**self.now, name: self.now[name] + b"more"}
        with open(self.path(name), "ab") as f:
            f.write(b"more")

    def cut(self):
        name = self.some_file()
        size = self.rng.randrange(100)
        self.then = {**self.now, name: self.now[name][:size].ljust(size, b"\0")}
        os.truncate(self.path(name), size)

    def unlink(self):
        name = self.some_file()
        self.then = {k: v for k, v in self.now.items() if k != name}
        os.unlink(self.path(name))

    def rename(self):
        name, to = self.some_file(), self.some_name()
        self.then = {k: v for k, v in self.now.items() if k != name}
        self.then[to] = self.now[name]
        os.rename(self.path(name), self.path(to))

    def mkdir(self):
        name = self.some_dir()
        if name in self.now:
            return self.move_dir(name)
        self.then = {**self.now, name: None}
        os.mkdir(self.path(name))

    def move_dir(self, name):
        to = self.some_dir()
        if to in self.now:
            return self.rmdir(to)
        self.then = {to + k[len(name):] if k.startswith(name) else k: v
                     for k, v in self.now.items()}
        os.rename(self.path(name), self.path(to))

    def rmdir(self, name):
        if sum(k.startswith(name) for k in self.now) > 1:
            return
        self.then = {k: v for k, v in self.now.items() if k != name}
        os.rmdir(self.path(name))

    def touch(self):
        os.utime(self.path(self.some_file()), (1, 1))

    def step(self):
        if self.top not in self.now:
            self.then = {self.top: None}
            os.mkdir(self.path(self.top))
        elif self.some_file() is None:
            self.write()
        else:
            self.rng.choice((self.write,) * 6 + (
                self.append, self.cut, self.unlink, self.rename, self.rename,
                self.mkdir, self.touch))()
        self.now = self.then
        self.count += 1
        self.calls.release()

    def run(self):
        try:
            while True:
                self.step()
        except OSError:
            # nobody shall wait for calls that will not come
            self.calls.release(1000)


class Keeper:
    """Prunes the store and changes its index, where it has one, over and over.
    A shell does, for a process that is forked here would hold the writers' open
    files for a moment, and close them."""

    JOBS = ("prune" if ENGINE == "lmdb" else
            """prune "reindex --buckets=7" "reindex --buckets=211\"""")
    LOOP = f"""while :; do
        for job in {JOBS}; do
            echo $job
            "$0" $job "$1" >&2
            [ $? -ne 64 ] || exit 1
        done
    done"""

    def __init__(self, mount):
        self.done, self.said = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            ["sh", "-c", self.LOOP, BLT, mount], start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=self.done, stderr=self.said)

    def is_wrong(self):
        return self.process.poll() is not None

    def end(self):
        """How many jobs there were."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.done.seek(0)
        return len(self.done.readlines())

    def text(self):
        self.said.seek(0)
        return self.said.read().decode()


def mounted(store, mount, options):
    # few buckets, so that the index grows by itself, too
    kind = "engine=lmdb" if ENGINE == "lmdb" else "buckets=11"
    daemon = subprocess.Popen([BLTFS, "-f", "-o",
                               f"create,{kind},{options}", store, mount],
                              stderr=subprocess.PIPE)
    daemonlib.mounted(daemon, mount, daemon.stderr.read)
    return daemon


def tree(mount, top):
    """What is below, as the writers have it."""
    found = {}
    for where, _, names in os.walk(os.path.join(mount, top)):
        found[os.path.relpath(where, mount) + "/"] = None
        for name in names:
            path = os.path.join(where, name)
            with open(path, "rb") as f:
                found[os.path.relpath(path, mount)] = f.read()
    return found


def difference(found, want):
    for name in sorted(set(found) | set(want)):
        a, b = found.get(name, "none"), want.get(name, "none")
        if a != b:
            return f"{name}: {a and (len(a), a[:40])}, not {b and (len(b), b[:40])}"
    return None


def kill_under_load(store, mount, states, number, rng):
    """Returns the writers, whose threads have ended, and how many jobs there
    were."""
    daemon = mounted(store, mount, rng.choice(OPTIONS))
    calls = threading.Semaphore(0)
    writers = [Writer(mount, i, states[i], calls,
                      f"{SEED} {number} {i}") for i in range(WRITERS)]
    keeper = Keeper(mount)
    for w in writers:
        w.start()
    for _ in range(rng.randrange(1, 200)):
        calls.acquire()
    alive = all(w.is_alive() for w in writers)
    if keeper.is_wrong():
        sys.exit(f"round {number}: {keeper.text()}")
    daemon.kill()
    daemon.wait()
    jobs = keeper.end()
    for w in writers:
        w.join()
    subprocess.run(["umount", "-l", mount], check=True)
    if not alive:
        sys.exit(f"round {number}: the writers gave up")
    return writers, jobs


def check(store, mount, writers, number):
    """Returns the states that the next round begins with."""
    daemon = mounted(store, mount, "commit=5")
    states = []
    for w in writers:
        found = tree(mount, w.top)
        if found not in (w.now, w.then):
            sys.exit(f"round {number}: {difference(found, w.now)}; "
                     f"or {difference(found, w.then)}")
        states.append(found)
    subprocess.run([BLT, "umount", mount], check=True)
    said = daemon.stderr.read()
    if daemon.wait() != 0 or said:
        sys.exit(f"the daemon ended with {daemon.returncode}: {said}")
    if ENGINE == "lmdb":
        subprocess.run([BLT, "check", "-q", store], check=True)
        return states
    with open(store, "rb") as f:
        faults = checker.Store(f.read()).faults
    if faults:
        sys.exit(f"round {number}: {faults[:5]}")
    return states


def left_by(store, mount, work):
    """What a file has after work(its path) and the death of the daemon."""
    daemon = mounted(store, mount, "commit=5")
    path = os.path.join(mount, "inherited")
    with open(path, "wb") as f:
        f.write(b"old")
    work(path)
    daemon.kill()
    daemon.wait()
    subprocess.run(["umount", "-l", mount], check=True)
    daemon = mounted(store, mount, "commit=5")
    with open(path, "rb") as f:
        found = f.read()
    os.unlink(path)
    subprocess.run([BLT, "umount", mount], check=True)
    if daemon.wait() != 0:
        sys.exit(f"the daemon ended with {daemon.returncode}")
    return found


def child(work):
    """work() in another process, whose end is waited for."""
    pid = os.fork()
    if pid == 0:
        work()
        os._exit(0)
    if os.waitpid(pid, 0)[1] != 0:
        sys.exit("a child failed")


def inherited(store, mount):
    """A process that inherits a descriptor and closes it stores nothing of what
    another is writing; one that has written does."""
    held = []

    def opened(path):
        held.append(os.open(path, os.O_WRONLY))
        return held[-1]

    def closed_by_child(path):
        fd = opened(path)
        os.write(fd, b"half of it")
        child(lambda: os.close(fd))

    def exec_closes(path):
        fd = opened(path)
        os.write(fd, b"half of it")
        subprocess.run(["true"], check=True, close_fds=False)

    def written_by_child(path):
        fd = opened(path)
        child(lambda: os.write(fd, b"all of it"))

    def closed_by_thread(path):
        fd = opened(path)
        os.write(fd, b"all of it")
        closer = threading.Thread(target=os.close, args=(held.pop(),))
        closer.start()
        closer.join()

    for work, want in ((closed_by_child, b"old"), (exec_closes, b"old"),
                       (written_by_child, b"all of it"),
                       (closed_by_thread, b"all of it")):
        found = left_by(store, mount, work)
        if found != want:
            sys.exit(f"{work.__name__}: {found}, not {want}")
        while held:
            try:
                os.close(held.pop())
            except OSError:
                pass  # its mount has gone


def main():
    top = tempfile.mkdtemp(prefix="mount-kill.")
    store, mount = os.path.join(top, "s.blt"), os.path.join(top, "m")
    os.mkdir(mount)
    inherited(store, mount)
    rng, calls, jobs = random.Random(SEED), 0, 0
    states = [{}] * WRITERS
    for number in range(ROUNDS):
        if number % ROUNDS_A_STORE == 0 and number:
            os.unlink(store)
            states = [{}] * WRITERS
        writers, ended = kill_under_load(store, mount, states, number, rng)
        calls += sum(w.count for w in writers)
        jobs += ended
        states = check(store, mount, writers, number)
    print(f"{ROUNDS} kills, {calls} calls and {jobs} prunes and reindexes"
          " before them, nothing lost")
    shutil.rmtree(top)


main()
