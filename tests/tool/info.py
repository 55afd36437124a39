#!/usr/bin/env python3
"""blt info: what it counts, against what the store was given, and its chart."""

import json
import os
import re
import xml.etree.ElementTree as xml

import toollib as t

SVG = "{http://www.w3.org/2000/svg}"
HEAD = 32  # of a block with a time, in front of its key
TIME = 1700000000000000


def facts(*args):
    return json.loads(t.ok("info", "--json", *args))


def lines(sizes):
    return b"".join(b"%s %s %d\n" % ((b"k%06d" % i).hex()
                                     .encode(), b"ab" * n or b"-", TIME + i)
                    for i, n in enumerate(sizes))


def fill(path):
    """A store of values of known sizes, some of them overwritten."""
    sizes = [i % 7 * i for i in range(1, 400)]
    t.ok("create", "-b", "40009", path)
    t.ok("load", "-q", path, stdin=lines([n + 100 for n in sizes[:100]]))
    t.ok("load", "-q", path, stdin=lines(sizes))
    return sizes


def check_counts(path, sizes):
    f = facts("--count", path)
    t.equal(f["keys"], len(sizes), "keys")
    t.equal(f["value_bytes"], sum(sizes), "value bytes")
    t.equal(f["live_bytes"], sum(sizes) + len(sizes) * (HEAD + 7), "live")
    t.equal(f["dead_blocks"] >= 100, True, "dead blocks")
    t.equal(f["largest_value"], max(sizes), "largest")
    t.equal(f["oldest_value"], "2023-11-14T22:13:20.000000Z", "oldest")
    t.equal(f["newest_value"], "2023-11-14T22:13:20.000398Z", "newest")
    chains = f["chains"]
    t.equal(sum(chains), f["buckets"], "buckets in all chains")
    t.equal(sum(n * c for n, c in enumerate(chains)), len(sizes), "keys")
    t.equal(f["longest_chain"], len(chains) - 1, "longest")
    steps = sum(n * (n + 1) // 2 * c for n, c in enumerate(chains))
    t.equal(abs(f["blocks_a_lookup"] - steps / len(sizes)) < 0.01, True,
            "steps")
    text = t.ok("info", "-c", path).decode()
    t.equal("longest chain" in text and "oldest value" in text, True, text)
    t.equal("chains" in facts(path), False, "without --count")


def titles(path):
    with open(path, encoding="utf-8") as f:
        root = xml.fromstring(f.read())
    t.equal(root.tag, SVG + "svg", "an SVG")
    for rect in root.iter(SVG + "rect"):
        for name in ("x", "y", "width", "height"):
            if float(rect.get(name, "0")) < 0:
                t.fail(f"{path}: {rect.attrib}")
    return [e.text for e in root.iter(SVG + "title")]


def check_chart(path, sizes):
    said = t.ok("info", "--chart", "c.svg", path)
    t.equal(b"live bytes" in said, True, said)
    found = titles("c.svg")
    values = sum(int(m.group(1).replace(",", "")) for m in
                 (re.search(r": ([\d,]+) values$", e) for e in found) if m)
    t.equal(values, len(sizes), "values in the bars")
    buckets = sum(int(m.group(1).replace(",", "")) for m in
                  (re.search(r": ([\d,]+) buckets$", e) for e in found) if m)
    t.equal(buckets, facts(path)["buckets"], "buckets in the bars")
    if not any("% index" in e and " 100 % index" in e for e in found):
        t.fail(f"no cell is all index: {found}")
    with open("c.svg", "rb") as f:
        drawn = f.read()
    t.equal(t.ok("info", "--chart", "-", path), drawn, "--chart -")
    for number in re.findall(rb'="(-?[\d.]*(?:nan|inf)[^"]*)"', drawn):
        t.fail(f"a number {number}")


def check_odd_stores():
    """None of the vectors makes a chart that is none."""
    for name in t.names():
        done = t.run("info", "--chart", "v.svg", t.vector(name + ".blt"))
        if done.returncode == 0:
            titles("v.svg")
            os.unlink("v.svg")
    name = 'a<b>&"\x01.blt'
    t.ok("create", "-b", "1", name)
    t.ok("info", "--chart", "v.svg", name)
    titles("v.svg")


def check_refusals(path):
    before = t.ok("dump", path)
    t.refused(t.USAGE, "the store itself", "another name",
              args=["info", "--chart", path, path])
    os.link(path, "link.svg")
    t.refused(t.USAGE, "the store itself",
              args=["info", "--chart", "link.svg", path])
    t.equal(t.ok("dump", path), before, "the store")
    t.refused(t.CANTCREAT, "no/such", "cannot create",
              args=["info", "--chart", "no/such.svg", path])
    t.refused(t.IOERR, "/dev/full", "cannot write",
              args=["info", "--chart", "/dev/full", path])


os.chdir(t.directory())
SIZES = fill("kv.blt")
check_counts("kv.blt", SIZES)
check_chart("kv.blt", SIZES)
check_odd_stores()
check_refusals("kv.blt")
