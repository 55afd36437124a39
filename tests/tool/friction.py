#!/usr/bin/env python3
"""What a newcomer stumbled over, one after the other: listings in an order,
values of many keys, parts of a dump, times in words, a clear that asks, a line
at the end, fields of sequences."""

import json
import os
import pty
import subprocess
import time

import toollib as t

work = t.directory()
os.chdir(work)


def stored(path, values, base=1_600_000_000):
    """A store of {key: value}; the times ascend by a second."""
    t.ok("create", path)
    for n, (key, value) in enumerate(values.items()):
        when = ["-t", f"@{base + n}"] if t.BOOKLET else []
        t.ok("put", *when, path, key, stdin=value)
    return path


def lines(*args):
    return t.ok(*args).decode().splitlines()


def check_listings():
    kv = stored("ls.blt", {"b": b"x" * 5, "c": b"x", "a": b"x" * 99,
                           "d/e": b"x" * 50, "d/f": b"xx"})
    t.equal(lines("ls", kv), ["a", "b", "c", "d"], "by name")
    t.equal(lines("ls", "--sort=size", kv), ["a", "b", "c", "d"], "by size")
    t.equal(lines("ls", "-R", "-s", "size", kv),
            ["a", "d/e", "b", "d/f", "c"], "all by size")
    t.equal(lines("ls", "-R", "-s", "size", "-n", "2", kv), ["a", "d/e"],
            "the two largest")
    t.equal(lines("ls", "-n", "3", kv), ["a", "b", "c"], "three names")
    t.equal(len(lines("ls", "-R", "--limit", "2", kv)), 2, "any two")
    t.equal(len(lines("ls", "-U", "--limit", "1", kv)), 1, "any one")
    found = json.loads(t.ok("ls", "-j", "-R", "-s", "size", "-n1", kv))
    t.equal([e["name"] for e in found], ["a"], "as JSON")
    if t.can("times"):
        t.equal(lines("ls", "-R", "-s", "time", kv),
                ["d/f", "d/e", "a", "c", "b"], "the newest first")
        t.equal("99" in lines("ls", "-l", "-s", "size", "-n1", kv)[0], True,
                "with its size")
    t.refused(t.USAGE, "--sort weight: expected is name, size or time",
              args=["ls", "-s", "weight", kv])
    t.refused(t.USAGE, "--sort and --unsorted: give one of the two",
              args=["ls", "-U", "-s", "size", kv])
    t.refused(t.USAGE, "--limit 0", args=["ls", "-n", "0", kv])
    many = "many.blt"
    t.ok("create", many)
    t.load(many, {b"%05d" % n: b"x" * (n % 777) for n in range(5000)})
    want = sorted(range(5000), key=lambda n: (-(n % 777), n))[:3]
    t.equal(lines("ls", "-s", "size", "-n3", many),
            [f"{n:05}" for n in want], "a few of many")


def check_values():
    kv = stored("get.blt", {"a": b"one", "d/b": b"\xff\0", "c": b""})
    t.equal(t.ok("get", "-0", kv, "a", "c", "d/b"), b"one\0\0\xff\0\0",
            "a NUL behind each")
    found = json.loads(t.ok("get", "--json", kv, "a", "d/b"))
    t.equal([(e["key"], e["size"], e.get("value"), e.get("value_hex"))
             for e in found],
            [("a", 3, "one", None), ("d/b", 2, None, "ff00")], "as JSON")
    if t.can("times"):
        t.equal(found[0]["timestamp"], 1_600_000_000_000_000, "its time")
    t.ok("get", "-j", "-o", "out.json", kv, "c")
    with open("out.json", encoding="utf-8") as f:
        t.equal(json.load(f)[0]["value"], "", "in a file")
    done = t.refused(t.NOT_FOUND, "none: no such key",
                     args=["get", "-j", kv, "none", "a"])
    t.equal(len(json.loads(done.stdout)), 1, "those that are there")
    t.refused(t.USAGE, "--json and --null: give one of the two",
              args=["get", "-j", "-0", kv, "a"])
    for command in ("get", "del", "stat"):
        t.refused(t.NOT_FOUND, f'd: is a directory in {kv}; "blt ls {kv} d" '
                  "lists it", args=[command, kv, "d"])
    t.refused(t.NOT_FOUND, "e: no such key", args=["get", kv, "e"])


def check_dump():
    kv = stored("dump.blt", {k: b"v" for k in ("a", "ab", "b", "ba", "c")})

    def keys(*args):
        return sorted(bytes.fromhex(line.split()[0]).decode()
                      for line in lines("dump", *args, kv))

    t.equal(keys(), ["a", "ab", "b", "ba", "c"], "all")
    t.equal(keys("-p", "a"), ["a", "ab"], "a prefix")
    t.equal(keys("--from", "ab"), ["ab", "b", "ba", "c"], "from")
    t.equal(keys("--to", "b"), ["a", "ab"], "to")
    t.equal(keys("--from=ab", "--to=c", "--prefix=b"), ["b", "ba"], "all three")
    t.equal(keys("-p", "x"), [], "none")


def check_times():
    if not t.can("times"):
        return
    t.ok("create", "times.blt")
    day = 86400

    def age(text):
        t.ok("put", "-t", text, "times.blt", "k", stdin=b"v")
        found = json.loads(t.ok("stat", "-j", "times.blt", "k"))
        found = found[0] if isinstance(found, list) else found
        return time.time() - found["timestamp"] / 1e6

    for text, want in (("2 days ago", 2 * day), ("1 day ago", day),
                       ("1h 30min ago", 5400), ("-2d", 2 * day),
                       ("-1w 1d", 8 * day), ("90 minutes ago", 5400),
                       ("45 sec ago", 45), ("2 months ago", 60.875 * day),
                       ("1 year ago", 365.25 * day)):
        t.equal(want - 1 <= age(text) <= want + 3600, True, text)
    for text, days in (("today", 0), ("yesterday", 1)):
        before = int(time.time()) // day
        gone = age(text)
        after = int(time.time()) // day
        t.equal(round((time.time() - gone) / day, 3) in
                (before - days, after - days), True, text)
    for text in ("2 days", "days ago", "2 fortnights ago", "-2", "-", " ago",
                 "3 days ago now", "-2 days ago", "999 years ago", "tomorrow",
                 "99999999999999999999 s ago"):
        t.refused(t.USAGE, f'--time {text}: not a time: expected are now, '
                  'yesterday, "2 days ago"',
                  args=["put", f"--time={text}", "times.blt", "k"])
    t.ok("put", "-t", "2 days ago", "times.blt", "old", stdin=b"v")
    t.ok("put", "times.blt", "k", stdin=b"v")
    t.ok("prune", "-q", "--older-than", "yesterday", "times.blt")
    t.equal(lines("ls", "times.blt"), ["k"], "older than yesterday")


def on_terminal(answer, *args):
    """Runs blt with a terminal as standard input; (exit code, stderr)."""
    ours, theirs = pty.openpty()
    with subprocess.Popen([t.BLT, *args], stdin=theirs, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as child:
        os.close(theirs)
        os.write(ours, answer)
        _, said = child.communicate(timeout=t.LIMIT)
    os.close(ours)
    return child.returncode, said.decode()


def check_clear():
    kv = stored("clear.blt", {"a": b"1"})
    for answer in (b"n\n", b"\n", b"yep\n", b"\x04"):
        code, said = on_terminal(answer, "clear", kv)
        t.equal((code, f"blt clear: {kv}: delete all keys? [y/N] " in said,
                 "left as it is; --yes does not ask" in said),
                (t.TEMPFAIL, True, True), f"{answer}: {said}")
    t.equal(lines("ls", kv), ["a"], "still there")
    t.equal(on_terminal(b"y\n", "clear", "-q", kv)[0], 0, "yes")
    t.equal(lines("ls", kv), [], "gone")
    t.ok("put", kv, "a", stdin=b"")
    t.equal(on_terminal(b"", "clear", "-q", "--yes", kv), (0, ""), "--yes")
    t.ok("put", kv, "a", stdin=b"")
    t.ok("clear", "-q", kv)  # no terminal, no question


def check_summaries():
    os.makedirs("tree/sub")
    for name, size in (("a", 10), ("sub/b", 2000)):
        with open(f"tree/{name}", "wb") as f:
            f.write(b"x" * size)
    t.ok("create", "sum.blt")
    t.equal(t.ok("import", "sum.blt", "tree"),
            b"2 keys imported, 2.0 KiB\n", "import")
    t.equal(t.ok("import", "-s", "sum.blt", "tree"),
            b"0 keys imported, 0 B, 2 kept\n", "kept")
    t.equal(t.ok("export", "sum.blt", "out"), b"2 keys exported, 2.0 KiB\n",
            "export")
    t.equal(t.ok("export", "sum.blt", "out.tar"),
            b"2 keys exported, 2.0 KiB\n", "export to an archive")
    t.equal(b"exported" in t.ok("export", "sum.blt", "-"), False,
            "to standard output")
    dump = t.ok("dump", "sum.blt")
    t.ok("create", "sum2.blt")
    t.equal(t.ok("load", "sum2.blt", stdin=dump), b"2 keys loaded, 2.0 KiB\n",
            "load")
    for args in (("import", "-q", "sum.blt", "tree"),
                 ("load", "-q", "sum2.blt", "/dev/null")):
        t.equal(t.ok(*args), b"", "-q")
    os.symlink("x" * 2000, "tree/far")
    done = t.run("import", "sum.blt", "tree")
    t.equal(done.stdout, b"2 keys imported, 2.0 KiB, 1 passed over\n",
            "passed over")


def check_info():
    if not t.can("index"):
        return
    kv = stored("info.blt", {"d/large": b"x" * 5000, "small": b"x"})
    said = t.ok("info", "-c", kv).decode()
    t.equal("largest key       d/large\n" in said and
            "newest key        small\n" in said, True, said)
    found = json.loads(t.ok("info", "-c", "-j", kv))
    t.equal((found["largest_key"], found["newest_key"]), ("d/large", "small"),
            "as JSON")
    t.ok("create", "empty.blt")
    t.equal("largest key" in t.ok("info", "-c", "empty.blt").decode(), False,
            "no key")


def check_sequences():
    kv = "seq.blt"
    t.ok("create", kv)

    def seq(verb, *args, **options):
        return t.ok("seq", verb, kv, "s", *args, **options).decode()

    seq("create")
    with open("file", "wb") as f:
        f.write(b"from a file\n")
    seq("append", "a=@file", "b=@@at", "c=plain")
    t.equal(seq("get", "0", "a"), "from a file\n", "=@FILE")
    t.equal(seq("get", "0", "b"), "@at", "=@@")
    t.equal(seq("fields", "0"), "a\nb\nc\n", "fields")
    t.equal(json.loads(t.ok("seq", "fields", "-j", kv, "s", "0")),
            ["a", "b", "c"], "fields as JSON")
    seq("drop", "0", "a", "c")
    t.equal(json.loads(seq("get", "0")), {"b": "@at"}, "dropped")
    t.refused(t.NOT_FOUND, "s: item 0 has no field zz",
              args=["seq", "drop", kv, "s", "0", "b", "zz"])
    t.equal(seq("fields", "0"), "b\n", "nothing is dropped then")
    t.refused(t.NOINPUT, "none", args=["seq", "append", kv, "s", "a=@none"])
    seq("delete", "0")
    for n in range(5):
        seq("append", stdin=b"%d" % n)
    t.refused(t.DATAERR, "item 0 has a value and no fields",
              args=["seq", "fields", kv, "s", "0"])
    t.refused(t.DATAERR, "item 0 has a value and no fields",
              args=["seq", "drop", kv, "s", "0", "a"])
    items = "01234"
    for text in ("::2", "1::2", "::-1", "3:0:-2", "-2::-1", ":2:-1", "9:-9:-3",
                 "0:99:3", "-9:9:4", "4:4:1", "2:1:1", "1:3", ":", "-99::-1",
                 "99::-1", "::99", ":-9:-1"):
        want = items[slice(*(int(x) if x else None for x in text.split(":")))]
        found = "".join(json.loads(x) for x in
                        seq("slice", "--", text).splitlines())
        t.equal(found, want, f"slice {text}")
    t.refused(t.USAGE, "::0: expected is I:J, I:, :J, : or I:J:STEP",
              args=["seq", "slice", kv, "s", "::0"])
    t.refused(t.USAGE, "without a step", args=["seq", "delete", kv, "s",
                                               "::2"])
    seq("insert", "99", stdin=b"last")
    seq("insert", "-99", stdin=b"first")
    t.equal([json.loads(x) for x in seq("iter").splitlines()],
            ["first", *items, "last"], "out of range")


def check_slots():
    if not t.BOOKLET:
        return
    t.ok("create", "slot.blt")
    t.ok("slot", "put", "slot.blt", "1", stdin=b"new order")
    t.equal(t.ok("slot", "slot.blt", "get", "1"), b"new order", "old order")
    t.equal(t.ok("slot", "get", "slot.blt", "1"), b"new order", "new order")


check_listings()
check_values()
check_dump()
check_times()
check_clear()
check_summaries()
check_info()
check_sequences()
check_slots()
