#!/usr/bin/env python3
"""Maps with a name on a store file: shards, going on, what is refused, what
failed, and each value mapped exactly once though blt is killed 20 times."""

import json
import os
import pty
import random
import struct
import subprocess

import shardlib
import toollib as t

SOFTWARE = 70
UPPER = ("--", "tr", "a-z", "A-Z")
ITEMS = {b"k%d" % i: b"value %d" % i for i in range(40)}


def fresh(where, engine, items=None):
    path = t.new_store(where, f"{engine}{random.getrandbits(48):x}", engine)
    t.ok("create", *([] if engine == "booklet" else ["--engine", engine]),
         path)
    t.load(path, ITEMS if items is None else items)
    return path


def status(store, *args):
    return json.loads(t.ok("map", "--json", "--status", store, *args))


def states(store, *args):
    return [(e["job"], e["shard"], e["shards"], e["state"],
             e["written"], e["skipped"], e["failed"])
            for e in status(store, *args)]


def shards(where, engine):
    """Each key is in one shard of N, the same one each time."""
    store = fresh(where, engine)
    for _ in range(2):
        written = [t.mapped(store, "--shard", f"{i}/3", "-b", "identity")[0]
                   for i in (1, 2, 3)]
        t.equal(sum(w[1] for w in written), len(ITEMS), "all of them")
        t.equal(min(w[1] for w in written) > 0, True, "each has some")
    for bad in "0/3", "4/3", "1", "1/", "/3", "a/b", "1/3x", "1/9999":
        t.refused(t.USAGE, "expected is I/N",
                  args=["map", store, "--shard", bad, "cat"])


def launchers(where, engine):
    """srun and mpirun say which shard a process is; an array does not."""
    store = fresh(where, engine)
    for env, want in (
            ({"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "2",
              "SLURM_STEP_ID": "0"}, True),
            ({"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"}, True),
            ({"PMI_RANK": "1", "PMI_SIZE": "2"}, True),
            ({"SLURM_PROCID": "0", "SLURM_NTASKS": "2",
              "SLURM_ARRAY_TASK_ID": "1"}, False),
            ({"PMI_RANK": "2", "PMI_SIZE": "2"}, False)):
        done = t.run("map", store, "-b", "identity",
                     env={**os.environ, **env})
        t.equal((done.returncode, "takes all keys" in done.stderr.decode()),
                (0, want), (env, done.stderr))
        whole = done.stdout.startswith(b"%d processed" % len(ITEMS))
        t.equal(whole, not want, (env, done.stdout))
    done = t.run("map", store, "--shard", "1/1", "-b", "identity",
                 env={**os.environ, "PMI_RANK": "1", "PMI_SIZE": "2"})
    t.equal(done.stdout.startswith(b"%d processed" % len(ITEMS)), True,
            done.stdout)


def going_on(where, engine):
    store, n = fresh(where, engine), len(ITEMS)
    t.equal(states(store), [], "no jobs")
    t.equal(t.mapped(store, "--job", "up", *UPPER)[0], (n, n, 0, 0), "a job")
    t.equal(states(store), [("up", 1, 1, "done", n, 0, 0)], "done")
    t.equal(t.mapped(store, "--job", "up", *UPPER)[0], (0, 0, 0, 0), "once")
    t.ok("put", store, "new", stdin=b"x")
    t.equal(t.mapped(store, "--job", "up", *UPPER)[0], (0, 0, 0, 0),
            "a job that is done takes no new keys")
    t.ok("del", store, "new")
    t.refused(t.CANTCREAT, 'was begun as "tr a-z A-Z"',
              args=["map", store, "--job", "up", "--", "tr", "a-z", "B-Z"])
    t.refused(t.CANTCREAT, "was begun as",
              args=["map", store, "--job", "up", "-k", "a*", *UPPER])
    t.refused(t.CANTCREAT, "was begun with 1 shards",
              args=["map", store, "--job", "up", "--shard", "1/2", *UPPER])
    t.equal(t.mapped(store, "--job", "up", "--restart", "--shard", "1/2",
                     *UPPER)[0][3], 0, "anew")
    t.equal([s[:4] for s in states(store)],
            [("up", 1, 2, "done"), ("up", 2, 2, "not begun")], "two shards")
    t.ok("map", store, "--job", "up", "--forget")
    t.equal(states(store), [], "forgotten")
    for args in (["--status", "--job", "up"], ["--forget", "--job", "up"],
                 ["--retry-failed", "up", "cat"]):
        t.refused(t.NOINPUT, "has no job up", args=["map", store, *args])
    # no key, no count and no walk shows it
    t.equal(t.mapped(store, "--job", "again", "-b", "identity")[0][1], n, "")
    t.equal(len(t.items(store)), n, "the keys")
    t.equal(json.loads(t.ok("info", "--json", store))["keys"], n, "counted")
    t.ok("check", store)
    t.ok("prune", store)
    t.equal(states(store), [("again", 1, 1, "done", n, 0, 0)], "kept")


def failed(where, engine):
    store, n = fresh(where, engine), len(ITEMS)
    flag = os.path.join(where, "flag")
    script = (f'[ -e {flag} ] || case $BLT_KEY in k1?) exit 3;; k2) exit 100;;'
              ' esac; tr a-z A-Z')
    sh = ("--", "sh", "-c", script)
    t.equal(t.mapped(store, "--job", "f", *sh, exit_code=SOFTWARE)[0],
            (n, n - 11, 1, 10), "some fail")
    t.equal(states(store), [("f", 1, 1, "done", n - 11, 1, 10)], "noted")
    t.equal(sorted(status(store)[0]["failed_keys"]),
            sorted((b"k1%d" % i).hex() for i in range(10)), "which")
    t.equal(t.mapped(store, "--retry-failed", "f", *sh,
                     exit_code=SOFTWARE)[0], (10, 0, 0, 10), "in vain")
    t.refused(t.CANTCREAT, "was begun as",
              args=["map", store, "--retry-failed", "f", "cat"])
    with open(flag, "w", encoding="ascii"):
        pass
    t.equal(t.mapped(store, "--retry-failed", "f", *sh)[0], (10, 10, 0, 0),
            "with success")
    os.unlink(flag)
    t.equal(states(store), [("f", 1, 1, "done", n - 1, 1, 0)], "all is well")
    t.equal(t.items(store), {k: v if k == b"k2" else v.upper()
                             for k, v in ITEMS.items()}, "the values")


def full(where, engine):
    """A key that the ledger cannot note as failed is not settled: the job is
    not done, also where that key is the last one."""
    most = 4096
    store = fresh(where, engine, {b"%d" % i: b"x" for i in range(most + 1)})
    unzstd = (store, "--job", "f", "-b", "unzstd")
    t.refused(t.TEMPFAIL, "keeps no more keys", args=["map", *unzstd])
    t.equal(states(store), [("f", 1, 1, "stopped", 0, 0, most)], "one is left")


def other_keys(where, engine):
    """A result must not be an item of the next run."""
    store, n = fresh(where, engine), len(ITEMS)
    got, why = t.mapped(store, "--job", "o", "--key", "{key}.up", *UPPER,
                        exit_code=SOFTWARE)
    t.equal((got, "another item" in why["k1"]), ((n, 0, 0, n), True), why)
    t.equal(t.mapped(store, "--job", "p", "--prefix", "k", "--key",
                     "up/{key}", *UPPER)[0], (n, n, 0, 0), "not taken")
    other = os.path.join(where, f"other.{engine}")
    t.equal(t.mapped(store, "--job", "q", "--to", other, "--create", "--key",
                     "{key}.up", *UPPER)[0], (2 * n, 2 * n, 0, 0), "another")
    t.equal([s[:4] for s in states(other)], [("q", 1, 1, "done")],
            "the ledger is where the results are")
    t.equal([s[0] for s in states(store)], ["o", "p"], "and only there")


def retried_keys(where, engine):
    """Nor on a retry, whose own items are fewer than those of the job."""
    store, n = fresh(where, engine), len(ITEMS)
    how = ("-b", "upper", "--key", "{key}.u")
    t.refused(t.TEMPFAIL, "stopped after", args=[
        "map", store, "--job", "o", "-j", "1", "--max-errors", "3", *how])
    tried = states(store)[0][6]
    got, why = t.mapped(store, "--retry-failed", "o", *how, exit_code=SOFTWARE)
    t.equal((got, {"another item" in w for w in why.values()}),
            ((tried, 0, 0, tried), {True}), why)
    names = os.path.join(where, "names")
    with open(names, "wb") as f:
        f.write(b"".join(b"%s\n%s.u\n" % (k, k) for k in ITEMS))
    listed = ("--keys-from", names, *how)
    t.ok("put", store, "k1.u", stdin=b"x")
    t.equal(t.mapped(store, "--job", "l", *listed, exit_code=SOFTWARE)[0],
            (2 * n, 1, 0, 2 * n - 1), "listed, all but one of them missing")
    got, why = t.mapped(store, "--retry-failed", "l", *listed,
                        exit_code=SOFTWARE)
    t.equal((got, "another item" in why["k1"]),
            ((2 * n - 1, 0, 0, 2 * n - 1), True), "again")
    t.equal(t.items(store), {**ITEMS, b"k1.u": b"x", b"k1.u.u": b"X"},
            "no item is written")


def merged(where, engine):
    """Read-only shards of one file, each to a store of its own."""
    store, n = fresh(where, engine), len(ITEMS)
    outs = [os.path.join(where, f"out{i}.{engine}") for i in (1, 2, 3)]
    for i, out in enumerate(outs, 1):
        for _ in range(2):
            t.equal(t.mapped(store, "--shard", f"{i}/3", "--job", "m", "--to",
                             out, "--create", *UPPER)[0][3], 0, "a shard")
    whole = os.path.join(where, f"whole.{engine}")
    t.equal(t.ok("copy", "--merge", *outs, whole), b"%d keys of 3 stores\n" % n,
            "together")
    t.equal(t.items(whole), {k: v.upper() for k, v in ITEMS.items()}, "all")
    t.refused(t.CANTCREAT, "exists already",
              args=["copy", "--merge", *outs, whole])
    t.ok("copy", "-q", "--merge", "--force", *outs, outs[0], whole)
    t.equal(t.items(whole), {k: v.upper() for k, v in ITEMS.items()}, "twice")
    t.refused(t.CANTCREAT, "has another value than the stores before it",
              args=["copy", "--merge", *outs, store, whole + "2"])
    t.equal(os.path.exists(whole + "2"), False, "nothing is left")
    t.refused(t.NOINPUT, "none: ",
              args=["copy", "--merge", store, "none", whole + "2"])
    t.refused(t.USAGE, "--merge makes one", args=["copy", *outs])
    if engine == "booklet":
        t.ok("create", "--value-serializer", "str", whole + "3")
        t.refused(t.DATAERR, "has other serializers",
                  args=["copy", "--merge", store, whole + "3", whole + "4"])


def slot_in_use(where):
    """What another library keeps in the slot stays."""
    store = fresh(where, "booklet")
    t.ok("slot", store, "put", "1", stdin=b"somebody's")
    t.refused(t.CANTCREAT, "is in use by another program",
              args=["map", store, "--job", "j", *UPPER])
    t.equal(t.ok("slot", store, "get", "1"), b"somebody's", "left alone")
    fixed = os.path.join(where, "fixed.blt")
    t.ok("create", "--value-len", "4", fixed)
    t.refused(t.DATAERR, "has no place for a job",
              args=["map", fixed, "--job", "j", *UPPER])


def damaged(where):
    """What is noted of one job is damaged, or is not what the ledger writes:
    the others are shown, and a terminal obeys nothing of it."""
    store, n = fresh(where, "booklet"), len(ITEMS)
    for job in "a", "b", "c":
        t.mapped(store, "--job", job, *UPPER)
    slot = t.ok("slot", store, "get", "1")
    owner = status(store)[0]["owner"].encode()
    bad = slot.replace(b"job/b\1", b"job/b\x09").replace(
        owner, b"\x1b[7m"[:len(owner)].ljust(len(owner), b"x"))
    for name in b"job/" + b"x" * 65, b"job/\x1b[7m":
        bad += struct.pack("<HI", len(name), 1) + name + b"?"
    t.ok("slot", store, "put", "1", stdin=bad)
    done = t.refused(t.DATAERR, "what is noted of a job is damaged",
                     args=["map", store, "--status", "--json"])
    t.equal([(e["job"], e["state"], e["written"])
             for e in json.loads(done.stdout)],
            [("a", "done", n), ("b", "damaged", 0), ("c", "done", n)], "all")
    ours, theirs = pty.openpty()
    subprocess.run([t.BLT, "map", store, "--status"], stdout=theirs,
                   stderr=subprocess.DEVNULL, check=False)
    os.close(theirs)
    shown = os.read(ours, 1 << 16)
    os.close(ours)
    t.equal((b"?[7m" in shown, b"\x1b" in shown), (True, False), shown)
    t.ok("map", store, "--job", "b", "--forget")
    t.equal([s[0] for s in states(store)], ["a", "c"], "and mended")


def usage(where):
    store = fresh(where, "booklet")
    for text, args in (
            ("goes with --job", ["--restart", "cat"]),
            ("goes with --job", ["--forget"]),
            ("give one of the two", ["--job", "a", "--retry-failed", "a",
                                     "cat"]),
            ("give one of the two", ["--job", "a", "--restart", "--forget"]),
            ("takes no command", ["--status", "cat"]),
            ("takes no command", ["--job", "a", "--forget", "cat"]),
            ("when the job goes on; write 20",
             ["--job", "a", "--newer-than", "2 days ago", "cat"]),
            ("when the job goes on; write 20",
             ["--retry-failed", "a", "--older-than", "now", "cat"]),
            ("a job's name", ["--job", "a/b", "cat"]),
            ("a job's name", ["--job", "", "cat"]),
            ("cannot be committed", ["--to", "-", "--job", "a", "cat"]),
            ("is for results that are stored", ["--to", "-", "-u", "cat"])):
        t.refused(t.USAGE, text, args=["map", store, *args])


def streamed(where, engine):
    """--to -: as they come, framed or a line of JSON each."""
    store = fresh(where, engine)
    script = 'case $BLT_KEY in k3) exit 4;; esac; tr a-z A-Z'
    sh = ("--", "sh", "-c", script)
    done = t.run("map", "-q", store, "--to", "-", "--json", *sh)
    t.equal(done.returncode, SOFTWARE, done)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    t.equal({bytes.fromhex(e["key_hex"]): bytes.fromhex(e["value_hex"])
             for e in lines if "value" in e},
            {k: v.upper() for k, v in ITEMS.items() if k != b"k3"}, "lines")
    t.equal([(e["key"], e["error"]) for e in lines if "error" in e],
            [("k3", "exit 4")], "and what failed")
    done = t.run("map", "-q", store, "--to", "-", *sh)
    found, at, data = {}, 0, done.stdout
    while at < len(data):
        magic, kind, key_len, len_, _, _ = struct.unpack_from("<3scIQQq", data,
                                                              at)
        t.equal(magic, b"BM1", "a frame")
        key = data[at + 32:at + 32 + key_len]
        found[key] = kind, data[at + 32 + key_len:at + 32 + key_len + len_]
        at += 32 + key_len + len_
    t.equal(found, {k: (b"E", b"exit 4") if k == b"k3" else (b"R", v.upper())
                    for k, v in ITEMS.items()}, "frames")
    t.equal(t.items(store), ITEMS, "the store is as it was")
    for how in [], ["--json"]:
        with open("/dev/full", "wb") as full:
            done = subprocess.run([t.BLT, "map", store, "--to", "-", "-b",
                                   "upper", *how], stdout=full, check=False,
                                  stderr=subprocess.PIPE)
        t.equal((done.returncode, b"cannot" in done.stderr), (t.IOERR, True),
                done)


def killed(where, engine):
    store = fresh(where, engine, {})
    shardlib.fill(store)
    args = [store, "-q", "-j", "2", "--job", "plus",
            *shardlib.function(where)]
    kills = shardlib.run_through(where, args)
    found = t.items(store)
    t.equal(shardlib.times(found), {1: shardlib.N}, "each exactly once")
    t.equal(found, shardlib.wanted(), "as a serial run has it")
    t.equal(kills, 20, "kills")
    t.equal(states(store), [("plus", 1, 1, "done", shardlib.N, 0, 0)], "done")


def owned(where, engine):
    """A run that lives keeps others out; one that was killed does not."""
    store = fresh(where, engine, {})
    shardlib.fill(store, 2000)
    args = [store, "-q", "-j", "1", "--job", "plus",
            *shardlib.function(where)]
    run = shardlib.Killed(where, *args)
    t.equal(run.read(500), True, "is running")
    if engine == "lmdb":
        t.equal(states(store)[0][3], "running", "seen from outside")
        t.refused(t.TEMPFAIL, "is running at", args=[
            "map", *args, "--lock-timeout", "0"])
        t.refused(t.TEMPFAIL, "is running", args=[
            "map", store, "--job", "plus", "--forget", "--lock-timeout", "0"])
    run.kill()
    t.equal(states(store)[0][3], "interrupted", "killed")
    run = shardlib.Killed(where, *args)
    run.read(300)
    run.blt.send_signal(2)
    run.read()
    run.end()
    t.equal(states(store)[0][3], "stopped", "by Ctrl-C")
    shardlib.run_through(where, args, 0)
    t.equal(t.items(store), shardlib.wanted(2000), "exactly once")


def sharded(where, engine):
    """Four processes share a store that is open in each of them; one of them
    is killed, 20 times, and goes on."""
    store = fresh(where, engine, {})
    shardlib.fill(store)
    function = shardlib.function(where)

    def args(shard):
        return [store, "-q", "-j", "1", "--job", "four", "--shard",
                f"{shard}/4", *function]
    kills = sum(shardlib.run_through(where, args(shard), 5, 800)
                for shard in (1, 2))
    others = {shard: shardlib.Killed(where, *args(shard)) for shard in (3, 4)}
    while kills < 20:
        shard = random.choice(sorted(others))
        if others[shard].read(random.randrange(1, 400)):
            t.equal(others[shard].kill(), shardlib.KILLED, "killed")
            kills += 1
            others[shard] = shardlib.Killed(where, *args(shard))
    for run in others.values():
        run.read()
        t.equal((run.end(), run.said), (0, b""), "the last run")
    found = t.items(store)
    t.equal(shardlib.times(found), {1: shardlib.N}, "each exactly once")
    t.equal(found, shardlib.wanted(), "as a serial run has it")


def main():
    where = t.directory()
    engines = os.environ.get("MAP_ENGINES", "").split()
    if not engines:
        lmdb = t.run("create", "--engine", "lmdb", os.path.join(where, "try"))
        engines = ["booklet"] + ["lmdb"] * (lmdb.returncode == 0)
    for engine in engines:
        shards(where, engine)
        launchers(where, engine)
        going_on(where, engine)
        failed(where, engine)
        full(where, engine)
        other_keys(where, engine)
        retried_keys(where, engine)
        streamed(where, engine)
        merged(where, engine)
        owned(where, engine)
        killed(where, engine)
    if engines == ["postgresql"]:
        sharded(where, "postgresql")
        return
    slot_in_use(where)
    damaged(where)
    usage(where)


if __name__ == "__main__":
    main()
