#!/usr/bin/env python3
"""blt check finds what is planted, where it is planted, and agrees with the
checker that knows nothing of the engine."""

import json
import os
import random
import re
import sys

import checker
import toollib as t

DIR = t.directory()
PATH = os.path.join(DIR, "planted.blt")


def written(data):
    with open(PATH, "wb") as f:
        f.write(data)
    return PATH


def with_bytes(data, pos, new):
    return data[:pos] + new + data[pos + len(new):]


def check(data, *options):
    """(exit code, [(position, text)], summary) of blt check."""
    done = t.run("check", *options, written(data))
    t.equal(done.stderr, b"", "messages of blt check")
    lines = done.stdout.decode().splitlines()
    found = []
    for line in lines[:-1]:
        row = re.match(re.escape(PATH) + r": at (\d+): (.*)$", line)
        if not row:
            t.fail(f"not our style: {line}")
        found.append((int(row.group(1)), row.group(2)))
    t.equal(lines[-1].startswith(f"{PATH}: "), True, lines[-1])
    return done.returncode, found, lines[-1]


def assert_fault(data, pos, text):
    code, found, summary = check(data)
    if code != t.DATAERR or not any(p == pos and text in what
                                    for p, what in found):
        t.fail(f"no '{text}' at {pos} among {found}; exit {code}")
    t.equal(f": {len(found)} fault" in summary, True, summary)


def vectors_are_clean():
    for name in t.names():
        data = checker.read(t.vector(name + ".blt"))
        code, found, summary = check(data, "--values")
        t.equal((code, found), (0, []), name)
        t.equal(f"; {len(t.expected(name))} keys in" in summary, True, summary)
        t.equal("did not close" in summary, name == "crashmark", summary)


class Chains:
    """A vector with chains of several blocks, and dead ones."""

    def __init__(self):
        self.data = checker.read(t.vector("chains.blt"))
        self.store = checker.Store(self.data)
        self.chains = [self.store.follow(pos) for _, pos in self.store._entries()]
        self.chain = max(self.chains, key=len)
        self.dead = [b for b in self.store.blocks if not b.live]


def header_faults(c):
    for at, new, pos, text in (
            (0, b"x", 0, "the first 16 bytes"),
            (16, b"\0\0", 16, "version 0"),
            (16, b"\2\0", 16, "version 2"),
            (18, b"\5", 18, "bytes of a position"),
            (19, b"\4", 19, "bytes of a key length"),
            (20, b"\0", 20, "bytes of a value length"),
            (21, b"\0\0\0\0", 21, "no buckets"),
            (21, b"\xff\xff\xff\xff", 65, "the index ends at"),
            (25, b"\1", 25, "deprecated"),
            (29, b"\x63\0", 29, "value serializer 99"),
            (31, b"\x21\0", 31, "key serializer 33"),
            (33, b"\7\0\0\0", 33, "7 keys, 6 are live"),
            (37, b"\1", 37, "values of 1 bytes"),
            (41, b"\2", 41, "timestamps: 2"),
            (65, b"\xc7\0\0\0\0\0", 65, "the index begins at 199"),
            (65, b"\xff\xff\xff\xff\xff\xff", 65, "the index ends at"),
            (71, b"\xff\0\0\0\0\0", 71, "data begins at 255"),
            (77, b"0", 77, "neither all 0 nor all 0x30"),
            (199, b"\1", 77, "neither all 0 nor all 0x30")):
        assert_fault(with_bytes(c.data, at, new), pos, text)
    assert_fault(c.data[:199], 0, "the file ends at 199")
    assert_fault(b"", 0, "the file ends at 0")
    code, found, _ = check(with_bytes(c.data, 31, b"\0\0"))
    t.equal((code, found), (0, []), "a custom class serializes the keys")
    code, found, summary = check(with_bytes(c.data, 33, b"\xff" * 4))
    t.equal((code, found), (0, []), "a store that was left open")
    t.equal("did not close it" in summary, True, summary)


def block_faults(c):
    first, second = c.chain[:2]
    key_at = first.end - len(first.value) - len(first.key)
    assert_fault(with_bytes(c.data, key_at, b"\xfe"), first.pos,
                 "that of its key")
    block = c.store.blocks[2]
    for at in (block.pos + 19, block.pos + 21):
        assert_fault(with_bytes(c.data, at, b"\xff\xff"), block.pos,
                     "behind the data's end")
    assert_fault(c.data[:-1], c.store.blocks[-1].pos, "behind the data's end")
    assert_fault(c.data + b"\0" * 20, len(c.data), "no room for a block")

    number = second.pos.to_bytes(6, "little")
    assert_fault(with_bytes(c.data, c.store.entry_of(first), number), first.pos,
                 "live, but not in its chain")
    raised = next(b for b in c.dead if b.key in c.store.items())
    assert_fault(with_bytes(c.data, raised.pos + 13, b"\1"), raised.pos,
                 f"live at {c.store.items()[raised.key].pos} too")


def chain_faults(c):
    first, last = c.chain[0], c.chain[-1]
    ring = with_bytes(c.data, last.pos + 13, first.pos.to_bytes(6, "little"))
    assert_fault(ring, last.pos + 13, "its chain is a ring")
    # a ring that the chain's first block is not in
    inner = with_bytes(c.data, last.pos + 13,
                       c.chain[1].pos.to_bytes(6, "little"))
    assert_fault(inner, last.pos + 13, "its chain is a ring")

    other = next(chain for chain in c.chains if chain[0].pos != first.pos)
    met = with_bytes(c.data, other[-1].pos + 13,
                     first.pos.to_bytes(6, "little"))
    assert_fault(met, first.pos, "reached from bucket")

    entry = c.store.entry_of(first)
    for pos, text in ((c.dead[0].pos, "a dead block"),
                      (len(c.data) + 5, "no block can stand there"),
                      (7, "no block can stand there")):
        assert_fault(with_bytes(c.data, entry, pos.to_bytes(6, "little")),
                     entry, text)


def block_in_a_value():
    """A chain that leads to a block that is only part of a value."""
    path = os.path.join(DIR, "inner.blt")
    t.ok("create", "-b", "1", "-T", path)
    t.ok("put", path, "inner", stdin=b"x")
    inner = checker.Store(checker.read(path)).blocks[0]
    hidden = checker.read(path)[inner.pos:inner.end]
    t.ok("create", "-f", "-b", "1", "-T", path)
    t.ok("put", path, "outer", stdin=hidden)
    data = checker.read(path)
    outer = checker.Store(data).blocks[0]
    at = outer.end - len(hidden)
    bad = with_bytes(data, outer.pos + 13, at.to_bytes(6, "little"))
    bad = with_bytes(bad, at + 13, (1).to_bytes(6, "little"))
    assert_fault(bad, outer.pos + 13, "no block begins there")


def every_byte(c):
    """A flipped bit is found here where it is found there."""
    rng = random.Random(7)
    for at in range(16, len(c.data)):
        data = with_bytes(c.data, at,
                          bytes([c.data[at] ^ 1 << rng.randrange(8)]))
        theirs = checker.Store(data, allow_open=True).faults
        code, ours, _ = check(data)
        if bool(theirs) != bool(ours) or bool(ours) != (code == t.DATAERR):
            t.fail(f"byte {at}: blt check says {ours}, exit {code}; "
                   f"the checker says {theirs}")


def next_region():
    """Behind damage in front of the index the walk goes on behind it."""
    data = checker.read(t.vector("pruned-then-written.blt"))
    store = checker.Store(data)
    before = [b for b in store.blocks if b.pos < store.header.index_offset]
    after = [b for b in store.blocks if b.pos > store.header.index_offset]
    bad = with_bytes(data, before[3].pos + 21, b"\xff\xff\xff\xff")
    key_at = after[-1].end - len(after[-1].value) - len(after[-1].key)
    bad = with_bytes(bad, key_at, b"\xfe")
    _, found, summary = check(bad)
    t.equal(before[3].pos in [p for p, _ in found], True, found)
    t.equal(after[-1].pos in [p for p, _ in found], True, found)
    t.equal("bytes could not be checked" in summary, True, summary)


def values():
    for name, change in (("small", (b"key000", b"key\xff00")),
                         ("json-values", (b"{", b"}")),
                         ("zstd-values", (b"\x28\xb5\x2f\xfd",
                                          b"\x28\xb5\x2f\xfc"))):
        data = checker.read(t.vector(name + ".blt"))
        at = data.index(change[0], 800)
        bad = with_bytes(data, at, change[1])
        _, found, summary = check(bad, "--values")
        t.equal(any("warning: " in text and "does not load" in text
                    for _, text in found), True, (name, found))
        t.equal("warning" in summary, True, summary)
    code, found, _ = check(bad)
    t.equal((code, found), (0, []), "values are checked only when asked")
    code, found, _ = check(bad, "--values")
    t.equal((code, len(found)), (0, 1), "a warning is no fault")


def forms(c):
    bad = with_bytes(c.data, 33, b"\7\0\0\0")
    done = t.run("check", "--json", written(bad))
    told = json.loads(done.stdout)
    t.equal(done.returncode, t.DATAERR, "exit code with --json")
    t.equal((told["faults"], told["keys"], told["store"]), (1, 6, PATH),
            told)
    t.equal([(f["position"], f["kind"], f["warning"]) for f in told["found"]],
            [(33, "count", False)], told)
    done = t.run("check", "-q", PATH)
    t.equal((done.returncode, done.stdout), (t.DATAERR, b""), "-q")
    t.equal(t.ok("check", "-q", t.vector("small.blt")), b"", "-q, clean")
    t.refused(t.NOINPUT, "none.blt",
              args=("check", os.path.join(DIR, "none.blt")))
    t.equal(checker.read(PATH), bad, "check changes nothing")


def every_kind(c):
    """One fault of each kind that the library knows, with its place."""
    first, second = c.chain[:2]
    key_at = first.end - len(first.value) - len(first.key)
    other = next(chain for chain in c.chains if chain[0].pos != first.pos)
    values = checker.read(t.vector("json-values.blt"))
    item = next(iter(checker.Store(values).items().values()))
    planted = {
        "header": (c.data, 18, b"\5", 18),
        "block": (c.data, first.pos + 21, b"\xff\xff", first.pos),
        "hash": (c.data, key_at, b"\xfe", first.pos),
        "lost": (c.data, c.store.entry_of(first),
                 second.pos.to_bytes(6, "little"), first.pos),
        "chain": (c.data, c.store.entry_of(first),
                  c.dead[0].pos.to_bytes(6, "little"), c.store.entry_of(first)),
        "bucket": (c.data, other[-1].pos + 13,
                   first.pos.to_bytes(6, "little"), first.pos),
        "count": (c.data, 33, b"\7\0\0\0", 33),
        "load": (values, item.end - len(item.value), b"}", item.pos),
    }
    with open(os.path.join(t.TOP, "src", "blt.h"), encoding="utf-8") as f:
        known = re.findall(r"\bBLT_FAULT_(\w+),", f.read())
    t.equal(sorted(planted), sorted(k.lower() for k in known), "kinds")
    for kind, (data, at, new, pos) in planted.items():
        done = t.run("check", "--json", "--values",
                     written(with_bytes(data, at, new)))
        found = [(f["kind"], f["position"])
                 for f in json.loads(done.stdout)["found"]]
        t.equal((kind, pos) in found, True, (kind, pos, found))


chains = Chains()
vectors_are_clean()
header_faults(chains)
block_faults(chains)
chain_faults(chains)
block_in_a_value()
every_byte(chains)
next_region()
values()
every_kind(chains)
forms(chains)
