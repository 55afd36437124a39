#!/usr/bin/env python3
"""blt prune: what is left of every vector, in its order, and its size."""

import json
import os
import shutil

import checker
import toollib as t

work = t.directory()
store = os.path.join(work, "store.blt")


def lines():
    return t.ok("dump", "--hidden", store).splitlines()


def facts():
    """The store's, of which nothing is dead, and whose size is that of what
    it holds."""
    found = json.loads(t.ok("check", "--json", store))
    info = json.loads(t.ok("info", "--json", store))
    t.equal(found["dead_bytes"], 0, "dead bytes")
    t.equal(os.path.getsize(store),
            200 + 6 * info["buckets"] + found["live_bytes"], "the size")
    t.equal(checker.check(store), [], "the checker's faults")
    return info


def pruned(name):
    shutil.copyfile(t.vector(name + ".blt"), store)
    inode, want = os.stat(store).st_ino, lines()
    was = json.loads(t.ok("info", "--json", store))
    said = json.loads(t.ok("prune", "--json", store))
    t.equal(lines(), want, f"{name}: what is left, in its order")
    t.equal(os.stat(store).st_ino, inode, f"{name}: the inode")
    t.equal(os.path.getsize(store), said["size_after"], f"{name}: its size")
    now = facts()
    for field in ("version", "keys", "buckets", "uuid", "created"):
        t.equal(now[field], was[field], f"{name}: {field}")
    again = json.loads(t.ok("prune", "--json", store))
    t.equal(again["size_after"], said["size_after"], f"{name}: again")


def too_old():
    if os.path.exists(store):
        os.unlink(store)
    t.ok("create", "--buckets", "5", store)
    for i in range(40):
        t.ok("put", "--time", f"@{1000 + i}", store, f"key{i}",
             stdin=b"v" * 100 * i)
    done = t.run("prune", "--older-than", "@1030", store, "key3", "not there")
    t.equal((done.returncode, done.stdout.startswith(b"29 keys dropped; ")),
            (0, True), done)
    left = sorted(t.ok("ls", store).decode().split())
    t.equal(left, sorted(["key3"] + [f"key{i}" for i in range(30, 40)]),
            "what is left")
    facts()
    t.equal(t.ok("prune", "-q", store), b"", "-q")
    said = json.loads(t.ok("prune", "-jo", "now", store, "key3"))
    t.equal(said["dropped"], 10, said)
    t.equal(t.ok("ls", store), b"key3\n", "what is left")
    t.refused(t.USAGE, "not a time", args=("prune", "--older-than", "soon",
                                        store))
    t.refused(t.USAGE, "--older-than", args=("prune", store, "key3"))


def without_times():
    t.ok("create", "--no-timestamps", store + "2")
    t.refused(t.DATAERR, "no timestamps",
              args=("prune", "--older-than", "now", store + "2"))


def a_number_like_a_slash():
    """The byte of 47 is a slash, and yet no directory's marker."""
    t.ok("create", "--key-serializer", "uint1", store + "3")
    t.ok("put", "--time", "@1000", store + "3", "47", stdin=b"")
    said = json.loads(t.ok("prune", "-jo", "now", store + "3"))
    t.equal(said["dropped"], 1, said)


for vector in t.names():
    pruned(vector)
too_old()
without_times()
a_number_like_a_slash()
