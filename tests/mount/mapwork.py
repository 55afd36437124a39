#!/usr/bin/env python3
"""Maps that are disturbed: the daemon is killed in the middle of one, and the
rest is done by another; the index grows during one; readers, a writer and a
waiting prune are there during one.  MAP_MANY: how many items in that (100000
takes minutes)."""

import json
import os
import subprocess
import sys
import threading
import time

import controllib
import maplib
import toollib as t
from controllib import Mount, check, until
from maplib import counted, put, values

work = controllib.directory()
store = os.path.join(work, "kv.blt")
MANY = int(os.environ.get("MAP_MANY", "400"))
CHECKED = 256 << 20  # above it the checker takes too much memory


# ---- killed ----

def now():
    return f"@{time.time():.6f}"


def start_blocked(m, n, fifo):
    """A map that adds a letter to each value, and stops at the last key until
    somebody writes to the FIFO; its job."""
    script = (f'cat; [ "$BLT_KEY" != "k{n - 1}" ] || cat {fifo} >&2; '
              "printf x")
    job = t.ok("map", "--detach", "-j", "1", m.path, "--", "sh", "-c", script)
    return job.decode().strip()


def check_rest(m, before, left, new):
    """What has not been done since, and only that."""
    n = len(new)
    got, _ = counted(m.path, "--older-than", before, "--", "sh", "-c",
                     "cat; printf x")
    assert got == (left, left, 0, 0), (got, left)
    assert values(m) == new
    # the other way round: all have been written since
    got, _ = counted(m.path, "--newer-than", before, "--builtin", "identity")
    assert got == (n, n, 0, 0), got
    assert values(m) == new


def check_killed():
    n, fifo = 30, os.path.join(work, "fifo")
    os.mkfifo(fifo)
    old = {f"k{i}": b"v%d" % i for i in range(n)}
    new = {k: v + b"x" for k, v in old.items()}
    with Mount(store, "create") as m:
        for name, data in old.items():
            put(m, name, data)
        before = now()
        job = start_blocked(m, n, fifo)
        # what is committed counts
        until("the first results",
              lambda: int(m.lines("jobs", job, "status")["items"]) > 0)
        t.ok("sync", m.path)
        m.kill()
        os.rmdir(m.path)
        os.mkdir(m.path)
    with Mount(store) as m:
        found = values(m)
        assert list(sorted(found)) == sorted(old), "a key is lost"
        done = [k for k, v in found.items() if v == new[k]]
        assert all(v in (old[k], new[k]) for k, v in found.items()), found
        assert 0 < len(done) < n, done
        if t.can("times"):
            check_rest(m, before, n - len(done), new)
    check(store)
    os.unlink(store)


# ---- in company ----

GATED = """
gate = sys.argv[1]
@serve
def work(key, value):
    while not os.path.exists(gate):
        time.sleep(0.01)
    return value.upper()
"""

# Its own files: each as it wrote it last.
WRITER = """
import os, sys
top, stop, n = sys.argv[1], sys.argv[2], 0
while n < 3 or not os.path.exists(stop):
    n += 1
    for i in range(20):
        path = f"{top}/own{i}"
        with open(path, "w", encoding="ascii") as f:
            f.write(f"{n} " * (50 + i))
        with open(path, encoding="ascii") as f:
            assert f.read() == f"{n} " * (50 + i), path
    os.rename(f"{top}/own0", f"{top}/moved")
    os.unlink(f"{top}/own1")
print(n)
"""


def fill_fast(n):
    """By blt, for many."""
    t.ok("create", store)
    with subprocess.Popen([t.BLT, "load", "-q", store],
                          stdin=subprocess.PIPE) as load:
        for i in range(n):
            key, value = b"items/%d/%d" % (i % 100, i), b"value %d" % i
            load.stdin.write(b"%s %s 1000\n" % (key.hex().encode(),
                                                value.hex().encode()))
    assert load.returncode == 0


class Reader(threading.Thread):
    """Each value is whole: the old one or the new one."""

    def __init__(self, m, n):
        super().__init__()
        self.m, self.n, self.stop, self.reads = m, n, threading.Event(), 0
        self.wrong = None

    def run(self):
        i = 0
        while not (self.stop.is_set() and self.reads > 100):
            i = (i + 7919) % self.n
            path = os.path.join(self.m.path, "items", str(i % 100), str(i))
            try:
                with open(path, "rb") as f:
                    value = f.read()
            except OSError as e:
                self.wrong = (path, e)
                return
            if value not in (b"value %d" % i, b"VALUE %d" % i):
                self.wrong = (path, value)
                return
            self.reads += 1


def check_company():
    gate, stop = os.path.join(work, "gate"), os.path.join(work, "stop")
    fill_fast(MANY)
    worker = maplib.python_worker(os.path.join(work, "gated.py"), GATED)
    with Mount(store) as m:
        job = t.ok("map", "--detach", "--prefix", "items/", m.path, *worker,
                   gate).decode().strip()
        until("the map", lambda: m.lines("jobs", job, "status")["state"] ==
              "running")
        prune = t.ok("prune", "--detach", m.path).decode().strip()
        os.mkdir(os.path.join(m.path, "writer"))
        reader = Reader(m, MANY)
        reader.start()
        with subprocess.Popen([sys.executable, "-c", WRITER,
                               os.path.join(m.path, "writer"), stop],
                              stdout=subprocess.PIPE) as writer:
            until("the writer", lambda: os.path.exists(
                os.path.join(m.path, "writer", "moved")))
            assert m.lines("jobs", prune, "status")["state"] == "queued"
            with open(gate, "w", encoding="ascii"):
                pass
            t.ok("wait", m.path, job, prune)
            with open(stop, "w", encoding="ascii"):
                pass
            rounds = int(writer.stdout.read())
        reader.stop.set()
        reader.join()
        assert writer.returncode == 0 and reader.wrong is None, reader.wrong
        mapped, pruned = (m.lines("jobs", j, "status") for j in (job, prune))
        assert mapped["text"].startswith(
            f"{MANY} processed, {MANY} written, 0 skipped, 0 errors"), mapped
        assert int(pruned["started"]) >= int(mapped["ended"]), pruned
        print(f"{MANY} items: {mapped['text']}; prune: {pruned['text']}; "
              f"{reader.reads} reads, {rounds} rounds of the writer")
        for path, value in values(m, "items").items():
            assert value == b"VALUE " + path.rsplit("/", 1)[1].encode(), path
        assert values(m, "writer")["writer/moved"] == b"%d " % rounds * 50
        assert len(values(m)) == MANY + 19
    if os.path.getsize(store) < CHECKED:
        check(store)
    else:
        t.ok("check", "-q", store)


# ---- while the index grows ----

def info(path):
    return json.loads(t.ok("info", "--json", path))


def check_growth():
    """By the results under new keys, before the map is at its end; none of
    them is met as an input."""
    n, buckets, fifo = 90, 100, os.path.join(work, "growth")
    os.mkfifo(fifo)
    old = {f"k{i}": b"v%d" % i for i in range(n)}
    t.ok("create", "--buckets", str(buckets), store)
    # in this order, and the map takes them in it
    t.load(store, {k.encode(): v for k, v in old.items()})
    script = f'cat; [ "$BLT_KEY" != k{n // 2} ] || cat {fifo} >&2; printf x'
    with Mount(store) as m:
        assert info(m.path)["buckets"] == buckets
        job = t.ok("map", "--detach", "-j", "1", "--key", "new/{key}", m.path,
                   "--", "sh", "-c", script).decode().strip()
        until("growth", lambda: info(m.path)["buckets"] > buckets)
        status = m.lines("jobs", job, "status")
        assert status["state"] == "running", status
        with open(fifo, "w", encoding="ascii"):
            pass
        status = m.ended(job)
        assert status["state"] == "done", status
        assert status["text"].startswith(
            f"{n} processed, {n} written, 0 skipped, 0 errors"), status
        new = {f"new/{k}": v + b"x" for k, v in old.items()}
        assert values(m) == old | new
    facts = info(store)
    assert facts["buckets"] > buckets and facts["keys"] == 2 * n, facts
    t.ok("check", "-q", store)
    check(store)
    os.unlink(store)


# ---- while the names are still being read ----

def check_early():
    """A job that ends, or is cancelled, before the walk that begins with the
    mount does: what it changed is seen."""
    fill_fast(20000)
    for n in (105, 205, 305):
        with Mount(store) as m:
            path = os.path.join(m.path, "items", "5", str(n))
            with open(path, "rb") as f:
                assert f.read() == b"value %d" % n
            job = t.ok("map", "--detach", "--prefix", "items/9/", m.path,
                       "--builtin", "identity").decode().strip()
            t.ok("cancel", m.path, job)
            t.ok("map", "-q", "--keys", f"items/5/{n}", m.path,
                 "--builtin", "upper")
            with open(path, "rb") as f:
                assert f.read() == b"VALUE %d" % n
    # and the mount may go at once
    with Mount(store) as m:
        t.ok("clear", "--detach", m.path)
    check(store)
    os.unlink(store)


check_killed()
if t.can("index"):
    check_growth()
check_early()
check_company()
