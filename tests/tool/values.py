#!/usr/bin/env python3
"""put, get, del, stat and slot: any bytes, of any length, from anywhere."""

import json
import os
import random

import toollib as t

work = t.directory()
store = os.path.join(work, "kv.blt")
big = random.Random(1).randbytes(5 << 20)
big_file = os.path.join(work, "big")
with open(big_file, "wb") as f:
    f.write(big)


def check_create():
    t.ok("create", store)
    t.refused(t.CANTCREAT, store, "--force", args=["create", store])
    t.ok("create", "--force", "--buckets", "101", store)
    info = json.loads(t.ok("info", "--json", "--count", store))
    t.equal((info["buckets"], info["keys"], info["python"],
             info["key_serializer"], info["value_serializer"]),
            (101, 0, "yes", "str", "bytes"), "info")
    other = os.path.join(work, "other.blt")
    t.refused(t.USAGE, "nonsense", "uint4",
              args=["create", "-k", "nonsense", other])
    t.refused(t.USAGE, "--value-len", args=["create", "-l8", "-vstr", other])
    t.refused(t.USAGE, "--buckets x", args=["create", "-b", "x", other])
    t.refused(t.CANTCREAT, args=["create", work + "/none/x.blt"])
    t.equal(os.path.exists(other), False, "left behind")


def check_values():
    # from a pipe, from a file, from the middle of a file
    t.ok("put", store, "pipe", stdin=big)
    t.ok("put", store, "file", big_file)
    with open(big_file, "rb") as f:
        os.lseek(f.fileno(), 1000, os.SEEK_SET)
        t.ok("put", store, "rest", "-", stdin=f)
    t.ok("put", store, "empty", os.devnull)
    t.ok("put", store, "mebibyte", stdin=big[:1 << 20])
    t.ok("put", store, "small", stdin=b"\0a\n")
    for key, value in (("pipe", big), ("file", big), ("rest", big[1000:]),
                       ("empty", b""), ("mebibyte", big[:1 << 20]),
                       ("small", b"\0a\n")):
        t.equal(t.ok("get", store, key) == value, True, f"value of {key}")
    t.equal(t.ok("get", store, "small", "empty", "small"), b"\0a\n\0a\n",
            "several")
    t.equal(t.ok("get", "-x", store, "736d616c6c"), b"00610a\n", "hex")
    t.ok("put", "-x", store, "68", stdin=b"00 ff\n0A\n")
    t.equal(t.ok("get", store, "h"), b"\0\xff\n", "put of hex")
    t.refused(t.DATAERR, "hex", args=["put", "-x", store, "68"], stdin=b"0")
    t.refused(t.USAGE, "hex", args=["get", "-x", store, "6"])
    t.equal(t.faults(store), [], "faults")


def check_output():
    out = os.path.join(work, "out")
    t.ok("get", "-o", out, store, "pipe")
    with open(out, "rb") as f:
        t.equal(f.read() == big, True, "--output")
    t.refused(t.NOT_FOUND, "nokey", args=["get", "-o", out, store, "nokey"])
    t.equal(os.path.getsize(out), len(big), "left alone")
    before = os.path.getsize(store)
    t.refused(t.USAGE, "store itself", args=["get", "-o", store, store, "pipe"])
    t.refused(t.USAGE, "store itself", args=["put", store, "me", store])
    t.equal(os.path.getsize(store), before, "the store's size")
    with open("/dev/full", "wb") as full:
        import subprocess
        for args in (["get", store, "small"], ["dump", store],
                     ["info", store]):
            done = subprocess.run([t.BLT, *args], stdout=full,
                                  stderr=subprocess.PIPE, timeout=t.LIMIT,
                                  check=False)
            t.equal(done.returncode, t.IOERR, f"{args} on a full disk")
            t.equal(b"No space" in done.stderr, True, done.stderr)


def check_times():
    for text, us in (("2023-11-14T22:13:20Z", 1700000000000000),
                     ("2023-11-14T22:13:20.25+01:00", 1699996400250000),
                     ("2023-11-14", 1699920000000000),
                     ("2024-02-29 12:00", 1709208000000000),
                     ("@0", 0), ("@12.000001", 12000001),
                     ("1700000000000001", 1700000000000001)):
        t.ok("put", "--time", text, store, "t", os.devnull)
        t.equal(json.loads(t.ok("stat", "-j", store, "t"))[0]["timestamp"], us,
                text)
    for text in ("", "tomorrow", "2023-02-30", "1969-12-31", "@-1", "-5",
                 "2023-11-14T25:00", "2023-11-14X", "99999999999999999999",
                 "9999-01-01"):
        t.refused(t.USAGE, "time", args=["put", f"--time={text}", store, "t"])


def check_delete():
    t.refused(t.NOT_FOUND, "nokey: no such key in " + store,
              args=["del", store, "nokey", "small"])
    t.refused(t.NOT_FOUND, "small", args=["get", store, "small"])
    done = t.run("get", "-q", store, "small")
    t.equal((done.returncode, done.stderr), (t.NOT_FOUND, b""), "get -q")
    done = t.run("get", store, "nokey", "empty", "h")
    t.equal((done.returncode, done.stdout), (t.NOT_FOUND, b"\0\xff\n"),
            "get with one missing")
    t.equal(t.faults(store), [], "faults")


def check_refused_values():
    path = os.path.join(work, "typed.blt")
    t.ok("create", "-v", "json", path)
    t.ok("put", path, "k", stdin=b'{"a": 1}')
    t.refused(t.DATAERR, "json", args=["put", path, "k"], stdin=b"{")
    t.equal(t.ok("get", path, "k"), b'{"a": 1}', "the value from before")
    t.refused(t.DATAERR, "str", args=["put", "--raw", path, b"\xff"],
              stdin=b"1")
    fixed = os.path.join(work, "fixed.blt")
    t.ok("create", "-l", "4", fixed)
    t.ok("put", fixed, "k", stdin=b"1234")
    t.refused(t.DATAERR, "5 bytes", "have 4", args=["put", fixed, "k"],
              stdin=b"12345")
    t.equal(t.ok("get", fixed, "k"), b"1234", "the value from before")
    t.refused(t.DATAERR, "65535", args=["put", "--raw", store, "x" * 65536])


def check_slots():
    t.refused(t.NOT_FOUND, "metadata", args=["slot", store, "get", "metadata"])
    t.ok("slot", store, "put", "metadata", stdin=b'{"title": "x"}')
    t.ok("slot", store, "put", "1", big_file)
    t.equal(t.ok("slot", store, "get", "metadata"), b'{"title": "x"}', "slot")
    t.equal(t.ok("slot", store, "get", "1") == big, True, "slot 1")
    t.refused(t.DATAERR, "JSON", args=["slot", store, "put", "metadata"],
              stdin=b"{")
    t.ok("slot", store, "del", "1")
    t.refused(t.NOT_FOUND, "1", args=["slot", store, "del", "1"])
    t.refused(t.USAGE, "3", args=["slot", store, "get", "3"])
    t.refused(t.USAGE, "take", args=["slot", "take", store, "1"])
    t.refused(t.DATAERR, "slots", args=[
        "slot", os.path.join(work, "fixed.blt"), "get", "1"])
    t.equal(t.faults(store), [], "faults")


def check_reindex():
    before = sorted(t.ok("dump", "-a", store).splitlines())
    t.ok("reindex", "-b", "5003", store)
    info = json.loads(t.ok("info", "-jc", store))
    t.equal((info["buckets"], info["keys"]), (5003, info["header_keys"]),
            "after reindex")
    t.equal(sorted(t.ok("dump", "-a", store).splitlines()), before, "items")
    t.equal(t.faults(store), [], "faults")


def check_usage():
    t.refused(t.USAGE, "frobnicate", args=["frobnicate"])
    t.refused(t.USAGE, "--frobnicate", args=["--frobnicate"])
    t.refused(t.USAGE, "frobnicate", args=["help", "frobnicate"])
    t.refused(t.USAGE, "--nope", args=["get", "--nope", store, "k"])
    t.refused(t.USAGE, "-Z", args=["get", "-Z", store, "k"])
    t.refused(t.USAGE, "-o", args=["get", store, "k", "-o"])
    t.refused(t.USAGE, "missing", "STORE KEY", args=["get", store])
    t.refused(t.USAGE, "too many", args=["info", store, store])
    t.refused(t.USAGE, "forever",
              args=["info", "--lock-timeout", "soon", store])
    t.equal(t.run().returncode, t.USAGE, "no arguments")


if t.BOOKLET:
    check_create()
else:
    t.ok("create", store)
check_values()
check_output()
if t.BOOKLET:
    check_times()
check_delete()
if t.BOOKLET:
    check_refused_values()
    check_slots()
    check_reindex()
check_usage()
