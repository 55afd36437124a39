#!/usr/bin/env python3
"""blt map --python: functions of keys and values as the store's serializers load
them, one item or many at a time, with the module blt and without it."""

import json
import os
import pickle
import sys

import toollib as t
from toollib import items

SOFTWARE = 70
work = t.directory()
STORE = os.path.join(work, "store.blt")
OTHER = os.path.join(work, "other.blt")
MODULE = os.environ.get("BLT_PYTHON", "")
WITH = {**os.environ, "PYTHONPATH": MODULE}
WITHOUT = {name: value for name, value in os.environ.items()
           if name != "PYTHONPATH"}
HAVE = (os.path.exists(os.path.join(MODULE, "blt", "_blt.abi3.so"))
        and os.environ.get("SANITIZERS", "no") == "no")

with open(os.path.join(work, "words.py"), "w", encoding="utf-8") as f:
    f.write('''import os


def upper(key, value):
    print("not among the results")
    if key == "none":
        return None
    if key == "bad":
        raise ValueError("not this one")
    return value.upper()


def both(key, value):
    yield key + ".twice", value * 2
    yield key.upper(), value


def moved(key, value):
    return f"moved/{key}", value


def total(key, value):
    return {"key": key, "total": sum(value)}


def environment(key, value):
    return os.environ.get("GIVEN", "none")


def sizes(items):
    if any(value == "bad" for _, value in items):
        raise ValueError(f"one of {len(items)}")
    return [f"{len(items)} {key}" for key, _ in items]


def short(items):
    return [value for _, value in items][1:]


not_one = 7
''')
with open(os.path.join(work, "broken.py"), "w", encoding="utf-8") as f:
    f.write("import nowhere_at_all\n")


def fresh(found, *options):
    if os.path.exists(OTHER):
        os.unlink(OTHER)
    t.fresh(STORE, found, *options)


def mapped(*args, exit_code=0, env=WITHOUT):
    return t.mapped(STORE, *args, exit_code=exit_code, env=env, cwd=work)


def says(code, text, *args, env=WITHOUT):
    done = t.run("map", STORE, *args, env=env, cwd=work)
    t.equal((done.returncode, text in done.stderr.decode()), (code, True),
            done.stderr)


def text():
    """Without the module: keys and values of str and bytes."""
    found = {b"a": b"x", b"none": b"y", b"bad": b"z", b"b/c": b"\xc3\xa4"}
    fresh(found, "-v", "str")
    got, failed = mapped("--python", "words.py:upper", exit_code=SOFTWARE)
    t.equal((got, failed), ((4, 2, 1, 1),
                            {"bad": "ValueError: not this one (words.py:9)"}),
            "one value each")
    t.equal(items(STORE), found | {b"a": b"X", b"b/c": b"\xc3\x84"}, "upper")
    fresh({b"a": b"x"}, "-v", "str")
    t.equal(mapped("--python", os.path.join(work, "words.py") + ":both",
                   "--to", OTHER, "--create")[0], (1, 2, 0, 0), "an iterator")
    t.equal(items(OTHER), {b"a.twice": b"xx", b"A": b"x"}, "its pairs")
    t.equal(mapped("-P", "words.py:moved")[0], (1, 1, 0, 0), "another key")
    t.equal(items(STORE), {b"a": b"x", b"moved/a": b"x"}, "its key")
    t.equal(mapped("-P", "words.py:environment", "--env", "GIVEN",
                   env=WITHOUT | {"GIVEN": "there"})[0], (2, 2, 0, 0), "--env")
    t.equal(items(STORE)[b"a"], b"there", "what --env names")


def many():
    found = {b"%03d" % i: b"good" for i in range(200)}
    fresh(found, "-v", "str")
    t.equal(mapped("--python", "words.py:sizes", "--batch", "50", "-j", "1")[0],
            (200, 200, 0, 0), "in batches")
    sizes = [int(value.split()[0]) for value in items(STORE).values()]
    t.equal((max(sizes) <= 50, max(sizes) > 1), (True, True), sizes)
    t.equal({key: value.split()[1] for key, value in items(STORE).items()},
            {key: key for key in found}, "each its own")
    fresh(found | {b"100": b"bad"}, "-v", "str")
    got, failed = mapped("--python", "words.py:sizes", "--batch", "50",
                         exit_code=SOFTWARE)
    t.equal((got, list(failed)), ((200, 199, 0, 1), ["100"]), "one is bad")
    t.equal("one of 1 (words.py:" in failed["100"], True, failed)
    fresh({b"a": b"x"}, "-v", "str")
    got, failed = mapped("--python", "words.py:short", "--batch", "9",
                         exit_code=SOFTWARE)
    t.equal("0 results came of 1 items" in failed["a"], True, failed)


def refused():
    fresh({b"a": b"x"}, "-v", "str")
    says(t.USAGE, "expected is FILE:FUNC", "--python", "words.py")
    says(66, "none.py: cannot read", "--python", "none.py:f")
    says(t.USAGE, "takes no command", "--python", "words.py:upper", "cat")
    says(t.USAGE, "one of the four", "--python", "words.py:upper", "--framed")
    says(t.USAGE, "--batch: goes with --python", "--batch", "3", "--", "cat")
    says(t.USAGE, "--batch", "--python", "words.py:sizes", "--batch", "0")
    says(t.USAGE, "has no function of the name nothing", "--python",
         "words.py:nothing")
    says(t.USAGE, "has no function of the name not_one", "--python",
         "words.py:not_one")
    says(t.USAGE, "cannot be loaded: ModuleNotFoundError", "--python",
         "broken.py:f")
    t.equal(items(STORE), {b"a": b"x"}, "what was there")
    fresh({b"a": b"[1, 2]"}, "-v", "json")
    says(t.USAGE, "the serializer json needs the Python module blt", "--python",
         "words.py:total", env=WITHOUT | {"PYTHONPATH": work})


def objects():
    """With it: what the stores' serializers know."""
    if not HAVE:
        print("left out: the module blt", file=sys.stderr)
        return
    fresh({b"a": b"[1, 2]", b"b": b"[]"}, "-v", "json")
    t.equal(mapped("--python", "words.py:total", "--to", OTHER, "--create",
                   "-v", "pickle", env=WITH)[0], (2, 2, 0, 0), "objects")
    t.equal({key: pickle.loads(value) for key, value in items(OTHER).items()},
            {b"a": {"key": "a", "total": 3}, b"b": {"key": "b", "total": 0}},
            "pickles of another store")
    t.equal(mapped("--python", "words.py:total", env=WITH)[0], (2, 2, 0, 0),
            "and back")
    t.equal(json.loads(items(STORE)[b"a"]), {"key": "a", "total": 3}, "JSON")


def job():
    """The ledger knows the function again."""
    fresh({b"a": b"x", b"b": b"y"}, "-v", "str")
    how = "--job", "names", "--python", "words.py:moved", "--to", OTHER
    t.equal(mapped(*how, "--create")[0], (2, 2, 0, 0), "the first time")
    t.equal(mapped(*how)[0][1], 0, "nothing is left")
    says(73, "words.py:moved", *how[:2], "--python", "words.py:upper", "--to",
         OTHER)


text()
many()
refused()
objects()
job()
