#!/usr/bin/env python3
"""Maps with a name over a mount: four shards at once, of which blt and the
daemon are killed and started again; each value is mapped exactly once."""

import json
import os
import random

import controllib
import shardlib
import toollib as t
from controllib import Mount, check

work = controllib.directory()
store = os.path.join(work, "kv.blt")
SHARDS, KILLS = 4, 20


def states(path):
    return {(e["shard"], e["state"]) for e in json.loads(
        t.ok("map", "--json", "--status", path))}


def start(path, function, shard):
    return shardlib.Killed(work, path, "-q", "-j", "1", "--job", "plus",
                           "--shard", f"{shard}/{SHARDS}", *function)


def go_on(path, function, kills):
    """Shards side by side, of which one after the other is killed and started
    anew; then to the end."""
    runs = {s: start(path, function, s) for s in range(1, SHARDS + 1)}
    while kills:
        shard = random.choice(list(runs))
        ended = not runs[shard].read(random.randrange(1, 900))
        if ended:
            t.equal(runs.pop(shard).end(), 0, "a shard that ends")
            if not runs:
                break
            continue
        t.equal(runs[shard].kill(), shardlib.KILLED, "killed")
        kills -= 1
        runs[shard] = start(path, function, shard)
    return runs, kills


def finish(runs):
    for run in runs.values():
        run.read()
        t.equal((run.end(), run.said), (0, b""), "a shard's end")


def owned(m, function):
    """As long as a blt lives its shard is its own."""
    run = start(m.path, function, 1)
    t.equal(run.read(100), True, "runs")
    t.equal((1, "running") in states(m.path), True, states(m.path))
    done = t.run("map", m.path, "-q", "-j", "1", "--job", "plus", "--shard",
                 f"1/{SHARDS}", "--lock-timeout", "0", *function)
    t.equal((done.returncode, b"is running at" in done.stderr),
            (t.TEMPFAIL, True), done)
    for text, args in (("begun with 4 shards", ["--shard", "1/2", *function]),
                       ("was begun as", ["--shard", f"1/{SHARDS}", "-b",
                                         "upper"])):
        done = t.run("map", m.path, "-q", "--job", "plus", *args)
        t.equal((done.returncode != 0, text in done.stderr.decode()),
                (True, True), done)
    t.equal(run.kill(), shardlib.KILLED, "killed")


def main():
    function = shardlib.function(work)
    t.ok("create", store)
    shardlib.fill(store)
    with Mount(store, expect="job .*(is running|was begun)") as m:
        owned(m, function)
        runs, left = go_on(m.path, function, KILLS // 2)
        m.kill()  # with all of its maps
        for run in runs.values():
            run.end()
    with Mount(store, expect="replayed|was not closed|job .*(is running|was begun)") as m:
        runs, left = go_on(m.path, function, KILLS - KILLS // 2)
        finish(runs)
        t.equal(left, 0, "all kills")
        t.equal(states(m.path), {(s, "done") for s in range(1, SHARDS + 1)},
                "done")
        t.equal(t.run("map", m.path, "-q", "--job", "plus",
                      "--forget").returncode, 0, "forgotten")
        t.equal(states(m.path), set(), "no jobs")
        t.refused(t.USAGE, "is a mount; name store files",
                  args=["copy", "--merge", m.path, store, store + "2"])
        t.refused(t.USAGE, "has another standard output",
                  args=["map", m.path, "--to", "-", "cat"])
    check(store)
    found = t.items(store)
    t.equal(shardlib.times(found), {1: shardlib.N}, "each exactly once")
    t.equal(found, shardlib.wanted(), "as a serial run has it")


if __name__ == "__main__":
    main()
