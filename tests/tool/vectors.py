#!/usr/bin/env python3
"""blt reads what Python wrote, and changes nothing that it was not told to."""

import json
import os
import shutil

import checker
import toollib as t

HIDDEN = {"metadata": "metadata", "1": "reserved1", "2": "reserved2"}


def header_fields(path):
    """What no put may change."""
    with open(path, "rb") as f:
        head = f.read(200)
    return head[:21], head[25:33], head[37:65], head[77:]


def facts(name):
    """The "# field value" lines of a vector."""
    with open(t.vector(name + ".expect"), encoding="utf-8") as f:
        return dict(line[2:].rstrip("\n").split(" ", 1) for line in f
                    if line.startswith("# "))


def dumped(path):
    return sorted(t.ok("dump", path).splitlines(True))


def unchanged(path, items, what):
    t.equal(dumped(path), sorted(items), what)
    t.equal(checker.check(path), [], f"faults of {path} after {what}")


def no_keys_left_over(lines, key):
    return [line for line in lines if not line.startswith(key + b" ")]


def check_slots(name):
    known = facts(name)
    for slot, field in HIDDEN.items():
        done = t.run("slot", t.vector(name + ".blt"), "get", slot)
        if field not in known:
            t.equal(done.returncode in (t.NOT_FOUND, t.DATAERR), True,
                    f"{name}: slot {slot}")
            continue
        t.equal(done.returncode, 0, f"{name}: slot {slot}")
        if slot == "metadata":
            t.equal(json.loads(done.stdout), json.loads(known[field]), name)
        else:
            t.equal(done.stdout.hex(), known[field], f"{name}: slot {slot}")


def value_for(known):
    """A key and a value that load in Python under any of the serializers."""
    integers = {"10": 4, "15": 8}
    width = integers.get(known["key_serializer"])
    key = (b"\x11" * width if width else b"new key")
    if known["fixed"] == "1":
        return key, b"\x07" * int(known["value_len"])
    values = {"4": b"[1]", "5": b"[1]"}
    plain = known["value_serializer"] in ("1", "2", "32")
    return key, values.get(known["value_serializer"],
                           b"new value" if plain else None)


def check_changes(name, dir_):
    """A put and a delete on a copy; the rest stays as it was."""
    known, items = facts(name), t.expected(name)
    path = os.path.join(dir_, name + ".blt")
    shutil.copy(t.vector(name + ".blt"), path)
    os.chmod(path, 0o644)
    before = header_fields(path)
    stamp = "1600000000123456" if known["timestamps"] == "1" else "-"
    key, value = value_for(known)
    if value is None:
        first = items[0].split()
        key, value = bytes.fromhex(first[0].decode()), \
            bytes.fromhex(first[1].decode())
        items = no_keys_left_over(items, first[0])
    line = f"{key.hex()} {value.hex()} {stamp}\n".encode()

    args = ["--time", "1600000000123456"] if stamp != "-" else []
    t.ok("put", "--hex", *args, path, key.hex(), stdin=value.hex().encode())
    unchanged(path, items + [line], f"{name}: put")
    if items:
        gone = items[len(items) // 2].split()[0]
        t.ok("del", "--hex", "--", path, gone.decode())
        items = no_keys_left_over(items, gone)
    unchanged(path, items + [line], f"{name}: del")
    t.ok("del", "--hex", path, key.hex())
    unchanged(path, items, f"{name}: del of the new key")
    t.equal(header_fields(path), before, f"{name}: header fields")
    os.unlink(path)


def check_load(name, dir_):
    """What is dumped makes the same store elsewhere."""
    known = facts(name)
    path = os.path.join(dir_, name + "-2.blt")
    args = ["--key-serializer", serializer(known["key_serializer"])]
    if known["fixed"] == "1":
        args += ["--value-len", known["value_len"]]
    else:
        args += ["--value-serializer", serializer(known["value_serializer"])]
    if known["timestamps"] == "0":
        args += ["--no-timestamps"]
    t.ok("create", *args, path)
    text = t.ok("dump", "--hidden", t.vector(name + ".blt"))
    t.ok("load", path, stdin=text)
    t.equal(t.ok("dump", "--hidden", path), text, f"{name}: loaded")
    t.equal(checker.check(path), [], f"faults of {path}")
    os.unlink(path)


def serializer(code):
    return {"2": "str", "4": "json", "10": "uint4", "15": "int8",
            "27": "zstd", "1": "bytes", "32": "bytes",
            "5": "orjson"}.get(code, "bytes")


def main():
    work = t.directory()
    for name in t.names():
        t.equal(sorted(t.ok("dump", t.vector(name + ".blt")).splitlines(True)),
                sorted(t.expected(name)), f"dump of {name}")
        check_slots(name)
        check_changes(name, work)
        check_load(name, work)


main()
