#!/usr/bin/env python3
"""What rewrites a store stops at the first block that cannot be: prune, trim,
reindex and copy say what blt check says of it, and have changed nothing.

A store is also damaged at random in the fields of its structure: each command
ends, without a crash, and what it says is unchanged is.
"""

import os
import random
import shutil
import sys

import toollib as t

HEADER, BUCKETS = 200, 61
POSITION, HASH = 6, 13
ROUNDS = int(os.environ.get("DAMAGED_ROUNDS", "25"))
COMMANDS = (["prune"], ["prune", "--older-than", "now"], ["trim"], ["reindex"],
            ["copy"])
FIELDS = {"hash": (0, HASH), "next": (HASH, POSITION), "key_len": (19, 2),
          "value_len": (21, 4), "time": (25, 7)}
HEAD = 32


def make(path):
    t.ok("create", "-b", str(BUCKETS), path)
    t.load(path, {b"key %03d" % i: b"v" * (i * 7 % 90) for i in range(60)})
    t.ok("del", path, *(f"key {i:03}" for i in range(0, 60, 4)))


def blocks(data):
    """Positions of the blocks."""
    at = HEADER + POSITION * BUCKETS
    while at + HEAD <= len(data):
        key = int.from_bytes(data[at + 19:at + 21], "little")
        value = int.from_bytes(data[at + 21:at + 25], "little")
        yield at
        at += HEAD + key + value


def run(command, path):
    """(exit code, what was said, the file before, the file after)"""
    with open(path, "rb") as f:
        before = f.read()
    rest = [path + ".copy"] if command[0] == "copy" else []
    done = t.run(*command, path, *rest)
    with open(path, "rb") as f:
        after = f.read()
    made = os.path.exists(path + ".copy")
    if made:
        os.unlink(path + ".copy")
    assert not (made and done.returncode), (command, "a copy is left")
    return done.returncode, done.stderr.decode(), before, after


def check_refused():
    """A block whose value reaches behind the end."""
    make("whole.blt")
    with open("whole.blt", "rb") as f:
        data = bytearray(f.read())
    at = data.index(b"key 041") - HEAD
    data[at + 21:at + 25] = b"\xf0\xff\xff\x7f"
    with open("bad.blt", "wb") as f:
        f.write(data)
    want = f"at {at}: a block with key length 7 and value length 2147483632"
    said = t.run("check", "bad.blt").stdout.decode()
    assert want in said, said
    for command in COMMANDS:
        code, said, before, after = run(command, "bad.blt")
        assert code == t.DATAERR, (command, code, said)
        assert want in said, (command, said)
        assert before == after, command


def mutate(rng, data):
    """One field of a block, or of the index, or of the header."""
    at = rng.choice(list(blocks(data)))
    offset, size = FIELDS[rng.choice(list(FIELDS))]
    if rng.random() < 0.2:
        at, offset, size = HEADER + POSITION * rng.randrange(BUCKETS), 0, 6
    elif rng.random() < 0.1:
        at, offset, size = rng.randrange(16, 100), 0, rng.choice((1, 4, 6))
    old = int.from_bytes(data[at + offset:at + offset + size], "little")
    new = rng.choice((0, 1, old + 1, old - 1, old ^ 1 << rng.randrange(8 * size),
                      (1 << 8 * size) - 1, rng.choice(list(blocks(data))),
                      len(data), len(data) - 1, rng.randrange(1 << 8 * size)))
    data[at + offset:at + offset + size] = (
        new & (1 << 8 * size) - 1).to_bytes(size, "little")


def check_random(seed):
    rng = random.Random(seed)
    with open("whole.blt", "rb") as f:
        data = bytearray(f.read())
    for _ in range(rng.choice((1, 1, 2, 4))):
        mutate(rng, data)
    with open("mutated.blt", "wb") as f:
        f.write(data)
    command = rng.choice(COMMANDS)
    try:
        shutil.copy("mutated.blt", "m.blt")
        code, said, before, after = run(command, "m.blt")
        if "the store is unchanged" in said:
            assert before == after, said
        if not t.run("check", "mutated.blt").returncode:
            assert not code, (code, said)
            t.ok("check", "-q", "m.blt")
    except BaseException:
        print(f"seed {seed}: blt {command}", file=sys.stderr)
        raise


def main():
    os.chdir(t.directory())
    check_refused()
    for seed in range(ROUNDS):
        check_random(seed)


main()
